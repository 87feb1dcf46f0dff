//! The Lambda function `aggregate`.

use std::{process::ExitCode, sync::Arc};

use aggregate::Aggregate;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use shared::{annotator::Register, deployment::Deployment, settings::LogicSettings, telemetry};

#[tokio::main]
async fn main() -> ExitCode {
    telemetry::run(async {
        let deployment = Deployment::from_env().await;
        let register = Arc::new(Register::built_in(&LogicSettings::from_env()?)?);
        let aggregate = Aggregate::new(deployment.lake()?, deployment.contributions()?, register);
        run(service_fn(async |event: LambdaEvent<_>| Ok::<_, Error>(aggregate.handle(event.payload).await))).await
    })
    .await
}
