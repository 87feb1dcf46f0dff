//! The Lambda function `annotate-classify`.

use annotate_classify::Classify;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use shared::{
    annotator::{Register, Runner},
    deployment::Deployment,
};

#[tokio::main]
async fn main() -> Result<(), Error> {
    shared::telemetry::init();
    let lake = Deployment::from_env().await.lake()?;
    let runner = Runner::new(lake, Register::built_in()?, Classify::built_in()?)?;
    run(service_fn(async |event: LambdaEvent<_>| Ok::<_, Error>(runner.handle(event.payload).await))).await
}
