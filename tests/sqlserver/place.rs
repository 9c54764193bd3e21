//! SQL Server in the suite: each place is a schema of its own.

use std::borrow::Cow;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use secrecy::SecretString;
use thrio_edge::clock::Clock;
use thrio_edge::destination::sqlserver::{
    Protection, SqlName, SqlServerDestination, SqlServerOptions,
};
use thrio_edge::destination::{Destination, Secret};
use tiberius::{AuthMethod, Client, ColumnData, Config, EncryptionLevel, FromSql as _, Row};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt as _};
use url::Url;

use crate::destination_suite::{Cells, Kind, Place};
use crate::server;

pub(crate) struct SqlServer;

impl Kind for SqlServer {
    fn place(&self) -> Box<dyn Place> {
        Box::new(Database::new())
    }
}

/// The server that the environment names.
pub(crate) struct Server {
    options: SqlServerOptions,
    password: String,
    schemas: AtomicU32,
    /// One for all, as a session's first statements take long on some engines.
    admin: OnceLock<Mutex<Sql>>,
}

impl Server {
    pub(crate) fn named() -> Option<Self> {
        let text = std::env::var("THRIO_EDGE_TEST_SQLSERVER").ok();
        let text = text.filter(|text| !text.is_empty())?;
        let mut url = Url::parse(&text).expect("THRIO_EDGE_TEST_SQLSERVER is a URL");
        let encoded = url.password().unwrap_or_default().to_owned();
        let password = percent_decoded(&encoded);
        let asked: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        url.set_password(None).expect("it names a host");
        url.set_query(None);
        let server = url
            .as_str()
            .parse()
            .expect("a URL as the destination takes");
        let mut options = SqlServerOptions::new(server);
        for (key, value) in asked {
            options.protection = match (key.as_str(), value.as_str()) {
                ("encrypt", "false") => Protection::None,
                ("trust", "any") => Protection::TrustingAnyone,
                ("ca_file", file) => Protection::Verified {
                    ca_file: Some(PathBuf::from(file)),
                },
                _ => panic!("THRIO_EDGE_TEST_SQLSERVER: {key}={value} is not known"),
            };
        }
        Some(Self {
            options,
            password,
            schemas: AtomicU32::new(0),
            admin: OnceLock::new(),
        })
    }

    pub(crate) fn options(&self) -> &SqlServerOptions {
        &self.options
    }

    pub(crate) fn password(&self) -> Secret {
        password(&self.password)
    }

    /// The tests' own session.
    pub(crate) fn admin(&self) -> MutexGuard<'_, Sql> {
        let admin = self.admin.get_or_init(|| Mutex::new(self.session()));
        admin.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is SQL Server itself. Engines that only speak T-SQL number some errors otherwise;
    /// what does not run there is said.
    pub(crate) fn is_genuine(&self, test: &str) -> bool {
        let version = self.admin().one("SELECT @@VERSION AS version");
        let is_genuine =
            version.starts_with("Microsoft SQL Server") && !version.contains("Babelfish");
        if !is_genuine {
            let _ = writeln!(
                std::io::stderr(),
                "skipped on an engine that is not SQL Server: {test}"
            );
        }
        is_genuine
    }

    /// Another one.
    pub(crate) fn session(&self) -> Sql {
        let server = &self.options.server;
        let mut config = Config::new();
        config.host(&server.host);
        config.port(server.port);
        config.database(&server.database);
        config.authentication(AuthMethod::sql_server(&server.user, &self.password));
        match &self.options.protection {
            Protection::None => config.encryption(EncryptionLevel::NotSupported),
            _ => config.trust_cert(),
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let client = runtime.block_on(async {
            let stream = TcpStream::connect((server.host.as_str(), server.port))
                .await
                .expect("reached");
            Box::pin(Client::connect(config, stream.compat_write()))
                .await
                .expect("logged in")
        });
        Sql { runtime, client }
    }
}

fn percent_decoded(text: &str) -> String {
    let escaped = text.replace('+', "%2B");
    url::form_urlencoded::parse(format!("x={escaped}").as_bytes())
        .next()
        .map_or_else(String::new, |(_, value)| value.into_owned())
}

/// A secret that is always this text.
pub(crate) fn password(text: &str) -> Secret {
    let text = text.to_owned();
    Secret::new(Arc::new(move || Ok(SecretString::from(text.clone()))))
}

/// A schema of its own, removed with this.
pub(crate) struct Database {
    pub(crate) options: SqlServerOptions,
}

impl Database {
    pub(crate) fn new() -> Self {
        let server = server();
        let n = server.schemas.fetch_add(1, Ordering::Relaxed);
        let mut options = server.options.clone();
        let name = format!("t{}_{n}", std::process::id());
        options.schema = SqlName::new(&name).expect("a name");
        Self { options }
    }

    pub(crate) fn open(&self, clock: Arc<dyn Clock>) -> SqlServerDestination {
        SqlServerDestination::new(self.options.clone(), Some(server().password()), clock)
    }

    /// Runs a statement with `{s}` for the schema.
    pub(crate) fn run(&self, sql: &str) {
        server().admin().run(&self.named(sql));
    }

    /// The one value of such a query.
    pub(crate) fn one(&self, sql: &str) -> String {
        server().admin().one(&self.named(sql))
    }

    fn named(&self, sql: &str) -> String {
        sql.replace("{s}", &format!("[{}]", self.options.schema))
    }
}

impl Place for Database {
    fn destination(&self, clock: Arc<dyn Clock>) -> Box<dyn Destination> {
        Box::new(self.open(clock))
    }

    fn has_tables(&self) -> bool {
        let count = format!(
            "SELECT CAST(COUNT(*) AS bigint) FROM information_schema.tables WHERE table_schema = '{}'",
            self.options.schema
        );
        server().admin().one(&count) != "0"
    }

    fn rows(&self, table: &str, condition: &str) -> Vec<Cells> {
        let query = self.named(&format!("SELECT * FROM {{s}}.{table} WHERE {condition}"));
        server().admin().rows(&query)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let mut admin = server().admin();
        let schema = &self.options.schema;
        for (kind, word) in [("VIEW", "VIEW"), ("BASE TABLE", "TABLE")] {
            let names = admin.rows(&format!(
                "SELECT table_name AS name FROM information_schema.tables
                 WHERE table_schema = '{schema}' AND table_type = '{kind}'"
            ));
            for row in names {
                let name = row["name"].as_deref().expect("a name");
                admin.run(&format!("DROP {word} [{schema}].[{name}]"));
            }
        }
        admin.run(&format!(
            "IF SCHEMA_ID(N'{schema}') IS NOT NULL EXEC (N'DROP SCHEMA [{schema}]')"
        ));
    }
}

/// A blocking session.
pub(crate) struct Sql {
    runtime: Runtime,
    client: Client<Compat<TcpStream>>,
}

impl Sql {
    /// Runs statements.
    pub(crate) fn run(&mut self, sql: &str) {
        self.try_run(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    pub(crate) fn try_run(&mut self, sql: &str) -> Result<(), tiberius::error::Error> {
        self.first_rows(sql).map(drop)
    }

    /// The rows of a query.
    pub(crate) fn rows(&mut self, sql: &str) -> Vec<Cells> {
        let rows = self
            .first_rows(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let cells = |row: &Row| {
            row.cells()
                .map(|(column, value)| (column.name().to_owned(), cell(value)))
                .collect()
        };
        rows.iter().map(cells).collect()
    }

    /// The one value of a query.
    pub(crate) fn one(&mut self, sql: &str) -> String {
        let rows = self.rows(sql);
        let value = rows.first().and_then(|row| row.values().next());
        let value = value.unwrap_or_else(|| panic!("{sql}: no row"));
        value.clone().unwrap_or_else(|| "NULL".to_owned())
    }

    fn first_rows(&mut self, sql: &str) -> Result<Vec<Row>, tiberius::error::Error> {
        let Self { runtime, client } = self;
        runtime.block_on(async { client.simple_query(sql).await?.into_first_result().await })
    }
}

fn cell(value: &ColumnData<'static>) -> Option<String> {
    match value {
        ColumnData::I64(number) => number.map(|number| number.to_string()),
        ColumnData::I32(number) => number.map(|number| number.to_string()),
        ColumnData::Bit(truth) => truth.map(|truth| u8::from(truth).to_string()),
        ColumnData::String(text) => text.as_ref().map(Cow::to_string),
        ColumnData::DateTime2(_) => {
            let moment = chrono::DateTime::<chrono::Utc>::from_sql(value).expect("a moment");
            moment.map(|moment| moment.timestamp_millis().to_string())
        }
        other => panic!("{other:?}"),
    }
}
