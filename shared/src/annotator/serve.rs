//! An annotator as a Lambda function.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};

use super::{Annotator, Register, Runner};
use crate::{deployment::Deployment, telemetry};

/// Runs `annotator` over the batches that Lambda hands out, with the lake that the environment names. Returns only when
/// the function cannot start or Lambda ends it.
pub async fn serve(annotator: impl Annotator) -> Result<(), Error> {
    telemetry::init();
    let runner = Runner::new(Deployment::from_env().await.lake()?, Register::built_in()?, annotator)?;
    run(service_fn(async |event: LambdaEvent<_>| Ok::<_, Error>(runner.handle(event.payload).await))).await
}
