//! The Lambda function `annotate-focus`.

use std::process::ExitCode;

use annotate_focus::Focus;

#[tokio::main]
async fn main() -> ExitCode {
    shared::annotator::serve(|_| Focus::built_in()).await
}
