//! The client of Thrio's API: login, the three kinds of data, and what an answer may look like.
//!
//! Nothing here retries or waits for a better time: an error says what it means, and the feed's
//! machine in `domain` decides. The one exception is the single repeated call after a 401 that
//! `thrio-api.md` §5 grants to a fresh login.

pub mod api;
mod connection;
pub mod error;
mod hold;
mod http;
mod login;
pub mod options;
mod paging;
pub mod probe;
mod session;
mod source;
pub mod wire;

pub use crate::transport::install_crypto_provider;
pub use api::ApiOptions;
pub use connection::ThrioConnection;
pub use error::ThrioError;
pub use hold::{HOLD_MAX, HOLD_MIN, Held};
pub use options::{AuthScheme, ConnectionOptions, OptionProblem, PasswordProvider, ProxyUrl};
pub use session::LoggedIn;

use crate::domain::call::{
    ConfigurationAnswer, ConfigurationCall, HistoricalAnswer, HistoricalCall, RealtimeCall,
    Snapshot, Timing,
};

/// An answer with the times that it was asked and received at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered<T> {
    /// When.
    pub timing: Timing,
    /// What.
    pub value: T,
}

/// One Thrio tenant as its workers see it. Each worker has an instance of its own; the instances
/// of one connection share its session (token, holds).
///
/// Each call blocks until its answer is there, its time-out, or `stop`; it makes at most one login
/// and never waits for a later moment. An `Err` still says when (in [`ThrioError::timing`]).
pub trait Source: Send {
    /// Agent states, into a buffer that the caller reuses; it is cleared first.
    fn realtime(
        &mut self,
        call: &RealtimeCall,
        into: &mut Snapshot,
    ) -> Result<Answered<()>, ThrioError>;

    /// Contact volume of a window.
    fn historical(
        &mut self,
        call: &HistoricalCall,
    ) -> Result<Answered<HistoricalAnswer>, ThrioError>;

    /// Queues or agents, with all their pages.
    fn configuration(
        &mut self,
        call: ConfigurationCall,
    ) -> Result<Answered<ConfigurationAnswer>, ThrioError>;
}

/// A 2xx that is no answer: what came, in at most 80 printable characters, without secrets.
fn not_thrio(
    head: &http::Head,
    body: &http::Body,
    shown: &str,
    why: &str,
    secrets: &crate::transport::mask::Secrets,
) -> error::Cause {
    let text = secrets.excerpt(shown);
    let why = secrets.excerpt(why);
    let detail = match (body.received(), text.as_str()) {
        (0, _) => "an empty body".to_owned(),
        (_, "") => why,
        (_, text) => format!("{why}: {text}"),
    };
    error::Cause::NotThrio {
        status: head.status,
        content_type: secrets.excerpt(&head.content_type),
        detail,
    }
}
