//! The Lambda function `annotate-switching`.

use std::process::ExitCode;

use annotate_switching::Switching;

#[tokio::main]
async fn main() -> ExitCode {
    shared::annotator::serve(|settings| Ok(Switching::new(settings))).await
}
