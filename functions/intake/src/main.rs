//! The Lambda function `intake`.

use intake::Intake;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Error> {
    shared::telemetry::init();
    let intake = Intake::from_env().await?;
    run(service_fn(async |_: LambdaEvent<Value>| intake.handle().await.map_err(Error::from))).await
}
