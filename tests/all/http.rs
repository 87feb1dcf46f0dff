//! What the API promises over HTTP: the same numbers in every form, names for answers, bounded pages.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use serde_json::{Value, json};
use tower::ServiceExt;
use wastewalk::stack::Stack;
use wastewalk_tests::{House, json as asked};

struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

async fn ask(
    stack: &Stack,
    method: Method,
    uri: &str,
    headers: &[(header::HeaderName, &str)],
) -> anyhow::Result<Answered> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let response = api::router(stack.api.clone()).oneshot(request.body(Body::empty())?).await?;
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 24).await?.to_vec();
    Ok(Answered { status: parts.status, headers: parts.headers, body })
}

async fn get(stack: &Stack, uri: &str) -> anyhow::Result<Answered> {
    ask(stack, Method::GET, uri, &[]).await
}

/// The lines of a spreadsheet, by column.
fn lines(body: &[u8]) -> anyhow::Result<Vec<BTreeMap<String, String>>> {
    let mut reader = csv::Reader::from_reader(body);
    reader.deserialize().map(|line| Ok(line?)).collect()
}

fn sum(lines: &[BTreeMap<String, String>], column: &str) -> anyhow::Result<i64> {
    let cell = |line: &BTreeMap<String, String>| -> anyhow::Result<i64> {
        Ok(line.get(column).context("no such column")?.parse()?)
    };
    lines.iter().map(cell).sum()
}

/// Every activity behind a number, by following the links to the next page.
async fn all_activities(stack: &Stack, first: &str) -> anyhow::Result<Vec<BTreeMap<String, String>>> {
    let mut found = Vec::new();
    let mut uri = first.to_owned();
    loop {
        let page = get(stack, &uri).await?;
        ensure!(page.status == StatusCode::OK, "{uri}: {}", page.status);
        found.extend(lines(&page.body)?);
        let Some(link) = page.headers.get(header::LINK) else { return Ok(found) };
        let next = link.to_str()?.strip_suffix("; rel=\"next\"").context("another link")?;
        uri = next.trim_matches(['<', '>']).to_owned();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_figure_is_the_sum_of_its_activities_its_spreadsheet_its_trend_and_its_page() -> anyhow::Result<()> {
    let house = House::demo().await?;
    let (stack, _) = house.worked().await?;
    for (insight, scope) in [("waste", "org"), ("out-of-sprint", "team:2"), ("late-planning", "org")] {
        let answer = asked(&stack, &format!("/v1/insights/{insight}?scope={scope}")).await?;
        let figure = &answer["insights"][0];
        let numerator = figure["numerator"].as_i64().context("not measured")?;
        assert!(numerator > 0, "{insight} would prove nothing");

        let sheet = lines(&get(&stack, &format!("/v1/insights/{insight}?scope={scope}&format=csv")).await?.body)?;
        let whole = sheet.iter().find(|line| line["of"] == "whole").context("no whole")?;
        assert_eq!(whole["numerator"].parse::<i64>()?, numerator);
        assert_eq!(whole["ratio"].parse::<f64>().ok(), figure["ratio"].as_f64());

        let rows = format!("/v1/insights/{insight}/activities?scope={scope}&limit=500&format=csv");
        assert_eq!(sum(&all_activities(&stack, &rows).await?, "value")?, numerator, "{insight}");

        for granularity in ["day", "week", "month"] {
            let uri = format!("/v1/insights/{insight}/trend?scope={scope}&granularity={granularity}");
            let trend = asked(&stack, &uri).await?;
            let periods = trend["periods"].as_array().context("no periods")?;
            let numerators = periods.iter().filter_map(|period| period["numerator"].as_i64());
            assert_eq!(numerators.sum::<i64>(), numerator, "{insight} by {granularity}");
            let sheet = lines(&get(&stack, &format!("{uri}&format=csv")).await?.body)?;
            assert_eq!(sheet.len(), periods.len());
        }

        let page = String::from_utf8(get(&stack, &format!("/insights/{insight}?scope={scope}")).await?.body)?;
        let exact = format!("{} s)", with_commas(numerator));
        assert!(page.contains(&exact), "the page of {insight} does not say {exact}");
    }
    stack.stop().await
}

fn with_commas(number: i64) -> String {
    let digits = number.to_string();
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    groups.iter().map(|group| String::from_utf8_lossy(group)).collect::<Vec<_>>().join(",")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_activities_lead_on_and_say_the_running_sum() -> anyhow::Result<()> {
    let house = House::demo().await?;
    let (stack, _) = house.worked().await?;
    let mut before = 0;
    let mut cursor = String::new();
    loop {
        let uri = format!("/v1/insights/late-planning/activities?limit=30{cursor}");
        let page = asked(&stack, &uri).await?;
        assert_eq!(page["before"], json!(before), "what the pages before add up to");
        let activities = page["activities"].as_array().context("no activities")?;
        assert!(!activities.is_empty() && activities.len() <= 30);
        before += activities.iter().filter_map(|activity| activity["value"].as_i64()).sum::<i64>();
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => {
                assert_eq!(page["total"], json!(before));
                break;
            }
        }
    }
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_has_a_name_until_something_it_depends_on_changes() -> anyhow::Result<()> {
    let house = House::demo().await?;
    let (stack, _) = house.worked().await?;
    let addresses = [
        "/",
        "/insights/waste?scope=team:1",
        "/insights/waste/activities",
        "/v1/insights",
        "/v1/insights/waste/trend",
        "/v1/insights/waste/activities",
        "/v1/findings",
        "/v1/teams",
        "/v1/sprints?scope=team:1",
        "/v1/stereotypes",
    ];
    let mut tags = BTreeMap::new();
    for uri in addresses {
        let first = get(&stack, uri).await?;
        assert_eq!(first.headers[header::CACHE_CONTROL], "private, no-cache", "{uri}");
        let tag = first.headers.get(header::ETAG).context(uri)?.to_str()?.to_owned();
        assert!(tag.starts_with('"'), "{tag} is not strong");
        let again = ask(&stack, Method::GET, uri, &[(header::IF_NONE_MATCH, &tag)]).await?;
        assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0), "{uri}");
        assert_eq!(again.headers[header::ETAG].to_str()?, tag);
        assert_eq!(get(&stack, uri).await?.body, first.body, "{uri}: one name, two answers");
        let other = ask(&stack, Method::GET, uri, &[(header::IF_NONE_MATCH, "\"other\"")]).await?;
        assert_eq!(other.status, StatusCode::OK);
        assert!(tags.insert(tag, uri).is_none(), "two answers with one name");
    }
    for (uri, header) in
        [("/v1/insights", (header::ACCEPT, "text/csv")), ("/v1/insights", (header::ACCEPT_ENCODING, "gzip"))]
    {
        let tag = ask(&stack, Method::GET, uri, &[header]).await?.headers[header::ETAG].to_str()?.to_owned();
        assert!(tags.insert(tag, uri).is_none(), "other bytes have another name");
    }
    // A day changes in the source: every answer that it is part of has another name.
    house.execute("UPDATE activities SET duration = duration + 60 WHERE id = 203").await?;
    stack.stop().await?;
    let (stack, _) = house.worked().await?;
    for uri in addresses {
        let tag = get(&stack, uri).await?.headers[header::ETAG].to_str()?.to_owned();
        assert!(!tags.contains_key(&tag), "{uri} kept its name");
    }
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_come_compressed_to_whoever_can_read_it_and_head_has_no_body() -> anyhow::Result<()> {
    let house = House::demo().await?;
    let (stack, _) = house.worked().await?;
    for uri in ["/", "/v1/insights", "/insights/waste", "/quality"] {
        let plain = get(&stack, uri).await?;
        assert_eq!(plain.headers.get(header::CONTENT_ENCODING), None);
        for encoding in ["br", "gzip"] {
            let small = ask(&stack, Method::GET, uri, &[(header::ACCEPT_ENCODING, encoding)]).await?;
            assert_eq!(small.headers[header::CONTENT_ENCODING], encoding, "{uri}");
            assert!(small.body.len() * 3 < plain.body.len(), "{uri}: {} of {}", small.body.len(), plain.body.len());
        }
        let head = ask(&stack, Method::HEAD, uri, &[]).await?;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0), "{uri}");
        assert_eq!(head.headers[header::CONTENT_TYPE], plain.headers[header::CONTENT_TYPE]);
    }
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_say_who_and_what_there_is() -> anyhow::Result<()> {
    let house = House::demo().await?;
    let (stack, _) = house.worked().await?;
    let org = asked(&stack, "/v1/insights").await?;
    let numerator = |figure: &Value| figure["numerator"].as_i64().unwrap_or_default();
    let whole =
        org["insights"].as_array().and_then(|all| all.iter().find(|one| one["id"] == "waste")).context("waste")?;

    let teams = asked(&stack, "/v1/teams").await?;
    let teams = teams["teams"].as_array().context("teams")?;
    assert_eq!(teams.iter().map(|team| numerator(&team["insights"]["waste"])).sum::<i64>(), numerator(whole));

    let sprints = asked(&stack, "/v1/sprints?scope=team:2").await?;
    let sprints = sprints["sprints"].as_array().context("sprints")?;
    assert!(sprints.iter().any(|sprint| sprint["complete"] == json!(true)));
    assert!(sprints.iter().any(|sprint| sprint["complete"] == json!(false)), "the newest is not over");
    assert!(sprints.iter().all(|sprint| sprint["from"].as_str() < sprint["to"].as_str()));

    let kinds = asked(&stack, "/v1/stereotypes").await?;
    let seconds = kinds["stereotypes"].as_array().context("kinds")?.iter();
    let work: i64 = seconds.filter_map(|kind| kind["work_seconds"].as_i64()).sum();
    assert_eq!(Some(work), whole["denominator"].as_i64(), "all work is of some kind");

    let quality = asked(&stack, "/v1/quality").await?;
    assert_eq!(quality["quarantined_by_reason"], json!({"unknown_stereotype": 2}));
    assert_eq!(quality["runs"].as_array().map(Vec::len), Some(1));
    assert_eq!(quality["status"], "ok");
    stack.stop().await
}
