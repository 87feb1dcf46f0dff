//! The Lambda function `annotate-ceremonies`.

use annotate_ceremonies::Ceremonies;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::annotator::serve(|_| Ok(Ceremonies)).await
}
