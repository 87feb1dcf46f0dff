//! `make bench-api`: what the API answers in over a year of a thousand teams, beside the same router returning a constant.
//!
//! Everything is on this machine: the embedded S3 and DynamoDB, the router behind a socket of 127.0.0.1, and whoever asks.
//! `BENCH_TEAMS` and `BENCH_DAYS` make it smaller. Each question is asked for ten seconds or three hundred times, whichever
//! is first, by two at a time.
#![allow(clippy::print_stdout, reason = "what it prints is what it is run for")]

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use axum::body::Body;
use http_body_util::BodyExt;
use hyper::{Request, Uri};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use shared::contribution::LogicRecord;
use tokio::net::TcpListener;
use wastewalk_tests::{
    House, SCHEMA,
    requests::{Requests, counted},
    year::Year,
};

const ASKERS: usize = 2;
const MOST_TIME: Duration = Duration::from_secs(10);
const MOST_TIMES: usize = 300;

/// What asking one question again and again came to.
struct Measured {
    times: usize,
    p50: Duration,
    p99: Duration,
    a_second: f64,
    bytes: usize,
}

type Http = Client<HttpConnector, Body>;

async fn get(client: &Http, uri: &Uri) -> anyhow::Result<usize> {
    let request = Request::builder().uri(uri.clone()).body(Body::empty())?;
    let answer = client.request(request).await?;
    ensure!(answer.status().is_success(), "{uri} answered {}", answer.status());
    Ok(answer.into_body().collect().await?.to_bytes().len())
}

async fn measure(client: &Http, uri: &Uri) -> anyhow::Result<Measured> {
    let bytes = get(client, uri).await?;
    let begin = Instant::now();
    let asker = || async {
        let mut times = Vec::new();
        while begin.elapsed() < MOST_TIME && times.len() < MOST_TIMES / ASKERS {
            let asked = Instant::now();
            get(client, uri).await?;
            times.push(asked.elapsed());
        }
        anyhow::Ok(times)
    };
    let askers = (0..ASKERS).map(|_| asker());
    let mut times: Vec<Duration> = futures::future::try_join_all(askers).await?.into_iter().flatten().collect();
    let a_second = times.len() as f64 / begin.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |hundredths: usize| times.get((times.len() * hundredths).div_ceil(100).saturating_sub(1)).copied();
    let (p50, p99) = at(50).zip(at(99)).context("nothing was asked")?;
    Ok(Measured { times: times.len(), p50, p99, a_second, bytes })
}

/// What a question costs in requests to the table.
async fn cost(client: &Http, uri: &Uri, requests: &Requests) -> anyhow::Result<(usize, usize)> {
    requests.take();
    get(client, uri).await?;
    let asked = requests.take();
    let of = |operation: &str| asked.get(operation).copied().unwrap_or_default();
    Ok((of("Query"), of("BatchGetItem")))
}

fn number(variable: &str, otherwise: i64) -> anyhow::Result<i64> {
    match std::env::var(variable) {
        Ok(value) => value.parse().with_context(|| format!("{variable} is no number")),
        Err(_) => Ok(otherwise),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (teams, days) = (number("BENCH_TEAMS", 1_000)?, number("BENCH_DAYS", 364)?);
    let year = Year { teams: usize::try_from(teams)?, first: "2025-01-06".parse()?, days };
    let house = House::of(&format!("{SCHEMA}{}", year.dimensions())).await?;
    let (stack, _) = house.worked().await?;
    let (api, store, requests) = counted(&stack)?;
    let own = LogicRecord::of(&stack.register, "2026-02-01T00:00:00Z".parse()?);
    let begin = Instant::now();
    year.publish(&store, &stack.register, &own).await?;
    println!(
        "{teams} teams, {} days of work, written in {:.0} s",
        year.worked().count(),
        begin.elapsed().as_secs_f64()
    );

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move { axum::serve(listener, api::router(api)).await });
    let client: Http = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let uri = |path: &str| format!("http://{address}{path}").parse::<Uri>();
    let quarter = "from=2025-10-06&to=2026-01-05";
    let questions = [
        ("a constant", "/assets/icon.svg".to_owned()),
        ("a team, 13 weeks", format!("/v1/insights?scope=team:1&{quarter}")),
        ("a team, a year", "/v1/insights?scope=team:1&from=2025-01-06&to=2026-01-05".to_owned()),
        ("a team's trend, a year", "/v1/insights/waste/trend?scope=team:1&from=2025-01-06&to=2026-01-05".to_owned()),
        ("a team's page, 13 weeks", format!("/?scope=team:1&{quarter}")),
        ("the organisation, a week", "/v1/insights?from=2025-12-29&to=2026-01-05".to_owned()),
        ("the organisation, 13 weeks", format!("/v1/insights?{quarter}")),
        ("its page, a week", "/?from=2025-12-29&to=2026-01-05".to_owned()),
    ];
    println!(
        "\n{:<28} {:>7} {:>7} {:>9} {:>9} {:>7} {:>8} {:>6} {:>8} {:>9}",
        "question", "queries", "batches", "p50, ms", "p99, ms", "times", "a second", "p50 ×", "a sec. ÷", "bytes"
    );
    let mut constant: Option<(Duration, f64)> = None;
    for (question, path) in &questions {
        let uri = uri(path)?;
        get(&client, &uri).await?;
        let (queries, batches) = cost(&client, &uri, &requests).await?;
        let Measured { times, p50, p99, a_second, bytes } = measure(&client, &uri).await?;
        let (least, most) = *constant.get_or_insert((p50, a_second));
        let milliseconds = |time: Duration| time.as_secs_f64() * 1_000.0;
        println!(
            "{question:<28} {queries:>7} {batches:>7} {:>9.2} {:>9.2} {times:>7} {a_second:>8.1} {:>6.0} {:>8.0} {bytes:>9}",
            milliseconds(p50),
            milliseconds(p99),
            p50.as_secs_f64() / least.as_secs_f64(),
            most / a_second
        );
    }
    server.abort();
    stack.stop().await
}
