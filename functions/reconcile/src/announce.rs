//! Announcing objects on the account's default event bus, as S3 does.

use std::time::Duration;

use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};
use shared::{event::OBJECT_CREATED, lake::LakeKey, telemetry::said};

/// Who announces. The rules of `template.yaml` listen to it as they listen to S3.
const SOURCE: &str = "wastewalk";
/// `PutEvents` takes no more at once.
const ENTRIES_PER_REQUEST: usize = 10;
const ATTEMPTS: u32 = 4;

/// What became of a number of events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Announced {
    /// Events that EventBridge took.
    pub(crate) taken: usize,
    /// Why it did not take the first of those that it did not take.
    pub(crate) refused: Option<String>,
}

/// The default bus.
#[derive(Debug, Clone)]
pub(crate) struct EventBridge {
    client: Client,
}

impl EventBridge {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Announces each object of `bucket`. What EventBridge refuses is tried again a few times; one that it refuses for
    /// good keeps none of the others back.
    pub(crate) async fn announce(&self, bucket: &str, keys: &[LakeKey]) -> Announced {
        let details = keys
            .iter()
            .map(|key| serde_json::json!({"bucket": {"name": bucket}, "object": {"key": key.to_string()}}).to_string());
        in_batches(details.collect(), async |details| self.put(details).await).await
    }

    /// One request. For each event, in their order, the reason why it was not taken.
    async fn put(&self, details: &[String]) -> Result<Vec<Option<String>>, String> {
        let entry = |detail: &String| {
            PutEventsRequestEntry::builder().source(SOURCE).detail_type(OBJECT_CREATED).detail(detail).build()
        };
        let put = self.client.put_events().set_entries(Some(details.iter().map(entry).collect())).send().await;
        let put = put.map_err(|error| said(&error))?;
        let refused = put.entries().iter().map(|entry| {
            let code = entry.error_code()?;
            Some(format!("{code}: {}", entry.error_message().unwrap_or_default()))
        });
        Ok(refused.collect())
    }
}

async fn in_batches(
    details: Vec<String>,
    put: impl AsyncFn(&[String]) -> Result<Vec<Option<String>>, String>,
) -> Announced {
    let mut announced = Announced::default();
    for batch in details.chunks(ENTRIES_PER_REQUEST) {
        let mut left = batch.to_vec();
        let mut refused = None;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
            }
            let outcomes = match put(&left).await {
                Ok(outcomes) => outcomes,
                Err(reason) => {
                    // The SDK has repeated the request already: whoever refuses it whole will refuse the others too.
                    announced.refused.get_or_insert(reason);
                    return announced;
                }
            };
            refused = outcomes.iter().flatten().next().cloned();
            let before = left.len();
            let mut outcomes = outcomes.into_iter();
            left.retain(|_| outcomes.next().flatten().is_some());
            announced.taken += before - left.len();
            if left.is_empty() {
                break;
            }
        }
        announced.refused = announced.refused.or(refused);
    }
    announced
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::BTreeMap};

    use super::*;

    fn details(count: usize) -> Vec<String> {
        (0..count).map(|number| number.to_string()).collect()
    }

    #[tokio::test]
    async fn what_is_refused_is_tried_again_alone_and_what_stays_refused_is_told() {
        let tries = RefCell::new(BTreeMap::new());
        let sizes = RefCell::new(Vec::new());
        let announced = in_batches(details(23), async |batch: &[String]| {
            sizes.borrow_mut().push(batch.len());
            let outcome = |detail: &String| {
                let mut tries = tries.borrow_mut();
                let tries = tries.entry(detail.clone()).or_insert(0);
                *tries += 1;
                // 3 is taken at the third try, 14 never.
                let refused = (detail == "3" && *tries < 3) || detail == "14";
                refused.then(|| format!("ThrottlingException: {detail}"))
            };
            Ok(batch.iter().map(outcome).collect())
        });
        let announced = announced.await;
        assert_eq!(announced, Announced { taken: 22, refused: Some("ThrottlingException: 14".to_owned()) });
        assert_eq!(*sizes.borrow(), [10, 1, 1, 10, 1, 1, 1, 3]);
        assert_eq!((tries.borrow()["3"], tries.borrow()["14"], tries.borrow()["0"]), (3, 4, 1));
    }

    #[tokio::test]
    async fn a_bus_that_refuses_a_request_whole_is_not_asked_again() {
        let requests = RefCell::new(0);
        let announced = in_batches(details(30), async |batch: &[String]| {
            *requests.borrow_mut() += 1;
            if *requests.borrow() == 2 { Err("AccessDenied".to_owned()) } else { Ok(vec![None; batch.len()]) }
        });
        assert_eq!(announced.await, Announced { taken: 10, refused: Some("AccessDenied".to_owned()) });
        assert_eq!(*requests.borrow(), 2);
    }

    #[tokio::test]
    async fn nothing_undone_asks_nobody() {
        let announced = in_batches(Vec::new(), async |_: &[String]| Err("asked".to_owned()));
        assert_eq!(announced.await, Announced::default());
    }
}
