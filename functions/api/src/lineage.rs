//! Where a figure comes from: of each day the object in the lake, the run that captured it from the source, and the
//! annotations that it was computed from. `source_row` of the object's rows is the record of the source.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared::{
    annotator::{
        Logic,
        declaration::{Insight, Units},
    },
    contribution::{Cell, LogicRecord, RecordedAnnotator, Scope, Shown},
    lake::{LakeError, LakeKey, siblings::Siblings},
    time::{Generation, LocalDay},
};

use utoipa::ToSchema;

use crate::{
    Api, ApiError, Request,
    activities::{identity, read_cursor, write_cursor},
    evidence::Evidence,
    figure::Status,
    freshness::{Record, read_record},
    logics::{LogicRun, VersionNote},
    openapi,
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

    /// What its address says besides the selection and where the page begins.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut pairs = vec![("insight", self.insight.clone())];
        pairs.extend((self.limit != DEFAULT_LIMIT).then(|| ("limit", self.limit.to_string())));
        pairs
    }
}

/// A page of the days behind a figure.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Lineage {
    /// What was asked, as it was resolved.
    pub selection: Selection,
    /// The insight.
    pub insight: String,
    /// What the days on all pages add up to above the line: the figure's own number; null where it is not measurable.
    pub numerator: Option<i64>,
    /// And below; null where there is none.
    pub denominator: Option<i64>,
    /// What the days on the pages before this one add up to above the line; null where a day of the range is hidden.
    pub before: Option<i64>,
    /// What both are counted in.
    #[schema(value_type = openapi::Units)]
    pub units: Units,
    /// Which logic each day has.
    pub logics: Vec<LogicRun>,
    /// The annotators that decide the figure, inputs first, in each version that some day has.
    pub rules: Vec<Rule>,
    /// The days on which the scope has rows; every day, with its numbers null, where it is not told which ones they are.
    pub days: Vec<Origin>,
    /// Asks for the next page, as the parameter `cursor`; null on the last one.
    pub next: Option<String>,
}

/// An annotator that decides a figure, in the register's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Rule {
    /// Its name.
    pub annotator: String,
    /// Its effective version, as in the keys of its annotations.
    pub version: String,
    /// What changed with each version up to this one and why, oldest first.
    pub history: Vec<VersionNote>,
}

/// Where one day's share of a figure comes from.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Origin {
    /// The day.
    #[schema(value_type = String, format = Date)]
    pub day: LocalDay,
    /// What it adds above the line; null where its logic does not have the figure.
    pub numerator: Option<i64>,
    /// And below; null where there is none.
    pub denominator: Option<i64>,
    /// The logic that computed it.
    #[schema(value_type = String, example = "5ee12be1dcea")]
    pub logic: Logic,
    /// When the day was captured.
    #[schema(value_type = String, example = "20261001T000000Z")]
    pub generation: Generation,
    /// The object with its activities.
    pub base: String,
    /// Of the object's bytes.
    pub sha256: String,
    /// The rows of the object, in all scopes; null for whoever may not see all of them.
    pub rows: Option<i64>,
    /// The run that captured it; null if it was cut off before it could leave its record.
    pub run: Option<RunOrigin>,
    /// The annotations that decide the figure, inputs first.
    pub annotations: Vec<AnnotationOrigin>,
}

/// The run that captured a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RunOrigin {
    /// Its record.
    pub key: String,
    /// The source that it read.
    pub source: String,
    /// Of the mapping that it read it by.
    pub mapping_sha256: String,
}

/// An annotation that decides a figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
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
    of_evidence(api, insight, question, &evidence).await
}

/// Traces a figure of `insight` over evidence that was read.
///
/// # Errors
/// See [`lineage`].
pub async fn of_evidence(
    api: &Api,
    insight: &Insight,
    question: &Question,
    evidence: &Evidence,
) -> Result<Lineage, ApiError> {
    let group = evidence.group();
    let figure = group.figure(insight, group.cells());
    if figure.status == Status::Hidden {
        return Err(ApiError::TooFewPeople(evidence.scope.clone()));
    }
    let columns: Vec<String> = insight.ratio().columns().cloned().collect();
    let hidden = match group.tells_parts() {
        true => group.hidden_days(&columns),
        false => evidence.shown.iter().map(|shown| shown.pointer.partition.day).collect(),
    };
    let mut asked = format!("{:?}", (&insight.id, &question.request.scope, &question.request.sprint));
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
        let has_rows = evidence.days.contains_key(&day) || hidden.contains(&day);
        has_rows && cursor.as_ref().is_none_or(|cursor| day > cursor.after)
    };
    let mut behind = evidence.shown.iter().filter(is_on);
    let adds = Adds::Values(insight.numerator.clone());
    let passed = |shown: &&Shown| cursor.as_ref().is_some_and(|cursor| shown.pointer.partition.day <= cursor.after);
    let known = |shown: &&Shown| shown.logic.folds(insight.ratio().columns());
    let before = evidence.shown.iter().filter(passed).filter(known);
    let before = before.map(|shown| sum_on(evidence, shown.pointer.partition.day, &adds)).sum();
    let mut runs: BTreeMap<Generation, Option<RunOrigin>> = BTreeMap::new();
    let mut days = Vec::new();
    for shown in behind.by_ref().take(question.limit) {
        let generation = shown.pointer.partition.generation;
        let run = match runs.get(&generation) {
            Some(run) => run.clone(),
            None => runs.entry(generation).or_insert(run(api, generation).await?).clone(),
        };
        days.push(origin(api, insight, (evidence, &hidden), shown, run).await?);
    }
    let last = days.last().filter(|_| behind.next().is_some());
    Ok(Lineage {
        selection: evidence.selection(),
        insight: insight.id.clone(),
        numerator: figure.numerator,
        denominator: figure.denominator,
        before: hidden.is_empty().then_some(before),
        units: insight.units.clone(),
        rules: rules(api, insight, evidence),
        logics: evidence.logics(),
        next: last.map(|last| write_cursor(&Cursor { of: asked, after: last.day })),
        days,
    })
}

/// What a day adds to a number.
fn sum_on(evidence: &Evidence, day: LocalDay, adds: &Adds) -> i64 {
    let cells = evidence.days.get(&day).into_iter().flat_map(|day| &day.by_stereotype);
    cells.map(|cell: &Cell| adds.in_cell(cell)).sum()
}

/// The annotators that decide a figure of a logic: those that write its columns, and whatever those read.
fn behind(api: &Api, insight: &Insight, logic: &LogicRecord) -> BTreeSet<String> {
    let mut names: Vec<&str> = logic.writers_of(insight.ratio().columns()).into_iter().collect();
    let mut behind = BTreeSet::new();
    while let Some(name) = names.pop() {
        if behind.insert(name.to_owned()) {
            let inputs = api.register.get(name).map(|annotator| annotator.declaration.inputs.as_slice());
            names.extend(inputs.unwrap_or_default().iter().map(String::as_str));
        }
    }
    behind
}

/// The annotators behind a figure, as the logics of its days record them.
fn rules(api: &Api, insight: &Insight, evidence: &Evidence) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for Shown { logic, .. } in &evidence.shown {
        let behind = behind(api, insight, logic);
        let of = |annotator: &RecordedAnnotator| Rule {
            annotator: annotator.name.clone(),
            version: annotator.effective_version.clone(),
            history: annotator.history.iter().map(VersionNote::from).collect(),
        };
        for rule in logic.annotators.iter().filter(|annotator| behind.contains(&annotator.name)).map(of) {
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
    }
    rules
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
    let behind = behind(api, insight, logic);
    let mut annotations = Vec::new();
    for annotator in logic.annotators.iter().filter(|annotator| behind.contains(&annotator.name)) {
        let key = siblings.get(&annotator.name, &annotator.effective_version)?;
        annotations.push(AnnotationOrigin {
            annotator: annotator.name.clone(),
            version: annotator.effective_version.clone(),
            key: key.map(ToString::to_string),
        });
    }
    let told = !hidden.contains(&partition.day);
    let known = told && logic.folds(insight.ratio().columns());
    let sum = |adds: Adds| sum_on(evidence, partition.day, &adds);
    let numerator = known.then(|| sum(Adds::Values(insight.numerator.clone())));
    Ok(Origin {
        day: partition.day,
        numerator,
        denominator: Adds::below(insight.ratio()).filter(|_| known).map(sum),
        logic: logic.logic.clone(),
        generation: partition.generation,
        base: LakeKey::Activities { partition, sha256: pointer.base }.to_string(),
        sha256: pointer.base.to_string(),
        rows: api.caller.sight.is_all_of(&Scope::Organisation).then_some(pointer.total.rows),
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
