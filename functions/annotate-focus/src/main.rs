//! The Lambda function `annotate-focus`.

use annotate_focus::Focus;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::annotator::serve(|_| Focus::built_in()).await
}
