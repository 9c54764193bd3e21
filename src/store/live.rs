//! What the only writer holds in memory: bounded, and never more than the tables say, but for
//! what rides in the next commit.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::DeliveryProgress;
use super::codec::{BadBytes, FastMap, Reader, Writer};
use super::dictionary::Dictionary;
use super::fold::{self, AgentKey, Said};
use super::rows::AgentRow;
use crate::domain::health::FeedState;
use crate::domain::ids::{BoxId, DestinationName, Feed, RecordSeq, SourceName, StoreId};
use crate::domain::timestamp::{MonoTime, WallTime};

/// Entries of the time index that are remembered as written: 14 days of one source.
pub(super) const HOURS_REMEMBERED_MAX: usize = 1_024;

/// Transactions whose agent was not looked up yet: 64 bytes each.
pub(super) const UNSETTLED_MAX: usize = 4_096;

/// Where the journal stands; one value of the journal, written with each commit that moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Position {
    /// The last seq that was given; it outlives its record.
    pub(super) last: RecordSeq,
    /// The oldest seq that is kept; one more than `last` where none is.
    pub(super) first: RecordSeq,
    /// `agent_states` holds the fold up to here.
    pub(super) checkpoint: RecordSeq,
    /// Blocks up to here were packed.
    pub(super) packed: RecordSeq,
    /// Bytes of the blocks behind `packed`.
    pub(super) tail_bytes: u64,
    /// Bytes of all entries, blocks counted in whole pages.
    pub(super) live_bytes: u64,
    /// Records that were given up for want of room, not acknowledged by every destination.
    pub(super) expired: u64,
    /// Records whose block was damaged.
    pub(super) damaged: u64,
}

impl Position {
    pub(super) const START: Self = Self {
        last: RecordSeq::ZERO,
        first: RecordSeq::new(1),
        checkpoint: RecordSeq::ZERO,
        packed: RecordSeq::ZERO,
        tail_bytes: 0,
        live_bytes: 0,
        expired: 0,
        damaged: 0,
    };

    pub(super) fn write(&self, writer: &mut Writer) {
        for seq in [self.last, self.first, self.checkpoint, self.packed] {
            writer.varint(seq.get());
        }
        for number in [self.tail_bytes, self.live_bytes, self.expired, self.damaged] {
            writer.varint(number);
        }
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, BadBytes> {
        let mut reader = Reader::new(bytes);
        let mut seq = || reader.varint().map(RecordSeq::new);
        let (last, first, checkpoint, packed) = (seq()?, seq()?, seq()?, seq()?);
        Ok(Self {
            last,
            first,
            checkpoint,
            packed,
            tail_bytes: reader.varint()?,
            live_bytes: reader.varint()?,
            expired: reader.varint()?,
            damaged: reader.varint()?,
        })
    }

    /// Counts entries that grew (or shrank) by so many bytes.
    pub(super) fn grow(&mut self, bytes: i64) {
        self.live_bytes = self.live_bytes.saturating_add_signed(bytes);
    }
}

/// One destination's place, and when it last moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) progress: DeliveryProgress,
    /// `None` until it is written.
    pub(super) moved_at: Option<WallTime>,
}

/// Everything that the writer knows.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) store_id: StoreId,
    pub(super) box_id: BoxId,
    pub(super) installed_at: WallTime,
    pub(super) position: Position,
    pub(super) dictionary: Dictionary,
    /// The last states of the agents that changed since the checkpoint, but for what is unsettled.
    pub(super) agents: FastMap<AgentKey, AgentRow>,
    /// What committed transactions say of agents and was not looked up yet, in their order; fewer
    /// than [`UNSETTLED_MAX`].
    pub(super) unsettled: Vec<Said>,
    pub(super) checkpoint_at: MonoTime,
    /// The next commit writes one although it is not due.
    pub(super) checkpoint_wanted: bool,
    pub(super) feed_states: HashMap<(SourceName, Feed), FeedState>,
    /// The keys of the feeds whose state is in the journal.
    pub(super) feed_keys: HashMap<(SourceName, Feed), u64>,
    pub(super) cursors: HashMap<DestinationName, Cursor>,
    /// The keys of the destinations whose place is in the journal.
    pub(super) cursor_keys: HashMap<DestinationName, u64>,
    /// What is not in the tables yet and rides in the next commit.
    pub(super) riding: Riding,
    /// Keys of the time index that are known to be there.
    pub(super) hours: HashSet<[u8; 7]>,
}

impl Live {
    /// Gives what was said of agents to [`Self::agents`]. Agents that have no number are given one;
    /// it is written with the next commit, and a start that does not find it gives it again.
    pub(super) fn settle(&mut self) {
        for Said { source, agent, row } in self.unsettled.drain(..) {
            let key = (source, self.dictionary.agent(&agent));
            fold::take_state(&mut self.agents, key, row);
        }
    }

    /// Takes what a committed transaction said of agents.
    pub(super) fn hear(&mut self, said: Vec<Said>) {
        if self.unsettled.len() + said.len() < UNSETTLED_MAX {
            self.unsettled.extend(said);
            return;
        }
        self.settle();
        // The first poll of a large centre: it is not held twice.
        let all = std::mem::replace(&mut self.unsettled, said);
        self.settle();
        self.unsettled = all;
    }
}

/// What rides in the next commit.
#[derive(Debug, Default)]
pub(super) struct Riding {
    pub(super) feeds: BTreeSet<(SourceName, Feed)>,
    pub(super) destinations: BTreeSet<DestinationName>,
    /// Since when something waits.
    pub(super) since: Option<MonoTime>,
}

impl Riding {
    pub(super) fn is_empty(&self) -> bool {
        self.feeds.is_empty() && self.destinations.is_empty()
    }
}
