//! Making the tables, and bringing older ones up to date.

use std::fmt::Write as _;

use tokio_postgres::Client;

use super::super::SendError;
use super::super::sql::{Found, Migration, made};
use super::pipeline::at;
use super::{PostgresOptions, claim, error};
use crate::domain::timestamp::WallTime;

/// Number n makes version n + 1.
pub const MIGRATIONS: &[Migration] = &[Migration {
    sql: include_str!("schema_1.sql"),
    writable_from: 1,
}];

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS {t}schema (
  version bigint NOT NULL,
  applied_at timestamptz NOT NULL,
  writable_from bigint NOT NULL,
  PRIMARY KEY (version)
);
";

/// How a line begins that makes a table or a view.
const MAKES: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS ",
    "CREATE TABLE ",
    "CREATE VIEW ",
];

/// Checks the version, and makes what is missing.
pub(super) async fn prepare(
    client: &Client,
    options: &PostgresOptions,
    migrations: &[Migration],
    now: WallTime,
) -> Result<(), SendError> {
    let found = find(client, options).await?;
    if found.is_current(&options.server, migrations)? {
        return Ok(());
    }
    if !options.manage_schema {
        return Err(missing(found, options, migrations));
    }
    let made = migrate(client, options, migrations, now).await;
    if made.is_err() {
        // The error that matters is the first one.
        let _ = client.batch_execute("ROLLBACK").await;
    }
    made
}

/// Whether the tables can be written as they are; writes nothing.
pub(super) async fn check(
    client: &Client,
    options: &PostgresOptions,
    migrations: &[Migration],
) -> Result<(), SendError> {
    let found = find(client, options).await?;
    if found.is_current(&options.server, migrations)? || options.manage_schema {
        return Ok(());
    }
    Err(missing(found, options, migrations))
}

fn missing(found: Found, options: &PostgresOptions, migrations: &[Migration]) -> SendError {
    let ddl = ddl(found, options, migrations);
    found.missing(&options.server, &options.schema, migrations, &ddl)
}

/// What a person runs where the program may not.
fn ddl(found: Found, options: &PostgresOptions, migrations: &[Migration]) -> String {
    let mut text = String::from("BEGIN;\n");
    let _ = writeln!(text, "CREATE SCHEMA IF NOT EXISTS \"{}\";", options.schema);
    text.push_str(&options.fill(VERSIONS));
    for (version, migration) in found.pending(migrations) {
        text.push_str(&options.fill(migration.sql));
        let _ = writeln!(
            text,
            "INSERT INTO {} (version, applied_at, writable_from) VALUES ({version}, now(), {});",
            options.fill("{t}schema"),
            migration.writable_from
        );
    }
    let (schema, user) = (&options.schema, options.server.user.replace('"', "\"\""));
    let made = made(&text, &MAKES).join(", ");
    let _ = writeln!(
        text,
        "GRANT USAGE ON SCHEMA \"{schema}\" TO \"{user}\";\n\
         GRANT SELECT, INSERT, UPDATE, DELETE ON {made} TO \"{user}\";\n\
         COMMIT;"
    );
    text
}

async fn find(client: &Client, options: &PostgresOptions) -> Result<Found, SendError> {
    let place = options.server.to_string();
    let finding = async {
        let table = options.fill("{t}schema");
        let there = client
            .query_one("SELECT to_regclass($1::text) IS NOT NULL", &[&table])
            .await?;
        if !there.get::<_, bool>(0) {
            return Ok(None);
        }
        let newest =
            format!("SELECT version, writable_from FROM {table} ORDER BY version DESC LIMIT 1");
        client.query_opt(&newest, &[]).await
    };
    let row = finding.await.map_err(error::sql(&place))?;
    Ok(row.map_or_else(Found::default, |row| Found {
        version: row.get(0),
        writable_from: row.get(1),
    }))
}

async fn migrate(
    client: &Client,
    options: &PostgresOptions,
    migrations: &[Migration],
    now: WallTime,
) -> Result<(), SendError> {
    let place = options.server.to_string();
    let run = |text: String| async move {
        let place = options.server.to_string();
        client
            .batch_execute(&text)
            .await
            .map_err(error::sql(&place))
    };
    run(format!("BEGIN; {}", options.fill(claim::LOCK))).await?;
    let schema = client
        .query_one(
            "SELECT to_regnamespace(quote_ident($1::text)) IS NOT NULL",
            &[&options.schema.as_str()],
        )
        .await
        .map_err(error::sql(&place))?;
    if !schema.get::<_, bool>(0) {
        run(format!("CREATE SCHEMA \"{}\"", options.schema)).await?;
    }
    // Another box may have done it while this one waited.
    let found = find(client, options).await?;
    if !found.is_current(&options.server, migrations)? {
        run(options.fill(VERSIONS)).await?;
        for (version, migration) in found.pending(migrations) {
            run(options.fill(migration.sql)).await?;
            let insert = options.fill("INSERT INTO {t}schema VALUES ($1, $2, $3)");
            client
                .execute(&insert, &[&version, &at(now), &migration.writable_from])
                .await
                .map_err(error::sql(&place))?;
        }
    }
    run("COMMIT".to_owned()).await
}
