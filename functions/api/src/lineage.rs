//! Where a figure comes from: of each day the object in the lake, the run that captured it from the source, and the
//! annotations that it was computed from. `source_row` of the object's rows is the record of the source.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared::{
    annotator::{Logic, declaration::Insight},
    contribution::{Cell, Shown},
    lake::{LakeError, LakeKey, siblings::Siblings},
    time::{Generation, LocalDay},
};

use crate::{
    Api, ApiError, Request,
    activities::{identity, read_cursor, write_cursor},
    division::hidden_days,
    evidence::Evidence,
    figure::Status,
    freshness::{Record, read_record},
    logics::LogicRun,
    rows::Adds,
    selection::{InvalidParameter, Own, Selection},
};

const DEFAULT_LIMIT: usize = 31;
const MAX_LIMIT: usize = 100;

/// Which figure is traced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Whose, and when.
    pub request: Request,
    /// The insight.
    pub insight: String,
    /// Where the last page ended.
    pub cursor: Option<String>,
    /// Days on a page at most.
    pub limit: usize,
}

impl Question {
    /// Reads the decoded pairs of a query string.
    ///
    /// # Errors
    /// If a parameter is unknown, given twice, malformed or missing.
    pub fn parse(pairs: Vec<(String, String)>) -> Result<Self, InvalidParameter> {
        const OWN: [&str; 3] = ["insight", "cursor", "limit"];
        let (request, mut own) = Own::divide(pairs, &OWN)?;
        let missing = || InvalidParameter::new("insight", "say which figure; /v1/insights lists every insight.");
        let limit = own.limit(DEFAULT_LIMIT, MAX_LIMIT)?;
        Ok(Self { request, insight: own.take("insight").ok_or_else(missing)?, cursor: own.take("cursor"), limit })
    }
}

/// A page of the days behind a figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lineage {
    /// What was asked, as it was resolved.
    pub selection: Selection,
    /// The insight.
    pub insight: String,
    /// Which logic each day has.
    pub logics: Vec<LogicRun>,
    /// The days on which the scope has rows.
    pub days: Vec<Origin>,
    /// Asks for the next page, as the parameter `cursor`; null on the last one.
    pub next: Option<String>,
}

/// Where one day's share of a figure comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Origin {
    /// The day.
    pub day: LocalDay,
    /// What it adds above the line; null where its logic does not have the figure.
    pub numerator: Option<i64>,
    /// And below; null where there is none.
    pub denominator: Option<i64>,
    /// The logic that computed it.
    pub logic: Logic,
    /// When the day was captured.
    pub generation: Generation,
    /// The object with its activities.
    pub base: String,
    /// Of the object's bytes.
    pub sha256: String,
    /// The rows of the object, in all scopes; null where the day is hidden from whoever asks, as its numbers are.
    pub rows: Option<i64>,
    /// The run that captured it; null if it was cut off before it could leave its record.
    pub run: Option<RunOrigin>,
    /// The annotations that decide the figure, inputs first.
    pub annotations: Vec<AnnotationOrigin>,
}

/// The run that captured a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunOrigin {
    /// Its record.
    pub key: String,
    /// The source that it read.
    pub source: String,
    /// Of the mapping that it read it by.
    pub mapping_sha256: String,
}

/// An annotation that decides a figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AnnotationOrigin {
    /// Whose.
    pub annotator: String,
    /// Its effective version.
    pub version: String,
    /// The object; null if it was deleted since.
    pub key: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Cursor {
    of: String,
    after: LocalDay,
}

/// Traces a figure.
///
/// # Errors
/// If the insight or the cursor is not known, or if the table or the lake does not answer.
pub async fn lineage(api: &Api, question: &Question) -> Result<Lineage, ApiError> {
    let insight = api.register.insights().find(|insight| insight.id == question.insight);
    let insight = insight.ok_or_else(|| ApiError::UnknownInsight(question.insight.clone()))?;
    let evidence = Evidence::read(api, &question.request, false).await?;
    let group = evidence.group();
    if group.figure(insight, group.cells()).status == Status::Hidden {
        return Err(ApiError::TooFewPeople(question.request.scope.clone()));
    }
    let columns: Vec<String> = insight.ratio().columns().cloned().collect();
    let hidden = hidden_days(&group, &columns);
    let mut asked = format!("{:?}", (&insight.id, &question.request.scope));
    for Shown { logic, pointer } in &evidence.shown {
        asked.push_str(&format!(";{} {}", logic.logic, pointer.partition));
    }
    let asked = identity(&asked);
    let cursor = question.cursor.as_deref().map(read_cursor::<Cursor>).transpose()?;
    if cursor.as_ref().is_some_and(|cursor| cursor.of != asked) {
        return Err(ApiError::CursorExpired);
    }
    let is_on = |shown: &&Shown| {
        let day = shown.pointer.partition.day;
        evidence.days.contains_key(&day) && cursor.as_ref().is_none_or(|cursor| day > cursor.after)
    };
    let mut behind = evidence.shown.iter().filter(is_on);
    let mut runs: BTreeMap<Generation, Option<RunOrigin>> = BTreeMap::new();
    let mut days = Vec::new();
    for shown in behind.by_ref().take(question.limit) {
        let generation = shown.pointer.partition.generation;
        let run = match runs.get(&generation) {
            Some(run) => run.clone(),
            None => runs.entry(generation).or_insert(run(api, generation).await?).clone(),
        };
        days.push(origin(api, insight, (&evidence, &hidden), shown, run).await?);
    }
    let last = days.last().filter(|_| behind.next().is_some());
    Ok(Lineage {
        selection: evidence.selection(),
        insight: insight.id.clone(),
        logics: evidence.logics(),
        next: last.map(|last| write_cursor(&Cursor { of: asked, after: last.day })),
        days,
    })
}

async fn origin(
    api: &Api,
    insight: &Insight,
    (evidence, hidden): (&Evidence, &BTreeSet<LocalDay>),
    Shown { logic, pointer }: &Shown,
    run: Option<RunOrigin>,
) -> Result<Origin, ApiError> {
    let partition = pointer.partition;
    let siblings = Siblings::find(&api.lake, partition).await?;
    let writers = logic.writers_of(insight.ratio().columns());
    let mut annotations = Vec::new();
    for annotator in logic.annotators.iter().filter(|annotator| writers.contains(annotator.name.as_str())) {
        let key = siblings.get(&annotator.name, &annotator.effective_version)?;
        annotations.push(AnnotationOrigin {
            annotator: annotator.name.clone(),
            version: annotator.effective_version.clone(),
            key: key.map(ToString::to_string),
        });
    }
    let told = !hidden.contains(&partition.day);
    let known = told && logic.folds(insight.ratio().columns());
    let sum = |adds: Adds| {
        let cells = evidence.days.get(&partition.day).into_iter().flat_map(|day| &day.by_stereotype);
        cells.map(|cell: &Cell| adds.in_cell(cell)).sum::<i64>()
    };
    let numerator = known.then(|| sum(Adds::Values(insight.numerator.clone())));
    Ok(Origin {
        day: partition.day,
        numerator,
        denominator: Adds::below(insight.ratio()).filter(|_| known).map(sum),
        logic: logic.logic.clone(),
        generation: partition.generation,
        base: LakeKey::Activities { partition, sha256: pointer.base }.to_string(),
        sha256: pointer.base.to_string(),
        rows: told.then_some(pointer.total.rows),
        run,
        annotations,
    })
}

async fn run(api: &Api, generation: Generation) -> Result<Option<RunOrigin>, LakeError> {
    let key = LakeKey::Run { generation };
    let listed = api.lake.list(&format!("runs/gen={generation}/"), None).await?;
    if !listed.iter().any(|listed| listed.key == key) {
        return Ok(None);
    }
    let Record { source, mapping_sha256, .. } = read_record(&api.lake, generation).await?;
    Ok(Some(RunOrigin { key: key.to_string(), source, mapping_sha256 }))
}
