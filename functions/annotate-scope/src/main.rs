//! The Lambda function `annotate-scope`.

use std::process::ExitCode;

use annotate_scope::Scope;

#[tokio::main]
async fn main() -> ExitCode {
    shared::annotator::serve(|_| Ok(Scope)).await
}
