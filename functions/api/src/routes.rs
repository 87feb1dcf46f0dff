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
    evidence::Evidence,
    figure::Answer,
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
