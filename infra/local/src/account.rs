//! A deployment in an account: by the name of its stack, whose outputs and parameters say all there is to know, or by its
//! bucket and its table.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, bail};
use api::Api;
use aws_sdk_cloudformation::{Client, error::ProvideErrorMetadata};
use chrono_tz::Tz;
use clap::Args;
use intake::{
    Intake,
    mapping::{Mapping, MappingError},
    secret::Source,
};
use shared::{
    annotator::Register, contribution::ContributionStore, deployment::Deployment, lake::Lake, settings::LogicSettings,
    telemetry::said,
};

/// A deployment instead of a folder.
#[derive(Debug, Clone, Args)]
pub struct Account {
    /// The deployment of this CloudFormation stack, instead of a folder
    #[arg(long, value_name = "NAME", conflicts_with_all = ["bucket", "data"])]
    stack: Option<String>,
    /// The bucket of a deployment, its output `LakeBucketName`, instead of a folder
    #[arg(long, requires = "table", conflicts_with_all = ["data"])]
    bucket: Option<String>,
    /// The table of the deployment, its output `TableName`
    #[arg(long, requires = "bucket")]
    table: Option<String>,
}

/// A deployment, and the logic that this program would compute by there.
pub struct Deployed {
    /// Its lake.
    pub lake: Lake,
    /// Its table.
    pub store: ContributionStore,
    /// The logic, with the deployment's settings.
    pub register: Arc<Register>,
    settings: LogicSettings,
    deployment: Deployment,
    table: String,
}

impl Deployed {
    /// Its intake, in this process, in the organisation's zone unless another one is given.
    ///
    /// # Errors
    /// If the mapping is for another zone.
    pub fn intake(&self, mapping: Mapping, source: Source, zone: Option<Tz>) -> Result<Intake, MappingError> {
        let zone = zone.unwrap_or(self.settings.organisation_time_zone);
        Intake::new(self.lake.clone(), self.deployment.dynamodb(), &self.table, mapping, source, zone)
    }

    /// The API over it, in this process.
    ///
    /// # Errors
    /// If a setting in the environment is malformed.
    pub fn api(&self) -> anyhow::Result<Api> {
        let (lake, store, register) = (self.lake.clone(), self.store.clone(), self.register.clone());
        let settings = api::settings::Settings::from_env(&register)?;
        Ok(Api::new(lake, store, register, settings, self.settings.organisation_time_zone))
    }
}

impl Account {
    /// The deployment, if one is meant.
    ///
    /// # Errors
    /// If there is no such stack, or it is no deployment of ours, or a setting is malformed.
    pub async fn open(&self) -> anyhow::Result<Option<Deployed>> {
        let Self { stack, bucket, table } = self;
        if stack.is_none() && bucket.is_none() {
            return Ok(None);
        }
        let deployment = Deployment::from_env().await;
        let named = match (stack, bucket.as_ref().zip(table.as_ref())) {
            (Some(stack), _) => Named::find(&Client::new(deployment.sdk()), stack).await?,
            (None, Some((bucket, table))) => {
                Named { bucket: bucket.clone(), table: table.clone(), settings: LogicSettings::from_env()? }
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(Deployed {
            lake: deployment.lake_in(named.bucket),
            store: deployment.contributions_in(&named.table),
            register: Arc::new(Register::built_in(&named.settings)?),
            settings: named.settings,
            table: named.table,
            deployment,
        }))
    }
}

/// What a stack says of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    bucket: String,
    table: String,
    settings: LogicSettings,
}

/// The parameters of the template that are part of the logic, by the variable that a function knows them by.
const SETTINGS: [(&str, &str); 3] = [
    ("ORGANISATION_TIME_ZONE", "OrganisationTimeZone"),
    ("GRACE_DAYS", "GraceDays"),
    ("LONG_GAP_HOURS", "LongGapHours"),
];

impl Named {
    async fn find(client: &Client, name: &str) -> anyhow::Result<Self> {
        let described = match client.describe_stacks().stack_name(name).send().await {
            Ok(described) => described,
            // That is how CloudFormation says that there is none.
            Err(error) if error.code() == Some("ValidationError") => {
                bail!(
                    "there is no stack `{name}` in this account and region; `aws cloudformation list-stacks` lists them"
                )
            }
            Err(error) => bail!("CloudFormation could not describe the stack `{name}`: {}", said(&error)),
        };
        let stack = described.stacks.unwrap_or_default().into_iter().next();
        let stack = stack.with_context(|| format!("CloudFormation says nothing of the stack `{name}`"))?;
        let outputs = stack.outputs.unwrap_or_default().into_iter();
        let outputs: BTreeMap<_, _> = outputs.filter_map(|output| output.output_key.zip(output.output_value)).collect();
        let parameters = stack.parameters.unwrap_or_default().into_iter();
        let parameters: BTreeMap<_, _> = parameters
            .filter_map(|parameter| {
                // A parameter may be the name of another one, that is looked up.
                let value = parameter.resolved_value.or(parameter.parameter_value);
                parameter.parameter_key.zip(value)
            })
            .collect();
        let output = |key: &str| {
            let lacks = || format!("the stack `{name}` has no output {key}; is it a deployment of template.yaml?");
            outputs.get(key).cloned().with_context(lacks)
        };
        let parameter = |variable: &str| {
            let (_, key) = SETTINGS.iter().find(|(known, _)| *known == variable)?;
            parameters.get(*key).cloned()
        };
        let settings =
            LogicSettings::read(parameter).with_context(|| format!("the parameters of the stack `{name}`"))?;
        Ok(Self { bucket: output("LakeBucketName")?, table: output("TableName")?, settings })
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudformation::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
    use axum::{Router, http::StatusCode, routing::post};
    use chrono_tz::Tz;
    use clap::{CommandFactory, Parser};
    use shared::settings::Setting;
    use tokio::net::TcpListener;

    use super::*;

    /// A CloudFormation that answers this, and refuses whatever is not the question for the stack `waste & walk`.
    async fn cloudformation(status: StatusCode, body: &'static str) -> Client {
        let answer = move |question: String| async move {
            let asked = ["Action=DescribeStacks", "StackName=waste%20%26%20walk"];
            let asked = question.split('&').filter(|pair| asked.contains(pair)).count() == asked.len();
            if asked { (status, body) } else { (StatusCode::NOT_IMPLEMENTED, "another question") }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/", post(answer))).await });
        let config = aws_sdk_cloudformation::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("nowhere"))
            .credentials_provider(Credentials::new("id", "key", None, None, "test"))
            .endpoint_url(endpoint)
            .retry_config(RetryConfig::disabled());
        Client::from_conf(config.build())
    }

    async fn find(status: u16, body: &'static str) -> anyhow::Result<Named> {
        Named::find(&cloudformation(StatusCode::from_u16(status).unwrap(), body).await, "waste & walk").await
    }

    const STACK: &str = r#"<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
        <DescribeStacksResult><Stacks><member>
          <StackName>waste &amp; walk</StackName><StackStatus>UPDATE_COMPLETE</StackStatus>
          <CreationTime>2026-11-01T00:00:00Z</CreationTime>
          <Parameters>
            <member><ParameterKey>OrganisationTimeZone</ParameterKey><ParameterValue>Europe/Berlin</ParameterValue></member>
            <member><ParameterKey>GraceDays</ParameterKey><ParameterValue>/waste/grace</ParameterValue><ResolvedValue>2</ResolvedValue></member>
            <member><ParameterKey>SourceUrl</ParameterKey><ParameterValue>****</ParameterValue></member>
          </Parameters>
          <Outputs>
            <member><OutputKey>TableName</OutputKey><OutputValue>a-table</OutputValue></member>
            <member><OutputKey>LakeBucketName</OutputKey><OutputValue>a-bucket</OutputValue></member>
          </Outputs>
        </member></Stacks></DescribeStacksResult></DescribeStacksResponse>"#;

    #[tokio::test]
    async fn a_stack_says_its_bucket_its_table_and_the_settings_of_its_logic() {
        let settings =
            LogicSettings { organisation_time_zone: Tz::Europe__Berlin, grace_days: 2, ..LogicSettings::default() };
        let expected = Named { bucket: "a-bucket".into(), table: "a-table".into(), settings };
        assert_eq!(find(200, STACK).await.unwrap(), expected);
    }

    #[tokio::test]
    async fn what_is_no_deployment_is_refused_by_name() {
        const NONE: &str = r#"<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><Error><Type>Sender</Type>
            <Code>ValidationError</Code><Message>Stack with id x does not exist</Message></Error></ErrorResponse>"#;
        const DENIED: &str = r#"<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><Error><Type>Sender</Type>
            <Code>AccessDenied</Code><Message>not you</Message></Error></ErrorResponse>"#;
        const OTHER: &str = r#"<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
            <DescribeStacksResult><Stacks><member><StackName>other</StackName><StackStatus>CREATE_COMPLETE</StackStatus>
            <CreationTime>2026-11-01T00:00:00Z</CreationTime></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"#;
        for (status, body, said) in [
            (400, NONE, "there is no stack `waste & walk` in this account and region"),
            (403, DENIED, "could not describe the stack `waste & walk`"),
            (200, OTHER, "has no output LakeBucketName"),
        ] {
            let error = find(status, body).await.unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn every_setting_of_the_logic_is_a_parameter_of_the_template() {
        let template = include_str!("../../../template.yaml");
        for setting in Setting::ALL {
            let (variable, parameter) = SETTINGS.into_iter().find(|(known, _)| *known == setting.variable()).unwrap();
            assert!(template.contains(&format!("\n  {parameter}:\n")), "{parameter}");
            assert!(template.contains(&format!("{variable}: !Ref {parameter}\n")), "{variable}");
        }
        assert_eq!(SETTINGS.len(), Setting::ALL.len());
    }

    #[test]
    fn a_deployment_is_named_one_way() {
        #[derive(Parser)]
        struct Cli {
            #[command(flatten)]
            rewind: crate::rewind::Rewind,
        }
        Cli::command().debug_assert();
        for (arguments, fine) in [
            ("--stack s", true),
            ("--bucket b --table t", true),
            ("--bucket b", false),
            ("--stack s --bucket b --table t", false),
            ("--stack s --data d", false),
            ("--stack s --classification c", false),
        ] {
            let arguments = std::iter::once("rewind").chain(arguments.split(' '));
            assert_eq!(Cli::try_parse_from(arguments.clone()).is_ok(), fine, "{:?}", arguments.collect::<Vec<_>>());
        }
    }
}
