//! The embedded stack: S3, DynamoDB, EventBridge and SQS in one process, with the functions' own handlers behind them.
//!
//! Everything speaks the real wire protocols, so the functions have no local mode: they get AWS SDK clients whose
//! endpoints lie on this machine.

use std::{
    collections::BTreeMap,
    fs::File,
    hash::{BuildHasher, Hasher, RandomState},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aggregate::Aggregate;
use annotate_automation::Automation;
use annotate_ceremonies::Ceremonies;
use annotate_classify::Classify;
use annotate_defects::Defects;
use annotate_focus::Focus;
use annotate_planning::Planning;
use annotate_scope::Scope;
use annotate_switching::Switching;
use annotate_waste::Waste;
use anyhow::{Context, bail};
use api::{
    Api,
    access::{Access, Caller, settings::MINIMUM_GROUP},
};
use aws_sdk_dynamodb::{
    config::{BehaviorVersion, Credentials as AwsCredentials, Region},
    types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType},
};
use chrono_tz::Tz;
use futures::FutureExt;
use hyper::Uri;
use intake::{Intake, mapping::Mapping, record::RunRecord, secret::Source, watermark::Pace};
use shared::{
    annotator::{Annotator, Register, Runner},
    contribution::ContributionStore,
    deployment::variable,
    event::ObjectCreated,
    lake::{Lake, LakeKey},
    pseudonym::PseudonymKey,
    settings::LogicSettings,
};
use tokio::sync::mpsc;

use crate::{
    bus::{self, Bus, Faults, Handler},
    dynamodb::DynamoDb,
    invoke::Invoker,
    s3::{Credentials, S3Server, serve},
    template::Template,
};

const REGION: &str = "us-east-1";

/// What a stack is started with.
pub struct Settings {
    /// Where everything is kept.
    pub data: PathBuf,
    /// The source's address.
    pub source_url: String,
    /// How it is read.
    pub mapping: Mapping,
    /// The organisation's zone.
    pub time_zone: Tz,
    /// The text of a classification other than the one that this program was built with: another logic.
    pub classification: Option<String>,
    /// What goes wrong on the way of an event, for tests.
    pub faults: Option<Faults>,
    /// Where S3 and DynamoDB listen; 0 is any free port.
    pub ports: Ports,
    /// Who may use them: whoever knows this, or without it only this process and whom it tells.
    pub credentials: Option<Credentials>,
    /// Where the functions run, unless in this process: the address of `cargo lambda watch`.
    pub invoke: Option<Uri>,
}

impl Settings {
    /// A stack over the folder `data`, all of it in this process, as this program was built.
    pub fn over(data: PathBuf, source_url: String, mapping: Mapping, time_zone: Tz) -> Self {
        Self {
            data,
            source_url,
            mapping,
            time_zone,
            classification: None,
            faults: None,
            ports: Ports::default(),
            credentials: None,
            invoke: None,
        }
    }
}

/// Ports on 127.0.0.1.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ports {
    /// Of S3.
    pub s3: u16,
    /// Of DynamoDB.
    pub dynamodb: u16,
}

/// The bucket of every local stack.
pub const BUCKET: &str = "wastewalk-lake";
/// The table of every local stack.
pub const TABLE: &str = "wastewalk";

/// A running stack. Stops when dropped; [`Stack::stop`] waits for it.
pub struct Stack {
    /// The lake.
    pub lake: Lake,
    /// The contributions.
    pub store: ContributionStore,
    /// The intake function, in this process.
    pub intake: Intake,
    invoker: Option<Invoker>,
    /// The events and queues, with every other function behind them.
    pub bus: Bus,
    /// The API function.
    pub api: Api,
    /// How often the template's schedule runs intake.
    pub schedule: Duration,
    /// The logic that it all runs.
    pub register: Arc<Register>,
    /// A client of the embedded S3, for whoever wants to look or to break something.
    pub s3_client: aws_sdk_s3::Client,
    s3: S3Server,
    dynamodb: DynamoDb,
    credentials: Credentials,
    _lock: File,
}

impl Stack {
    /// Starts over the folder `data`, which no other stack may be using.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        let logic = LogicSettings { organisation_time_zone: settings.time_zone, ..LogicSettings::from_env()? };
        Self::start_under(settings, logic).await
    }

    /// The same, whose figures depend on these settings and not on the environment's.
    pub async fn start_under(settings: Settings, logic: LogicSettings) -> anyhow::Result<Self> {
        let data = &settings.data;
        std::fs::create_dir_all(data).with_context(|| {
            format!("the folder {} cannot be made; choose another one with --data DIR", data.display())
        })?;
        let lock = lock(data)?;
        if time_zone_of(data).is_none() {
            keep_time_zone(data, settings.time_zone)?;
        }
        let classification = settings.classification.as_deref();
        if classification.is_some() && settings.invoke.is_some() {
            bail!(
                "functions that run elsewhere have a classification of their own; start them with the one that you mean"
            );
        }
        let configurations = classification.map(|text| (Classify::NAME, text)).into_iter().collect();
        let register = Arc::new(Register::configured(&logic, &configurations)?);
        let template = Template::built_in(BUCKET)?;

        let schedule = template.schedules.get("intake").copied().context("template.yaml has no schedule for intake")?;
        let credentials = settings.credentials.unwrap_or_else(secret);
        let (events, announced) = mpsc::unbounded_channel();
        let s3 = serve(&data.join("s3"), settings.ports.s3, &credentials, events).await?;
        let s3_client = s3_client(&s3.endpoint(), &credentials);
        create_bucket(&s3_client).await?;
        let lake = Lake::new(s3_client.clone(), BUCKET);

        let file = data.join("table.sqlite");
        let dynamodb = DynamoDb::serve(&file, settings.ports.dynamodb, &credentials.access_key).await?;
        let table = dynamodb_client(dynamodb.endpoint(), &credentials);
        create_table(&table).await?;
        let store = ContributionStore::new(table.clone(), TABLE);

        let invoker = settings.invoke.as_ref().map(Invoker::new);
        let handlers = match &invoker {
            Some(invoker) => FUNCTIONS.map(|function| (function.to_owned(), invoker.handler(function))).into(),
            None => handlers(&lake, &store, &register, classification)?,
        };
        let mut bus = Bus::new(&template, handlers, bus::Settings::default())?;
        if let Some(faults) = settings.faults {
            bus = bus.with_faults(faults);
        }
        bus.listen(announced);
        let api = Api::new(
            lake.clone(),
            store.clone(),
            register.clone(),
            api::settings::Settings::from_env(&register)?,
            logic.organisation_time_zone,
        );
        // Nobody else can reach this machine's page: whoever does is the demo's analyst until somebody says otherwise.
        let api = api.admitting(Access::As(Arc::new(Caller::demo(None, MINIMUM_GROUP))));
        let source = Source::at(settings.source_url);
        let zone = logic.organisation_time_zone;
        let mut intake = Intake::new(lake.clone(), table, TABLE, settings.mapping, source, zone)?;
        intake.pace = Pace::from_env()?;
        intake.pseudonyms = pseudonym_key()?;
        // This process has the table to itself, so whoever held the lease is gone.
        intake.leases.free().await?;
        Ok(Self {
            lake,
            store,
            intake,
            invoker,
            schedule,
            bus,
            api,
            register,
            s3_client,
            s3,
            dynamodb,
            credentials,
            _lock: lock,
        })
    }

    /// What a function that runs elsewhere needs in its environment to find this stack.
    pub fn environment(&self) -> [(&'static str, String); 9] {
        [
            ("AWS_ENDPOINT_URL_S3", self.s3.endpoint()),
            ("AWS_ENDPOINT_URL_DYNAMODB", self.dynamodb.endpoint().to_owned()),
            ("AWS_ACCESS_KEY_ID", self.credentials.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.credentials.secret_key.clone()),
            ("AWS_REGION", REGION.to_owned()),
            ("LAKE_BUCKET", BUCKET.to_owned()),
            ("TABLE_NAME", TABLE.to_owned()),
            ("ORGANISATION_TIME_ZONE", self.intake.time_zone.name().to_owned()),
            // Nothing but this process invokes them.
            ("ACCESS", "iam".to_owned()),
        ]
    }

    /// Runs intake, as its schedule does.
    pub async fn read_source(&self) -> anyhow::Result<RunRecord> {
        match &self.invoker {
            Some(invoker) => Ok(invoker.invoke("intake", &serde_json::json!({})).await?),
            None => Ok(self.intake.handle().await?),
        }
    }

    /// The days that the table does not show as the lake has them, under this logic.
    pub async fn undone(&self) -> anyhow::Result<Vec<LakeKey>> {
        Ok(aggregate::reconcile(&self.lake, &self.store, &self.register, None).await?)
    }

    /// Announces objects again, as the reconciler does.
    pub fn announce(&self, keys: &[LakeKey]) {
        for key in keys {
            self.bus.publish(&ObjectCreated::new("wastewalk", BUCKET, &key.to_string(), 0));
        }
    }

    /// Stops the servers, in order, and waits until the table is closed.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.s3.stop().await?;
        self.dynamodb.stop().await;
        Ok(())
    }
}

/// The key of the pseudonyms, from the file that `PSEUDONYM_KEY_FILE` names, if it names one.
pub fn pseudonym_key() -> anyhow::Result<Option<PseudonymKey>> {
    let Ok(file) = variable("PSEUDONYM_KEY_FILE") else { return Ok(None) };
    let key = std::fs::read(&file).with_context(|| format!("the key of the pseudonyms, {file}, cannot be read"))?;
    Ok(Some(PseudonymKey::new(&key).with_context(|| format!("{file} holds no key of pseudonyms"))?))
}

/// The note in a stack's folder that says which zone it was first started with, or `wastewalk up` last: it is part of the logic.
const TIME_ZONE: &str = "time-zone";

/// Notes the organisation's zone in the folder `data`.
pub fn keep_time_zone(data: &Path, zone: Tz) -> anyhow::Result<()> {
    std::fs::write(data.join(TIME_ZONE), zone.name()).context("the time zone cannot be noted")
}

/// The organisation's zone that is noted in the folder `data`.
pub fn time_zone_of(data: &Path) -> Option<Tz> {
    std::fs::read_to_string(data.join(TIME_ZONE)).ok()?.trim().parse().ok()
}

/// One stack per folder: two would take each other's leases.
fn lock(data: &Path) -> anyhow::Result<File> {
    let path = data.join("lock");
    let lock = File::create(&path).with_context(|| {
        format!("the folder {} cannot be written; choose another one with --data DIR", data.display())
    })?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(_) => bail!(
            "another wastewalk is using the folder {}; stop it, or choose another folder with --data DIR",
            data.display()
        ),
    }
}

/// The functions that read a queue.
pub(crate) const FUNCTIONS: [&str; 10] = [
    "annotate-classify",
    "annotate-scope",
    "annotate-automation",
    "annotate-defects",
    "annotate-planning",
    "annotate-ceremonies",
    "annotate-switching",
    "annotate-waste",
    "annotate-focus",
    "aggregate",
];

/// Their own handlers, in this process.
fn handlers(
    lake: &Lake,
    store: &ContributionStore,
    register: &Arc<Register>,
    classification: Option<&str>,
) -> anyhow::Result<BTreeMap<String, Handler>> {
    let settings = register.settings();
    let classify = classification.map_or_else(Classify::built_in, Classify::parse)?;
    Ok(BTreeMap::from([
        annotator(lake, register, classify)?,
        annotator(lake, register, Scope)?,
        annotator(lake, register, Automation)?,
        annotator(lake, register, Defects)?,
        annotator(lake, register, Planning::new(settings))?,
        annotator(lake, register, Ceremonies)?,
        annotator(lake, register, Switching::new(settings))?,
        annotator(lake, register, Waste)?,
        annotator(lake, register, Focus::built_in()?)?,
        ("aggregate".to_owned(), aggregator(Aggregate::new(lake.clone(), store.clone(), register.clone()))),
    ]))
}

fn annotator<A: Annotator>(lake: &Lake, register: &Register, annotator: A) -> anyhow::Result<(String, Handler)> {
    let runner = Arc::new(Runner::new(lake.clone(), register, annotator)?);
    let handler: Handler = Arc::new(move |batch| {
        let runner = runner.clone();
        async move { Ok(runner.handle(batch).await) }.boxed()
    });
    Ok((format!("annotate-{}", A::NAME), handler))
}

fn aggregator(aggregate: Aggregate) -> Handler {
    Arc::new(move |batch| {
        let aggregate = aggregate.clone();
        async move { Ok(aggregate.handle(batch).await) }.boxed()
    })
}

/// A key pair that nobody can guess.
fn secret() -> Credentials {
    let word = || format!("{:016x}", RandomState::new().build_hasher().finish());
    Credentials { access_key: word() + &word(), secret_key: word() + &word() }
}

fn s3_client(endpoint: &str, credentials: &Credentials) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
        .region(aws_sdk_s3::config::Region::new(REGION))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .credentials_provider(aws_sdk_s3::config::Credentials::new(
            &credentials.access_key,
            &credentials.secret_key,
            None,
            None,
            "wastewalk",
        ));
    aws_sdk_s3::Client::from_conf(config.build())
}

fn dynamodb_client(endpoint: &str, credentials: &Credentials) -> aws_sdk_dynamodb::Client {
    let keys = AwsCredentials::new(&credentials.access_key, &credentials.secret_key, None, None, "wastewalk");
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(keys);
    aws_sdk_dynamodb::Client::from_conf(config.build())
}

async fn create_bucket(client: &aws_sdk_s3::Client) -> anyhow::Result<()> {
    match client.create_bucket().bucket(BUCKET).send().await {
        Ok(_) => Ok(()),
        Err(error)
            if error.as_service_error().is_some_and(
                aws_sdk_s3::operation::create_bucket::CreateBucketError::is_bucket_already_owned_by_you,
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(error).context("the lake's bucket cannot be made"),
    }
}

async fn create_table(client: &aws_sdk_dynamodb::Client) -> anyhow::Result<()> {
    let tables = client.list_tables().send().await.context("the embedded DynamoDB does not answer")?;
    if tables.table_names().iter().any(|name| name == TABLE) {
        return Ok(());
    }
    let attribute =
        |name: &str| AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build();
    let key = |name: &str, kind: KeyType| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    let create = client
        .create_table()
        .table_name(TABLE)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("pk")?)
        .attribute_definitions(attribute("sk")?)
        .key_schema(key("pk", KeyType::Hash)?)
        .key_schema(key("sk", KeyType::Range)?);
    create.send().await.context("the table cannot be made")?;
    Ok(())
}
