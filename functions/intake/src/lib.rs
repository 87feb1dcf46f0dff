//! Intake: copies a source that is not ours through the anti-corruption layer into the lake.
//!
//! Data flows forward through the modules: [`address`] and [`secret`] → [`source`] → [`translate`] by a [`mapping`] → sorting into days → the lake.

pub mod address;
pub mod base;
pub mod budget;
pub mod check;
mod days;
mod fit;
mod found;
mod keys;
pub mod lease;
pub mod mapping;
pub mod personal;
mod placed;
mod positions;
mod provenance;
pub mod quarantine;
pub mod record;
mod restrict;
mod run;
pub mod secret;
mod sort;
pub mod source;
mod stays;
pub mod translate;
pub mod watermark;

pub use run::{
    Intake, IntakeError, TooManyRejected,
    rehearse::{Rehearsal, Rehearsed},
};

use aws_sdk_secretsmanager::Client;
use chrono::Utc;
use shared::{
    deployment::{Deployment, MissingVariable, variable},
    settings::{InvalidSetting, LogicSettings},
    telemetry::Summary,
};

use mapping::{Mapping, MappingError};
use personal::{PseudonymKeyError, key_from_env};
use record::RunRecord;
use secret::Source;
use watermark::Pace;

/// The environment of the function lacks something, or names a mapping that is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigurationError {
    /// A variable is not set.
    #[error(transparent)]
    Variable(#[from] MissingVariable),
    /// The mapping is wrong, or for another organisation.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// A setting is not what it should be.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    /// There are to be pseudonyms, and there is no key.
    #[error(transparent)]
    Pseudonyms(#[from] PseudonymKeyError),
}

impl Intake {
    /// Reads `LAKE_BUCKET`, `TABLE_NAME`, `MAPPING` (the name of a known product, or a file), `ORGANISATION_TIME_ZONE`,
    /// where the source is (`SOURCE_URL`, `SOURCE_SECRET_ARN` and `SOURCE_CA_FILE`), and how a live one is read
    /// (`RECONCILE_HOURS`, `CURSOR_OVERLAP_MINUTES`), and the key of the pseudonyms, if there is one
    /// (`PSEUDONYM_SECRET_ARN`).
    pub async fn from_env() -> Result<Self, ConfigurationError> {
        let deployment = Deployment::from_env().await;
        let mapping = Mapping::load(&variable("MAPPING")?)?;
        let table = variable("TABLE_NAME")?;
        let optional = |name| variable(name).ok();
        let secret = optional("SOURCE_SECRET_ARN");
        // A secret may say everything.
        let url = if secret.is_some() { optional("SOURCE_URL").unwrap_or_default() } else { variable("SOURCE_URL")? };
        let mut source = Source::at(url);
        if let Some(arn) = secret {
            source = source.with_secret(Client::new(&aws_config::load_from_env().await), arn);
        }
        if let Some(file) = optional("SOURCE_CA_FILE") {
            source = source.trusting(file);
        }
        let zone = LogicSettings::from_env()?.organisation_time_zone;
        let intake = Self::new(deployment.lake()?, deployment.dynamodb(), &table, mapping, source, zone)?;
        Ok(Self { pace: Pace::from_env()?, pseudonyms: key_from_env().await?, ..intake })
    }

    /// Handles one tick of the schedule: one run. What the schedule sends does not matter.
    pub async fn handle(&self) -> Result<RunRecord, IntakeError> {
        let mut summary = Summary::start("intake");
        summary.events = 1;
        let counted = Self { lake: self.lake.counted_by(&summary.traffic), ..self.clone() };
        let run = counted.run(Utc::now()).await;
        match &run {
            Ok(record) => {
                summary.rows_in = record.counts.read;
                summary.rows_out = record.counts.written;
                summary.rows_quarantined = record.counts.quarantined;
                tracing::info!(
                    generation = %record.generation,
                    reading = ?record.reading,
                    because = record.because,
                    source_rows = record.source_rows,
                    counts = ?record.counts,
                    days = ?record.days,
                    quarantined_by_reason = ?record.quarantined_by_reason,
                    selects = ?record.selects,
                    failed = record.failed,
                    "intake run"
                );
            }
            Err(_) => summary.failed = 1,
        }
        summary.log(&self.mapping.name);
        run
    }
}
