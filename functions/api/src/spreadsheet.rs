//! Answers as CSV (RFC 4180): the same numbers, unrounded, one thing a line. Every line says what it is about, so that
//! files can be put together.

use axum::{
    body::Body,
    http::header,
    response::{IntoResponse, Response},
};
use csv::{QuoteStyle, Terminator, WriterBuilder};
use serde::Serialize;
use shared::annotator::Logic;

use crate::{
    activities::Page,
    answer::Answer,
    figure::Figure,
    finding::Finding,
    selection::Selection,
    trend::{Course, Granularity, Marker, Period},
};

/// The series of a trend that is shown.
const SHOWN: &str = "shown";

/// One answer as lines of cells.
#[derive(Debug, Clone, PartialEq)]
pub struct Spreadsheet {
    name: &'static str,
    lines: Vec<Vec<Cell>>,
}

/// One cell.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Text(String),
    Whole(i64),
    Fraction(f64),
    Nothing,
}

impl Cell {
    fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A state as the JSON answer writes it.
    fn word(word: impl Serialize) -> Self {
        match serde_json::to_value(word) {
            Ok(serde_json::Value::String(word)) => Self::Text(word),
            _ => Self::Nothing,
        }
    }

    fn written(&self) -> String {
        match self {
            Self::Text(text) => harmless(text),
            Self::Whole(number) => number.to_string(),
            Self::Fraction(number) => number.to_string(),
            Self::Nothing => String::new(),
        }
    }
}

impl From<Option<i64>> for Cell {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Self::Nothing, Self::Whole)
    }
}

impl From<Option<f64>> for Cell {
    fn from(number: Option<f64>) -> Self {
        number.map_or(Self::Nothing, Self::Fraction)
    }
}

impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Nothing, Self::Text)
    }
}

/// Text that no spreadsheet takes for a formula. Names come from the source, and whoever may write there must not run
/// anything where a file is opened.
fn harmless(text: &str) -> String {
    const FORMULAS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    if text.trim_start_matches(' ').starts_with(FORMULAS) { format!("'{text}") } else { text.to_owned() }
}

/// Whom and which days every line is about.
struct About<'a> {
    selection: &'a Selection,
    logic: &'a Logic,
}

impl About<'_> {
    const HEAD: [&'static str; 5] = ["scope", "sprint", "from", "to", "logic"];

    fn cells(&self) -> [Cell; 5] {
        let day = |day: Option<shared::time::LocalDay>| Cell::from(day.map(|day| day.to_string()));
        [
            Cell::text(self.selection.scope.to_string()),
            self.selection.sprint.clone().into(),
            day(self.selection.from),
            day(self.selection.to),
            Cell::text(self.logic.to_string()),
        ]
    }
}

fn head(about: &[&str], own: &[&str]) -> Vec<Cell> {
    about.iter().chain(own).map(|name| Cell::text(*name)).collect()
}

const FIGURE: [&str; 8] = ["numerator", "denominator", "ratio", "status", "reason", "covered_share", "rows", "people"];

fn figure(figure: &Figure) -> [Cell; 8] {
    [
        figure.numerator.into(),
        figure.denominator.into(),
        figure.ratio.into(),
        Cell::word(figure.status),
        figure.reason.clone().into(),
        figure.covered_share.into(),
        figure.rows.into(),
        figure.people.map(|people| people as i64).into(),
    ]
}

impl Spreadsheet {
    /// Insights: each whole, then by kind of activity, its parts, and what is beside it.
    pub fn insights(selection: &Selection, logic: &Logic, answers: &[Answer]) -> Self {
        let about = About { selection, logic };
        let names = ["insight", "of", "name", "title", "numerator_unit", "denominator_unit"];
        let own: Vec<&str> = names.iter().chain(&FIGURE).copied().chain(["hours_per_sprint", "basis"]).collect();
        let mut lines = vec![head(&About::HEAD, &own)];
        for answer in answers {
            let mut line = |of: &str, name: &str, title: &str, units: [&str; 2], figure: Vec<Cell>, pace: [Cell; 2]| {
                let named = [&answer.id, of, name, title, units[0], units[1]].map(Cell::text);
                lines.push(about.cells().into_iter().chain(named).chain(figure).chain(pace).collect());
            };
            let units = [answer.units.numerator.as_str(), answer.units.denominator.as_str()];
            let nothing = || [Cell::Nothing, Cell::Nothing];
            let pace = answer.hours_per_sprint.map(|hours| [Cell::Fraction(hours.value), Cell::word(hours.basis)]);
            let basis = || answer.hours_per_sprint.map_or(Cell::Nothing, |hours| Cell::word(hours.basis));
            let whole = figure(&answer.figure).to_vec();
            line("whole", "", &answer.title, units, whole, pace.unwrap_or_else(nothing));
            for kind in &answer.by_stereotype {
                let mut cells = vec![Cell::Nothing; FIGURE.len()];
                cells.splice(..3, [kind.numerator.into(), kind.denominator.into(), kind.ratio.into()]);
                cells.splice(FIGURE.len() - 1.., [Cell::Whole(kind.people as i64)]);
                let pace = kind.hours_per_sprint.map(|hours| [Cell::Fraction(hours), basis()]);
                line("stereotype", &kind.stereotype, &kind.name, units, cells, pace.unwrap_or_else(nothing));
            }
            for part in &answer.breakdown {
                let mut cells = vec![Cell::Nothing; FIGURE.len()];
                cells.splice(..1, [Cell::Whole(part.value)]);
                line("part", &part.label, &part.label, units, cells, nothing());
            }
            for beside in &answer.beside {
                let units = [beside.units.numerator.as_str(), beside.units.denominator.as_str()];
                line("beside", &beside.id, &beside.title, units, figure(&beside.figure).to_vec(), nothing());
            }
        }
        Self { name: "insights", lines }
    }

    /// An insight, period by period: first as it is shown, then by the older logic where there is one.
    pub fn trend(
        selection: &Selection,
        logic: &Logic,
        insight: &str,
        granularity: Granularity,
        course: &Course,
    ) -> Self {
        let names = ["insight", "series", "granularity", "period", "period_from", "period_to", "complete", "change"];
        let own: Vec<&str> = names.iter().chain(&FIGURE).copied().chain(["logic_changes"]).collect();
        let line = |series: &str, logic: &Logic, period: &Period| {
            let changes = course.markers.iter().filter(|marker| period.from <= marker.day && marker.day < period.to);
            let words = |marker: &Marker| format!("{}: {}", marker.day, marker.notes.join("; "));
            let changes = changes.filter(|_| series == SHOWN).map(words).collect::<Vec<_>>().join(" | ");
            let named = [
                Cell::text(insight),
                Cell::text(series),
                Cell::text(granularity.word()),
                Cell::text(&period.name),
                Cell::text(period.from.to_string()),
                Cell::text(period.to.to_string()),
                Cell::text(period.complete.to_string()),
                period.change.into(),
            ];
            let about = About { selection, logic }.cells().into_iter();
            about.chain(named).chain(figure(&period.figure)).chain([Cell::Text(changes)]).collect()
        };
        let mut lines = vec![head(&About::HEAD, &own)];
        lines.extend(course.periods.iter().map(|period| line(SHOWN, logic, period)));
        if let Some(series) = &course.earlier {
            lines.extend(series.periods.iter().map(|period| line("earlier", &series.logic, period)));
        }
        Self { name: "trend", lines }
    }

    /// A page of activities.
    pub fn activities(logic: &Logic, page: &Page) -> Self {
        let about = About { selection: &page.selection, logic };
        let own = [
            "insight",
            "activity_id",
            "day",
            "started_at",
            "clock",
            "duration_seconds",
            "stereotype",
            "stereotype_name",
            "team_id",
            "sprint_id",
            "value",
            "unit",
        ];
        let line = |activity: &crate::activities::Activity| {
            let own = [
                Cell::text(&page.insight),
                Cell::text(&activity.activity_id),
                Cell::text(activity.day.to_string()),
                Cell::word(activity.started_at),
                Cell::text(&activity.clock),
                Cell::Whole(activity.duration_seconds),
                activity.stereotype.clone().into(),
                activity.stereotype_name.clone().into(),
                activity.team_id.clone().into(),
                activity.sprint_id.clone().into(),
                Cell::Whole(activity.value),
                Cell::text(&page.unit),
            ];
            about.cells().into_iter().chain(own).collect()
        };
        let lines = std::iter::once(head(&About::HEAD, &own)).chain(page.activities.iter().map(line)).collect();
        Self { name: "activities", lines }
    }

    /// Findings.
    pub fn findings(selection: &Selection, logic: &Logic, findings: &[Finding]) -> Self {
        let about = About { selection, logic };
        let own = [
            "finding",
            "finding_scope",
            "finding_scope_name",
            "headline",
            "ratio",
            "threshold",
            "recoverable_seconds",
            "hours_per_sprint",
            "basis",
            "halved_hours",
            "halved_working_days",
            "halved_money",
            "removed_hours",
            "removed_working_days",
            "removed_money",
            "currency",
            "start_with",
            "next_step",
            "team_controls",
            "rows",
            "people",
            "status",
            "covered_share",
            "rests_on",
            "rests_on_count",
        ];
        let line = |finding: &Finding| {
            let rests_on = finding.confidence.rests_on.as_ref();
            let own = [
                Cell::text(&finding.id),
                Cell::text(finding.scope.to_string()),
                Cell::text(&finding.scope_name),
                Cell::text(&finding.headline),
                Cell::Fraction(finding.ratio),
                Cell::Fraction(finding.threshold),
                Cell::Whole(finding.recoverable_seconds),
                Cell::Fraction(finding.hours_per_sprint),
                Cell::word(finding.basis),
                Cell::Fraction(finding.halved.hours),
                Cell::Fraction(finding.halved.working_days),
                finding.halved.money.into(),
                Cell::Fraction(finding.removed.hours),
                Cell::Fraction(finding.removed.working_days),
                finding.removed.money.into(),
                finding.currency.clone().into(),
                finding.start_with.as_ref().map(|start| start.stereotype.clone()).into(),
                Cell::text(&finding.next_step),
                Cell::text(finding.team_controls.to_string()),
                Cell::Whole(finding.confidence.rows),
                Cell::Whole(finding.confidence.people as i64),
                Cell::word(finding.confidence.status),
                finding.confidence.covered_share.into(),
                rests_on.map(|on| on.figure.clone()).into(),
                rests_on.map_or(Cell::Nothing, |on| Cell::Whole(on.count)),
            ];
            about.cells().into_iter().chain(own).collect()
        };
        let lines = std::iter::once(head(&About::HEAD, &own)).chain(findings.iter().map(line)).collect();
        Self { name: "findings", lines }
    }

    /// As text.
    ///
    /// # Errors
    /// If a line has more or fewer cells than the first.
    pub fn write(&self) -> Result<Vec<u8>, csv::Error> {
        let style = QuoteStyle::Necessary;
        let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).quote_style(style).from_writer(Vec::new());
        for line in &self.lines {
            writer.write_record(line.iter().map(Cell::written))?;
        }
        writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))
    }

    /// As an answer.
    ///
    /// # Errors
    /// See [`Spreadsheet::write`].
    pub fn response(&self) -> Result<Response, csv::Error> {
        let headers = [
            (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present".to_owned()),
            (header::CONTENT_DISPOSITION, format!("attachment; filename=\"wastewalk-{}.csv\"", self.name)),
        ];
        Ok((headers, Body::from(self.write()?)).into_response())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{four_teams, register};

    fn written(lines: Vec<Vec<Cell>>) -> String {
        String::from_utf8(Spreadsheet { name: "test", lines }.write().unwrap()).unwrap()
    }

    #[test]
    fn a_name_from_the_source_is_never_a_formula_and_a_number_stays_one() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =HYPERLINK(\"http://x\")", "＝1"] {
            let text = written(vec![vec![Cell::text(formula), Cell::Whole(-1), Cell::Fraction(-0.5)]]);
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
            let line = reader.records().next().unwrap().unwrap();
            assert_eq!(&line[0], format!("'{formula}"), "{text}");
            assert_eq!((&line[1], &line[2]), ("-1", "-0.5"));
        }
        assert_eq!(written(vec![vec![Cell::text("Manual deployment")]]), "Manual deployment\r\n");
    }

    #[test]
    fn lines_end_and_quotes_double_as_rfc_4180_says() {
        let text =
            written(vec![vec![Cell::text("a,b"), Cell::text("say \"no\""), Cell::text("two\nlines"), Cell::Nothing]]);
        assert_eq!(text, "\"a,b\",\"say \"\"no\"\"\",\"two\nlines\",\r\n");
    }

    #[test]
    fn insights_have_the_numbers_of_their_answers() {
        let (register, evidence) = (register(), four_teams("team:1"));
        let group = evidence.group();
        let answers: Vec<Answer> = register.insights().map(|insight| Answer::of(&register, insight, &group)).collect();
        let sheet = Spreadsheet::insights(&evidence.selection(), register.logic(), &answers);
        let text = sheet.write().unwrap();
        let mut reader = csv::Reader::from_reader(text.as_slice());
        let head = reader.headers().unwrap().clone();
        let lines: Vec<_> = reader.records().map(Result::unwrap).collect();
        let cell =
            |line: &csv::StringRecord, name: &str| line[head.iter().position(|head| head == name).unwrap()].to_owned();
        let of = |insight: &str, of: &str| -> i64 {
            let own = lines.iter().filter(|line| cell(line, "insight") == insight && cell(line, "of") == of);
            own.map(|line| cell(line, "numerator").parse::<i64>().unwrap()).sum()
        };
        assert_eq!((of("automatable", "whole"), of("automatable", "stereotype")), (3_444_480, 3_444_480));
        assert_eq!(of("waste", "whole"), of("waste", "part"));
        let whole = lines.iter().find(|line| cell(line, "insight") == "automatable").unwrap();
        assert_eq!((cell(whole, "ratio").as_str(), cell(whole, "hours_per_sprint").as_str()), ("0.23", "147.2"));
        assert_eq!(cell(whole, "basis"), "per_sprint");
    }
}
