//! Intake: copies a source that is not ours through the anti-corruption layer into the lake.
//!
//! Data flows forward through the modules: [`source`] → [`translate`] by a [`mapping`] → sorting into days → the lake.

mod days;
pub mod lease;
pub mod mapping;
pub mod quarantine;
pub mod record;
mod run;
pub mod source;
pub mod translate;

pub use run::{Intake, IntakeError};

use std::collections::BTreeMap;

use chrono::Utc;
use shared::deployment::{Deployment, MissingVariable, variable};

use mapping::{Mapping, MappingError};
use record::RunRecord;

/// What the footer of every captured file says of its origin: the source, and neither run nor clock.
fn provenance(source: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("wastewalk.source".to_owned(), source.to_owned())])
}

/// The environment of the function lacks something, or names a mapping that is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigurationError {
    /// A variable is not set.
    #[error(transparent)]
    Variable(#[from] MissingVariable),
    /// The mapping is wrong.
    #[error(transparent)]
    Mapping(#[from] MappingError),
}

impl Intake {
    /// Reads `LAKE_BUCKET`, `TABLE_NAME`, `MAPPING` (the name of a known product, or a file) and `SOURCE_URL`.
    pub async fn from_env() -> Result<Self, ConfigurationError> {
        let deployment = Deployment::from_env().await;
        let mapping = Mapping::load(&variable("MAPPING")?)?;
        let (table, source) = (variable("TABLE_NAME")?, variable("SOURCE_URL")?);
        Ok(Self::new(deployment.lake()?, deployment.dynamodb(), &table, mapping, source))
    }

    /// Handles one tick of the schedule: one run. What the schedule sends does not matter.
    pub async fn handle(&self) -> Result<RunRecord, IntakeError> {
        let started = std::time::Instant::now();
        let record = self.run(Utc::now()).await?;
        tracing::info!(
            generation = %record.generation,
            counts = ?record.counts,
            days = ?record.days,
            quarantined_by_reason = ?record.quarantined_by_reason,
            milliseconds = started.elapsed().as_millis(),
            "intake run"
        );
        Ok(record)
    }
}
