//! The newest blocks followed: what a reorganization can reach.

use crate::Start;
use alloy::{eips::BlockNumHash, primitives::B256};
use std::collections::VecDeque;

/// Contiguous block hashes up to the tip, as many as a reorganization may take back, and one before.
#[derive(Debug)]
pub(crate) struct Tail {
    blocks: VecDeque<BlockNumHash>,
    start: u64,
    keep: usize,
}

impl Tail {
    pub(crate) fn new(start: &Start, max_reorg: u64) -> Self {
        let keep = usize::try_from(max_reorg).unwrap_or(usize::MAX).saturating_add(1);
        match start {
            Start::Block(number) => Self { blocks: VecDeque::new(), start: *number, keep },
            Start::After(known) => {
                let blocks: VecDeque<_> = known.iter().map(|(n, h)| BlockNumHash::new(*n, *h)).collect();
                let start = blocks.back().map_or(0, |b| b.number + 1);
                Self { blocks, start, keep }
            }
        }
    }

    /// The newest block.
    pub(crate) fn tip(&self) -> Option<&BlockNumHash> {
        self.blocks.back()
    }

    /// The number that comes next.
    pub(crate) fn next(&self) -> u64 {
        self.tip().map_or(self.start, |tip| tip.number + 1)
    }

    pub(crate) fn lowest(&self) -> u64 {
        self.blocks.front().map_or(self.start, |b| b.number)
    }

    pub(crate) fn hash(&self, number: u64) -> Option<B256> {
        let position = self.blocks.binary_search_by_key(&number, |b| b.number).ok()?;
        Some(self.blocks[position].hash)
    }

    /// The blocks at `from` and below, newest first.
    pub(crate) fn descending(&self, from: u64) -> Vec<BlockNumHash> {
        self.blocks.iter().rev().filter(|b| b.number <= from).copied().collect()
    }

    /// Appends the next block; the first one brings its parent along.
    pub(crate) fn push(&mut self, number: u64, hash: B256, parent: B256) {
        if self.blocks.is_empty()
            && let Some(before) = number.checked_sub(1)
        {
            self.blocks.push_back(BlockNumHash::new(before, parent));
        }
        self.blocks.push_back(BlockNumHash::new(number, hash));
        while self.blocks.len() > self.keep {
            self.blocks.pop_front();
        }
    }

    pub(crate) fn truncate(&mut self, to: u64) {
        while self.tip().is_some_and(|tip| tip.number > to) {
            self.blocks.pop_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u64) -> B256 {
        B256::with_last_byte(u8::try_from(n % 251).unwrap())
    }

    #[test]
    fn it_keeps_as_much_as_a_reorganization_may_take_back_and_one_before() {
        let mut tail = Tail::new(&Start::Block(10), 3);
        assert_eq!(tail.next(), 10);
        for n in 10..20 {
            tail.push(n, hash(n), hash(n - 1));
        }
        assert_eq!((tail.lowest(), tail.next()), (16, 20));
        assert_eq!((tail.hash(16), tail.hash(15)), (Some(hash(16)), None));
        tail.truncate(16);
        assert_eq!(tail.next(), 17);
    }

    #[test]
    fn the_first_block_brings_its_parent_along() {
        let mut tail = Tail::new(&Start::Block(5), 8);
        tail.push(5, hash(5), hash(4));
        tail.truncate(4);
        assert_eq!((tail.next(), tail.hash(4)), (5, Some(hash(4))));
    }

    #[test]
    fn it_resumes_after_known_blocks_even_with_gaps() {
        let tail = Tail::new(&Start::After(vec![(3, hash(3)), (7, hash(7)), (8, hash(8))]), 8);
        assert_eq!((tail.next(), tail.lowest()), (9, 3));
        assert_eq!((tail.hash(7), tail.hash(6)), (Some(hash(7)), None));
    }
}
