//! Where a function finds its bucket and its table, read from the environment and checked as a whole at start.

use aws_config::SdkConfig;

use crate::{contribution::ContributionStore, lake::Lake};

/// A variable that the template should have set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {0} is not set; template.yaml sets it for every function that needs it")]
pub struct MissingVariable(&'static str);

/// The AWS clients of a function. Endpoints, credentials and region come from the SDK's own environment variables, so
/// a local stack is reached by setting `AWS_ENDPOINT_URL_S3` and `AWS_ENDPOINT_URL_DYNAMODB`, and by nothing else.
#[derive(Debug, Clone)]
pub struct Deployment {
    config: SdkConfig,
}

impl Deployment {
    /// Reads the SDK's configuration.
    pub async fn from_env() -> Self {
        Self { config: aws_config::load_from_env().await }
    }

    /// The lake in the bucket `LAKE_BUCKET`.
    pub fn lake(&self) -> Result<Lake, MissingVariable> {
        Ok(self.lake_in(variable("LAKE_BUCKET")?))
    }

    /// The lake in a bucket of this name.
    pub fn lake_in(&self, bucket: impl Into<String>) -> Lake {
        // Emulators answer under one host name, not under one per bucket.
        let emulated = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"].iter().any(|name| std::env::var_os(name).is_some());
        let config = aws_sdk_s3::config::Builder::from(&self.config).force_path_style(emulated).build();
        Lake::new(aws_sdk_s3::Client::from_conf(config), bucket)
    }

    /// The contributions in the table `TABLE_NAME`.
    pub fn contributions(&self) -> Result<ContributionStore, MissingVariable> {
        Ok(self.contributions_in(variable("TABLE_NAME")?))
    }

    /// The contributions in a table of this name.
    pub fn contributions_in(&self, table: impl Into<String>) -> ContributionStore {
        ContributionStore::new(self.dynamodb(), table)
    }

    /// The SDK's configuration, for a client of another service.
    pub fn sdk(&self) -> &SdkConfig {
        &self.config
    }

    /// A client for the table.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.config)
    }
}

/// The value of a variable that must be set.
pub fn variable(name: &'static str) -> Result<String, MissingVariable> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).ok_or(MissingVariable(name))
}
