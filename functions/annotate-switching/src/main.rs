//! The Lambda function `annotate-switching`.

use annotate_switching::Switching;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::annotator::serve(|settings| Ok(Switching::new(settings))).await
}
