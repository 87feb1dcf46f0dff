//! The lease: of several intakes at once one runs, and each attempt has a generation of its own.
//!
//! One item in the table, and in it the watermark: whoever moves it must hold the lease. If the table is lost, the lake's
//! newest generation takes the place of the last one, and everything is read.

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::AttributeValue,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use shared::{telemetry::said, time::Generation};

use crate::{record::Versions, watermark::Watermark};

/// No attempt runs longer than this: Lambda's own limit.
const LEASE: TimeDelta = TimeDelta::minutes(15);

/// Why an attempt may not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// Another one does.
    #[error("another intake is running; its lease ends at {until} at the latest")]
    Held {
        /// When it is free at the latest.
        until: DateTime<Utc>,
    },
    /// DynamoDB refused or did not answer.
    #[error("the intake lease could not be {action}: {reason}")]
    Storage {
        /// What was tried.
        action: &'static str,
        /// What came back.
        reason: String,
    },
}

/// By which SELECTs of which mapping a source was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selects {
    /// The mapping's text.
    pub mapping: String,
    /// Which of its SELECTs.
    pub versions: Versions,
}

/// The table's one lease.
#[derive(Debug, Clone)]
pub struct Leases {
    client: Client,
    table: String,
}

/// A lease that is held, and the generation that came with it.
#[derive(Debug)]
pub struct Lease {
    leases: Leases,
    /// Minted for this attempt alone, before its snapshot is opened.
    pub generation: Generation,
    /// What the last run left behind, unless it is of another version or there was none.
    pub watermark: Option<Watermark>,
    /// By which SELECTs the source was read last.
    pub selects: Option<Selects>,
}

impl Leases {
    /// The lease in `table`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Takes the lease and mints a generation after every one known: to the table, or as `newest` to the lake.
    pub async fn acquire(&self, newest: Option<Generation>, now: DateTime<Utc>) -> Result<Lease, LeaseError> {
        let item =
            self.client.get_item().table_name(&self.table).set_key(Some(key())).consistent_read(true).send().await;
        let item = item.map_err(|error| storage("read", error))?.item.unwrap_or_default();
        let known = item.get("last_generation").and_then(|value| value.as_s().ok()?.parse().ok());
        let watermark = item.get("watermark").and_then(|value| serde_json::from_str(value.as_s().ok()?).ok());
        let selects = item.get("selects").and_then(|value| serde_json::from_str(value.as_s().ok()?).ok());
        let until = item.get("expires_at").and_then(|value| value.as_n().ok()?.parse().ok());
        let until = until.and_then(|seconds| DateTime::from_timestamp(seconds, 0)).unwrap_or(DateTime::UNIX_EPOCH);
        if until > now {
            return Err(LeaseError::Held { until });
        }
        let generation = Generation::mint(now, newest.max(known));
        let text = |value: Generation| AttributeValue::S(value.to_string());
        let seconds = |at: DateTime<Utc>| AttributeValue::N(at.timestamp().to_string());
        let take = self.client.update_item().table_name(&self.table).set_key(Some(key()));
        let take = take
            .update_expression("SET expires_at = :expires_at, last_generation = :generation")
            .condition_expression(
                "(attribute_not_exists(expires_at) OR expires_at <= :now) \
                 AND (attribute_not_exists(last_generation) OR last_generation < :generation)",
            )
            .expression_attribute_values(":expires_at", seconds(now + LEASE))
            .expression_attribute_values(":now", seconds(now))
            .expression_attribute_values(":generation", text(generation));
        match take.send().await {
            Ok(_) => Ok(Lease { leases: self.clone(), generation, watermark, selects }),
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => {
                Err(LeaseError::Held { until: now + LEASE })
            }
            Err(error) => Err(storage("taken", error)),
        }
    }

    /// Frees a lease whose holder is known to be gone: for a stack that just started and has the table to itself.
    pub async fn free(&self) -> Result<(), LeaseError> {
        let update = self.client.update_item().table_name(&self.table).set_key(Some(key()));
        let update = update.update_expression("REMOVE expires_at").send().await;
        update.map(|_| ()).map_err(|error| storage("freed", error))
    }
}

impl Lease {
    /// Moves the watermark, if at `now` the lease has not run out and nobody else has taken it since. Returns whether it did.
    pub async fn move_to(&self, watermark: &Watermark, now: DateTime<Utc>) -> Result<bool, LeaseError> {
        self.leave("watermark", watermark, now).await
    }

    /// Notes by which SELECTs the source was read, under the same condition. Returns whether it did.
    pub async fn read_by(&self, selects: &Selects, now: DateTime<Utc>) -> Result<bool, LeaseError> {
        self.leave("selects", selects, now).await
    }

    async fn leave(&self, name: &str, value: &impl Serialize, now: DateTime<Utc>) -> Result<bool, LeaseError> {
        let Leases { client, table } = &self.leases;
        let text = serde_json::to_string(value);
        let text = text.map_err(|error| LeaseError::Storage { action: "moved", reason: error.to_string() })?;
        let update = client.update_item().table_name(table).set_key(Some(key()));
        let update = update
            .update_expression("SET #name = :value")
            .condition_expression("last_generation = :generation AND expires_at > :now")
            .expression_attribute_names("#name", name)
            .expression_attribute_values(":value", AttributeValue::S(text))
            .expression_attribute_values(":generation", AttributeValue::S(self.generation.to_string()))
            .expression_attribute_values(":now", AttributeValue::N(now.timestamp().to_string()));
        match update.send().await {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => Ok(false),
            Err(error) => Err(storage("moved", error)),
        }
    }

    /// Gives the lease back, unless it ran out and another attempt has taken it.
    pub async fn release(&self) -> Result<(), LeaseError> {
        let Leases { client, table } = &self.leases;
        let update = client.update_item().table_name(table).set_key(Some(key()));
        let update = update
            .update_expression("REMOVE expires_at")
            .condition_expression("last_generation = :generation")
            .expression_attribute_values(":generation", AttributeValue::S(self.generation.to_string()));
        match update.send().await {
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => Ok(()),
            outcome => outcome.map(|_| ()).map_err(|error| storage("released", error)),
        }
    }
}

fn key() -> std::collections::HashMap<String, AttributeValue> {
    [("pk", "intake"), ("sk", "lease")]
        .map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())))
        .into()
}

fn storage<E>(action: &'static str, error: SdkError<E>) -> LeaseError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    LeaseError::Storage { action, reason: said(&error) }
}
