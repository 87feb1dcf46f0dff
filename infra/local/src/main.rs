//! The `wastewalk` command.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;
use wastewalk::{check::Check, diff::Diff, rehearse::Rehearse, replay::Replay, retain::Retain, rewind::Rewind, up::Up};

/// Finds the waste in what teams track. Without a command: `up`.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    up: Up,
}

#[derive(Subcommand)]
enum Command {
    /// Runs everything on this machine and serves the page
    Up(Up),
    /// Computes captured days again by the deployed logic: what would they have looked like with it?
    Rewind(Rewind),
    /// Says what another logic makes of the same days
    Diff(Diff),
    /// Forgets what was computed of superseded generations; what was captured stays
    Retain(Retain),
    /// Says how a source would be read, and what could be measured, without keeping anything
    Check(Check),
    /// Says what a run of intake would do to each day
    Intake(Rehearse),
    /// Takes in what was refused, after the mapping is mended
    Replay(Replay),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let done = match cli.command.unwrap_or(Command::Up(cli.up)) {
        Command::Up(up) => up.run().await,
        Command::Rewind(rewind) => rewind.run().await,
        Command::Diff(diff) => diff.run().await,
        Command::Retain(retain) => retain.run().await,
        Command::Check(check) => check.run().await,
        Command::Intake(rehearse) => rehearse.run().await,
        Command::Replay(replay) => replay.run().await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wastewalk: {}", shared::telemetry::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
