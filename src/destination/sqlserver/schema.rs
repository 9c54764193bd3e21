//! Making the tables, and bringing older ones up to date.

use std::fmt::Write as _;

use super::super::SendError;
use super::super::sql::{Found, Migration, made};
use super::connection::{Client, batch, query};
use super::value::{at, int};
use super::{SqlServerOptions, claim, error};
use crate::domain::timestamp::WallTime;

/// Number n makes version n + 1. Each is one batch, so that a person can run it as it is shown.
pub const MIGRATIONS: &[Migration] = &[Migration {
    sql: include_str!("schema_1.sql"),
    writable_from: 1,
}];

pub(super) const VERSIONS: &str = "IF OBJECT_ID(N'{t}schema', N'U') IS NULL
CREATE TABLE {t}schema (
  version bigint NOT NULL,
  applied_at datetime2(3) NOT NULL,
  writable_from bigint NOT NULL,
  PRIMARY KEY (version)
);
";

/// How a line begins that makes a table or a view.
const MAKES: [&str; 2] = ["CREATE TABLE ", "EXEC (N'CREATE VIEW "];

pub(super) const FIND: &str = "IF OBJECT_ID(N'{t}schema', N'U') IS NOT NULL
  SELECT TOP (1) version, writable_from FROM {t}schema ORDER BY version DESC;";

pub(super) const NOTE: &str = "INSERT INTO {t}schema (version, applied_at, writable_from)
VALUES (@P1, @P2, @P3)";

/// Checks the version, and makes what is missing.
pub(super) async fn prepare(
    client: &mut Client,
    options: &SqlServerOptions,
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
    // An error ends the connection, and its transaction with it.
    migrate(client, options, migrations, now).await
}

/// Whether the tables can be written as they are; writes nothing.
pub(super) async fn check(
    client: &mut Client,
    options: &SqlServerOptions,
    migrations: &[Migration],
) -> Result<(), SendError> {
    let found = find(client, options).await?;
    if found.is_current(&options.server, migrations)? || options.manage_schema {
        return Ok(());
    }
    Err(missing(found, options, migrations))
}

fn missing(found: Found, options: &SqlServerOptions, migrations: &[Migration]) -> SendError {
    let ddl = ddl(found, options, migrations);
    found.missing(&options.server, &options.schema, migrations, &ddl)
}

/// What a person runs where the program may not: one batch, without a `GO`.
fn ddl(found: Found, options: &SqlServerOptions, migrations: &[Migration]) -> String {
    let mut text = String::from("SET XACT_ABORT ON;\nBEGIN TRANSACTION;\n");
    text.push_str(&make_schema(options));
    text.push_str(&options.fill(VERSIONS));
    for (version, migration) in found.pending(migrations) {
        text.push_str(&options.fill(migration.sql));
        let _ = writeln!(
            text,
            "INSERT INTO {} (version, applied_at, writable_from) VALUES ({version}, \
             SYSUTCDATETIME(), {});",
            options.fill("{t}schema"),
            migration.writable_from
        );
    }
    let user = options.server.user.replace(']', "]]");
    for name in made(&text.clone(), &MAKES) {
        let _ = writeln!(
            text,
            "GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO [{user}];"
        );
    }
    text.push_str("COMMIT TRANSACTION;\n");
    text
}

/// CREATE SCHEMA must stand alone in its batch.
fn make_schema(options: &SqlServerOptions) -> String {
    let schema = &options.schema;
    format!("IF SCHEMA_ID(N'{schema}') IS NULL EXEC (N'CREATE SCHEMA [{schema}]');\n")
}

async fn find(client: &mut Client, options: &SqlServerOptions) -> Result<Found, SendError> {
    let place = options.server.to_string();
    let rows = query(client, options, FIND, Vec::new())
        .await
        .map_err(error::sql(&place))?;
    Ok(rows.first().map_or_else(Found::default, |row| Found {
        version: claim::number(row, 0),
        writable_from: claim::number(row, 1),
    }))
}

async fn migrate(
    client: &mut Client,
    options: &SqlServerOptions,
    migrations: &[Migration],
    now: WallTime,
) -> Result<(), SendError> {
    let place = options.server.to_string();
    batch(client, &place, "BEGIN TRANSACTION".to_owned()).await?;
    let lock = query(client, options, claim::LOCK, Vec::new()).await;
    claim::had_lock(&lock.map_err(error::sql(&place))?)?;
    // Another box may have done it while this one waited.
    let found = find(client, options).await?;
    if !found.is_current(&options.server, migrations)? {
        batch(client, &place, make_schema(options)).await?;
        batch(client, &place, options.fill(VERSIONS)).await?;
        for (version, migration) in found.pending(migrations) {
            batch(client, &place, options.fill(migration.sql)).await?;
            let values = vec![int(version), at(now), int(migration.writable_from)];
            query(client, options, NOTE, values)
                .await
                .map_err(error::sql(&place))?;
        }
    }
    batch(client, &place, "COMMIT TRANSACTION".to_owned()).await
}

#[cfg(test)]
mod tests {
    use super::super::super::sql::SqlName;
    use super::*;

    #[test]
    fn what_a_person_runs_is_one_batch_with_rights_on_what_is_ours_only() {
        let server = "sqlserver://wfm@db/wfm".parse().expect("a URL");
        let mut options = SqlServerOptions::new(server);
        options.schema = SqlName::new("edge").expect("a name");
        let text = ddl(Found::default(), &options, MIGRATIONS);
        assert!(text.starts_with("SET XACT_ABORT ON;"), "{text}");
        assert!(!text.lines().any(|line| line.trim() == "GO"), "{text}");
        assert!(
            !text.contains(['{', '}']),
            "every name is filled in: {text}"
        );
        let grants: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("GRANT"))
            .collect();
        // Fourteen tables, wfm_schema among them, and two views.
        assert_eq!(grants.len(), 16, "{grants:?}");
        let expected = "GRANT SELECT, INSERT, UPDATE, DELETE ON [edge].wfm_agent TO [wfm];";
        assert!(grants.contains(&expected), "{grants:?}");
    }

    #[test]
    fn every_key_compares_by_its_bits() {
        let keys = [
            "source ",
            "queue_id ",
            "agent_id ",
            "box_id ",
            "state ",
            "feed ",
        ];
        for migration in MIGRATIONS {
            let lines = migration.sql.lines().map(str::trim_start);
            let texts = lines.filter(|line| line.contains(" nvarchar"));
            for line in texts.filter(|line| keys.iter().any(|key| line.starts_with(key))) {
                assert!(line.contains("COLLATE Latin1_General_100_BIN2"), "{line}");
            }
        }
    }
}
