//! `wastewalk replay`: what was refused comes in after the mapping is mended, with the source or without it.

use std::path::PathBuf;

use anyhow::{Context, bail};
use chrono::Utc;
use chrono_tz::Tz;
use clap::Args;
use intake::mapping::Mapping;
use shared::telemetry::chain;

use crate::{
    progress::Show,
    said::say,
    stack::{Settings, Stack, time_zone_of},
    up::{Work, settle},
};

/// Takes in what is in quarantine and can be translated now. With --source that is the next run; without it, or where it
/// cannot be read, the kept records are translated again.
#[derive(Debug, Clone, Args)]
pub struct Replay {
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = ".wastewalk")]
    data: PathBuf,
    /// The source, if it can still be read
    #[arg(long, value_name = "URL", env = "WASTEWALK_SOURCE", hide_env_values = true)]
    source: Option<String>,
    /// How the source is read: a file, or the name of a known product
    #[arg(long, value_name = "FILE", default_value = "reference")]
    mapping: String,
    /// The organisation's time zone, as for `up` [default: the mapping's, else the one of the last `up`]
    #[arg(long, value_name = "ZONE", env = "ORGANISATION_TIME_ZONE")]
    time_zone: Option<Tz>,
}

impl Replay {
    /// Replays, and works out the days that change.
    ///
    /// # Errors
    /// Each says in one line what is wrong and what to do.
    pub async fn run(self) -> anyhow::Result<()> {
        let mapping = Mapping::load(&self.mapping)?;
        let note = std::fs::read_to_string(self.data.join("source")).with_context(|| {
            format!("nothing was captured in the folder {}; choose another one with --data DIR", self.data.display())
        })?;
        let kept = note.split_whitespace().next().unwrap_or_default();
        if kept != mapping.name {
            bail!(
                "the folder {} was read by the mapping {kept}, not by {}; name it with --mapping FILE",
                self.data.display(),
                mapping.name
            );
        }
        let time_zone = self.time_zone.or(mapping.time_zone).or_else(|| time_zone_of(&self.data));
        let source_url = self.source.clone().unwrap_or_default();
        let settings = Settings::over(self.data.clone(), source_url, mapping, time_zone.unwrap_or(Tz::UTC));
        let stack = Stack::start(settings).await?;
        let read = match &self.source {
            None => None,
            Some(_) => match stack.read_source().await {
                Ok(run) => Some(run),
                Err(error) => {
                    eprintln!("{}. Replaying what was kept.", chain(error.as_ref()));
                    None
                }
            },
        };
        let run = match read {
            Some(run) => run,
            None => stack.intake.replay(Utc::now()).await?,
        };
        let Work { run, days, undone } = settle(&stack, Show::Nothing, Ok(run)).await?;
        stack.stop().await?;
        if let Ok(run) = run {
            say!(
                "Days that changed: {}. Activities that are still in quarantine: {}.",
                run.days.written,
                run.counts.quarantined
            );
            for (reason, count) in &run.quarantined_by_reason {
                say!("  {count:>6}  {reason}");
            }
        }
        match undone {
            Some(undone) => bail!("{undone}"),
            None => {
                tracing::info!(days, "worked out");
                Ok(())
            }
        }
    }
}
