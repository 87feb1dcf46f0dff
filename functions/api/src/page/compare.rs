//! The page of two logics: what each says of the same days, how much of the difference is the rule and how much the data,
//! and which activities are behind it.

use maud::{Markup, html};
use shared::annotator::{Logic, declaration::SECONDS};

use super::{
    frame::{Frame, Sheet, page},
    text,
    words::{activities_path, insight_path},
};
use crate::{
    Request,
    activities::Side,
    compare::{Comparison, Difference, Flips, Question, RowEffects, Split},
    figure::Status,
    logics::ListedLogic,
    selection::{Range, parameters},
};

/// What the page of a comparison shows.
#[derive(Debug, Clone)]
pub struct ComparisonPage<'a> {
    /// What surrounds it.
    pub frame: Frame,
    /// What was asked.
    pub question: &'a Question,
    /// The answer; `None` while there is one logic only.
    pub comparison: Option<Comparison>,
    /// The logics to choose from, newest first.
    pub logics: &'a [ListedLogic],
}

impl ComparisonPage<'_> {
    /// The page as HTML.
    pub fn render(&self) -> String {
        let headline = self.headline();
        let content = html! {
            p class="kicker" {
                "Two logics · " (self.frame.name())
                @if let Some(range) = self.range() { " · " (text::range(range)) }
            }
            h1 { (headline) }
            @match &self.comparison {
                Some(comparison) => (self.content(comparison)),
                None => (nothing_to_compare()),
            }
        };
        let address = |own: &str| format!("{own}{}{}", self.selected().query(), parameters(&self.pairs(None)));
        let sheet = Sheet {
            title: &headline,
            path: "/compare",
            kept: self.question.insight.iter().map(|insight| ("insight", insight.clone())).collect(),
            fields: self.chooser(),
            crumbs: self.frame.crumbs(vec![("Two logics".to_owned(), None)]),
            data: vec![("this comparison", address("/v1/compare")), ("logics", "/v1/logics".to_owned())],
        };
        page(&self.frame, &sheet, &content)
    }

    fn range(&self) -> Option<Range> {
        let selection = &self.comparison.as_ref()?.selection;
        let (from, to) = selection.from.zip(selection.to)?;
        (from < to).then_some(Range { from, to })
    }

    /// The one sentence at the top: the insight that differs most, and why.
    fn headline(&self) -> String {
        let Some(comparison) = &self.comparison else {
            return "There is nothing to compare yet".to_owned();
        };
        if comparison.status == Status::NotMeasurable {
            return "No day has both logics yet".to_owned();
        }
        let most = changed(comparison)
            .max_by_key(|(difference, split)| (difference.units.numerator == SECONDS, split.delta.unsigned_abs()));
        match most {
            None => "Both logics say the same of these days".to_owned(),
            Some((difference, split)) => {
                let unit = &difference.units.numerator;
                let more = if split.delta > 0 { "more" } else { "less" };
                let why = match (split.logic_effect, split.data_effect) {
                    (_, 0) => "all of it by the rule".to_owned(),
                    (0, _) => "all of it by the data".to_owned(),
                    (rule, data) => format!("{} by the rule, {} by the data", signed(rule, unit), signed(data, unit)),
                };
                let amount = amount(split.delta.abs(), unit);
                format!("{amount} {more} in “{}”: {why}", difference.title)
            }
        }
    }

    fn content(&self, comparison: &Comparison) -> Markup {
        let days = text::count(comparison.selection.days_captured, "day");
        html! {
            dl class="facts" {
                dt { "Old" } dd { (self.logic(&comparison.logic)) }
                dt { "New" } dd { (self.logic(&comparison.with)) }
                dt { "What changed" }
                dd {
                    @if comparison.changes.is_empty() {
                        "nothing that the register has words for"
                    } @else if comparison.changes.len() == 1 {
                        (comparison.changes[0])
                    } @else {
                        ul class="plain-list" { @for change in &comparison.changes { li { (change) } } }
                    }
                }
                dt { "Compared" }
                dd {
                    (days)
                    @if comparison.days_restated > 0 {
                        ", of which " (text::count(comparison.days_restated, "day")) " captured again since the old logic saw them"
                    }
                }
            }
            (missing(comparison))
            @if comparison.status != Status::NotMeasurable {
                (self.table(comparison))
                (self.words(comparison))
            }
            @if let Some(flips) = &comparison.flips { (self.flips(comparison, flips)) }
        }
    }

    fn logic(&self, logic: &Logic) -> Markup {
        let listed = self.logics.iter().find(|listed| listed.logic == *logic);
        html! {
            code { (logic) }
            @if let Some(listed) = listed {
                @if listed.deployed { ", deployed" }
                @match listed.first_seen { Some(at) => { ", first used " (text::instant(at)) }, None => ", not used yet" }
            }
        }
    }

    fn table(&self, comparison: &Comparison) -> Markup {
        html! {
            section class="parts" {
                h2 id="figures-title" { "What each of them says" }
                p class="quiet" {
                    "New − old = by the rule + by the data, exactly. By the rule: what the new logic says of the old one’s data, less what \
                     the old one said of it. By the data: what changed in the rows since, under the new logic."
                }
                div class="card scroll" tabindex="0" role="region" aria-labelledby="figures-title" {
                    table class="lines" {
                        thead { tr {
                            th scope="col" { "Insight" }
                            th scope="col" class="number" { "Old" } th scope="col" class="number" { "New" }
                            th scope="col" class="number" { "New − old" }
                            th scope="col" class="number" { "By the rule" } th scope="col" class="number" { "By the data" }
                            th scope="col" { "Behind it" }
                        } }
                        tbody { @for difference in &comparison.insights { (self.line(comparison, difference)) } }
                    }
                }
            }
        }
    }

    fn line(&self, comparison: &Comparison, difference: &Difference) -> Markup {
        let Difference { id, title, units, numerator, reason, old_ratio, new_ratio, .. } = difference;
        let figure = |logic: &Logic, value: Option<f64>, which: &str| {
            let sign = if units.is_share() { "\u{a0}%" } else { "" };
            let value = value.map_or(text::NONE.to_owned(), |value| format!("{}{sign}", text::ratio(units, value)));
            html! { a class="plain" href=(self.figure(id, logic)) aria-label={ (title) ", " (which) ": " (value) } { (value) } }
        };
        let unit = &units.numerator;
        html! {
            tr class=[numerator.is_some_and(|split| split.delta == 0).then_some("minor")] {
                th scope="row" { (title) @if !units.is_share() { br; span class="quiet" { (text::sign(units)) } } }
                @match numerator {
                    None => td colspan="6" { "not comparable: " (text::reason(reason.as_deref().unwrap_or_default())) },
                    Some(split) => {
                        td class="number" { (figure(&comparison.logic, *old_ratio, "old")) }
                        td class="number" { (figure(&comparison.with, *new_ratio, "new")) }
                        td class="number" { b { (signed(split.delta, unit)) } }
                        td class="number" { (signed(split.logic_effect, unit)) }
                        td class="number" { (signed(split.data_effect, unit)) }
                        td {
                            @if split.logic_effect == 0 { (text::NONE) }
                            @else { a href=(self.address(&self.pairs(Some(id)))) aria-label={ "The activities that flipped in " (title) } { "activities" } }
                        }
                    }
                }
            }
        }
    }

    /// The differences in words, those of hours first.
    fn words(&self, comparison: &Comparison) -> Markup {
        html! {
            @if changed(comparison).next().is_some() {
                section class="parts" {
                    h2 { "In words" }
                    ul class="say-list" { @for (difference, split) in changed(comparison) { li { (in_words(difference, split)) } } }
                }
            }
        }
    }

    fn flips(&self, comparison: &Comparison, flips: &Flips) -> Markup {
        let difference = comparison.insights.iter().find(|difference| difference.id == flips.insight);
        let title = difference.map_or(flips.insight.as_str(), |difference| difference.title.as_str());
        let exact = |value: i64| text::exact(value, &flips.unit);
        let behind = |stereotype: &str, logic: &Logic| {
            let request = Request { logic: Some(logic.clone()), ..self.selected() };
            let own = parameters(&[("stereotype", stereotype)]);
            let side = if flips.side == Side::Denominator { "&side=denominator" } else { "" };
            format!("{}{}{own}{side}", activities_path(&flips.insight), request.query())
        };
        html! {
            section class="parts" id="flips" {
                h2 id="kinds-title" { "What flipped in “" (title) "”" }
                @match flips.count {
                    0 => { p class="quiet" { "No activity is worth more or less by one logic than by the other." } },
                    count => {
                        p class="quiet" {
                            (activities(count)) " are valued differently on the same data: together "
                            b { (exact(flips.difference)) } " " (text::exact_unit(&flips.unit)) ", which is the effect of the rule, exactly."
                        }
                        div class="card scroll" tabindex="0" role="region" aria-labelledby="kinds-title" {
                            table class="lines" {
                                thead { tr {
                                    th scope="col" { "Kind of work" } th scope="col" class="number" { "Activities" }
                                    th scope="col" class="number" { "Old, " (text::exact_unit(&flips.unit)) } th scope="col" class="number" { "New" }
                                    th scope="col" class="number" { "New − old" } th scope="col" { "Rows" }
                                } }
                                tbody { @for kind in &flips.by_stereotype { tr {
                                    th scope="row" { (kind.name) }
                                    td class="number" { (text::thousands(kind.activities as i64)) }
                                    td class="number" { (exact(kind.old)) } td class="number" { (exact(kind.new)) }
                                    td class="number value" { (plus(kind.difference)) (exact(kind.difference.abs())) }
                                    td {
                                        a href=(behind(&kind.stereotype, &comparison.logic)) aria-label={ "Rows of " (kind.name) ", old logic" } { "old" }
                                        " · "
                                        a href=(behind(&kind.stereotype, &comparison.with)) aria-label={ "Rows of " (kind.name) ", new logic" } { "new" }
                                    }
                                } } }
                                tfoot { tr {
                                    th scope="row" { "All of them" }
                                    td class="number" { (text::thousands(count as i64)) } td {} td {}
                                    td class="number" { (plus(flips.difference)) (exact(flips.difference.abs())) } td {}
                                } }
                            }
                        }
                        (self.flipped(flips))
                    }
                }
            }
        }
    }

    fn flipped(&self, flips: &Flips) -> Markup {
        let exact = |value: i64| text::exact(value, &flips.unit);
        let name = |code: &str| {
            flips
                .by_stereotype
                .iter()
                .find(|kind| kind.stereotype == code)
                .map_or(code.to_owned(), |kind| kind.name.clone())
        };
        html! {
            h3 id="flipped-title" { "The activities, largest difference first" }
            div class="card scroll" tabindex="0" role="region" aria-labelledby="flipped-title" {
                table class="lines activities" {
                    thead { tr {
                        th scope="col" { "Day" } th scope="col" { "Activity" } th scope="col" { "Kind of work" }
                        th scope="col" class="number" { "Duration" }
                        th scope="col" class="number" { "Old" } th scope="col" class="number" { "New" } th scope="col" class="number" { "New − old" }
                    } }
                    tbody { @for flip in &flips.activities { tr {
                        th scope="row" { (text::full_day(flip.day)) }
                        td { (flip.activity_id) } td { (name(&flip.stereotype)) }
                        td class="number" { (text::clock(flip.duration_seconds)) }
                        td class="number" { (exact(flip.old)) } td class="number" { (exact(flip.new)) }
                        td class="number value" { (plus(flip.difference)) (exact(flip.difference.abs())) }
                    } } }
                }
            }
            nav class="pager" aria-label="Pages of flipped activities" {
                @if self.question.cursor.is_some() { a href={ (self.address(&self.pairs(None))) "#flips" } { "First page" } }
                @if let Some(next) = &flips.next {
                    @let further = [self.pairs(None), vec![("cursor", next.clone())]].concat();
                    a rel="next" href={ (self.address(&further)) "#flips" } { "Next " (activities(self.question.limit)) }
                }
            }
        }
    }

    /// Whose figures and which days, without a logic.
    fn selected(&self) -> Request {
        self.frame.request.clone()
    }

    /// What this address says besides; with `insight` for the list of another one.
    fn pairs(&self, insight: Option<&str>) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        pairs.extend(self.question.request.logic.as_ref().map(|logic| ("logic", logic.to_string())));
        let own = self.question.parameters();
        match insight {
            None => pairs.extend(own),
            Some(insight) => {
                pairs.extend(own.into_iter().filter(|(name, _)| *name == "with"));
                pairs.push(("insight", insight.to_owned()));
            }
        }
        pairs
    }

    fn address(&self, pairs: &[(&'static str, String)]) -> String {
        format!("/compare{}{}", self.selected().query(), parameters(pairs))
    }

    fn figure(&self, insight: &str, logic: &Logic) -> String {
        let request = Request { logic: Some(logic.clone()), ..self.selected() };
        format!("{}{}", insight_path(insight), request.query())
    }

    /// The logics that there are, to choose two of.
    fn chooser(&self) -> Markup {
        let (old, new) = match &self.comparison {
            Some(comparison) => (Some(&comparison.logic), Some(&comparison.with)),
            None => (None, None),
        };
        let name = |listed: &ListedLogic| {
            let since =
                listed.first_seen.map_or("not used yet".to_owned(), |at| at.format("%-d %b %Y, %H:%M").to_string());
            let deployed = if listed.deployed { ", deployed" } else { "" };
            format!("{} ({since}{deployed})", listed.logic)
        };
        let options = |chosen: Option<&Logic>| {
            html! { @for listed in self.logics { option value=(listed.logic) selected[Some(&listed.logic) == chosen] { (name(listed)) } } }
        };
        html! {
            @if self.logics.len() > 1 {
                label { "Old logic" select name="logic" { (options(old)) } }
                label { "New logic" select name="with" { (options(new)) } }
            }
        }
    }
}

/// The insights that the two tell differently.
fn changed(comparison: &Comparison) -> impl Iterator<Item = (&Difference, Split)> {
    let differs = |difference: &&Difference| {
        let splits = [difference.numerator, difference.denominator];
        splits.into_iter().flatten().any(|split| split.logic_effect != 0 || split.data_effect != 0)
    };
    let told = comparison.insights.iter().filter(differs);
    told.filter_map(|difference| Some((difference, difference.numerator?)))
}

/// How an insight differs, as one says it.
fn in_words(difference: &Difference, split: Split) -> Markup {
    let Difference { title, units, old_ratio, new_ratio, denominator, .. } = difference;
    let unit = &units.numerator;
    let reading = |ratio: &Option<f64>| ratio.map_or("nothing".to_owned(), |ratio| text::reading(units, ratio));
    html! {
        b { (title) } " is " (reading(new_ratio)) " by the new logic and " (reading(old_ratio)) " by the old one. "
        "It counts " (parts(split, unit)) "."
        @if let Some(split) = denominator.filter(|split| split.logic_effect != 0 || split.data_effect != 0) {
            " It is divided by " (parts(split, &units.denominator)) "."
        }
    }
}

fn parts(split: Split, unit: &str) -> String {
    let rule = match split.logic_effect {
        0 => "nothing because of the rule".to_owned(),
        effect => format!("{} because the rule changed", signed(effect, unit)),
    };
    let data = match split.rows {
        _ if split.data_effect == 0 && split.rows.is_none_or(|rows| rows == RowEffects::default()) => {
            "nothing because of the data".to_owned()
        }
        Some(RowEffects { deleted, changed, added }) => format!(
            "{} because rows did ({} deleted, {} changed, {} added)",
            signed(split.data_effect, unit),
            signed(deleted, unit),
            signed(changed, unit),
            signed(added, unit)
        ),
        None => format!("{} because rows did, in more days than are read for it", signed(split.data_effect, unit)),
    };
    format!("{} instead of {}: {rule}, {data}", amount(split.new, unit), amount(split.old, unit))
}

/// Seconds that are no tenth of an hour yet.
const LITTLE: u64 = 180;

/// So many hours, or of whatever else is counted.
fn amount(value: i64, unit: &str) -> String {
    if unit == SECONDS && value.unsigned_abs() < LITTLE {
        format!("{}\u{a0}s", text::thousands(value))
    } else if unit == SECONDS {
        let hours = text::decimal_hours(value.abs() as f64 / 3_600.0);
        format!("{}{hours}\u{a0}h", if value < 0 { "−" } else { "" })
    } else {
        format!("{} {unit}", text::thousands(value))
    }
}

/// The same with its sign; nothing is `0`.
fn signed(value: i64, unit: &str) -> String {
    match value {
        0 => "0".to_owned(),
        value => format!("{}{}", if value > 0 { "+" } else { "" }, amount(value, unit)),
    }
}

/// The sign of a number that is written without.
fn plus(value: i64) -> &'static str {
    match value {
        0 => "",
        value if value > 0 => "+",
        _ => "−",
    }
}

fn activities(count: usize) -> String {
    let noun = if count == 1 { "activity" } else { "activities" };
    format!("{} {noun}", text::thousands(count as i64))
}

fn missing(comparison: &Comparison) -> Markup {
    html! {
        @if let Some(first) = comparison.days_missing.first() {
            div class="notice" {
                p {
                    (text::count(comparison.days_missing.len(), "day")) " cannot be compared and "
                    @if comparison.days_missing.len() == 1 { "is" } @else { "are" } " left out on both sides: a logic has not computed them. The program of that logic makes them so, for one of them by"
                }
                p { code { (first.command) } }
                details {
                    summary { "Show them all" }
                    ul { @for missing in &comparison.days_missing { li { (text::full_day(missing.day)) ", " code { (missing.logic) } ": " code { (missing.command) } } } }
                }
            }
        }
    }
}

fn nothing_to_compare() -> Markup {
    html! {
        p class="lede" {
            "Everything here was computed by one logic. A new one comes with another version of an annotator, another classification, or \
             another setting. Deployed, it computes new days; "
            code { "wastewalk rewind" } " applies it to the days that are there, without asking the source, and both answers stay."
        }
        p { a href="/logics" { "The logic, in words" } }
    }
}
