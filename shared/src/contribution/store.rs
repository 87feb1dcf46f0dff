//! Contributions in DynamoDB. The table is a cache: everything in it can be folded from the lake again.
//!
//! | item | pk | sk |
//! | --- | --- | --- |
//! | contribution | `contribution#<logic>#<scope>` | `<day>#<generation>`, further parts `<day>#<generation>#<part>` |
//! | pointer | `pointer#<logic>` | `<day>` |
//!
//! Contributions are written whole, then the day's pointer moves, forward only. Readers take pointers and then exactly
//! the items they name, both with consistent reads: nobody sees half a day, and a stale worker changes nothing.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::{
    Client,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    primitives::Blob,
    types::{AttributeValue, KeysAndAttributes, PutRequest, WriteRequest},
};

use super::{Contribution, Extent, Scope};
use crate::{
    annotator::Logic,
    lake::{Partition, Sha256},
    time::{Generation, LocalDay, Malformed},
};

/// DynamoDB accepts items of 400 KB; a larger contribution is stored in parts.
const PART_BYTES: usize = 350_000;
const WRITES_PER_REQUEST: usize = 25;
const READS_PER_REQUEST: usize = 100;
/// Nearly always the first of them is the one; empty days at the end are rare.
const NEWEST_AT_ONCE: i32 = 8;
const ATTEMPTS: u32 = 8;

/// What can go wrong between a function and its table.
#[allow(missing_docs, reason = "the message of each variant names its fields")]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// DynamoDB refused or did not answer. Trying again may help.
    #[error("DynamoDB could not {action}: {reason}")]
    Storage { action: &'static str, reason: String },
    /// DynamoDB keeps leaving requests undone: it is throttling.
    #[error("DynamoDB left {0} requests undone after {ATTEMPTS} attempts; it is throttling")]
    Throttled(usize),
    /// An item is not what we write. The table is a cache: delete it and re-upload the partitions.
    #[error("the item {key} is damaged: {reason}")]
    Damaged { key: String, reason: String },
}

fn storage<E>(action: &'static str, error: SdkError<E>) -> StoreError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    StoreError::Storage { action, reason: DisplayErrorContext(error).to_string() }
}

/// Which generation of a day is current under a logic. The only thing in the table that is ever updated in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    /// The day and its current generation.
    pub partition: Partition,
    /// The base object that it was folded from.
    pub base: Sha256,
    /// All rows of the day.
    pub total: Extent,
}

/// One table, reached through the real DynamoDB protocol.
#[derive(Debug, Clone)]
pub struct ContributionStore {
    client: Client,
    table: String,
}

impl ContributionStore {
    /// The contributions in `table`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Writes a day's contributions whole, then moves its pointer unless that would be backwards. Returns whether the
    /// pointer now names this partition.
    pub async fn publish(
        &self,
        logic: &Logic,
        pointer: &Pointer,
        contributions: &BTreeMap<Scope, Contribution>,
    ) -> Result<bool, StoreError> {
        let mut items = Vec::new();
        for (scope, contribution) in contributions {
            items.extend(encode(logic, scope, pointer.partition, contribution)?);
        }
        for chunk in items.chunks(WRITES_PER_REQUEST) {
            self.write(chunk).await?;
        }
        self.point(logic, pointer).await
    }

    async fn write(&self, items: &[Item]) -> Result<(), StoreError> {
        let mut requests = Vec::new();
        for item in items {
            let put = PutRequest::builder().set_item(Some(item.clone())).build();
            let put = put.map_err(|error| StoreError::Storage { action: "write items", reason: error.to_string() })?;
            requests.push(WriteRequest::builder().put_request(put).build());
        }
        let mut undone = HashMap::from([(self.table.clone(), requests)]);
        for attempt in 0..ATTEMPTS {
            backoff(attempt).await;
            let write = self.client.batch_write_item().set_request_items(Some(undone)).send().await;
            undone = write.map_err(|error| storage("write items", error))?.unprocessed_items.unwrap_or_default();
            if undone.is_empty() {
                return Ok(());
            }
        }
        Err(StoreError::Throttled(undone.values().map(Vec::len).sum()))
    }

    async fn point(&self, logic: &Logic, pointer: &Pointer) -> Result<bool, StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("pk", text(pointer_pk(logic)))
            .item("sk", text(pointer.partition.day))
            .item("generation", text(pointer.partition.generation))
            .item("base", text(pointer.base))
            .item("total_rows", AttributeValue::N(pointer.total.rows.to_string()))
            .item("total_seconds", AttributeValue::N(pointer.total.seconds.to_string()))
            .condition_expression("attribute_not_exists(generation) OR generation <= :generation")
            .expression_attribute_values(":generation", text(pointer.partition.generation))
            .send()
            .await;
        match put {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => Ok(false),
            Err(error) => Err(storage("move a pointer", error)),
        }
    }

    /// The pointers of a logic from `from` to `to`, both included, in day order.
    pub async fn pointers(&self, logic: &Logic, from: LocalDay, to: LocalDay) -> Result<Vec<Pointer>, StoreError> {
        if from > to {
            return Ok(Vec::new());
        }
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        let query = query.key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to");
        let query = query
            .expression_attribute_values(":pk", text(pointer_pk(logic)))
            .expression_attribute_values(":from", text(from))
            .expression_attribute_values(":to", text(to));
        let mut pages = query.into_paginator().send();
        let mut pointers = Vec::new();
        while let Some(page) = pages.next().await {
            for item in page.map_err(|error| storage("read pointers", error))?.items() {
                pointers.push(decode_pointer(item)?);
            }
        }
        Ok(pointers)
    }

    /// The pointer of the newest day that has rows, if any has under `logic`. A day that lost its rows, such as one that
    /// a typing mistake put in the far future, is no longer one of those.
    pub async fn newest(&self, logic: &Logic) -> Result<Option<Pointer>, StoreError> {
        let query = self.client.query().table_name(&self.table).consistent_read(true).scan_index_forward(false);
        let query = query.key_condition_expression("pk = :pk");
        let query = query.expression_attribute_values(":pk", text(pointer_pk(logic))).limit(NEWEST_AT_ONCE);
        let mut pages = query.into_paginator().send();
        while let Some(page) = pages.next().await {
            for item in page.map_err(|error| storage("read the newest pointer", error))?.items() {
                let pointer = decode_pointer(item)?;
                if pointer.total.rows > 0 {
                    return Ok(Some(pointer));
                }
            }
        }
        Ok(None)
    }

    /// The contributions of one scope to the partitions that `pointers` name, by day. A day on which the scope has no
    /// rows is not in the answer.
    pub async fn contributions(
        &self,
        logic: &Logic,
        scope: &Scope,
        pointers: &[Pointer],
    ) -> Result<BTreeMap<LocalDay, Contribution>, StoreError> {
        let pk = contribution_pk(logic, scope);
        let first_parts = pointers.iter().map(|pointer| part_sk(pointer.partition, 0)).collect();
        let mut items = self.read(&pk, first_parts).await?;
        let further =
            items.iter().flat_map(|(sk, item)| (1..part_count(item)).map(move |part| format!("{sk}#{part:04}")));
        let further = further.collect();
        items.extend(self.read(&pk, further).await?);
        let mut contributions = BTreeMap::new();
        for pointer in pointers {
            let sk = part_sk(pointer.partition, 0);
            let Some(first) = items.get(&sk) else { continue };
            contributions.insert(pointer.partition.day, decode(&pk, pointer.partition, part_count(first), &items)?);
        }
        Ok(contributions)
    }

    async fn read(&self, pk: &str, sks: Vec<String>) -> Result<HashMap<String, Item>, StoreError> {
        let mut found = HashMap::new();
        for chunk in sks.chunks(READS_PER_REQUEST) {
            let keys = chunk.iter().map(|sk| HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))]));
            let keys = KeysAndAttributes::builder().consistent_read(true).set_keys(Some(keys.collect())).build();
            let keys = keys.map_err(|error| StoreError::Storage { action: "read items", reason: error.to_string() })?;
            let mut undone = HashMap::from([(self.table.clone(), keys)]);
            let mut attempt = 0;
            while !undone.is_empty() {
                if attempt == ATTEMPTS {
                    return Err(StoreError::Throttled(undone.values().map(|keys| keys.keys().len()).sum()));
                }
                backoff(attempt).await;
                let read = self.client.batch_get_item().set_request_items(Some(undone)).send().await;
                let read = read.map_err(|error| storage("read items", error))?;
                let before = found.len();
                for item in read.responses.unwrap_or_default().into_values().flatten() {
                    if let Some(Ok(sk)) = item.get("sk").map(AttributeValue::as_s) {
                        found.insert(sk.clone(), item);
                    }
                }
                undone = read.unprocessed_keys.unwrap_or_default();
                // A page that ends at its size limit is progress, not throttling.
                attempt = if found.len() > before { 0 } else { attempt + 1 };
            }
        }
        Ok(found)
    }
}

type Item = HashMap<String, AttributeValue>;

fn text(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

fn pointer_pk(logic: &Logic) -> String {
    format!("pointer#{logic}")
}

fn contribution_pk(logic: &Logic, scope: &Scope) -> String {
    format!("contribution#{logic}#{scope}")
}

fn part_sk(partition: Partition, part: usize) -> String {
    let first = format!("{}#{}", partition.day, partition.generation);
    if part == 0 { first } else { format!("{first}#{part:04}") }
}

async fn backoff(attempt: u32) {
    if attempt > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(25 << attempt)).await;
    }
}

/// JSON, compressed: contributions are many small numbers under few names, and DynamoDB charges by the kilobyte.
fn encode(
    logic: &Logic,
    scope: &Scope,
    partition: Partition,
    contribution: &Contribution,
) -> Result<Vec<Item>, StoreError> {
    let pk = contribution_pk(logic, scope);
    let damaged = |reason: String| StoreError::Damaged { key: pk.clone(), reason };
    let json = serde_json::to_vec(contribution).map_err(|error| damaged(error.to_string()))?;
    let body = zstd::bulk::compress(&json, 3).map_err(|error| damaged(error.to_string()))?;
    let parts = body.chunks(PART_BYTES);
    let count = parts.len();
    let item = |(part, bytes): (usize, &[u8])| {
        HashMap::from([
            ("pk".to_owned(), text(&pk)),
            ("sk".to_owned(), text(part_sk(partition, part))),
            ("parts".to_owned(), AttributeValue::N(count.to_string())),
            ("body".to_owned(), AttributeValue::B(Blob::new(bytes))),
        ])
    };
    Ok(parts.enumerate().map(item).collect())
}

fn part_count(item: &Item) -> usize {
    item.get("parts").and_then(|parts| parts.as_n().ok()?.parse().ok()).unwrap_or(1)
}

fn decode(
    pk: &str,
    partition: Partition,
    parts: usize,
    items: &HashMap<String, Item>,
) -> Result<Contribution, StoreError> {
    let damaged = |reason: String| StoreError::Damaged { key: format!("{pk} {partition}"), reason };
    let mut body = Vec::new();
    for part in 0..parts {
        let item = items.get(&part_sk(partition, part)).and_then(|item| item.get("body")?.as_b().ok());
        body.extend_from_slice(item.ok_or_else(|| damaged(format!("part {part} of {parts} is missing")))?.as_ref());
    }
    let json = zstd::stream::decode_all(&*body).map_err(|error| damaged(error.to_string()))?;
    serde_json::from_slice(&json).map_err(|error| damaged(error.to_string()))
}

fn decode_pointer(item: &Item) -> Result<Pointer, StoreError> {
    let attribute = |name: &str| -> Result<&str, StoreError> {
        let value = item.get(name).and_then(|value| value.as_s().or_else(|_| value.as_n()).ok());
        value.map(String::as_str).ok_or_else(|| pointer_damaged(item, format!("it has no {name}")))
    };
    let malformed = |error: Malformed| pointer_damaged(item, error.to_string());
    let number = |name: &str| -> Result<i64, StoreError> {
        attribute(name)?.parse().map_err(|_| pointer_damaged(item, format!("{name} is no number")))
    };
    Ok(Pointer {
        partition: Partition {
            day: attribute("sk")?.parse::<LocalDay>().map_err(malformed)?,
            generation: attribute("generation")?.parse::<Generation>().map_err(malformed)?,
        },
        base: attribute("base")?.parse().map_err(malformed)?,
        total: Extent { rows: number("total_rows")?, seconds: number("total_seconds")? },
    })
}

fn pointer_damaged(item: &Item, reason: String) -> StoreError {
    let part = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
    StoreError::Damaged { key: format!("{} {}", part("pk"), part("sk")), reason }
}
