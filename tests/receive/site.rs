//! A receiver before a SQLite file, in this process, and what its boxes need.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use secrecy::SecretString;
use tempfile::TempDir;
use thrio_edge::clock::{Clock, SystemClock};
use thrio_edge::destination::http::{Credentials, HttpDestination, HttpOptions};
use thrio_edge::destination::sqlite::{SqliteDestination, SqliteOptions};
use thrio_edge::destination::{Destination, Secret};
use thrio_edge::domain::delivery::DeliveryOptions;
use thrio_edge::domain::ids::{BoxId, SourceName};
use thrio_edge::receive::{
    AllowedBox, BODY_TIMEOUT, CERTIFICATE_LOOK, EVENTS_PATH, MakeDestination, ReceiveOptions,
    Receiver,
};

use crate::forwarding_box::ForwardingBox;

/// The boxes of every site; `south` may write `tenant-s` only.
const BOXES: [&str; 3] = ["front-desk", "north", "south"];

pub(crate) struct Site {
    folder: TempDir,
    receiver: Option<Receiver>,
}

/// The token of a box.
pub(crate) fn token(box_id: &str) -> &'static str {
    match box_id {
        "front-desk" => "token-of-front-desk",
        "north" => "token-of-the-north",
        "south" => "token-of-the-south",
        other => panic!("no box {other}"),
    }
}

pub(crate) fn secret(text: &'static str) -> Secret {
    Secret::new(Arc::new(move || Ok(SecretString::from(text))))
}

pub(crate) fn boxes() -> Vec<AllowedBox> {
    let allowed = |id: &str| AllowedBox {
        id: BoxId::new(id).expect("an id"),
        token: secret(token(id)),
        sources: match id {
            "south" => vec![SourceName::new("tenant-s").expect("a name")],
            _ => Vec::new(),
        },
    };
    BOXES.iter().map(|id| allowed(id)).collect()
}

pub(crate) fn options() -> ReceiveOptions {
    ReceiveOptions {
        listen: "127.0.0.1:0".parse().expect("an address"),
        identity: None,
        boxes: boxes(),
        body_timeout: BODY_TIMEOUT,
        certificate_look: CERTIFICATE_LOOK,
    }
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

/// What a box sends with.
pub(crate) fn http(url: &str, token: &'static str) -> Box<dyn Destination> {
    let mut options = HttpOptions::new(url.parse().expect("a URL"));
    options.call_timeout = Duration::from_secs(20);
    let credentials = Credentials {
        token: Some(secret(token)),
        password: None,
    };
    Box::new(HttpDestination::new(options, credentials, clock()))
}

impl Site {
    pub(crate) fn start() -> Self {
        Self::start_as(|_| {})
    }

    /// With other settings.
    pub(crate) fn start_as(change: impl FnOnce(&mut ReceiveOptions)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let sqlite = SqliteOptions {
            path: folder.path().join("wfm.db"),
            busy_timeout: Duration::ZERO,
            ..SqliteOptions::default()
        };
        let make = move || -> Box<dyn Destination> {
            Box::new(SqliteDestination::new(sqlite.clone(), clock()))
        };
        let mut options = options();
        change(&mut options);
        Self::run(folder, options, Box::new(make))
    }

    /// With this behind it.
    pub(crate) fn with(folder: TempDir, make: MakeDestination) -> Self {
        Self::run(folder, options(), make)
    }

    fn run(folder: TempDir, options: ReceiveOptions, make: MakeDestination) -> Self {
        let receiver = Receiver::start(options, make, clock(), Box::new(|| {}));
        Self {
            folder,
            receiver: Some(receiver.expect("started")),
        }
    }

    pub(crate) fn url(&self) -> String {
        self.url_of(EVENTS_PATH)
    }

    pub(crate) fn url_of(&self, path: &str) -> String {
        let receiver = self.receiver.as_ref().expect("it runs");
        format!("http://{}{path}", receiver.address())
    }

    pub(crate) fn receiver(&self) -> &Receiver {
        self.receiver.as_ref().expect("it runs")
    }

    /// What a monitor hears.
    pub(crate) fn status_of(&self, path: &str) -> u16 {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .new_agent();
        let answer = agent.get(self.url_of(path)).call().expect("an answer");
        answer.status().as_u16()
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("wfm.db")
    }

    pub(crate) fn sender(&self, box_id: &str, source: &str) -> ForwardingBox {
        self.sender_as(box_id, source, token(box_id))
    }

    pub(crate) fn sender_as(
        &self,
        box_id: &str,
        source: &str,
        token: &'static str,
    ) -> ForwardingBox {
        let to = http(&self.url(), token);
        ForwardingBox::named(box_id, source, DeliveryOptions::default(), to)
    }

    fn connection(&self) -> Connection {
        Connection::open(self.database()).expect("a database")
    }

    pub(crate) fn number(&self, sql: &str, parameter: &str) -> i64 {
        self.connection()
            .query_row(sql, [parameter], |row| row.get(0))
            .expect("a number")
    }

    /// Every row of every table.
    pub(crate) fn rows(&self) -> Vec<String> {
        let connection = self.connection();
        let names = "SELECT name FROM sqlite_schema WHERE type = 'table'";
        let mut tables = connection.prepare(names).expect("prepared");
        let tables = tables.query_map([], |row| row.get::<_, String>(0));
        let mut all = Vec::new();
        for table in tables.expect("asked").map(|name| name.expect("a name")) {
            let mut query = connection
                .prepare(&format!("SELECT * FROM {table}"))
                .expect("a table");
            let columns = query.column_count();
            let mut rows = query.query([]).expect("asked");
            while let Some(row) = rows.next().expect("read") {
                let cell = |n| format!("{:?}", row.get_ref(n).expect("a cell"));
                let cells: Vec<String> = (0..columns).map(cell).collect();
                all.push(format!("{table} {}", cells.join(" ")));
            }
        }
        all
    }

    pub(crate) fn tables(&self) -> i64 {
        let sql = "SELECT COUNT(*) FROM sqlite_schema";
        self.connection()
            .query_row(sql, [], |row| row.get(0))
            .expect("a number")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(receiver) = self.receiver.take() {
            receiver.stop(Duration::from_secs(20));
        }
    }
}
