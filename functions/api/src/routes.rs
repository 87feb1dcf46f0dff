//! The router: addresses to answers.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Json, Router,
    body::HttpBody,
    extract::{self, FromRequestParts, Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header, request::Parts},
    middleware::{Next, from_fn, from_fn_with_state, map_response},
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::{
    annotator::{Logic, declaration::Insight},
    contribution::Scope,
    telemetry::{Summary, Traffic},
};
use tower_http::compression::CompressionLayer;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api, ApiError, Request,
    access::{
        Caller, Sight,
        gate::{self, problem_or_page},
        sign_in,
    },
    activities::{self, Question, Side},
    answer::Answer,
    compare::{self, Comparison},
    division::{Kind, Listed, divisions, kinds, sprints},
    etag::Tag,
    evidence::{Basis, Evidence},
    finding::{Finding, findings},
    freshness::Health,
    lineage::{self, Lineage},
    logics::{ListedLogic, LogicRun, MissingDay},
    openapi::{self, ComparisonParameters, Description, ProblemDocument, SelectionParameters},
    page::{self, Frame},
    problem::Problem,
    quality::Quality,
    selection::{InvalidParameter, Selection, parameters},
    spreadsheet::Spreadsheet,
    trend::{Course, Granularity, Marker, Period, Series},
};

/// Nothing but our own style sheet, no script at all.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                                       base-uri 'none'; frame-ancestors 'none'";

/// A function may answer 6 MB, written in base64 where it is compressed.
const MOST_BYTES: u64 = 4_500_000;

/// Every address of the API. The same router serves Lambda, the local stack and the tests.
pub fn router(api: Api) -> Router {
    let (router, mut description) = described().split_for_parts();
    openapi::say_what_all_share(&mut description);
    router
        .route("/openapi.json", get(async move || Json(description)))
        .route("/", get(show_overview))
        .route("/insights/{id}", get(show_insight))
        .route("/insights/{id}/activities", get(show_activities))
        .route("/quality", get(show_quality))
        .route("/compare", get(show_comparison))
        .route("/lineage", get(show_lineage))
        .route("/logics", get(show_logics))
        .route("/assets/style.css", get(style))
        .route("/assets/icon.svg", get(icon))
        .merge(sign_in::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(|uri: Uri| async move { problem_or_page(&uri, Problem::METHOD_NOT_ALLOWED) })
        .layer(from_fn_with_state(api.clone(), gate::admit))
        .layer(from_fn(bounded))
        .layer(CompressionLayer::new())
        .layer(map_response(secure))
        .layer(from_fn_with_state(api.clone(), summarise))
        .with_state(api)
}

/// The addresses that programs ask, with their description.
fn described() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(get_insights))
        .routes(routes!(get_insight))
        .routes(routes!(get_trend))
        .routes(routes!(get_activities))
        .routes(routes!(get_findings))
        .routes(routes!(get_comparison))
        .routes(routes!(get_lineage))
        .routes(routes!(get_logics))
        .routes(routes!(get_teams))
        .routes(routes!(get_sprints))
        .routes(routes!(get_stereotypes))
        .routes(routes!(get_quality))
        .routes(routes!(get_health))
}

/// Says in one line of the log what a request came to.
async fn summarise(State(api): State<Api>, mut request: extract::Request, next: Next) -> Response {
    let mut summary = Summary::start("api");
    summary.events = 1;
    request.extensions_mut().insert(summary.traffic.clone());
    let response = next.run(request).await;
    summary.failed = u64::from(response.status().is_server_error());
    summary.log(api.register.logic());
    response
}

/// The API whose reading counts for this request, and which answers whoever makes it.
struct Counted(Api);

impl FromRequestParts<Api> for Counted {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        // Whom nobody has let in is answered nothing, however they came here.
        let caller = parts.extensions.get::<Arc<Caller>>().cloned().ok_or(Problem::NOT_SIGNED_IN)?;
        let traffic = parts.extensions.get::<Traffic>().cloned().unwrap_or_default();
        Ok(Self(Api { lake: api.lake.counted_by(&traffic), ..api.clone() }.answering(caller)))
    }
}

/// The part of an answer that says what it is about.
#[derive(Serialize, ToSchema)]
struct About<T> {
    selection: Selection,
    #[schema(value_type = String, example = "5ee12be1dcea")]
    logic: Logic,
    logics: Vec<LogicRun>,
    data_as_of: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    days_missing: Vec<MissingDay>,
    #[serde(flatten)]
    answer: T,
}

#[derive(Serialize, ToSchema)]
struct Insights {
    insights: Vec<Answer>,
}

#[derive(Serialize, ToSchema)]
struct Findings {
    findings: Vec<Finding>,
}

#[derive(Serialize, ToSchema)]
struct Trend {
    insight: String,
    granularity: Granularity,
    /// Each day by the logic that shows it.
    periods: Vec<Period>,
    /// Where the logic of the figure changes.
    markers: Vec<Marker>,
    /// The same by the newest older logic that computes it otherwise, for the periods of which it has every day; null
    /// without one.
    earlier: Option<Series>,
}

#[derive(Serialize, ToSchema)]
struct Logics {
    logics: Vec<ListedLogic>,
}

#[derive(Serialize, ToSchema)]
struct Teams {
    teams: Vec<Listed>,
}

#[derive(Serialize, ToSchema)]
struct Sprints {
    sprints: Vec<Listed>,
}

#[derive(Serialize, ToSchema)]
struct Stereotypes {
    stereotypes: Vec<Kind>,
    /// How many more there are that are hidden: about too few people, or telling of too few.
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden: Option<usize>,
}

fn about<T: Serialize>(evidence: &Evidence, answer: T) -> Response {
    Json(About {
        selection: evidence.selection(),
        logic: evidence.logic.clone(),
        logics: evidence.logics(),
        data_as_of: evidence.data_as_of,
        days_missing: evidence.missing.clone(),
        answer,
    })
    .into_response()
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    Json,
    Csv,
}

impl Format {
    /// Takes `format` out of the parameters; without it, what the headers accept decides.
    fn take(pairs: &mut Vec<(String, String)>, headers: &HeaderMap) -> Result<Self, Problem> {
        match take(pairs, "format")?.as_deref() {
            Some("json") => Ok(Self::Json),
            Some("csv") => Ok(Self::Csv),
            Some(_) => Err(ApiError::from(InvalidParameter::new("format", "it is json or csv.")).into()),
            None => Ok(Self::accepted(headers)),
        }
    }

    fn accepted(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut ranges = accepted.flat_map(|value| value.split(',')).map(|range| {
            let (range, parameters) = range.split_once(';').unwrap_or((range, ""));
            (range.trim().to_ascii_lowercase(), parameters.replace(' ', ""))
        });
        let wanted = |(range, parameters): (String, String)| range == "text/csv" && parameters != "q=0";
        if ranges.any(wanted) { Self::Csv } else { Self::Json }
    }
}

/// A request under `/v1` that a selection answers: what it asks for besides the selection is taken out already.
struct Asked<'a> {
    api: &'a Api,
    uri: &'a Uri,
    headers: &'a HeaderMap,
}

impl Asked<'_> {
    /// Answers from evidence, unless whoever asks has the answer already.
    async fn answer(
        &self,
        request: &Request,
        with_teams: bool,
        answer: impl AsyncFnOnce(&Evidence) -> Result<Response, Problem>,
    ) -> Result<Response, Problem> {
        self.answer_from(Basis::find(self.api, request).await, with_teams, answer).await
    }

    /// The same with what the figure of `insight` was before its logic changed.
    async fn answer_with_earlier(
        &self,
        request: &Request,
        insight: &Insight,
        answer: impl AsyncFnOnce(&Evidence) -> Result<Response, Problem>,
    ) -> Result<Response, Problem> {
        let basis = async { Basis::find(self.api, request).await?.with_earlier(self.api, insight).await };
        self.answer_from(basis.await, false, answer).await
    }

    async fn answer_from(
        &self,
        basis: Result<Basis, ApiError>,
        with_teams: bool,
        answer: impl AsyncFnOnce(&Evidence) -> Result<Response, Problem>,
    ) -> Result<Response, Problem> {
        let basis = basis.map_err(Problem::from)?;
        let tag = Tag::of(self.api, self.uri, self.headers, &basis.identity());
        if let Some(unchanged) = tag.unchanged(self.headers) {
            return Ok(unchanged);
        }
        let evidence = Evidence::of(self.api, basis, with_teams).await.map_err(Problem::from)?;
        let mut response = answer(&evidence).await?;
        tag.name(&mut response);
        Ok(response)
    }
}

fn request(pairs: &[(String, String)]) -> Result<Request, Problem> {
    Ok(Request::parse(pairs).map_err(ApiError::from)?)
}

/// Every figure of a selection.
#[utoipa::path(
    get,
    path = "/v1/insights",
    params(
        SelectionParameters,
        ("format" = inline(Option<Format>), Query, description = "csv instead of json; the header Accept: text/csv says the same")
    ),
    responses(
        (status = 200, content((About<Insights> = "application/json"), (String = "text/csv"))),
        (status = 304, description = "It is still what If-None-Match names"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "Nobody goes by this id, or there is no such insight")
    )
)]
async fn get_insights(Counted(api): Counted, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let mut pairs = pairs(&uri)?;
    let format = Format::take(&mut pairs, &headers)?;
    let asked = Asked { api: &api, uri: &uri, headers: &headers };
    asked
        .answer(&request(&pairs)?, false, async |evidence| {
            let insights = api.register.insights().collect::<Vec<_>>();
            insights_of(&api, evidence, &insights, format)
        })
        .await
}

/// One figure of a selection.
#[utoipa::path(
    get,
    path = "/v1/insights/{id}",
    params(
        ("id" = String, Path, description = "the insight, such as waste", example = "waste"),
        SelectionParameters,
        ("format" = inline(Option<Format>), Query, description = "csv instead of json; the header Accept: text/csv says the same")
    ),
    responses(
        (status = 200, content((About<Insights> = "application/json"), (String = "text/csv"))),
        (status = 304, description = "It is still what If-None-Match names"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "Nobody goes by this id, or there is no such insight")
    )
)]
async fn get_insight(
    Counted(api): Counted,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let insight = insight_of(&api, &id)?;
    let mut pairs = pairs(&uri)?;
    let format = Format::take(&mut pairs, &headers)?;
    let asked = Asked { api: &api, uri: &uri, headers: &headers };
    asked.answer(&request(&pairs)?, false, async |evidence| insights_of(&api, evidence, &[insight], format)).await
}

fn insights_of(api: &Api, evidence: &Evidence, insights: &[&Insight], format: Format) -> Result<Response, Problem> {
    let group = evidence.group();
    let insights: Vec<Answer> = insights.iter().map(|insight| Answer::of(&api.register, insight, &group)).collect();
    match format {
        Format::Json => Ok(about(evidence, Insights { insights })),
        Format::Csv => {
            let sheet = Spreadsheet::insights(&evidence.selection(), &evidence.logic, &insights);
            Ok(sheet.response().map_err(ApiError::from)?)
        }
    }
}

/// A figure period by period.
#[utoipa::path(
    get,
    path = "/v1/insights/{id}/trend",
    params(
        ("id" = String, Path, description = "the insight, such as waste", example = "waste"),
        SelectionParameters,
        ("granularity" = inline(Option<Granularity>), Query, description = "how long a period is; without it, what is best read"),
        ("format" = inline(Option<Format>), Query, description = "csv instead of json; the header Accept: text/csv says the same")
    ),
    responses(
        (status = 200, content((About<Trend> = "application/json"), (String = "text/csv"))),
        (status = 304, description = "It is still what If-None-Match names"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "Nobody goes by this id, or there is no such insight")
    )
)]
async fn get_trend(
    Counted(api): Counted,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let insight = insight_of(&api, &id)?;
    let mut pairs = pairs(&uri)?;
    let format = Format::take(&mut pairs, &headers)?;
    let granularity = granularity(&mut pairs)?;
    let asked = Asked { api: &api, uri: &uri, headers: &headers };
    asked
        .answer_with_earlier(&request(&pairs)?, insight, async |evidence| {
            let granularity = granularity.unwrap_or_else(|| Granularity::fitting(&evidence.group()));
            let course = Course::of(insight, evidence, granularity);
            match format {
                Format::Json => {
                    let Course { periods, markers, earlier } = course;
                    Ok(about(evidence, Trend { insight: insight.id.clone(), granularity, periods, markers, earlier }))
                }
                Format::Csv => {
                    let (selection, logic) = (evidence.selection(), &evidence.logic);
                    let sheet = Spreadsheet::trend(&selection, logic, &insight.id, granularity, &course);
                    Ok(sheet.response().map_err(ApiError::from)?)
                }
            }
        })
        .await
}

/// The activities behind a number, page by page; their values add up to it.
#[utoipa::path(
    get,
    path = "/v1/insights/{id}/activities",
    params(
        ("id" = String, Path, description = "the insight, such as waste", example = "waste"),
        SelectionParameters,
        ("figure" = Option<String>, Query, description = "a figure beside the insight's own, by its id"),
        ("part" = Option<String>, Query, description = "a part of its breakdown, by its label"),
        ("side" = inline(Option<Side>), Query, description = "which of the figure's two numbers"),
        ("stereotype" = Option<String>, Query, description = "only this kind of activity"),
        ("limit" = Option<u16>, Query, description = "how many at most", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "where the page before ended"),
        ("format" = inline(Option<Format>), Query, description = "csv instead of json; the header Accept: text/csv says the same")
    ),
    responses(
        (status = 200, content((activities::Page = "application/json"), (String = "text/csv"))),
        (status = 304, description = "It is still what If-None-Match names"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "Nobody goes by this id, or there is no such insight"),
        (status = 410, body = ProblemDocument, content_type = "application/problem+json", description = "The days changed since the cursor was given")
    )
)]
async fn get_activities(
    Counted(api): Counted,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut pairs = pairs(&uri)?;
    let format = Format::take(&mut pairs, &headers)?;
    let question = Question::parse(pairs).map_err(ApiError::from)?;
    let insight = insight_of(&api, &id)?;
    let asked = Asked { api: &api, uri: &uri, headers: &headers };
    asked
        .answer(&question.request, false, async |evidence| {
            let page = activities::page(&api, insight, &question, evidence).await.map_err(Problem::from)?;
            let next = page.next.clone().map(|cursor| next_page(insight, &question, format, cursor));
            let mut response = match format {
                Format::Json => Json(page).into_response(),
                Format::Csv => Spreadsheet::activities(&evidence.logic, &page).response().map_err(ApiError::from)?,
            };
            link_next(&mut response, next);
            Ok(response)
        })
        .await
}

fn next_page(insight: &Insight, question: &Question, format: Format, cursor: String) -> String {
    let mut further = question.parameters();
    further.extend((format == Format::Csv).then(|| ("format", "csv".to_owned())));
    further.push(("cursor", cursor));
    format!("/v1/insights/{}/activities{}{}", insight.id, question.request.query(), parameters(&further))
}

/// Says where the next page is.
fn link_next(response: &mut Response, next: Option<String>) {
    let link = next.and_then(|next| HeaderValue::from_str(&format!("<{next}>; rel=\"next\"")).ok());
    response.headers_mut().extend(link.map(|link| (header::LINK, link)));
}

/// Two logics over the same days: what each says, and how much of the difference is the rule and how much the data. With
/// an insight also the activities that one values otherwise than the other, page by page.
#[utoipa::path(
    get,
    path = "/v1/compare",
    params(
        ComparisonParameters,
        ("with" = Option<String>, Query, description = "the new logic; the program's own without it"),
        ("insight" = Option<String>, Query, description = "lists the activities that flipped in this insight", example = "waste"),
        ("side" = inline(Option<Side>), Query, description = "which of its two numbers; only with insight"),
        ("limit" = Option<u16>, Query, description = "how many activities at most", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "where the page before ended; only with insight")
    ),
    responses(
        (status = 200, body = Comparison),
        (status = 304, description = "It is still what If-None-Match names"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "Nobody goes by this id, or there is no such insight"),
        (status = 410, body = ProblemDocument, content_type = "application/problem+json", description = "The days changed since the cursor was given")
    )
)]
async fn get_comparison(Counted(api): Counted, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let question = compare::Question::parse(pairs(&uri)?).map_err(ApiError::from)?;
    let ground = compare::Ground::find(&api, &question).await?;
    let tag = Tag::of(&api, &uri, &headers, &ground.identity());
    if let Some(unchanged) = tag.unchanged(&headers) {
        return Ok(unchanged);
    }
    let comparison = compare::of_ground(&api, &question, ground).await?;
    let next = comparison.flips.as_ref().and_then(|flips| flips.next.clone()).map(|cursor| {
        let mut further = question.parameters();
        further.push(("cursor", cursor));
        format!("/v1/compare{}{}", question.request.query(), parameters(&further))
    });
    let mut response = Json(comparison).into_response();
    link_next(&mut response, next);
    tag.name(&mut response);
    Ok(response)
}

/// Where a figure comes from: of each day the object in the lake, the run that captured it and the annotations behind it.
#[utoipa::path(
    get,
    path = "/v1/lineage",
    params(
        SelectionParameters,
        ("insight" = String, Query, description = "whose figure, such as waste", example = "waste"),
        ("limit" = Option<u16>, Query, description = "how many days at most", minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "where the page before ended")
    ),
    responses(
        (status = 200, body = Lineage),
        (status = 304, description = "It is still what If-None-Match names"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "Nobody goes by this id, or there is no such insight"),
        (status = 410, body = ProblemDocument, content_type = "application/problem+json", description = "The days changed since the cursor was given")
    )
)]
async fn get_lineage(Counted(api): Counted, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let question = lineage::Question::parse(pairs(&uri)?).map_err(ApiError::from)?;
    let insight = insight_of(&api, &question.insight)?;
    let asked = Asked { api: &api, uri: &uri, headers: &headers };
    asked
        .answer(&question.request, false, async |evidence| {
            let lineage = lineage::of_evidence(&api, insight, &question, evidence).await?;
            let next = lineage.next.clone().map(|cursor| {
                let mut further = question.parameters();
                further.push(("cursor", cursor));
                format!("/v1/lineage{}{}", question.request.query(), parameters(&further))
            });
            let mut response = Json(lineage).into_response();
            link_next(&mut response, next);
            Ok(response)
        })
        .await
}

/// Every logic that something was computed by here, newest first, with what each changed in the register's words.
#[utoipa::path(
    get,
    path = "/v1/logics",
    responses(
        (status = 200, body = Logics),
        (status = 304, description = "It is still what If-None-Match names")
    )
)]
async fn get_logics(Counted(api): Counted, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    without_parameters(&uri)?;
    let logics = api.listed_logics().await?;
    let tag = Tag::of(&api, &uri, &headers, &format!("{logics:?}"));
    if let Some(unchanged) = tag.unchanged(&headers) {
        return Ok(unchanged);
    }
    let mut response = Json(Logics { logics }).into_response();
    tag.name(&mut response);
    Ok(response)
}

/// Figures past their threshold as decisions, most recoverable hours first.
#[utoipa::path(
    get,
    path = "/v1/findings",
    params(
        SelectionParameters,
        ("format" = inline(Option<Format>), Query, description = "csv instead of json; the header Accept: text/csv says the same")
    ),
    responses(
        (status = 200, content((About<Findings> = "application/json"), (String = "text/csv"))),
        (status = 304, description = "It is still what If-None-Match names"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "Nobody goes by this id, or there is no such insight")
    )
)]
async fn get_findings(Counted(api): Counted, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let mut pairs = pairs(&uri)?;
    let format = Format::take(&mut pairs, &headers)?;
    let asked = Asked { api: &api, uri: &uri, headers: &headers };
    asked
        .answer(&request(&pairs)?, true, async |evidence| {
            let findings = findings(&api.register, &api.settings, evidence);
            match format {
                Format::Json => Ok(about(evidence, Findings { findings })),
                Format::Csv => {
                    let sheet = Spreadsheet::findings(&evidence.selection(), &evidence.logic, &findings);
                    Ok(sheet.response().map_err(ApiError::from)?)
                }
            }
        })
        .await
}

/// The teams of an organisation or a sprint.
#[utoipa::path(
    get,
    path = "/v1/teams",
    params(
        SelectionParameters
    ),
    responses(
        (status = 200, body = About<Teams>),
        (status = 304, description = "It is still what If-None-Match names"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "Nobody goes by this id, or there is no such insight")
    )
)]
async fn get_teams(Counted(api): Counted, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let request = request(&pairs(&uri)?)?;
    if !matches!(request.scope, Scope::Organisation | Scope::Sprint(_)) {
        let detail = "only org and sprint:ID have teams.";
        return Err(ApiError::from(InvalidParameter::new("scope", detail)).into());
    }
    let asked = Asked { api: &api, uri: &uri, headers: &headers };
    asked
        .answer(&request, true, async |evidence| {
            let teams = divisions(evidence);
            let request = evidence.selection().request();
            let teams = teams.iter().map(|team| Listed::of(team, &request, api.register.insights())).collect();
            Ok(about(evidence, Teams { teams }))
        })
        .await
}

/// The sprints that a selection has rows in.
#[utoipa::path(
    get,
    path = "/v1/sprints",
    params(
        SelectionParameters
    ),
    responses(
        (status = 200, body = About<Sprints>),
        (status = 304, description = "It is still what If-None-Match names"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "Nobody goes by this id, or there is no such insight")
    )
)]
async fn get_sprints(Counted(api): Counted, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let asked = Asked { api: &api, uri: &uri, headers: &headers };
    asked
        .answer(&request(&pairs(&uri)?)?, false, async |evidence| {
            let team = match &evidence.scope {
                Scope::Team(id) => Some(id.as_str()),
                _ => None,
            };
            let sprints = sprints(&evidence.group(), team);
            let request = evidence.selection().request();
            let sprints = sprints.iter().map(|sprint| Listed::of(sprint, &request, api.register.insights())).collect();
            Ok(about(evidence, Sprints { sprints }))
        })
        .await
}

/// The kinds of activity of a selection, most work first.
#[utoipa::path(
    get,
    path = "/v1/stereotypes",
    params(
        SelectionParameters
    ),
    responses(
        (status = 200, body = About<Stereotypes>),
        (status = 304, description = "It is still what If-None-Match names"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "Nobody goes by this id, or there is no such insight")
    )
)]
async fn get_stereotypes(Counted(api): Counted, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let asked = Asked { api: &api, uri: &uri, headers: &headers };
    asked
        .answer(&request(&pairs(&uri)?)?, false, async |evidence| {
            let (stereotypes, hidden) = kinds(&evidence.group());
            Ok(about(evidence, Stereotypes { stereotypes, hidden: (hidden > 0).then_some(hidden) }))
        })
        .await
}

/// Refuses parameters where there are none.
fn without_parameters(uri: &Uri) -> Result<(), Problem> {
    match pairs(uri)?.into_iter().next() {
        Some((parameter, _)) => {
            let detail = "it is not known here; this address takes no parameters.";
            Err(ApiError::from(InvalidParameter::new(&parameter, detail)).into())
        }
        None => Ok(()),
    }
}

/// How old the data is, and what the last run did.
#[utoipa::path(
    get,
    path = "/v1/health",
    responses(
        (status = 200, body = Health)
    )
)]
async fn get_health(Counted(api): Counted, uri: Uri) -> Result<Json<Health>, Problem> {
    without_parameters(&uri)?;
    let newest = api.newest(&api.logics(None).await?).await?;
    let health = Health::read(&api.lake, newest.as_ref(), Utc::now()).await;
    Ok(Json(health.map_err(ApiError::from)?))
}

/// How old the data is, the newest runs, and what was refused.
#[utoipa::path(
    get,
    path = "/v1/quality",
    responses(
        (status = 200, body = Quality)
    )
)]
async fn get_quality(Counted(api): Counted, uri: Uri) -> Result<Json<Quality>, Problem> {
    without_parameters(&uri)?;
    let newest = api.newest(&api.logics(None).await?).await?;
    let quality = Quality::read(&api.lake, newest.as_ref(), Utc::now()).await;
    Ok(Json(quality.map_err(ApiError::from)?))
}

/// A page, or a page that says why there is none.
async fn shown(api: &Api, uri: &Uri, page: Result<Response, Problem>) -> Response {
    match page {
        Ok(page) => page,
        Err(problem) => match elsewhere(api, uri, &problem).await {
            Some(address) => Redirect::to(&address).into_response(),
            None => problem_or_page(uri, problem),
        },
    }
}

/// The same page of the first of their teams that a member may see, or else of their own work, if they did not say whose and
/// the organisation's is hidden from them.
async fn elsewhere(api: &Api, uri: &Uri, problem: &Problem) -> Option<String> {
    let Sight::Member(member) = &api.caller.sight else { return None };
    let given = given(uri).ok()?;
    if problem.status != StatusCode::FORBIDDEN || given.iter().any(|(name, _)| name == "scope") {
        return None;
    }
    let teams = match uri.path() {
        page::COMPARISON => BTreeSet::new(),
        _ => member.teams_in(&*api.directory(None).await.ok()?),
    };
    for scope in teams.into_iter().map(Scope::Team).chain(member.person.clone().map(Scope::Person)) {
        let further: Vec<(&str, &str)> = given.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let whose = Request::default().of(scope.clone()).query();
        let mut asked = given.clone();
        asked.retain(|(name, _)| matches!(name.as_str(), "sprint" | "from" | "to" | "logic" | "as_of"));
        asked.push(("scope".to_owned(), scope.to_string()));
        if Evidence::read(api, &Request::parse(&asked).ok()?, false).await.is_ok() {
            return Some(format!("{}{whose}{}", uri.path(), parameters(&further)));
        }
    }
    None
}

/// What a page is asked for. A form sends the fields that were left blank, too.
fn given(uri: &Uri) -> Result<Vec<(String, String)>, Problem> {
    let mut given = pairs(uri)?;
    given.retain(|(_, value)| !value.is_empty());
    Ok(given)
}

/// Makes a page of a request, unless whoever asks has it already.
async fn made(
    api: &Api,
    asked: (&Uri, &HeaderMap),
    request: Request,
    with_teams: bool,
    render: impl AsyncFnOnce(Frame, &Evidence) -> Result<String, Problem>,
) -> Result<Response, Problem> {
    let basis = Basis::find(api, &request).await.map_err(Problem::from)?;
    made_from(api, asked, (request, basis, ""), with_teams, render).await
}

/// A page with a trend of `insight`.
async fn made_with_earlier(
    api: &Api,
    asked: (&Uri, &HeaderMap),
    request: Request,
    insight: &Insight,
    render: impl AsyncFnOnce(Frame, &Evidence) -> Result<String, Problem>,
) -> Result<Response, Problem> {
    let basis = async { Basis::find(api, &request).await?.with_earlier(api, insight).await };
    let basis = basis.await.map_err(Problem::from)?;
    made_from(api, asked, (request, basis, ""), true, render).await
}

/// A page on a basis that was found; `further` is what else it depends on.
async fn made_from(
    api: &Api,
    (uri, headers): (&Uri, &HeaderMap),
    (request, basis, further): (Request, Basis, &str),
    with_teams: bool,
    render: impl AsyncFnOnce(Frame, &Evidence) -> Result<String, Problem>,
) -> Result<Response, Problem> {
    let health = Health::read(&api.lake, basis.newest.as_ref(), Utc::now()).await.map_err(ApiError::from)?;
    let tag = Tag::of(api, uri, headers, &format!("{} {health:?} {further}", basis.identity()));
    if let Some(unchanged) = tag.unchanged(headers) {
        return Ok(unchanged);
    }
    let evidence = Evidence::of(api, basis, with_teams).await.map_err(Problem::from)?;
    let caller = Some(Arc::clone(&api.caller));
    let frame = Frame { caller, ..Frame::of(&evidence.logic, request, &evidence, health) };
    let mut response = Html(render(frame, &evidence).await?).into_response();
    tag.name(&mut response);
    Ok(response)
}

fn granularity(pairs: &mut Vec<(String, String)>) -> Result<Option<Granularity>, Problem> {
    let given = take(pairs, "granularity")?;
    Ok(given.map(|given| given.parse()).transpose().map_err(ApiError::from)?)
}

/// Takes a parameter out of those given.
fn take(pairs: &mut Vec<(String, String)>, parameter: &str) -> Result<Option<String>, Problem> {
    let (mut own, others): (Vec<_>, Vec<_>) = pairs.drain(..).partition(|(name, _)| name == parameter);
    *pairs = others;
    if own.len() > 1 {
        return Err(ApiError::from(InvalidParameter::new(parameter, "it is given twice; give it once.")).into());
    }
    Ok(own.pop().map(|(_, value)| value))
}

fn insight_of<'a>(api: &'a Api, id: &str) -> Result<&'a Insight, ApiError> {
    let known = api.register.insights().find(|insight| insight.id == id);
    known.ok_or_else(|| ApiError::UnknownInsight(id.to_owned()))
}

async fn show_overview(Counted(api): Counted, uri: Uri, headers: HeaderMap) -> Response {
    let page = async {
        let mut given = given(&uri)?;
        let granularity = granularity(&mut given)?;
        let render = async |frame: Frame, evidence: &Evidence| {
            Ok(page::Overview::of(&api.register, &api.settings, frame, evidence, granularity).render())
        };
        match page::leading(&api.register) {
            Some(insight) => made_with_earlier(&api, (&uri, &headers), request(&given)?, insight, render).await,
            None => made(&api, (&uri, &headers), request(&given)?, true, render).await,
        }
    };
    shown(&api, &uri, page.await).await
}

async fn show_insight(Counted(api): Counted, Path(id): Path<String>, uri: Uri, headers: HeaderMap) -> Response {
    let page = async {
        let insight = insight_of(&api, &id)?;
        let mut given = given(&uri)?;
        let granularity = granularity(&mut given)?;
        let render = async |frame: Frame, evidence: &Evidence| {
            let page = page::InsightPage::of(&api.register, &api.settings, frame, insight, evidence, granularity);
            Ok(page.render())
        };
        made_with_earlier(&api, (&uri, &headers), request(&given)?, insight, render).await
    };
    shown(&api, &uri, page.await).await
}

async fn show_activities(Counted(api): Counted, Path(id): Path<String>, uri: Uri, headers: HeaderMap) -> Response {
    let page = async {
        let insight = insight_of(&api, &id)?;
        let question = Question::parse(given(&uri)?).map_err(ApiError::from)?;
        let render = async |frame: Frame, evidence: &Evidence| {
            let rows = activities::page(&api, insight, &question, evidence).await.map_err(Problem::from)?;
            let directory = &evidence.directory;
            Ok(page::RowsPage { frame, question: &question, insight, rows, directory }.render())
        };
        made(&api, (&uri, &headers), question.request.clone(), false, render).await
    };
    shown(&api, &uri, page.await).await
}

async fn show_quality(Counted(api): Counted, uri: Uri, headers: HeaderMap) -> Response {
    let page = async {
        let render = async |frame: Frame, evidence: &Evidence| {
            let quality = Quality::read(&api.lake, evidence.newest.as_ref(), Utc::now()).await;
            let quality = quality.map_err(ApiError::from)?;
            let group = evidence.group();
            let answers = api.register.insights().map(|insight| Answer::of(&api.register, insight, &group)).collect();
            Ok(page::QualityPage { frame, quality, answers }.render())
        };
        made(&api, (&uri, &headers), request(&given(&uri)?)?, false, render).await
    };
    shown(&api, &uri, page.await).await
}

async fn show_comparison(Counted(api): Counted, uri: Uri, headers: HeaderMap) -> Response {
    let page = async {
        let question = compare::Question::parse(given(&uri)?).map_err(ApiError::from)?;
        let logics = api.listed_logics().await?;
        // Whose figures and which days is the same on every page; which logics is said here alone.
        let request = Request { logic: None, ..question.request.clone() };
        let basis = Basis::find(&api, &request).await?;
        // Until there are two there is nothing to compare, and the page says so.
        let ground = match logics.len() {
            0 | 1 if question.request.logic.is_none() && question.with.is_none() => None,
            _ => Some(compare::Ground::find(&api, &question).await?),
        };
        let further = format!("{logics:?} {:?}", ground.as_ref().map(compare::Ground::identity));
        let render = async |frame: Frame, _: &Evidence| {
            let comparison = match ground {
                Some(ground) => Some(compare::of_ground(&api, &question, ground).await?),
                None => None,
            };
            Ok(page::ComparisonPage { frame, question: &question, comparison, logics: &logics }.render())
        };
        made_from(&api, (&uri, &headers), (request, basis, &further), false, render).await
    };
    shown(&api, &uri, page.await).await
}

async fn show_lineage(Counted(api): Counted, uri: Uri, headers: HeaderMap) -> Response {
    let page = async {
        let question = lineage::Question::parse(given(&uri)?).map_err(ApiError::from)?;
        let insight = insight_of(&api, &question.insight)?;
        let render = async |frame: Frame, evidence: &Evidence| {
            let lineage = lineage::of_evidence(&api, insight, &question, evidence).await?;
            Ok(page::LineagePage { frame, question: &question, insight, lineage }.render())
        };
        made(&api, (&uri, &headers), question.request.clone(), false, render).await
    };
    shown(&api, &uri, page.await).await
}

async fn show_logics(Counted(api): Counted, uri: Uri, headers: HeaderMap) -> Response {
    let page = async {
        let request = request(&given(&uri)?)?;
        let logics = api.listed_logics().await?;
        let basis = Basis::find(&api, &request).await?;
        let further = format!("{logics:?}");
        let render = async |frame: Frame, evidence: &Evidence| {
            Ok(page::LogicsPage { frame, logics: &logics, runs: evidence.logics() }.render())
        };
        made_from(&api, (&uri, &headers), (request, basis, &further), false, render).await
    };
    shown(&api, &uri, page.await).await
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
    problem_or_page(&uri, Problem::NOT_FOUND)
}

fn pairs(uri: &Uri) -> Result<Vec<(String, String)>, ApiError> {
    let Query(pairs) = Query::try_from_uri(uri)
        .map_err(|error| InvalidParameter { parameter: "query string".to_owned(), detail: format!("{error}.") })?;
    Ok(pairs)
}

/// Refuses what would be more than a function may answer. Nothing is cut off silently.
async fn bounded(uri: Uri, request: extract::Request, next: Next) -> Response {
    let response = next.run(request).await;
    if response.body().size_hint().lower() > MOST_BYTES {
        return problem_or_page(&uri, Problem::TOO_MUCH);
    }
    response
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
        http::Method,
    };
    use lambda_http::tower::ServiceExt;
    use shared::{contribution::ContributionStore, lake::Lake};

    use super::*;
    use crate::{access::Access, sample::register, settings::Settings};

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
        let api = Api::new(lake, store, register(), Settings::default(), chrono_tz::Tz::UTC);
        router(api.admitting(Access::As(Arc::new(Caller::operator()))))
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
            (Method::GET, "/v1/insights/nothing/activities", 404, "unknown-insight", "/v1/insights"),
            (Method::GET, "/v1/insights/automatable/activities?limit=0", 400, "invalid-parameter", "`limit`"),
            (Method::GET, "/v1/insights/automatable/activities?side=both", 400, "invalid-parameter", "`side`"),
            (Method::GET, "/v1/insights/automatable/activities", 503, "storage-unavailable", "again"),
            (Method::GET, "/v1/insights/nothing", 404, "unknown-insight", "/v1/insights"),
            (Method::GET, "/v1/insights/nothing/trend", 404, "unknown-insight", "/v1/insights"),
            (Method::GET, "/v1/insights/waste/trend?granularity=hour", 400, "invalid-parameter", "`granularity`"),
            (
                Method::GET,
                "/v1/insights/waste/trend?granularity=day&granularity=day",
                400,
                "invalid-parameter",
                "twice",
            ),
            (Method::GET, "/v1/insights/waste/trend", 503, "storage-unavailable", "again"),
            (Method::GET, "/v1/insights?format=xlsx", 400, "invalid-parameter", "`format`"),
            (Method::GET, "/v1/teams?scope=team:1", 400, "invalid-parameter", "`scope`"),
            (Method::GET, "/v1/teams", 503, "storage-unavailable", "again"),
            (Method::GET, "/v1/sprints", 503, "storage-unavailable", "again"),
            (Method::GET, "/v1/stereotypes", 503, "storage-unavailable", "again"),
            (Method::GET, "/v1/quality?from=2026-01-01", 400, "invalid-parameter", "`from`"),
            (Method::GET, "/v1/quality", 503, "storage-unavailable", "again"),
            (Method::GET, "/v1/health?scope=org", 400, "invalid-parameter", "`scope`"),
            (Method::GET, "/v1/insights?logic=new", 400, "invalid-parameter", "twelve"),
            (Method::GET, "/v1/compare?with=old", 400, "invalid-parameter", "`with`"),
            (Method::GET, "/v1/compare", 503, "storage-unavailable", "again"),
            (Method::GET, "/v1/lineage", 400, "invalid-parameter", "`insight`"),
            (Method::GET, "/v1/lineage?insight=nothing", 404, "unknown-insight", "/v1/insights"),
            (Method::GET, "/v1/lineage?insight=automatable", 503, "storage-unavailable", "again"),
            (Method::GET, "/v1/logics", 503, "storage-unavailable", "again"),
            (Method::GET, "/v1/logics?scope=org", 400, "invalid-parameter", "`scope`"),
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
    async fn the_description_says_what_there_is() {
        let (status, _, body) = ask(Method::GET, "/openapi.json").await;
        assert_eq!(status, StatusCode::OK);
        let description: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(description["openapi"], "3.1.0");
        let paths: Vec<&String> = description["paths"].as_object().unwrap().keys().collect();
        assert_eq!(paths.len(), 13);
        for path in paths {
            // Where there is no storage, whatever there is says so.
            let (status, _, body) =
                ask(Method::GET, &path.replace("{id}", "waste").replace("lineage", "lineage?insight=waste")).await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {body}");
        }
    }

    #[test]
    fn a_spreadsheet_is_given_to_whoever_asks_for_one() {
        let accepted = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            Format::accepted(&headers)
        };
        for (accept, format) in [
            ("text/csv", Format::Csv),
            ("application/json;q=0.5, Text/CSV; header=present", Format::Csv),
            ("text/csv;q=0, */*", Format::Json),
            ("text/html,*/*;q=0.8", Format::Json),
        ] {
            assert_eq!(accepted(accept), format, "{accept}");
        }
        assert_eq!(Format::accepted(&HeaderMap::new()), Format::Json);
        let mut pairs = vec![("format".to_owned(), "json".to_owned())];
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("text/csv"))]);
        assert_eq!(Format::take(&mut pairs, &headers).unwrap(), Format::Json, "what the address says counts");
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused_whole() {
        let large = Router::new().route("/v1/large", get(async || "x".repeat(MOST_BYTES as usize + 1)));
        let large = large.layer(from_fn(bounded));
        let request = axum::http::Request::builder().uri("/v1/large").body(Body::empty()).unwrap();
        let response = large.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }

    #[tokio::test]
    async fn people_get_pages_and_every_answer_is_guarded() {
        for (method, uri, status, content) in [
            (Method::GET, "/?scope=everybody", 400, "<h1>A parameter is not understood</h1>"),
            (Method::GET, "/?from=&to=&scope=", 503, "<h1>The storage does not answer</h1>"),
            (Method::GET, "/nothing", 404, "<h1>"),
            (Method::GET, "/insights/nothing", 404, "<h1>There is no such insight</h1>"),
            (Method::GET, "/insights/waste?granularity=hour", 400, "granularity"),
            (Method::GET, "/insights/waste/activities?side=both", 400, "<h1>A parameter is not understood</h1>"),
            (Method::GET, "/quality", 503, "<h1>The storage does not answer</h1>"),
            (Method::GET, "/compare", 503, "<h1>The storage does not answer</h1>"),
            (Method::GET, "/compare?as_of=20261001T000000Z", 400, "as_of"),
            (Method::GET, "/lineage", 400, "insight"),
            (Method::GET, "/lineage?insight=nothing", 404, "<h1>There is no such insight</h1>"),
            (Method::GET, "/lineage?insight=waste", 503, "<h1>The storage does not answer</h1>"),
            (Method::GET, "/logics", 503, "<h1>The storage does not answer</h1>"),
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
