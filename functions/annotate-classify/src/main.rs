//! The Lambda function `annotate-classify`.

use annotate_classify::Classify;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::annotator::serve(|_| Classify::built_in()).await
}
