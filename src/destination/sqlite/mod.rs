//! The neutral tables in a SQLite file: the embedded default.

mod options;

pub use options::SqliteOptions;
