//! Contributions in DynamoDB. The table is a cache: everything in it can be folded from the lake again.
//!
//! | item | pk | sk |
//! | --- | --- | --- |
//! | contribution | `contribution#<logic>#<scope>` | `<day>#<generation>`, further parts `<day>#<generation>#<part>` |
//! | generation | `generations#<logic>` | `<day>#<generation>` |
//! | pointer | `pointer#<logic>` | `<day>` |
//! | logic | `logics` | `<logic>` |
//!
//! Contributions are written whole, then the generation is listed, then the day's pointer moves, forward only. Readers take pointers and then exactly
//! the items they name, both with consistent reads: nobody sees half a day, and a stale worker changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    primitives::Blob,
    types::{AttributeValue, DeleteRequest, KeysAndAttributes, PutRequest, WriteRequest},
};

use super::{Contribution, Extent, LogicRecord, Scope};
use crate::{
    annotator::Logic,
    lake::{Partition, Sha256},
    telemetry::said,
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
    StoreError::Storage { action, reason: said(&error) }
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
    /// Which of [`Register::evidence_columns`](crate::annotator::Register::evidence_columns) are true of a row of the day.
    pub evidence: BTreeSet<String>,
}

/// A day as it is shown: by which logic, and at which generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The logic.
    pub logic: Arc<LogicRecord>,
    /// What it says of the day.
    pub pointer: Pointer,
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

    /// Writes a day's contributions whole, lists the generation, then moves the day's pointer unless that would be
    /// backwards. Returns whether the pointer now names this partition; what is superseded stays listed and readable.
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
        let mut listed = day_item(pointer);
        listed.insert("pk".to_owned(), text(generations_pk(logic)));
        listed.insert("sk".to_owned(), text(part_sk(pointer.partition, 0)));
        self.write(&[listed]).await?;
        self.point(logic, pointer).await
    }

    async fn write(&self, items: &[Item]) -> Result<(), StoreError> {
        let mut requests = Vec::new();
        for item in items {
            let put = PutRequest::builder().set_item(Some(item.clone())).build();
            let put = put.map_err(|error| StoreError::Storage { action: "write items", reason: error.to_string() })?;
            requests.push(WriteRequest::builder().put_request(put).build());
        }
        self.request(requests).await
    }

    async fn request(&self, requests: Vec<WriteRequest>) -> Result<(), StoreError> {
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
            .set_item(Some(day_item(pointer)))
            .item("pk", text(pointer_pk(logic)))
            .item("sk", text(pointer.partition.day))
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
        self.between(pointer_pk(logic), from.to_string(), to.to_string()).await
    }

    /// Every generation that was folded under a logic of the days from `from` to `to`, both included, by day and then
    /// oldest first.
    pub async fn generations(&self, logic: &Logic, from: LocalDay, to: LocalDay) -> Result<Vec<Pointer>, StoreError> {
        if from > to {
            return Ok(Vec::new());
        }
        // `~` comes after every character of a generation.
        self.between(generations_pk(logic), from.to_string(), format!("{to}#~")).await
    }

    async fn between(&self, pk: String, from: String, to: String) -> Result<Vec<Pointer>, StoreError> {
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        let query = query.key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to");
        let query = query
            .expression_attribute_values(":pk", text(pk))
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

    /// Forgets what was folded of some partitions, under whichever logic: first that it was, so that nobody begins to read
    /// it; after `readers_left`, by when whoever had begun has ended, the contributions. Says how many items there were. No
    /// pointer may name any of them. It reads the keys of the whole table.
    pub async fn forget(
        &self,
        partitions: &BTreeSet<Partition>,
        readers_left: impl Future<Output = ()>,
    ) -> Result<usize, StoreError> {
        let scan = self.client.scan().table_name(&self.table).consistent_read(true).projection_expression("pk, sk");
        let mut pages = scan.into_paginator().send();
        let (mut listed, mut contributions) = (Vec::new(), Vec::new());
        while let Some(page) = pages.next().await {
            for item in page.map_err(|error| storage("read every key", error))?.items.unwrap_or_default() {
                let part = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).map_or("", String::as_str);
                let (pk, sk) = (part("pk"), part("sk"));
                let keys = if pk.starts_with(GENERATIONS) {
                    &mut listed
                } else if pk.starts_with(CONTRIBUTION) {
                    &mut contributions
                } else {
                    continue;
                };
                let mut words = sk.split('#');
                let partition = words.next().zip(words.next()).and_then(|(day, generation)| {
                    Some(Partition { day: day.parse().ok()?, generation: generation.parse().ok()? })
                });
                if partition.is_some_and(|partition| partitions.contains(&partition)) {
                    keys.push(item);
                }
            }
        }
        self.delete(&listed).await?;
        readers_left.await;
        self.delete(&contributions).await?;
        Ok(listed.len() + contributions.len())
    }

    async fn delete(&self, keys: &[Item]) -> Result<(), StoreError> {
        for chunk in keys.chunks(WRITES_PER_REQUEST) {
            let delete = |key: &Item| {
                let delete = DeleteRequest::builder().set_key(Some(key.clone())).build();
                Ok(WriteRequest::builder().delete_request(delete?).build())
            };
            let requests: Result<_, aws_sdk_dynamodb::error::BuildError> = chunk.iter().map(delete).collect();
            let requests =
                requests.map_err(|e| StoreError::Storage { action: "delete items", reason: e.to_string() })?;
            self.request(requests).await?;
        }
        Ok(())
    }

    /// Keeps what a logic is, unless that is known already.
    pub async fn record_logic(&self, record: &LogicRecord) -> Result<(), StoreError> {
        let key = format!("{LOGICS} {}", record.logic);
        let json = serde_json::to_string(record).map_err(|e| StoreError::Damaged { key, reason: e.to_string() })?;
        let put = self.client.put_item().table_name(&self.table).condition_expression("attribute_not_exists(pk)");
        let put = put.item("pk", text(LOGICS)).item("sk", text(&record.logic)).item("record", text(json));
        match put.item("first_seen", text(record.first_seen.to_rfc3339())).send().await {
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => Ok(()),
            outcome => outcome.map(|_| ()).map_err(|error| storage("record a logic", error)),
        }
    }

    /// Every logic that anything was ever folded by here, in no order.
    pub async fn logics(&self) -> Result<Vec<LogicRecord>, StoreError> {
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        let query = query.key_condition_expression("pk = :pk").expression_attribute_values(":pk", text(LOGICS));
        let mut pages = query.into_paginator().send();
        let mut records = Vec::new();
        while let Some(page) = pages.next().await {
            for item in page.map_err(|error| storage("read the logics", error))?.items() {
                let json = item.get("record").and_then(|record| record.as_s().ok()).map_or("", String::as_str);
                let record = serde_json::from_str(json);
                records.push(record.map_err(|error| pointer_damaged(item, error.to_string()))?);
            }
        }
        Ok(records)
    }

    /// Each day from `from` to `to`, both included, under the first logic of `order` that has it, in day order. With
    /// `as_of`, only generations up to then count. A further logic is asked for only while days are missing, and only
    /// from the first of them to the last.
    pub async fn shown(
        &self,
        order: &[Arc<LogicRecord>],
        from: LocalDay,
        to: LocalDay,
        as_of: Option<Generation>,
    ) -> Result<Vec<Shown>, StoreError> {
        let (mut first, mut last) = (from, to);
        let mut shown: BTreeMap<LocalDay, Shown> = BTreeMap::new();
        for logic in order {
            while first <= last && shown.contains_key(&first) {
                first = first.plus(1);
            }
            while first < last && shown.contains_key(&last) {
                last = last.plus(-1);
            }
            let mut own: BTreeMap<LocalDay, Pointer> = BTreeMap::new();
            let pointers = match as_of {
                _ if first > last => break,
                None => self.pointers(&logic.logic, first, last).await?,
                Some(_) => self.generations(&logic.logic, first, last).await?,
            };
            // The last one of a day is its newest.
            let then = |pointer: &Pointer| as_of.is_none_or(|as_of| pointer.partition.generation <= as_of);
            own.extend(pointers.into_iter().filter(then).map(|pointer| (pointer.partition.day, pointer)));
            for (day, pointer) in own {
                shown.entry(day).or_insert_with(|| Shown { logic: logic.clone(), pointer });
            }
        }
        Ok(shown.into_values().collect())
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

fn generations_pk(logic: &Logic) -> String {
    format!("{GENERATIONS}{logic}")
}

const GENERATIONS: &str = "generations#";
const CONTRIBUTION: &str = "contribution#";

const LOGICS: &str = "logics";

/// What is kept of a day at a generation, besides its key.
fn day_item(pointer: &Pointer) -> Item {
    let number = |number: i64| AttributeValue::N(number.to_string());
    let attributes = [
        ("generation", text(pointer.partition.generation)),
        ("base", text(pointer.base)),
        ("total_rows", number(pointer.total.rows)),
        ("total_seconds", number(pointer.total.seconds)),
        ("evidence", AttributeValue::L(pointer.evidence.iter().map(text).collect())),
    ];
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn contribution_pk(logic: &Logic, scope: &Scope) -> String {
    format!("{CONTRIBUTION}{logic}#{scope}")
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
    let evidence = item.get("evidence").and_then(|value| value.as_l().ok()).map(Vec::as_slice).unwrap_or_default();
    Ok(Pointer {
        evidence: evidence.iter().filter_map(|column| column.as_s().ok().cloned()).collect(),
        partition: Partition {
            day: attribute("sk")?.split('#').next().unwrap_or_default().parse::<LocalDay>().map_err(malformed)?,
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
