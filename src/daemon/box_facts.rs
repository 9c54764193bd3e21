//! What every heartbeat says of the box, whatever destination it goes to.

use std::sync::{Arc, Mutex, RwLock};

use super::lock;
use super::sources::RunningSource;
use crate::collector::{FeedDetail, FeedReport, SourceBoard};
use crate::domain::health::{FeedHealth, Heartbeat};
use crate::domain::ids::{BoxId, Feed, SourceName};
use crate::domain::timestamp::{Now, WallTime};

/// The box as its heartbeats describe it.
pub(super) struct BoxFacts {
    box_id: BoxId,
    started_at: WallTime,
    boards: RwLock<Vec<Arc<SourceBoard>>>,
    alarms: Mutex<Vec<String>>,
}

impl BoxFacts {
    pub(super) fn new(box_id: BoxId, started_at: WallTime) -> Self {
        Self {
            box_id,
            started_at,
            boards: RwLock::default(),
            alarms: Mutex::default(),
        }
    }

    /// The sources that run now.
    pub(super) fn set_boards(&self, sources: &[RunningSource]) {
        let boards = sources.iter().map(|source| Arc::clone(&source.board));
        *self
            .boards
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = boards.collect();
    }

    /// The codes of the problems that a person is needed for.
    pub(super) fn set_alarms(&self, alarms: Vec<String>) {
        *lock(&self.alarms) = alarms;
    }

    /// A heartbeat; the destination's worker adds its backlog.
    pub(super) fn heartbeat(&self, now: Now) -> Heartbeat {
        let boards = self
            .boards
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let feeds = boards.iter().flat_map(|board| {
            Feed::ALL.into_iter().filter_map(|feed| {
                let report = board.report(feed)?;
                Some(health(board.source(), feed, &report, now))
            })
        });
        Heartbeat {
            box_id: self.box_id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            at: now.wall,
            backlog: 0,
            oldest_unsent_at: None,
            alarms: lock(&self.alarms).clone(),
            feeds: feeds.collect(),
        }
    }
}

fn health(source: &SourceName, feed: Feed, report: &FeedReport, now: Now) -> FeedHealth {
    let state = &report.state;
    FeedHealth {
        source: source.clone(),
        feed,
        last_success_at: state.last_success_at,
        last_complete_poll_at: state.last_complete_poll_at,
        last_data_at: state.last_data_at,
        lag_s: lag_s(report, now),
        consecutive_failures: state.consecutive_failures,
        last_error: state.last_error.clone(),
        clock_offset_ms: state.clock_offset_ms,
        is_stale: matches!(&report.detail, FeedDetail::Realtime(status) if status.is_stale),
    }
}

/// How far a feed lies behind: for contact volume what its machine says, else the age of the last
/// complete answer.
pub(super) fn lag_s(report: &FeedReport, now: Now) -> u64 {
    if let FeedDetail::Historical(status) = &report.detail {
        return status.lag_s;
    }
    let last = report.state.last_complete_poll_at;
    last.map_or(0, |at| {
        u64::try_from(now.wall.ms_since(at) / 1000).unwrap_or(0)
    })
}
