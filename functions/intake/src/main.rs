//! The Lambda function `intake`.
// The future of one run nests deeper than the compiler follows by itself.
#![recursion_limit = "256"]

use std::process::ExitCode;

use intake::{Intake, IntakeError};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;
use shared::telemetry::{self, chain};

#[tokio::main]
async fn main() -> ExitCode {
    telemetry::run(async {
        let intake = Intake::from_env().await?;
        // Lambda's own report of a failure leaves its causes out.
        let told = |error: IntakeError| {
            tracing::error!(error = chain(&error), "the run failed");
            Error::from(error)
        };
        run(service_fn(async |_: LambdaEvent<Value>| intake.handle().await.map_err(told))).await
    })
    .await
}
