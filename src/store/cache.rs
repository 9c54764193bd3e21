//! The blocks that were decoded last: a reader takes a block in several pages.

use std::sync::Arc;

use super::codec::Block;

/// Two lanes of a destination, times two destinations. A block holds at most 5,000 records of
/// 128 bytes: 2.5 MiB in all.
const BLOCKS_KEPT: usize = 4;

/// Least recently used first. A block is known by its first seq, its length and its CRC, so that
/// one that was rewritten is another block.
#[derive(Debug, Default)]
pub(super) struct BlockCache {
    blocks: Vec<(Identity, Arc<Block>)>,
}

/// Header bytes that tell blocks apart.
pub(super) type Identity = [u8; super::codec::HEADER_BYTES];

impl BlockCache {
    pub(super) fn get(&mut self, identity: &Identity) -> Option<Arc<Block>> {
        let at = self.blocks.iter().position(|(id, _)| id == identity)?;
        let found = self.blocks.remove(at);
        let block = Arc::clone(&found.1);
        self.blocks.push(found);
        Some(block)
    }

    pub(super) fn put(&mut self, identity: Identity, block: Arc<Block>) {
        if self.blocks.len() >= BLOCKS_KEPT {
            self.blocks.remove(0);
        }
        self.blocks.push((identity, block));
    }

    pub(super) fn clear(&mut self) {
        self.blocks.clear();
    }
}
