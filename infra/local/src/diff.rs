//! `wastewalk diff`: what another logic says of the same days, and how much of the difference is the rule.

use api::{
    Api, Request,
    compare::{Comparison, Difference, Question, compare},
    finding::reading,
};
use clap::Args;
use shared::{
    annotator::{Logic, declaration::SECONDS},
    contribution::Scope,
    time::LocalDay,
};

use crate::{
    account::Account,
    rewind::{Folder, in_order, stack_over},
    said::{say, shown},
};

/// Rows of the list of flipped activities.
const FLIPS: usize = 10;

/// Which logics, and over which days.
#[derive(Debug, Clone, Args)]
pub struct Diff {
    /// The logics as OLD..NEW [default: the newest before the program's own, and that]
    #[arg(value_name = "OLD..NEW", value_parser = two)]
    logics: Option<(Logic, Logic)>,
    /// Whose figures: org, team:ID, sprint:ID or person:ID
    #[arg(long, default_value = "org")]
    scope: Scope,
    /// The first day [default: 13 weeks before the last]
    #[arg(long, value_name = "DAY")]
    from: Option<LocalDay>,
    /// The day after the last [default: after the last one captured]
    #[arg(long, value_name = "DAY")]
    to: Option<LocalDay>,
    /// Lists the activities that one logic values otherwise than the other
    #[arg(long, value_name = "ID")]
    insight: Option<String>,
    /// Everything, as the API answers it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    account: Account,
}

fn two(text: &str) -> Result<(Logic, Logic), String> {
    let (old, new) = text.split_once("..").ok_or("write OLD..NEW, such as 5ee12be1dcea..0b7d6c1f9a3e")?;
    let logic = |text: &str| text.parse::<Logic>().map_err(|error| error.to_string());
    Ok((logic(old)?, logic(new)?))
}

impl Diff {
    /// Compares and prints.
    ///
    /// # Errors
    /// Each says in one line what is wrong and what to do.
    pub async fn run(self) -> anyhow::Result<()> {
        in_order(self.from, self.to)?;
        if let Some(deployed) = self.account.open().await? {
            return self.over(&deployed.api()?).await;
        }
        let stack = stack_over(&self.folder).await?;
        self.over(&stack.api).await?;
        stack.stop().await
    }

    async fn over(&self, api: &Api) -> anyhow::Result<()> {
        let (old, new) = self.logics.clone().unzip();
        let request =
            Request { scope: self.scope.clone(), from: self.from, to: self.to, logic: old, ..Request::default() };
        let question = Question { with: new, insight: self.insight.clone(), limit: FLIPS, ..Question::of(request) };
        let comparison = compare(api, &question).await?;
        if self.json {
            say!("{}", serde_json::to_string_pretty(&comparison)?);
        } else {
            print(&comparison);
        }
        Ok(())
    }
}

fn print(comparison: &Comparison) {
    let Comparison { selection, logic, with, changes, days_missing, .. } = comparison;
    say!("{}: {} days by {logic} and by {with}", shown(&selection.name), selection.days_captured);
    changes.iter().for_each(|change| say!("  {change}"));
    if let Some(missing) = days_missing.first() {
        let days = days_missing.len();
        say!(
            "{days} days cannot be compared, such as {}: {} lacks it; `{}`",
            missing.day,
            missing.logic,
            missing.command
        );
    }
    say!("\n{:<29} {:<31} {:<31} {:>12} {:>12} {:>12}", "insight", "old", "new", "difference", "by logic", "by data");
    for Difference { title, units, numerator, reason, old_ratio, new_ratio, .. } in &comparison.insights {
        let Some(split) = numerator else {
            say!("{title:<29} {}", reason.as_deref().unwrap_or_default().replace('_', " "));
            continue;
        };
        let ratio = |ratio: &Option<f64>| ratio.map_or("–".to_owned(), |ratio| reading(units, ratio));
        say!(
            "{title:<29} {:<31} {:<31} {:>12} {:>12} {:>12}",
            ratio(old_ratio),
            ratio(new_ratio),
            amount(split.delta, &units.numerator),
            amount(split.logic_effect, &units.numerator),
            amount(split.data_effect, &units.numerator)
        );
    }
    let Some(flips) = &comparison.flips else { return };
    let amount = |number: i64| amount(number, &flips.unit);
    say!("\n{} activities flipped, together {}", flips.count, amount(flips.difference));
    for kind in &flips.by_stereotype {
        let (old, new) = (amount(kind.old), amount(kind.new));
        say!("{:<29} {:>6} activities {old:>12} → {new:>12}", shown(&kind.name), kind.activities);
    }
    for flip in &flips.activities {
        let (old, new) = (amount(flip.old), amount(flip.new));
        say!("  {} {:<12} {:<26} {old:>12} → {new:>12}", flip.day, shown(&flip.activity_id), shown(&flip.stereotype));
    }
}

/// A number as people read it; `--json` has the seconds.
fn amount(number: i64, unit: &str) -> String {
    if unit == SECONDS { format!("{:.1} h", number as f64 / 3_600.0) } else { number.to_string() }
}
