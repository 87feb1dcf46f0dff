//! Real data: the CESAW time log, against the oracle.
//!
//! The data is not part of this project. The test looks for it in `CESAW_DATA`, else in `../shared/data/cesaw` beside
//! the checkout, and says so when it is not there.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use wastewalk_tests::{House, insight, json};

use crate::oracle::agrees;

#[tokio::test(flavor = "multi_thread")]
async fn real_data_agrees_with_the_oracle_second_for_second() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data = std::env::var_os("CESAW_DATA").map_or_else(|| root.join("../../shared/data/cesaw"), PathBuf::from);
    let (log, classes) = (data.join("CESAW_time_fact.csv.xz"), data.join("classification.csv"));
    if !log.exists() {
        println!("the CESAW data is not in {}; this test did not run", data.display());
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("cesaw.sqlite");
    let python = std::env::var_os("WASTEWALK_PYTHON").unwrap_or_else(|| "python3".into());
    let loaded = Command::new(python).arg(root.join("cesaw/load.py")).args([&log, &classes, &source]).status()?;
    ensure!(loaded.success(), "the log could not be loaded");

    let mapping = root.join("cesaw/mapping.toml");
    let house = House::over(&source, &mapping)?;
    let (stack, work) = house.worked().await?;
    let run = work.run.map_err(anyhow::Error::msg)?;
    assert!(run.counts.balanced());
    assert_eq!(run.counts.read, 203_621);
    assert_eq!((run.counts.written, run.counts.quarantined, run.counts.open), (203_618, 3, 0));

    // The log's own totals, so that loading cannot lose anything unnoticed: work, and what it calls interruptions.
    let answer = json(&stack, "/v1/insights?scope=org&from=2008-01-01&to=2018-01-01").await?;
    let (scope, automation) = (insight(&answer, "out-of-sprint")?, insight(&answer, "automatable")?);
    assert_eq!((&scope["rows"], &scope["numerator"]), (&203_618.into(), &27_115_020.into()));
    assert_eq!(automation["denominator"], 502_318_440);

    let teams = agrees(&stack, &source, &mapping, &["--ranges", "months", "--scopes", "org", "team"]).await?;
    let quarter = ["--ranges", "2013-01-01:2013-04-01", "--scopes", "org", "team", "sprint", "person"];
    let everybody = agrees(&stack, &source, &mapping, &quarter).await?;
    println!("{} values are equal", teams + everybody);
    stack.stop().await.context("stopping")
}
