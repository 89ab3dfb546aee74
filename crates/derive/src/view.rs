//! L1 as one node has seen it, as far back as derivation needs.

use baton_primitives::{Deposit, L1Origin};
use std::collections::BTreeMap;

/// An L1 block: what L2 reads of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginBlock {
    /// Number, hash, time and fees.
    pub origin: L1Origin,
    /// Its deposits, in order.
    pub deposits: Vec<Deposit>,
}

/// A contiguous window of L1 blocks, and the head that the node sees. The caller feeds it (each block once, in order), takes
/// back what a reorg removed, and prunes what is below the last anchor's origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginView {
    blocks: BTreeMap<u64, OriginBlock>,
    head: u64,
}

/// Why an L1 block does not fit the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// The block is not the next one.
    #[error("the view needs L1 block {expected} next, got {actual}")]
    Gap {
        /// Number it needs.
        expected: u64,
        /// Number it got.
        actual: u64,
    },
    /// A deposit is out of order.
    #[error("L1 block {number} has deposit {actual} where {expected} is next")]
    Deposits {
        /// The L1 block.
        number: u64,
        /// Index it needs.
        expected: u64,
        /// Index it has.
        actual: u64,
    },
    /// A deposit names another L1 block.
    #[error("deposit {index} of L1 block {number} names another block's hash")]
    Foreign {
        /// The L1 block.
        number: u64,
        /// The deposit.
        index: u64,
    },
}

impl OriginView {
    /// An empty view: the first block inserted may have any number.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next block, which also becomes the head if it is above.
    ///
    /// # Errors
    /// If the block or its deposits are out of order; the view is then unchanged.
    pub fn insert(&mut self, block: OriginBlock) -> Result<(), ViewError> {
        let number = block.origin.number;
        if let Some(last) = self.last().filter(|last| last.saturating_add(1) != number) {
            return Err(ViewError::Gap { expected: last.saturating_add(1), actual: number });
        }
        let known = self.blocks.values().rev().find_map(|b| b.deposits.last());
        let mut next = known.or(block.deposits.first()).map(|d| d.index);
        if known.is_some() {
            next = next.map(|index| index.saturating_add(1));
        }
        for (deposit, expected) in block.deposits.iter().zip(next.unwrap_or_default()..) {
            if deposit.index != expected {
                return Err(ViewError::Deposits { number, expected, actual: deposit.index });
            }
            if deposit.l1_hash != block.origin.hash {
                return Err(ViewError::Foreign { number, index: deposit.index });
            }
        }
        self.head = self.head.max(number);
        self.blocks.insert(number, block);
        Ok(())
    }

    /// Notes the head of L1, which may be above the last block inserted.
    pub fn set_head(&mut self, number: u64) {
        self.head = number;
    }

    /// Forgets every block above `number`: a reorg replaced them. The head falls back to it.
    pub fn revert_above(&mut self, number: u64) {
        self.blocks.split_off(&number.saturating_add(1));
        self.head = self.head.min(number);
    }

    /// Forgets every block below `number`, which no block will build on any more.
    pub fn prune_below(&mut self, number: u64) {
        self.blocks = self.blocks.split_off(&number);
    }

    /// Number of the L1 head.
    pub const fn head(&self) -> u64 {
        self.head
    }

    /// Number of the last block in the view.
    pub fn last(&self) -> Option<u64> {
        self.blocks.last_key_value().map(|(number, _)| *number)
    }

    /// The block with this number.
    pub fn block(&self, number: u64) -> Option<&OriginBlock> {
        self.blocks.get(&number)
    }

    /// The origin with this number.
    pub fn origin(&self, number: u64) -> Option<L1Origin> {
        self.block(number).map(|b| b.origin)
    }

    /// The blocks `after + 1 ..= last`; the first number that is missing otherwise.
    pub(crate) fn range(&self, after: u64, last: u64) -> Result<Vec<&OriginBlock>, u64> {
        let mut blocks = Vec::new();
        for number in after.saturating_add(1)..=last {
            blocks.push(self.block(number).ok_or(number)?);
        }
        Ok(blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::{deposit, l1_block};

    #[test]
    fn blocks_come_in_order_and_a_reorg_replaces_them() {
        let mut view = OriginView::new();
        view.insert(l1_block(10, 2, 0)).unwrap();
        assert_eq!(view.insert(l1_block(12, 0, 2)), Err(ViewError::Gap { expected: 11, actual: 12 }));
        view.insert(l1_block(11, 1, 2)).unwrap();
        view.insert(l1_block(12, 0, 3)).unwrap();
        view.revert_above(10);
        assert_eq!((view.head(), view.last()), (10, Some(10)));
        view.insert(l1_block(11, 3, 2)).unwrap();
        view.prune_below(11);
        assert_eq!((view.origin(10), view.origin(11).map(|o| o.number)), (None, Some(11)));
    }

    #[test]
    fn deposits_that_skip_repeat_or_belong_elsewhere_are_refused() {
        let mut view = OriginView::new();
        view.insert(l1_block(10, 2, 5)).unwrap();
        let error = ViewError::Deposits { number: 11, expected: 7, actual: 8 };
        assert_eq!(view.insert(l1_block(11, 1, 8)), Err(error));
        let mut foreign = l1_block(11, 0, 0);
        foreign.deposits.push(deposit(7, l1_block(10, 0, 0).origin.hash));
        assert_eq!(view.insert(foreign), Err(ViewError::Foreign { number: 11, index: 7 }));
        assert_eq!(view.last(), Some(10), "a refused block leaves no trace");
    }
}
