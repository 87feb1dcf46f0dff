use std::collections::BTreeMap;

use shared::{
    annotator::Register,
    contribution::{LogicRecord, Measure},
    settings::LogicSettings,
};

use super::*;
use crate::{
    activities::{self, Question, Side},
    answer::Answer,
    compare::{self, Comparison, Difference, Incomparable, RowEffects, Split},
    evidence::Evidence,
    figure::{NO_ACTIVITY, Status},
    freshness::{Health, HealthStatus},
    lineage,
    logics::ListedLogic,
    page::frame::shortened,
    quality::Quality,
    sample::{self, HOUR, evidence, four_teams, named, row, sprint},
    settings::Settings,
};

fn health() -> Health {
    let json = serde_json::json!({"read": 48_210, "written": 212, "unchanged": 47_994, "quarantined": 3, "open": 1});
    Health {
        status: HealthStatus::Ok,
        data_as_of: None,
        newest_day: None,
        last_run: Some(crate::freshness::LastRun {
            generation: "20261102T060000Z".parse().unwrap(),
            source: "demo".into(),
            counts: serde_json::from_value(json).unwrap(),
            failed: None,
        }),
        quarantined_by_reason: BTreeMap::new(),
    }
}

fn frame(evidence: &Evidence, health: Health) -> Frame {
    let request = evidence.request.clone();
    Frame::of(sample::register().logic(), request, evidence, health)
}

fn overview(evidence: &Evidence) -> Overview {
    Overview::of(&sample::register(), &Settings::default(), frame(evidence, health()), evidence, None)
}

fn page(evidence: &Evidence) -> String {
    overview(evidence).render()
}

fn insight(id: &str, evidence: &Evidence) -> String {
    let register = sample::register();
    let insight = register.insights().find(|insight| insight.id == id).unwrap();
    InsightPage::of(&register, &Settings::default(), frame(evidence, health()), insight, evidence, None).render()
}

fn activities(evidence: &Evidence) -> String {
    let register = sample::register();
    let insight = register.insights().find(|insight| insight.id == "automatable").unwrap();
    let pairs = [("stereotype", "manual-deployment"), ("limit", "2")];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let question =
        Question { request: sample::request(&evidence.scope.to_string()), ..Question::parse(pairs).unwrap() };
    let activity = |value| activities::Activity {
        activity_id: "1".into(),
        day: sample::day("2026-01-05"),
        started_at: "2026-01-05T08:00:00Z".parse().unwrap(),
        clock: "exact".into(),
        duration_seconds: HOUR,
        stereotype: Some("manual-deployment".into()),
        stereotype_name: Some(HOSTILE.into()),
        team_id: Some("a&b".into()),
        sprint_id: None,
        value,
    };
    let rows = activities::Page {
        logics: Vec::new(),
        days_missing: Vec::new(),
        selection: evidence.selection(),
        insight: insight.id.clone(),
        figure: None,
        part: None,
        side: Side::Numerator,
        unit: "seconds".into(),
        total: 9_000,
        before: 1_000,
        withheld: None,
        activities: vec![activity(3_600), activity(61)],
        next: Some("abc".into()),
    };
    let directory = &evidence.directory;
    RowsPage { frame: frame(evidence, health()), question: &question, insight, rows, directory }.render()
}

fn quality(evidence: &Evidence) -> String {
    quality_of(evidence, |_| {})
}

fn quality_of(evidence: &Evidence, change: impl Fn(&mut Answer)) -> String {
    let register = sample::register();
    let group = evidence.group();
    let mut answers: Vec<Answer> = register.insights().map(|insight| Answer::of(&register, insight, &group)).collect();
    answers.iter_mut().for_each(change);
    let health = Health { quarantined_by_reason: BTreeMap::from([("negative".to_owned(), 3)]), ..health() };
    let quality = Quality { runs: health.last_run.clone().into_iter().collect(), health: health.clone() };
    QualityPage { frame: frame(evidence, health), quality, answers }.render()
}

fn listed() -> Vec<ListedLogic> {
    let record = |grace_days, at: &str| {
        let settings = LogicSettings { grace_days, ..LogicSettings::default() };
        LogicRecord::of(&Register::built_in(&settings).unwrap(), at.parse().unwrap())
    };
    let (old, new) = (record(1, "2026-01-01T00:00:00Z"), record(2, "2026-02-01T00:00:00Z"));
    crate::logics::listed(new.clone(), vec![old, new])
}

fn comparison(some: bool) -> String {
    let logics = listed();
    let [new, old] = logics.as_slice() else { panic!("two logics") };
    let pairs = [("logic", old.logic.to_string()), ("with", new.logic.to_string()), ("insight", "automatable".into())];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let question = compare::Question::parse(pairs).unwrap();
    let rows = RowEffects { deleted: -7, changed: 3_600, added: 100 };
    let split = Split { old: 67, new: 7_360, delta: 7_293, logic_effect: 3_600, data_effect: 3_693, rows: Some(rows) };
    let register = sample::register();
    let difference = |insight: &shared::annotator::declaration::Insight| {
        let told = insight.id == "automatable";
        Difference {
            id: insight.id.clone(),
            title: insight.title.clone(),
            units: insight.units.clone(),
            status: if told { Status::Measured } else { Status::NotMeasurable },
            reason: (!told).then(|| NO_ACTIVITY.to_owned()),
            numerator: told.then_some(split),
            denominator: told.then(Split::default),
            old_ratio: told.then_some(0.1),
            new_ratio: told.then_some(0.2),
            delta_ratio: told.then_some(0.1),
        }
    };
    let flip = compare::Flip {
        activity_id: HOSTILE.into(),
        day: sample::day("2026-01-05"),
        stereotype: "s&t".into(),
        duration_seconds: HOUR,
        old: 0,
        new: HOUR,
        difference: HOUR,
    };
    let kind = compare::FlippedKind {
        stereotype: "s&t".into(),
        name: HOSTILE.into(),
        activities: 1,
        duration_seconds: HOUR,
        old: 0,
        new: HOUR,
        difference: HOUR,
    };
    let day = sample::day("2026-01-06");
    let answer = Comparison {
        selection: hostile().selection(),
        logic: old.logic.clone(),
        with: new.logic.clone(),
        changes: new.notes.clone(),
        status: Status::Partial,
        days_restated: 1,
        days_missing: vec![Incomparable { day, logic: new.logic.clone(), command: "wastewalk rewind".into() }],
        insights: register.insights().map(difference).collect(),
        flips: Some(compare::Flips {
            insight: "automatable".into(),
            side: Side::Numerator,
            unit: "seconds".into(),
            count: 1,
            difference: HOUR,
            by_stereotype: vec![kind],
            activities: vec![flip],
            next: Some("abc".into()),
        }),
    };
    let evidence = hostile();
    let logics = if some { &logics[..] } else { &logics[..1] };
    let frame = frame(&evidence, health());
    ComparisonPage { frame, question: &question, comparison: some.then_some(answer), logics }.render()
}

fn lineage(evidence: &Evidence) -> String {
    let register = sample::register();
    let insight = register.insights().find(|insight| insight.id == "automatable").unwrap();
    let pairs = vec![("insight".to_owned(), "automatable".to_owned())];
    let question = lineage::Question::parse(pairs).unwrap();
    let logic = register.logic().clone();
    let origin = lineage::Origin {
        day: sample::day("2026-01-05"),
        numerator: Some(3_600),
        denominator: Some(7_200),
        logic,
        generation: "20260201T000000Z".parse().unwrap(),
        base: "activities/date=2026-01-05".into(),
        sha256: "0123456789abcdef".into(),
        rows: Some(2),
        run: Some(lineage::RunOrigin { key: "runs/".into(), source: HOSTILE.into(), mapping_sha256: "ff".into() }),
        annotations: vec![lineage::AnnotationOrigin { annotator: "classify".into(), version: "1-0".into(), key: None }],
    };
    let history = vec![crate::logics::VersionNote { version: 1, note: "First.".into() }];
    let lineage = lineage::Lineage {
        selection: evidence.selection(),
        insight: insight.id.clone(),
        numerator: Some(9_000),
        denominator: Some(18_000),
        before: Some(1_000),
        units: insight.units.clone(),
        logics: Vec::new(),
        rules: vec![lineage::Rule { annotator: "classify".into(), version: "1-0".into(), history }],
        days: vec![origin],
        next: Some("abc".into()),
    };
    LineagePage { frame: frame(evidence, health()), question: &question, insight, lineage }.render()
}

fn logics(evidence: &Evidence) -> String {
    LogicsPage { frame: frame(evidence, health()), logics: &listed(), runs: Vec::new() }.render()
}

const HOSTILE: &str = r#"<script>alert("1")</script>' style="x"#;

fn hostile() -> Evidence {
    let rows: Vec<_> = (0..10)
        .map(|index| {
            let day = sample::day("2026-01-05").plus(index).to_string();
            row(&day, "p", "a&b", "s", HOUR).automatable()
        })
        .collect();
    let sprints = [sprint("s", "a&b", "2026-01-05", "2026-01-19")];
    evidence("org", ("2026-01-05", "2026-01-19"), &rows, &[named("a&b", HOSTILE)], &sprints)
}

fn empty() -> Evidence {
    Evidence {
        range: None,
        newest: None,
        data_as_of: None,
        days_captured: 0,
        days: BTreeMap::new(),
        teams: BTreeMap::new(),
        ..hostile()
    }
}

/// Also where to look at them: `target/pages/*.html`.
#[test]
fn every_page_is_clean_under_its_own_content_security_policy() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/pages");
    std::fs::create_dir_all(folder).unwrap();
    let pages = [
        ("overview", page(&four_teams("org"))),
        ("team", page(&four_teams("team:1"))),
        ("sprint", page(&four_teams("sprint:s1-42"))),
        ("person", page(&four_teams("person:1-0"))),
        ("waste", insight("waste", &four_teams("org"))),
        ("out-of-sprint", insight("out-of-sprint", &four_teams("team:1"))),
        ("juggling", insight("juggling", &four_teams("org"))),
        ("activities", activities(&hostile())),
        ("quality", quality(&hostile())),
        ("compare", comparison(true)),
        ("compare-nothing", comparison(false)),
        ("lineage", lineage(&hostile())),
        ("logics", logics(&hostile())),
        ("hostile", page(&hostile())),
        ("hostile-insight", insight("automatable", &hostile())),
        ("empty", page(&empty())),
        ("refusal", refusal(&Problem::NOT_FOUND)),
    ];
    for (name, page) in pages {
        for wrong in ["style=", "<style", "<script", "javascript:", "onload=", "NaN", "inf%"] {
            // A hostile name may say so, as text.
            let page = page.replace("' style=&quot;", "");
            assert!(!page.contains(wrong), "{name} contains {wrong}");
        }
        // The address of a page ends with its query; a folder of files has no server to read it.
        let page = page.replace("/assets/", "");
        std::fs::write(format!("{folder}/{name}.html"), page).unwrap();
    }
    std::fs::write(format!("{folder}/style.css"), STYLE).unwrap();
    std::fs::write(format!("{folder}/icon.svg"), ICON).unwrap();
}

#[test]
fn names_from_the_source_are_text_wherever_they_appear() {
    let pages = [
        page(&hostile()),
        insight("automatable", &hostile()),
        activities(&hostile()),
        comparison(true),
        lineage(&hostile()),
    ];
    for page in pages {
        assert!(page.contains("&lt;script&gt;alert("));
        assert!(!page.contains("<script"));
    }
    assert!(page(&hostile()).contains("/?scope=team:a%26b"));
}

#[test]
fn a_page_of_activities_says_what_they_add_up_to_so_far_and_leads_on() {
    let page = activities(&hostile());
    // 1,000 s before, 3,661 s here, 9,000 s in all.
    assert!(page.contains("Up to here they add up to <b>1:17:41</b> of <b>2:30:00</b>"), "{page}");
    assert!(page.contains("<td class=\"number\">1:16:40</td>"), "the running sum goes on from the pages before");
    assert!(page.contains("stereotype=manual-deployment&amp;limit=2&amp;cursor=abc"));
}

#[test]
fn a_comparison_says_in_words_what_the_rule_and_what_the_data_did() {
    let page = comparison(true);
    let title = "2.0\u{a0}h more in “Automatable effort”: +1.0\u{a0}h by the rule, +1.0\u{a0}h by the data";
    assert!(page.contains(&format!("<h1>{title}</h1>")), "{page}");
    let words = "+1.0\u{a0}h because the rule changed, +1.0\u{a0}h because rows did (−7\u{a0}s deleted, +1.0\u{a0}h changed, \
                 +100\u{a0}s added)";
    assert!(page.contains(words), "{page}");
    assert!(page.contains("planning: GRACE_DAYS is 2 instead of 1"));
    // Both logics can be chosen, and their rows are a step away.
    assert_eq!(page.matches("<option value=\"").count() - frame(&hostile(), health()).choices.len(), 4);
    let [new, old] = listed().try_into().unwrap();
    let rows = "/insights/automatable/activities?scope=org&amp;logic=";
    assert!(page.contains(&format!("{rows}{}&amp;stereotype=s%26t", old.logic)), "{page}");
    assert!(page.contains(&format!("{rows}{}&amp;stereotype=s%26t", new.logic)));
    let next = format!(
        "/compare?scope=org&amp;logic={}&amp;with={}&amp;insight=automatable&amp;cursor=abc",
        old.logic, new.logic
    );
    assert!(page.contains(&next), "{page}");
    assert!(comparison(false).contains("<h1>There is nothing to compare yet</h1>"));
}

#[test]
fn an_insight_shows_its_exact_sums_and_leads_to_their_activities() {
    let page = insight("automatable", &four_teams("team:1"));
    // 23 % of 8 people × 65 days × 8 h, and all of it.
    assert!(page.contains("(956:48:00, 3,444,480 s)"), "{page}");
    assert!(page.contains("(4,160:00:00, 14,976,000 s)"));
    assert!(page.contains("/insights/automatable/activities?scope=team:1&amp;side=denominator"));
    assert!(page.contains("/insights/automatable/activities?scope=team:1&amp;stereotype=manual-deployment"));
    assert!(page.contains("147.2 h a sprint"));
    assert!(page.contains("/?scope=org"), "the way back");
}

#[test]
fn whoever_is_not_told_of_how_many_rows_a_reason_is_true_is_told_the_reason() {
    let page = quality_of(&four_teams("team:1"), |answer| {
        answer.figure.status = Status::Partial;
        answer.figure.reasons.clear();
        answer.figure.reason = Some("no_team".to_owned());
    });
    assert!(page.contains(&text::reason("no_team")) && !page.contains("measured"), "{page}");
}

#[test]
fn a_group_is_never_told_apart_by_person() {
    for page in [insight("automatable", &four_teams("team:1")), page(&four_teams("org")), page(&four_teams("team:1"))] {
        assert!(!page.contains("person:") && !page.contains(">1-0<"));
    }
}

#[test]
fn the_headline_says_how_much_is_waste_and_nothing_more_than_is_so() {
    let headline = |evidence: &Evidence| overview(evidence).headline();
    assert_eq!(headline(&empty()), "Nothing is captured yet");
    let calm = [row("2026-01-05", "p", "1", "s", HOUR)];
    let sprints = [sprint("s", "1", "2026-01-05", "2026-01-19")];
    let range = ("2026-01-05", "2026-01-19");
    let of = |row: &sample::Row| evidence("team:1", range, std::slice::from_ref(row), &[], &sprints);
    assert_eq!(headline(&of(&calm[0])), "0 % of the 1 team’s work is waste");
    assert_eq!(headline(&of(&calm[0].clone().leave())), "There is no work in these days");
    let said = |wasted: i64, of: i64| {
        let mut evidence = four_teams("team:1");
        for cell in evidence.days.values_mut().flat_map(|day| &mut day.by_stereotype) {
            let seconds = cell.work.seconds * wasted / of;
            let extent = cell.work;
            let people = cell.people.clone();
            let measure = Measure {
                sum: seconds,
                population: extent,
                covered: extent,
                values: extent.rows,
                people,
                ..Measure::default()
            };
            cell.record("waste_seconds", measure);
        }
        headline(&evidence)
    };
    assert_eq!(said(1, 4), "A quarter of the Platform team’s work is waste, as much as before 18 Sep");
    assert_eq!(said(8, 25), "Nearly a third of the Platform team’s work is waste, as much as before 18 Sep");
}

#[test]
fn a_page_says_when_the_source_could_not_be_read_and_why() {
    let page = |failed: Option<serde_json::Value>| {
        let mut health = Health { status: HealthStatus::Stale, ..health() };
        health.last_run.as_mut().unwrap().failed = failed;
        let evidence = hostile();
        let frame = frame(&evidence, health);
        Overview::of(&sample::register(), &Settings::default(), frame, &evidence, None).render()
    };
    assert!(page(None).contains("The source was last read on 2 Nov 2026, 06:00 UTC. What was captured before"));
    let failed = page(Some("the <source> is gone".into()));
    assert!(failed.contains("failed: the &lt;source&gt; is gone. What was captured before stays"));
    assert!(!failed.contains("last read on"), "that run did not read it");
    assert_eq!(shortened(&"ö".repeat(500)).chars().count(), 162);
}

/// Relative luminance, WCAG 2.
fn luminance(colour: &str) -> f64 {
    let channel = |at: usize| {
        let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
}

#[test]
fn text_keeps_its_contrast_in_both_schemes() {
    let tokens = |scheme: &'static str| -> BTreeMap<&str, &str> {
        let lines = scheme.split('}').next().unwrap().lines();
        lines.filter_map(|line| line.trim().strip_suffix(';')?.split_once(": ")).collect()
    };
    let schemes: Vec<_> = STYLE.split(":root {").skip(1).map(tokens).collect();
    assert_eq!(schemes.len(), 2);
    for tokens in schemes {
        let on_both = ["--ink", "--quiet", "--link", "--mark", "--act", "--watch", "--better", "--one"];
        let mut pairs: Vec<(&str, &str)> =
            on_both.iter().flat_map(|text| [(*text, "--paper"), (*text, "--card")]).collect();
        pairs.extend([("--on-one", "--one"), ("--on-two", "--two"), ("--on-rest", "--rest")]);
        for (text, ground) in pairs {
            let (a, b) = (luminance(tokens[text]), luminance(tokens[ground]));
            let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
            assert!(contrast >= 4.5, "{text} on {ground}: {contrast:.2}");
        }
    }
}
