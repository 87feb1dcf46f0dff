//! The steel thread: from SQL rows to the page.

use serde_json::json;
use shared::{contribution::Scope, lake::LakeKey};
use wastewalk_tests::{House, foreign, get, insight, json, text};

/// INSIGHTS: a team of eight, two-week sprints of 80 h a person, 23 % automatable: 0.23 × 8 × 80 h = 147.2 h a sprint.
const REFERENCE_SECONDS: i64 = 529_920;

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_case_goes_from_sql_rows_to_the_page() -> anyhow::Result<()> {
    let house = House::demo().await?;
    let (stack, work) = house.worked().await?;
    let run = work.run.expect("the source can be read");

    // Every record is accounted for.
    assert!(run.counts.balanced(), "{:?}", run.counts);
    assert_eq!((run.counts.quarantined, run.counts.open, run.counts.unchanged), (2, 1, 0));
    assert_eq!(run.quarantined_by_reason, [("unknown_stereotype".to_owned(), 2)].into());
    assert_eq!(run.days.written as usize, work.days);

    // The figure, in the API.
    let teams = shared::dimension::newest(&stack.lake, shared::lake::Entity::Teams).await?.1;
    let platform = teams.iter().find(|team| team.name.as_deref() == Some("Platform")).expect("the reference team");
    let answer = json(&stack, &format!("/v1/insights?scope={}", Scope::Team(platform.id.clone()))).await?;
    let automatable = insight(&answer, "automatable")?;
    assert_eq!(automatable["status"], "measured");
    assert_eq!(automatable["ratio"], json!(0.23));
    assert_eq!(automatable["people"], json!(8));
    let hours = &automatable["hours_per_sprint"];
    let sprints = hours["sprints"].as_i64().expect("a number of sprints");
    assert!(sprints >= 5, "{hours}");
    assert_eq!(hours["seconds"], json!(REFERENCE_SECONDS * sprints));
    assert_eq!(hours["value"], json!(147.2));
    assert_eq!(answer["logic"], json!(stack.register.logic()));
    assert_eq!(answer["data_as_of"], json!(run.generation.instant()));

    // The sentence, in the findings and on the page.
    let findings = json(&stack, "/v1/findings").await?;
    let first = &findings["findings"][0];
    assert_eq!(first["headline"], "Platform team: 147.2 h a sprint automatable (23 %)");
    assert_eq!(first["halved"]["hours"], json!(73.6));
    let page = text(&stack, "/").await?;
    assert!(page.contains("147.2 h a sprint automatable (23 %)"), "the page does not say it");

    // Any figure is the sum of its parts: the organisation's is that of its teams, and of its stereotypes.
    let org = json(&stack, "/v1/insights").await?;
    for id in ["automatable", "out-of-sprint"] {
        let whole = insight(&org, id)?;
        let mut sum = 0;
        for team in &teams {
            let part = json(&stack, &format!("/v1/insights?scope=team:{}", team.id)).await?;
            sum += insight(&part, id)?["numerator"].as_i64().unwrap_or_default();
        }
        assert_eq!(whole["numerator"], json!(sum), "{id}");
        let by_stereotype = whole["by_stereotype"].as_array().expect("a list");
        let parts: i64 = by_stereotype.iter().filter_map(|part| part["numerator"].as_i64()).sum();
        assert_eq!(whole["numerator"], json!(parts), "{id}");
    }
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_tells_the_story_of_each_team_and_leaves_no_insight_empty() -> anyhow::Result<()> {
    let house = House::demo().await?;
    let (stack, _) = house.worked().await?;
    let org = json(&stack, "/v1/insights").await?;
    for declared in stack.register.insights() {
        let answer = insight(&org, &declared.id)?;
        assert_ne!(answer["status"], "not_measurable", "{}", declared.id);
        assert!(answer["numerator"].as_i64() > Some(0), "{} is empty", declared.id);
        let beside = answer["beside"].as_array().into_iter().flatten();
        assert!(beside.clone().all(|figure| figure["status"] != "not_measurable"), "{}", declared.id);
    }

    let findings = json(&stack, "/v1/findings").await?;
    let findings = findings["findings"].as_array().expect("a list");
    let whose = |id: &str| -> Vec<(&str, f64)> {
        let of_insight = findings.iter().filter(|finding| finding["id"] == id);
        of_insight
            .map(|found| {
                (found["scope_name"].as_str().unwrap_or_default(), found["ratio"].as_f64().unwrap_or_default())
            })
            .collect()
    };
    assert_eq!(whose("automatable")[0], ("Platform", 0.23), "one is the reference case");
    assert_eq!(whose("late-planning"), [("Insight", 1.0)], "one plans late");
    assert_eq!(whose("juggling"), [("Insight", 9.0)], "people are pulled through nine kinds of work a day");
    let [("Checkout", after)] = whose("defects-after-release")[..] else {
        panic!("one drowns in defects after the release: {:?}", whose("defects-after-release"))
    };
    assert!(after > 0.4);
    let [("Mobile", rated_low)] = whose("ceremonies")[..] else {
        panic!("one pays for ceremonies it rates 2: {:?}", whose("ceremonies"))
    };
    assert!(rated_low > 0.8);
    for finding in findings {
        let hours = |of: &str| finding[of]["hours"].as_f64().expect("hours");
        assert!((hours("halved") * 2.0 - hours("removed")).abs() < 1e-9, "{finding}");
        let rows = json(&stack, finding["activities"].as_str().expect("an address")).await?;
        assert!(!rows["activities"].as_array().expect("a list").is_empty(), "{finding}");
    }
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn running_again_finds_nothing_to_do_and_writes_only_its_record() -> anyhow::Result<()> {
    let house = House::demo().await?;
    let (stack, first) = house.worked().await?;
    let before = wastewalk_tests::files(&house.lake())?;
    stack.stop().await?;
    let (stack, second) = house.worked().await?;
    let (first, again) = (first.run.expect("a run"), second.run.expect("a run"));
    assert_eq!(second.days, 0);
    assert_eq!(again.counts.unchanged, first.counts.written);
    assert!(again.objects.is_empty(), "{:?}", again.objects);
    let mut after = wastewalk_tests::files(&house.lake())?;
    after.remove(&LakeKey::Run { generation: again.generation }.to_string()).expect("a run record");
    assert!(before == after, "an object was made or changed");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn duckdb_reads_the_lake_and_finds_the_same_rows_and_sums() -> anyhow::Result<()> {
    let house = House::demo().await?;
    let (stack, work) = house.worked().await?;
    let run = work.run.expect("a run");
    let read = foreign("lake.py", &[house.lake().to_str().expect("UTF-8")])?;
    let rows = run.counts.written;
    assert_eq!(read["rows"][0], json!(rows));
    assert_eq!(read["distinct_keys"], json!(rows));
    assert_eq!(read["source_rows_that_are_objects"], json!(rows));
    for zero in ["source_keys_that_differ", "unordered", "days_in_the_wrong_place"] {
        assert_eq!(read[zero], json!(0), "{zero}");
    }
    assert_eq!(read["by_key"], read["by_position"]);
    assert_eq!(read["by_key"][0], json!(rows));
    assert_eq!(read["quarantined"], json!([["unknown_stereotype", "stereotype_code", 2]]));
    assert_eq!(read["types"]["started_at"], "TIMESTAMP WITH TIME ZONE");
    assert_eq!(read["types"]["duration_seconds"], "BIGINT");

    // What DuckDB adds up over the files is what the API says, over all days.
    let org = json(&stack, "/v1/insights?from=2026-01-01&to=2027-01-01").await?;
    let (scope, automatable) = (insight(&org, "out-of-sprint")?, insight(&org, "automatable")?);
    let number = |value: &serde_json::Value| value.as_str().and_then(|text| text.parse().ok()).or(value.as_i64());
    assert_eq!(scope["numerator"].as_i64(), number(&read["by_key"][3]));
    assert_eq!(automatable["numerator"].as_i64(), number(&read["by_key"][4]));
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_refuses_what_it_does_not_understand_with_a_problem() -> anyhow::Result<()> {
    let house = House::demo().await?;
    let (stack, _) = house.worked().await?;
    for (uri, status) in [
        ("/v1/insights?scope=planet:1", 400),
        ("/v1/insights?from=2026-13-01", 400),
        ("/v1/insights?from=2026-09-02&to=2026-09-01", 400),
        ("/v1/insights?colour=red", 400),
        ("/v1/insights?scope=team:999", 404),
        ("/v1/nothing", 404),
    ] {
        let response = get(&stack, uri).await?;
        assert_eq!(response.status().as_u16(), status, "{uri}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{uri}");
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await?;
        let problem: serde_json::Value = serde_json::from_slice(&body)?;
        assert_eq!(problem["status"], json!(status), "{uri}");
        assert!(problem["type"].is_string() && problem["title"].is_string(), "{uri}: {problem}");
    }
    let health = json(&stack, "/v1/health").await?;
    assert_eq!(health["last_run"]["quarantined"], json!(2));
    stack.stop().await
}
