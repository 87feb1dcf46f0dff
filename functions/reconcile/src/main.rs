//! The Lambda function `reconcile`.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use reconcile::{Reconciler, Tick};

#[tokio::main]
async fn main() -> Result<(), Error> {
    shared::telemetry::init();
    let reconciler = Reconciler::from_env().await?;
    run(service_fn(async |tick: LambdaEvent<Tick>| reconciler.handle(tick.payload).await.map_err(Error::from))).await
}
