//! What can go wrong between the box and Thrio, and whose fault it is.

use std::time::Duration;

use crate::domain::call::{CallFailure, FailureKind, Timing};
use crate::domain::timestamp::MonoTime;

/// A call to Thrio that brought no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation} at {host}: {cause}")]
pub struct ThrioError {
    /// What was asked for, for example `login` or `realtime`.
    pub operation: &'static str,
    /// The host that was asked.
    pub host: String,
    /// What went wrong.
    pub cause: Cause,
    /// When it was sent and when it failed.
    pub timing: Timing,
}

/// What went wrong. No variant ever holds a secret, or a body beyond 80 printable characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// Name resolution, connect, time-out, a broken connection.
    #[error("{0}")]
    Network(String),
    /// The certificate was refused, or no TLS could be agreed on.
    #[error("TLS: {0}")]
    Tls(String),
    /// 401: wrong user name, password or token.
    #[error(
        "refused with 401: {message}; waiting before the next login so that the account is not locked"
    )]
    Unauthorized {
        /// What the answer said.
        message: String,
        /// Until when the connection is held.
        held_until: MonoTime,
    },
    /// The password could not be read.
    #[error("{message}")]
    NoSecret {
        /// Which one, and why.
        message: String,
        /// When reading it is tried again.
        held_until: MonoTime,
    },
    /// 403: the account lacks an authority.
    #[error("refused with 403: {0}")]
    Forbidden(String),
    /// 404 and other 4xx: most likely a wrong path or host.
    #[error("answered {status}: {message}")]
    Rejected {
        /// The status.
        status: u16,
        /// What the answer said.
        message: String,
    },
    /// The session's `location`, or a redirect, leads to a host that must not see the token.
    #[error("{message}")]
    HostNotAllowed {
        /// Which, and the setting that would allow it.
        message: String,
        /// Until when the connection is held.
        held_until: MonoTime,
    },
    /// 429, or 503 with or without `Retry-After`.
    #[error("throttled with {status}")]
    Throttled {
        /// The status.
        status: u16,
        /// What `Retry-After` said.
        retry_after: Option<Duration>,
    },
    /// Another 5xx.
    #[error("answered {status}: {message}")]
    Server {
        /// The status.
        status: u16,
        /// What the answer said.
        message: String,
    },
    /// 2xx, but HTML, empty, cut, not JSON or of another shape.
    #[error("not a Thrio API answer: status {status}, content type {content_type}, {detail}")]
    NotThrio {
        /// The status.
        status: u16,
        /// The content type.
        content_type: String,
        /// What is wrong, with the first 80 printable characters.
        detail: String,
    },
    /// The answer exceeded its size limit.
    #[error("answer larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit in bytes, after decompression.
        limit_bytes: u64,
    },
    /// The process is stopping.
    #[error("stopped")]
    Stopped,
}

impl ThrioError {
    /// What it means for the feed that asked.
    pub fn failure(&self) -> CallFailure {
        let kind = match &self.cause {
            Cause::Network(_) | Cause::Tls(_) | Cause::Server { .. } => FailureKind::Unavailable,
            Cause::Unauthorized { held_until, .. }
            | Cause::NoSecret { held_until, .. }
            | Cause::HostNotAllowed { held_until, .. } => {
                FailureKind::ConnectionHeld { until: *held_until }
            }
            Cause::Forbidden(_) => FailureKind::FeedHeld,
            Cause::Throttled { retry_after, .. } => FailureKind::Throttled {
                retry_after: *retry_after,
            },
            Cause::Rejected { .. } | Cause::NotThrio { .. } => FailureKind::Unusable,
            Cause::TooLarge { .. } => FailureKind::TooLarge,
            Cause::Stopped => FailureKind::Stopped,
        };
        CallFailure {
            kind,
            message: self.to_string(),
        }
    }
}
