//! The Lambda function `annotate-waste`.

use annotate_waste::Waste;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::annotator::serve(|_| Ok(Waste)).await
}
