//! The PostgreSQL destination against a real server: the suite that every SQL kind passes, what is
//! PostgreSQL's own, and trouble in the middle of a drain.

#[path = "../support/authority.rs"]
mod authority;
#[path = "../support/check.rs"]
mod check;
#[path = "../destination_suite/mod.rs"]
mod destination_suite;
#[path = "../support/postgres_server.rs"]
mod postgres_server;

mod bridge;
mod document;
mod drain;
mod own;
mod place;
mod schema;
mod tls;
mod trouble;

use std::sync::LazyLock;

use postgres_server::PostgresServer;

/// The server that the tests share which leave it alone.
static SERVER: LazyLock<PostgresServer> = LazyLock::new(PostgresServer::start);

destination_suite::suite!(place::Postgres);
