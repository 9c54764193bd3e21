//! One connection, its stages, and what was learnt through it.

use std::fs;

use secrecy::ExposeSecret as _;
use tiberius::{AuthMethod, Config, EncryptionLevel, Query, Row, TokenRow};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt as _};

use super::super::sql::{ProcedureName, Stamps, Standing, Transactional};
use super::super::{Secret, SendError, Writer, tls};
use super::options::Protection;
use super::stage::{self, Stage};
use super::value::{Value, int, text};
use super::{SqlServerOptions, claim, error};
use crate::domain::ids::SourceName;

pub(super) type Client = tiberius::Client<Compat<TcpStream>>;

/// What the statements rely on, whatever the server's and the login's defaults are: that a text too
/// long is an error among it, and that a site may have indexed views on our tables. Where two
/// transactions stand in each other's way, the product's goes on: this one is sent again.
const SET_UP: &str = "SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT,
  CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON;
SET NUMERIC_ROUNDABORT OFF;
SET ROWCOUNT 0;
SET NOCOUNT ON;
SET XACT_ABORT ON;
SET IMPLICIT_TRANSACTIONS OFF;
SET DEADLOCK_PRIORITY LOW;
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;";

pub(super) struct Session {
    client: Client,
    options: SqlServerOptions,
    pub(super) standing: Standing,
    /// A bulk load broke off, and the server still waits for its rest.
    is_out_of_step: bool,
    /// The last error was a key that was there already.
    pub(super) met_duplicate: bool,
}

/// Connects and logs in.
pub(super) async fn connect(
    options: &SqlServerOptions,
    password: Option<&Secret>,
) -> Result<Client, SendError> {
    let place = options.server.to_string();
    let config = client_config(options, password)?;
    let connecting = async {
        let server = &options.server;
        let stream = TcpStream::connect((server.host.as_str(), server.port))
            .await
            .map_err(|error| SendError::unreachable(format!("{place}: {error}")))?;
        // A batch is many small messages, each waited for.
        let _ = stream.set_nodelay(true);
        Box::pin(Client::connect(config, stream.compat_write()))
            .await
            .map_err(error::connecting(&place))
    };
    let mut client = timeout(options.connect_timeout, connecting)
        .await
        .unwrap_or_else(|_| {
            Err(SendError::unreachable(format!(
                "{place}: no connection within {} s",
                options.connect_timeout.as_secs()
            )))
        })?;
    // The server's answer comes before this side stops waiting for one.
    let lock_timeout = options.statement_timeout * 3 / 4;
    let set_up = format!("{SET_UP}\nSET LOCK_TIMEOUT {};", lock_timeout.as_millis());
    batch(&mut client, &place, set_up).await?;
    Ok(client)
}

fn client_config(
    options: &SqlServerOptions,
    password: Option<&Secret>,
) -> Result<Config, SendError> {
    let server = &options.server;
    let mut config = Config::new();
    config.host(&server.host);
    config.port(server.port);
    config.database(&server.database);
    config.application_name("thrio-edge");
    // Connecting is bounded as a whole by whoever calls.
    config.handshake_timeout(None);
    config.command_timeout(Some(options.statement_timeout));
    config.encryption(EncryptionLevel::Required);
    match &options.protection {
        Protection::Verified { ca_file: None } => {}
        Protection::Verified {
            ca_file: Some(file),
        } => {
            // Looked at first, for words that name the file and say what to do.
            tls::client_config(Some(file), None)?;
            let authorities = fs::read(file).map_err(|error| {
                SendError::held(format!("ca_file {}: {error}", file.display()), "see why")
            })?;
            config.trust_cert_ca_bundle(authorities);
        }
        Protection::TrustingAnyone => config.trust_cert(),
        // `Off` would encrypt the login only, and wait in vain where the server has no certificate.
        Protection::None => config.encryption(EncryptionLevel::NotSupported),
    }
    let password = match password {
        Some(secret) => {
            let remedy = "make it readable; it is read again with the next attempt";
            let password = secret.read().map_err(|why| SendError::held(why, remedy))?;
            password.expose_secret().to_owned()
        }
        None => String::new(),
    };
    config.authentication(AuthMethod::sql_server(&server.user, password));
    Ok(config)
}

/// Statements without values, whose answers say nothing.
pub(super) async fn batch(
    client: &mut Client,
    place: &str,
    statements: String,
) -> Result<(), SendError> {
    let done = async {
        let answers = client.simple_query(statements).await?;
        answers.into_results().await
    };
    done.await.map(drop).map_err(error::sql(place))
}

/// The first rows that a statement answers.
pub(super) async fn query(
    client: &mut Client,
    options: &SqlServerOptions,
    template: &str,
    values: Vec<Value<'_>>,
) -> Result<Vec<Row>, tiberius::error::Error> {
    let mut query = Query::new(options.fill(template));
    for value in values {
        query.bind(value);
    }
    query.query(client).await?.into_first_result().await
}

impl Session {
    /// Makes the stages, and looks whether the site's procedure is there.
    pub(super) async fn prepare(
        mut client: Client,
        options: &SqlServerOptions,
        writer: &Writer,
    ) -> Result<Self, SendError> {
        let place = options.server.to_string();
        // Not through sp_executesql: what is made inside it ends with it.
        batch(&mut client, &place, stage::make_all()).await?;
        let mut session = Self {
            client,
            options: options.clone(),
            standing: Standing::new(writer),
            is_out_of_step: false,
            met_duplicate: false,
        };
        if let Some(procedure) = &options.after_apply {
            session.find_procedure(procedure).await?;
        }
        Ok(session)
    }

    async fn find_procedure(&mut self, procedure: &ProcedureName) -> Result<(), SendError> {
        let name = format!("[{}].[{}]", procedure.schema(), procedure.name());
        let find = "SELECT CAST(OBJECT_ID(@P1) AS bigint) AS id";
        let rows = self.query(find, vec![text(&name)]).await?;
        let found: Option<i64> = rows.first().and_then(|row| row.get(0));
        if found.is_some() {
            return Ok(());
        }
        Err(error::in_procedure(
            &procedure.to_string(),
            "it does not exist, or the login may not EXECUTE it",
        ))
    }

    /// Box and store as statements take them.
    pub(super) fn writer_ids(&self) -> (String, String) {
        let writer = self.standing.writer();
        (writer.box_id.to_string(), writer.store_id.to_string())
    }

    /// Runs a statement; answers the first rows that it has.
    pub(super) async fn query(
        &mut self,
        template: &str,
        values: Vec<Value<'_>>,
    ) -> Result<Vec<Row>, SendError> {
        let rows = query(&mut self.client, &self.options, template, values).await;
        rows.map_err(|error| self.meant(&error))
    }

    /// Fills a stage, which is empty before.
    pub(super) async fn load<'a>(
        &mut self,
        stage: &'static Stage,
        rows: impl Iterator<Item = Vec<Value<'a>>>,
    ) -> Result<(), SendError> {
        self.is_out_of_step = true;
        let loading = async {
            let mut load = self.client.bulk_insert(stage.name).await?;
            for row in rows {
                let mut cells = TokenRow::with_capacity(row.len());
                for value in row {
                    cells.push(value);
                }
                load.send(cells).await?;
            }
            load.finalize().await
        };
        let loaded = loading.await;
        if let Err(error) = &loaded {
            // The server has answered, so it waits for nothing more.
            self.is_out_of_step = error.code().is_none();
        } else {
            self.is_out_of_step = false;
        }
        loaded.map(drop).map_err(|error| self.meant(&error))
    }

    fn meant(&mut self, error: &tiberius::error::Error) -> SendError {
        self.met_duplicate = error.code().is_some_and(error::is_duplicate);
        error::sql(&self.options.server.to_string())(error.clone())
    }

    /// Calls the site's procedure for what this transaction wrote, and for what was written since
    /// its last call.
    pub(super) async fn after_apply(&mut self, stamps: &Stamps) -> Result<(), SendError> {
        let Some(procedure) = self.options.after_apply.clone() else {
            return Ok(());
        };
        for source in stamps.keys() {
            let (first, last) = claim::after_applied(self, source).await?;
            self.call(&procedure, source, first, last).await?;
        }
        Ok(())
    }

    async fn call(
        &mut self,
        procedure: &ProcedureName,
        source: &SourceName,
        first: i64,
        last: i64,
    ) -> Result<(), SendError> {
        let call = format!(
            "EXEC [{}].[{}] @P1, @P2, @P3;",
            procedure.schema(),
            procedure.name()
        );
        let values = vec![text(source.as_str()), int(first), int(last)];
        let place = self.options.server.to_string();
        let called = query(&mut self.client, &self.options, &call, values).await;
        called
            .map(drop)
            .map_err(error::after_apply(&place, &procedure.to_string()))
    }

    async fn transaction(&mut self, statement: &str) -> Result<(), SendError> {
        let place = self.options.server.to_string();
        batch(&mut self.client, &place, statement.to_owned()).await
    }
}

impl Transactional for Session {
    async fn begin(&mut self) -> Result<(), SendError> {
        self.standing.begun();
        self.met_duplicate = false;
        self.transaction("BEGIN TRANSACTION").await
    }

    async fn commit(&mut self) -> Result<(), SendError> {
        self.transaction("COMMIT TRANSACTION").await?;
        self.standing.committed();
        Ok(())
    }

    async fn roll_back(&mut self) -> bool {
        self.standing.rolled_back();
        // With XACT_ABORT on, most errors have done it already.
        let back = "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION";
        !self.is_out_of_step && self.transaction(back).await.is_ok()
    }
}
