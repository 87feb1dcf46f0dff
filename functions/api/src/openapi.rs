//! The API's description, generated from the types and handlers that answer: `/openapi.json`.

use serde::Serialize;
use utoipa::{
    IntoParams, OpenApi, ToSchema,
    openapi::{
        Required,
        path::{Parameter, ParameterBuilder, ParameterIn},
        schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type},
    },
};

/// What is said of the API as a whole.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "wastewalk",
        description = "What a team's tracked work says about waste. Sums are whole seconds and whole counts; what cannot be \
                       measured is null, never zero. Figures, trends, activities and findings come as CSV, too.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/"))
)]
pub struct Description;

/// What any question may be answered instead.
const REFUSALS: [(&str, &str); 4] = [
    ("400", "A parameter is not understood, or the answer would be too large"),
    ("401", "Nobody is signed in, or the token is not taken"),
    ("403", "It is about too few people for whoever asks, or they have no role"),
    ("503", "The storage does not answer"),
];

/// Says of every address that it wants to know who asks, and how it refuses.
pub fn say_what_all_share(description: &mut utoipa::openapi::OpenApi) {
    use utoipa::openapi::{
        Components, ContentBuilder, Ref, ResponseBuilder,
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    };
    let refusal = |text: &str| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ProblemDocument"))).build();
        ResponseBuilder::new().description(text).content("application/problem+json", content).build()
    };
    for path in description.paths.paths.values_mut() {
        if let Some(operation) = &mut path.get {
            let responses = &mut operation.responses.responses;
            for (status, text) in REFUSALS {
                responses.insert(status.to_owned(), refusal(text).into());
            }
        }
    }
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = description.components.get_or_insert_with(Components::new);
    components.add_security_scheme("bearer", bearer);
    // A deployment that is closed by the gateway, and the local stack, ask for no token.
    description.security =
        Some(vec![SecurityRequirement::default(), SecurityRequirement::new("bearer", Vec::<String>::new())]);
}

/// Rows and their durations: [`shared::contribution::Extent`].
#[derive(Debug, Serialize, ToSchema)]
pub struct Extent {
    /// How many rows.
    pub rows: i64,
    /// Their durations, added up.
    pub seconds: i64,
}

/// What is counted above and below the line: [`shared::annotator::declaration::Units`].
#[derive(Debug, Serialize, ToSchema)]
pub struct Units {
    /// Of the numerator, in the plural.
    pub numerator: String,
    /// Of the denominator, in the plural.
    pub denominator: String,
    /// How the ratio is read after its number, where it is no share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reads: Option<String>,
}

/// An RFC 9457 problem.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemDocument {
    /// `urn:wastewalk:problem:` and the stable name of the problem.
    pub r#type: String,
    /// What kind of problem it is.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong this time and what to do.
    pub detail: String,
}

/// `scope`, `sprint`, `from`, `to`, `logic` and `as_of`.
#[derive(Debug)]
pub struct SelectionParameters;

/// Those of a comparison: `logic` is the old one, and there is neither `as_of` nor `sprint`.
#[derive(Debug)]
pub struct ComparisonParameters;

impl IntoParams for ComparisonParameters {
    fn into_params(place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut parameters = SelectionParameters::into_params(place);
        parameters.retain(|parameter| !["as_of", "sprint"].contains(&&*parameter.name));
        let logic = parameters.iter_mut().filter(|parameter| parameter.name == "logic");
        let old = "The old logic; without it the newest before the new one.";
        logic.for_each(|logic| logic.description = Some(old.to_owned()));
        parameters
    }
}

impl IntoParams for SelectionParameters {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let optional = |name: &str, description: &str, schema: ObjectBuilder| {
            let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query);
            parameter.required(Required::False).description(Some(description)).schema(Some(schema)).build()
        };
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let day = || text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Date)));
        let scope = text().pattern(Some("^(org|(team|sprint|person):.+)$"));
        vec![
            optional("scope", "Whose figures: org, team:ID, sprint:ID or person:ID; org without it.", scope),
            optional(
                "sprint",
                "Of a team or a person only what belongs to the sprint of this id; of the organisation, the sprint.",
                text().min_length(Some(1)).max_length(Some(512)),
            ),
            optional("from", "The first local day; 91 days before `to` without it.", day()),
            optional(
                "to",
                "The day after the last one; without it, and at most, that after the newest captured.",
                day(),
            ),
            optional("logic", "Only what this logic says; without it each day by the newest one that has it.", text()),
            optional("as_of", "As it was known then, in RFC 3339 or as 20261001T000000Z.", text()),
        ]
    }
}
