//! Access as the environment of the function says.

use std::sync::Arc;

use aws_sdk_secretsmanager::Client;
use shared::{
    pseudonym::{PseudonymKey, ShortKey},
    secret::{SecretError, secret},
    settings::{InvalidSetting, setting},
};

use super::{
    gate::{Access, AccessError, OpenId},
    settings::AccessSettings,
    sight::Caller,
};

/// How access is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The gateway asks for a signature of the account; whoever has one sees everything.
    Iam,
    /// The function asks an identity provider.
    OpenId,
}

impl std::str::FromStr for Way {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "iam" => Ok(Self::Iam),
            "openid" => Ok(Self::OpenId),
            _ => Err(()),
        }
    }
}

/// Why access cannot be decided at start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Something is set wrongly.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The key of the pseudonyms is too short.
    #[error(transparent)]
    Pseudonyms(#[from] ShortKey),
    /// A secret could not be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

impl From<InvalidSetting> for StartError {
    fn from(error: InvalidSetting) -> Self {
        Self::Access(error.into())
    }
}

impl Access {
    /// Reads `ACCESS`, what an identity provider takes, and the secrets that are named: `OIDC_CLIENT_SECRET_ARN`,
    /// `COOKIE_KEY_ARN` and, where the lake knows people by pseudonyms, `PSEUDONYM_SECRET_ARN`. Without `ACCESS` nobody is let in.
    ///
    /// # Errors
    /// If a variable is not what it should be, or a secret cannot be read.
    pub async fn from_env() -> Result<Self, StartError> {
        let variable = |name: &str| std::env::var(name).ok();
        match setting(variable, "ACCESS", "iam or openid", |_: &Way| true)? {
            None => Ok(Self::Closed),
            Some(Way::Iam) => Ok(Self::As(Arc::new(Caller::operator()))),
            Some(Way::OpenId) => {
                let settings = AccessSettings::read(variable)?;
                let any = |_: &String| true;
                let arn = "the ARN of a secret";
                let client_secret = setting(variable, "OIDC_CLIENT_SECRET_ARN", arn, any)?;
                let cookie_key = setting(variable, "COOKIE_KEY_ARN", arn, any)?;
                let cookie_key = cookie_key.ok_or_else(|| InvalidSetting::missing("COOKIE_KEY_ARN", arn))?;
                let client = Client::new(&aws_config::load_from_env().await);
                let cookie_key = secret(&client, &cookie_key).await?;
                let client_secret = match client_secret {
                    Some(arn) => Some(secret(&client, &arn).await?),
                    None => None,
                };
                let pseudonyms = match setting(variable, "PSEUDONYM_SECRET_ARN", arn, any)? {
                    Some(arn) => Some(PseudonymKey::new(secret(&client, &arn).await?.as_bytes())?),
                    None => None,
                };
                let open_id = OpenId::new(settings, client_secret, Some(cookie_key.as_bytes()))?;
                Ok(Self::OpenId(Box::new(open_id.with_pseudonyms(pseudonyms))))
            }
        }
    }
}
