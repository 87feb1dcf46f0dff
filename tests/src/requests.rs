//! Requests to the table, counted where they leave the SDK.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use api::{
    Api,
    access::{Access, Caller},
};
use aws_sdk_dynamodb::{
    Client, Config,
    config::{
        BehaviorVersion, ConfigBag, Credentials, Intercept, Region, RuntimeComponents,
        interceptors::BeforeTransmitInterceptorContextRef,
    },
    error::BoxError,
};
use shared::contribution::ContributionStore;
use wastewalk::stack::{Stack, TABLE};

/// How many requests there were, by operation. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Requests(Arc<Mutex<BTreeMap<String, usize>>>);

impl Requests {
    /// Those since the last time that somebody asked.
    pub fn take(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Intercept for Requests {
    fn name(&self) -> &'static str {
        "requests"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let target = context.request().headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(operation).or_default() += 1;
        Ok(())
    }
}

/// The API of a stack, whose requests to the table are counted.
///
/// # Errors
/// If the stack does not say where its table is.
pub fn counted(stack: &Stack) -> anyhow::Result<(Api, ContributionStore, Requests)> {
    let environment = BTreeMap::from(stack.environment());
    let value = |name: &str| environment.get(name).cloned().with_context(|| format!("the stack says no {name}"));
    let requests = Requests::default();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(value("AWS_REGION")?))
        .endpoint_url(value("AWS_ENDPOINT_URL_DYNAMODB")?)
        .credentials_provider(Credentials::new(
            value("AWS_ACCESS_KEY_ID")?,
            value("AWS_SECRET_ACCESS_KEY")?,
            None,
            None,
            "tests",
        ))
        .interceptor(requests.clone());
    let store = ContributionStore::new(Client::from_conf(config.build()), TABLE);
    let settings = api::settings::Settings::default();
    let api = Api::new(stack.lake.clone(), store.clone(), stack.register.clone(), settings, stack.intake.time_zone);
    let api = api.admitting(Access::As(Arc::new(Caller::operator())));
    Ok((api, store, requests))
}
