//! Ready transactions by preference, for one block.

use crate::PoolTransaction;
use alloy::primitives::Address;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
    sync::Arc,
};

/// A waiting transaction with its place in the order of arrival.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) transaction: Arc<PoolTransaction>,
    pub(crate) arrival: u64,
    /// None of its sender's is missing before it.
    pub(crate) ready: bool,
}

/// An iterator over the ready transactions as they were when it was made: the highest effective tip first, the earlier
/// arrival among equals, each sender's in nonce order.
#[derive(Debug, Default)]
pub struct Best {
    /// Sender after sender, each in nonce order: one list, since the pool is locked while it is filled.
    entries: Vec<Entry>,
    /// The first of each sender that was not given out, as its place in `entries`.
    heads: BinaryHeap<(u128, Reverse<u64>, usize)>,
    base_fee: u64,
    /// The last transaction given out; its sender's next one enters the order when it is asked for.
    given: Option<usize>,
    skipped: HashSet<Address>,
}

impl Best {
    /// Of `queues`, each one sender's in nonce order.
    pub(crate) fn new<'a>(base_fee: u64, queues: impl Iterator<Item = impl Iterator<Item = &'a Entry>>) -> Self {
        let mut best = Self { base_fee, ..Self::default() };
        let mut heads = Vec::new();
        for queue in queues {
            let first = best.entries.len();
            best.entries.extend(queue.cloned());
            heads.extend(best.head(first));
        }
        best.heads = heads.into();
        best
    }

    /// The place in the order of the transaction at `index`. A fee cap below the base fee blocks the sender's later ones too.
    fn head(&self, index: usize) -> Option<(u128, Reverse<u64>, usize)> {
        let entry = self.entries.get(index)?;
        Some((entry.transaction.tip(self.base_fee)?, Reverse(entry.arrival), index))
    }

    fn sender(&self, index: usize) -> Option<Address> {
        self.entries.get(index).map(|entry| entry.transaction.sender)
    }

    /// None of this sender's further transactions will be given out.
    pub fn skip_sender(&mut self, sender: Address) {
        self.skipped.insert(sender);
    }

    /// Whether [`Self::skip_sender`] was called for this sender.
    pub fn is_skipped(&self, sender: &Address) -> bool {
        self.skipped.contains(sender)
    }
}

impl Iterator for Best {
    type Item = Arc<PoolTransaction>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(given) = self.given.take()
            && self.sender(given + 1) == self.sender(given)
        {
            let head = self.head(given + 1);
            self.heads.extend(head);
        }
        loop {
            let (_, _, index) = self.heads.pop()?;
            let transaction = &self.entries.get(index)?.transaction;
            if !self.skipped.contains(&transaction.sender) {
                self.given = Some(index);
                return Some(Arc::clone(transaction));
            }
        }
    }
}
