//! An annotator as a Lambda function.

use std::process::ExitCode;

use lambda_runtime::{Error, LambdaEvent, run, service_fn};

use super::{AnnotateError, Annotator, Register, Runner};
use crate::{deployment::Deployment, settings::LogicSettings, telemetry};

/// Runs the annotator that `make` makes over the batches that Lambda hands out, with the lake and the settings that the
/// environment names. Returns only when the function cannot start or Lambda ends it.
pub async fn serve<A: Annotator>(make: impl FnOnce(&LogicSettings) -> Result<A, AnnotateError>) -> ExitCode {
    telemetry::run(async {
        let settings = LogicSettings::from_env()?;
        let register = Register::built_in(&settings)?;
        let runner = Runner::new(Deployment::from_env().await.lake()?, &register, make(&settings)?)?;
        run(service_fn(async |event: LambdaEvent<_>| Ok::<_, Error>(runner.handle(event.payload).await))).await
    })
    .await
}
