//! Logs: one JSON object per line on stderr, an error with its whole chain of causes, never a value of a row.

use std::{
    error::Error,
    future::Future,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use tracing_subscriber::EnvFilter;

/// Starts JSON logging for a function. `RUST_LOG` sets the level; the default is `info`.
pub fn init() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // A second call keeps the first subscriber, which is what a process that hosts several functions wants.
    let _ = tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

/// Runs a function, from reading its environment on. What keeps it from starting goes to the log like any other error, with
/// all that it says about what to do.
pub async fn run<E: Into<Box<dyn Error + Send + Sync>>>(function: impl Future<Output = Result<(), E>>) -> ExitCode {
    init();
    let Err(error) = function.await else { return ExitCode::SUCCESS };
    tracing::error!(error = chain(&*error.into()), "the function cannot run");
    ExitCode::FAILURE
}

/// Bytes that went between a function and its lake. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    read: Arc<AtomicU64>,
    written: Arc<AtomicU64>,
}

impl Traffic {
    /// Counts bytes that were read.
    pub fn read(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that were written.
    pub fn written(&self, bytes: u64) {
        self.written.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// What one invocation of a function did. [`Summary::log`] says it in one line, the same fields for every function, so
/// that one query of the logs answers for all of them. Counts only: nothing of a row is in it.
#[derive(Debug)]
pub struct Summary {
    function: String,
    started: Instant,
    /// Bytes read from and written to the lake.
    pub traffic: Traffic,
    /// Messages, ticks or requests that it was given.
    pub events: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Rows read.
    pub rows_in: u64,
    /// Rows written; for `aggregate`, contributions.
    pub rows_out: u64,
    /// Rows put in quarantine.
    pub rows_quarantined: u64,
}

impl Summary {
    /// The summary of an invocation of `function` that begins now.
    pub fn start(function: impl Into<String>) -> Self {
        Self {
            function: function.into(),
            started: Instant::now(),
            traffic: Traffic::default(),
            events: 0,
            failed: 0,
            rows_in: 0,
            rows_out: 0,
            rows_quarantined: 0,
        }
    }

    /// Writes the line. `logic` names what the function computes by: the fingerprint of the register, an annotator's
    /// effective version, or the mapping.
    pub fn log(self, logic: &dyn std::fmt::Display) {
        tracing::info!(
            function = self.function,
            events = self.events,
            failed = self.failed,
            rows_in = self.rows_in,
            rows_out = self.rows_out,
            rows_quarantined = self.rows_quarantined,
            bytes_in = self.traffic.read.load(Ordering::Relaxed),
            bytes_out = self.traffic.written.load(Ordering::Relaxed),
            milliseconds = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            logic = %logic,
            "summary"
        );
    }
}

/// An error and its causes, outermost first, joined with `: `.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        // Some errors already print their cause; once is enough.
        if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}

/// Why a request to AWS failed, in one line: the service's code and words, and by which id its support finds the request; or
/// why no answer came.
pub fn said<E, R>(error: &SdkError<E, R>) -> String
where
    E: Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug + 'static,
{
    let Some(code) = error.code() else { return chain(error) };
    let message = error.message().map(|message| format!(": {message}")).unwrap_or_default();
    let request = error.meta().extra("aws_request_id").map(|id| format!(" (request {id})")).unwrap_or_default();
    format!("{code}{message}{request}")
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::Mutex,
    };

    use super::*;

    #[test]
    fn what_aws_says_is_said_once_with_the_id_of_the_request() {
        use aws_sdk_s3::error::ErrorMetadata;
        let refused = |metadata: ErrorMetadata| {
            let error = aws_sdk_s3::operation::get_object::GetObjectError::generic(metadata);
            said(&SdkError::service_error(error, ()))
        };
        let metadata = || ErrorMetadata::builder().code("AccessDenied").message("not yours");
        assert_eq!(refused(metadata().build()), "AccessDenied: not yours");
        assert_eq!(
            refused(metadata().custom("aws_request_id", "8R2").build()),
            "AccessDenied: not yours (request 8R2)"
        );
        let silent: SdkError<aws_sdk_s3::operation::get_object::GetObjectError> =
            SdkError::timeout_error(io::Error::other("after 3 s"));
        assert_eq!(said(&silent), "request has timed out: after 3 s");
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_invocation_is_summarised_in_one_line_with_the_same_fields_for_every_function() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let mut summary = Summary::start("annotate-scope");
            summary.traffic.clone().read(7);
            (summary.events, summary.failed, summary.rows_in) = (3, 1, 20);
            summary.log(&"1-abc");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        let fields = line["fields"].as_object().unwrap();
        let names: Vec<&str> = fields.keys().map(String::as_str).collect();
        let expected = [
            ("message", "\"summary\""),
            ("function", "\"annotate-scope\""),
            ("events", "3"),
            ("failed", "1"),
            ("rows_in", "20"),
            ("rows_out", "0"),
            ("rows_quarantined", "0"),
            ("bytes_in", "7"),
            ("bytes_out", "0"),
            ("logic", "\"1-abc\""),
        ];
        for (name, value) in expected {
            assert_eq!(fields[name].to_string(), value, "{name}");
        }
        assert_eq!(names.len(), expected.len() + 1, "besides those, only milliseconds: {names:?}");
    }

    #[tokio::test]
    async fn what_keeps_a_function_from_starting_is_told_with_what_to_do() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let wrong = || Err::<(), _>(io::Error::other("LAKE_BUCKET is not set; template.yaml sets it"));
        let code = run(async { wrong() }).await;
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["fields"]["error"], wrong().unwrap_err().to_string());
    }
}
