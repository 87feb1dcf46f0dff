//! Every figure of the API, at every scope and over several ranges, against an oracle: SQL over the tables of the
//! source, written from the definitions, without our code and without our files.
//!
//! The organisations are hostile, and the same every time; `oracle/organisation.py` says what is awkward in them.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tokio::net::TcpListener;
use wastewalk::{demo, stack::Stack};
use wastewalk_tests::{House, foreign};

/// Differences that a failure shows; the rest is only counted.
const SHOWN: usize = 20;

/// A file beside the oracle.
fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle").join(name)
}

fn utf8(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("the path is not UTF-8")
}

/// Serves the stack's API on a local port and has the oracle ask it; returns how many values are equal.
///
/// # Errors
/// With the first differences and how many there are, if any.
pub(crate) async fn agrees(stack: &Stack, source: &Path, mapping: &Path, options: &[&str]) -> anyhow::Result<u64> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let router = api::router(stack.api.clone());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let arguments = [&[utf8(source)?, utf8(mapping)?, &*address], options].concat();
    let answer = tokio::task::block_in_place(|| foreign("../oracle/compare.py", &arguments));
    server.abort();
    let answer = answer?;
    let differences = answer["differences"].as_array().context("no list of differences")?;
    if !differences.is_empty() {
        let shown: Vec<String> = differences.iter().take(SHOWN).map(Value::to_string).collect();
        bail!("{} differences from the oracle, such as\n{}", differences.len(), shown.join("\n"));
    }
    let compared = answer["compared"].as_u64().context("no count")?;
    ensure!(compared > 0, "nothing was compared");
    Ok(compared)
}

/// Generates organisations of a kind, one for each seed, reads them by a mapping and compares everything.
async fn organisations_agree(kind: &str, seeds: &[u32], mapping: &str) -> anyhow::Result<()> {
    for seed in seeds {
        let house = Elsewhere { zone: "Europe/Berlin", grace_days: 1, long_gap_hours: 3 };
        organisation_agrees(kind, *seed, mapping, house).await?;
    }
    Ok(())
}

/// What another organisation may have settled otherwise.
struct Elsewhere {
    zone: &'static str,
    grace_days: u32,
    long_gap_hours: u32,
}

async fn organisation_agrees(kind: &str, seed: u32, mapping: &str, settled: Elsewhere) -> anyhow::Result<()> {
    let Elsewhere { zone, grace_days, long_gap_hours } = settled;
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("organisation.sqlite");
    foreign("../oracle/organisation.py", &[&seed.to_string(), kind, utf8(&source)?, zone])?;
    let text = std::fs::read_to_string(beside(mapping))?.replace("Europe/Berlin", zone);
    let mapping = folder.path().join(mapping);
    std::fs::write(&mapping, text)?;
    let house = House::over(&source, &mapping)?.settled(grace_days, long_gap_hours);
    let (stack, work) = house.worked().await?;
    let run = work.run.map_err(anyhow::Error::msg)?;
    ensure!(run.counts.balanced() && work.undone.is_none(), "{kind} {seed}: {:?} {:?}", run.counts, work.undone);
    let (grace_days, long_gap_hours) = (grace_days.to_string(), long_gap_hours.to_string());
    let options = ["--grace-days", &grace_days, "--long-gap-hours", &long_gap_hours];
    let agrees = agrees(&stack, &source, &mapping, &options).await;
    agrees.with_context(|| format!("{kind} organisation of seed {seed} in {zone}"))?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_organisations_agree_with_the_oracle() -> anyhow::Result<()> {
    organisations_agree("hostile", &[2, 3, 5, 7, 8, 12, 14], "mapping.toml").await
}

#[tokio::test(flavor = "multi_thread")]
async fn other_zones_and_settings_agree_with_the_oracle() -> anyhow::Result<()> {
    // A day ahead of the others, half an hour of summer time, and as many days and hours as there may be.
    for (seed, zone, grace_days, long_gap_hours) in
        [(4, "Pacific/Kiritimati", 0, 1), (6, "Australia/Lord_Howe", 3, 2), (9, "America/St_Johns", 14, 24)]
    {
        let settled = Elsewhere { zone, grace_days, long_gap_hours };
        organisation_agrees("hostile", seed, "mapping.toml", settled).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn wall_clocks_that_come_twice_or_never_agree_with_the_oracle() -> anyhow::Result<()> {
    organisations_agree("hostile", &[1, 8], "local.toml").await
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_without_times_agree_with_the_oracle() -> anyhow::Result<()> {
    organisations_agree("hostile", &[7, 15], "days.toml").await
}

#[tokio::test(flavor = "multi_thread")]
async fn degenerate_organisations_agree_with_the_oracle() -> anyhow::Result<()> {
    for kind in ["unclassified", "rated-only", "no-sprints", "no-teams", "only-leave", "single"] {
        organisations_agree(kind, &[1], "mapping.toml").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_organisation_agrees_with_the_oracle() -> anyhow::Result<()> {
    let house = House::demo().await?;
    let (stack, work) = house.worked().await?;
    ensure!(work.undone.is_none(), "{:?}", work.undone);
    let url = house.source_url();
    let source = url.strip_prefix("sqlite://").context("the demo is a SQLite file")?;
    let mapping = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/intake/sources/reference.toml");
    agrees(&stack, Path::new(source), &mapping, &["--time-zone", demo::TIME_ZONE]).await?;
    stack.stop().await
}
