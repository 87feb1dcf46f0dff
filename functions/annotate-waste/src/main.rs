//! The Lambda function `annotate-waste`.

use std::process::ExitCode;

use annotate_waste::Waste;

#[tokio::main]
async fn main() -> ExitCode {
    shared::annotator::serve(|_| Ok(Waste)).await
}
