//! Secrets of AWS Secrets Manager.

use aws_sdk_secretsmanager::Client;

use crate::telemetry::said;

/// A secret cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the secret {arn} cannot be read ({reason}); check that this is its ARN, and that the function may call \
     secretsmanager:GetSecretValue on it; a key of the secret's own would need kms:Decrypt as well"
)]
pub struct SecretError {
    /// Which secret.
    pub arn: String,
    /// What came back, without the secret.
    pub reason: String,
}

/// The text of the secret `arn`, as it is now and without white space around it.
///
/// # Errors
/// If AWS Secrets Manager refuses or does not answer, or the secret holds no text.
pub async fn secret(client: &Client, arn: &str) -> Result<String, SecretError> {
    let failed = |reason| SecretError { arn: arn.to_owned(), reason };
    let answer = client.get_secret_value().secret_id(arn).send().await.map_err(|error| failed(said(&error)))?;
    let text = answer.secret_string.unwrap_or_default();
    match text.trim_ascii() {
        "" => Err(failed("it holds no text".to_owned())),
        text => Ok(text.to_owned()),
    }
}
