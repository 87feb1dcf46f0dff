//! Up to where everything is done under a logic: one item of the table. Without it everything is looked at, so it may be deleted.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::AttributeValue,
};
use shared::{annotator::Logic, telemetry::said, time::Generation};

/// Why the watermark could not be read or moved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatermarkError {
    /// DynamoDB refused or did not answer.
    #[error("the reconciler's watermark could not be {action}: {reason}")]
    Storage {
        /// What was tried.
        action: &'static str,
        /// What came back.
        reason: String,
    },
    /// The item is not what we write.
    #[error(
        "an item `reconciler`, `watermark#<logic>` holds no generation; delete it, and the next run looks at every day"
    )]
    Damaged,
}

/// The watermark of one logic.
#[derive(Debug, Clone)]
pub(crate) struct Watermark {
    client: Client,
    table: String,
    logic: Logic,
}

impl Watermark {
    pub(crate) fn new(client: Client, table: impl Into<String>, logic: &Logic) -> Self {
        Self { client, table: table.into(), logic: logic.clone() }
    }

    pub(crate) async fn read(&self) -> Result<Option<Generation>, WatermarkError> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(self.key())).consistent_read(true);
        let Some(item) = get.send().await.map_err(|error| storage("read", error))?.item else { return Ok(None) };
        let generation = item.get("generation").and_then(|value| value.as_s().ok()?.parse().ok());
        generation.map(Some).ok_or(WatermarkError::Damaged)
    }

    /// Moves it forward. If another run has moved it further, that one stays.
    pub(crate) async fn move_to(&self, generation: Generation) -> Result<(), WatermarkError> {
        let generation = AttributeValue::S(generation.to_string());
        let item = self.key().into_iter().chain([("generation".to_owned(), generation.clone())]).collect();
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let put = put
            .condition_expression("attribute_not_exists(generation) OR generation < :generation")
            .expression_attribute_values(":generation", generation);
        match put.send().await {
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => Ok(()),
            outcome => outcome.map(|_| ()).map_err(|error| storage("moved", error)),
        }
    }

    fn key(&self) -> HashMap<String, AttributeValue> {
        [("pk", "reconciler".to_owned()), ("sk", format!("watermark#{}", self.logic))]
            .map(|(name, value)| (name.to_owned(), AttributeValue::S(value)))
            .into()
    }
}

fn storage<E>(action: &'static str, error: SdkError<E>) -> WatermarkError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    WatermarkError::Storage { action, reason: said(&error) }
}
