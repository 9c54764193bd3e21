//! One connection, what was prepared on it, and what was learnt through it.

use std::collections::HashMap;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls, Row, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::super::sql::{ProcedureName, Stamps, Standing, Transactional, within};
use super::super::{Secret, SendError, Writer, tls};
use super::options::ServerHost;
use super::pipeline::{Params, Pipeline};
use super::{PostgresOptions, claim, error, statements};

/// A peer that is gone is noticed after this while something is under way.
const PEER_SILENCE_MAX: Duration = Duration::from_secs(30);
/// A box that vanished in a transaction must not hold the rows of its source for long.
const IDLE_IN_TRANSACTION_S: u64 = 60;

pub(super) struct Session {
    client: Client,
    place: String,
    /// By their text before the names were filled in.
    prepared: HashMap<&'static str, Statement>,
    after_apply: Option<(String, Statement)>,
    pub(super) standing: Standing,
}

/// Connects and logs in. The connection's other half runs by itself until the client is dropped.
pub(super) async fn connect(
    options: &PostgresOptions,
    password: Option<&Secret>,
) -> Result<Client, SendError> {
    let place = options.server.to_string();
    let config = client_config(options, password)?;
    let connecting = async {
        if config.get_ssl_mode() == SslMode::Disable {
            let (client, other_half) = config
                .connect(NoTls)
                .await
                .map_err(error::connecting(&place))?;
            tokio::spawn(other_half);
            return Ok(client);
        }
        let tls = MakeRustlsConnect::new(tls::client_config(options.ca_file.as_deref(), None)?);
        let (client, other_half) = config
            .connect(tls)
            .await
            .map_err(error::connecting(&place))?;
        tokio::spawn(other_half);
        Ok(client)
    };
    let client = timeout(options.connect_timeout, connecting)
        .await
        .unwrap_or_else(|_| {
            Err(SendError::unreachable(format!(
                "{place}: no connection within {} s",
                options.connect_timeout.as_secs()
            )))
        })?;
    set_up(&client, options).await?;
    Ok(client)
}

fn client_config(
    options: &PostgresOptions,
    password: Option<&Secret>,
) -> Result<Config, SendError> {
    let server = &options.server;
    let mut config = Config::new();
    match &server.host {
        ServerHost::Tcp(host) => config.host(host),
        ServerHost::Unix(folder) => config.host_path(folder),
    };
    config
        .port(server.port)
        .user(&server.user)
        .dbname(&server.database)
        .application_name("thrio-edge")
        .connect_timeout(options.connect_timeout)
        .keepalives_idle(PEER_SILENCE_MAX)
        .tcp_user_timeout(PEER_SILENCE_MAX)
        .ssl_mode(if server.tls {
            SslMode::Require
        } else {
            SslMode::Disable
        });
    if let Some(secret) = password {
        let remedy = "make it readable; it is read again with the next attempt";
        let password = secret.read().map_err(|why| SendError::held(why, remedy))?;
        config.password(password.expose_secret());
    }
    Ok(config)
}

/// What the statements rely on, whatever the server's defaults are.
async fn set_up(client: &Client, options: &PostgresOptions) -> Result<(), SendError> {
    let place = options.server.to_string();
    let settings = format!(
        "SET statement_timeout = {}; SET idle_in_transaction_session_timeout = {}; SET jit = off;",
        options.statement_timeout.as_millis(),
        IDLE_IN_TRANSACTION_S * 1_000,
    );
    let setting = async {
        client.batch_execute(&settings).await?;
        client.query_one("SHOW server_encoding", &[]).await
    };
    let row = within(options.limit(), setting)
        .await?
        .map_err(error::sql(&place))?;
    let encoding: String = row.get(0);
    if encoding == "UTF8" {
        return Ok(());
    }
    Err(SendError::held(
        format!("{place}: the database's encoding is {encoding}"),
        "names and states hold any character: use a database with the encoding UTF8",
    ))
}

impl Session {
    /// Prepares every statement at once: a table that was altered is noticed here.
    pub(super) async fn prepare(
        client: Client,
        options: &PostgresOptions,
        writer: &Writer,
    ) -> Result<Self, SendError> {
        let place = options.server.to_string();
        let texts = statements::ALL.map(|template| options.fill(template));
        let preparing = texts.iter().map(|text| client.prepare(text));
        let prepared = futures_util::future::try_join_all(preparing)
            .await
            .map_err(error::sql(&place))?;
        let prepared = statements::ALL.into_iter().zip(prepared).collect();
        let after_apply = match &options.after_apply {
            Some(procedure) => {
                let name = procedure.to_string();
                let statement = client.prepare(&call_of(procedure)).await;
                let statement = statement.map_err(error::after_apply(&place, &name))?;
                Some((name, statement))
            }
            None => None,
        };
        Ok(Self {
            client,
            place,
            prepared,
            after_apply,
            standing: Standing::new(writer),
        })
    }

    pub(super) fn writer(&self) -> &Writer {
        self.standing.writer()
    }

    pub(super) fn store_id(&self) -> String {
        self.writer().store_id.to_string()
    }

    fn statement(&self, template: &'static str) -> &Statement {
        self.prepared
            .get(template)
            .expect("statements::ALL holds every statement")
    }

    pub(super) async fn query_opt(
        &self,
        template: &'static str,
        params: Params<'_>,
    ) -> Result<Option<Row>, SendError> {
        let statement = self.statement(template);
        let row = self.client.query_opt(statement, params).await;
        row.map_err(error::sql(&self.place))
    }

    pub(super) async fn query(
        &self,
        template: &'static str,
        params: Params<'_>,
    ) -> Result<Vec<Row>, SendError> {
        let statement = self.statement(template);
        let rows = self.client.query(statement, params).await;
        rows.map_err(error::sql(&self.place))
    }

    pub(super) async fn execute(
        &self,
        template: &'static str,
        params: Params<'_>,
    ) -> Result<u64, SendError> {
        let statement = self.statement(template);
        let changed = self.client.execute(statement, params).await;
        changed.map_err(error::sql(&self.place))
    }

    /// Statements that are sent one behind the other, without waiting for the answers between.
    pub(super) fn pipeline(&self) -> Pipeline<'_> {
        Pipeline::new(&self.client, &self.prepared, &self.place)
    }

    /// Calls the site's procedure for what this transaction wrote, and for what was written since
    /// its last call.
    pub(super) async fn after_apply(&self, stamps: &Stamps) -> Result<(), SendError> {
        let Some((name, call)) = &self.after_apply else {
            return Ok(());
        };
        for source in stamps.keys() {
            let source = source.as_str();
            let row = self.query_opt(claim::AFTER_APPLIED, &[&source]).await?;
            let Some(row) = row else { continue };
            let (first, last): (i64, i64) = (row.get(0), row.get(1));
            self.client
                .execute(call, &[&source, &first, &last])
                .await
                .map_err(error::after_apply(&self.place, name))?;
        }
        Ok(())
    }
}

impl Transactional for Session {
    async fn begin(&mut self) -> Result<(), SendError> {
        self.standing.begun();
        let level = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
        let begun = self.client.batch_execute(level).await;
        begun.map_err(error::sql(&self.place))
    }

    async fn commit(&mut self) -> Result<(), SendError> {
        let committed = self.client.batch_execute("COMMIT").await;
        committed.map_err(error::sql(&self.place))?;
        self.standing.committed();
        Ok(())
    }

    async fn roll_back(&mut self) -> bool {
        self.standing.rolled_back();
        self.client.batch_execute("ROLLBACK").await.is_ok()
    }
}

fn call_of(procedure: &ProcedureName) -> String {
    format!(
        "CALL \"{}\".\"{}\"($1::text, $2::bigint, $3::bigint)",
        procedure.schema(),
        procedure.name()
    )
}
