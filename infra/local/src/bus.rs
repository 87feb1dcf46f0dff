//! EventBridge and SQS in process: rules route events to queues, queues hand batches to functions, and what fails comes
//! again until it goes to the dead letters.
//!
//! The rules, batch sizes, concurrency and number of tries are the template's. Only waiting is shorter than on AWS: no
//! batching window, and a failed message comes again after a moment instead of a visibility timeout. Nothing here
//! outlives the process; what a lost process left undone is found by reconciling, as after a lost event.

use std::{
    collections::{BTreeMap, VecDeque},
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use chrono::{SecondsFormat, Utc};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use shared::event::ObjectCreated;
use tokio::sync::{mpsc::UnboundedReceiver, watch};

use crate::template::{Consumer, Rule, Template};

/// A function: takes a batch, names the messages that failed, or fails whole.
pub type Handler = Arc<dyn Fn(SqsEvent) -> BoxFuture<'static, Result<SqsBatchResponse, String>> + Send + Sync>;

/// AWS shows its own account and region in events; this is neither.
const ACCOUNT: &str = "000000000000";
const REGION: &str = "local";

/// A function of the template has no handler.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template.yaml has a function {0} that the local stack does not know; add its handler")]
pub struct NoHandler(String);

/// What only the local bus has to decide.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Batches of one function at once at most, where the template allows more.
    pub workers: usize,
    /// A message that failed comes again after this, times the tries it has had.
    pub redelivery_delay: Duration,
}

impl Default for Settings {
    /// As many workers as the machine has processors, and 200 ms.
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            redelivery_delay: Duration::from_millis(200),
        }
    }
}

/// What EventBridge and SQS may do to events, on purpose. The same seed gives the same decisions for the same events in
/// the same order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Faults {
    /// Of the random decisions.
    pub seed: u64,
    /// Of 100 deliveries to a queue, how many are lost.
    pub lost_percent: u8,
    /// Of 100 deliveries to a queue, how many come twice.
    pub duplicate_percent: u8,
    /// Each delivery waits a random part of this, so that later ones overtake it.
    pub delay_up_to: Duration,
    /// Whether a queue hands out its messages in random order.
    pub shuffle: bool,
}

/// How often a fault happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaultCounts {
    /// Deliveries that were lost.
    pub lost: u64,
    /// Deliveries that came twice.
    pub duplicated: u64,
}

/// A message that failed as often as the template allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The logical id of the queue that it was in.
    pub queue: String,
    /// The event, as JSON.
    pub body: String,
    /// How often its function got it.
    pub receives: u32,
}

/// The bus. Clones are the same bus.
#[derive(Clone)]
pub struct Bus {
    shared: Arc<Shared>,
}

struct Shared {
    rules: Vec<Rule>,
    queues: BTreeMap<String, Queue>,
    redelivery_delay: Duration,
    /// Messages that are queued, delayed or being worked on.
    outstanding: watch::Sender<usize>,
    numbers: AtomicU64,
    dead_letters: Mutex<Vec<DeadLetter>>,
    faults: Mutex<Option<FaultState>>,
    sources: Mutex<Vec<UnboundedReceiver<ObjectCreated>>>,
}

struct Queue {
    consumer: Consumer,
    handler: Handler,
    concurrency: usize,
    state: Mutex<QueueState>,
}

#[derive(Default)]
struct QueueState {
    waiting: VecDeque<Message>,
    batches: usize,
}

#[derive(Clone)]
struct Message {
    id: String,
    body: Arc<str>,
    sent: i64,
    receives: u32,
}

impl Bus {
    /// A bus with the rules and queues of `template`, whose functions are `handlers` by the name of their binary.
    ///
    /// # Errors
    /// If a function that reads a queue has no handler.
    pub fn new(
        template: &Template,
        handlers: BTreeMap<String, Handler>,
        settings: Settings,
    ) -> Result<Self, NoHandler> {
        let queue = |consumer: &Consumer| {
            let handler = handlers.get(&consumer.binary).cloned();
            let queue = Queue {
                handler: handler.ok_or_else(|| NoHandler(consumer.binary.clone()))?,
                concurrency: consumer.max_concurrency.min(settings.workers).max(1),
                consumer: consumer.clone(),
                state: Mutex::default(),
            };
            Ok((consumer.queue.logical_id.clone(), queue))
        };
        Ok(Self {
            shared: Arc::new(Shared {
                rules: template.rules.clone(),
                queues: template.consumers.iter().map(queue).collect::<Result<_, _>>()?,
                redelivery_delay: settings.redelivery_delay,
                outstanding: watch::Sender::new(0),
                numbers: AtomicU64::new(0),
                dead_letters: Mutex::default(),
                faults: Mutex::default(),
                sources: Mutex::default(),
            }),
        })
    }

    /// The same bus, from now on with `faults`.
    pub fn with_faults(self, faults: Faults) -> Self {
        *lock(&self.shared.faults) = Some(FaultState { random: faults.seed, counts: FaultCounts::default(), faults });
        self
    }

    /// How many faults there were.
    pub fn fault_counts(&self) -> FaultCounts {
        lock(&self.shared.faults).as_ref().map(|state| state.counts).unwrap_or_default()
    }

    /// Publishes what comes out of `events`, from now on. [`Bus::idle`] counts an event from the moment it was sent into
    /// that channel; what goes to the bus by way of another one is unknown to it until it is published.
    ///
    /// Must be called within a Tokio runtime.
    pub fn listen(&self, events: UnboundedReceiver<ObjectCreated>) {
        let index = {
            let mut sources = lock(&self.shared.sources);
            sources.push(events);
            sources.len() - 1
        };
        let bus = self.clone();
        tokio::spawn(poll_fn(move |context| {
            // Taking an event and publishing it are one step to whoever holds this lock.
            let mut sources = lock(&bus.shared.sources);
            loop {
                match sources[index].poll_recv(context) {
                    Poll::Ready(Some(event)) => bus.publish(&event),
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        }));
    }

    /// Routes an event to every queue whose rules take it.
    ///
    /// Must be called within a Tokio runtime.
    pub fn publish(&self, event: &ObjectCreated) {
        let event = self.envelope(event);
        let body: Arc<str> = event.to_string().into();
        for rule in self.shared.rules.iter().filter(|rule| rule.pattern.matches(&event)) {
            for queue in &rule.queues {
                self.deliver(queue, &body);
            }
        }
    }

    /// Resolves when no message is queued, delayed or being worked on, and none waits in a channel of [`Bus::listen`].
    /// Dead letters are done with.
    pub async fn idle(&self) {
        let mut outstanding = self.shared.outstanding.subscribe();
        while !self.is_idle() {
            // An error would mean that the sender is gone, but it lives in `self`.
            let _ = outstanding.wait_for(|&messages| messages == 0).await;
        }
    }

    fn is_idle(&self) -> bool {
        // While this lock is held no event is between its channel and its queues.
        let mut sources = lock(&self.shared.sources);
        for source in sources.iter_mut() {
            while let Ok(event) = source.try_recv() {
                self.publish(&event);
            }
        }
        // The order matters: what a function wrote was announced before it answered, so once nothing is outstanding
        // whatever may follow is in a channel.
        *self.shared.outstanding.borrow() == 0 && sources.iter().all(UnboundedReceiver::is_empty)
    }

    /// What failed for good, oldest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        lock(&self.shared.dead_letters).clone()
    }

    /// The event as EventBridge writes it.
    /// Source: Amazon S3 user guide, "EventBridge event message structure".
    fn envelope(&self, event: &ObjectCreated) -> Value {
        let ObjectCreated { source, detail_type, detail } = event;
        let number = self.number();
        json!({
            "version": "0",
            "id": uuid(number),
            "detail-type": detail_type,
            "source": source,
            "account": ACCOUNT,
            "time": Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
            "region": REGION,
            "resources": [format!("arn:aws:s3:::{}", detail.bucket.name)],
            "detail": {
                "version": "0",
                "bucket": detail.bucket,
                "object": detail.object,
                "request-id": format!("{number:016X}"),
                "requester": ACCOUNT,
                "reason": "PutObject",
            },
        })
    }

    fn deliver(&self, queue: &str, body: &Arc<str>) {
        let delays = match &mut *lock(&self.shared.faults) {
            Some(state) => state.delivery(),
            None => vec![Duration::ZERO],
        };
        for delay in delays {
            let message = Message {
                id: uuid(self.number()),
                body: body.clone(),
                sent: Utc::now().timestamp_millis(),
                receives: 0,
            };
            self.shared.outstanding.send_modify(|messages| *messages += 1);
            self.enqueue_after(delay, queue.to_owned(), message);
        }
    }

    fn enqueue_after(&self, delay: Duration, queue: String, message: Message) {
        if delay.is_zero() {
            return self.enqueue(&queue, message);
        }
        let bus = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            bus.enqueue(&queue, message);
        });
    }

    fn enqueue(&self, name: &str, message: Message) {
        if let Some(queue) = self.shared.queues.get(name) {
            lock(&queue.state).waiting.push_back(message);
            self.hand_out(name, queue);
        }
    }

    /// Starts as many batches as the queue has messages and may have at once.
    fn hand_out(&self, name: &str, queue: &Queue) {
        while let Some(batch) = self.next_batch(queue) {
            let (bus, name) = (self.clone(), name.to_owned());
            tokio::spawn(async move { bus.work(&name, batch).await });
        }
    }

    fn next_batch(&self, queue: &Queue) -> Option<Vec<Message>> {
        let mut state = lock(&queue.state);
        if state.batches == queue.concurrency || state.waiting.is_empty() {
            return None;
        }
        state.batches += 1;
        let mut batch = Vec::new();
        let mut faults = lock(&self.shared.faults);
        while batch.len() < queue.consumer.batch_size {
            let next = match &mut *faults {
                Some(faults) if faults.faults.shuffle && !state.waiting.is_empty() => {
                    faults.below(state.waiting.len() as u64) as usize
                }
                _ => 0,
            };
            match state.waiting.remove(next) {
                Some(mut message) => {
                    message.receives += 1;
                    batch.push(message);
                }
                None => break,
            }
        }
        Some(batch)
    }

    async fn work(&self, name: &str, batch: Vec<Message>) {
        let Some(queue) = self.shared.queues.get(name) else { return };
        let failed = failed(queue, &batch).await;
        for message in batch {
            if !failed.contains(&message.id) {
                self.done();
            } else if message.receives < queue.consumer.queue.max_receives {
                let delay = self.shared.redelivery_delay * message.receives;
                self.enqueue_after(delay, name.to_owned(), message);
            } else {
                tracing::error!(queue = name, receives = message.receives, "a message went to the dead letters");
                lock(&self.shared.dead_letters).push(DeadLetter {
                    queue: name.to_owned(),
                    body: message.body.to_string(),
                    receives: message.receives,
                });
                self.done();
            }
        }
        lock(&queue.state).batches -= 1;
        self.hand_out(name, queue);
    }

    fn done(&self) {
        self.shared.outstanding.send_modify(|messages| *messages -= 1);
    }

    fn number(&self) -> u64 {
        self.shared.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

/// Calls the function and says which messages of the batch failed.
async fn failed(queue: &Queue, batch: &[Message]) -> Vec<String> {
    let all = || batch.iter().map(|message| message.id.clone()).collect();
    let mut event = SqsEvent::default();
    event.records = batch.iter().map(|message| record(queue, message)).collect();
    let (handler, function) = (queue.handler.clone(), &queue.consumer.binary);
    // In a task of its own, so that a panic is the batch's failure and not ours.
    match tokio::spawn(async move { handler(event).await }).await {
        Ok(Ok(_)) if !queue.consumer.partial_batches => Vec::new(),
        Ok(Ok(response)) => {
            let failed: Vec<_> = response.batch_item_failures.into_iter().map(|item| item.item_identifier).collect();
            let known = |id: &String| batch.iter().any(|message| message.id == *id);
            if failed.iter().all(known) {
                return failed;
            }
            // As on AWS: a failure that names no message of the batch fails them all.
            tracing::error!(function, "the function reported a message that it was not given");
            all()
        }
        Ok(Err(error)) => {
            tracing::error!(function, error, "the function failed");
            all()
        }
        Err(error) => {
            tracing::error!(function, %error, "the function ended without an answer");
            all()
        }
    }
}

fn record(queue: &Queue, message: &Message) -> SqsMessage {
    let mut record = SqsMessage::default();
    record.message_id = Some(message.id.clone());
    record.receipt_handle = Some(format!("{}#{}", message.id, message.receives));
    record.body = Some(message.body.to_string());
    record.attributes =
        [("ApproximateReceiveCount", message.receives.to_string()), ("SentTimestamp", message.sent.to_string())]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
    record.event_source = Some("aws:sqs".to_owned());
    record.event_source_arn = Some(format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{}", queue.consumer.queue.logical_id));
    record.aws_region = Some(REGION.to_owned());
    record
}

/// Unique within the process, in the form that AWS uses.
fn uuid(number: u64) -> String {
    let milliseconds = Utc::now().timestamp_millis().unsigned_abs();
    format!(
        "{:08x}-{:04x}-7000-8000-{:012x}",
        milliseconds >> 16 & 0xffff_ffff,
        milliseconds & 0xffff,
        number & 0xffff_ffff_ffff
    )
}

/// Everything under these locks is whole between two statements, so a panic elsewhere leaves it usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct FaultState {
    faults: Faults,
    random: u64,
    counts: FaultCounts,
}

impl FaultState {
    /// When each copy of a delivery arrives; none if it is lost.
    fn delivery(&mut self) -> Vec<Duration> {
        if self.below(100) < u64::from(self.faults.lost_percent) {
            self.counts.lost += 1;
            return Vec::new();
        }
        let mut delays = vec![self.delay()];
        if self.below(100) < u64::from(self.faults.duplicate_percent) {
            self.counts.duplicated += 1;
            delays.push(self.delay());
        }
        delays
    }

    fn delay(&mut self) -> Duration {
        let limit = u64::try_from(self.faults.delay_up_to.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.below(limit.saturating_add(1)))
    }

    /// A number below `limit`, which is above 0. SplitMix64; the tiny bias of the remainder does not matter here.
    fn below(&mut self, limit: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use aws_lambda_events::sqs::BatchItemFailure;
    use shared::event::each_subject;
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

    use super::*;
    use crate::stack::FUNCTIONS;

    const BUCKET: &str = "the-lake";

    /// What a function saw: the receive count and the key of each message, in batches.
    type Seen = Arc<Mutex<Vec<Vec<(u32, String)>>>>;

    fn settings() -> Settings {
        Settings { workers: 2, redelivery_delay: Duration::from_millis(1) }
    }

    fn base(number: usize) -> ObjectCreated {
        ObjectCreated::new("aws.s3", BUCKET, &format!("activities/{number}/activities.parquet"), 7)
    }

    fn key(message: &SqsMessage) -> String {
        let event: ObjectCreated = serde_json::from_str(message.body.as_deref().unwrap()).unwrap();
        event.detail.object.key
    }

    /// Handlers that succeed, and for aggregate one that does what `outcome` says of each batch.
    fn handlers(
        outcome: impl Fn(&SqsEvent) -> Result<SqsBatchResponse, String> + Send + Sync + 'static,
    ) -> (Seen, BTreeMap<String, Handler>) {
        let seen = Seen::default();
        let kept = seen.clone();
        let mut handlers: BTreeMap<String, Handler> = BTreeMap::new();
        for function in FUNCTIONS {
            handlers.insert(function.into(), Arc::new(|_| Box::pin(async { Ok(SqsBatchResponse::default()) })));
        }
        let outcome = Arc::new(outcome);
        let aggregate: Handler = Arc::new(move |event: SqsEvent| {
            let receives = |message: &SqsMessage| message.attributes["ApproximateReceiveCount"].parse().unwrap();
            let batch = event.records.iter().map(|message| (receives(message), key(message)));
            lock(&kept).push(batch.collect());
            let outcome = outcome.clone();
            Box::pin(async move { outcome(&event) })
        });
        handlers.insert("aggregate".into(), aggregate);
        (seen, handlers)
    }

    fn bus(handlers: BTreeMap<String, Handler>) -> Bus {
        Bus::new(&Template::built_in(BUCKET).unwrap(), handlers, settings()).unwrap()
    }

    fn failing(ids: impl IntoIterator<Item = String>) -> SqsBatchResponse {
        let mut response = SqsBatchResponse::default();
        for id in ids {
            let mut item = BatchItemFailure::default();
            item.item_identifier = id;
            response.batch_item_failures.push(item);
        }
        response
    }

    fn fail_key(event: &SqsEvent, poison: &str) -> SqsBatchResponse {
        let failed = event.records.iter().filter(|message| key(message) == poison);
        failing(failed.map(|message| message.message_id.clone().unwrap()))
    }

    /// How often each key was seen.
    fn times(seen: &Seen) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for (_, key) in lock(seen).iter().flatten() {
            *times.entry(key.clone()).or_default() += 1;
        }
        times
    }

    #[tokio::test]
    async fn only_the_message_that_failed_comes_again() {
        let poison = base(3).detail.object.key;
        let fails = poison.clone();
        let (seen, handlers) = handlers(move |event| {
            let first = event.records.iter().all(|message| message.attributes["ApproximateReceiveCount"] == "1");
            Ok(if first { fail_key(event, &fails) } else { SqsBatchResponse::default() })
        });
        let bus = bus(handlers);
        for number in 0..8 {
            bus.publish(&base(number));
        }
        bus.idle().await;
        let times = times(&seen);
        assert_eq!(times.len(), 8);
        assert!(times.iter().all(|(key, &times)| times == if *key == poison { 2 } else { 1 }), "{times:?}");
        assert_eq!(bus.dead_letters(), []);
    }

    #[tokio::test]
    async fn poison_goes_to_the_dead_letters_and_its_neighbours_pass() {
        let poison = base(3).detail.object.key;
        let fails = poison.clone();
        let (seen, handlers) = handlers(move |event| Ok(fail_key(event, &fails)));
        let bus = bus(handlers);
        for number in 0..30 {
            bus.publish(&base(number));
        }
        bus.idle().await;
        let [letter] = &bus.dead_letters()[..] else { panic!("{:?}", bus.dead_letters()) };
        assert_eq!((letter.queue.as_str(), letter.receives), ("AggregateQueue", 5));
        assert!(letter.body.contains(&poison));
        let times = times(&seen);
        assert_eq!(times.len(), 30);
        assert!(times.iter().all(|(key, &times)| times == if *key == poison { 5 } else { 1 }), "{times:?}");
        let receives: Vec<u32> =
            lock(&seen).iter().flatten().filter(|(_, key)| *key == poison).map(|(receives, _)| *receives).collect();
        assert_eq!(receives, [1, 2, 3, 4, 5]);
    }

    #[tokio::test]
    async fn an_error_a_panic_and_an_unknown_message_fail_the_batch_whole() {
        for how in ["error", "panic", "unknown", "empty"] {
            let (seen, handlers) = handlers(move |_| match how {
                "error" => Err("it broke".into()),
                "panic" => panic!("it broke"),
                "unknown" => Ok(failing(["nobody".to_owned()])),
                _ => Ok(failing([String::new()])),
            });
            let bus = bus(handlers);
            bus.publish(&base(1));
            bus.publish(&base(2));
            bus.idle().await;
            assert_eq!(bus.dead_letters().len(), 2, "{how}");
            assert!(times(&seen).values().all(|&times| times == 5), "{how}");
        }
    }

    #[tokio::test]
    async fn batches_are_no_larger_and_no_more_than_allowed() {
        let running = Arc::new(Mutex::new((0, 0)));
        let (_, mut handlers) = handlers(|_| Ok(SqsBatchResponse::default()));
        let count = running.clone();
        let slow: Handler = Arc::new(move |event: SqsEvent| {
            let ids: BTreeSet<_> = event.records.iter().map(|message| message.message_id.clone()).collect();
            assert_eq!(ids.len(), event.records.len());
            assert!((1..=10).contains(&event.records.len()));
            let count = count.clone();
            Box::pin(async move {
                {
                    let mut count = lock(&count);
                    count.0 += 1;
                    count.1 = count.1.max(count.0);
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
                lock(&count).0 -= 1;
                Ok(SqsBatchResponse::default())
            })
        });
        handlers.insert("aggregate".into(), slow);
        let bus = bus(handlers);
        for number in 0..200 {
            bus.publish(&base(number));
        }
        bus.idle().await;
        assert_eq!(*lock(&running), (0, 2));
        assert_eq!(bus.dead_letters(), []);
    }

    #[tokio::test]
    async fn a_handler_of_ours_gets_what_eventbridge_would_send() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (_, mut handlers) = handlers(|_| Ok(SqsBatchResponse::default()));
        let kept = seen.clone();
        let aggregate: Handler = Arc::new(move |event: SqsEvent| {
            let kept = kept.clone();
            lock(&kept).extend(event.records.iter().map(|message| message.body.clone().unwrap()));
            Box::pin(async move {
                Ok(each_subject(event, |event: &ObjectCreated| event.request(BUCKET), |_| async { Ok(()) }).await)
            })
        });
        handlers.insert("aggregate".into(), aggregate);
        let bus = bus(handlers);
        let digest = shared::lake::Sha256::of("x");
        let key = format!("activities/date=2026-01-30/gen=20260131T060000Z/sha256={digest}/activities.parquet");
        bus.publish(&ObjectCreated::new("wastewalk", BUCKET, &key, 7));
        bus.idle().await;
        assert_eq!(bus.dead_letters(), []);
        let body: Value = serde_json::from_str(&lock(&seen)[0]).unwrap();
        let names: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = ["version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"];
        assert_eq!(names, expected);
        assert_eq!(body["detail-type"], "Object Created");
        assert_eq!(body["source"], "wastewalk");
        assert_eq!(body["detail"]["bucket"], json!({"name": BUCKET}));
        assert_eq!(body["detail"]["object"], json!({"key": key, "size": 7}));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn idle_waits_for_everything_that_follows() {
        let (seen, mut handlers) = handlers(|_| Ok(SqsBatchResponse::default()));
        let follow_up: Arc<Mutex<Option<UnboundedSender<ObjectCreated>>>> = Arc::default();
        let sender = follow_up.clone();
        // Classify writes an annotation for each base, as the store would announce it: before the function answers.
        let classify: Handler = Arc::new(move |event: SqsEvent| {
            let sender = lock(&sender).clone().unwrap();
            Box::pin(async move {
                for message in &event.records {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    let key =
                        format!("annotations/{}/annotator=classify/classify.parquet", key(message).replace('/', "-"));
                    sender.send(ObjectCreated::new("aws.s3", BUCKET, &key, 1)).unwrap();
                }
                Ok(SqsBatchResponse::default())
            })
        });
        handlers.insert("annotate-classify".into(), classify);
        let bus = bus(handlers);
        let (events, announced) = unbounded_channel();
        bus.listen(announced);
        *lock(&follow_up) = Some(events.clone());
        // Nothing to do: at once.
        bus.idle().await;
        for round in 1..=20 {
            for number in 0..5 {
                events.send(base(round * 100 + number)).unwrap();
            }
            bus.idle().await;
            assert_eq!(lock(&seen).iter().flatten().count(), round * 10, "round {round}");
        }
    }

    #[tokio::test]
    async fn faults_duplicate_lose_and_reorder_and_can_be_repeated() {
        let run = async |faults: Faults| {
            let (seen, handlers) = handlers(|_| Ok(SqsBatchResponse::default()));
            let bus = bus(handlers).with_faults(faults);
            for number in 0..100 {
                bus.publish(&base(number));
            }
            bus.idle().await;
            let order: Vec<_> = lock(&seen).iter().flatten().map(|(_, key)| key.clone()).collect();
            (order, times(&seen), bus.fault_counts())
        };
        let sent: Vec<_> = (0..100).map(|number| base(number).detail.object.key).collect();

        let (order, _, counts) = run(Faults::default()).await;
        assert_eq!((order, counts), (sent.clone(), FaultCounts::default()));

        let twice = Faults { duplicate_percent: 100, ..Faults::default() };
        let (_, times, counts) = run(twice).await;
        assert!(times.len() == 100 && times.values().all(|&times| times == 2), "{times:?}");
        let deliveries = 100 * FUNCTIONS.len() as u64;
        assert_eq!(counts, FaultCounts { lost: 0, duplicated: deliveries });

        let lossy = Faults { seed: 7, lost_percent: 30, ..Faults::default() };
        let (order, times, counts) = run(lossy.clone()).await;
        assert!((deliveries / 4..deliveries * 7 / 20).contains(&counts.lost), "{counts:?}");
        assert!(times.len() < 90 && times.values().all(|&times| times == 1), "{times:?}");
        assert_eq!(run(lossy).await, (order, times, counts));

        let shuffled = Faults { seed: 7, shuffle: true, ..Faults::default() };
        let (order, times, _) = run(shuffled.clone()).await;
        assert_eq!(times.len(), 100);
        assert_ne!(order, sent);
        assert_eq!(run(shuffled).await.0, order);
        assert_ne!(run(Faults { seed: 8, shuffle: true, ..Faults::default() }).await.0, order);

        let late = Faults { seed: 7, delay_up_to: Duration::from_millis(20), ..Faults::default() };
        let (order, times, _) = run(late).await;
        assert_eq!(times.len(), 100);
        assert_ne!(order, sent);
    }

    #[test]
    fn a_function_without_a_handler_is_an_error() {
        let (_, mut handlers) = handlers(|_| Ok(SqsBatchResponse::default()));
        handlers.remove("annotate-scope");
        let error = Bus::new(&Template::built_in(BUCKET).unwrap(), handlers, settings()).err().unwrap();
        assert!(error.to_string().contains("annotate-scope"));
    }
}
