//! Failures, as people and programs read them.

use std::borrow::Cow;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use problem_details::ProblemDetails;
use serde::Serialize;
use shared::{
    contribution::{Scope, StoreError},
    lake::LakeError,
    telemetry::chain,
};

use crate::selection::InvalidParameter;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The question is malformed.
    #[error(transparent)]
    Parameter(#[from] InvalidParameter),
    /// The question is about someone whom neither the source nor any row mentions.
    #[error("there is no {0}")]
    UnknownScope(Scope),
    /// The question is about too few people for whoever asks, or would tell of too few.
    #[error("what {0} did is about too few people")]
    TooFewPeople(Scope),
    /// The question is about single rows of people whom whoever asks does not see one by one.
    #[error("what {0} did is not told row by row")]
    AnalystsOnly(Scope),
    /// The question is about an insight that there is not.
    #[error("there is no insight {0}")]
    UnknownInsight(String),
    /// The days behind a page changed before the next one was asked for.
    #[error("the days changed since the cursor was given")]
    CursorExpired,
    /// An answer could not be written as CSV.
    #[error("the answer could not be written")]
    Unwritable(#[from] csv::Error),
    /// The table did not answer.
    #[error("the contributions could not be read")]
    Store(#[from] StoreError),
    /// The lake did not answer.
    #[error("the lake could not be read")]
    Lake(#[from] LakeError),
}

/// An RFC 9457 problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// Its stable name, the last part of its type `urn:wastewalk:problem:NAME`.
    pub name: &'static str,
    /// What kind of problem it is.
    pub title: &'static str,
    /// What is wrong this time and what to do.
    pub detail: Cow<'static, str>,
}

impl Problem {
    /// There is nothing at this path.
    pub const NOT_FOUND: Self = Self {
        status: StatusCode::NOT_FOUND,
        name: "not-found",
        title: "There is nothing at this address",
        detail: Cow::Borrowed(
            "Use /v1/insights, /v1/insights/ID with /trend and /activities, /v1/findings, /v1/compare, /v1/lineage, \
             /v1/logics, /v1/teams, /v1/sprints, /v1/stereotypes, /v1/quality or /v1/health, described at /openapi.json; the pages \
             begin at /.",
        ),
    };

    /// The path exists, but not for this method.
    pub const METHOD_NOT_ALLOWED: Self = Self {
        status: StatusCode::METHOD_NOT_ALLOWED,
        name: "method-not-allowed",
        title: "This address can only be read",
        detail: Cow::Borrowed("Use GET or HEAD."),
    };

    /// Nobody is let in without saying who they are.
    pub const NOT_SIGNED_IN: Self = Self {
        status: StatusCode::UNAUTHORIZED,
        name: "not-signed-in",
        title: "You are not signed in",
        detail: Cow::Borrowed(
            "Say who you are: people sign in at /sign-in, programs send a token of the identity provider as \
             `Authorization: Bearer …`, where the deployment has one.",
        ),
    };

    /// A bearer token that is not believed.
    pub const INVALID_TOKEN: Self = Self {
        status: StatusCode::UNAUTHORIZED,
        name: "invalid-token",
        title: "The token is not taken",
        detail: Cow::Borrowed(
            "It has expired, or it is not signed by the identity provider of this deployment for its audience. Ask the \
             provider for a new one; the log says what was wrong.",
        ),
    };

    /// Somebody whom the provider knows, and we do not.
    pub const NO_ROLE: Self = Self {
        status: StatusCode::FORBIDDEN,
        name: "no-role",
        title: "You have no role here",
        detail: Cow::Borrowed(
            "You are who you say you are, but nobody has given you a role in wastewalk. Ask whoever administers your \
             identity provider for one.",
        ),
    };

    /// Signing in did not come to anything.
    pub const SIGN_IN_FAILED: Self = Self {
        status: StatusCode::UNAUTHORIZED,
        name: "sign-in-failed",
        title: "You were not signed in",
        detail: Cow::Borrowed(
            "The identity provider did not let you in, or its answer was not for this browser. Go on to try again; the \
             log says what was wrong.",
        ),
    };

    /// The provider cannot be asked.
    pub const SIGN_IN_UNAVAILABLE: Self = Self {
        status: StatusCode::SERVICE_UNAVAILABLE,
        name: "sign-in-unavailable",
        title: "The identity provider does not answer",
        detail: Cow::Borrowed("Nobody can be let in until it does. Try again in a minute; the cause is in the log."),
    };

    /// A form that did not come from a page of ours.
    pub const FOREIGN_FORM: Self = Self {
        status: StatusCode::FORBIDDEN,
        name: "foreign-form",
        title: "This did not come from a page of yours",
        detail: Cow::Borrowed("You are still signed in. Sign out by the button on a page of wastewalk."),
    };

    /// The answer is larger than a function may give.
    pub const TOO_MUCH: Self = Self {
        status: StatusCode::BAD_REQUEST,
        name: "answer-too-large",
        title: "The answer is too large",
        detail: Cow::Borrowed(
            "It has more than 4.5 MB. Ask for fewer days or a smaller scope, for one insight, or with a lower `limit`.",
        ),
    };
}

/// `urn:` addresses have no form that the crate's own type accepts, hence the extension.
#[derive(Serialize)]
struct Type {
    r#type: String,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        ProblemDetails::from_status_code(self.status)
            .with_title(self.title)
            .with_detail(self.detail)
            .with_extensions(Type { r#type: format!("urn:wastewalk:problem:{}", self.name) })
            .into_response()
    }
}

impl From<&ApiError> for Problem {
    /// Nothing about our insides leaves; the whole chain of causes is logged instead.
    fn from(error: &ApiError) -> Self {
        match error {
            ApiError::Parameter(invalid) => Self {
                status: StatusCode::BAD_REQUEST,
                name: "invalid-parameter",
                title: "A parameter is not understood",
                detail: Cow::Owned(invalid.to_string()),
            },
            ApiError::UnknownScope(scope) => Self {
                status: StatusCode::NOT_FOUND,
                name: "unknown-scope",
                title: "Nobody goes by this id",
                detail: Cow::Owned(format!(
                    "the source has no {scope} and there are no rows of it in the range; check the id, or choose a range \
                     in which it has rows."
                )),
            },
            ApiError::TooFewPeople(scope) => Self {
                status: StatusCode::FORBIDDEN,
                name: "too-few-people",
                title: "This is about too few people",
                detail: Cow::Owned(format!(
                    "{scope} is not shown to you in these days: it is about fewer people than a group must have, or would \
                     tell of so few by comparison with what is shown. Ask about your own team, a longer range or a larger \
                     group."
                )),
            },
            ApiError::AnalystsOnly(_) => Self {
                status: StatusCode::FORBIDDEN,
                name: "analysts-only",
                title: "Two logics are compared by analysts",
                detail: Cow::Borrowed(
                    "What one logic says and another does not may be what a single person did. You may compare two logics over \
                     your own work, scope=person:ID; over that of others it takes the role of an analyst.",
                ),
            },
            ApiError::UnknownInsight(id) => Self {
                status: StatusCode::NOT_FOUND,
                name: "unknown-insight",
                title: "There is no such insight",
                detail: Cow::Owned(format!("there is no insight `{id}`; /v1/insights lists them all.")),
            },
            ApiError::CursorExpired => Self {
                status: StatusCode::GONE,
                name: "cursor-expired",
                title: "The days changed between two pages",
                detail: Cow::Borrowed(
                    "parameter `cursor`: it belongs to another question, or days were captured again since it was \
                     given. Start again without it, so that all pages add up to one figure.",
                ),
            },
            ApiError::Unwritable(_) => {
                tracing::error!(error = chain(error), "an answer could not be written");
                Self {
                    status: StatusCode::INTERNAL_SERVER_ERROR,
                    name: "unwritable",
                    title: "The answer could not be written",
                    detail: Cow::Borrowed("This is a defect of ours; the cause is in the log. Ask without `format`."),
                }
            }
            ApiError::Store(_) | ApiError::Lake(_) => {
                tracing::error!(error = chain(error), "a request could not be answered");
                Self {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    name: "storage-unavailable",
                    title: "The storage does not answer",
                    detail: Cow::Borrowed("Nothing is lost. Try again in a minute; the cause is in the log."),
                }
            }
        }
    }
}
