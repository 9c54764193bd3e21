//! The settings of a SQL Server destination.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use url::Url;

use super::super::sql::{Limit, ProcedureName, SqlName, url_part};

/// The port of a server that says none.
const PORT: u16 = 1433;

/// Where and how the neutral tables are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlServerOptions {
    /// Server, database and login.
    pub server: SqlServerUrl,
    /// How the connection is protected.
    pub protection: Protection,
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

/// How the connection is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protection {
    /// TLS; certificate and host name are verified by the system's authorities, and by those of the
    /// file where one is named.
    Verified {
        /// The site's authority.
        ca_file: Option<PathBuf>,
    },
    /// TLS towards whoever answers: it keeps listeners out, not somebody in between.
    TrustingAnyone,
    /// Plain text.
    None,
}

impl SqlServerOptions {
    /// The defaults, for this server.
    pub fn new(server: SqlServerUrl) -> Self {
        Self {
            server,
            protection: Protection::Verified { ca_file: None },
            schema: SqlName::known("dbo"),
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
        let table = format!("[{}].{}", self.schema, self.table_prefix);
        template
            .replace("{t}", &table)
            .replace("{p}", self.table_prefix.as_str())
    }
}

/// `sqlserver://user@host:port/database`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlServerUrl {
    /// A name or address.
    pub host: String,
    /// Where it listens.
    pub port: u16,
    /// The login, one of SQL Server's own.
    pub user: String,
    /// Into which database.
    pub database: String,
}

impl fmt::Display for SqlServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.host, self.port, self.database)
    }
}

impl FromStr for SqlServerUrl {
    type Err = String;

    /// Reads a URL. The error follows "the URL …" and never holds what could be a password.
    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
        if !matches!(url.scheme(), "sqlserver" | "mssql") {
            return Err("does not begin with sqlserver://".to_owned());
        }
        if url.password().is_some() {
            return Err(
                "holds a password: write it into a file and name that in password_file".to_owned(),
            );
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(
                "has parameters: what they say elsewhere is said by keys here, such as `encrypt`"
                    .to_owned(),
            );
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or("names no host")?.trim_matches(['[', ']']);
        if host.contains(['%', '\\']) {
            return Err("names an instance: name the port that it listens at instead".to_owned());
        }
        Ok(Self {
            host: host.to_owned(),
            port: url.port().unwrap_or(PORT),
            user: url_part(url.username(), "user (sqlserver://user@host/database)")?,
            database: url_part(url.path().trim_start_matches('/'), "database")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_server_login_and_database() {
        let url: SqlServerUrl = "sqlserver://wfm@db.example.com/wfm".parse().expect("right");
        assert_eq!(url.to_string(), "db.example.com:1433/wfm");
        assert_eq!(url.user, "wfm");
        let url: SqlServerUrl = "mssql://a%40b@[::1]:6000/W%20F".parse().expect("right");
        assert_eq!((url.host.as_str(), url.port), ("::1", 6000));
        assert_eq!((url.user.as_str(), url.database.as_str()), ("a@b", "W F"));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_password() {
        let check = |text: &str, expected: &str| {
            let error = text.parse::<SqlServerUrl>().expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        };
        check("sqlserver://wfm:hunter2@db/wfm", "password_file");
        check("postgres://wfm@db/wfm", "sqlserver://");
        check("sqlserver://db/wfm", "user");
        check("sqlserver://wfm@db", "database");
        check("sqlserver://wfm@db/wfm?encrypt=false", "keys here");
        check("sqlserver://wfm@db%5Cinstance/wfm", "instance");
        check("sqlserver://wfm@/wfm", "host");
    }

    #[test]
    fn names_are_quoted_where_they_may_be_words_of_the_language() {
        let mut options = SqlServerOptions::new("sqlserver://wfm@db/wfm".parse().expect("a URL"));
        options.schema = SqlName::new("user").expect("a name");
        assert_eq!(
            options.fill("SELECT 1 FROM {t}agent -- {p}"),
            "SELECT 1 FROM [user].wfm_agent -- wfm_"
        );
    }
}
