//! The API function: configuration, clients, `run(router)`.

use std::{process::ExitCode, sync::Arc};

use api::{Api, access::Access, settings::Settings};
use shared::{annotator::Register, deployment::Deployment, settings::LogicSettings, telemetry};

#[tokio::main]
async fn main() -> ExitCode {
    telemetry::run(async {
        let deployment = Deployment::from_env().await;
        let logic = LogicSettings::from_env()?;
        let register = Arc::new(Register::built_in(&logic)?);
        let settings = Settings::from_env(&register)?;
        let (lake, store) = (deployment.lake()?, deployment.contributions()?);
        let api = Api::new(lake, store, register, settings, logic.organisation_time_zone);
        let api = api.admitting(Access::from_env().await?);
        lambda_http::run(api::router(api)).await
    })
    .await
}
