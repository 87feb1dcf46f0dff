//! The Lambda function `annotate-classify`.

use std::process::ExitCode;

use annotate_classify::Classify;

#[tokio::main]
async fn main() -> ExitCode {
    shared::annotator::serve(|_| Classify::built_in()).await
}
