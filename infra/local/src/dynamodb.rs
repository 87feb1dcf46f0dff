//! The embedded DynamoDB: its wire protocol over dynoxide's database, for whoever has the key.
//!
//! dynoxide ships a server of its own. It answers anybody, and allows any web page to ask; what a table holds is about
//! people, so this front takes only requests that carry the stack's access key and do not come from a page.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use dynoxide::{Database, DynoxideError};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// A running table server. It stops when this is dropped; [`DynamoDb::stop`] also waits until the database is closed.
pub struct DynamoDb {
    endpoint: String,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Front {
    database: Database,
    access_key: Arc<str>,
}

impl DynamoDb {
    /// Serves the tables in `file`, which is made if it is missing, on a port of 127.0.0.1 (0 is any free one).
    ///
    /// # Errors
    /// If the file cannot be opened or the port is taken.
    pub async fn serve(file: &Path, port: u16, access_key: &str) -> anyhow::Result<Self> {
        let path = file.to_str().context("the data folder's name is not UTF-8")?;
        let database = Database::new(path);
        let database = database.with_context(|| format!("the table {path} cannot be opened"))?;
        let listener = TcpListener::bind(("127.0.0.1", port)).await;
        let listener = listener.with_context(|| format!("port {port} cannot be used for DynamoDB"))?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let front = Front { database, access_key: access_key.into() };
        let router = Router::new().route("/", post(answer)).with_state(front);
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
                tracing::error!(%error, "the embedded DynamoDB ended");
            }
        });
        Ok(Self { endpoint, stop, server })
    }

    /// The endpoint to give to an SDK.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Takes no more requests and waits until those under way are answered; idle clients are not waited for.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let _ = tokio::time::timeout(std::time::Duration::from_secs(2), self.server).await;
    }
}

async fn answer(State(front): State<Front>, headers: HeaderMap, body: Bytes) -> Response {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let credential = format!("Credential={}/", front.access_key);
    if headers.contains_key(header::ORIGIN) || !text(header::AUTHORIZATION).contains(&credential) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let operation = target.strip_prefix("DynamoDB_20120810.").unwrap_or_default().to_owned();
    // SQLite blocks.
    let done = tokio::task::spawn_blocking(move || run(&front.database, &operation, &body)).await;
    let (status, json) = match done {
        Ok(Ok(json)) => (StatusCode::OK, json),
        Ok(Err(error)) => {
            let status = StatusCode::from_u16(error.status_code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, error.to_json())
        }
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    (status, [(header::CONTENT_TYPE, "application/x-amz-json-1.0")], json).into_response()
}

/// The operations that wastewalk, and whoever looks at its table, use.
fn run(database: &Database, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
    match operation {
        "CreateTable" => call(body, |request| database.create_table(request)),
        "DescribeTable" => call(body, |request| database.describe_table(request)),
        "ListTables" => call(body, |request| database.list_tables(request)),
        "PutItem" => call(body, |request| database.put_item(request)),
        "GetItem" => call(body, |request| database.get_item(request)),
        "UpdateItem" => call(body, |request| database.update_item(request)),
        "DeleteItem" => call(body, |request| database.delete_item(request)),
        "Query" => call(body, |request| database.query(request)),
        "Scan" => call(body, |request| database.scan(request)),
        "BatchGetItem" => call(body, |request| database.batch_get_item(request)),
        "BatchWriteItem" => call(body, |request| database.batch_write_item(request)),
        _ => Err(DynoxideError::ValidationException(format!("the local stack has no operation {operation}"))),
    }
}

fn call<Request: DeserializeOwned, Answer: Serialize>(
    body: &[u8],
    operation: impl FnOnce(Request) -> dynoxide::Result<Answer>,
) -> Result<String, DynoxideError> {
    let wrong = |error: serde_json::Error| DynoxideError::ValidationException(error.to_string());
    let request = serde_json::from_slice(body).map_err(wrong)?;
    serde_json::to_string(&operation(request)?).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    async fn ask(server: &DynamoDb, headers: &str) -> String {
        let address = server.endpoint().strip_prefix("http://").unwrap();
        let mut connection = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {address}\r\nX-Amz-Target: DynamoDB_20120810.ListTables\r\n{headers}\
             Content-Length: 2\r\nConnection: close\r\n\r\n{{}}"
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        connection.read_to_string(&mut response).await.unwrap();
        response
    }

    #[tokio::test]
    async fn only_who_has_the_key_and_is_no_web_page_gets_an_answer() {
        let folder = tempfile::tempdir().unwrap();
        let server = DynamoDb::serve(&folder.path().join("t.sqlite"), 0, "key").await.unwrap();
        let signed = "Authorization: AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/dynamodb/aws4_request\r\n";
        assert!(ask(&server, signed).await.starts_with("HTTP/1.1 200 "));
        for refused in
            ["", "Authorization: AWS4-HMAC-SHA256 Credential=kei/x\r\n", &format!("{signed}Origin: null\r\n")]
        {
            assert!(ask(&server, refused).await.starts_with("HTTP/1.1 403 "), "{refused}");
        }
        server.stop().await;
    }
}
