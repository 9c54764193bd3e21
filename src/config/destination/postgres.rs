//! The keys of `kind = "postgres"`.

use super::super::secret::{self, SecretSource};
use super::super::section::Section;
use super::super::source::readable;
use super::super::surroundings::Surroundings;
use super::super::text;
use crate::destination::postgres::{PostgresOptions, ProcedureName, ServerUrl, SqlName};

/// A PostgreSQL database and the secret that opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresConfig {
    /// Where and how.
    pub options: PostgresOptions,
    /// The user's password, where the server asks for one.
    pub password: Option<SecretSource>,
}

pub(super) fn read(section: &Section<'_>, around: &Surroundings) -> Option<PostgresConfig> {
    let check = |text: &str| text.parse::<ServerUrl>();
    let show = |url: &ServerUrl| text::quote(&url.to_string());
    let url = section
        .checked("url", "postgres://user@host/database", show, check)
        .required("url = \"postgres://wfm@db.example.com/wfm\"");
    let ca_file = section
        .path("ca_file")
        .optional()
        .and_then(|file| readable(section, file));
    let password = secret::password_if_given(section, around);
    let is_given = url.is_some();
    let default = PostgresOptions::new(url.map_or_else(no_server, |url| url.value));
    let (schema, table_prefix) = table_names(section, default.schema, default.table_prefix);
    let options = PostgresOptions {
        ca_file,
        schema,
        table_prefix,
        manage_schema: section.boolean("manage_schema", default.manage_schema),
        after_apply: procedure(section),
        connect_timeout: section.span("connect_timeout_s", 1..=300, default.connect_timeout),
        statement_timeout: section.span("statement_timeout_s", 1..=300, default.statement_timeout),
        server: default.server,
    };
    is_given.then_some(PostgresConfig { options, password })
}

/// The keys `schema` and `table_prefix`.
pub(super) fn table_names(
    section: &Section<'_>,
    schema: SqlName,
    table_prefix: SqlName,
) -> (SqlName, SqlName) {
    let name = |key, default: SqlName| {
        let show = |name: &SqlName| text::quote(name.as_str());
        section.checked(key, "", show, SqlName::new).or(default)
    };
    (name("schema", schema), name("table_prefix", table_prefix))
}

/// The key `after_apply`.
pub(super) fn procedure(section: &Section<'_>) -> Option<ProcedureName> {
    let show = |name: &ProcedureName| text::quote(&name.to_string());
    let given = section.checked("after_apply", "", show, ProcedureName::new);
    given.optional().map(|name| name.value)
}

/// Stands for the server while the other keys are read.
fn no_server() -> ServerUrl {
    "postgres://none@none/none".parse().expect("a URL")
}
