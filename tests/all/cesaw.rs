//! Real data: the CESAW time log, against figures that DuckDB works out from the raw log by itself.
//!
//! The data is not part of this project. The test looks for it in `CESAW_DATA`, else in `../shared/data/cesaw` beside
//! the checkout, and says so when it is not there.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use chrono::{Months, NaiveDate};
use serde_json::Value;
use wastewalk::stack::Stack;
use wastewalk_tests::{House, foreign, insight, json};

/// Rows, seconds, in, out, automatable.
async fn figures(stack: &Stack, scope: &str, month: &str) -> anyhow::Result<Vec<i64>> {
    let from = NaiveDate::parse_from_str(&format!("{month}-01"), "%Y-%m-%d")?;
    let to = from.checked_add_months(Months::new(1)).context("a month")?;
    let answer = json(stack, &format!("/v1/insights?scope={scope}&from={from}&to={to}")).await?;
    let (scope, automation) = (insight(&answer, "out-of-sprint")?, insight(&answer, "automatable")?);
    let number = |value: &Value| value.as_i64().context("a number");
    let out = number(&scope["numerator_seconds"])?;
    Ok(vec![
        number(&scope["rows"])?,
        number(&automation["denominator_seconds"])?,
        number(&scope["denominator_seconds"])? - out,
        out,
        number(&automation["numerator_seconds"])?,
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn scope_and_automation_equal_an_independent_computation_second_for_second() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data = std::env::var_os("CESAW_DATA").map_or_else(|| root.join("../../shared/data/cesaw"), PathBuf::from);
    let (log, classes) = (data.join("CESAW_time_fact.csv.xz"), data.join("classification.csv"));
    if !log.exists() {
        println!("the CESAW data is not in {}; this test did not run", data.display());
        return Ok(());
    }
    let utf8 = |path: &Path| path.to_str().map(str::to_owned).context("the path is not UTF-8");
    let (log, classes) = (utf8(&log)?, utf8(&classes)?);
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("cesaw.sqlite");
    let python = std::env::var_os("WASTEWALK_PYTHON").unwrap_or_else(|| "python3".into());
    let load = root.join("cesaw/load.py");
    let loaded = Command::new(python).args([&*utf8(&load)?, &log, &classes, &utf8(&source)?]).status()?;
    ensure!(loaded.success(), "the log could not be loaded");
    let oracle = foreign("cesaw.py", &[&log, &classes])?;

    let house = House::over(&source, &root.join("cesaw/mapping.toml"))?;
    let (stack, work) = house.worked().await?;
    let run = work.run.map_err(anyhow::Error::msg)?;
    assert!(run.counts.balanced());
    assert_eq!(run.counts.read, 203_621);
    assert_eq!((run.counts.written, run.counts.quarantined, run.counts.open), (203_618, 3, 0));
    assert_eq!(oracle["total"][0], 203_618);
    assert_eq!((&oracle["total"][1], &oracle["total"][3]), (&502_318_440.into(), &27_115_020.into()));

    let expected =
        |value: &Value| -> Vec<i64> { value.as_array().into_iter().flatten().filter_map(Value::as_i64).collect() };
    let mut checked = 0;
    for (month, figure) in oracle["by_month"].as_object().context("months")? {
        assert_eq!(figures(&stack, "org", month).await?, expected(figure), "{month}");
        checked += 1;
    }
    for (key, figure) in oracle["by_team_and_month"].as_object().context("teams and months")? {
        let (team, month) = key.split_once('/').context("team/month")?;
        assert_eq!(figures(&stack, &format!("team:{team}"), month).await?, expected(figure), "{key}");
        checked += 1;
    }
    println!("{checked} months of organisation and teams are equal");
    stack.stop().await
}
