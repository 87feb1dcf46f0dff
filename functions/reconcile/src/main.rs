//! The Lambda function `reconcile`.
// The future of one tick nests deeper than the compiler follows by itself.
#![recursion_limit = "256"]

use std::process::ExitCode;

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use reconcile::{Reconciler, Tick};
use shared::telemetry;

#[tokio::main]
async fn main() -> ExitCode {
    telemetry::run(async {
        let reconciler = Reconciler::from_env().await?;
        run(service_fn(async |tick: LambdaEvent<Tick>| reconciler.handle(tick.payload).await.map_err(Error::from)))
            .await
    })
    .await
}
