//! The `wastewalk` command.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;
use wastewalk::up::Up;

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
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let Command::Up(up) = cli.command.unwrap_or(Command::Up(cli.up));
    match up.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wastewalk: {}", shared::telemetry::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
