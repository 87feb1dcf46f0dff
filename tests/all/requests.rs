//! Promise 10, for the API: requests to the table grow with the days and scopes asked for and never with history. What
//! each question costs is said in `functions/api/README.md`.

use std::collections::BTreeMap;

use axum::{body::Body, http::Request};
use shared::{annotator::Register, contribution::LogicRecord, time::LocalDay};
use tower::ServiceExt;
use wastewalk_tests::{House, SCHEMA, requests::counted, year::Year};

/// Queries and batch reads.
type Cost = (usize, usize);

#[tokio::test(flavor = "multi_thread")]
async fn a_question_costs_requests_by_the_days_and_scopes_asked_for_and_not_by_history() -> anyhow::Result<()> {
    let first: LocalDay = "2025-01-06".parse()?;
    let short = Year { teams: 3, first, days: 28 };
    // 150 days of work.
    let long = Year { days: 210, ..short };
    let house = House::of(&format!("{SCHEMA}{}", long.dimensions())).await?;
    let (stack, _) = house.worked().await?;
    let (api, store, requests) = counted(&stack)?;
    let ask = async |uri: &str| -> anyhow::Result<Cost> {
        let router = api::router(api.clone());
        let request = || Request::builder().uri(uri).body(Body::empty());
        assert!(router.clone().oneshot(request()?).await?.status().is_success(), "{uri}");
        requests.take();
        let answer = router.oneshot(request()?).await?;
        axum::body::to_bytes(answer.into_body(), usize::MAX).await?;
        let mut asked = requests.take();
        let mut of = |operation: &str| asked.remove(operation).unwrap_or_default();
        let cost = (of("Query"), of("BatchGetItem"));
        assert_eq!(asked, BTreeMap::new(), "{uri}");
        Ok(cost)
    };
    let own = LogicRecord::of(&stack.register, "2026-02-01T00:00:00Z".parse()?);
    short.publish(&store, &stack.register, &own).await?;
    let month = "from=2025-01-06&to=2025-02-03";
    let questions = [
        format!("/v1/insights?scope=team:1&{month}"),
        format!("/v1/insights/waste/trend?{month}"),
        format!("/v1/findings?{month}"),
        format!("/v1/lineage?insight=waste&limit=1&{month}"),
        "/v1/health".to_owned(),
    ];
    // The logics, the newest day, the pointers; a batch a scope: the organisation's teams where findings need them.
    let one_logic: [Cost; 5] = [(3, 1), (3, 1), (3, 4), (3, 1), (2, 0)];
    for (uri, expected) in questions.iter().zip(one_logic) {
        assert_eq!(ask(uri).await?, expected, "{uri}");
    }
    // Seven times the history.
    long.publish(&store, &stack.register, &own).await?;
    for (uri, expected) in questions.iter().zip(one_logic) {
        assert_eq!(ask(uri).await?, expected, "{uri}, with more history");
    }
    // A hundred days are a batch.
    let all = "from=2025-01-01&to=2026-01-01";
    assert_eq!(ask(&format!("/v1/insights?scope=team:1&{all}")).await?, (3, 2));
    assert_eq!(ask(&format!("/?{all}")).await?, (3, 8), "the page reads the teams, too");

    // An older logic that has all of it: it is asked for its newest day and for the days that are missing, weekends. A
    // trend reads it once more, and a comparison reads three times.
    let text = "[stereotypes.review]\nautomatable = true\n";
    let register = Register::configured(stack.register.settings(), &BTreeMap::from([("classify", text)]))?;
    let older = LogicRecord::of(&register, "2026-01-01T00:00:00Z".parse()?);
    long.publish(&store, &register, &older).await?;
    let two_logics: [Cost; 5] = [(5, 1), (6, 2), (5, 4), (5, 1), (3, 0)];
    for (uri, expected) in questions.iter().zip(two_logics) {
        assert_eq!(ask(uri).await?, expected, "{uri}, with two logics");
    }
    assert_eq!(ask(&format!("/v1/compare?scope=team:1&{month}")).await?, (7, 3));
    assert_eq!(ask(&format!("/v1/compare?scope=team:1&{all}")).await?, (7, 6));
    assert_eq!(ask("/v1/logics").await?, (1, 0));
    stack.stop().await
}
