//! What the reader thread is asked beside the picture: one page of something that the box knows.

use crate::domain::ids::{
    AgentId, DestinationName, Feed, QueueId, RecordSeq, SourceName, StateText,
};
use crate::domain::interval::IntervalStart;
use crate::domain::timestamp::WallTime;

/// The most rows of one page: what bounds a read of the store.
pub const PAGE_ROWS_MAX: usize = 1_000;
/// The most days of one page of coverage: 960 quarter hours.
pub const PAGE_DAYS_MAX: usize = 10;

/// A span of time, half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first moment.
    pub from: WallTime,
    /// The moment after the last.
    pub to: WallTime,
}

/// One page, please. `after` is where the page before ended; `limit` is at most
/// [`PAGE_ROWS_MAX`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The last known state of every agent, by source, within it as they were first seen.
    Agents {
        /// One source; all where not given.
        source: Option<SourceName>,
        /// The last agent of the page before.
        after: Option<(SourceName, AgentId)>,
        /// Rows at most.
        limit: usize,
    },
    /// Every queue, by source and id.
    Queues {
        /// One source; all where not given.
        source: Option<SourceName>,
        /// The last queue of the page before.
        after: Option<(SourceName, QueueId)>,
        /// Rows at most.
        limit: usize,
    },
    /// Contact volume.
    Intervals {
        /// One source; all where not given.
        source: Option<SourceName>,
        /// One queue, with every interval of it; what is stored where not given.
        queue: Option<QueueId>,
        /// The intervals that begin in it.
        span: Span,
        /// The last interval and queue of the page before.
        after: Option<(SourceName, IntervalStart, QueueId)>,
        /// Rows at most.
        limit: usize,
    },
    /// The quarter hours of each day, by source, feed and day.
    Coverage {
        /// One source; all where not given.
        source: Option<SourceName>,
        /// One feed; realtime and historical where not given.
        feed: Option<Feed>,
        /// The days that it touches.
        span: Span,
        /// The last day of the page before.
        after: Option<(SourceName, Feed, IntervalStart)>,
    },
    /// State transactions in the order of the journal.
    Transactions {
        /// One source; all where not given.
        source: Option<SourceName>,
        /// One agent; all where not given.
        agent: Option<AgentId>,
        /// Those that started in it.
        span: Span,
        /// The last seq that the page before looked at.
        after: Option<RecordSeq>,
        /// Rows at most.
        limit: usize,
    },
    /// Refused records, by destination and seq.
    Quarantine {
        /// One destination; all where not given.
        destination: Option<DestinationName>,
        /// The last record of the page before.
        after: Option<(DestinationName, RecordSeq)>,
        /// Rows at most.
        limit: usize,
    },
    /// The journal itself.
    Journal {
        /// The first seq; the last `limit` records where not given.
        from: Option<RecordSeq>,
        /// Rows at most.
        limit: usize,
    },
    /// Every state text, by source and text.
    StateCodes {
        /// One source; all where not given.
        source: Option<SourceName>,
        /// The last text of the page before.
        after: Option<(SourceName, StateText)>,
        /// Rows at most.
        limit: usize,
    },
    /// The sources with their settings, without secrets.
    Sources,
    /// The agents whose state changed after this seq; the journal's end where not given.
    Changes {
        /// What the asker knows already.
        since: Option<RecordSeq>,
    },
}
