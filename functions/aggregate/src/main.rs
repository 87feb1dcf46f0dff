//! The Lambda function `aggregate`.

use std::sync::Arc;

use aggregate::Aggregate;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use shared::{annotator::Register, deployment::Deployment, settings::LogicSettings};

#[tokio::main]
async fn main() -> Result<(), Error> {
    shared::telemetry::init();
    let deployment = Deployment::from_env().await;
    let register = Arc::new(Register::built_in(&LogicSettings::from_env()?)?);
    let aggregate = Aggregate::new(deployment.lake()?, deployment.contributions()?, register);
    run(service_fn(async |event: LambdaEvent<_>| Ok::<_, Error>(aggregate.handle(event.payload).await))).await
}
