//! What wakes a function: "Object Created", as S3 hands it to EventBridge and EventBridge to a queue.
//!
//! Events are hints, storage is truth: an event only says where to look.

use std::{collections::BTreeMap, future::Future};

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use serde::{Deserialize, Serialize};

use crate::{
    lake::{LakeKey, Partition},
    telemetry::chain,
    time::Malformed,
};

/// The `detail-type` of the one event that the pipeline listens to.
pub const OBJECT_CREATED: &str = "Object Created";

/// The EventBridge envelope, as far as wastewalk reads or writes it.
/// Source: Amazon S3 user guide, "EventBridge event message structure".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectCreated {
    /// `aws.s3`, or the name of whoever announces an object again.
    pub source: String,
    /// Always [`OBJECT_CREATED`].
    #[serde(rename = "detail-type")]
    pub detail_type: String,
    /// Which object.
    pub detail: ObjectDetail,
}

/// The `detail` of an [`ObjectCreated`] event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectDetail {
    /// Its bucket.
    pub bucket: BucketRef,
    /// Its key.
    pub object: ObjectRef,
}

/// A bucket by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketRef {
    /// The bucket's name.
    pub name: String,
}

/// An object by key. EventBridge carries the key raw, not form-encoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRef {
    /// The whole key.
    pub key: String,
    /// Bytes; absent in hand-written events.
    #[serde(default)]
    pub size: u64,
}

impl ObjectCreated {
    /// The event for one object, as announced by `source`.
    pub fn new(source: &str, bucket: &str, key: &str, size: u64) -> Self {
        Self {
            source: source.to_owned(),
            detail_type: OBJECT_CREATED.to_owned(),
            detail: ObjectDetail {
                bucket: BucketRef { name: bucket.to_owned() },
                object: ObjectRef { key: key.to_owned(), size },
            },
        }
    }

    /// What the event asks for.
    ///
    /// # Errors
    /// If it tells of something else than an object of this bucket that was created, or the key is not that of a base object or
    /// an annotation.
    pub fn request(&self, bucket: &str) -> Result<Request, Malformed> {
        if self.detail_type != OBJECT_CREATED {
            return Err(Malformed::new(&self.detail_type, "the event `Object Created`"));
        }
        if self.detail.bucket.name != bucket {
            return Err(Malformed::new(&self.detail.bucket.name, "the bucket of this lake"));
        }
        let key: LakeKey = self.detail.object.key.parse()?;
        let again = matches!(key, LakeKey::Activities { .. });
        let partition = key
            .partition()
            .ok_or_else(|| Malformed::new(&self.detail.object.key, "the key of a base object or an annotation"))?;
        Ok(Request { partition, again })
    }
}

/// What an event asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// The partition to work on.
    pub partition: Partition,
    /// Whether to work on it even if its result is there already: a base object that is announced, or announced again
    /// because somebody uploaded it again, says so. An annotation only says that an input has become ready.
    pub again: bool,
}

/// Handles each message of a batch on its own and reports the ones that failed, so that one bad message never fails
/// its neighbours and is redelivered, or moved to the dead-letter queue, alone.
///
/// `subject` says what a message is about; `handle` gets each subject of a batch once, however many messages name it.
/// A message that is not an event, or not about anything we know, fails too: the dead-letter queue keeps it for a person.
pub async fn each_subject<S, E, F>(
    batch: SqsEvent,
    subject: impl Fn(&ObjectCreated) -> Result<S, E>,
    mut handle: impl FnMut(S) -> F,
) -> SqsBatchResponse
where
    S: Clone + Ord,
    E: std::error::Error + 'static,
    F: Future<Output = Result<(), E>>,
{
    let mut outcomes: BTreeMap<S, bool> = BTreeMap::new();
    let mut response = SqsBatchResponse::default();
    for message in batch.records {
        let id = message.message_id.unwrap_or_default();
        let parsed = serde_json::from_str::<ObjectCreated>(message.body.as_deref().unwrap_or_default());
        let succeeded = match parsed.map(|event| (subject(&event), event)) {
            Err(error) => {
                tracing::error!(message_id = id, %error, "the message is not an Object Created event");
                false
            }
            Ok((Err(error), _)) => {
                tracing::error!(message_id = id, error = %chain(&error), "the event is not about this lake");
                false
            }
            Ok((Ok(subject), event)) => match outcomes.get(&subject) {
                Some(&succeeded) => succeeded,
                None => {
                    let outcome = handle(subject.clone()).await;
                    if let Err(error) = &outcome {
                        let key = &event.detail.object.key;
                        tracing::error!(message_id = id, key, error = %chain(error), "the message failed");
                    }
                    outcomes.insert(subject, outcome.is_ok());
                    outcome.is_ok()
                }
            },
        };
        if !succeeded {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            response.batch_item_failures.push(failure);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_asks_for_work_only_if_it_is_of_this_bucket_and_of_an_object_that_was_created() {
        let sha256 = "0".repeat(64);
        let key = format!("activities/date=2026-08-03/gen=20260804T060000Z/sha256={sha256}/activities.parquet");
        let event = ObjectCreated::new("aws.s3", "lake", &key, 1);
        assert!(event.request("lake").unwrap().again);
        assert!(event.request("another").unwrap_err().to_string().contains("the bucket of this lake"));
        let deleted = ObjectCreated { detail_type: "Object Deleted".to_owned(), ..event };
        assert!(deleted.request("lake").unwrap_err().to_string().contains("Object Created"));
    }
}
