//! What says where the source is: its address, and a secret of AWS Secrets Manager that may be rotated between two runs.

use std::{fmt, path::PathBuf};

use aws_sdk_secretsmanager::Client;
use serde::Deserialize;
use shared::secret::{SecretError, secret};

use crate::address::{Address, AddressError, Login};

/// Where the source is and who may read it, as far as the deployment says. What it shows of itself holds no password.
#[derive(Clone, Default)]
pub struct Source {
    url: String,
    secret: Option<(Client, String)>,
    ca_file: Option<PathBuf>,
}

/// The source's address cannot be made out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    /// The address is not one that intake can read.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The secret could not be read.
    #[error("SOURCE_SECRET_ARN")]
    Unavailable(#[from] SecretError),
    /// The secret does not hold what intake looks for.
    #[error(
        "the secret {arn} {problem}; it takes JSON, either {{\"url\": \"postgres://…\"}} or {{\"username\": …, \
         \"password\": …}} with \"host\", \"port\" and \"dbname\" where SOURCE_URL does not say them"
    )]
    Content {
        /// Which secret.
        arn: String,
        /// What is wrong with it, without repeating it.
        problem: String,
    },
}

impl Source {
    /// The source at an address that says everything.
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// The same, where the secret `arn` says more: read anew whenever the address is needed.
    pub fn with_secret(self, client: Client, arn: impl Into<String>) -> Self {
        Self { secret: Some((client, arn.into())), ..self }
    }

    /// The same, trusting the certificate authorities of a PEM file too unless the address names a file itself.
    pub fn trusting(self, ca_file: impl Into<PathBuf>) -> Self {
        Self { ca_file: Some(ca_file.into()), ..self }
    }

    /// The address as it is now.
    pub async fn address(&self) -> Result<Address, LocationError> {
        let address = match &self.secret {
            None => self.url.parse()?,
            Some((client, arn)) => apply(&self.url, arn, &secret(client, arn).await?)?,
        };
        Ok(match &self.ca_file {
            Some(file) => address.trusting(file),
            None => address,
        })
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.url.parse::<Address>().map(|address| address.to_string()).ok();
        let secret = self.secret.as_ref().map(|(_, arn)| arn);
        f.debug_struct("Source")
            .field("address", &address)
            .field("secret", &secret)
            .field("ca_file", &self.ca_file)
            .finish()
    }
}

fn wrong(arn: &str, problem: impl Into<String>) -> LocationError {
    LocationError::Content { arn: arn.to_owned(), problem: problem.into() }
}

/// What a secret may hold: an address of ours, or the fields that RDS keeps up to date. Others are RDS's own business.
#[derive(Deserialize)]
struct Content {
    url: Option<String>,
    username: Option<String>,
    password: Option<String>,
    host: Option<String>,
    port: Option<Port>,
    dbname: Option<String>,
    engine: Option<String>,
}

/// RDS writes a number, the console's form for other databases text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Port {
    Number(u16),
    Text(String),
}

/// The address that `url` and the content of the secret `arn` make together; the secret has the last word.
fn apply(url: &str, arn: &str, content: &str) -> Result<Address, LocationError> {
    // What the parser says of a value repeats the value, so only the place is told.
    let content: Content = serde_json::from_str(content).map_err(|error| {
        wrong(arn, format!("is not understood at line {}, column {}", error.line(), error.column()))
    })?;
    let port = match content.port {
        None => None,
        Some(Port::Number(port)) => Some(port),
        Some(Port::Text(port)) => Some(port.parse().map_err(|_| wrong(arn, "has a `port` that is no number"))?),
    };
    let login = match (content.username, content.password) {
        (Some(username), Some(password)) => {
            Some(Login { username, password, host: content.host, port, dbname: content.dbname })
        }
        (None, None) if content.url.is_some() => None,
        (None, _) => return Err(wrong(arn, "has no `username`")),
        (_, None) => return Err(wrong(arn, "has no `password`")),
    };
    let says_host = login.as_ref().is_some_and(|login| login.host.is_some());
    let base = match content.url.as_deref().unwrap_or(url) {
        "" if says_host => Address::nowhere(content.engine.as_deref())?,
        "" => return Err(wrong(arn, "has no `host`, and SOURCE_URL says none either")),
        url => url.parse()?,
    };
    match login {
        Some(login) => {
            base.with(&login).ok_or_else(|| wrong(arn, "has a user and a password, but the source is a SQLite file"))
        }
        None => Ok(base),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "postgres://db.example:5433/time?sslmode=disable";

    fn user(address: &Address) -> &str {
        match address {
            Address::Postgres(postgres) => postgres.options.get_username(),
            Address::Mysql(mysql) => mysql.options.get_username(),
            Address::Sqlite(_) => "",
        }
    }

    #[test]
    fn a_secret_has_the_last_word() {
        for (url, secret, shown) in [
            (URL, r#"{"username": "reader", "password": "p"}"#, "db.example:5433/time"),
            (
                URL,
                r#"{"username": "reader", "password": "p", "host": "r.example", "engine": "postgres"}"#,
                "r.example:5433/time",
            ),
            (
                "",
                r#"{"username": "reader", "password": "p", "host": "r.example", "port": 5434, "dbname": "x"}"#,
                "r.example:5434/x",
            ),
            (
                "",
                r#"{"username": "reader", "password": "p", "host": "r.example", "port": "5434", "dbname": "x"}"#,
                "r.example:5434/x",
            ),
            (URL, r#"{"url": "postgresql://reader:p@r.example/x"}"#, "r.example:5432/x"),
            (URL, r#"{"url": "postgresql://r.example/x", "username": "reader", "password": "p"}"#, "r.example:5432/x"),
            ("mysql://db.example/time", r#"{"username": "reader", "password": "p"}"#, "db.example:3306/time"),
            (
                "",
                r#"{"username": "reader", "password": "p", "host": "r.example", "dbname": "x", "engine": "mariadb"}"#,
                "r.example:3306/x",
            ),
        ] {
            let address = apply(url, "arn", secret).unwrap();
            assert_eq!((address.to_string().as_str(), user(&address)), (shown, "reader"), "{secret}");
        }
    }

    #[test]
    fn a_secret_that_is_wrong_is_named_and_not_repeated() {
        for (url, secret, said) in [
            (URL, "geheim", "not understood at line 1"),
            (URL, r#"{"username": {"geheim": 1}, "password": "p"}"#, "not understood at line 1"),
            (URL, r#"{"username": "reader", "passwort": "geheim"}"#, "has no `password`"),
            (URL, r#"{"password": "geheim"}"#, "has no `username`"),
            (URL, r#"{"username": "reader", "password": "geheim", "port": "geheim"}"#, "no number"),
            ("", r#"{"username": "reader", "password": "geheim"}"#, "has no `host`"),
            ("sqlite://team.db", r#"{"username": "reader", "password": "geheim"}"#, "SQLite file"),
            (URL, r#"{"url": "geheim"}"#, "the source address is not understood"),
        ] {
            let error = apply(url, "the-arn", secret).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
            assert!(!format!("{error:?} {}", shared::telemetry::chain(&error)).contains("geheim"), "{error:?}");
        }
    }

    #[test]
    fn a_source_shows_itself_without_credentials() {
        let source = Source::at("postgres://geheim:geheim@db.example/time");
        assert!(format!("{source:?}").contains("db.example:5432/time"));
        assert!(!format!("{source:?}{:?}", Source::at("geheim")).contains("geheim"));
    }
}
