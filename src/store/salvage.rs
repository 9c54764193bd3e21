//! What a damaged file still holds: its intact blocks are found by scanning the raw bytes and
//! journaled again in the store that took its place (invariant 4).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use redb::ReadableDatabase;

use super::StoreError;
use super::codec::{self, HEADER_BYTES, Header, Interner, MAGIC, Slot};
use super::engine::{Engine, guarded};
use super::loss::Blind;
use super::open;
use super::overlay::Overlay;
use super::place::Place;
use super::simulated_disk::SimulatedDisk;
use super::tables::COVERAGE;
use super::types::Salvaged;
use crate::domain::delivery::DeliveryProgress;
use crate::domain::ids::{DestinationName, RecordSeq};
use crate::domain::interval::Window;
use crate::domain::record::Record;
use crate::domain::timestamp::{Now, WallTime};

/// Records that one commit brings over, so that the feeds are never held up for long.
const RECORDS_PER_COMMIT: usize = 1_000;
/// How much of the file is looked at at once.
const WINDOW_BYTES: usize = 1 << 20;

/// Bytes that can be read at any place: a file, or a simulated disk's.
trait Bytes: Read + Seek {}
impl<T: Read + Seek> Bytes for T {}

/// An intact block of the file.
#[derive(Debug, Clone, Copy)]
struct IntactBlock {
    header: Header,
    offset: u64,
}

impl Engine {
    /// See [`super::Store::salvage`].
    pub(super) fn salvage(
        &self,
        aside: &Path,
        cursors: &[(DestinationName, DeliveryProgress)],
        configured: &[DestinationName],
        now: Now,
    ) -> Result<Salvaged, StoreError> {
        let mut file: Box<dyn Bytes> = match &self.place {
            Place::Folder(_) | Place::LookedAt(_) => Box::new(File::open(aside)?),
            Place::Simulated(disk) => {
                Box::new(io::Cursor::new(disk.aside(aside).unwrap_or_default()))
            }
        };
        let blocks = intact_blocks(&mut file)?;
        let read = if cursors.is_empty() {
            self.cursors_of(aside)
        } else {
            Vec::new()
        };
        let cursors = if cursors.is_empty() { &read } else { cursors };
        let mut salvaged = Salvaged::default();
        let mut next = blocks
            .keys()
            .next()
            .map_or(RecordSeq::ZERO, |first| RecordSeq::new(*first));
        let mut before: Option<WallTime> = None;
        let mut interner = Interner::default();
        let mut records = Vec::new();
        let mut blind = Vec::new();
        for place in blocks.into_values() {
            let range = place.header.range();
            if range.last < next {
                continue;
            }
            if range.first > next {
                salvaged.lost += range.first.since(next);
                let to = place.header.journaled_at;
                blind.push((before.unwrap_or(to), to));
            }
            before = Some(place.header.journaled_at);
            let bytes = read_at(&mut file, place.offset, place.header.len as usize)?;
            let Ok(block) = codec::decode(&bytes, &mut interner) else {
                continue;
            };
            for (slot, n) in block.slots.into_iter().zip(0..) {
                let seq = range.first.plus(n);
                if seq < next || is_done(seq, cursors, configured) {
                    continue;
                }
                if let Slot::Record(record) = slot {
                    records.push(record);
                }
            }
            next = range.last.next();
            while records.len() >= RECORDS_PER_COMMIT {
                let rest = records.split_off(RECORDS_PER_COMMIT);
                self.bring_over(std::mem::replace(&mut records, rest), now, &mut salvaged)?;
            }
        }
        self.bring_over(records, now, &mut salvaged)?;
        self.tell_blind(&blind, now)?;
        Ok(salvaged)
    }

    /// The cursors of the damaged file, where they can still be read. Without them everything is
    /// sent again, which is harmless.
    fn cursors_of(&self, aside: &Path) -> Vec<(DestinationName, DeliveryProgress)> {
        let read = guarded(|| {
            let mut builder = redb::Builder::new();
            builder.set_cache_size(self.options.cache_bytes);
            let db = match &self.place {
                Place::Folder(_) | Place::LookedAt(_) => {
                    let file = File::options().read(true).write(true).open(aside)?;
                    let backend = redb::backends::FileBackend::new(file)?;
                    builder.create_with_backend(Overlay::over(backend)?)?
                }
                Place::Simulated(disk) => {
                    let image = disk.aside(aside).unwrap_or_default();
                    let copy = SimulatedDisk::with_image(0, image);
                    builder.create_with_backend(copy.backend())?
                }
            };
            open::read_cursors(&db.begin_read()?)
        });
        read.unwrap_or_default()
    }

    /// Journals what the new store does not know better already.
    fn bring_over(
        &self,
        records: Vec<Record>,
        now: Now,
        salvaged: &mut Salvaged,
    ) -> Result<(), StoreError> {
        let mut kept = Vec::with_capacity(records.len());
        for record in records {
            if self.is_superseded(&record)? {
                salvaged.superseded += 1;
            } else {
                kept.push(record);
            }
        }
        if kept.is_empty() {
            return Ok(());
        }
        self.append_own(&mut self.lock_live(), &kept, now, |_, _, _| Ok(()))?;
        salvaged.records += kept.len() as u64;
        Ok(())
    }

    /// Whether the store holds a later word on the same thing: the later record must keep the
    /// later seq, by which destinations decide.
    fn is_superseded(&self, record: &Record) -> Result<bool, StoreError> {
        let one = |start| Window::new(start, start.plus(1));
        Ok(match record {
            Record::Transaction(_) => false,
            Record::Interval(r) => {
                let known = self.intervals(&r.source, one(r.interval_start), usize::MAX)?;
                let mut same = known.iter().filter(|(_, known)| known.queue == r.queue);
                same.any(|(_, known)| known.answered_at > r.answered_at)
            }
            Record::Coverage(r) => {
                let known = self.coverage(&r.source, r.feed, one(r.interval_start))?;
                known.iter().any(|known| known.fetched_at >= r.fetched_at)
            }
            Record::Agent(r) => {
                let known = self.agent(&r.source, &r.agent)?;
                known.is_some_and(|known| known.valid_from > r.valid_from)
            }
            Record::Queue(r) => {
                let mut is_older = false;
                self.for_each_queue(&r.source, &mut |known| {
                    is_older |= known.queue == r.queue && known.valid_from > r.valid_from;
                })?;
                is_older
            }
            Record::StateCode(r) => {
                let known = self.state_codes(&r.source)?;
                known
                    .iter()
                    .any(|known| known.state == r.state && known != r)
            }
        })
    }

    fn tell_blind(&self, spans: &[(WallTime, WallTime)], now: Now) -> Result<(), StoreError> {
        let mut live = self.lock_live();
        let mut blind = Blind::default();
        for &(from, to) in spans {
            blind.span(&live, from, to);
        }
        let reason = "the journal was damaged; transactions of this time are lost";
        let entries = self.read(|txn| blind.entries(&COVERAGE.read(txn)?, &live, reason))?;
        if entries.is_empty() {
            return Ok(());
        }
        self.append_own(&mut live, &entries, now, |_, _, _| Ok(()))
    }
}

/// Whether every configured destination has it. Without a word from one of them it is not done.
fn is_done(
    seq: RecordSeq,
    cursors: &[(DestinationName, DeliveryProgress)],
    configured: &[DestinationName],
) -> bool {
    !configured.is_empty()
        && configured.iter().all(|name| {
            let cursor = cursors.iter().find(|(known, _)| known == name);
            cursor.is_some_and(|(_, progress)| progress.done.iter().any(|r| r.contains(seq)))
        })
}

/// Every intact block, by its first seq. Freed pages hold older copies; of two blocks with the
/// same first seq the one that was journaled later, then the longer one, counts.
fn intact_blocks(file: &mut Box<dyn Bytes>) -> Result<BTreeMap<u64, IntactBlock>, StoreError> {
    let len = file.seek(SeekFrom::End(0))?;
    let mut blocks: BTreeMap<u64, IntactBlock> = BTreeMap::new();
    let mut offset = 0u64;
    while offset < len {
        // Windows overlap by a header, so that none is cut in two.
        let bytes = read_at(file, offset, WINDOW_BYTES + HEADER_BYTES)?;
        let end = bytes.len().min(WINDOW_BYTES);
        for at in 0..end {
            if bytes[at..].starts_with(&MAGIC) {
                let start = offset + at as u64;
                if let Some(header) = intact_at(file, start, &bytes[at..])? {
                    let place = IntactBlock {
                        header,
                        offset: start,
                    };
                    let known = blocks.entry(header.first.get()).or_insert(place);
                    let rank = |h: &Header| (h.journaled_at, h.count);
                    if rank(&known.header) < rank(&header) {
                        *known = place;
                    }
                }
            }
        }
        offset += WINDOW_BYTES as u64;
    }
    Ok(blocks)
}

fn intact_at(
    file: &mut Box<dyn Bytes>,
    offset: u64,
    begin: &[u8],
) -> Result<Option<Header>, StoreError> {
    let Ok(header) = Header::read(begin) else {
        return Ok(None);
    };
    let bytes = read_at(file, offset, header.len as usize)?;
    Ok(Header::check(&bytes).ok())
}

/// Up to `count` bytes; fewer at the end.
fn read_at(file: &mut Box<dyn Bytes>, offset: u64, count: usize) -> Result<Vec<u8>, StoreError> {
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::with_capacity(count.min(WINDOW_BYTES * 2));
    file.take(count as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}
