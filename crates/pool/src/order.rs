//! Ready transactions by preference, for one block.

use crate::PoolTransaction;
use alloy::primitives::Address;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
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
    heads: BinaryHeap<(u128, Reverse<u64>, Address)>,
    queues: HashMap<Address, VecDeque<Entry>>,
    base_fee: u64,
    /// Sender of the last transaction given out; its next one enters the order when it is asked for.
    given: Option<Address>,
}

impl Best {
    pub(crate) fn new(base_fee: u64, queues: HashMap<Address, VecDeque<Entry>>) -> Self {
        let mut best = Self { heads: BinaryHeap::with_capacity(queues.len()), queues, base_fee, given: None };
        let senders: Vec<_> = best.queues.keys().copied().collect();
        for sender in senders {
            best.enter(sender);
        }
        best
    }

    fn enter(&mut self, sender: Address) {
        let Some(entry) = self.queues.get(&sender).and_then(VecDeque::front) else { return };
        // A fee cap below the base fee blocks the sender's later transactions too.
        if let Some(tip) = entry.transaction.tip(self.base_fee) {
            self.heads.push((tip, Reverse(entry.arrival), sender));
        }
    }

    /// None of this sender's further transactions will be given out.
    pub fn skip_sender(&mut self, sender: Address) {
        self.queues.remove(&sender);
    }
}

impl Iterator for Best {
    type Item = Arc<PoolTransaction>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(sender) = self.given.take() {
            self.enter(sender);
        }
        while let Some((_, _, sender)) = self.heads.pop() {
            if let Some(entry) = self.queues.get_mut(&sender).and_then(VecDeque::pop_front) {
                self.given = Some(sender);
                return Some(entry.transaction);
            }
        }
        None
    }
}
