//! The executed blocks that are not final: a tree over the final head.

use crate::{executed::ExecutedBlock, state::Base};
use alloy::primitives::{B256, map::B256Map};
use std::sync::Arc;

/// The final head and what is executed on top of it.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) base: Arc<Base>,
    blocks: B256Map<Arc<ExecutedBlock>>,
    tip: B256,
}

impl Tree {
    pub(crate) fn new(base: Arc<Base>) -> Self {
        Self { tip: base.hash, base, blocks: B256Map::default() }
    }

    pub(crate) fn get(&self, hash: &B256) -> Option<&Arc<ExecutedBlock>> {
        self.blocks.get(hash)
    }

    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Hash of the block executed last among the highest; the final head if there is none.
    pub(crate) const fn tip(&self) -> B256 {
        self.tip
    }

    /// The blocks from `hash` down to, not including, the final head. `None` if `hash` is not in the tree.
    pub(crate) fn layers(&self, hash: B256) -> Option<Vec<Arc<ExecutedBlock>>> {
        let mut layers = Vec::new();
        let mut at = hash;
        while at != self.base.hash {
            let block = self.blocks.get(&at)?;
            at = block.block.parent();
            layers.push(block.clone());
        }
        Some(layers)
    }

    /// Adds a block. Returns false if its parent is not here (any more).
    pub(crate) fn insert(&mut self, block: Arc<ExecutedBlock>) -> bool {
        let parent = block.block.parent();
        if parent != self.base.hash && !self.blocks.contains_key(&parent) {
            return false;
        }
        let tip_height = self.blocks.get(&self.tip).map_or(self.base.height, |tip| tip.height());
        if block.height() >= tip_height {
            self.tip = block.hash();
        }
        self.blocks.insert(block.hash(), block);
        true
    }

    /// Moves the final head and drops every block that does not descend from it.
    pub(crate) fn finalize(&mut self, base: Arc<Base>) {
        let mut blocks: Vec<_> = std::mem::take(&mut self.blocks).into_values().collect();
        blocks.sort_unstable_by_key(|block| block.height());
        *self = Self { blocks: std::mem::take(&mut self.blocks), ..Self::new(base) };
        for block in blocks {
            if block.height() > self.base.height {
                self.insert(block);
            }
        }
    }
}
