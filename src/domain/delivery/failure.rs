//! Why a destination did not take what it was sent, and what follows from it.

use std::time::Duration;

use crate::domain::ids::RecordSeq;

/// Why a destination did not take what it was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Network, 5xx, busy, deadlock: the same again later.
    #[error("{message}")]
    Retry {
        /// Target and cause.
        message: String,
        /// What the destination asked for.
        retry_after: Option<Duration>,
        /// Whether the destination could not even be reached, so that a cheap probe tells when
        /// it is back.
        unreachable: bool,
    },
    /// Waits for a person: credentials, permission, schema, disk.
    #[error("{reason}; {remedy}")]
    Held {
        /// Why.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// Another has the source: waits for a person too, who is told at the box.
    #[error("{reason}; {remedy}")]
    Claimed {
        /// Who has it.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// This content will never be taken.
    #[error("refused: {message}")]
    Refused {
        /// Why, for the whole batch.
        message: String,
        /// The refused records, where the destination named them; empty = find them by bisecting.
        records: Vec<(RecordSeq, String)>,
    },
    /// Too much at once: send less.
    #[error("batch too large: {message}")]
    TooLarge {
        /// What the destination said.
        message: String,
    },
}

impl SendError {
    /// The destination could not be reached: a probe tells when it is back.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::Retry {
            message: message.into(),
            retry_after: None,
            unreachable: true,
        }
    }

    /// It was reached, and may take the same later.
    pub fn later(message: impl Into<String>) -> Self {
        Self::Retry {
            message: message.into(),
            retry_after: None,
            unreachable: false,
        }
    }

    /// A person is needed.
    pub fn held(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Held {
            reason: reason.into(),
            remedy: remedy.into(),
        }
    }

    /// Another has the source.
    pub fn claimed(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Claimed {
            reason: reason.into(),
            remedy: remedy.into(),
        }
    }

    /// The content is at fault; which record, is not known.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::Refused {
            message: message.into(),
            records: Vec::new(),
        }
    }
}
