//! The Lambda function `annotate-defects`.

use annotate_defects::Defects;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::annotator::serve(|_| Ok(Defects)).await
}
