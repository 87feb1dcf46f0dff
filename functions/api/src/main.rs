//! The API function: configuration, clients, `run(router)`.

use api::Api;
use shared::{annotator::Register, deployment::Deployment, telemetry};

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::init();
    let deployment = Deployment::from_env().await;
    let time_zone = std::env::var("ORGANISATION_TIME_ZONE").unwrap_or_else(|_| "UTC".to_owned());
    let time_zone = time_zone
        .parse()
        .map_err(|error| format!("ORGANISATION_TIME_ZONE: `{time_zone}` is no IANA time zone: {error}"))?;
    let register = Register::built_in()?;
    let api = Api::new(deployment.lake()?, deployment.contributions()?, register, time_zone);
    lambda_http::run(api::router(api)).await
}
