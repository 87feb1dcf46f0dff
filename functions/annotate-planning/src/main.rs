//! The Lambda function `annotate-planning`.

use annotate_planning::Planning;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::annotator::serve(|settings| Ok(Planning::new(settings))).await
}
