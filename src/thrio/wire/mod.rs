//! The shapes of Thrio's answers, turned into the domain's rows. Pure: bytes in, rows out.
//!
//! - The parse decides what a body is, never its content type.
//! - One bad row costs that row only; a body that is no JSON, is cut, or holds no known field at
//!   all is refused whole, and nothing of it stays.
//! - Null and an empty text mean "not said", never 0.
//! - Nothing is allocated per row of a realtime answer: texts are borrowed from the body, field
//!   names are matched once and then recognised by their bytes.

mod configuration;
mod container;
mod historical;
mod names;
mod pointer;
mod realtime;
mod row;
mod rows;
mod slots;

pub use configuration::{AgentsParser, Page, QueuesParser};
pub use historical::{HistoricalParser, ROWS_MAX};
pub(crate) use names::normalise;
pub use realtime::RealtimeParser;
pub use rows::{Shape, WireError};

pub use crate::transport::text::excerpt;
