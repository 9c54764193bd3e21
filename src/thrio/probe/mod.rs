//! What a tenant (or a saved answer) really sends, how it is understood, and which settings of
//! `[source.api]` would understand it better.
//!
//! Pure but for `fetch`: samples in, a [`ProbeReport`] out. A report holds names of fields and
//! the first rows as they would be stored; it never holds a token or a password.

mod fetch;
mod infer;
mod look;
mod pseudonym;
mod report;

pub use fetch::{Asked, Prober};
pub use pseudonym::{Pseudonyms, SavedCall};
pub use report::report;

use serde::Serialize;

use super::wire::Shape;
use crate::domain::interval::Window;

/// What is probed: the configuration feed has two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeFeed {
    /// Agent states.
    Realtime,
    /// Contact volume.
    Historical,
    /// The list of queues.
    Queues,
    /// The list of users.
    Agents,
}

impl ProbeFeed {
    /// The table of `[source.api]` that it goes by.
    pub const fn table(self) -> &'static str {
        match self {
            Self::Realtime => "realtime",
            Self::Historical => "historical",
            Self::Queues => "queues",
            Self::Agents => "agents",
        }
    }
}

/// One answer, whole.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The request that it answers; none for a file.
    pub request: Option<RequestSeen>,
    /// The status.
    pub status: u16,
    /// The content type.
    pub content_type: String,
    /// The body, decompressed.
    pub body: Vec<u8>,
    /// How long the call took.
    pub took_ms: u64,
    /// The intervals that were asked for, in contact volume.
    pub window: Option<Window>,
}

/// A request as it was sent, without its credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestSeen {
    /// GET or POST.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The JSON body of a POST.
    pub body: Option<String>,
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProbeReport {
    /// What was probed.
    pub feed: ProbeFeed,
    /// Each call.
    pub calls: Vec<CallSeen>,
    /// Why the present settings do not understand the answer, if they do not.
    pub problem: Option<String>,
    /// How the answer is wrapped, under the settings proposed.
    pub shape: Option<Shape>,
    /// Each field that is read: under which name it was found.
    pub fields: Vec<FieldSeen>,
    /// What the rows hold beside.
    pub unused: Vec<ColumnSeen>,
    /// The first rows as they would be stored under the settings proposed.
    pub rows: Vec<String>,
    /// How many rows would be rejected under them.
    pub rejected: u64,
    /// The first of those, with reasons.
    pub rejected_rows: Vec<String>,
    /// What was concluded.
    pub findings: Vec<Finding>,
    /// The lines of `[source.api]` to paste.
    pub settings: String,
}

/// One call of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallSeen {
    /// The request; none for a file.
    pub request: Option<RequestSeen>,
    /// The status.
    pub status: u16,
    /// The content type.
    pub content_type: String,
    /// The body's length in bytes.
    pub bytes: usize,
    /// How long it took.
    pub took_ms: u64,
}

/// A field that the program reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldSeen {
    /// Its name in `[source.api.<feed>.fields]`.
    pub field: &'static str,
    /// Under which name rows hold it; none = no row does.
    pub found: Option<String>,
    /// In how many rows it is said.
    pub rows: u64,
    /// The name was not configured: the probe proposes it.
    pub proposed: bool,
}

/// A name that rows hold and nothing reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnSeen {
    /// The name, or the JSON pointer into the row.
    pub name: String,
    /// What its values are: text, number, time, flag.
    pub kind: &'static str,
    /// In how many rows it is said.
    pub rows: u64,
}

/// One conclusion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about, for example `handle time`.
    pub about: &'static str,
    /// What was seen and what follows, for a person.
    pub says: String,
}

#[cfg(test)]
mod tests;
