//! Functions behind Lambda's Invoke API, as `cargo lambda watch` serves them.

use std::sync::Arc;

use aws_lambda_events::sqs::SqsEvent;
use bytes::Bytes;
use futures::FutureExt;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Uri};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use shared::telemetry::chain;

use crate::bus::Handler;

/// An invocation that gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// Nobody answers there.
    #[error("{function} cannot be reached at {base}; start the functions with `make watch`")]
    Unreachable {
        /// Which function.
        function: String,
        /// Where.
        base: String,
        /// What the connection said.
        source: hyper_util::client::legacy::Error,
    },
    /// The function, or whoever runs it, answered with an error.
    #[error("{function} failed: {message}")]
    Failed {
        /// Which function.
        function: String,
        /// What it said.
        message: String,
    },
}

/// A client of the Invoke API.
#[derive(Debug, Clone)]
pub struct Invoker {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
}

impl Invoker {
    /// The functions at `base`, such as `http://127.0.0.1:9000`.
    pub fn new(base: &Uri) -> Self {
        let base = base.to_string().trim_end_matches('/').to_owned();
        Self { client: Client::builder(TokioExecutor::new()).build_http(), base }
    }

    /// Invokes a function with a payload and waits for what it returns.
    pub async fn invoke<T: DeserializeOwned>(
        &self,
        function: &str,
        payload: &impl Serialize,
    ) -> Result<T, InvokeError> {
        let failed = |message: String| InvokeError::Failed { function: function.to_owned(), message };
        let body = serde_json::to_vec(payload).map_err(|error| failed(error.to_string()))?;
        let uri = format!("{}/2015-03-31/functions/{function}/invocations", self.base);
        let request = Request::post(uri).header("content-type", "application/json").body(Full::from(body));
        let request = request.map_err(|error| failed(error.to_string()))?;
        let unreachable =
            |source| InvokeError::Unreachable { function: function.to_owned(), base: self.base.clone(), source };
        let response = self.client.request(request).await.map_err(unreachable)?;
        let (status, is_error) = (response.status(), response.headers().contains_key("x-amz-function-error"));
        let body = response.into_body().collect().await.map_err(|error| failed(chain(&error)))?.to_bytes();
        // A function's error is an object with its message, whatever the status.
        let value: Value = serde_json::from_slice(&body).unwrap_or_default();
        match value.get("errorMessage").and_then(Value::as_str) {
            Some(message) => Err(failed(message.to_owned())),
            None if is_error || !status.is_success() => Err(failed(format!("it answered {status}"))),
            None => serde_json::from_value(value).map_err(|error| failed(error.to_string())),
        }
    }

    /// A handler that invokes `function` with each batch.
    pub fn handler(&self, function: &'static str) -> Handler {
        let invoker = Arc::new(self.clone());
        Arc::new(move |batch: SqsEvent| {
            let invoker = invoker.clone();
            async move { invoker.invoke(function, &batch).await.map_err(|error| chain(&error)) }.boxed()
        })
    }
}
