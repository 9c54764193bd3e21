//! The keys of `kind = "sqlserver"`.

use super::super::secret::{self, SecretSource};
use super::super::section::{Finding, Section};
use super::super::source::readable;
use super::super::surroundings::Surroundings;
use super::super::text;
use super::postgres::{procedure, table_names};
use crate::destination::sqlserver::{Protection, SqlServerOptions, SqlServerUrl};

/// A SQL Server database and the secret that opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlServerConfig {
    /// Where and how.
    pub options: SqlServerOptions,
    /// The login's password.
    pub password: Option<SecretSource>,
}

pub(super) fn read(section: &Section<'_>, around: &Surroundings) -> Option<SqlServerConfig> {
    let check = |text: &str| text.parse::<SqlServerUrl>();
    let show = |url: &SqlServerUrl| text::quote(&url.to_string());
    let url = section
        .checked("url", "sqlserver://user@host/database", show, check)
        .required("url = \"sqlserver://wfm@db.example.com/wfm\"");
    let protection = protection(section);
    let password = secret::password_if_given(section, around);
    let is_given = url.is_some();
    let default = SqlServerOptions::new(url.map_or_else(no_server, |url| url.value));
    let (schema, table_prefix) = table_names(section, default.schema, default.table_prefix);
    let options = SqlServerOptions {
        protection,
        schema,
        table_prefix,
        manage_schema: section.boolean("manage_schema", default.manage_schema),
        after_apply: procedure(section),
        connect_timeout: section.span("connect_timeout_s", 1..=300, default.connect_timeout),
        statement_timeout: section.span("statement_timeout_s", 1..=300, default.statement_timeout),
        server: default.server,
    };
    is_given.then_some(SqlServerConfig { options, password })
}

fn protection(section: &Section<'_>) -> Protection {
    let is_encrypted = section.boolean("encrypt", true);
    let trusts_anyone = section.boolean("trust_server_certificate", false);
    let ca_file = section
        .path("ca_file")
        .optional()
        .and_then(|file| readable(section, file));
    let senseless = match (is_encrypted, trusts_anyone, &ca_file) {
        (true, true, Some(_)) => Some("takes any certificate, and `ca_file` says which to take"),
        (false, true, _) => Some("speaks of TLS, and `encrypt = false` switches it off"),
        _ => None,
    };
    if let (Some(why), Some(entry)) = (senseless, section.entry("trust_server_certificate")) {
        let message = format!("`trust_server_certificate` {why}");
        let finding = Finding::error(&entry.node.place, message).hint("take one of them out");
        section.add("trust_server_certificate", finding);
    }
    match (is_encrypted, trusts_anyone) {
        (false, _) => Protection::None,
        (true, true) => Protection::TrustingAnyone,
        (true, false) => Protection::Verified { ca_file },
    }
}

/// Stands for the server while the other keys are read.
fn no_server() -> SqlServerUrl {
    "sqlserver://none@none/none".parse().expect("a URL")
}
