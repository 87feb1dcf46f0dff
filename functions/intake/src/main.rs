//! The Lambda function `intake`.
// The future of one run nests deeper than the compiler follows by itself.
#![recursion_limit = "256"]

use std::process::ExitCode;

use intake::{Intake, IntakeError, budget::Budget};
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
        let handle = async |event: LambdaEvent<Value>| {
            let mut intake = intake.clone();
            intake.budget = Budget::until(event.context.deadline());
            intake.handle().await.map_err(told)
        };
        run(service_fn(handle)).await
    })
    .await
}
