//! A destination in memory that outlives every life of the box. It keeps the promise of the seam
//! (a range is applied once, rows and receipt together) by code of its own, and breaks it never:
//! what goes wrong is the way there and back.

use std::collections::BTreeMap;

use thrio_edge::domain::batch::Batch;
use thrio_edge::domain::ids::{RecordSeq, SeqRange, StoreId};
use thrio_edge::domain::record::Record;

/// Everything that was ever applied, in the order of application, by store and seq.
#[derive(Default)]
pub struct Applied {
    pub records: BTreeMap<(StoreId, RecordSeq), Record>,
    ranges: BTreeMap<StoreId, Vec<(u64, u64)>>,
    /// How often a seq came again and was left alone.
    pub repeated: u64,
    /// How often a seq was applied a second time with another content: always a bug.
    pub contradicted: Vec<String>,
}

impl Applied {
    /// Applies what was not applied yet, and marks the whole range.
    pub fn apply(&mut self, store_id: StoreId, batch: &Batch) {
        for record in &batch.records {
            let key = (store_id, record.seq);
            match self.records.get(&key) {
                None => {
                    self.records.insert(key, record.record.clone());
                }
                Some(before) if *before == record.record => self.repeated += 1,
                Some(before) => self.contradicted.push(format!(
                    "{store_id}:{} was {before:?} and came again as {:?}",
                    record.seq, record.record
                )),
            }
        }
        let ranges = self.ranges.entry(store_id).or_default();
        ranges.push((batch.range.first.get(), batch.range.last.get()));
        merge(ranges);
    }

    /// What is applied of a store.
    pub fn receipt(&self, store_id: StoreId) -> Vec<SeqRange> {
        self.ranges
            .get(&store_id)
            .into_iter()
            .flatten()
            .map(|&(first, last)| SeqRange::new(RecordSeq::new(first), RecordSeq::new(last)))
            .collect()
    }
}

fn merge(ranges: &mut Vec<(u64, u64)>) {
    ranges.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
    for &(first, last) in ranges.iter() {
        match merged.last_mut() {
            Some(before) if first <= before.1 + 1 => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    *ranges = merged;
}
