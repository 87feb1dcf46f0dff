//! Where the source is, and what opens it. An address may hold a password, so it shows itself without credentials.

use std::{fmt, path::Path, str::FromStr};

use shared::spelling::did_you_mean;
use sqlx::{
    ConnectOptions,
    mysql::{MySqlConnectOptions, MySqlSslMode},
    postgres::{PgConnectOptions, PgSslMode},
    sqlite::SqliteConnectOptions,
};

use crate::mapping::Database;

/// The address of a source, understood.
#[derive(Clone)]
pub enum Address {
    /// A SQLite file.
    Sqlite(SqliteConnectOptions),
    /// A PostgreSQL server.
    Postgres(Postgres),
    /// A MySQL or MariaDB server.
    Mysql(Mysql),
}

/// How a PostgreSQL server is reached.
#[derive(Clone)]
pub struct Postgres {
    pub(crate) options: PgConnectOptions,
    names_ca_file: bool,
}

/// How a MySQL or MariaDB server is reached.
#[derive(Clone)]
pub struct Mysql {
    pub(crate) options: MySqlConnectOptions,
    names_ca_file: bool,
}

/// An address that intake does not understand. Says what is wrong with it without repeating it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the source address is not understood: {0}; it looks like sqlite://path/to/file.db, \
     postgres://user:password@host:5432/database or mysql://user:password@host:3306/database"
)]
pub struct AddressError(String);

const ENCODED: &str = "are `:`, `/`, `@`, `#`, `?` and `%` in user and password percent-encoded?";

/// What an address of PostgreSQL may say after its `?`. Anything else is refused: the driver would log it, with its value.
const POSTGRES_PARAMETERS: [&str; 11] = [
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

/// What an address of MySQL may say after its `?`. The driver also takes a character set and a time zone, which are not the
/// address's to choose.
const MYSQL_PARAMETERS: [&str; 5] = ["ssl-mode", "ssl-ca", "ssl-cert", "ssl-key", "socket"];

impl Address {
    /// The kind of database that answers there.
    pub fn database(&self) -> Database {
        match self {
            Self::Sqlite(_) => Database::Sqlite,
            Self::Postgres(_) => Database::Postgresql,
            Self::Mysql(_) => Database::Mysql,
        }
    }

    /// The server that nothing but a secret names; `engine` is what the secret calls its kind, PostgreSQL if nothing.
    pub(crate) fn nowhere(engine: Option<&str>) -> Result<Self, AddressError> {
        match engine {
            Some("mysql" | "mariadb") => Ok(Self::Mysql(Mysql::parse("mysql://localhost")?)),
            _ => Ok(Self::Postgres(Postgres::parse("postgres://")?)),
        }
    }

    /// The same with this user and password, and with whatever else is given; nothing for a file, which has no users.
    pub(crate) fn with(self, login: &Login) -> Option<Self> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(postgres) => Some(Self::Postgres(postgres.with(login))),
            Self::Mysql(mysql) => Some(Self::Mysql(mysql.with(login))),
        }
    }

    /// The same, trusting the certificate authorities of a PEM file too unless it names a file itself.
    pub(crate) fn trusting(self, file: &Path) -> Self {
        match self {
            Self::Postgres(Postgres { options, names_ca_file: false }) => {
                Self::Postgres(Postgres { options: options.ssl_root_cert(file), names_ca_file: true })
            }
            Self::Mysql(Mysql { options, names_ca_file: false }) => {
                Self::Mysql(Mysql { options: options.ssl_ca(file), names_ca_file: true })
            }
            address => address,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(url: &str) -> Result<Self, AddressError> {
        let scheme = url.split_once(':').map(|(scheme, _)| scheme).unwrap_or_default();
        match scheme {
            // All of it would be taken for the name of a database, which is shown.
            "postgres" | "postgresql" | "mysql" | "mariadb" if !url[scheme.len()..].starts_with("://") => {
                Err(AddressError(format!("`{scheme}:` needs two slashes: {scheme}://user@host/database")))
            }
            "sqlite" => {
                let options = SqliteConnectOptions::from_str(url).map_err(|error| AddressError(error.to_string()))?;
                let options = options.read_only(true).create_if_missing(false).disable_statement_logging();
                Ok(Self::Sqlite(options))
            }
            "postgres" | "postgresql" => Ok(Self::Postgres(Postgres::parse(url)?)),
            "mysql" | "mariadb" => Ok(Self::Mysql(Mysql::parse(url)?)),
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
        let (server, database) = match self {
            Self::Sqlite(options) => return write!(f, "{}", options.get_filename().display()),
            Self::Postgres(postgres) => (postgres.server(), postgres.options.get_database()),
            Self::Mysql(mysql) => (mysql.server(), mysql.options.get_database()),
        };
        write!(f, "{server}")?;
        database.map_or(Ok(()), |database| write!(f, "/{database}"))
    }
}

/// Without user and password.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// The names of the parameters after the `?` of an address. Refuses those that are not `known`, and an address in which the
/// user or the password may have ended early: what is behind would be taken for a host, and hosts are shown.
fn parameters<'a>(url: &'a str, known: &[&str]) -> Result<Vec<&'a str>, AddressError> {
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let path = place.split_once("://").and_then(|(_, place)| place.split_once('/')).map(|(_, path)| path);
    if url.contains('#') || path.is_some_and(|path| path.contains('@')) {
        return Err(AddressError(format!("user and password end early ({ENCODED})")));
    }
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let names: Vec<&str> = pairs.map(|pair| pair.split('=').next().unwrap_or_default()).collect();
    match names.iter().find(|name| !known.contains(name)) {
        None => Ok(names),
        // It is not repeated: a password with a `?` in it would end up here too.
        Some(name) => {
            let (all, near) = (known.join(", "), did_you_mean(name, known));
            Err(AddressError(format!("after `?`, which is %3F in a password, it takes {all}{near}")))
        }
    }
}

/// The drivers' own messages name the part of the address, and no value but that of the TLS mode.
fn not_understood(error: &sqlx::Error) -> AddressError {
    AddressError(format!("{error} ({ENCODED})"))
}

impl Postgres {
    fn parse(url: &str) -> Result<Self, AddressError> {
        let named = parameters(url, &POSTGRES_PARAMETERS)?;
        let options = PgConnectOptions::from_str(url).map_err(|error| not_understood(&error))?;
        let options = if named.contains(&"sslmode") { options } else { options.ssl_mode(PgSslMode::VerifyFull) };
        Ok(Self { options: options.disable_statement_logging(), names_ca_file: named.contains(&"sslrootcert") })
    }

    fn with(self, login: &Login) -> Self {
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

    /// Host and port, or the folder of the socket.
    pub(crate) fn server(&self) -> String {
        match self.options.get_socket() {
            Some(folder) => folder.display().to_string(),
            None => format!("{}:{}", self.options.get_host(), self.options.get_port()),
        }
    }
}

impl Mysql {
    fn parse(url: &str) -> Result<Self, AddressError> {
        let named = parameters(url, &MYSQL_PARAMETERS)?;
        let options = MySqlConnectOptions::from_str(url).map_err(|error| not_understood(&error))?;
        let says_mode = named.contains(&"ssl-mode");
        let options = if says_mode { options } else { options.ssl_mode(MySqlSslMode::VerifyIdentity) };
        Ok(Self { options: options.disable_statement_logging(), names_ca_file: named.contains(&"ssl-ca") })
    }

    fn with(self, login: &Login) -> Self {
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

    /// Host and port, or the socket.
    pub(crate) fn server(&self) -> String {
        match self.options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", self.options.get_host(), self.options.get_port()),
        }
    }
}

/// Who reads a server, and what a secret may say of where it is.
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
            _ => panic!("{url}"),
        }
    }

    fn mysql(url: &str) -> Mysql {
        match url.parse().unwrap() {
            Address::Mysql(mysql) => mysql,
            _ => panic!("{url}"),
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
        for (query, mode) in [
            ("", MySqlSslMode::VerifyIdentity),
            ("?ssl-ca=/ssl-mode.pem", MySqlSslMode::VerifyIdentity),
            ("?ssl-mode=DISABLED", MySqlSslMode::Disabled),
            ("?ssl-ca=/ca.pem&ssl-mode=verify_ca", MySqlSslMode::VerifyCa),
        ] {
            for scheme in ["mysql", "mariadb"] {
                let found = mysql(&format!("{scheme}://u:p@db.example:3307/time{query}")).options.get_ssl_mode();
                assert_eq!(format!("{found:?}"), format!("{mode:?}"), "{query}");
            }
        }
    }

    #[test]
    fn an_address_shows_itself_without_credentials() {
        for (url, shown) in [
            ("postgres://geheim:geh%40im@db.example:5433/time?sslmode=disable", "db.example:5433/time"),
            ("postgresql://db.example/time?user=geheim&password=geheim", "db.example:5432/time"),
            ("postgres:///time?host=/run/postgresql&user=geheim", "/run/postgresql/time"),
            ("mysql://geheim:geh%40im@db.example:3307/time?ssl-mode=DISABLED", "db.example:3307/time"),
            ("mariadb://geheim:geheim@db.example", "db.example:3306"),
            ("mysql://geheim@localhost/time?socket=/run/mysqld/mysqld.sock", "/run/mysqld/mysqld.sock/time"),
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
            ("oracle://geheim:geheim@db.example/time", "`oracle://…` is no database"),
            ("postgres://geheim:geheim@db.example/time?sslmod=geheim", "did you mean `sslmode`?"),
            ("postgres://geheim:geh?eim@db.example/time", "which is %3F in a password"),
            ("postgres://geheim:geh/eim@db.example/time", "percent-encoded"),
            ("postgres:/geheim:geheim@db.example/time", "needs two slashes"),
            ("postgresql:geheim:geheim@db.example/time?sslmode=disable", "needs two slashes"),
            ("mysql:/geheim:geheim@db.example/time", "needs two slashes"),
            ("postgres://geheim:4711/x@db.example/time", "end early"),
            ("postgres://geheim:4711#x@db.example/time", "end early"),
            ("postgres://geheim:geh@heim#77@db.example/time", "end early"),
            ("mysql://geheim:4711/x@db.example/time", "end early"),
            ("postgres://geheim:geheim@db.example:port/time", "invalid port"),
            ("postgres://geheim:geheim@db.example/time?sslmode=none", "ssl_mode"),
            ("mysql://geheim:geheim@db.example/time?sslmode=geheim", "did you mean `ssl-mode`?"),
            ("mysql://geheim:geheim@db.example/time?timezone=geheim", "it takes ssl-mode, ssl-ca"),
            ("mysql://geheim:geh?eim@db.example/time", "which is %3F in a password"),
            ("mysql://geheim:geh/eim@db.example/time", "percent-encoded"),
            ("mariadb://geheim:geheim@db.example/time?ssl-mode=none", "ssl_mode"),
            ("sqlite://team.db?mode=none", "mode"),
        ] {
            let error = url.parse::<Address>().unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
            assert!(error.to_string().contains("postgres://user:password@host"), "{error}");
            assert!(error.to_string().contains("mysql://user:password@host"), "{error}");
            assert!(!format!("{error:?} {error}").contains("geheim"), "{error:?}");
        }
    }

    #[test]
    fn a_login_takes_the_place_of_what_the_address_says() {
        for (scheme, port) in [("postgres", 5_433), ("mysql", 3_307)] {
            let login = |host: Option<&str>, port| Login {
                username: "reader".to_owned(),
                password: "p@ss:/?#%".to_owned(),
                host: host.map(str::to_owned),
                port,
                dbname: host.map(|_| "other".to_owned()),
            };
            let base: Address = format!("{scheme}://old:old@db.example:{port}/time").parse().unwrap();
            let only = base.clone().with(&login(None, None)).unwrap();
            assert_eq!(only.to_string(), format!("db.example:{port}/time"));
            let url = match only {
                Address::Postgres(postgres) => postgres.options.to_url_lossy(),
                Address::Mysql(mysql) => mysql.options.to_url_lossy(),
                Address::Sqlite(_) => panic!("{scheme}"),
            };
            assert_eq!((url.username(), url.password()), ("reader", Some("p%40ss%3A%2F%3F%23%25")));
            let all = base.with(&login(Some("replica.example"), Some(5434))).unwrap();
            assert_eq!(all.to_string(), "replica.example:5434/other");
        }
        let file: Address = "sqlite://team.db".parse().unwrap();
        let login = Login { username: String::new(), password: String::new(), host: None, port: None, dbname: None };
        assert!(file.with(&login).is_none());
    }
}
