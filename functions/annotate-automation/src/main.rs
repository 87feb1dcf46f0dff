//! The Lambda function `annotate-automation`.

use std::process::ExitCode;

use annotate_automation::Automation;

#[tokio::main]
async fn main() -> ExitCode {
    shared::annotator::serve(|_| Ok(Automation)).await
}
