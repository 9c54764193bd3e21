//! The blocks that were decoded last: a reader takes a block in several pages.

use std::sync::Arc;

use super::codec::LazyBlock;

/// Two lanes of a destination, times two destinations.
const BLOCKS_KEPT: usize = 4;
/// And so many records of at most some 128 bytes in all (a transaction takes 40): one whole block of
/// 5,000, as an import makes, or two packed ones.
const RECORDS_KEPT: usize = 6_000;

/// Least recently used first. A block is known by its first seq, its length and its CRC, so that
/// one that was rewritten is another block.
#[derive(Debug, Default)]
pub(super) struct BlockCache {
    blocks: Vec<(Identity, Arc<LazyBlock>)>,
}

/// Header bytes that tell blocks apart.
pub(super) type Identity = [u8; super::codec::HEADER_BYTES];

impl BlockCache {
    pub(super) fn get(&mut self, identity: &Identity) -> Option<Arc<LazyBlock>> {
        let at = self.blocks.iter().position(|(id, _)| id == identity)?;
        let found = self.blocks.remove(at);
        let block = Arc::clone(&found.1);
        self.blocks.push(found);
        Some(block)
    }

    pub(super) fn put(&mut self, identity: Identity, block: Arc<LazyBlock>) {
        self.blocks.push((identity, block));
        while self.is_too_much() {
            self.blocks.remove(0);
        }
    }

    /// The newest one is kept, however large it is.
    fn is_too_much(&self) -> bool {
        let records: usize = self.blocks.iter().map(|(_, b)| b.len()).sum();
        self.blocks.len() > 1 && (self.blocks.len() > BLOCKS_KEPT || records > RECORDS_KEPT)
    }

    pub(super) fn clear(&mut self) {
        self.blocks.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::codec::{self, HEADER_BYTES, Header, Interner, SlotRef};
    use super::*;
    use crate::domain::ids::{RecordSeq, StoreId};
    use crate::domain::timestamp::WallTime;

    fn block(first: u64, slots: usize) -> (Identity, Arc<LazyBlock>) {
        let holes = vec![SlotRef::Expired; slots];
        let bytes = codec::encode(
            StoreId::from_bits(1),
            RecordSeq::new(first),
            WallTime::from_s(0),
            &holes,
        );
        assert!(Header::check(&bytes).is_ok());
        let identity = bytes[..HEADER_BYTES].try_into().expect("a header");
        let block = LazyBlock::decode(&bytes, &mut Interner::default()).expect("just encoded");
        (identity, Arc::new(block))
    }

    /// Puts blocks of these sizes; says which of them are still there.
    fn kept(sizes: &[usize]) -> Vec<usize> {
        let mut cache = BlockCache::default();
        let mut identities = Vec::new();
        for (size, n) in sizes.iter().zip(0..) {
            let (identity, block) = block(n * 10_000 + 1, *size);
            cache.put(identity, block);
            identities.push(identity);
        }
        let mut kept = |n: &usize| cache.get(&identities[*n]).is_some();
        (0..sizes.len()).filter(&mut kept).collect()
    }

    #[test]
    fn the_newest_blocks_stay_as_long_as_they_are_few_and_hold_little() {
        assert_eq!(kept(&[10; 6]), [2, 3, 4, 5]);
        assert_eq!(kept(&[10, 5_000, 900]), [0, 1, 2]);
        assert_eq!(kept(&[10, 5_000, 1_001]), [2]);
        assert_eq!(kept(&[5_000, 5_000]), [1]);
    }
}
