//! The identity provider: what it says of itself, its keys, and the code that it exchanges for a token.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::sync::Mutex;

use super::settings::is_safe_address;

/// How long an answer of the provider may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// And how large it may be.
const MOST_BYTES: usize = 1 << 20;
/// What the provider says of itself, and its keys, are read again after this long.
const LIFETIME: Duration = Duration::from_secs(3_600);
/// Keys are not read again sooner than this, however many tokens name one that is not known.
pub const AT_MOST_EVERY: Duration = Duration::from_secs(60);

/// Why the provider cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// It could not be reached, or not in time.
    #[error("the identity provider does not answer at {0}")]
    Unreachable(String, #[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// It answered something that is no answer.
    #[error("the identity provider's answer at {0} is not understood")]
    Unreadable(String, #[source] Option<serde_json::Error>),
    /// It answered with an error.
    #[error("the identity provider answered {1} at {0}")]
    Refused(String, u16),
    /// It says that it is another one, or names an address that is not safe.
    #[error("the identity provider's own description cannot be trusted: {0}")]
    Untrusted(String),
    /// The certificates that everybody trusts could not be read.
    #[error("the machine's certificates cannot be read")]
    Certificates(#[source] std::io::Error),
}

/// What a provider says of itself, as far as we need it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Description {
    issuer: String,
    /// Where people sign in.
    pub authorization_endpoint: String,
    /// Where a code is exchanged.
    pub token_endpoint: String,
    jwks_uri: String,
}

/// Something read, and when.
#[derive(Debug)]
struct Read<T> {
    at: Instant,
    value: Arc<T>,
}

impl<T> Read<T> {
    fn now(value: T) -> Self {
        Self { at: Instant::now(), value: Arc::new(value) }
    }
}

/// The provider.
#[derive(Debug)]
pub struct Provider {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    issuer: String,
    at_most_every: Duration,
    description: Mutex<Option<Read<Description>>>,
    keys: Mutex<Keys>,
}

#[derive(Debug, Default)]
struct Keys {
    known: Option<Read<JwkSet>>,
    tried: Option<Instant>,
}

impl Provider {
    /// The provider that goes by `issuer`. Keys are not read more often than `at_most_every`.
    ///
    /// # Errors
    /// If the machine's certificates cannot be read.
    pub fn new(issuer: &str, at_most_every: Duration) -> Result<Self, ProviderError> {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider())
            .map_err(ProviderError::Certificates)?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            issuer: issuer.to_owned(),
            at_most_every,
            description: Mutex::default(),
            keys: Mutex::default(),
        })
    }

    /// Sends a request, follows no redirect, and reads a bounded answer.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, ProviderError> {
        let address = request.uri().to_string();
        let failed =
            |error: Box<dyn std::error::Error + Send + Sync>| ProviderError::Unreachable(address.clone(), Some(error));
        let answer = async {
            let response = self.client.request(request.map(|body| Full::new(Bytes::from(body)))).await;
            let (parts, body) = response.map_err(|error| failed(error.into()))?.into_parts();
            let body = Limited::new(body, MOST_BYTES).collect().await.map_err(failed)?.to_bytes();
            Ok(HttpResponse::from_parts(parts, body.to_vec()))
        };
        let late = |_| ProviderError::Unreachable(address.clone(), None);
        tokio::time::timeout(PATIENCE, answer).await.map_err(late)?
    }

    async fn get<T: DeserializeOwned>(&self, address: &str) -> Result<T, ProviderError> {
        if !is_safe_address(address) {
            return Err(ProviderError::Untrusted(format!("{address} is not reached over HTTPS")));
        }
        let request = axum::http::Request::get(address).header("accept", "application/json").body(Vec::new());
        let request = request.map_err(|_| ProviderError::Unreadable(address.to_owned(), None))?;
        let response = self.send(request).await?;
        if !response.status().is_success() {
            return Err(ProviderError::Refused(address.to_owned(), response.status().as_u16()));
        }
        let unreadable = |error| ProviderError::Unreadable(address.to_owned(), Some(error));
        serde_json::from_slice(response.body()).map_err(unreadable)
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// If it does not answer, or says that it is somebody else.
    pub async fn description(&self) -> Result<Arc<Description>, ProviderError> {
        let mut known = self.description.lock().await;
        if let Some(read) = known.as_ref().filter(|read| read.at.elapsed() < LIFETIME) {
            return Ok(Arc::clone(&read.value));
        }
        let address = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let description: Description = self.get(&address).await?;
        if description.issuer != self.issuer {
            return Err(ProviderError::Untrusted("it names another issuer".to_owned()));
        }
        for address in [&description.authorization_endpoint, &description.token_endpoint, &description.jwks_uri] {
            if !is_safe_address(address) {
                return Err(ProviderError::Untrusted(format!("{address} is not reached over HTTPS")));
            }
        }
        let read = known.insert(Read::now(description));
        Ok(Arc::clone(&read.value))
    }

    /// Its key of this name, or its only one. A name that is not known has the keys read again, but not too often.
    ///
    /// # Errors
    /// If it does not answer and no key was known before.
    pub async fn key(&self, name: Option<&str>) -> Result<Option<Jwk>, ProviderError> {
        // Whoever waits here for another request's reading uses it.
        let mut keys = self.keys.lock().await;
        let found = |keys: &Keys| keys.known.as_ref().and_then(|read| find(&read.value, name).cloned());
        let young = keys.known.as_ref().is_some_and(|read| read.at.elapsed() < LIFETIME);
        let key = found(&keys);
        if key.is_some() && young {
            return Ok(key);
        }
        let lately = keys.tried.is_some_and(|tried| tried.elapsed() < self.at_most_every);
        if lately && keys.known.is_some() {
            return Ok(key);
        }
        keys.tried = Some(Instant::now());
        let read = async { self.get::<JwkSet>(&self.description().await?.jwks_uri).await };
        match read.await {
            Ok(set) => keys.known = Some(Read::now(set)),
            // What it signed with before it went away it signed.
            Err(error) if key.is_some() => {
                tracing::warn!(%error, "the identity provider's keys could not be read again");
            }
            Err(error) => return Err(error),
        }
        Ok(found(&keys))
    }
}

impl<'c> AsyncHttpClient<'c> for Provider {
    type Error = ProviderError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, ProviderError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

fn find<'a>(set: &'a JwkSet, name: Option<&str>) -> Option<&'a Jwk> {
    match (name, set.keys.as_slice()) {
        (Some(name), keys) => keys.iter().find(|key| key.common.key_id.as_deref() == Some(name)),
        (None, [only]) => Some(only),
        (None, _) => None,
    }
}
