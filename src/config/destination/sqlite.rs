//! The keys of `kind = "sqlite"`.

use std::path::PathBuf;
use std::time::Duration;

use super::super::field::Placed;
use super::super::section::Section;
use crate::destination::sqlite::SqliteOptions;

pub(super) fn read(section: &Section<'_>) -> Option<SqliteOptions> {
    let default = SqliteOptions::default();
    let path: Option<Placed<PathBuf>> = section.path("path").required("path = \"wfm.db\"");
    let busy: Duration = section.span("busy_timeout_s", 0..=300, default.busy_timeout);
    let manage_schema = section.boolean("manage_schema", default.manage_schema);
    Some(SqliteOptions {
        path: path?.value,
        busy_timeout: busy,
        manage_schema,
    })
}
