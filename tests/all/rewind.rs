//! Promises 8 and 9: history can be rewound, and whatever is derived can be made again.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use serde_json::{Value, json};
use shared::{
    annotator::Logic,
    contribution::LogicRecord,
    lake::LakeKey,
    time::{Generation, LocalDay},
};
use wastewalk::{
    progress::Show,
    retain,
    rewind::{Plan, Wish, rewind},
    stack::Stack,
    up,
};
use wastewalk_tests::{House, files, insight, json, text};

/// The built-in judgements, and one more: a machine could do exploratory tests.
fn another_classification() -> String {
    let built_in = include_str!("../../functions/annotate-classify/classification.toml");
    format!("{built_in}\n[stereotypes.\"exploratory-test\"]\nautomatable = true\n")
}

const ALL: &str = "from=2026-01-01&to=2027-01-01";

/// Every figure, over all days, as `parameters` ask for it.
async fn figures(stack: &Stack, parameters: &str) -> anyhow::Result<Vec<Value>> {
    let mut figures = Vec::new();
    for scope in ["org", "team:1", "team:2", "person:11"] {
        let mut answer = json(stack, &format!("/v1/insights?scope={scope}&{ALL}{parameters}")).await?;
        figures.push(answer["insights"].take());
    }
    Ok(figures)
}

fn day(text: &str) -> anyhow::Result<LocalDay> {
    Ok(text.parse()?)
}

/// A demo that was worked out by the built-in logic and then by another one, from a day on, without the source.
async fn rewound(from: Option<&str>) -> anyhow::Result<(House, Stack, Logic)> {
    let house = House::demo().await?;
    let (stack, _) = house.worked().await?;
    let old = stack.register.logic().clone();
    stack.stop().await?;
    house.lose_source()?;
    let house = house.classified_by(Some(&another_classification()));
    let stack = house.stack(None).await?;
    let wish = Wish { from: from.map(day).transpose()?, ..Wish::default() };
    rewind(&stack, &wish, Show::Nothing).await?;
    Ok((house, stack, old))
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_rewound_when_somebody_says_so_without_the_source_and_both_answers_stay() -> anyhow::Result<()> {
    let house = House::demo().await?;
    let (stack, work) = house.worked().await?;
    let (days, old) = (work.days, stack.register.logic().clone());
    let before = figures(&stack, "").await?;
    stack.stop().await?;
    house.lose_source()?;

    // Another logic is deployed. Nothing happens by itself, and everything is still shown.
    let house = house.classified_by(Some(&another_classification()));
    let (stack, work) = house.worked().await?;
    let new = stack.register.logic().clone();
    assert!(new != old && work.run.is_err());
    assert_eq!((work.days, stack.undone().await?), (0, Vec::new()));
    assert_eq!(figures(&stack, "").await?, before);
    let answer = json(&stack, &format!("/v1/insights?{ALL}")).await?;
    assert_eq!((&answer["logics"][0]["logic"], &answer["logics"][0]["days"]), (&json!(old), &json!(days)));
    assert_eq!(json(&stack, "/v1/health").await?["newest_day"], "2026-10-30");

    // Some of the days: a trend says where its logic changed, and why.
    let wish = Wish { from: Some(day("2026-09-14")?), ..Wish::default() };
    let plan = rewind(&stack, &wish, Show::Nothing).await?;
    assert!(plan.objects.len() > 20 && plan.objects.len() < days, "{}", plan.objects.len());
    let answer = json(&stack, &format!("/v1/insights?{ALL}")).await?;
    let run = |index: usize| {
        let run = &answer["logics"][index];
        (run["logic"].clone(), run["from"].clone(), run["notes"].clone())
    };
    assert_eq!(run(0), (json!(old), json!("2026-08-03"), json!([])));
    assert_eq!(run(1), (json!(new), json!("2026-09-14"), json!(["classify: its configuration changed"])));
    assert_eq!(run(2).0, Value::Null);

    // All of them. What is there already is not done again, and again there is nothing to do.
    let all = rewind(&stack, &Wish::default(), Show::Nothing).await?;
    assert_eq!((all.objects.len(), all.done), (days - plan.objects.len(), plan.objects.len()));
    let lake = files(&house.lake())?;
    let again = rewind(&stack, &Wish::default(), Show::Nothing).await?;
    assert_eq!((again.objects.len(), again.done), (0, days));
    assert!(files(&house.lake())? == lake, "an object was made or changed");
    let requests = lake.keys().filter(|key| key.ends_with("/rewind.json")).collect::<Vec<_>>();
    assert_eq!(requests.len(), 2);
    let request: Value = serde_json::from_slice(&lake[requests[1]])?;
    assert_eq!((&request["logic"], &request["days"]), (&json!(new), &json!(all.objects.len())));

    // Both answers: the new one, which says more, and the old one to the second.
    let after = figures(&stack, "").await?;
    assert_eq!(figures(&stack, &format!("&logic={old}")).await?, before);
    let share = |figures: &[Value]| {
        let answer = json!({ "insights": figures[0] });
        insight(&answer, "automatable").map(|insight| insight["ratio"].as_f64().expect("a ratio"))
    };
    assert!(share(&after)? > share(&before)?, "exploratory tests do not count");
    stack.stop().await?;

    // Whoever rolls the code back rolls the figures back.
    let house = house.classified_by(None);
    let stack = house.stack(None).await?;
    assert_eq!(figures(&stack, "").await?, before);
    assert_eq!(stack.undone().await?, []);
    assert_eq!(figures(&stack, &format!("&logic={new}")).await?, after);
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_logic_did_not_fold_is_partial_and_never_0() -> anyhow::Result<()> {
    let house = House::demo().await?;
    let (stack, _) = house.worked().await?;
    let (from, to) = (day("2026-09-14")?, day("2026-10-30")?);
    let whole = json(&stack, &format!("/v1/insights?{ALL}")).await?;
    let first = json(&stack, &format!("/v1/insights?from=2026-01-01&to={from}")).await?;

    // A logic from before there was an annotator `automation`, which shows the later days of another stack's table.
    let mut older = LogicRecord::of(&stack.register, "2020-01-01T00:00:00Z".parse()?);
    older.logic = "0123456789ab".parse()?;
    older.columns.remove("automatable_seconds");
    stack.store.record_logic(&older).await?;
    let pointers = stack.store.pointers(stack.register.logic(), from, to).await?;
    for pointer in &pointers {
        let mut contributions = BTreeMap::new();
        for scope in ["org", "team:1"] {
            let scope = scope.parse()?;
            let read = stack.store.contributions(stack.register.logic(), &scope, std::slice::from_ref(pointer)).await?;
            contributions.extend(read.into_values().map(|contribution| (scope.clone(), contribution)));
        }
        stack.store.publish(&older.logic, pointer, &contributions).await?;
    }
    let pinned = json(&stack, &format!("/v1/insights?{ALL}&logic=0123456789ab")).await?;
    let automatable = insight(&pinned, "automatable")?;
    assert_eq!(automatable["status"], "not_measurable");
    assert_eq!(automatable["reason"], "not_computed_by_this_logic");
    assert_eq!((&automatable["numerator"], &automatable["hours_per_sprint"]), (&Value::Null, &Value::Null));
    let scope = insight(&pinned, "out-of-sprint")?;
    assert_eq!(scope["status"], insight(&whole, "out-of-sprint")?["status"], "what it did fold is as it was");
    assert!(insight(&first, "automatable")?["numerator"].is_i64());
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn days_are_shown_as_they_were_known_and_a_rewind_makes_what_is_missing() -> anyhow::Result<()> {
    let house = House::of(&format!("{}{}", crate::promises::SCHEMA, crate::promises::SMALL)).await?;
    let (stack, work) = house.worked().await?;
    let then = work.run.expect("a run").generation;
    let before = json(&stack, &format!("/v1/insights?{ALL}")).await?;
    house.execute("UPDATE activities SET duration = 7200 WHERE id = 1; UPDATE teams SET name = 'Other'").await?;
    let now = up::work(&stack, Show::Nothing).await?.run.expect("a run").generation;
    assert_eq!(stack.bus.dead_letters().len(), 0);
    let after = json(&stack, &format!("/v1/insights?{ALL}")).await?;
    assert_ne!(after["insights"], before["insights"]);

    let as_of = |generation: Generation| format!("/v1/insights?{ALL}&as_of={generation}");
    let known = json(&stack, &as_of(then)).await?;
    assert_eq!(known["insights"], before["insights"]);
    assert_eq!(known["data_as_of"], json!(then.instant()));
    assert_eq!(known.get("days_missing"), None);
    assert_eq!(json(&stack, &as_of(now)).await?["insights"], after["insights"]);
    // Names are those of then, too.
    let team = |as_of: Generation| format!("/v1/insights?scope=team:1&{ALL}&as_of={as_of}");
    assert_eq!(json(&stack, &team(then)).await?["selection"]["name"], "Team");
    assert_eq!(json(&stack, &team(now)).await?["selection"]["name"], "Other");
    let first = json(&stack, &format!("/v1/insights?{ALL}&as_of=2001-01-01T00:00:00Z")).await?;
    assert_eq!(first["selection"]["days_captured"], 0);
    stack.stop().await?;

    // With the table lost only the newest generations come back by themselves.
    house.lose_table()?;
    let (stack, _) = house.worked().await?;
    let missing = json(&stack, &as_of(then)).await?["days_missing"].take();
    assert_eq!(missing[0]["day"], "2026-03-02");
    let command = format!("wastewalk rewind --from 2026-03-02 --to 2026-03-03 --as-of {then}");
    assert_eq!(missing[0]["command"], json!(command));
    let wish =
        Wish { from: Some(day("2026-03-02")?), to: Some(day("2026-03-03")?), as_of: Some(then), ..Wish::default() };
    rewind(&stack, &wish, Show::Nothing).await?;
    let known = json(&stack, &as_of(then)).await?;
    assert_eq!((&known["insights"], known.get("days_missing")), (&before["insights"], None));
    assert_eq!(
        json(&stack, &format!("/v1/insights?{ALL}")).await?["insights"],
        after["insights"],
        "it moved a day back"
    );
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewind_that_was_interrupted_goes_on_and_one_for_an_annotator_takes_what_it_lacks() -> anyhow::Result<()> {
    let (_house, stack, _) = rewound(Some("2026-10-01")).await?;
    let plan = Plan::make((&stack).into(), &Wish::default()).await?;
    // Whatever is uploaded and then not waited for is found done or goes on.
    let some: Vec<LakeKey> = plan.keys().take(5).cloned().collect();
    for key in &some {
        stack.lake.upload_again(key).await?;
    }
    stack.bus.idle().await;
    let rest = Plan::make((&stack).into(), &Wish::default()).await?;
    assert_eq!((rest.objects.len(), rest.done), (plan.objects.len() - 5, plan.done + 5));
    // `scope` builds on `classify` and lacks the rest; an annotator that nothing changed for lacks nothing.
    let lacks = async |name: &str| -> anyhow::Result<usize> {
        let wish = Wish { annotator: Some(name.to_owned()), ..Wish::default() };
        Ok(Plan::make((&stack).into(), &wish).await?.objects.len())
    };
    assert_eq!(lacks("scope").await?, rest.objects.len());
    let refused = lacks("scopes").await.expect_err("there is none").to_string();
    assert!(refused.contains("there is no annotator `scopes`; use classify, scope,"), "{refused}");
    stack.stop().await
}

/// Asserts of every number of a comparison that its parts add up to it, and gives those of one insight.
fn numerator<'a>(comparison: &'a Value, id: &str) -> anyhow::Result<&'a Value> {
    let number = |split: &Value, name: &str| split[name].as_i64().with_context(|| format!("no {name} in {split}"));
    for insight in comparison["insights"].as_array().context("no insights")? {
        for split in [&insight["numerator"], &insight["denominator"]].into_iter().filter(|split| !split.is_null()) {
            let delta = number(split, "delta")?;
            assert_eq!(delta, number(split, "new")? - number(split, "old")?, "{insight}");
            assert_eq!(delta, number(split, "logic_effect")? + number(split, "data_effect")?, "{insight}");
            let rows = &split["rows"];
            let rows = number(rows, "deleted")? + number(rows, "changed")? + number(rows, "added")?;
            assert_eq!(number(split, "data_effect")?, rows, "{insight}");
        }
    }
    Ok(&insight(comparison, id)?["numerator"])
}

/// Three months of the demo; one more kind of test starts to count as automatable, from September on.
#[tokio::test(flavor = "multi_thread")]
async fn three_months_show_both_curves_the_marker_the_split_and_what_flipped() -> anyhow::Result<()> {
    let (_house, stack, old) = rewound(Some("2026-09-14")).await?;
    let new = stack.register.logic();
    let by = |logic: &Logic, period: &Value| {
        let (from, to) = (period["from"].as_str().expect("a day"), period["to"].as_str().expect("a day"));
        format!("/v1/insights/automatable?from={from}&to={to}&logic={logic}")
    };
    let trend = json(&stack, &format!("/v1/insights/automatable/trend?{ALL}&granularity=week")).await?;
    let expected = json!([{
        "day": "2026-09-14", "period": "W38", "before": old, "logic": new,
        "notes": ["classify: its configuration changed"]
    }]);
    assert_eq!(trend["markers"], expected);
    let earlier = &trend["earlier"];
    assert_eq!((&earlier["logic"], &earlier["days"], &earlier["days_restated"]), (&json!(old), &json!(35), &json!(0)));
    // Each point of both curves is what the logic says of that week by itself.
    let (shown, before) =
        (trend["periods"].as_array().expect("periods"), earlier["periods"].as_array().expect("periods"));
    assert_eq!((shown.len(), before.len()), (13, 13));
    for (shown, before) in shown.iter().zip(before) {
        let was = json(&stack, &by(&old, before)).await?;
        assert_eq!(before["numerator"], insight(&was, "automatable")?["numerator"], "{before}");
        let changed = shown["from"].as_str() >= Some("2026-09-14");
        if changed {
            let is = json(&stack, &by(new, shown)).await?;
            assert_eq!(shown["numerator"], insight(&is, "automatable")?["numerator"], "{shown}");
        }
        assert_eq!(shown["numerator"].as_i64() > before["numerator"].as_i64(), changed, "{shown} and {before}");
    }
    // What the change was not about has the same curve twice, and a pinned logic has one and no change.
    let pinned = json(&stack, &format!("/v1/insights/automatable/trend?{ALL}&logic={old}")).await?;
    assert_eq!((&pinned["markers"], &pinned["earlier"]), (&json!([]), &Value::Null));

    // The same as a spreadsheet, and as a page.
    let sheet = text(&stack, &format!("/v1/insights/automatable/trend?{ALL}&granularity=week&format=csv")).await?;
    let series = |name: &str| sheet.lines().filter(|line| line.contains(&format!(",automatable,{name},week,"))).count();
    assert_eq!((series("shown"), series("earlier")), (13, 13), "{sheet}");
    assert!(sheet.contains("2026-09-14: classify: its configuration changed"), "{sheet}");
    let page = text(&stack, "/insights/automatable?granularity=week").await?;
    for said in ["class=\"curve older\"", "logic changed", "classify: its configuration changed"] {
        assert!(page.contains(said), "{said}");
    }
    let comparison = format!("/compare?scope=org&amp;logic={old}&amp;with={new}");
    assert!(page.contains(&comparison));
    let overview = text(&stack, "/").await?;
    assert!(overview.contains(&comparison) && overview.contains("by a logic that changed"));

    // The difference since then is the rule's, whole, and it is named.
    let comparison = json(&stack, "/v1/compare?from=2026-09-14&insight=automatable").await?;
    let split = numerator(&comparison, "automatable")?;
    assert_eq!((&split["delta"], &split["data_effect"]), (&split["logic_effect"], &json!(0)));
    assert_eq!(comparison["flips"]["difference"], split["delta"]);
    assert_eq!(comparison["flips"]["by_stereotype"][0]["stereotype"], "exploratory-test");
    let page = text(&stack, "/compare?from=2026-09-14&insight=automatable").await?;
    assert!(page.contains("all of it by the rule") && page.contains("Exploratory test"));

    let logics = json(&stack, "/v1/logics").await?["logics"].take();
    let said = |index: usize| (&logics[index]["logic"], &logics[index]["deployed"], &logics[index]["notes"]);
    assert_eq!(said(0), (&json!(new), &json!(true), &json!(["classify: its configuration changed"])));
    assert_eq!(said(1), (&json!(old), &json!(false), &json!([])));
    assert_eq!(logics[0]["annotators"][0]["history"][0]["version"], 1);
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_new_logic_changes_is_listed_activity_by_activity() -> anyhow::Result<()> {
    let (_house, stack, old) = rewound(None).await?;
    let new = stack.register.logic();
    let comparison = json(&stack, &format!("/v1/compare?{ALL}&insight=automatable&limit=7")).await?;
    assert_eq!((&comparison["logic"], &comparison["with"]), (&json!(old), &json!(new)));
    assert_eq!((&comparison["status"], &comparison["days_restated"]), (&json!("measured"), &json!(0)));
    assert_eq!(comparison["changes"], json!(["classify: its configuration changed"]));
    let split = numerator(&comparison, "automatable")?;
    for (of, side) in [(&old, "old"), (new, "new")] {
        let answer = json(&stack, &format!("/v1/insights?{ALL}&logic={of}")).await?;
        assert_eq!(insight(&answer, "automatable")?["numerator"], split[side], "{side}");
    }
    let effect = split["logic_effect"].as_i64().expect("a number");
    assert!(effect > 0 && split["data_effect"] == 0, "{split}");
    // What the change was not about did not change.
    assert_eq!(numerator(&comparison, "out-of-sprint")?["delta"], 0);

    // Only exploratory tests flipped, each of them whole, and together they are the effect.
    let flips = &comparison["flips"];
    let kinds = flips["by_stereotype"].as_array().expect("kinds");
    assert_eq!(kinds.len(), 1, "{kinds:?}");
    assert_eq!((&kinds[0]["stereotype"], &kinds[0]["name"]), (&json!("exploratory-test"), &json!("Exploratory test")));
    assert_eq!((&kinds[0]["old"], &kinds[0]["new"], &flips["difference"]), (&json!(0), &json!(effect), &json!(effect)));
    let (mut listed, mut sum, mut sizes, mut pages) = (BTreeSet::new(), 0, Vec::new(), 0);
    let mut page = flips.clone();
    loop {
        pages += 1;
        for flip in page["activities"].as_array().expect("activities") {
            assert_eq!((&flip["stereotype"], &flip["new"]), (&json!("exploratory-test"), &flip["duration_seconds"]));
            assert!(listed.insert(flip["activity_id"].to_string()), "{flip} is listed twice");
            sizes.push(flip["difference"].as_i64().expect("a number"));
            sum += flip["difference"].as_i64().expect("a number");
        }
        let Some(cursor) = page["next"].as_str() else { break };
        let limit = 100 * pages;
        let uri = format!("/v1/compare?{ALL}&insight=automatable&limit={limit}&cursor={cursor}");
        page = json(&stack, &uri).await?["flips"].take();
    }
    assert!(pages > 2 && sizes.is_sorted_by(|a, b| a >= b));
    assert_eq!((json!(listed.len()), sum), (flips["count"].clone(), effect));
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_is_divided_exactly_into_the_rule_and_the_rows() -> anyhow::Result<()> {
    let house = House::of(&format!("{}{}", crate::promises::SCHEMA, crate::promises::SMALL)).await?;
    let (stack, work) = house.worked().await?;
    let (old, then) = (stack.register.logic().clone(), work.run.expect("a run").generation);
    stack.stop().await?;

    // A new logic by which a machine could write the code, and a day that lost a row, changed one and got one.
    let house = house.classified_by(Some("[stereotypes.code]\nautomatable = true\n"));
    house
        .execute(
            "DELETE FROM activities WHERE id = 3;
             UPDATE activities SET duration = 7200 WHERE id = 1;
             INSERT INTO activities VALUES (4, 1, NULL, 'code', '2026-03-02T12:00:00Z', 100, 1, NULL, NULL, NULL, NULL)",
        )
        .await?;
    let (stack, work) = house.worked().await?;
    assert_eq!(work.days, 1, "the day that did not change is not computed again");
    let uri = format!("/v1/compare?{ALL}&logic={old}&with={}", stack.register.logic());

    // The new logic has never seen the old data: nothing can be divided, and the commands say what to do.
    let comparison = json(&stack, &uri).await?;
    assert_eq!(
        (&comparison["status"], &comparison["selection"]["days_captured"]),
        (&json!("not_measurable"), &json!(0))
    );
    let commands: Vec<_> = [0, 1].map(|day| comparison["days_missing"][day]["command"].clone()).into();
    let restated = format!("wastewalk rewind --from 2026-03-02 --to 2026-03-03 --as-of {then}");
    assert_eq!(commands, [json!(restated), json!("wastewalk rewind --from 2026-03-03 --to 2026-03-04")]);
    assert_eq!(insight(&comparison, "automatable")?["numerator"], Value::Null);

    // Without --as-of, too: a rewind takes what the logic before shows.
    rewind(&stack, &Wish::default(), Show::Nothing).await?;
    let comparison = json(&stack, &uri).await?;
    assert_eq!((&comparison["status"], &comparison["days_restated"]), (&json!("measured"), &json!(1)));
    let expected = json!({
        "old": 7 + 60, "new": 7200 + 100 + 60, "delta": 7293,
        "logic_effect": 3600, "data_effect": 3693, "rows": { "deleted": -7, "changed": 3600, "added": 100 }
    });
    assert_eq!(numerator(&comparison, "automatable")?, &expected);
    let person = json(&stack, &format!("{uri}&scope=person:2")).await?;
    let gone = json!({ "deleted": -7, "changed": 0, "added": 0 });
    assert_eq!(numerator(&person, "automatable")?["rows"], gone);
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_figure_is_followed_back_to_the_records_of_the_source() -> anyhow::Result<()> {
    let house = House::of(&format!("{}{}", crate::promises::SCHEMA, crate::promises::SMALL)).await?;
    let (stack, work) = house.worked().await?;
    let run = work.run.expect("a run");
    let answer = json(&stack, &format!("/v1/insights?{ALL}")).await?;
    let first = json(&stack, &format!("/v1/lineage?{ALL}&insight=automatable&limit=1")).await?;
    let cursor = first["next"].as_str().expect("two days");
    let second = json(&stack, &format!("/v1/lineage?{ALL}&insight=automatable&limit=1&cursor={cursor}")).await?;
    assert_eq!(second["next"], Value::Null);
    let (mut numerator, mut records) = (0, Vec::new());
    for origin in [&first["days"][0], &second["days"][0]] {
        numerator += origin["numerator"].as_i64().expect("a number");
        assert_eq!(origin["logic"], json!(stack.register.logic()));
        assert_eq!(origin["run"]["key"], json!(LakeKey::Run { generation: run.generation }.to_string()));
        assert_eq!((&origin["run"]["source"], &origin["generation"]), (&json!(run.source), &json!(run.generation)));
        for (annotation, name) in
            origin["annotations"].as_array().expect("annotations").iter().zip(["classify", "automation"])
        {
            let version = &stack.register.get(name).expect("it is registered").effective_version;
            assert_eq!((&annotation["annotator"], &annotation["version"]), (&json!(name), &json!(version)));
            stack.lake.fetch(&annotation["key"].as_str().expect("a key").parse()?).await?;
        }
        // The object is the one that its digest names, and its rows hold the records whole.
        let key: LakeKey = origin["base"].as_str().expect("a key").parse()?;
        assert_eq!(origin["sha256"], json!(key.sha256().expect("a digest").to_string()));
        let rows = shared::lake::siblings::Lockstep::open(
            (key.clone(), stack.lake.fetch(&key).await?),
            &["source_row"],
            Vec::new(),
        )?;
        for batch in rows {
            let batch = batch?;
            let source = shared::column::Columns::text(&batch.base, "source_row")?.iter().flatten();
            records.extend(source.map(serde_json::from_str::<Value>).collect::<Result<Vec<_>, _>>()?);
        }
    }
    assert_eq!(insight(&answer, "automatable")?["numerator"], json!(numerator));
    records.sort_by_key(|record| record["id"].as_i64());
    assert_eq!(json!(records), json!(house.rows("SELECT * FROM activities ORDER BY id").await?));
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_computed_of_old_generations_can_be_forgotten_and_made_again() -> anyhow::Result<()> {
    let house = House::of(&format!("{}{}", crate::promises::SCHEMA, crate::promises::SMALL)).await?;
    let (stack, work) = house.worked().await?;
    let then = work.run.expect("a run").generation;
    let before = json(&stack, &format!("/v1/insights?{ALL}")).await?;
    house.execute("UPDATE activities SET duration = 7200 WHERE id = 1").await?;
    up::work(&stack, Show::Nothing).await?.run.expect("a run");
    let after = json(&stack, &format!("/v1/insights?{ALL}")).await?;
    let lake = files(&house.lake())?;

    let now = chrono::Utc::now();
    let at =
        async |days: i64| retain::superseded(&stack.lake, &stack.store, now + chrono::TimeDelta::days(days), 7).await;
    assert!(at(1).await?.is_empty(), "what is young was forgotten");
    let gone = at(8).await?;
    // Around midnight the two generations are of two days, and both stay.
    if then.instant().date_naive() == now.date_naive() {
        assert_eq!(gone.iter().map(|partition| partition.generation).collect::<Vec<_>>(), [then]);
    }
    let forgotten = retain::forget(&stack.lake, &stack.store, &gone, std::future::ready(())).await?;
    assert_eq!(forgotten.objects, gone.len() * stack.register.annotators().len());
    assert!(forgotten.items >= gone.len() * 2, "{forgotten:?}");
    let again = retain::forget(&stack.lake, &stack.store, &gone, std::future::ready(())).await?;
    assert_eq!(again.items, 0);
    assert_eq!(json(&stack, &format!("/v1/insights?{ALL}")).await?, after);
    let left = files(&house.lake())?;
    assert!(
        lake.iter()
            .filter(|(key, _)| !key.starts_with("annotations/"))
            .all(|(key, bytes)| left.get(key) == Some(bytes))
    );

    let known = json(&stack, &format!("/v1/insights?{ALL}&as_of={then}")).await?;
    assert_eq!(known["days_missing"].as_array().map_or(0, Vec::len), gone.len());
    rewind(&stack, &Wish { as_of: Some(then), ..Wish::default() }, Show::Nothing).await?;
    let known = json(&stack, &format!("/v1/insights?{ALL}&as_of={then}")).await?;
    assert_eq!(known["insights"], before["insights"]);
    let back = files(&house.lake())?;
    assert!(lake.iter().all(|(key, bytes)| back.get(key) == Some(bytes)), "an annotation came back different");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_never_fail_and_never_read_half_while_generations_are_forgotten() -> anyhow::Result<()> {
    let house = House::of(&format!("{}{}", crate::promises::SCHEMA, crate::promises::SMALL)).await?;
    let (stack, work) = house.worked().await?;
    let then = work.run.expect("a run").generation;
    let old = stack.register.logic().clone();
    stack.stop().await?;
    // Another logic, and a day that was captured three times: both logics show the first, or the last.
    let house = house.classified_by(Some("[stereotypes.code]\nautomatable = true\n"));
    let (stack, _) = house.worked().await?;
    let mut generations = Vec::new();
    for duration in [5000, 7200] {
        house.execute(&format!("UPDATE activities SET duration = {duration} WHERE id = 1")).await?;
        generations.push(up::work(&stack, Show::Nothing).await?.run.expect("a run").generation);
    }
    rewind(&stack, &Wish::default(), Show::Nothing).await?;
    let between = generations[0];
    let current = format!("/v1/insights?{ALL}");
    let known = format!("/v1/insights?{ALL}&as_of={between}");
    let compared = format!("/v1/compare?{ALL}&logic={old}&with={}", stack.register.logic());
    let before = (json(&stack, &current).await?, json(&stack, &known).await?, json(&stack, &compared).await?);
    assert_ne!(before.0["insights"], before.1["insights"]);

    // What a comparison uses stays whatever its age: only what nobody shows goes.
    let later = chrono::Utc::now() + chrono::TimeDelta::days(8);
    let gone = retain::superseded(&stack.lake, &stack.store, later, 7).await?;
    let of_day: Vec<Generation> = gone.iter().map(|partition| partition.generation).collect();
    // Around midnight a generation may be the last of its day of capture, and stays.
    if generations[1].instant().date_naive() != then.instant().date_naive() {
        return stack.stop().await;
    }
    assert_eq!(of_day, [between], "{then} is what the old logic shows");

    // Whoever has found what to read reads it whole, although it is being forgotten.
    let request = api::Request { as_of: Some(between), ..api::Request::default() };
    let begun = api::evidence::Basis::find(&stack.api, &request).await?;
    let (leave, left) = tokio::sync::oneshot::channel::<()>();
    let forgetting = {
        let (lake, store, gone) = (stack.lake.clone(), stack.store.clone(), gone.clone());
        tokio::spawn(async move {
            let readers_left = async { left.await.unwrap_or_default() };
            retain::forget(&lake, &store, &gone, readers_left).await
        })
    };
    let partition = *gone.first().expect("a partition");
    while stack.store.generations(stack.register.logic(), partition.day, partition.day).await?.len() > 2 {
        tokio::task::yield_now().await;
    }
    let evidence = api::evidence::Evidence::of(&stack.api, begun, false).await?;
    let whole: i64 = evidence.days.values().flat_map(|day| &day.by_stereotype).map(|cell| cell.work.seconds).sum();
    let current_seconds = insight(&before.1, "automatable")?["denominator"].as_i64().expect("a number");
    assert_eq!(whole, current_seconds, "a reader that had begun read half of it");
    // Whoever begins now is told that the day is missing, and what is current is as it was.
    let reads = async || -> anyhow::Result<()> {
        assert_eq!(json(&stack, &current).await?, before.0);
        assert_eq!(json(&stack, &compared).await?, before.2);
        assert_eq!(json(&stack, &known).await?["days_missing"].as_array().map_or(0, Vec::len), 1);
        Ok(())
    };
    reads().await?;
    leave.send(()).expect("it waits");
    while !forgetting.is_finished() {
        reads().await?;
    }
    assert!(forgetting.await??.items >= 2);
    reads().await?;
    stack.stop().await
}
