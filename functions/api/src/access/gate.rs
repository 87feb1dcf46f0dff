//! Finds out who asks, before anything is answered.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use chrono::Utc;
use cookie::Key;
use serde_json::{Map, Value};
use shared::{
    pseudonym::{PseudonymKey, pseudonym},
    settings::InvalidSetting,
    telemetry::chain,
};

use super::{
    provider::{AT_MOST_EVERY, Provider, ProviderError},
    session::{Cookies, Session},
    settings::{AccessSettings, Grant},
    sight::Caller,
    token::{Expected, TokenError, verify},
};
use crate::{Api, page, problem::Problem, selection::parameters};

/// Who is let in.
#[derive(Debug, Default)]
pub enum Access {
    /// Nobody.
    #[default]
    Closed,
    /// Whoever comes this far, as this caller: somebody else has asked who they are, or there is nobody else.
    As(Arc<Caller>),
    /// Whoever the identity provider knows and has a role here.
    OpenId(Box<OpenId>),
}

/// What it takes to know people by an identity provider.
#[derive(Debug)]
pub struct OpenId {
    /// What the deployment decides.
    pub settings: AccessSettings,
    /// What proves to the provider that we are us; none where proof of possession has to do.
    pub client_secret: Option<String>,
    /// Whom we ask.
    pub provider: Provider,
    /// Sessions.
    pub cookies: Cookies,
    /// What makes people's pseudonyms, where the lake knows them by these only.
    pub pseudonyms: Option<PseudonymKey>,
}

/// Why access cannot be decided.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// A variable is wrong or missing.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    /// Nobody could be asked.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// A key is too short to keep anything from anybody.
    #[error("the key of the cookies has {0} bytes; it takes at least 32 that nobody can guess")]
    ShortKey(usize),
}

impl OpenId {
    /// Lets people in by the provider of `settings`. `cookie_key` are at least 32 bytes that nobody can guess; without
    /// them, sessions end with this process.
    ///
    /// # Errors
    /// If the key is shorter, or the machine's certificates cannot be read.
    pub fn new(
        settings: AccessSettings,
        client_secret: Option<String>,
        cookie_key: Option<&[u8]>,
    ) -> Result<Self, AccessError> {
        let key = match cookie_key {
            None => Key::generate(),
            Some(key) if key.len() < 32 => return Err(AccessError::ShortKey(key.len())),
            Some(key) => Key::derive_from(key),
        };
        // Only what never leaves the machine may travel in the open.
        let secure = !settings.public_url.as_ref().is_some_and(|url| url.starts_with("http://"));
        let cookies = Cookies::new(key, secure);
        Ok(Self {
            provider: Provider::new(&settings.issuer, AT_MOST_EVERY)?,
            settings,
            client_secret,
            cookies,
            pseudonyms: None,
        })
    }

    /// The same over a lake that knows people by pseudonyms under `key` only, if there is one.
    pub fn with_pseudonyms(self, key: Option<PseudonymKey>) -> Self {
        Self { pseudonyms: key, ..self }
    }

    /// What verified claims grant: the person that they name as the lake knows them. `None` to whoever has no role here.
    pub fn grant(&self, claims: &Map<String, Value>) -> Option<Grant> {
        let grant = self.settings.grant(claims)?;
        let known = |user: String| self.pseudonyms.as_ref().map_or(user.clone(), |key| pseudonym(key, &user));
        Some(Grant { person: grant.person.map(known), ..grant })
    }

    /// What a session belongs to.
    pub fn by(&self) -> String {
        format!("{} {}", self.settings.issuer, self.settings.client_id)
    }

    /// The session that a request brings along.
    pub fn session(&self, headers: &HeaderMap) -> Option<Session> {
        self.cookies.read::<Session>(headers, Utc::now()).filter(|session| session.by == self.by())
    }

    async fn caller(&self, uri: &Uri, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let is_data = is_data(uri);
        if let Some(token) = bearer(headers).filter(|_| is_data) {
            let audience = self.settings.audience.as_deref().ok_or(Refusal::InvalidToken)?;
            let expected = Expected { issuer: &self.settings.issuer, audience, nonce: None };
            let claims = match verify(&self.provider, token, expected).await {
                Ok(claims) => claims,
                Err(TokenError::Provider(error)) => {
                    tracing::error!(error = chain(&error), "a token could not be verified");
                    return Err(Refusal::Unavailable);
                }
                Err(error) => {
                    tracing::info!(%error, "a token was refused");
                    return Err(Refusal::InvalidToken);
                }
            };
            let grant = self.grant(&claims).ok_or(Refusal::NoRole)?;
            return Ok(self.settings.caller(&grant, None));
        }
        match self.session(headers) {
            Some(session) => Ok(self.settings.caller(&session.grant, Some(session.form_token))),
            None => Err(Refusal::NotSignedIn),
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether programs ask there, or would if they had not mistyped the address.
fn is_data(uri: &Uri) -> bool {
    let path = uri.path().trim_start_matches('/');
    path == "openapi.json" || path == "v1" || path.starts_with("v1/")
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    NotSignedIn,
    InvalidToken,
    NoRole,
    Unavailable,
}

impl Access {
    async fn caller(&self, uri: &Uri, headers: &HeaderMap) -> Result<Arc<Caller>, Refusal> {
        match self {
            Access::Closed => Err(Refusal::NotSignedIn),
            Access::As(caller) => Ok(Arc::clone(caller)),
            Access::OpenId(open_id) => open_id.caller(uri, headers).await.map(Arc::new),
        }
    }

    /// Whether somebody can sign in here.
    pub fn open_id(&self) -> Option<&OpenId> {
        match self {
            Access::OpenId(open_id) => Some(open_id),
            Access::Closed | Access::As(_) => None,
        }
    }
}

/// Whether an address says nothing of anybody.
fn is_open(uri: &Uri) -> bool {
    matches!(
        uri.path(),
        "/assets/style.css" | "/assets/icon.svg" | "/sign-in" | "/sign-in/callback" | "/sign-out" | "/signed-out"
    )
}

/// Lets a request through with its caller, or says what to do.
pub async fn admit(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    if is_open(request.uri()) {
        return next.run(request).await;
    }
    match api.access.caller(request.uri(), request.headers()).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => refused(&api.access, refusal, request.method(), request.uri()),
    }
}

fn refused(access: &Access, refusal: Refusal, method: &Method, uri: &Uri) -> Response {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if refusal == Refusal::NotSignedIn && !is_data(uri) && reads && access.open_id().is_some() {
        let to = uri.path_and_query().map_or("/", |path| path.as_str());
        let query = parameters(&[("to", to)]);
        return Redirect::to(&format!("/sign-in?{}", query.trim_start_matches('&'))).into_response();
    }
    let (problem, challenge) = match refusal {
        Refusal::NotSignedIn => (Problem::NOT_SIGNED_IN, Some("Bearer")),
        Refusal::InvalidToken => (Problem::INVALID_TOKEN, Some("Bearer error=\"invalid_token\"")),
        Refusal::NoRole => (Problem::NO_ROLE, None),
        Refusal::Unavailable => (Problem::SIGN_IN_UNAVAILABLE, None),
    };
    let mut response = problem_or_page(uri, problem);
    if let Some(challenge) = challenge {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}

/// Programs get a problem, people a page.
pub fn problem_or_page(uri: &Uri, problem: Problem) -> Response {
    if is_data(uri) {
        return problem.into_response();
    }
    let status: StatusCode = problem.status;
    (status, axum::response::Html(page::refusal(&problem))).into_response()
}
