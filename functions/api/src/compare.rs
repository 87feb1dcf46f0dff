//! Two logics over the same days: what each says, and how much of the difference is the rule and how much the data.
//!
//! For each day, with A at generation G_A and B at G_B: logic effect = B(G_A) − A(G_A), on the same rows; data effect =
//! B(G_B) − B(G_A), under the same rule, divided into rows deleted, changed and added. Both are sums of whole numbers, so
//! together they are the difference exactly. A day on which B never folded G_A cannot be divided and is left out, and said.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use shared::{
    annotator::{
        Logic,
        declaration::{Insight, Units},
    },
    contribution::{Cell, Contribution, LogicRecord, NOT_COMPUTED, Pointer, Scope},
    lake::Partition,
    time::LocalDay,
};

use utoipa::ToSchema;

use crate::{
    Api, ApiError, Request,
    access::quorum::Quorum,
    activities::{Side, identity, read_cursor, write_cursor},
    directory::Directory,
    evidence::Days,
    figure::{Figure, Grounds, NO_ACTIVITY, Status},
    openapi,
    rows::{Adds, Batch, Day, Enough},
    selection::{InvalidParameter, Own, Range, Selection},
};

/// Days whose rows are read at the same time.
const READ_AT_ONCE: usize = 4;
/// Restated days whose rows are read to divide the data effect; of a longer range only its sum is given.
const MAX_RESTATED: usize = 31;
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

/// What is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Whose, and when. Its `logic` is the old one; without it, the newest before the new one.
    pub request: Request,
    /// The new logic; the program's own, if none is named.
    pub with: Option<Logic>,
    /// The insight whose activities are listed, if any.
    pub insight: Option<String>,
    /// Which of its numbers.
    pub side: Side,
    /// Where the last page ended.
    pub cursor: Option<String>,
    /// Activities on a page at most.
    pub limit: usize,
}

impl Question {
    /// Reads the decoded pairs of a query string.
    ///
    /// # Errors
    /// If a parameter is unknown, given twice or malformed.
    pub fn parse(pairs: Vec<(String, String)>) -> Result<Self, InvalidParameter> {
        const OWN: [&str; 5] = ["with", "insight", "side", "cursor", "limit"];
        let (request, mut own) = Own::divide(pairs, &OWN)?;
        if request.as_of.is_some() {
            return Err(InvalidParameter::new("as_of", "a comparison is of what is current; leave it out."));
        }
        if request.sprint.is_some() {
            let detail = "a comparison knows whole scopes only; leave it out, or ask for scope=sprint:ID.";
            return Err(InvalidParameter::new("sprint", detail));
        }
        let malformed = |error| InvalidParameter::new("with", format!("{error}."));
        let side = own.take("side").map(|side| Side::parse(&side)).transpose()?;
        let question = Self {
            with: own.take("with").map(|with| with.parse().map_err(malformed)).transpose()?,
            insight: own.take("insight"),
            side: side.unwrap_or_default(),
            cursor: own.take("cursor"),
            limit: own.limit(DEFAULT_LIMIT, MAX_LIMIT)?,
            ..Self::of(request)
        };
        if question.insight.is_none() && (question.cursor.is_some() || side.is_some()) {
            return Err(InvalidParameter::new("insight", "say whose activities; /v1/insights lists every insight."));
        }
        Ok(question)
    }

    /// The figures of a selection, without activities.
    pub fn of(request: Request) -> Self {
        Self { request, with: None, insight: None, side: Side::default(), cursor: None, limit: DEFAULT_LIMIT }
    }

    /// What its address says besides the selection and where the page begins.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        pairs.extend(self.with.as_ref().map(|with| ("with", with.to_string())));
        pairs.extend(self.insight.clone().map(|insight| ("insight", insight)));
        pairs.extend((self.side == Side::Denominator).then(|| ("side", "denominator".to_owned())));
        pairs.extend((self.limit != DEFAULT_LIMIT).then(|| ("limit", self.limit.to_string())));
        pairs
    }
}

/// Two logics, compared.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Comparison {
    /// What it is about. `days_captured` are the days compared.
    pub selection: Selection,
    /// The old logic.
    #[schema(value_type = String, example = "5ee12be1dcea")]
    pub logic: Logic,
    /// The new one.
    #[schema(value_type = String, example = "5ee12be1dcea")]
    pub with: Logic,
    /// What changed from one to the other, in the register's words.
    pub changes: Vec<String>,
    /// Whether the days could be compared: all, some or none of them.
    pub status: Status,
    /// Days that the two show at different generations.
    pub days_restated: usize,
    /// Days that cannot be compared, with what makes them so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub days_missing: Vec<Incomparable>,
    /// Every insight of the program, over the days compared.
    pub insights: Vec<Difference>,
    /// The activities that one logic values otherwise than the other, where an insight was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flips: Option<Flips>,
}

/// A day that cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Incomparable {
    /// The day.
    #[schema(value_type = String, format = Date)]
    pub day: LocalDay,
    /// The logic that lacks it.
    #[schema(value_type = String, example = "5ee12be1dcea")]
    pub logic: Logic,
    /// The command that makes it, for the program that runs that logic.
    pub command: String,
}

/// What two logics say of one insight.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Difference {
    /// The insight's stable name.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// What is counted above and below the line.
    #[schema(value_type = openapi::Units)]
    pub units: Units,
    /// Whether both can tell.
    pub status: Status,
    /// Why one of them cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is counted.
    pub numerator: Option<Split>,
    /// What it is divided by.
    pub denominator: Option<Split>,
    /// The old ratio; null where there is none.
    pub old_ratio: Option<f64>,
    /// The new one.
    pub new_ratio: Option<f64>,
    /// New − old.
    pub delta_ratio: Option<f64>,
}

/// A difference and what it consists of: `delta = new − old = logic_effect + data_effect`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Split {
    /// What the old logic says of the days as it shows them.
    pub old: i64,
    /// What the new one says of them as it shows them.
    pub new: i64,
    /// New − old.
    pub delta: i64,
    /// What the rule changes on the old logic's data.
    pub logic_effect: i64,
    /// What the data changes under the new rule.
    pub data_effect: i64,
    /// The rows behind the data effect; null where too many days were restated to read them.
    pub rows: Option<RowEffects>,
}

/// `data_effect = deleted + changed + added`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct RowEffects {
    /// Rows that are no longer in the selection.
    pub deleted: i64,
    /// Rows that were and still are.
    pub changed: i64,
    /// Rows that were not.
    pub added: i64,
}

/// The activities that two logics value differently on the same data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Flips {
    /// Of which insight.
    pub insight: String,
    /// Which of its numbers.
    pub side: Side,
    /// What the values are counted in.
    pub unit: String,
    /// How many activities on all pages.
    pub count: usize,
    /// The logic effect: the sum of their differences.
    pub difference: i64,
    /// The same by kind of activity, largest difference first.
    pub by_stereotype: Vec<FlippedKind>,
    /// The activities, largest difference first.
    pub activities: Vec<Flip>,
    /// Asks for the next page, as the parameter `cursor`; null on the last one.
    pub next: Option<String>,
}

/// The flipped activities of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct FlippedKind {
    /// Its code.
    pub stereotype: String,
    /// Its name for people.
    pub name: String,
    /// How many.
    pub activities: usize,
    /// How long they took.
    pub duration_seconds: i64,
    /// What they add under the old logic.
    pub old: i64,
    /// And under the new one.
    pub new: i64,
    /// New − old.
    pub difference: i64,
}

/// One activity that flipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Flip {
    /// The source's key.
    pub activity_id: String,
    /// Its day.
    #[schema(value_type = String, format = Date)]
    pub day: LocalDay,
    /// The kind of activity.
    pub stereotype: String,
    /// How long it took.
    pub duration_seconds: i64,
    /// What it adds under the old logic.
    pub old: i64,
    /// And under the new one.
    pub new: i64,
    /// New − old.
    pub difference: i64,
}

impl Flip {
    /// Largest first; no two are equal.
    fn place(&self) -> Place {
        Place { size: Reverse(self.difference.unsigned_abs()), day: self.day, activity: self.activity_id.clone() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Place {
    size: Reverse<u64>,
    day: LocalDay,
    activity: String,
}

#[derive(Serialize, Deserialize)]
struct Cursor {
    of: String,
    after: Place,
}

/// A day that both logics have, and the new one at both generations.
struct Pair {
    /// As the old logic shows it.
    old: Pointer,
    /// The same partition under the new logic.
    common: Pointer,
    /// As the new logic shows it.
    new: Pointer,
}

impl Pair {
    fn restated(&self) -> bool {
        self.old.partition != self.new.partition
    }
}

/// What a comparison rests on: enough to know whether it is still the same, before it is made.
pub struct Ground {
    old: Arc<LogicRecord>,
    new: Arc<LogicRecord>,
    range: Option<Range>,
    directory: Arc<Directory>,
    pairs: Vec<Pair>,
    missing: Vec<Incomparable>,
}

impl Ground {
    /// Finds it: the logics, the newest day of each, and of each the days of the range.
    ///
    /// # Errors
    /// [`ApiError::AnalystsOnly`] to whoever does not see every row that it is about: a rule that changes may change one
    /// row, and then the difference is that row. If a logic is not known, or if the table or the lake does not answer.
    pub async fn find(api: &Api, question: &Question) -> Result<Self, ApiError> {
        if !api.caller.sight.is_all_of(&question.request.scope) {
            return Err(ApiError::AnalystsOnly(question.request.scope.clone()));
        }
        let (old, new) = logics(api, question).await?;
        let directory = api.directory(None).await?;
        let newest = api.newest(&[new.clone(), old.clone()]).await?;
        let range = question.request.resolve(newest.map(|newest| newest.partition.day));
        let (mut pairs, mut missing) = (Vec::new(), Vec::new());
        if let Some(range) = range.filter(|range| range.days() > 0) {
            (pairs, missing) = pair(api, &old, &new, range.from, range.last()).await?;
        }
        Ok(Self { old, new, range, directory, pairs, missing })
    }

    /// All that a comparison depends on besides the question, the settings and the program.
    pub fn identity(&self) -> String {
        let (old, new) = (&self.old.logic, &self.new.logic);
        let mut identity = format!("{old} {new} {:?} {} {:?}", self.range, self.directory.identity(), self.missing);
        for pair in &self.pairs {
            identity.push_str(&format!(";{} {}", pair.old.partition, pair.new.partition.generation));
        }
        identity
    }
}

/// Compares.
///
/// # Errors
/// If a logic, the scope, the insight or the cursor is not known, or if the table or the lake does not answer.
pub async fn compare(api: &Api, question: &Question) -> Result<Comparison, ApiError> {
    of_ground(api, question, Ground::find(api, question).await?).await
}

/// Compares on a ground that was found.
///
/// # Errors
/// See [`compare`].
pub async fn of_ground(api: &Api, question: &Question, ground: Ground) -> Result<Comparison, ApiError> {
    let Ground { old, new, range, directory, pairs, missing: days_missing } = ground;
    let request = &question.request;
    let of = |logic: Arc<LogicRecord>, pointers: Vec<Pointer>| async move {
        let days = api.store.contributions(&logic.logic, &request.scope, &pointers).await?;
        Ok::<Days, ApiError>(days)
    };
    let pointers = |which: fn(&Pair) -> &Pointer| pairs.iter().map(which).cloned().collect::<Vec<_>>();
    let (was, between, is) = futures::try_join!(
        of(old.clone(), pointers(|pair| &pair.old)),
        of(new.clone(), pointers(|pair| &pair.common)),
        of(new.clone(), pointers(|pair| &pair.new)),
    )?;
    if was.is_empty() && is.is_empty() && !directory.knows(&request.scope) {
        return Err(ApiError::UnknownScope(request.scope.clone()));
    }
    let numbers = Numbers::of(api, &old, &new);
    let effects = row_effects(api, &new, &pairs, &request.scope, &numbers).await?;
    let evident = |pointers: Vec<Pointer>| pointers.into_iter().flat_map(|pointer| pointer.evidence).collect();
    let evident: (BTreeSet<String>, BTreeSet<String>) = (evident(pointers(|p| &p.old)), evident(pointers(|p| &p.new)));
    let difference = |insight: &Insight| {
        let figure = |days: &Days, evident: &BTreeSet<String>| {
            let grounds = Grounds { cells: cells(days), evident, quorum: &Quorum::default() };
            Figure::of(insight.ratio(), insight.evidence.as_ref(), grounds)
        };
        let known = old.folds(insight.ratio().columns()) && new.folds(insight.ratio().columns());
        let (before, after) = (figure(&was, &evident.0), figure(&is, &evident.1));
        let split = |side: Side| {
            let index = numbers.index(&insight.id, side)?;
            let adds = &numbers.adds[index].2;
            let sum = |days: &Days| cells(days).map(|cell| adds.in_cell(cell)).sum::<i64>();
            let (old, between, new) = (sum(&was), sum(&between), sum(&is));
            let rows = effects.as_ref().map(|effects| effects[index]);
            let (logic_effect, data_effect) = (between - old, new - between);
            Some(Split { old, new, delta: new - old, logic_effect, data_effect, rows })
        };
        // No rows on one side only is a difference, too: they add nothing.
        let idle = |reason: &Option<String>| reason.as_deref() == Some(NO_ACTIVITY);
        let reason = match (known, &before.reason, &after.reason) {
            (false, ..) => Some(NOT_COMPUTED.to_owned()),
            (true, old, None) if idle(old) => None,
            (true, None, new) if idle(new) => None,
            (true, old, new) => old.clone().or(new.clone()),
        };
        let told = reason.is_none();
        let partial = before.status == Status::Partial || after.status == Status::Partial;
        let (old_ratio, new_ratio) = (before.ratio.filter(|_| told), after.ratio.filter(|_| told));
        Difference {
            id: insight.id.clone(),
            title: insight.title.clone(),
            units: insight.units.clone(),
            status: match (told, partial) {
                (false, _) => Status::NotMeasurable,
                (true, true) => Status::Partial,
                (true, false) => Status::Measured,
            },
            reason,
            numerator: split(Side::Numerator).filter(|_| told),
            denominator: split(Side::Denominator).filter(|_| told),
            old_ratio,
            new_ratio,
            delta_ratio: old_ratio.zip(new_ratio).map(|(old, new)| new - old),
        }
    };
    let insights: Vec<Difference> = api.register.insights().map(difference).collect();
    let flips = match &question.insight {
        Some(id) => Some(flips(api, question, id, (&old, &new), &pairs, &numbers).await?),
        None => None,
    };
    let flips = flips.map(|mut flips| {
        flips.by_stereotype.iter_mut().for_each(|kind| kind.name = directory.stereotype(&kind.stereotype));
        flips
    });
    Ok(Comparison {
        selection: Selection {
            scope: request.scope.clone(),
            name: directory.name(&request.scope),
            sprint: None,
            sprint_name: None,
            from: range.map(|range| range.from),
            to: range.map(|range| range.to),
            days_captured: pairs.len(),
            logic: Some(old.logic.clone()),
            as_of: None,
        },
        logic: old.logic.clone(),
        with: new.logic.clone(),
        changes: new.changes_since(&old),
        status: match (pairs.is_empty(), days_missing.is_empty()) {
            (true, _) => Status::NotMeasurable,
            (false, true) => Status::Measured,
            (false, false) => Status::Partial,
        },
        days_restated: pairs.iter().filter(|pair| pair.restated()).count(),
        days_missing,
        insights,
        flips,
    })
}

/// The two logics: those that were named, else the program's own and the newest before it.
async fn logics(api: &Api, question: &Question) -> Result<(Arc<LogicRecord>, Arc<LogicRecord>), ApiError> {
    let new = match &question.with {
        Some(logic) => api.logic("with", logic).await?,
        None => api.logic("with", api.register.logic()).await?,
    };
    let old = match &question.request.logic {
        Some(logic) => api.logic("logic", logic).await?,
        None => {
            let before = LogicRecord::order((*new).clone(), api.store.logics().await?).into_iter().nth(1);
            let none = || InvalidParameter::new("logic", format!("there is no logic before {}; name one.", new.logic));
            before.ok_or_else(none)?
        }
    };
    Ok((old, new))
}

/// The days that can be compared, and those that cannot.
async fn pair(
    api: &Api,
    old: &LogicRecord,
    new: &LogicRecord,
    from: LocalDay,
    to: LocalDay,
) -> Result<(Vec<Pair>, Vec<Incomparable>), ApiError> {
    let (shown_old, shown_new, folded) = futures::try_join!(
        api.store.pointers(&old.logic, from, to),
        api.store.pointers(&new.logic, from, to),
        api.store.generations(&new.logic, from, to),
    )?;
    let folded: HashMap<Partition, Pointer> = folded.into_iter().map(|pointer| (pointer.partition, pointer)).collect();
    let by_day = |pointers: Vec<Pointer>| -> BTreeMap<LocalDay, Pointer> {
        pointers.into_iter().map(|pointer| (pointer.partition.day, pointer)).collect()
    };
    let (shown_old, mut shown_new) = (by_day(shown_old), by_day(shown_new));
    let rewind = |day: LocalDay| format!("wastewalk rewind --from {day} --to {}", day.plus(1));
    let (mut pairs, mut missing) = (Vec::new(), Vec::new());
    for (day, shown) in shown_old {
        let generation = shown.partition.generation;
        let lacks = |command| Incomparable { day, logic: new.logic.clone(), command };
        match (folded.get(&shown.partition), shown_new.remove(&day)) {
            (Some(common), Some(new)) => pairs.push(Pair { common: common.clone(), old: shown, new }),
            (None, Some(_)) => missing.push(lacks(format!("{} --as-of {generation}", rewind(day)))),
            (_, None) => missing.push(lacks(rewind(day))),
        }
    }
    let unknown = shown_new.into_keys();
    missing.extend(unknown.map(|day| Incomparable { day, logic: old.logic.clone(), command: rewind(day) }));
    missing.sort_by_key(|missing| missing.day);
    Ok((pairs, missing))
}

fn cells(days: &Days) -> impl Iterator<Item = &Cell> {
    days.values().flat_map(|day: &Contribution| &day.by_stereotype)
}

/// The numbers above and below the line of every insight that both logics have.
struct Numbers {
    adds: Vec<(String, Side, Adds)>,
}

impl Numbers {
    fn of(api: &Api, old: &LogicRecord, new: &LogicRecord) -> Self {
        let mut adds = Vec::new();
        for insight in api.register.insights() {
            let ratio = insight.ratio();
            if old.folds(ratio.columns()) && new.folds(ratio.columns()) {
                adds.push((insight.id.clone(), Side::Numerator, Adds::Values(ratio.numerator.to_vec())));
                adds.extend(Adds::below(ratio).map(|below| (insight.id.clone(), Side::Denominator, below)));
            }
        }
        Self { adds }
    }

    fn index(&self, insight: &str, side: Side) -> Option<usize> {
        self.adds.iter().position(|(id, of, _)| id == insight && *of == side)
    }

    fn adds(&self) -> Arc<[Adds]> {
        self.adds.iter().map(|(_, _, adds)| adds.clone()).collect()
    }
}

type RowValues = HashMap<String, Box<[i64]>>;

/// The rows behind the data effect of each number; `None` if there are too many days to read.
async fn row_effects(
    api: &Api,
    new: &Arc<LogicRecord>,
    pairs: &[Pair],
    scope: &Scope,
    numbers: &Numbers,
) -> Result<Option<Vec<RowEffects>>, ApiError> {
    let restated: Vec<(Pointer, Pointer)> =
        pairs.iter().filter(|pair| pair.restated()).map(|pair| (pair.common.clone(), pair.new.clone())).collect();
    if restated.len() > MAX_RESTATED {
        return Ok(None);
    }
    let adds = numbers.adds();
    let of_day = |(before, after): (Pointer, Pointer)| {
        let adds = adds.clone();
        async move {
            let before = values(api, &before, new, scope, &adds).await?;
            let after = values(api, &after, new, scope, &adds).await?;
            Ok::<_, ApiError>(effects_of(before, &after, adds.len()))
        }
    };
    let days: Vec<Vec<RowEffects>> = stream::iter(restated).map(of_day).buffered(READ_AT_ONCE).try_collect().await?;
    let mut total = vec![RowEffects::default(); adds.len()];
    for day in days {
        for (sum, effects) in total.iter_mut().zip(day) {
            sum.deleted += effects.deleted;
            sum.changed += effects.changed;
            sum.added += effects.added;
        }
    }
    Ok(Some(total))
}

/// What each row of a scope adds to each number.
async fn values(
    api: &Api,
    pointer: &Pointer,
    logic: &Arc<LogicRecord>,
    scope: &Scope,
    adds: &Arc<[Adds]>,
) -> Result<RowValues, ApiError> {
    let day = Day::fetch(api, pointer, logic, adds.iter().flat_map(Adds::columns)).await?;
    let (scope, adds) = (scope.clone(), adds.clone());
    let read = move |values: &mut RowValues, batch: &Batch, _| {
        for row in 0..batch.rows.len() {
            if batch.is_of(row, &scope, None)? {
                let of_row = adds.iter().map(|adds| batch.value(row, adds)).collect::<Result<_, _>>()?;
                values.insert(batch.text("activity_id", row)?.unwrap_or_default().to_owned(), of_row);
            }
        }
        Ok(Enough::No)
    };
    day.read(RowValues::new(), read).await
}

fn effects_of(mut before: RowValues, after: &RowValues, numbers: usize) -> Vec<RowEffects> {
    let mut effects = vec![RowEffects::default(); numbers];
    for (id, new) in after {
        let old = before.remove(id);
        for (index, effect) in effects.iter_mut().enumerate() {
            match &old {
                Some(old) => effect.changed += new[index] - old[index],
                None => effect.added += new[index],
            }
        }
    }
    for old in before.values() {
        effects.iter_mut().zip(old).for_each(|(effect, value)| effect.deleted -= value);
    }
    effects
}

async fn flips(
    api: &Api,
    question: &Question,
    id: &str,
    (old, new): (&Arc<LogicRecord>, &Arc<LogicRecord>),
    pairs: &[Pair],
    numbers: &Numbers,
) -> Result<Flips, ApiError> {
    let insight = api.register.insights().find(|insight| insight.id == id);
    let insight = insight.ok_or_else(|| ApiError::UnknownInsight(id.to_owned()))?;
    let unit = match question.side {
        Side::Numerator => &insight.units.numerator,
        Side::Denominator => &insight.units.denominator,
    };
    let mut asked = format!("{:?}", (id, question.side, &question.request.scope, &old.logic, &new.logic));
    pairs.iter().for_each(|pair| asked.push_str(&format!(";{}", pair.old.partition)));
    let asked = identity(&asked);
    let cursor = question.cursor.as_deref().map(read_cursor::<Cursor>).transpose()?;
    if cursor.as_ref().is_some_and(|cursor| cursor.of != asked) {
        return Err(ApiError::CursorExpired);
    }
    let mut flips = Flips {
        insight: id.to_owned(),
        side: question.side,
        unit: unit.clone(),
        count: 0,
        difference: 0,
        by_stereotype: Vec::new(),
        activities: Vec::new(),
        next: None,
    };
    let Some(index) = numbers.index(id, question.side) else { return Ok(flips) };
    let adds = numbers.adds[index].2.clone();
    // Annotations of the same version are the same bytes: nothing can have flipped.
    let version = |logic: &LogicRecord, writer: &str| logic.annotator(writer).map(|a| a.effective_version.clone());
    if old.writers_of(adds.columns()).iter().all(|writer| version(old, writer) == version(new, writer)) {
        return Ok(flips);
    }
    let pointers: Vec<Pointer> = pairs.iter().map(|pair| pair.old.clone()).collect();
    let of_day = |pointer: Pointer| {
        let adds = adds.clone();
        async move { flips_of(api, &pointer, (old, new), &question.request.scope, adds).await }
    };
    let mut days = stream::iter(pointers).map(of_day).buffered(READ_AT_ONCE);
    let mut kinds: BTreeMap<String, FlippedKind> = BTreeMap::new();
    // One more than a page, to know whether there is another.
    let mut page: BTreeMap<Place, Flip> = BTreeMap::new();
    while let Some(day) = days.try_next().await? {
        for flip in day {
            flips.count += 1;
            flips.difference += flip.difference;
            let kind = kinds.entry(flip.stereotype.clone()).or_default();
            kind.activities += 1;
            kind.duration_seconds += flip.duration_seconds;
            kind.old += flip.old;
            kind.new += flip.new;
            kind.difference += flip.difference;
            let place = flip.place();
            if cursor.as_ref().is_none_or(|cursor| place > cursor.after) {
                page.insert(place, flip);
                if page.len() > question.limit + 1 {
                    page.pop_last();
                }
            }
        }
    }
    let more = page.len() > question.limit;
    flips.activities = page.into_values().take(question.limit).collect();
    let last = flips.activities.last().filter(|_| more);
    flips.next = last.map(|last| write_cursor(&Cursor { of: asked.clone(), after: last.place() }));
    flips.by_stereotype = kinds.into_iter().map(|(stereotype, kind)| FlippedKind { stereotype, ..kind }).collect();
    flips.by_stereotype.sort_by_key(|kind| Reverse(kind.difference.unsigned_abs()));
    Ok(flips)
}

/// The activities of a day, at the generation that the old logic shows, that the two value differently.
async fn flips_of(
    api: &Api,
    pointer: &Pointer,
    (old, new): (&Arc<LogicRecord>, &Arc<LogicRecord>),
    scope: &Scope,
    adds: Adds,
) -> Result<Vec<Flip>, ApiError> {
    let day = pointer.partition.day;
    let before = Day::fetch(api, pointer, old, adds.columns().iter()).await?;
    let (of, counted) = (scope.clone(), adds.clone());
    let read = move |values: &mut Vec<i64>, batch: &Batch, _| {
        for row in 0..batch.rows.len() {
            if batch.is_of(row, &of, None)? {
                values.push(batch.value(row, &counted)?);
            }
        }
        Ok(Enough::No)
    };
    let values = before.read(Vec::new(), read).await?;
    let after = Day::fetch(api, pointer, new, adds.columns().iter()).await?;
    let scope = scope.clone();
    // The same base: the same rows in the same order.
    let mut values = values.into_iter();
    let read = move |flips: &mut Vec<Flip>, batch: &Batch, _| {
        for row in 0..batch.rows.len() {
            if !batch.is_of(row, &scope, None)? {
                continue;
            }
            let (old, new) = (values.next().unwrap_or_default(), batch.value(row, &adds)?);
            if old != new {
                flips.push(Flip {
                    activity_id: batch.text("activity_id", row)?.unwrap_or_default().to_owned(),
                    day,
                    stereotype: batch.text("stereotype_code", row)?.unwrap_or_default().to_owned(),
                    duration_seconds: batch.seconds(row)?,
                    old,
                    new,
                    difference: new - old,
                });
            }
        }
        Ok(Enough::No)
    };
    after.read(Vec::new(), read).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effects_of_rows_add_up_to_the_difference() {
        // Deterministic and varied: rows come, go, change and stay.
        let mut state = 7_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..200 {
            let mut rows = |of: u64| -> RowValues {
                let ids = 0..random(20) + of;
                ids.map(|_| (random(30).to_string(), [random(100) as i64, random(100) as i64].into())).collect()
            };
            let (before, after) = (rows(0), rows(1));
            let sum = |rows: &RowValues, index: usize| rows.values().map(|values| values[index]).sum::<i64>();
            let expected = [0, 1].map(|index| sum(&after, index) - sum(&before, index));
            let effects = effects_of(before, &after, 2);
            let found = [0, 1].map(|index: usize| {
                let RowEffects { deleted, changed, added } = effects[index];
                deleted + changed + added
            });
            assert_eq!(found, expected);
            assert!(effects.iter().all(|effect| effect.deleted <= 0 && effect.added >= 0));
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        let parse = |pairs: &[(&str, &str)]| {
            Question::parse(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        };
        for (pairs, parameter) in [
            (vec![("with", "x")], "with"),
            (vec![("limit", "0")], "limit"),
            (vec![("side", "denominator")], "insight"),
            (vec![("insight", "waste"), ("side", "up")], "side"),
            (vec![("as_of", "20260101T000000Z")], "as_of"),
            (vec![("scope", "team:1"), ("sprint", "s")], "sprint"),
            (vec![("with", "0123456789ab"), ("with", "0123456789ab")], "with"),
        ] {
            assert_eq!(parse(&pairs).unwrap_err().parameter, parameter, "{pairs:?}");
        }
    }
}
