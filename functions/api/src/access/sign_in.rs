//! Signing in and out: the authorization code of OpenID Connect with proof of possession (PKCE).

use std::fmt;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header, uri::PathAndQuery},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use chrono::Utc;
use oauth2::{
    AuthUrl, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken, EndpointNotSet, ExtraTokenFields,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, StandardRevocableToken, StandardTokenResponse, TokenUrl,
    basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType},
    url::{Url, form_urlencoded},
};
use serde::{Deserialize, Serialize};
use shared::telemetry::chain;

use super::{
    gate::{OpenId, problem_or_page},
    provider::{Description, ProviderError},
    session::{Attempt, Session},
    token::{Expected, TokenError, verify},
};
use crate::{Api, page, problem::Problem};

/// Where the provider sends people back to.
const CALLBACK: &str = "/sign-in/callback";
/// A form with one token.
const MOST_FORM_BYTES: usize = 4_096;
/// An address that is longer is not come back to.
const LONGEST_PATH: usize = 2_000;

/// The addresses of signing in and out.
pub fn routes() -> Router<Api> {
    Router::new()
        .route("/sign-in", get(begin))
        .route(CALLBACK, get(finish))
        .route("/sign-out", post(sign_out).layer(DefaultBodyLimit::max(MOST_FORM_BYTES)))
        .route("/signed-out", get(signed_out))
}

/// What the provider's token says of somebody, beside what OAuth 2 knows.
#[derive(Clone, Serialize, Deserialize)]
struct IdToken {
    id_token: Option<String>,
}

impl fmt::Debug for IdToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("IdToken")
    }
}

impl ExtraTokenFields for IdToken {}

type OpenIdClient = Client<
    BasicErrorResponse,
    StandardTokenResponse<IdToken, BasicTokenType>,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    oauth2::EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    oauth2::EndpointSet,
>;

/// Why somebody was not signed in.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the answer belongs to no attempt of this browser")]
    NoAttempt,
    #[error("the provider did not let them in")]
    Denied,
    #[error("the provider gave no token for the code")]
    NoToken,
    #[error("the token is not believed: {0}")]
    Token(#[from] TokenError),
    #[error("they have no role here")]
    NoRole,
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error("an address is not one: {0}")]
    Address(#[from] oauth2::url::ParseError),
    #[error("the cookie could not be written")]
    Cookie,
}

impl Failure {
    fn problem(&self) -> Problem {
        match self {
            Failure::NoRole => Problem::NO_ROLE,
            Failure::Provider(_) | Failure::Token(TokenError::Provider(_)) | Failure::Address(_) | Failure::Cookie => {
                Problem::SIGN_IN_UNAVAILABLE
            }
            Failure::NoAttempt | Failure::Denied | Failure::NoToken | Failure::Token(_) => Problem::SIGN_IN_FAILED,
        }
    }
}

/// The path of this site that somebody wants to come back to; `/` instead of anything that could lead elsewhere.
fn local_path(asked: Option<&str>) -> String {
    let local = |path: &&str| {
        let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        let elsewhere = path.starts_with("//") || path.starts_with("/sign-");
        let parsed = path.parse::<PathAndQuery>().is_ok_and(|parsed| parsed.as_str() == *path);
        path.starts_with('/') && plain && !elsewhere && parsed && path.len() <= LONGEST_PATH
    };
    asked.filter(local).unwrap_or("/").to_owned()
}

/// A parameter of an address, given once.
fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let mut values = pairs.filter(|(known, _)| known == name).map(|(_, value)| value.into_owned());
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Where people reach us.
fn origin(open_id: &OpenId, headers: &HeaderMap) -> Option<String> {
    if let Some(url) = &open_id.settings.public_url {
        return Some(url.clone());
    }
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte));
    (plain && !host.is_empty()).then(|| format!("https://{host}"))
}

fn client(open_id: &OpenId, description: &Description, origin: &str) -> Result<OpenIdClient, Failure> {
    let client = Client::new(ClientId::new(open_id.settings.client_id.clone()));
    let client = match &open_id.client_secret {
        Some(secret) => client.set_client_secret(ClientSecret::new(secret.clone())),
        None => client,
    };
    Ok(client
        .set_auth_uri(AuthUrl::new(description.authorization_endpoint.clone())?)
        .set_token_uri(TokenUrl::new(description.token_endpoint.clone())?)
        .set_redirect_uri(RedirectUrl::new(format!("{origin}{CALLBACK}"))?))
}

async fn begin(State(api): State<Api>, uri: Uri, headers: HeaderMap) -> Response {
    let Some(open_id) = api.access.open_id() else { return nothing_to_sign_in_to(&uri) };
    let begun = async {
        let origin = origin(open_id, &headers).ok_or(Failure::NoAttempt)?;
        let description = open_id.provider.description().await?;
        let client = client(open_id, &description, &origin)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let nonce = CsrfToken::new_random();
        let scopes = open_id.settings.scopes.iter().filter(|scope| *scope != "openid");
        let request = client.authorize_url(CsrfToken::new_random).add_scope(Scope::new("openid".to_owned()));
        let request = request.add_scopes(scopes.map(|scope| Scope::new(scope.clone())));
        let request = request.add_extra_param("nonce", nonce.secret().clone()).set_pkce_challenge(challenge);
        let (address, state): (Url, CsrfToken) = request.url();
        let now = Utc::now();
        let attempt = Attempt {
            state: state.secret().clone(),
            nonce: nonce.secret().clone(),
            verifier: verifier.secret().clone(),
            to: local_path(parameter(&uri, "to").as_deref()),
            ends_at: Attempt::end(now),
        };
        let kept = open_id.cookies.keep(&attempt, now).ok_or(Failure::Cookie)?;
        Ok::<_, Failure>(([(header::SET_COOKIE, kept)], Redirect::to(address.as_str())).into_response())
    };
    begun.await.unwrap_or_else(|failure| failed(&uri, &failure))
}

async fn finish(State(api): State<Api>, uri: Uri, headers: HeaderMap) -> Response {
    let Some(open_id) = api.access.open_id() else { return nothing_to_sign_in_to(&uri) };
    let mut response = match signed_in(open_id, &uri, &headers).await {
        Ok((session, to)) => ([(header::SET_COOKIE, session)], Redirect::to(&to)).into_response(),
        Err(failure) => failed(&uri, &failure),
    };
    // Whatever came of it, an attempt counts once.
    if let Some(forgotten) = open_id.cookies.forget::<Attempt>() {
        response.headers_mut().append(header::SET_COOKIE, forgotten);
    }
    response
}

/// The cookie of a session, and the page to go to.
async fn signed_in(open_id: &OpenId, uri: &Uri, headers: &HeaderMap) -> Result<(HeaderValue, String), Failure> {
    let now = Utc::now();
    let attempt = open_id.cookies.read::<Attempt>(headers, now).ok_or(Failure::NoAttempt)?;
    let issuer = parameter(uri, "iss");
    if parameter(uri, "state") != Some(attempt.state) || issuer.is_some_and(|issuer| issuer != open_id.settings.issuer)
    {
        return Err(Failure::NoAttempt);
    }
    let code = parameter(uri, "code").ok_or(Failure::Denied)?;
    let origin = origin(open_id, headers).ok_or(Failure::NoAttempt)?;
    let description = open_id.provider.description().await?;
    let client = client(open_id, &description, &origin)?;
    let exchange = client.exchange_code(AuthorizationCode::new(code));
    let exchange = exchange.set_pkce_verifier(PkceCodeVerifier::new(attempt.verifier));
    let token = exchange.request_async(&open_id.provider).await.map_err(|error| match error {
        oauth2::RequestTokenError::Request(error) => Failure::Provider(error),
        _ => Failure::NoToken,
    })?;
    let token = token.extra_fields().id_token.as_deref().ok_or(Failure::NoToken)?;
    let settings = &open_id.settings;
    let expected = Expected { issuer: &settings.issuer, audience: &settings.client_id, nonce: Some(&attempt.nonce) };
    let claims = verify(&open_id.provider, token, expected).await?;
    let grant = open_id.grant(&claims).ok_or(Failure::NoRole)?;
    let form_token = CsrfToken::new_random().secret().clone();
    let session = Session::begin(grant, form_token, open_id.by(), now);
    let kept = open_id.cookies.keep(&session, now).ok_or(Failure::Cookie)?;
    Ok((kept, local_path(Some(&attempt.to))))
}

/// Signs out whoever sends the form of one of their own pages. Another site cannot: it does not know what the form brings
/// along, and a browser says where a form comes from.
async fn sign_out(State(api): State<Api>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let Some(open_id) = api.access.open_id() else { return nothing_to_sign_in_to(&uri) };
    let Some(session) = open_id.session(&headers) else { return Redirect::to("/signed-out").into_response() };
    let brought = form_urlencoded::parse(&body).find(|(name, _)| name == "token").map(|(_, value)| value.into_owned());
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let from = text(header::ORIGIN).is_none_or(|from| origin(open_id, &headers).is_some_and(|own| own == from));
    let site = text(header::HeaderName::from_static("sec-fetch-site")).is_none_or(|site| site == "same-origin");
    if brought.as_deref() != Some(session.form_token.as_str()) || !from || !site {
        return problem_or_page(&uri, Problem::FOREIGN_FORM);
    }
    let forgotten = open_id.cookies.forget::<Session>();
    let mut response = Redirect::to("/signed-out").into_response();
    response.headers_mut().extend(forgotten.map(|forgotten| (header::SET_COOKIE, forgotten)));
    response
}

async fn signed_out(State(api): State<Api>, uri: Uri) -> Response {
    match api.access.open_id() {
        Some(_) => (StatusCode::OK, Html(page::signed_out())).into_response(),
        None => nothing_to_sign_in_to(&uri),
    }
}

fn nothing_to_sign_in_to(uri: &Uri) -> Response {
    problem_or_page(uri, Problem::NOT_FOUND)
}

fn failed(uri: &Uri, failure: &Failure) -> Response {
    tracing::warn!(error = chain(failure), "somebody was not signed in");
    problem_or_page(uri, failure.problem())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_of_this_site_is_come_back_to() {
        for path in ["/", "/?scope=team:1&from=2026-01-05", "/insights/waste?scope=team:a%26b", "/a//b", "/?x=//y"] {
            assert_eq!(local_path(Some(path)), path);
        }
        for elsewhere in [
            "",
            "//evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "https://evil.example/",
            "evil.example",
            "/\t/evil.example",
            "/\r\nSet-Cookie: a=b",
            "/%0d%0a\r\nLocation: x",
            " /",
            "/a b",
            "/ö",
            "/sign-in?to=/",
            "/sign-out",
            "javascript:alert(1)",
            "/#fragment",
            "@evil.example",
        ] {
            assert_eq!(local_path(Some(elsewhere)), "/", "{elsewhere:?}");
        }
        assert_eq!(local_path(Some(&format!("/{}", "x".repeat(3_000)))), "/");
        assert_eq!(local_path(None), "/");
    }

    #[test]
    fn a_parameter_that_is_given_twice_is_none() {
        let uri: Uri = "/sign-in/callback?code=a&state=s&code=b".parse().unwrap();
        assert_eq!(parameter(&uri, "code"), None);
        assert_eq!(parameter(&uri, "state").as_deref(), Some("s"));
    }
}
