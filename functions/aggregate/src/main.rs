//! The Lambda function `aggregate`.

use aggregate::Aggregate;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use shared::{annotator::Register, deployment::Deployment};

#[tokio::main]
async fn main() -> Result<(), Error> {
    shared::telemetry::init();
    let deployment = Deployment::from_env().await;
    let aggregate = Aggregate::new(deployment.lake()?, deployment.contributions()?, Register::built_in()?);
    run(service_fn(async |event: LambdaEvent<_>| Ok::<_, Error>(aggregate.handle(event.payload).await))).await
}
