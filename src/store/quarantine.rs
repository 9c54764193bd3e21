//! Records that a destination refused for good: whole, so that they outlive their place in the
//! journal.

use super::codec::{self, BadBytes, Interner, Reader, Slot, SlotRef};
use super::engine::{Engine, lock};
use super::tables::{QUARANTINE, body, quarantine_key};
use super::{Quarantined, StoreError};
use crate::domain::ids::{DestinationName, RecordSeq, StoreId};
use crate::domain::record::SequencedRecord;
use crate::domain::timestamp::Now;

impl Engine {
    /// See [`super::Store::quarantine_add`].
    pub(super) fn quarantine_add(
        &self,
        refused: &[Quarantined],
        now: Now,
    ) -> Result<(), StoreError> {
        let mut live = self.lock_live();
        self.write(&mut live, now, |txn, live| {
            let mut table = QUARANTINE.write(txn)?;
            for one in refused {
                let key = quarantine_key(one.destination.as_str(), one.record.seq.get());
                let grown = table.put(&key, value(live.store_id, one))?;
                live.position.grow(grown);
            }
            Ok(())
        })?;
        Ok(())
    }

    /// See [`super::Store::quarantine_list`].
    pub(super) fn quarantine_list(
        &self,
        destination: &DestinationName,
        from: RecordSeq,
        limit: usize,
    ) -> Result<Vec<Quarantined>, StoreError> {
        let start = quarantine_key(destination.as_str(), from.get());
        let end = quarantine_key(destination.as_str(), u64::MAX);
        let mut found = Vec::new();
        self.read(|txn| {
            QUARANTINE.read(txn)?.scan(&start, &end, |key, bytes| {
                if found.len() >= limit {
                    return Ok(false);
                }
                let one = read(bytes, destination.clone(), &mut lock(&self.interner));
                found.push(one.map_err(|error| QUARANTINE.damaged(key, error))?);
                Ok(true)
            })
        })?;
        Ok(found)
    }

    /// See [`super::Store::quarantine_remove`].
    pub(super) fn quarantine_remove(
        &self,
        destination: &DestinationName,
        seqs: &[RecordSeq],
        now: Now,
    ) -> Result<(), StoreError> {
        let mut live = self.lock_live();
        self.write(&mut live, now, |txn, live| {
            let mut table = QUARANTINE.write(txn)?;
            for seq in seqs {
                let grown = table.remove(&quarantine_key(destination.as_str(), seq.get()))?;
                live.position.grow(grown);
            }
            Ok(())
        })?;
        Ok(())
    }
}

/// When, why, and the record as a block of one.
fn value(store_id: StoreId, one: &Quarantined) -> Vec<u8> {
    body(|w| {
        w.time(one.at);
        w.text(&one.reason);
        let slots = [SlotRef::Record(&one.record.record)];
        let block = codec::encode(store_id, one.record.seq, one.at, &slots);
        w.bytes.extend_from_slice(&block);
    })
}

fn read(
    bytes: &[u8],
    destination: DestinationName,
    interner: &mut Interner,
) -> Result<Quarantined, BadBytes> {
    let mut reader = Reader::new(bytes);
    let at = reader.time()?;
    let reason = reader.text()?.to_owned();
    let block = codec::decode(reader.bytes(reader.remaining())?, interner)?;
    let seq = block.header.first;
    match block.slots.into_iter().next() {
        Some(Slot::Record(record)) => Ok(Quarantined {
            destination,
            record: SequencedRecord { seq, record },
            reason,
            at,
        }),
        _ => Err(BadBytes("a quarantined record is missing")),
    }
}
