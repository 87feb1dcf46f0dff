//! The Lambda function `annotate-planning`.

use std::process::ExitCode;

use annotate_planning::Planning;

#[tokio::main]
async fn main() -> ExitCode {
    shared::annotator::serve(|settings| Ok(Planning::new(settings))).await
}
