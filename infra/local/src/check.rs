//! `wastewalk check`: how a source would be read and what could be measured. Everything is worked out in a folder that is
//! gone afterwards, by the functions themselves, so what it says is what a run would do; the source is only read.

use std::collections::BTreeMap;

use api::{Request, answer::Answer};
use chrono_tz::Tz;
use clap::Args;
use intake::{
    address::Address,
    base::activities,
    check::{Section, recognise, sections, zone_rule},
    mapping::Mapping,
    record::Counts,
};
use serde::Serialize;
use shared::{
    activity::Activity,
    column::Columns,
    lake::{LakeError, LakeKey, parquet_file::Reader},
};

use crate::{
    progress::Show,
    said::{Format, say},
    stack::{Settings, Stack},
    up::work,
};

/// Activities that are shown as they would land.
const SAMPLE: usize = 5;

/// Says which mapping fits a source, how it reads each field, what would be refused, and what could be measured. Keeps
/// nothing, and writes nothing to the source.
#[derive(Debug, Clone, Args)]
pub struct Check {
    /// The source, such as sqlite://team.db, postgres://user:password@host/database or mysql://…
    #[arg(long, value_name = "URL", env = "WASTEWALK_SOURCE", hide_env_values = true)]
    source: String,
    /// How the source is read: a file, or the name of a known product [default: the one that fits]
    #[arg(long, value_name = "FILE")]
    mapping: Option<String>,
    /// The organisation's time zone, such as Europe/Berlin [default: the mapping's, else UTC]
    #[arg(long, value_name = "ZONE", env = "ORGANISATION_TIME_ZONE")]
    time_zone: Option<Tz>,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// What is found out.
#[derive(Serialize)]
struct Report {
    source: String,
    mapping: String,
    mapping_file: String,
    database: &'static str,
    time_zone: String,
    sections: Vec<Section>,
    counts: Counts,
    quarantined_by_reason: BTreeMap<String, u64>,
    /// Kinds of activity whose category is only `other`, with the reason and the number of activities.
    unclassified: BTreeMap<String, Unclassified>,
    insights: Vec<Insight>,
    sample: Vec<Activity<'static>>,
}

#[derive(Default, Serialize)]
struct Unclassified {
    reason: String,
    activities: u64,
}

#[derive(Serialize)]
struct Insight {
    id: String,
    title: String,
    status: serde_json::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl Check {
    /// Checks, and prints what it found.
    ///
    /// # Errors
    /// If the source cannot be read, or no mapping fits: in one line, with what to do.
    pub async fn run(self) -> anyhow::Result<()> {
        let report = self.report().await?;
        match self.format {
            Format::Json => say!("{}", serde_json::to_string_pretty(&report)?),
            Format::Table => report.print(),
        }
        Ok(())
    }

    async fn report(&self) -> anyhow::Result<Report> {
        let address: Address = self.source.parse()?;
        let mapping = match &self.mapping {
            Some(mapping) => Mapping::load(mapping)?,
            None => recognise(&address).await?,
        };
        let time_zone = self.time_zone.or(mapping.time_zone).unwrap_or(Tz::UTC);
        let sections = sections(&mapping, &address).await?;
        let folder = tempfile::tempdir()?;
        let settings = Settings::over(folder.path().to_owned(), self.source.clone(), mapping.clone(), time_zone);
        let stack = Stack::start(settings).await?;
        let run = work(&stack, Show::Nothing).await?.run.map_err(anyhow::Error::msg)?;
        let overview = api::overview(&stack.api, &Request::default()).await?;
        let insight = |answer: &Answer| -> anyhow::Result<Insight> {
            Ok(Insight {
                id: answer.id.clone(),
                title: answer.title.clone(),
                status: serde_json::to_value(answer.figure.status)?,
                why: answer.figure.why(),
            })
        };
        let report = Report {
            source: address.to_string(),
            mapping: mapping.name.clone(),
            mapping_file: mapping.file.clone(),
            database: address.database().name(),
            time_zone: zone_rule(&mapping, time_zone),
            sections,
            counts: run.counts,
            quarantined_by_reason: run.quarantined_by_reason,
            unclassified: unclassified(&stack).await?,
            insights: overview.insights.iter().map(insight).collect::<Result<_, _>>()?,
            sample: sample(&stack).await?,
        };
        stack.stop().await?;
        Ok(report)
    }
}

/// The first activities of the newest day.
async fn sample(stack: &Stack) -> Result<Vec<Activity<'static>>, LakeError> {
    let Some(newest) = stack.lake.newest_bases(None).await?.pop() else { return Ok(Vec::new()) };
    let file = stack.lake.fetch(&newest).await?;
    match Reader::open(&newest, file)?.batches(None)?.next() {
        Some(batch) => Ok(activities(&newest, &batch?)?.into_iter().take(SAMPLE).map(Activity::into_owned).collect()),
        None => Ok(Vec::new()),
    }
}

/// What `annotate-classify` could not classify, by kind of activity.
async fn unclassified(stack: &Stack) -> anyhow::Result<BTreeMap<String, Unclassified>> {
    let mut found: BTreeMap<String, Unclassified> = BTreeMap::new();
    for base in stack.lake.newest_bases(None).await? {
        let Some(partition) = base.partition() else { continue };
        let siblings = stack.lake.list(&partition.annotations_prefix(), None).await?;
        let classified =
            |key: &LakeKey| matches!(key, LakeKey::Annotation { annotator, .. } if annotator == "classify");
        let Some(annotation) = siblings.into_iter().map(|listed| listed.key).find(classified) else { continue };
        let codes = Reader::open(&base, stack.lake.fetch(&base).await?)?.batches_in_step(Some(&["stereotype_code"]))?;
        let reasons = Reader::open(&annotation, stack.lake.fetch(&annotation).await?)?
            .batches_in_step(Some(&["category_reason"]))?;
        // A sibling has the rows of its base, in their order.
        for (codes, reasons) in codes.zip(reasons) {
            let (codes, reasons) = (codes?, reasons?);
            for (code, reason) in codes.text("stereotype_code")?.iter().zip(reasons.text("category_reason")?) {
                if let (Some(code), Some(reason)) = (code, reason) {
                    let kind = found.entry(code.to_owned()).or_default();
                    kind.reason = reason.to_owned();
                    kind.activities += 1;
                }
            }
        }
    }
    Ok(found)
}

impl Report {
    fn print(&self) {
        say!("{} is read by the mapping {} ({}), as {}.", self.source, self.mapping, self.mapping_file, self.database);
        say!("The local day is in {}.", self.time_zone);
        for Section { section, select, selects, fields, unmapped, left_out } in &self.sections {
            match selects {
                1 => say!("\n[{section}]"),
                _ => say!("\n[{section}] by the SELECT {select} of {selects}"),
            }
            for field in fields {
                let seen: Vec<&str> = field.seen.iter().map(String::as_str).collect();
                let zone = field.zone.as_ref().map_or(String::new(), |zone| format!(", zone {zone}"));
                let columns = field.columns.join(" + ");
                say!("  {:<22} {columns:<22} {:<26} {}{zone}", field.field, seen.join(", "), field.expects);
            }
            if !unmapped.is_empty() {
                say!("  only in source_row: {}", unmapped.join(", "));
            }
            if !left_out.is_empty() {
                say!("  under pseudonyms, left out: {}", left_out.join(", "));
            }
        }
        let Counts { read, written, quarantined, open, .. } = self.counts;
        say!("\n{read} activities: {written} would land, {open} are still running, {quarantined} would be refused.");
        for (reason, count) in &self.quarantined_by_reason {
            say!("  {count:>6}  {reason}");
        }
        if !self.unclassified.is_empty() {
            say!("\nKinds of activity that nobody classifies:");
            for (code, Unclassified { reason, activities }) in &self.unclassified {
                say!("  {activities:>6}  {code} ({})", reason.replace('_', " "));
            }
        }
        say!("\n{:<34} status", "insight");
        for Insight { title, status, why, .. } in &self.insights {
            let why = why.as_ref().map_or(String::new(), |why| format!(": {why}"));
            say!("{title:<34} {}{why}", status.as_str().unwrap_or_default());
        }
        say!("\nThe first activities of the newest day:");
        for activity in &self.sample {
            let Activity { activity_id, user_id, team_id, sprint_id, stereotype_code, started_at, .. } = activity;
            let (team, sprint) = (team_id.as_deref().unwrap_or("–"), sprint_id.as_deref().unwrap_or("–"));
            let seconds = activity.duration_seconds;
            say!(
                "  {activity_id:<10} {started_at}  {seconds:>6} s  person {user_id}, team {team}, sprint {sprint}, {stereotype_code}"
            );
        }
    }
}
