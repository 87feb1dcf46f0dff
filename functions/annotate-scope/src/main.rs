//! The Lambda function `annotate-scope`.

use annotate_scope::Scope;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::annotator::serve(|_| Ok(Scope)).await
}
