//! `regex` by its authors' small engine; see `Cargo.toml`.

pub use regex_lite::*;
