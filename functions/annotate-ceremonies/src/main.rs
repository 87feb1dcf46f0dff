//! The Lambda function `annotate-ceremonies`.

use std::process::ExitCode;

use annotate_ceremonies::Ceremonies;

#[tokio::main]
async fn main() -> ExitCode {
    shared::annotator::serve(|_| Ok(Ceremonies)).await
}
