//! `wastewalk intake --dry-run`: what the next run that reads everything would do to each day. The source and the lake are
//! only read.

use std::path::PathBuf;

use anyhow::bail;
use chrono::Utc;
use chrono_tz::Tz;
use clap::Args;
use intake::{Intake, Rehearsal, Rehearsed, mapping::Mapping, secret::Source};
use shared::time::LocalDay;

use crate::{
    account::Account,
    rewind::in_order,
    said::{Format, say},
    stack::{Settings, Stack, pseudonym_key, time_zone_of},
};

/// Says of each day what a run of intake would do to it. A run itself is what the schedule does, or `up --once`.
#[derive(Debug, Clone, Args)]
pub struct Rehearse {
    /// Only say what would be written; nothing else is done here
    #[arg(long, required = true)]
    dry_run: bool,
    /// The first day [default: the first one there is]
    #[arg(long, value_name = "DAY")]
    from: Option<LocalDay>,
    /// The day after the last [default: after the last one there is]
    #[arg(long, value_name = "DAY")]
    to: Option<LocalDay>,
    /// The source, as it is reached from here
    #[arg(long, value_name = "URL", env = "WASTEWALK_SOURCE", hide_env_values = true)]
    source: String,
    /// How the source is read: a file, or the name of a known product
    #[arg(long, value_name = "FILE", default_value = "reference")]
    mapping: String,
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = ".wastewalk")]
    data: PathBuf,
    /// The organisation's time zone, as for `up` [default: the mapping's, else that of the deployment or of the last `up`]
    #[arg(long, value_name = "ZONE", env = "ORGANISATION_TIME_ZONE")]
    time_zone: Option<Tz>,
    #[command(flatten)]
    account: Account,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl Rehearse {
    /// Rehearses, and prints what it found.
    ///
    /// # Errors
    /// What would stop the run: in one line, with what to do.
    pub async fn run(self) -> anyhow::Result<()> {
        in_order(self.from, self.to)?;
        let mapping = Mapping::load(&self.mapping)?;
        let zone = self.time_zone.or(mapping.time_zone);
        let rehearsal = match self.account.open().await? {
            Some(deployed) => {
                let mut intake = deployed.intake(mapping, Source::at(&self.source), zone)?;
                intake.pseudonyms = pseudonym_key()?;
                self.rehearse(&intake).await?
            }
            None => {
                if !self.data.join("s3").is_dir() {
                    bail!("there is nothing in {}; say where with --data DIR", self.data.display());
                }
                let zone = zone.or_else(|| time_zone_of(&self.data)).unwrap_or(Tz::UTC);
                let settings = Settings::over(self.data.clone(), self.source.clone(), mapping, zone);
                let stack = Stack::start(settings).await?;
                let rehearsal = self.rehearse(&stack.intake).await?;
                stack.stop().await?;
                rehearsal
            }
        };
        match self.format {
            Format::Json => say!("{}", serde_json::to_string_pretty(&rehearsal)?),
            Format::Table => print(&rehearsal),
        }
        Ok(())
    }

    async fn rehearse(&self, intake: &Intake) -> anyhow::Result<Rehearsal> {
        let within = |day: &LocalDay| self.from.is_none_or(|from| from <= *day) && self.to.is_none_or(|to| *day < to);
        Ok(intake.rehearse(within, Utc::now()).await?)
    }
}

fn print(rehearsal: &Rehearsal) {
    say!("{:<10} {:>9} {:>9} {:>9} {:>9} {:>9}", "day", "new", "changed", "unchanged", "gone", "rejected");
    for (day, of_day) in &rehearsal.days {
        let Rehearsed { new, changed, unchanged, gone, rejected } = of_day;
        say!("{day} {new:>9} {changed:>9} {unchanged:>9} {gone:>9} {rejected:>9}");
    }
    if rehearsal.rejected_on_no_day > 0 {
        say!("{:<10} {:>49}", "no day", rehearsal.rejected_on_no_day);
    }
}
