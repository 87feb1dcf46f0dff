//! The Lambda function `intake`.

use intake::{Intake, IntakeError};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;
use shared::telemetry::chain;

#[tokio::main]
async fn main() -> Result<(), Error> {
    shared::telemetry::init();
    let intake = Intake::from_env().await?;
    // Lambda's own report of a failure leaves its causes out.
    let told = |error: IntakeError| {
        tracing::error!(error = chain(&error), "the run failed");
        Error::from(error)
    };
    run(service_fn(async |_: LambdaEvent<Value>| intake.handle().await.map_err(told))).await
}
