//! The Lambda function `annotate-automation`.

use annotate_automation::Automation;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::annotator::serve(|_| Ok(Automation)).await
}
