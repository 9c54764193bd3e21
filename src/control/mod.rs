//! What a person and a monitoring system see: the page, the JSON API, the metrics, and the socket
//! that the commands talk over.
//!
//! Nothing here holds the store or a worker. Two ways lead inside: [`Operations::status`], asked
//! through a bounded channel to one reader thread, and [`Operations::perform`], called on the
//! thread of a socket's connection. Every queue, body, connection and wait has a limit.

pub mod client;
mod http;
pub mod metrics;
mod options;
mod page;
pub mod protocol;
pub mod question;
mod reader;
mod rfc3339;
pub mod rows;
mod socket;
pub mod status;
pub mod token;

pub use http::{ControlServer, ControlTls, HttpError};
pub use options::{ControlOptions, TlsFiles};
pub use protocol::{QuarantineChoice, Refusal, ReplayFrom, Reply, Request};
pub use question::Question;
pub use reader::{Busy, Reader};
pub use socket::{ControlSocket, SOCKET_NAME};
pub use status::Status;
pub use token::AdminToken;

/// What the daemon lets itself be asked.
pub trait Operations: Send + Sync {
    /// The picture of this moment; short reads of the store only.
    fn status(&self) -> Status;

    /// Answers a question with one page; one short read of the store.
    fn look(&self, question: &Question) -> Result<serde_json::Value, Refusal>;

    /// Does what a command asks. It may take long; `progress` is called with lines for the person
    /// who waits, and answers false where nobody waits any more.
    fn perform(
        &self,
        request: &Request,
        progress: &mut dyn FnMut(serde_json::Value) -> bool,
    ) -> Result<serde_json::Value, Refusal>;
}
