//! The activities behind a figure, from the lake, page by page. Their values add up to the figure exactly.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use shared::{
    annotator::{
        Register,
        declaration::{Denominator, Insight, Ratio, Units},
    },
    column::{Columns, NoSuchColumn},
    contribution::{Cell, Shown},
    lake::Sha256,
    time::LocalDay,
};
use utoipa::ToSchema;

use crate::{
    Api, ApiError, Request,
    access::Veil,
    answer::tells_breakdown,
    division::hidden_kinds,
    evidence::Evidence,
    figure::{Figure, Status},
    logics::{LogicRun, MissingDay},
    rows::{Adds, Batch, Day, Enough},
    selection::{InvalidParameter, Own, Selection},
};

/// Activities on a page when nobody says how many.
const DEFAULT_LIMIT: usize = 100;
/// And at most: a thousand fit well into what a function may answer.
const MAX_LIMIT: usize = 1_000;
/// Which of a figure's two numbers is traced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// What is counted.
    #[default]
    Numerator,
    /// What it is divided by.
    Denominator,
}

impl Side {
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidParameter> {
        match text {
            "numerator" => Ok(Side::Numerator),
            "denominator" => Ok(Side::Denominator),
            _ => Err(InvalidParameter::new("side", "it is numerator or denominator.")),
        }
    }
}

/// A question for the activities behind a figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Whose, and when.
    pub request: Request,
    /// A figure beside the insight's own.
    pub figure: Option<String>,
    /// A part of its breakdown.
    pub part: Option<String>,
    /// Which of the figure's numbers.
    pub side: Side,
    /// Only this kind of activity.
    pub stereotype: Option<String>,
    /// Where the last page ended.
    pub cursor: Option<String>,
    /// How many at most.
    pub limit: usize,
}

impl Question {
    /// Reads the decoded pairs of a query string.
    ///
    /// # Errors
    /// If a parameter is unknown, given twice or malformed.
    pub fn parse(pairs: Vec<(String, String)>) -> Result<Self, InvalidParameter> {
        const OWN: [&str; 6] = ["figure", "part", "side", "stereotype", "cursor", "limit"];
        let (request, mut own) = Own::divide(pairs, &OWN)?;
        Ok(Self {
            request,
            figure: own.take("figure"),
            part: own.take("part"),
            side: own.take("side").map(|side| Side::parse(&side)).transpose()?.unwrap_or_default(),
            stereotype: own.take("stereotype"),
            cursor: own.take("cursor"),
            limit: own.limit(DEFAULT_LIMIT, MAX_LIMIT)?,
        })
    }

    /// What its address says besides the selection: what is asked, and how long a page is if not as usual.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        pairs.extend(self.figure.clone().map(|figure| ("figure", figure)));
        pairs.extend(self.part.clone().map(|part| ("part", part)));
        pairs.extend((self.side == Side::Denominator).then(|| ("side", "denominator".to_owned())));
        pairs.extend(self.stereotype.clone().map(|stereotype| ("stereotype", stereotype)));
        pairs.extend((self.limit != DEFAULT_LIMIT).then(|| ("limit", self.limit.to_string())));
        pairs
    }

    /// What a cursor belongs to: the same question over the same partitions, whatever its pages' size.
    fn identity(&self, insight: &Insight, shown: &[Shown]) -> String {
        let Self { request, figure, part, side, stereotype, cursor: _, limit: _ } = self;
        let mut text = format!("{:?}", (&insight.id, &request.scope, &request.sprint, figure, part, side, stereotype));
        for Shown { logic, pointer } in shown {
            text.push_str(&format!(";{} {} {}", logic.logic, pointer.partition.day, pointer.partition.generation));
        }
        identity(&text)
    }
}

/// One activity and what it adds. Of a group, nothing says whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Activity {
    /// The source's key.
    pub activity_id: String,
    /// The local day that it starts on.
    #[schema(value_type = String, format = Date)]
    pub day: LocalDay,
    /// When it starts.
    pub started_at: DateTime<Utc>,
    /// `exact`, or `day` where the source knows the day only.
    pub clock: String,
    /// How long it took.
    pub duration_seconds: i64,
    /// The kind of activity; null where it is hidden from whoever asks.
    pub stereotype: Option<String>,
    /// Its name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stereotype_name: Option<String>,
    /// The person's team; null where it is hidden from whoever asks.
    pub team_id: Option<String>,
    /// Its sprint; null where it is hidden from whoever asks.
    pub sprint_id: Option<String>,
    /// What it adds, in the figure's unit.
    pub value: i64,
}

/// A page of activities.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Page {
    /// What was asked, as it was resolved.
    pub selection: Selection,
    /// The insight.
    pub insight: String,
    /// The figure beside it, or the part of it, if one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figure: Option<String>,
    /// See [`Page::figure`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// Which of the figure's numbers.
    pub side: Side,
    /// What `total` and the values are counted in.
    pub unit: String,
    /// The figure: the sum of the values on all pages.
    pub total: i64,
    /// Which logic each day has. Days of one that does not have the figure add nothing.
    pub logics: Vec<LogicRun>,
    /// Days that the lake knew better as of the time that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub days_missing: Vec<MissingDay>,
    /// What the activities on the pages before this one add up to.
    pub before: i64,
    /// What activities add that are not listed to whoever asks, because few people have any on their day, or the rows of the
    /// group are not told to them: `total` less all that are listed. Left out where all are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withheld: Option<i64>,
    /// The activities that add something, in order of day, start and key.
    pub activities: Vec<Activity>,
    /// Asks for the next page, as the parameter `cursor`; null on the last one.
    pub next: Option<String>,
}

/// What the number asked for consists of, its unit, and the columns without which the figure is not known.
fn asked(insight: &Insight, question: &Question) -> Result<(Adds, String, Vec<String>), InvalidParameter> {
    let not_there = |parameter: &str, names: Vec<&str>| {
        let names = if names.is_empty() { "it has none".to_owned() } else { format!("use {}", names.join(", ")) };
        InvalidParameter::new(parameter, format!("{} has nothing of this name; {names}.", insight.id))
    };
    let own: Vec<String> = insight.ratio().columns().cloned().collect();
    if let Some(label) = &question.part {
        let part = insight.breakdown.iter().find(|part| part.label == *label);
        let names = || insight.breakdown.iter().map(|part| part.label.as_str()).collect();
        let part = part.ok_or_else(|| not_there("part", names()))?;
        let columns = own.into_iter().chain(part.columns.clone()).collect();
        return Ok((Adds::Values(part.columns.clone()), insight.units.numerator.clone(), columns));
    }
    let (ratio, units) = match &question.figure {
        None => (insight.ratio(), &insight.units),
        Some(id) => {
            let beside = insight.beside.iter().find(|beside| beside.id == *id);
            let names = || insight.beside.iter().map(|beside| beside.id.as_str()).collect();
            let beside = beside.ok_or_else(|| not_there("figure", names()))?;
            (beside.ratio(), &beside.units)
        }
    };
    let Units { numerator, denominator, .. } = units.clone();
    let columns = ratio.columns().cloned().collect();
    match question.side {
        Side::Numerator => Ok((Adds::Values(ratio.numerator.to_vec()), numerator, columns)),
        Side::Denominator => {
            let undivided = || InvalidParameter::new("side", "this figure is not divided by anything.");
            Ok((Adds::below(ratio).ok_or_else(undivided)?, denominator, columns))
        }
    }
}

/// Sixteen hexadecimal digits that stand for a text.
pub(crate) fn identity(text: &str) -> String {
    Sha256::of(text).to_string().chars().take(16).collect()
}

/// Reads a cursor that [`write_cursor`] wrote.
pub(crate) fn read_cursor<T: DeserializeOwned>(text: &str) -> Result<T, InvalidParameter> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let cursor = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    cursor.ok_or_else(|| InvalidParameter::new("cursor", "it is not one that this address gave."))
}

/// A cursor as a parameter.
pub(crate) fn write_cursor(cursor: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(cursor).unwrap_or_default())
}

/// Where a page ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    /// [`Question::identity`].
    of: String,
    day: LocalDay,
    /// The last activity of the day that was listed, if one was. Where it is in the file would tell how many others are.
    after: Option<Place>,
}

/// Where an activity is among those of its day: when it starts, in microseconds since 1970, and its key. In the file they are in
/// order of people.
type Place = (i64, String);

fn activity(batch: &Batch, row: usize, day: LocalDay, value: i64) -> Result<Activity, NoSuchColumn> {
    let text = |name: &str| -> Result<Option<String>, NoSuchColumn> { Ok(batch.text(name, row)?.map(str::to_owned)) };
    let started_at = batch.rows.base.instant("started_at")?.value(row);
    Ok(Activity {
        activity_id: text("activity_id")?.unwrap_or_default(),
        day,
        started_at: DateTime::from_timestamp_micros(started_at).unwrap_or_default(),
        clock: text("clock")?.unwrap_or_default(),
        duration_seconds: batch.seconds(row)?,
        stereotype: Some(text("stereotype_code")?.unwrap_or_default()),
        stereotype_name: text("stereotype_name")?,
        team_id: text("team_id")?,
        sprint_id: text("sprint_id")?,
        value,
    })
}

/// A page of the activities behind a figure of `insight`; `evidence` answers the question's request.
///
/// # Errors
/// If the question does not fit the insight, if the days changed since its cursor was given, or if the table or the
/// lake does not answer.
pub async fn page(api: &Api, insight: &Insight, question: &Question, evidence: &Evidence) -> Result<Page, ApiError> {
    let (adds, unit, columns) = asked(insight, question)?;
    let identity = question.identity(insight, &evidence.shown);
    let cursor = question.cursor.as_deref().map(read_cursor::<Cursor>).transpose()?;
    if cursor.as_ref().is_some_and(|cursor| cursor.of != identity) {
        return Err(ApiError::CursorExpired);
    }
    let withheld = Withheld::of((&api.register, evidence), insight, question, &columns)?;
    let wanted = |cell: &&Cell| question.stereotype.is_none() || cell.key.stereotype == question.stereotype;
    let sum_on = |day: &LocalDay| -> i64 {
        let cells = evidence.days.get(day).into_iter().flat_map(|day| &day.by_stereotype).filter(wanted);
        cells.filter(|cell| !cell.lacks(&columns)).map(|cell| adds.in_cell(cell)).sum()
    };
    let total: i64 = evidence.days.keys().map(sum_on).sum();
    let adds_on = |day: &LocalDay| if withheld.days.contains(day) { 0 } else { sum_on(day) };
    let listed: i64 = evidence.days.keys().map(&adds_on).sum();
    let mut activities = Vec::new();
    let mut before = 0;
    let mut next = None;
    for shown in &evidence.shown {
        let day = shown.pointer.partition.day;
        let after = match &cursor {
            Some(cursor) if day < cursor.day => {
                before += adds_on(&day);
                continue;
            }
            Some(cursor) if day == cursor.day => cursor.after.clone(),
            _ => None,
        };
        // No value is negative: a day that adds nothing has no activity that does.
        if adds_on(&day) == 0 {
            continue;
        }
        let limit = question.limit - activities.len();
        if limit == 0 {
            next = Some(Cursor { of: identity.clone(), day, after });
            break;
        }
        let found = read_day(api, shown, question, (&adds, &withheld), after, limit).await?;
        before += found.before;
        let last = found.activities.keys().last().cloned();
        activities.extend(found.activities.into_values());
        if found.more {
            next = Some(Cursor { of: identity.clone(), day, after: last });
            break;
        }
    }
    Ok(Page {
        selection: evidence.selection(),
        insight: insight.id.clone(),
        figure: question.figure.clone(),
        part: question.part.clone(),
        side: question.side,
        unit,
        total,
        logics: evidence.logics(),
        days_missing: evidence.missing.clone(),
        before,
        withheld: (listed != total).then_some(total - listed),
        activities,
        next: next.as_ref().map(write_cursor),
    })
}

/// What is not told of a group's rows to whoever asks. Those that are listed can be told apart by day, kind, team and sprint.
/// A day has to be about enough people, and so have those that are left. A row of a kind that is not is listed without it: a day
/// less its rows would else be what few people did.
#[derive(Debug, Clone, Default)]
struct Withheld {
    days: BTreeSet<LocalDay>,
    kinds: BTreeSet<String>,
    veil: Veil,
    /// Whether a row says its team only if that is one's own, and its sprint not at all.
    of_members: bool,
}

impl Withheld {
    /// # Errors
    /// If what is asked for is hidden as a whole.
    fn of(
        (register, evidence): (&Register, &Evidence),
        insight: &Insight,
        question: &Question,
        columns: &[String],
    ) -> Result<Self, ApiError> {
        let group = evidence.group();
        if group.quorum.asks_nothing() {
            return Ok(Self::default());
        }
        let of = |columns: &[String]| {
            let denominator = Denominator::None;
            let ratio = Ratio { numerator: columns, denominator: &denominator };
            Figure::of(ratio, None, group.grounds()).status
        };
        let hidden = group.figure(insight, group.cells()).status == Status::Hidden || of(columns) == Status::Hidden;
        // What is beside a figure is told of one's own only.
        let hidden = hidden || (question.figure.is_some() && !group.is_own());
        let hidden = hidden || (question.part.is_some() && !tells_breakdown(register, &group));
        // Which rows are listed must not depend on which of the insight's figures they are listed of.
        let own: Vec<String> = insight.ratio().columns().cloned().collect();
        let judged = [&own, columns].concat();
        let kinds = hidden_kinds(&group, &judged);
        let told: BTreeSet<&String> = group.cells().filter_map(|cell| cell.key.stereotype.as_ref()).collect();
        // Whether there is a kind at all is told with its rows.
        if hidden || question.stereotype.as_ref().is_some_and(|kind| kinds.contains(kind) || !told.contains(kind)) {
            return Err(ApiError::TooFewPeople(question.request.scope.clone()));
        }
        let mut days = group.hidden_days(&judged);
        days.extend(group.hidden_days(&own));
        Ok(Self { days, kinds, veil: evidence.veil.clone(), of_members: true })
    }

    /// An activity with what may be said of it.
    fn masked(&self, mut activity: Activity) -> Activity {
        let of_others = self.of_members && !activity.team_id.as_ref().is_some_and(|team| self.veil.is_own(team));
        activity.team_id.take_if(|_| of_others);
        // A guest is few in a sprint.
        activity.sprint_id.take_if(|_| self.of_members);
        if activity.stereotype.as_ref().is_some_and(|kind| self.kinds.contains(kind)) {
            (activity.stereotype, activity.stereotype_name) = (None, None);
        }
        activity
    }
}

/// What a day's file has.
#[derive(Default)]
struct Found {
    activities: BTreeMap<Place, Activity>,
    /// What the activities before these add up to.
    before: i64,
    /// Whether there are more.
    more: bool,
}

/// The first `limit` activities of a day that add something, after a place.
async fn read_day(
    api: &Api,
    Shown { logic, pointer }: &Shown,
    question: &Question,
    (adds, withheld): (&Adds, &Withheld),
    after: Option<Place>,
    limit: usize,
) -> Result<Found, ApiError> {
    let day = pointer.partition.day;
    let (scope, stereotype, adds) = (question.request.scope.clone(), question.stereotype.clone(), adds.clone());
    let sprint = question.request.sprint.clone();
    let withheld = withheld.clone();
    let files = Day::fetch(api, pointer, logic, adds.columns().iter()).await?;
    let read = move |found: &mut Found, batch: &Batch, _: usize| {
        for row in 0..batch.rows.len() {
            if !batch.is_of(row, &scope, stereotype.as_deref())? {
                continue;
            }
            if sprint.is_some() && batch.text("sprint_id", row)? != sprint.as_deref() {
                continue;
            }
            let value = batch.value(row, &adds)?;
            if value == 0 {
                continue;
            }
            let started_at = batch.rows.base.instant("started_at")?.value(row);
            let place = (started_at, batch.text("activity_id", row)?.unwrap_or_default().to_owned());
            if after.as_ref().is_some_and(|after| place <= *after) {
                found.before += value;
                continue;
            }
            if found.activities.len() == limit {
                found.more = true;
                if found.activities.keys().last().is_some_and(|last| place > *last) {
                    continue;
                }
                found.activities.pop_last();
            }
            found.activities.insert(place, withheld.masked(activity(batch, row, day, value)?));
        }
        Ok(Enough::No)
    };
    files.read(Found::default(), read).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shared::contribution::{LogicRecord, Pointer};

    use super::*;
    use crate::sample::register;

    fn question(pairs: &[(&str, &str)]) -> Result<Question, InvalidParameter> {
        Question::parse(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        for (pairs, parameter) in [
            (vec![("limit", "0")], "limit"),
            (vec![("limit", "1001")], "limit"),
            (vec![("side", "left")], "side"),
            (vec![("part", "a"), ("part", "b")], "part"),
            (vec![("person", "1")], "person"),
        ] {
            assert_eq!(question(&pairs).unwrap_err().parameter, parameter, "{pairs:?}");
        }
        assert_eq!(read_cursor::<Cursor>("e30").unwrap_err().parameter, "cursor");
    }

    #[test]
    fn a_figure_that_an_insight_does_not_have_is_refused_with_those_that_it_has() {
        let register = register();
        let insight = register.insights().find(|insight| insight.id == "automatable").unwrap();
        let refused = asked(insight, &question(&[("figure", "rework")]).unwrap()).unwrap_err();
        assert_eq!(refused.parameter, "figure");
        let (adds, unit, _) = asked(insight, &question(&[("side", "denominator")]).unwrap()).unwrap();
        assert_eq!(adds, Adds::Duration { column: "automatable_seconds".into(), covered: true });
        assert_eq!(unit, "seconds");
    }

    #[test]
    fn a_cursor_belongs_to_its_question_and_its_generations() {
        let register = register();
        let insight = register.insights().next().unwrap();
        let logic = Arc::new(LogicRecord::of(&register, DateTime::default()));
        let shown = |generation: &str| Shown {
            logic: logic.clone(),
            pointer: Pointer {
                partition: shared::lake::Partition {
                    day: "2026-01-05".parse().unwrap(),
                    generation: generation.parse().unwrap(),
                },
                base: Sha256::of("x"),
                total: shared::contribution::Extent::default(),
                evidence: BTreeSet::new(),
            },
        };
        let (old, new) = ([shown("20260106T060000Z")], [shown("20260107T060000Z")]);
        let all = question(&[]).unwrap();
        assert_eq!(all.identity(insight, &old), question(&[("limit", "7")]).unwrap().identity(insight, &old));
        assert_ne!(all.identity(insight, &old), all.identity(insight, &new));
        let one = question(&[("stereotype", "coding")]).unwrap();
        assert_ne!(all.identity(insight, &old), one.identity(insight, &old));
        let cursor = Cursor { of: "x".into(), day: "2026-01-05".parse().unwrap(), after: Some((7, "1".into())) };
        assert_eq!(read_cursor(&write_cursor(&cursor)), Ok(cursor));
    }
}
