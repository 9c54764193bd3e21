//! The settings of a PostgreSQL destination.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use url::Url;

use super::super::sql::{Limit, ProcedureName, SqlName, url_part};

/// The port of a server that says none.
const PORT: u16 = 5432;

/// Where and how the neutral tables are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresOptions {
    /// Server, database and user.
    pub server: ServerUrl,
    /// The site's authority; the system's where none is named.
    pub ca_file: Option<PathBuf>,
    /// The schema of the tables; made where `manage_schema` allows it.
    pub schema: SqlName,
    /// What the tables' names begin with.
    pub table_prefix: SqlName,
    /// Tables and views are made and brought up to date; where not, a missing one holds.
    pub manage_schema: bool,
    /// Called in the rows' transaction.
    pub after_apply: Option<ProcedureName>,
    /// How long connecting may take, TLS and login included.
    pub connect_timeout: Duration,
    /// How long one statement may take.
    pub statement_timeout: Duration,
}

impl PostgresOptions {
    /// The defaults, for this server.
    pub fn new(server: ServerUrl) -> Self {
        Self {
            server,
            ca_file: None,
            schema: SqlName::known("public"),
            table_prefix: SqlName::known("wfm_"),
            manage_schema: true,
            after_apply: None,
            connect_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_mins(1),
        }
    }

    /// Whether both write the same tables, as far as their settings tell.
    pub fn is_same_place(&self, other: &Self) -> bool {
        let server = |options: &Self| {
            let server = &options.server;
            (server.host.clone(), server.port, server.database.clone())
        };
        server(self) == server(other)
            && self.schema == other.schema
            && self.table_prefix == other.table_prefix
    }

    pub(super) fn limit(&self) -> Limit<'_> {
        Limit {
            place: &self.server,
            statement_timeout: self.statement_timeout,
        }
    }

    /// A statement with its `{t}` and `{p}` filled in: a table's schema and prefix, and the prefix
    /// alone. Both are plain lower-case names.
    pub(super) fn fill(&self, template: &str) -> String {
        let table = format!("\"{}\".{}", self.schema, self.table_prefix);
        template
            .replace("{t}", &table)
            .replace("{p}", self.table_prefix.as_str())
    }
}

/// Where the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerHost {
    /// A name or address.
    Tcp(String),
    /// The folder of its Unix socket.
    Unix(PathBuf),
}

/// `postgres://user@host:port/database?sslmode=require`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    /// Where it listens.
    pub host: ServerHost,
    /// At which port.
    pub port: u16,
    /// Who logs in.
    pub user: String,
    /// Into which database.
    pub database: String,
    /// Verified TLS, or none.
    pub tls: bool,
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { port, database, .. } = self;
        match &self.host {
            ServerHost::Tcp(host) => write!(f, "{host}:{port}/{database}"),
            ServerHost::Unix(folder) => write!(f, "{}:{port}/{database}", folder.display()),
        }
    }
}

impl FromStr for ServerUrl {
    type Err = String;

    /// Reads a URL. The error follows "the URL …" and never holds what could be a password.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = with_a_host(text);
        let url = Url::parse(&text).map_err(|error| format!("is no URL: {error}"))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err("does not begin with postgres://".to_owned());
        }
        if url.password().is_some() {
            return Err(
                "holds a password: write it into a file and name that in password_file".to_owned(),
            );
        }
        let mut host = url
            .host_str()
            .filter(|host| !host.is_empty() && *host != NO_HOST)
            .map(|host| ServerHost::Tcp(host.trim_matches(['[', ']']).to_owned()));
        let mut tls = None;
        for (key, value) in url.query_pairs() {
            match key.as_ref() {
                "sslmode" => tls = Some(ssl_mode(&value)?),
                "host" if host.is_none() && value.starts_with('/') => {
                    host = Some(ServerHost::Unix(PathBuf::from(value.as_ref())));
                }
                "host" => return Err("names its host twice, or no folder as `host`".to_owned()),
                _ => return Err("has a parameter other than `sslmode` and `host`".to_owned()),
            }
        }
        let host = host.ok_or("names no host")?;
        let is_local = matches!(host, ServerHost::Unix(_));
        Ok(Self {
            host,
            port: url.port().unwrap_or(PORT),
            user: url_part(url.username(), "user (postgres://user@host/database)")?,
            database: url_part(url.path().trim_start_matches('/'), "database")?,
            tls: tls.unwrap_or(true) && !is_local,
        })
    }
}

/// Stands where a URL names a user and no host, which PostgreSQL allows and URLs do not.
const NO_HOST: &str = "unix-socket.invalid";

fn with_a_host(text: &str) -> Cow<'_, str> {
    let authority = text.split_once("://").map_or("", |(_, rest)| rest);
    match authority.split_once("@/") {
        Some((user, _)) if !user.contains('/') => {
            Cow::Owned(text.replacen("@/", &format!("@{NO_HOST}/"), 1))
        }
        _ => Cow::Borrowed(text),
    }
}

/// Every mode that encrypts also verifies the certificate and its host name.
fn ssl_mode(mode: &str) -> Result<bool, String> {
    match mode {
        "require" | "verify-ca" | "verify-full" => Ok(true),
        "disable" => Ok(false),
        "allow" | "prefer" => Err(format!(
            "has sslmode={mode}, which falls back to plain text: say `require` (which verifies \
             the certificate too) or `disable`"
        )),
        _ => Err("has an unknown sslmode: say `require` or `disable`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_server_user_and_database_and_means_verified_tls() {
        let url: ServerUrl = "postgres://wfm@db.example.com/wfm".parse().expect("right");
        assert_eq!(url.to_string(), "db.example.com:5432/wfm");
        assert_eq!(url.user, "wfm");
        assert!(url.tls);
        let url: ServerUrl = "postgresql://a%40b@[::1]:6000/d%20b?sslmode=disable"
            .parse()
            .expect("right");
        assert_eq!(url.host, ServerHost::Tcp("::1".to_owned()));
        assert_eq!((url.user.as_str(), url.database.as_str()), ("a@b", "d b"));
        assert!(!url.tls);
        let url: ServerUrl = "postgres://wfm@/wfm?host=/run/postgresql"
            .parse()
            .expect("right");
        assert_eq!(url.host, ServerHost::Unix("/run/postgresql".into()));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_password() {
        let check = |text: &str, expected: &str| {
            let error = text.parse::<ServerUrl>().expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        };
        check("postgres://wfm:hunter2@db/wfm", "password_file");
        check("mysql://wfm@db/wfm", "postgres://");
        check("postgres://db/wfm", "user");
        check("postgres://wfm@db", "database");
        check("postgres://wfm@db/wfm?sslmode=prefer", "plain text");
        check("postgres://wfm@db/wfm?sslmode=off", "unknown sslmode");
        check("postgres://wfm@db/wfm?password=hunter2", "parameter");
        check("postgres://wfm@/wfm", "host");
    }
}
