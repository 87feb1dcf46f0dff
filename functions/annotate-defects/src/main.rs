//! The Lambda function `annotate-defects`.

use std::process::ExitCode;

use annotate_defects::Defects;

#[tokio::main]
async fn main() -> ExitCode {
    shared::annotator::serve(|_| Ok(Defects)).await
}
