//! Logs: one JSON object per line on stderr, an error with its whole chain of causes, never a value of a row.

use std::error::Error;

use tracing_subscriber::EnvFilter;

/// Starts JSON logging for a function. `RUST_LOG` sets the level; the default is `info`.
pub fn init() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // A second call keeps the first subscriber, which is what a process that hosts several functions wants.
    let _ = tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).try_init();
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
