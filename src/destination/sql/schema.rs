//! Versions of the tables. A migration only ever adds, so that a box of the version before writes
//! on; each says from which version on a program may.

use std::fmt::Display;

use super::super::SendError;
use super::SqlName;

/// What brings the tables from one version to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// Its statements, with `{t}` before a table's name and `{p}` before an index's.
    pub sql: &'static str,
    /// The oldest program (by the version of its tables) that may write them afterwards.
    pub writable_from: i64,
}

/// The tables as they were found: version 0 where there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) struct Found {
    pub(in super::super) version: i64,
    pub(in super::super) writable_from: i64,
}

impl Found {
    /// Whether they can be written as they are; an error where a newer program has made them its
    /// own.
    pub(in super::super) fn is_current(
        self,
        place: &dyn Display,
        migrations: &[Migration],
    ) -> Result<bool, SendError> {
        let ours = version_of(migrations);
        if self.version > ours && self.writable_from > ours {
            return Err(SendError::held(
                format!(
                    "{place} has tables of version {}, which programs from {} on may write; this \
                     one knows version {ours}",
                    self.version, self.writable_from
                ),
                "install the newer program; nothing was touched",
            ));
        }
        Ok(self.version >= ours)
    }

    /// What is to be done, with the version that each makes.
    pub(in super::super) fn pending(
        self,
        migrations: &[Migration],
    ) -> impl Iterator<Item = (i64, &Migration)> {
        let numbered = (1_i64..).zip(migrations);
        numbered.filter(move |(version, _)| *version > self.version)
    }

    /// Why a program is held that may not make them; a person runs `ddl`.
    pub(in super::super) fn missing(
        self,
        place: &dyn Display,
        schema: &SqlName,
        migrations: &[Migration],
        ddl: &str,
    ) -> SendError {
        let ours = version_of(migrations);
        SendError::held(
            format!(
                "{place} has tables of version {} in schema {schema}, {ours} is needed, and \
                 manage_schema is off",
                self.version
            ),
            format!("set manage_schema = true, or let the database's owner run this:\n{ddl}"),
        )
    }
}

fn version_of(migrations: &[Migration]) -> i64 {
    i64::try_from(migrations.len()).expect("few")
}

/// The tables and views that statements make, by the lines that say so: nobody needs rights on
/// others in the schema.
pub(in super::super) fn made<'a>(statements: &'a str, beginnings: &[&str]) -> Vec<&'a str> {
    let made = statements.lines().filter_map(|line| {
        let rest = beginnings
            .iter()
            .find_map(|beginning| line.strip_prefix(beginning))?;
        rest.split_whitespace().next()
    });
    made.collect()
}
