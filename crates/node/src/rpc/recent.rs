//! The blocks that clients ask for again and again, decoded once: most questions are about the newest.

use baton_primitives::Height;
use baton_rpc::ports::ExecutedBlock;
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// Most blocks kept.
const MAX_BLOCKS: usize = 256;
/// Most transactions kept, whatever the number of blocks.
const MAX_TRANSACTIONS: usize = 20_000;

/// A bounded cache of final blocks. They never change, so that it needs no invalidation.
#[derive(Default)]
pub(super) struct Recent(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    blocks: BTreeMap<Height, ExecutedBlock>,
    transactions: usize,
}

impl Recent {
    pub(super) fn get(&self, height: Height) -> Option<ExecutedBlock> {
        self.0.lock().blocks.get(&height).cloned()
    }

    /// Keeps a block, and lets the lowest go when there are too many.
    pub(super) fn put(&self, block: ExecutedBlock) {
        let mut kept = self.0.lock();
        kept.transactions += block.receipts.len();
        if let Some(before) = kept.blocks.insert(block.block.height(), block) {
            kept.transactions -= before.receipts.len();
        }
        while kept.blocks.len() > MAX_BLOCKS || kept.transactions > MAX_TRANSACTIONS {
            let Some((_, lowest)) = kept.blocks.pop_first() else { return };
            kept.transactions -= lowest.receipts.len();
        }
    }
}
