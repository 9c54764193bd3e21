//! Telling people: one worker thread that carries out what `domain::alarm` decides.
//!
//! - It posts to a webhook, runs a program, and calls the heartbeat's address; it never retries by
//!   itself, and every call has a time-out that the stop cuts short.
//! - The addresses may hold keys: no message, log line or `Debug` shows more of them than the host.
//! - What is raised and who was told is kept in `alarms.json` in the state folder. A file that
//!   cannot be read is set aside and costs at most a message told twice.

mod command;
mod file;
mod http;
mod message;
mod options;
mod tellers;
mod worker;

pub use file::last_known;
pub use options::{AlarmWays, CommandOptions, SecretUrl, TokenProvider, WebhookOptions};
pub use tellers::{Tellers, Trial};
pub use worker::{AlarmSettings, Alarms};
