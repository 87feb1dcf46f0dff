//! Names an answer by what it is made of, so that whoever has it already is told so before it is made again.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use shared::lake::Sha256;

use crate::Api;

/// What the answers may be kept for: asked again each time, and by nobody else.
const KEPT: HeaderValue = HeaderValue::from_static("private, no-cache");
/// What an answer depends on besides its address.
const VARIES: HeaderValue = HeaderValue::from_static("accept, accept-encoding, authorization, cookie");

/// A strong entity tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(String);

impl Tag {
    /// The tag of what `uri` and `headers` ask for, answered from `data`: whatever else the answer depends on.
    pub fn of(api: &Api, uri: &Uri, headers: &HeaderMap, data: &str) -> Self {
        let asked = |name| headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
        let identity = format!(
            "{}\n{}\n{}\n{:?}\n{uri}\n{:?}\n{:?}\n{data}",
            // What one person has is no answer to another.
            api.caller.identity(),
            env!("CODE_VERSION"),
            api.register.logic(),
            api.settings,
            asked(header::ACCEPT),
            // Compressed bytes are other bytes, and the tag is a strong one.
            asked(header::ACCEPT_ENCODING),
        );
        Self(format!("\"{}\"", Sha256::of(identity).to_string().chars().take(32).collect::<String>()))
    }

    /// What to say to whoever has it already; `None` if they do not.
    pub fn unchanged(&self, headers: &HeaderMap) -> Option<Response> {
        let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut tags = known.flat_map(|value| value.split(',')).map(str::trim);
        // A weak comparison, as RFC 9110 asks for here. Of `*` it is not known yet whether there is an answer at all, or
        // whether it may be given, so that is answered in full.
        let same = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag) == self.0;
        tags.any(same).then(|| {
            let mut response = (StatusCode::NOT_MODIFIED, Body::empty()).into_response();
            self.name(&mut response);
            response
        })
    }

    /// Gives an answer its name.
    pub fn name(&self, response: &mut Response) {
        let headers = response.headers_mut();
        headers.extend(HeaderValue::from_str(&self.0).ok().map(|tag| (header::ETAG, tag)));
        headers.insert(header::CACHE_CONTROL, KEPT);
        headers.insert(header::VARY, VARIES);
    }
}
