//! Where the source is, and what opens it. An address may hold a password, so it shows itself without credentials.

use std::{fmt, path::Path, str::FromStr};

use sqlx::{
    ConnectOptions,
    postgres::{PgConnectOptions, PgSslMode},
    sqlite::SqliteConnectOptions,
};

use crate::mapping::{Database, did_you_mean};

/// The address of a source, understood.
#[derive(Clone)]
pub enum Address {
    /// A SQLite file.
    Sqlite(SqliteConnectOptions),
    /// A PostgreSQL server.
    Postgres(Postgres),
}

/// How a PostgreSQL server is reached.
#[derive(Clone)]
pub struct Postgres {
    pub(crate) options: PgConnectOptions,
    names_ca_file: bool,
}

/// An address that intake does not understand. Says what is wrong with it without repeating it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the source address is not understood: {0}; it looks like sqlite://path/to/file.db or \
     postgres://user:password@host:5432/database"
)]
pub struct AddressError(String);

/// What an address of PostgreSQL may say after its `?`. Anything else is refused: the driver would log it, with its value.
const PARAMETERS: [&str; 11] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

impl Address {
    /// The kind of database that answers there.
    pub fn database(&self) -> Database {
        match self {
            Self::Sqlite(_) => Database::Sqlite,
            Self::Postgres(_) => Database::Postgresql,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(url: &str) -> Result<Self, AddressError> {
        let scheme = url.split_once(':').map(|(scheme, _)| scheme).unwrap_or_default();
        match scheme {
            "sqlite" => {
                let options = SqliteConnectOptions::from_str(url).map_err(|error| AddressError(error.to_string()))?;
                let options = options.read_only(true).create_if_missing(false).disable_statement_logging();
                Ok(Self::Sqlite(options))
            }
            "postgres" | "postgresql" => Ok(Self::Postgres(Postgres::parse(url)?)),
            _ if url.is_empty() => Err(AddressError("there is none".to_owned())),
            // Whatever stands there may be part of a password.
            _ if !url.contains("://") || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                Err(AddressError("it is no database that intake reads".to_owned()))
            }
            _ => Err(AddressError(format!("`{scheme}://…` is no database that intake reads"))),
        }
    }
}

/// Without user and password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(options) => write!(f, "{}", options.get_filename().display()),
            Self::Postgres(postgres) => {
                write!(f, "{}", postgres.server())?;
                postgres.options.get_database().map_or(Ok(()), |database| write!(f, "/{database}"))
            }
        }
    }
}

/// Without user and password.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl Postgres {
    fn parse(url: &str) -> Result<Self, AddressError> {
        let query = url.split_once('?').map(|(_, query)| query).unwrap_or_default();
        let query = query.split('#').next().unwrap_or_default();
        let named = |key: &str| {
            let mut keys = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
            keys.any(|given| given == key)
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let key = pair.split('=').next().unwrap_or_default();
            if !PARAMETERS.contains(&key) {
                // It is not repeated: a password with a `?` in it would end up here too.
                let (known, near) = (PARAMETERS.join(", "), did_you_mean(key, &PARAMETERS));
                let problem = format!("after `?`, which is %3F in a password, it takes {known}{near}");
                return Err(AddressError(problem));
            }
        }
        // The driver's own messages name the part of the address, and no value but that of `sslmode`.
        let options = PgConnectOptions::from_str(url).map_err(|error| {
            AddressError(format!("{error} (are `:`, `/`, `@`, `#`, `?` and `%` in user and password percent-encoded?)"))
        })?;
        let options = if named("sslmode") { options } else { options.ssl_mode(PgSslMode::VerifyFull) };
        Ok(Self { options: options.disable_statement_logging(), names_ca_file: named("sslrootcert") })
    }

    /// The server that nothing but a secret names.
    pub(crate) fn nowhere() -> Result<Self, AddressError> {
        Self::parse("postgres://")
    }

    /// The same with this user and password, and with whatever else is given.
    pub(crate) fn with(self, login: &Login) -> Self {
        let Login { username, password, host, port, dbname } = login;
        let mut options = self.options.username(username).password(password);
        if let Some(host) = host {
            options = options.host(host);
        }
        if let Some(port) = port {
            options = options.port(*port);
        }
        if let Some(database) = dbname {
            options = options.database(database);
        }
        Self { options, ..self }
    }

    /// The same, trusting the certificate authorities of a PEM file too unless it names a file itself.
    pub(crate) fn trusting(self, file: &Path) -> Self {
        if self.names_ca_file {
            return self;
        }
        Self { options: self.options.ssl_root_cert(file), names_ca_file: true }
    }

    /// Host and port, or the folder of the socket.
    pub(crate) fn server(&self) -> String {
        match self.options.get_socket() {
            Some(folder) => folder.display().to_string(),
            None => format!("{}:{}", self.options.get_host(), self.options.get_port()),
        }
    }
}

/// Who reads a PostgreSQL server, and what a secret may say of where it is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) dbname: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn postgres(url: &str) -> Postgres {
        match url.parse().unwrap() {
            Address::Postgres(postgres) => postgres,
            Address::Sqlite(_) => panic!("{url}"),
        }
    }

    #[test]
    fn tls_is_verified_unless_the_address_says_otherwise() {
        for (query, mode) in [
            ("", PgSslMode::VerifyFull),
            ("?application_name=sslmode", PgSslMode::VerifyFull),
            ("?sslrootcert=/ca.pem", PgSslMode::VerifyFull),
            ("?sslmode=disable", PgSslMode::Disable),
            ("?sslrootcert=/ca.pem&sslmode=verify-ca", PgSslMode::VerifyCa),
        ] {
            let found = postgres(&format!("postgres://u:p@db.example:5433/time{query}")).options.get_ssl_mode();
            assert_eq!(format!("{found:?}"), format!("{mode:?}"), "{query}");
        }
    }

    #[test]
    fn an_address_shows_itself_without_credentials() {
        for (url, shown) in [
            ("postgres://geheim:geh%40im@db.example:5433/time?sslmode=disable", "db.example:5433/time"),
            ("postgresql://db.example/time?user=geheim&password=geheim", "db.example:5432/time"),
            ("postgres:///time?host=/run/postgresql&user=geheim", "/run/postgresql/time"),
            ("sqlite:///tmp/a%20b.db?mode=ro", "/tmp/a b.db"),
        ] {
            let address: Address = url.parse().unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(format!("{address:?}"), format!("Address({shown})"));
        }
    }

    #[test]
    fn what_is_not_understood_is_not_repeated() {
        for (url, said) in [
            ("", "there is none"),
            ("geheim", "no database that intake reads"),
            ("geheim:geheim@db.example/time", "no database that intake reads"),
            ("mysql://geheim:geheim@db.example/time", "`mysql://…` is no database"),
            ("postgres://geheim:geheim@db.example/time?sslmod=geheim", "did you mean `sslmode`?"),
            ("postgres://geheim:geh?eim@db.example/time", "which is %3F in a password"),
            ("postgres://geheim:geh/eim@db.example/time", "percent-encoded"),
            ("postgres://geheim:geheim@db.example:port/time", "invalid port"),
            ("postgres://geheim:geheim@db.example/time?sslmode=none", "ssl_mode"),
            ("sqlite://team.db?mode=none", "mode"),
        ] {
            let error = url.parse::<Address>().unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
            assert!(error.to_string().contains("postgres://user:password@host"), "{error}");
            assert!(!format!("{error:?} {error}").contains("geheim"), "{error:?}");
        }
    }

    #[test]
    fn a_login_takes_the_place_of_what_the_address_says() {
        let login = |host: Option<&str>, port| Login {
            username: "reader".to_owned(),
            password: "p@ss:/?#%".to_owned(),
            host: host.map(str::to_owned),
            port,
            dbname: host.map(|_| "other".to_owned()),
        };
        let base = postgres("postgres://old:old@db.example:5433/time?sslmode=disable");
        let only = base.clone().with(&login(None, None));
        assert_eq!(only.options.get_username(), "reader");
        assert_eq!(Address::Postgres(only.clone()).to_string(), "db.example:5433/time");
        assert_eq!(only.options.to_url_lossy().password(), Some("p%40ss%3A%2F%3F%23%25"));
        let all = base.with(&login(Some("replica.example"), Some(5434)));
        assert_eq!(Address::Postgres(all).to_string(), "replica.example:5434/other");
    }
}
