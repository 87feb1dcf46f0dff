//! The router: addresses to answers.

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, Uri, header},
    middleware::map_response,
    response::{Html, IntoResponse, Response},
    routing::get,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::annotator::Logic;

use crate::{
    Api, ApiError, Request,
    answer::Answer,
    evidence::Evidence,
    finding::{Finding, findings},
    freshness::Health,
    page::{self, View},
    problem::Problem,
    selection::{InvalidParameter, Selection},
};

/// Nothing but our own style sheet, no script at all.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                                       base-uri 'none'; frame-ancestors 'none'";

/// Every address of the API. The same router serves Lambda, the local stack and the tests.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/", get(show_page))
        .route("/assets/style.css", get(style))
        .route("/assets/icon.svg", get(icon))
        .route("/v1/insights", get(get_insights))
        .route("/v1/findings", get(get_findings))
        .route("/v1/health", get(get_health))
        .fallback(not_found)
        .method_not_allowed_fallback(|uri: Uri| async move { refuse(&uri, Problem::METHOD_NOT_ALLOWED) })
        .layer(map_response(secure))
        .with_state(api)
}

/// The part of an answer that says what it is about.
#[derive(Serialize)]
struct About<'a, T> {
    selection: Selection,
    logic: &'a Logic,
    data_as_of: Option<DateTime<Utc>>,
    #[serde(flatten)]
    answer: T,
}

#[derive(Serialize)]
struct Insights {
    insights: Vec<Answer>,
}

#[derive(Serialize)]
struct Findings {
    findings: Vec<Finding>,
}

fn about<T: Serialize>(api: &Api, evidence: &Evidence, answer: T) -> Response {
    Json(About {
        selection: evidence.selection(),
        logic: api.register.logic(),
        data_as_of: evidence.data_as_of,
        answer,
    })
    .into_response()
}

async fn get_insights(State(api): State<Api>, uri: Uri) -> Result<Response, Problem> {
    let request = Request::parse(&pairs(&uri)?).map_err(ApiError::from)?;
    let evidence = Evidence::read(&api, &request, false).await?;
    let group = evidence.group();
    let insights = api.register.insights().map(|insight| Answer::of(insight, &group));
    let insights = insights.collect();
    Ok(about(&api, &evidence, Insights { insights }))
}

async fn get_findings(State(api): State<Api>, uri: Uri) -> Result<Response, Problem> {
    let request = Request::parse(&pairs(&uri)?).map_err(ApiError::from)?;
    let evidence = Evidence::read(&api, &request, true).await?;
    let findings = findings(api.register, &evidence);
    Ok(about(&api, &evidence, Findings { findings }))
}

async fn get_health(State(api): State<Api>, uri: Uri) -> Result<Json<Health>, Problem> {
    if let Some((parameter, _)) = pairs(&uri)?.into_iter().next() {
        let detail = "it is not known here; this address takes no parameters.".to_owned();
        return Err(ApiError::from(InvalidParameter { parameter, detail }).into());
    }
    let newest = api.store.newest(api.register.logic()).await.map_err(ApiError::from)?;
    let health = Health::read(&api.lake, newest.as_ref(), Utc::now()).await;
    Ok(Json(health.map_err(ApiError::from)?))
}

async fn show_page(State(api): State<Api>, uri: Uri) -> Response {
    match view(&api, &uri).await {
        Ok(view) => Html(page::render(&view)).into_response(),
        Err(problem) => refuse(&uri, problem),
    }
}

async fn view(api: &Api, uri: &Uri) -> Result<View, Problem> {
    // A form sends the fields that were left blank, too.
    let mut given = pairs(uri)?;
    given.retain(|(_, value)| !value.is_empty());
    let request = Request::parse(&given).map_err(ApiError::from)?;
    let evidence = Evidence::read(api, &request, true).await?;
    let health = Health::read(&api.lake, evidence.newest.as_ref(), Utc::now()).await;
    Ok(View::of(api.register, request, &evidence, health.map_err(ApiError::from)?))
}

async fn style() -> impl IntoResponse {
    asset("text/css; charset=utf-8", page::STYLE)
}

async fn icon() -> impl IntoResponse {
    asset("image/svg+xml", page::ICON)
}

fn asset(content_type: &'static str, body: &'static str) -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "public, max-age=300")];
    (headers, body)
}

async fn not_found(uri: Uri) -> Response {
    refuse(&uri, Problem::NOT_FOUND)
}

/// Programs get a problem, people a page.
fn refuse(uri: &Uri, problem: Problem) -> Response {
    if uri.path().starts_with("/v1") {
        problem.into_response()
    } else {
        (problem.status, Html(page::refusal(&problem))).into_response()
    }
}

fn pairs(uri: &Uri) -> Result<Vec<(String, String)>, ApiError> {
    let Query(pairs) = Query::try_from_uri(uri)
        .map_err(|error| InvalidParameter { parameter: "query string".to_owned(), detail: format!("{error}.") })?;
    Ok(pairs)
}

async fn secure(mut response: Response) -> Response {
    let headers: &mut HeaderMap = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let private = HeaderValue::from_static("private, no-store");
    headers.entry(header::CACHE_CONTROL).or_insert(private);
    response
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        Self::from(&error)
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
    use axum::{
        body::{Body, to_bytes},
        http::{Method, StatusCode},
    };
    use lambda_http::tower::ServiceExt;
    use shared::{contribution::ContributionStore, lake::Lake};

    use super::*;
    use crate::sample::register;

    /// A router whose storage refuses every connection.
    fn without_storage() -> Router {
        macro_rules! client {
            ($sdk:ident) => {
                $sdk::Client::from_conf(
                    $sdk::Config::builder()
                        .behavior_version(BehaviorVersion::latest())
                        .region(Region::new("nowhere"))
                        .credentials_provider(Credentials::new("id", "key", None, None, "test"))
                        .endpoint_url("http://127.0.0.1:1")
                        .retry_config(RetryConfig::disabled())
                        .build(),
                )
            };
        }
        let lake = Lake::new(client!(aws_sdk_s3), "secret-bucket");
        let store = ContributionStore::new(client!(aws_sdk_dynamodb), "secret-table");
        router(Api::new(lake, store, register(), chrono_tz::Tz::UTC))
    }

    async fn ask(method: Method, uri: &str) -> (StatusCode, HeaderMap, String) {
        let request = axum::http::Request::builder().method(method).uri(uri);
        let request = request.body(Body::empty()).unwrap();
        let response = without_storage().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn programs_get_problems_with_stable_types() {
        for (method, uri, status, name, mentions) in [
            (Method::GET, "/v1/insights?scope=everybody", 400, "invalid-parameter", "`scope`"),
            (Method::GET, "/v1/findings?from=2026-02-30", 400, "invalid-parameter", "`from`"),
            (Method::GET, "/v1/insights?from=2026-01-02&to=2026-01-02", 400, "invalid-parameter", "`to`"),
            (Method::GET, "/v1/insights?page=2", 400, "invalid-parameter", "`page`"),
            (Method::GET, "/v1/health?scope=org", 400, "invalid-parameter", "`scope`"),
            (Method::GET, "/v1/nothing", 404, "not-found", "/v1/insights"),
            (Method::POST, "/v1/insights", 405, "method-not-allowed", "GET"),
            (Method::GET, "/v1/insights", 503, "storage-unavailable", "again"),
            (Method::GET, "/v1/findings", 503, "storage-unavailable", "again"),
            (Method::GET, "/v1/health", 503, "storage-unavailable", "again"),
        ] {
            let (found, headers, body) = ask(method, uri).await;
            assert_eq!(found.as_u16(), status, "{uri}: {body}");
            assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json", "{uri}");
            let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(problem["type"], format!("urn:wastewalk:problem:{name}"), "{uri}");
            assert_eq!(problem["status"], status);
            assert!(problem["title"].is_string());
            assert!(problem["detail"].as_str().unwrap().contains(mentions), "{body}");
            assert!(!body.contains("secret") && !body.contains("127.0.0.1"), "{body}");
        }
    }

    #[tokio::test]
    async fn people_get_pages_and_every_answer_is_guarded() {
        for (method, uri, status, content) in [
            (Method::GET, "/?scope=everybody", 400, "<h1>A parameter is not understood</h1>"),
            (Method::GET, "/?from=&to=&scope=", 503, "<h1>The storage does not answer</h1>"),
            (Method::GET, "/nothing", 404, "<h1>"),
            (Method::POST, "/", 405, "<h1>"),
            (Method::GET, "/assets/style.css", 200, "--paper"),
            (Method::GET, "/assets/icon.svg", 200, "<svg"),
            (Method::GET, "/v1/insights?x=1", 400, "urn:"),
        ] {
            let (found, headers, body) = ask(method, uri).await;
            assert_eq!(found.as_u16(), status, "{uri}");
            assert!(body.contains(content), "{uri}: {body}");
            assert!(!body.contains("secret"), "{uri}");
            assert_eq!(headers[header::CONTENT_SECURITY_POLICY], CONTENT_SECURITY_POLICY);
            assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            assert!(headers.contains_key(header::REFERRER_POLICY) && headers.contains_key(header::CACHE_CONTROL));
        }
    }
}
