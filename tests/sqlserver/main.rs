//! The SQL Server destination: the suite that every SQL kind passes and what is SQL Server's own,
//! against the server that `THRIO_EDGE_TEST_SQLSERVER` names; and what can be told without one.
//!
//! The variable holds `sqlserver://login:password@host:port/database`, of a login that may do
//! everything in that database, which the tests fill with schemas of their own and empty again.
//! `?encrypt=false` speaks plain text, `?trust=any` takes any certificate, `?ca_file=FILE` knows one.

#[path = "../support/authority.rs"]
mod authority;
#[path = "../destination_suite/mod.rs"]
mod destination_suite;

mod bridge;
mod document;
mod own;
mod place;
mod responder;
mod schema;
mod without_server;

use std::io::Write as _;
use std::sync::LazyLock;

use place::Server;

/// The server that the tests share, where one is named.
static SERVER: LazyLock<Option<Server>> = LazyLock::new(|| {
    let server = Server::named();
    if server.is_none() {
        // Past the harness, which keeps what a passing test prints to itself.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: THRIO_EDGE_TEST_SQLSERVER names no server; the suite of the SQL Server \
             destination did not run"
        );
    }
    server
});

/// Whether there is a server; says so once where there is none.
fn is_named() -> bool {
    SERVER.is_some()
}

fn server() -> &'static Server {
    SERVER.as_ref().expect("asked for only where it is named")
}

destination_suite::suite!(place::SqlServer, if is_named());
