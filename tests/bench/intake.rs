//! `make bench-intake`: a day of a million rows from PostgreSQL into the lake, beside the least that reading it costs and beside
//! another tool.
//!
//! Three contenders read the same table, three times by turns, each in a process of its own: `COPY … TO STDOUT (FORMAT binary)` of
//! all columns in the lake's order, thrown away, which is the limit; intake, over the embedded S3 and DynamoDB, which keeps each
//! whole source row, verifies and hashes; and dlt's SQL source with its Arrow backend, to Parquet in a folder, which keeps no whole
//! rows and sorts nothing. Then intake reads ten times as many rows: its memory should not grow with them.
//! `BENCH_ROWS` makes it smaller.
#![allow(clippy::print_stdout, reason = "what it prints is what it is run for")]

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use chrono::Utc;
use futures::TryStreamExt;
use intake::mapping::Mapping;
use sqlx::{Connection, PgConnection};
use wastewalk::bus::Faults;
use wastewalk_tests::{
    House,
    postgres::{Database, SCHEMA, Server},
};

const TIMES: usize = 3;
const PEOPLE: u64 = 1_000;
/// In the lake's order: by person, start and key.
const IN_ORDER: &str = "COPY (SELECT * FROM activities ORDER BY user_id, started_at, id) TO STDOUT (FORMAT binary)";

/// A day of `rows` activities of a thousand people, in no order.
fn organisation(rows: u64) -> String {
    format!(
        "{SCHEMA}
         INSERT INTO teams SELECT n, 'Team ' || n FROM generate_series(1, 100) n;
         INSERT INTO users SELECT n, n % 100 + 1, 'Person ' || n, 'Europe/Berlin' FROM generate_series(1, {PEOPLE}) n;
         INSERT INTO sprints SELECT n, n, 'Sprint', '2026-03-01T23:00:00Z', '2026-03-15T23:00:00Z', NULL
            FROM generate_series(1, 100) n;
         INSERT INTO activity_stereotypes SELECT 'kind-' || n, 'Kind ' || n, 'development', n % 5 = 0 FROM generate_series(0, 19) n;
         INSERT INTO activities
            SELECT n, n * 7919 % {PEOPLE} + 1, n * 7919 % {PEOPLE} % 100 + 1, 'kind-' || n % 20,
                timestamptz '2026-03-03T05:00:00Z' + n * 31 % 36000 * interval '1 second', 60 + n % 3000, n % 4 <> 0,
                CASE WHEN n % 10 = 0 THEN n % 5 + 1 END, CASE WHEN n % 3 = 0 THEN 'worked on ticket ' || n END,
                timestamptz '2026-03-03T20:00:00Z', timestamptz '2026-03-03T20:00:00Z'
            FROM generate_series(1, {rows}::bigint) n;
         ANALYZE activities;"
    )
}

/// What a process said of itself at its end.
struct Run {
    time: Duration,
    rows: u64,
    /// In MiB.
    peak: f64,
}

/// Runs one contender, which prints how many rows it has read and its peak memory in KiB.
fn run(contender: &mut Command) -> anyhow::Result<Run> {
    let begin = Instant::now();
    let output = contender.stderr(Stdio::inherit()).output()?;
    let time = begin.elapsed();
    ensure!(output.status.success(), "{contender:?}: {}", output.status);
    let said = String::from_utf8(output.stdout)?;
    let (rows, peak) = said.trim().rsplit('\n').next().and_then(|last| last.split_once(' ')).context("two numbers")?;
    Ok(Run { time, rows: rows.parse()?, peak: peak.parse::<f64>()? / 1_024.0 })
}

fn own(contender: &str, url: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    // As template.yaml has it.
    command.args([contender, url]).env("MALLOC_ARENA_MAX", "1");
    Ok(command)
}

fn dlt(url: &str) -> anyhow::Result<Command> {
    let python = std::env::var_os("WASTEWALK_DLT").map(PathBuf::from).context("`make bench-intake` installs dlt")?;
    let mut command = Command::new(python);
    command.arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("bench/intake_dlt.py")).arg(url);
    Ok(command)
}

/// Most memory that this process had at once, in KiB: what Linux says of it.
fn peak() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("only Linux tells how much memory was used")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    Ok(peak.context("VmHWM")?.parse()?)
}

async fn copy(url: &str) -> anyhow::Result<u64> {
    let mut connection = PgConnection::connect(url).await?;
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM activities").fetch_one(&mut connection).await?;
    let mut bytes = 0;
    let mut stream = connection.copy_out_raw(IN_ORDER).await?;
    while let Some(part) = stream.try_next().await? {
        bytes += part.len() as u64;
    }
    ensure!(bytes > rows.unsigned_abs(), "only {bytes} bytes came");
    Ok(rows.unsigned_abs())
}

async fn intake(url: &str) -> anyhow::Result<u64> {
    let house = House::at(url, Mapping::load("reference")?)?;
    // No event arrives, so nothing is annotated.
    let stack = house.stack(Some(Faults { lost_percent: 100, ..Faults::default() })).await?;
    let run = stack.intake.run(Utc::now()).await?;
    stack.stop().await?;
    Ok(run.counts.written)
}

fn median(runs: &[Run], of: impl Fn(&Run) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

async fn compare(database: &Database<'_>, rows: u64) -> anyhow::Result<()> {
    let url = database.url();
    let mut of: [(&str, Vec<Run>); 3] = ["COPY", "intake", "dlt"].map(|name| (name, Vec::new()));
    for _ in 0..TIMES {
        for (name, runs) in &mut of {
            let mut contender = if *name == "dlt" { dlt(&url)? } else { own(name, &url)? };
            let run = run(&mut contender)?;
            ensure!(run.rows == rows, "{name} read {} rows of {rows}", run.rows);
            runs.push(run);
        }
    }
    println!("{:<10} {:>8} {:>12} {:>9} {:>9}", format!("{rows} rows"), "seconds", "rows/second", "× COPY", "MiB");
    let seconds = |runs: &[Run]| median(runs, |run| run.time.as_secs_f64());
    let limit = seconds(&of[0].1);
    for (name, runs) in &of {
        let time = seconds(runs);
        println!(
            "{name:<10} {time:>8.2} {:>12.0} {:>9.2} {:>9.0}",
            rows as f64 / time,
            time / limit,
            median(runs, |run| run.peak)
        );
    }
    println!("dlt ÷ intake: {:.2}", seconds(&of[2].1) / seconds(&of[1].1));
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let read = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => None,
        ["COPY", url] => Some(copy(url).await?),
        ["intake", url] => Some(intake(url).await?),
        _ => bail!("it takes no arguments; see BENCH_ROWS"),
    };
    if let Some(rows) = read {
        println!("{rows} {}", peak()?);
        return Ok(());
    }
    let rows = std::env::var("BENCH_ROWS").map_or(Ok(1_000_000), |rows| rows.parse()).context("BENCH_ROWS")?;
    let server = Server::get().await?;
    compare(&server.database(&organisation(rows)).await?, rows).await?;
    let many = rows * 10;
    let database = server.database(&organisation(many)).await?;
    let Run { time, rows, peak } = run(&mut own("intake", &database.url())?)?;
    ensure!(rows == many, "intake read {rows} rows of {many}");
    println!(
        "\n{many} rows: intake {:.0} s, {:.0} rows/second, {peak:.0} MiB",
        time.as_secs_f64(),
        many as f64 / time.as_secs_f64()
    );
    Ok(())
}
