//! Segments of records as files: NDJSON, CSV or Parquet. `docs/files.md` describes them.
//!
//! - A batch is taken once it is durable in the open segment's log beside the store (`spool`);
//!   segments are published whole (`publish`). A reader of the directory sees whole files only,
//!   and no file is ever overwritten.
//! - Every record that was taken stands in exactly one published segment, whatever crashes between.
//!   What is wanted once more on purpose (a replay, a quarantined record) gets segments of its own,
//!   named so.
//! - The receipt reaches as far as the log and the receipts beside store and directory say, so a
//!   restored state folder is noticed.
//! - One lane: records stand in the order of the journal.

pub mod disk;
mod error;
mod format;
mod options;
mod publish;
mod receipt;
mod single;
mod spool;
mod table;
mod zone;

use std::sync::Arc;

use self::disk::{Disk, SystemDisk};
use self::error::at;
use self::publish::Places;
use self::spool::{Found, Prepared, SegmentHead, Spool};
use super::rows::FIGURE_MAX;
use super::{Destination, Receipt, SendError, Writer};
use crate::clock::Clock;
use crate::domain::batch::{Batch, CurrentState};
use crate::domain::health::Heartbeat;
use crate::domain::ids::{BoxId, RecordSeq, SeqRange, StoreId};
use crate::domain::record::{Record, SequencedRecord};
use crate::domain::timestamp::{WallTime, millis};

pub use options::{FileCompression, FileFormat, FileOptions};
pub use single::{SingleFile, SingleTable};
pub use zone::Zone;

/// A directory that segments are published in.
pub struct FileDestination {
    places: Places,
    clock: Arc<dyn Clock>,
    session: Option<Session>,
}

/// What is known while it is open.
struct Session {
    store_id: StoreId,
    /// From the first to the last position that was taken of the store.
    high: Option<SeqRange>,
    spool: Option<Spool>,
}

impl std::fmt::Debug for FileDestination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileDestination")
            .field("options", &self.places.options)
            .field("open", &self.session.is_some())
            .finish_non_exhaustive()
    }
}

impl FileDestination {
    /// A destination that touches its folders with the first [`Destination::open`].
    pub fn new(options: FileOptions, clock: Arc<dyn Clock>) -> Self {
        Self::on(options, clock, Box::new(SystemDisk))
    }

    /// The same on another file system, whose power a test can cut.
    pub fn on(options: FileOptions, clock: Arc<dyn Clock>, disk: Box<dyn Disk>) -> Self {
        Self {
            places: Places { options, disk },
            clock,
            session: None,
        }
    }

    /// Publishes or drops what an earlier life left in the log, unless it can be gone on with.
    /// `has_parts`: temporary files of that life are where it left them.
    fn settle(&self, store_id: StoreId, has_parts: bool) -> Result<Session, SendError> {
        let (places, log) = (&self.places, self.places.log());
        let found = spool::look(&*places.disk, &log).map_err(at(&log))?;
        let (beside_store, beside_files) = places.receipts(store_id)?;
        let mut session = Session {
            store_id,
            high: receipt::merged(beside_store, beside_files),
            spool: None,
        };
        let Some(mut found) = found else {
            return Ok(session);
        };
        report_damage(&found);
        // Whatever else: nothing may be added behind that word.
        let is_closed = found.prepared.is_some();
        let is_here = |files: &Prepared| files.directory == places.options.directory;
        found.prepared = found.prepared.filter(|files| has_parts && is_here(files));
        let own = found.head.store_id;
        let (_, published) = places.receipts(own)?;
        let is_past = published.is_some_and(|p| found.range.last <= p.last);
        if !found.head.is_again && is_past {
            // A crash after the receipt, or a state folder that was restored.
            places.discard_log()?;
        } else if is_closed || own != store_id {
            let high = if own == store_id {
                session.high
            } else {
                published
            };
            places.publish(&found, high)?;
        } else {
            let spool = Spool::go_on(&*places.disk, &log, &found);
            session.spool = Some(spool.map_err(at(&log))?);
        }
        if own == store_id && !found.head.is_again {
            session.high = receipt::merged(session.high, Some(found.range));
        }
        Ok(session)
    }

    fn cut(&self, session: &mut Session) -> Result<(), SendError> {
        let Some(spool) = session.spool.take() else {
            return Ok(());
        };
        let found = Found {
            head: spool.head,
            range: spool.range,
            bytes: spool.bytes,
            prepared: None,
            damaged: 0,
        };
        drop(spool);
        self.places.publish(&found, session.high)
    }

    fn cut_where_due(&self, session: &mut Session, now: WallTime) -> Result<(), SendError> {
        let options = &self.places.options;
        let is_due = session.spool.as_ref().is_some_and(|spool| {
            let age = now.ms_since(spool.head.opened_at);
            // A clock that was set back must not keep a segment open for years.
            spool.bytes >= options.segment_bytes || !(0..millis(options.segment_age)).contains(&age)
        });
        if is_due { self.cut(session) } else { Ok(()) }
    }

    /// Makes the batch durable in the open segment.
    fn take_in(&self, session: &mut Session, batch: &Batch) -> Result<(), SendError> {
        let taken = session.high.map_or(RecordSeq::ZERO, |high| high.last);
        let is_again = batch.range.first <= taken;
        if !batch.records.is_empty() {
            let fits = session.spool.as_ref().is_some_and(|spool| {
                spool.head.is_again == is_again && spool.range.last < batch.range.first
            });
            if !fits {
                self.cut(session)?;
            }
            let log = self.places.log();
            if let Some(spool) = &mut session.spool {
                spool.add(batch).map_err(at(&log))?;
            } else {
                let now = self.clock.now().wall;
                let head = SegmentHead::new(session.store_id, is_again, now);
                let spool = Spool::begin(&*self.places.disk, &log, head, batch);
                session.spool = Some(spool.map_err(at(&log))?);
            }
        }
        if !is_again {
            session.high = receipt::merged(session.high, Some(batch.range));
        }
        Ok(())
    }
}

impl Destination for FileDestination {
    fn open(&mut self, writer: &Writer) -> Result<Receipt, SendError> {
        self.session = None;
        let has_parts = self.places.make()?;
        let mut session = self.settle(writer.store_id, has_parts)?;
        self.places.clean(writer.store_id)?;
        self.cut_where_due(&mut session, self.clock.now().wall)?;
        let applied = session.high.into_iter().collect();
        self.session = Some(session);
        Ok(Receipt {
            applied,
            roster_wanted: Vec::new(),
        })
    }

    fn send(&mut self, batch: &Batch) -> Result<(), SendError> {
        refuse_what_no_column_holds(batch)?;
        // After an error the log is read again: what was taken is in the next receipt.
        let mut session = self.session.take().ok_or_else(not_open)?;
        self.take_in(&mut session, batch)?;
        self.cut_where_due(&mut session, self.clock.now().wall)?;
        self.session = Some(session);
        Ok(())
    }

    /// One lane: what is current stands in the records.
    fn send_current(&mut self, _states: &[CurrentState]) -> Result<(), SendError> {
        Ok(())
    }

    fn heartbeat(&mut self, beat: &Heartbeat) -> Result<(), SendError> {
        let mut session = self.session.take().ok_or_else(not_open)?;
        self.cut_where_due(&mut session, self.clock.now().wall)?;
        let path = self
            .places
            .options
            .directory
            .join(heartbeat_name(&beat.box_id));
        let text = serde_json::to_vec(beat).map_err(|error| at(&path)(error.into()))?;
        let replaced = receipt::replace(&*self.places.disk, &self.places.hidden(), &path, &text);
        replaced.map_err(at(&path))?;
        self.session = Some(session);
        Ok(())
    }

    fn probe(&mut self) -> Result<(), SendError> {
        let directory = &self.places.options.directory;
        self.places.disk.may_write(directory).map_err(at(directory))
    }
}

/// The loop opens again after this.
fn not_open() -> SendError {
    SendError::unreachable("the open segment is to be read again")
}

fn report_damage(found: &Found) {
    if found.damaged > 0 {
        let (first, last) = (found.range.first, found.range.last);
        tracing::error!(
            %first, %last, places = found.damaged,
            "the open segment is damaged: some of these records cannot be published; \
             replay them to this destination"
        );
    }
}

fn refuse_what_no_column_holds(batch: &Batch) -> Result<(), SendError> {
    let past = |entry: &SequencedRecord| {
        let Record::Interval(record) = &entry.record else {
            return None;
        };
        let f = record.figures;
        let figures = [f.entered, f.abandoned, f.handle_time_s];
        let worst = figures.into_iter().flatten().max()?;
        (worst > FIGURE_MAX).then(|| (entry.seq, format!("{worst} is past 64 bits")))
    };
    let records: Vec<_> = batch.records.iter().filter_map(past).collect();
    if records.is_empty() {
        return Ok(());
    }
    Err(SendError::Refused {
        message: "figures past 64 bits".to_owned(),
        records,
    })
}

/// A box's id may hold anything; a file's name may not.
fn heartbeat_name(box_id: &BoxId) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || "._-".contains(c) {
            c.to_string()
        } else {
            format!("%{:X}", u32::from(c))
        }
    };
    let id: String = box_id.as_str().chars().map(safe).collect();
    format!("wfm_box-{id}.json")
}
