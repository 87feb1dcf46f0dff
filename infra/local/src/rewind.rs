//! `wastewalk rewind`: what would these days have looked like with the logic that is deployed now?
//!
//! It uploads base objects onto themselves. Every function that is woken by that does its work again; the source is never
//! asked. What the older logic said stays where it is, and both can be compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::IsTerminal,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use intake::mapping::Mapping;
use serde::Serialize;
use shared::{
    annotator::{Logic, Register},
    contribution::{ContributionStore, LogicRecord},
    lake::{Lake, LakeKey, Listed, Partition, Sealed, siblings::Siblings},
    time::{Generation, LocalDay},
};

use crate::{
    account::{Account, Deployed},
    progress::{Progress, Show},
    said::say,
    stack::{Settings, Stack, time_zone_of},
    up::classification,
};

/// Objects that are uploaded, or looked at, at the same time.
const AT_ONCE: usize = 8;
/// In an account: how often the table is asked, and how long nothing may arrive before we stop waiting.
const EVERY: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Which days are computed again, and where.
#[derive(Debug, Clone, Args)]
pub struct Rewind {
    #[command(flatten)]
    wish: Wish,
    /// Only say what would be done, and what it would cost in an account
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    account: Account,
    /// No progress, only the result
    #[arg(long, short)]
    quiet: bool,
}

/// A folder of `wastewalk up`, and what decides which logic runs over it.
#[derive(Debug, Clone, Args)]
pub struct Folder {
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = ".wastewalk")]
    pub data: PathBuf,
    /// The mapping that `up` reads its source by
    #[arg(long, value_name = "FILE", default_value = "reference", conflicts_with_all = ["stack", "bucket"])]
    pub mapping: String,
    /// The organisation's time zone, which is part of the logic [default: the one of the last `up`]
    #[arg(long, value_name = "ZONE", env = "ORGANISATION_TIME_ZONE")]
    pub time_zone: Option<Tz>,
    /// A classification.toml to go by instead of the one that was built in
    #[arg(long, value_name = "FILE", conflicts_with_all = ["stack", "bucket"])]
    pub classification: Option<PathBuf>,
}

/// Which days.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub struct Wish {
    /// The first day [default: the first one captured]
    #[arg(long, value_name = "DAY")]
    pub from: Option<LocalDay>,
    /// The day after the last [default: after the last one captured]
    #[arg(long, value_name = "DAY")]
    pub to: Option<LocalDay>,
    /// Only days that this annotator has not annotated in its present version
    #[arg(long, value_name = "NAME")]
    pub annotator: Option<String>,
    /// Each day also as it was known then, such as 2026-10-01T00:00:00Z or 20261001T000000Z
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub as_of: Option<Generation>,
}

/// Refuses days that are none.
pub(crate) fn in_order(from: Option<LocalDay>, to: Option<LocalDay>) -> anyhow::Result<()> {
    match from.zip(to).filter(|(from, to)| from >= to) {
        Some((from, to)) => bail!("--from {from} is not before --to {to}, which is the day after the last"),
        None => Ok(()),
    }
}

fn instant(text: &str) -> Result<Generation, String> {
    let written = text.parse::<Generation>().ok();
    let instant = || Some(Generation::mint(DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc), None));
    written.or_else(instant).ok_or_else(|| "write 2026-10-01T00:00:00Z or 20261001T000000Z".to_owned())
}

/// A lake with its table, and the logic that is deployed over them.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    /// The lake.
    pub lake: &'a Lake,
    /// The table.
    pub store: &'a ContributionStore,
    /// The logic.
    pub register: &'a Register,
}

impl<'a> From<&'a Stack> for Site<'a> {
    fn from(stack: &'a Stack) -> Self {
        Self { lake: &stack.lake, store: &stack.store, register: &stack.register }
    }
}

/// What there is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The objects to upload again, by day, oldest first.
    pub objects: BTreeMap<LocalDay, Vec<Listed>>,
    /// Days that are there already under this logic.
    pub done: usize,
}

impl Plan {
    /// Finds out: of each day the newest generation and, so that the two can be compared on the same data, the one that
    /// the newest logic before this one shows. A day that has both under this logic is done, so that doing it twice does
    /// nothing and what was interrupted goes on.
    ///
    /// # Errors
    /// If there is no such annotator, or the lake or the table does not answer.
    pub async fn make(site: Site<'_>, wish: &Wish) -> anyhow::Result<Self> {
        let Site { lake, store, register } = site;
        in_order(wish.from, wish.to)?;
        let from = wish.from.map_or_else(|| "0001-01-01".parse(), Ok)?;
        let last = wish.to.map_or_else(|| "9999-12-31".parse(), |to| Ok(to.plus(-1)))?;
        let mut captured: BTreeMap<LocalDay, Vec<(Partition, Listed)>> = BTreeMap::new();
        for listed in lake.bases(from, last).await? {
            if let Some(partition) = listed.key.partition() {
                captured.entry(partition.day).or_default().push((partition, listed));
            }
        }
        let order = LogicRecord::order(LogicRecord::of(register, Utc::now()), store.logics().await?);
        let shown = store.shown(&order[1..], from, last, None).await?;
        let before: BTreeSet<Partition> = shown.iter().map(|shown| shown.pointer.partition).collect();
        let folded = store.generations(register.logic(), from, last).await?;
        let folded: BTreeSet<Partition> = folded.iter().map(|pointer| pointer.partition).collect();
        let lacking = match &wish.annotator {
            Some(name) => Some(lacking(site, name, &captured).await?),
            None => None,
        };
        let mut plan = Self { objects: BTreeMap::new(), done: 0 };
        for (day, generations) in captured {
            let newest = generations.last().map(|(partition, _)| *partition);
            let known =
                |(partition, _): &&(Partition, Listed)| wish.as_of.is_some_and(|then| partition.generation <= then);
            let then = generations.iter().rfind(known).map(|(partition, _)| *partition);
            let wanted = |partition: &Partition| {
                Some(*partition) == newest || Some(*partition) == then || before.contains(partition)
            };
            let objects: Vec<_> = generations.into_iter().filter(|(partition, _)| wanted(partition)).collect();
            if objects.iter().all(|(partition, _)| folded.contains(partition)) {
                plan.done += 1;
            } else if lacking.as_ref().is_none_or(|lacking| lacking.contains(&day)) {
                plan.objects.insert(day, objects.into_iter().map(|(_, listed)| listed).collect());
            }
        }
        Ok(plan)
    }

    /// Every object to upload, by day.
    pub fn keys(&self) -> impl Iterator<Item = &LakeKey> {
        self.objects.values().flatten().map(|listed| &listed.key)
    }

    /// What it takes in an account; `annotators` work on each object, and the fold.
    pub fn estimate(&self, annotators: usize) -> Estimate {
        let objects = self.keys().count();
        let bytes = self.objects.values().flatten().map(|listed| listed.bytes).sum();
        Estimate::of(objects, bytes, annotators + 1)
    }

    /// Keeps what was asked for in the lake, and uploads the objects.
    ///
    /// # Errors
    /// If the lake does not take something. Doing it again goes on.
    pub async fn upload(&self, site: Site<'_>, wish: &Wish) -> anyhow::Result<LakeKey> {
        let record = record(site, wish, self).await?;
        let keys: Vec<LakeKey> = self.keys().cloned().collect();
        let upload = |key: LakeKey| async move { site.lake.upload_again(&key).await };
        stream::iter(keys).map(upload).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        Ok(record)
    }
}

/// The days whose newest generation an annotator has not annotated in its present version.
async fn lacking(
    Site { lake, register, .. }: Site<'_>,
    name: &str,
    captured: &BTreeMap<LocalDay, Vec<(Partition, Listed)>>,
) -> anyhow::Result<BTreeSet<LocalDay>> {
    let names = || register.annotators().iter().map(|known| &*known.declaration.name).collect::<Vec<_>>().join(", ");
    let annotator = register.get(name).with_context(|| format!("there is no annotator `{name}`; use {}", names()))?;
    let version = annotator.effective_version.as_str();
    let newest: Vec<Partition> = captured.values().filter_map(|day| day.last().map(|(newest, _)| *newest)).collect();
    let look = |partition: Partition| async move {
        let siblings = Siblings::find(lake, partition).await?;
        anyhow::Ok(siblings.get(name, version)?.is_none().then_some(partition.day))
    };
    let days: Vec<Option<LocalDay>> = stream::iter(newest).map(look).buffered(AT_ONCE).try_collect().await?;
    Ok(days.into_iter().flatten().collect())
}

/// What is kept of a rewind, beside the records of intake runs.
#[derive(Serialize)]
struct RewindRecord<'a> {
    generation: Generation,
    requested_at: DateTime<Utc>,
    logic: &'a Logic,
    #[serde(flatten)]
    wish: &'a Wish,
    days: usize,
    objects: Vec<String>,
}

async fn record(Site { lake, register, .. }: Site<'_>, wish: &Wish, plan: &Plan) -> anyhow::Result<LakeKey> {
    let requested_at = Utc::now();
    let recent = format!("runs/gen={}", Generation::mint(requested_at, None));
    // Only a clock that went back, or another one of this second, leaves something there.
    let last = lake.list("runs/", Some(&recent)).await?.into_iter().rev().find_map(|listed| match listed.key {
        LakeKey::Rewind { generation } => Some(generation),
        _ => None,
    });
    let generation = Generation::mint(requested_at, last);
    let objects = plan.keys().map(ToString::to_string).collect();
    let record =
        RewindRecord { generation, requested_at, logic: register.logic(), wish, days: plan.objects.len(), objects };
    let key = LakeKey::Rewind { generation };
    lake.create(&key, &Sealed::from_bytes(&serde_json::to_vec_pretty(&record)?)?).await?;
    Ok(key)
}

/// What a rewind costs in an account: each function runs once for each object.
///
/// GB-seconds = objects × functions × fixed time × memory + bytes × functions × time per byte × memory. Requests to S3,
/// DynamoDB and SQS come to about as much again and are not in it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// Base objects.
    pub objects: usize,
    /// Their length.
    pub bytes: u64,
    /// Memory times duration of all invocations.
    pub gigabyte_seconds: f64,
    /// What Lambda asks for them on arm64.
    pub dollars_arm64: f64,
    /// What Lambda asks for them on x86-64.
    pub dollars_x86_64: f64,
}

impl Estimate {
    /// Seconds that an invocation takes besides its rows, and seconds per MB of base: the processor time of rewinds over the
    /// local stack, its S3 and DynamoDB included (14.3 ms each for the demo's days of 20 kB; 0.80 s per MB for a day of
    /// 200,000 rows and 10,000 people), times 1,769 ÷ 1,024, because a function with 1,024 MB has that much less than a core.
    /// Waiting for the network is not in it.
    const FIXED_SECONDS: f64 = 0.025;
    const SECONDS_PER_MEGABYTE: f64 = 1.4;
    /// `MemorySize` in template.yaml.
    const GIGABYTES: f64 = 1.0;
    /// List prices in us-east-1, first tier, 2026-11: duration per GB-second, and per invocation.
    const ARM64: f64 = 0.000_013_333_4;
    const X86_64: f64 = 0.000_016_666_7;
    const INVOCATION: f64 = 0.000_000_2;

    fn of(objects: usize, bytes: u64, functions: usize) -> Self {
        let (invocations, megabytes) = ((objects * functions) as f64, bytes as f64 / 1e6);
        let seconds = invocations * Self::FIXED_SECONDS + megabytes * functions as f64 * Self::SECONDS_PER_MEGABYTE;
        let gigabyte_seconds = seconds * Self::GIGABYTES;
        let dollars = |price: f64| gigabyte_seconds * price + invocations * Self::INVOCATION;
        Self {
            objects,
            bytes,
            gigabyte_seconds,
            dollars_arm64: dollars(Self::ARM64),
            dollars_x86_64: dollars(Self::X86_64),
        }
    }
}

/// Starts the stack over a folder of `up`, without reading its source.
///
/// # Errors
/// If the folder is in use or cannot be read.
pub async fn stack_over(folder: &Folder) -> anyhow::Result<Stack> {
    if !folder.data.join("s3").is_dir() {
        bail!("there is nothing in {}; run `wastewalk up` first, or say where with --data DIR", folder.data.display());
    }
    let mapping = Mapping::load(&folder.mapping)?;
    let time_zone = folder.time_zone.or(mapping.time_zone).or_else(|| time_zone_of(&folder.data));
    Stack::start(Settings {
        classification: classification(folder.classification.as_deref())?,
        ..Settings::over(folder.data.clone(), String::new(), mapping, time_zone.unwrap_or(Tz::UTC))
    })
    .await
}

/// Rewinds the days of `wish` in a stack of our own, and waits until they are there.
///
/// # Errors
/// If a day cannot be worked out.
pub async fn rewind(stack: &Stack, wish: &Wish, show: Show) -> anyhow::Result<Plan> {
    let plan = Plan::make(stack.into(), wish).await?;
    if plan.objects.is_empty() {
        return Ok(plan);
    }
    let mut progress = Progress::new(show, plan.keys());
    plan.upload(stack.into(), wish).await?;
    progress.watch(stack).await?;
    if let Some(first) = progress.pending().next() {
        let letters = stack.bus.dead_letters().len();
        bail!("{first} could not be worked out; {letters} messages are in the dead-letter queues and the log says why");
    }
    Ok(plan)
}

impl Rewind {
    /// Does it.
    ///
    /// # Errors
    /// Each says in one line what is wrong and what to do.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.account.open().await? {
            Some(deployed) => self.in_account(&deployed).await,
            None => self.in_folder().await,
        }
    }

    async fn in_folder(&self) -> anyhow::Result<()> {
        let stack = stack_over(&self.folder).await?;
        if self.dry_run {
            let plan = Plan::make((&stack).into(), &self.wish).await?;
            self.tell(&plan, &stack.register);
        } else {
            let plan = rewind(&stack, &self.wish, self.show()).await?;
            self.tell(&plan, &stack.register);
        }
        stack.stop().await
    }

    async fn in_account(&self, deployed: &Deployed) -> anyhow::Result<()> {
        let Deployed { lake, store, register, .. } = deployed;
        let site = Site { lake, store, register };
        let plan = Plan::make(site, &self.wish).await?;
        if !self.dry_run && !plan.objects.is_empty() {
            let mut progress = Progress::new(self.show(), plan.keys());
            plan.upload(site, &self.wish).await?;
            wait(&mut progress, site).await?;
        }
        self.tell(&plan, register);
        Ok(())
    }

    fn show(&self) -> Show {
        match (self.quiet, std::io::stderr().is_terminal()) {
            (true, _) => Show::Nothing,
            (false, true) => Show::Bar,
            (false, false) => Show::Lines,
        }
    }

    fn tell(&self, plan: &Plan, register: &Register) {
        let logic = register.logic();
        if plan.objects.is_empty() {
            say!("Nothing to do: {} days are there under {logic}.", plan.done);
            return;
        }
        let Estimate { objects, bytes, gigabyte_seconds, dollars_arm64, dollars_x86_64 } =
            plan.estimate(register.annotators().len());
        let days = plan.objects.len();
        if !self.dry_run {
            say!("{days} days computed by {logic} from {objects} objects; {} were there already.", plan.done);
            return;
        }
        for (day, listed) in &plan.objects {
            let bytes: u64 = listed.iter().map(|listed| listed.bytes).sum();
            say!("{day}  {} objects  {bytes} bytes", listed.len());
        }
        say!(
            "{days} days under {logic}: {objects} objects, {bytes} bytes; {} days are there already.\n\
             In an account at least {gigabyte_seconds:.0} GB-seconds: {dollars_arm64:.4} USD on arm64, \
             {dollars_x86_64:.4} USD on x86_64.",
            plan.done
        );
    }
}

/// Watches a table until every day is there, or for so long nothing has come that somebody should look.
async fn wait(progress: &mut Progress, Site { store, register, .. }: Site<'_>) -> anyhow::Result<()> {
    let (mut left, mut since) = (progress.pending().count(), Instant::now());
    while left > 0 {
        tokio::time::sleep(EVERY).await;
        progress.look(store, register.logic()).await?;
        let now = progress.pending().count();
        if now < left {
            (left, since) = (now, Instant::now());
        } else if since.elapsed() > PATIENCE {
            let first = progress.pending().next().map(ToString::to_string).unwrap_or_default();
            bail!(
                "{left} days have not come in {} minutes, {first} first. Look into the dead-letter queues, and whether this \
                 program is the version that is deployed, with its settings (--stack knows them): it waits for logic {}. Running it again goes on.",
                PATIENCE.as_secs() / 60,
                register.logic()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_grows_with_objects_and_bytes_and_arm_is_a_fifth_cheaper() {
        let nothing = Estimate::of(0, 0, 10);
        assert_eq!((nothing.gigabyte_seconds, nothing.dollars_arm64), (0.0, 0.0));
        let days = Estimate::of(65, 0, 10);
        assert!((days.gigabyte_seconds - 650.0 * Estimate::FIXED_SECONDS * Estimate::GIGABYTES).abs() < 1e-9);
        let large = Estimate::of(65, 1_000_000_000, 10);
        assert!(large.gigabyte_seconds > days.gigabyte_seconds);
        let duration = |dollars: f64| dollars - 650.0 * Estimate::INVOCATION;
        assert!((duration(large.dollars_arm64) / duration(large.dollars_x86_64) - 0.8).abs() < 1e-4);
    }
}
