//! What travels over the control socket: one request as a JSON line, then JSON lines back, the last
//! of which is [`Reply::Done`] or [`Reply::Failed`]. Whoever may open the socket's file may ask.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::domain::timestamp::WallTime;
use crate::lifecycle::exit::Exit;

/// The longest request, in bytes: a path and two moments need a small part of it.
pub const REQUEST_BYTES_MAX: u64 = 64 * 1024;

/// What a command asks of the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Request {
    /// The picture of this moment.
    Status,
    /// Read the configuration again and apply it; done once it runs.
    Reload,
    /// Import queues and agents now.
    Import {
        /// One source; all where not given.
        source: Option<String>,
        /// Only say what would change.
        dry_run: bool,
        /// Take over a list that shrank more than the settings allow.
        confirm: bool,
    },
    /// Read a span of contact volume again.
    Backfill {
        /// One source; all where not given.
        source: Option<String>,
        /// The first moment.
        #[serde(with = "super::rfc3339")]
        from: WallTime,
        /// The moment after the last.
        #[serde(with = "super::rfc3339")]
        to: WallTime,
        /// One queue; all where not given.
        queue: Option<String>,
        /// Only say what would change.
        dry_run: bool,
        /// Report until it is done, instead of returning once it is queued.
        follow: bool,
    },
    /// Make durable what rides.
    StoreFlush,
    /// Figures of the journal.
    StoreStats,
    /// Recompute every table and both balances from the journal.
    StoreVerify,
    /// Give free pages back to the file system.
    StoreCompact,
    /// A consistent copy of the journal.
    StoreBackup {
        /// The file, absolute; it must not be there yet.
        file: PathBuf,
    },
}

/// One line back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// It goes on.
    Progress {
        /// How far it is.
        value: serde_json::Value,
    },
    /// It is done; the last line.
    Done {
        /// What came of it.
        value: serde_json::Value,
    },
    /// It was not done; the last line.
    Failed {
        /// What the command exits with.
        exit: u8,
        /// Why.
        message: String,
    },
}

/// Why the daemon did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What the command exits with.
    pub exit: Exit,
    /// Why.
    pub message: String,
}

impl Refusal {
    /// A refusal with this code and this reason.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }
}

impl From<Result<serde_json::Value, Refusal>> for Reply {
    fn from(outcome: Result<serde_json::Value, Refusal>) -> Self {
        match outcome {
            Ok(value) => Self::Done { value },
            Err(refusal) => Self::Failed {
                exit: refusal.exit.code(),
                message: refusal.message,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_line_that_a_person_can_write() {
        let line = r#"{"command":"backfill","source":null,"from":"2026-07-25T00:00:00Z",
            "to":"2026-07-26T00:00:00Z","queue":null,"dry_run":true,"follow":false}"#;
        let request: Request = serde_json::from_str(line).unwrap();
        assert!(matches!(request, Request::Backfill { dry_run: true, .. }));
        let status: Request = serde_json::from_str(r#"{"command":"status"}"#).unwrap();
        assert_eq!(status, Request::Status);
        assert!(serde_json::from_str::<Request>(r#"{"command":"explode"}"#).is_err());
    }
}
