//! What waits, and what gives way: the rules of the pool, without its lock, its journal and its listeners.

use crate::{
    Account, Limits, PoolTransaction, Refusal,
    fates::{self, Fates},
    journal::Record,
    order::Entry,
};
use alloy::primitives::{Address, B256};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Instant,
};

/// One sender's transactions by nonce.
#[derive(Debug, Default)]
pub(super) struct Sender {
    /// The next nonce in the last final state.
    pub(super) nonce: u64,
    /// How many from `nonce` on have none missing before them.
    pub(super) ready: usize,
    pub(super) entries: BTreeMap<u64, Entry>,
}

impl Sender {
    /// How many from `next` on have none missing before them.
    pub(super) fn count_from(&self, next: u64) -> usize {
        (next..).zip(self.entries.range(next..)).take_while(|(expected, (nonce, _))| expected == *nonce).count()
    }
}

/// What a transaction is worth to the pool; the least goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Worth {
    /// None is missing before it: what cannot be included costs its sender nothing, whatever it offers.
    ready: bool,
    tip: u128,
    arrival: Reverse<u64>,
    hash: B256,
}

impl Worth {
    /// Less than all that are ready.
    const LEAST_READY: Self = Self { ready: true, tip: 0, arrival: Reverse(u64::MAX), hash: B256::ZERO };

    pub(super) fn of(entry: &Entry) -> Self {
        let (tip, hash) = (entry.transaction.max_tip(), entry.transaction.hash);
        Self { ready: entry.ready, tip, arrival: Reverse(entry.arrival), hash }
    }
}

#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) senders: HashMap<Address, Sender>,
    pub(super) by_hash: HashMap<B256, Arc<PoolTransaction>>,
    /// All in the order in which they give way: those behind a gap first, then by tip cap, later arrivals first among equals.
    pub(super) by_worth: BTreeSet<Worth>,
    pub(super) bytes: usize,
    pub(super) ready: usize,
    /// Bytes of those behind a gap.
    pub(super) queued_bytes: usize,
    arrivals: u64,
    /// Those of this node's own users, and since when they wait or were last given out as [`Pool::overdue`].
    pub(super) local: HashMap<B256, Instant>,
    /// Why others left.
    pub(super) fates: Fates,
    /// Changes that are not in the journal yet, in their order; nothing is gathered where there is none.
    pub(super) unwritten: Option<Vec<Record>>,
}

impl Waiting {
    /// Nothing waits; these left.
    pub(super) fn new(fates: Fates) -> Self {
        Self { fates, ..Self::default() }
    }

    /// Puts a validated transaction in; gives the hashes that became ready by it.
    pub(super) fn insert(
        &mut self,
        limits: &Limits,
        transaction: PoolTransaction,
        account: &Account,
        local: bool,
    ) -> Result<Vec<B256>, Refusal> {
        if self.by_hash.contains_key(&transaction.hash) {
            return Err(Refusal::AlreadyKnown);
        }
        let (address, nonce) = (transaction.sender, transaction.nonce);
        let known = self.senders.get(&address);
        let next = known.map_or(account.nonce, |sender| sender.nonce.max(account.nonce));
        if nonce < next {
            return Err(Refusal::NonceTooLow { next, nonce });
        }
        let replaced = known.and_then(|sender| sender.entries.get(&nonce)).map(|e| Arc::clone(&e.transaction));
        if let Some(old) = &replaced {
            let enough = |new: u128, old: u128| {
                new.saturating_mul(100) >= old.saturating_mul(100 + limits.replacement_bump) && new > old
            };
            if !enough(transaction.max_fee(), old.max_fee()) || !enough(transaction.max_tip(), old.max_tip()) {
                return Err(Refusal::Underpriced { bump: limits.replacement_bump });
            }
        } else {
            self.make_slot(limits, &transaction)?;
        }
        self.make_room(limits, &transaction, replaced.as_deref(), next)?;
        if let Some(old) = replaced {
            self.remove(address, nonce);
            self.left(old.hash, format!("replaced by {}", transaction.hash));
        }
        self.advance(address, next, |_| false);
        let transaction = Arc::new(transaction);
        if local {
            self.local.insert(transaction.hash, Instant::now());
        }
        if let Some(unwritten) = &mut self.unwritten {
            unwritten.push(Record::Taken { transaction: Arc::clone(&transaction), local });
        }
        Ok(self.place(transaction, next))
    }

    /// Remembers why a transaction left.
    pub(super) fn left(&mut self, hash: B256, why: String) {
        let why = fates::shorten(why);
        if let Some(unwritten) = &mut self.unwritten {
            unwritten.push(Record::Fate(hash, why.clone()));
        }
        self.fates.add(hash, why);
    }

    /// The lowest tip among those that are ready.
    pub(super) fn least_ready_tip(&self) -> Option<u128> {
        self.by_worth.range(Worth::LEAST_READY..).next().map(|worth| worth.tip)
    }

    /// Checks the limit of the sender's transactions; one that fills a gap takes the place of the furthest.
    fn make_slot(&mut self, limits: &Limits, new: &PoolTransaction) -> Result<(), Refusal> {
        let Some(sender) = self.senders.get(&new.sender) else { return Ok(()) };
        let count = sender.entries.len();
        if count < limits.max_per_sender {
            return Ok(());
        }
        match sender.entries.last_key_value() {
            Some((&last, _)) if last > new.nonce => {
                self.evict(new.sender, last);
                Ok(())
            }
            _ => Err(Refusal::SenderLimit { count, limit: limits.max_per_sender }),
        }
    }

    /// Checks the pool's limits for one more transaction, or for a larger one in the place of `old`, and evicts worse ones where that
    /// makes room. What waits behind a gap has a share of its own, and gives way to what is ready whatever it offers: it may never
    /// have to pay.
    fn make_room(
        &mut self,
        limits: &Limits,
        new: &PoolTransaction,
        old: Option<&PoolTransaction>,
        next: u64,
    ) -> Result<(), Refusal> {
        let (more, bytes) = (usize::from(old.is_none()), new.size.saturating_sub(old.map_or(0, |old| old.size)));
        let ready = self.senders.get(&new.sender).map_or(0, |sender| sender.count_from(next));
        let is_ready = new.nonce <= next.saturating_add(ready as u64);
        if !is_ready {
            let (limit, most_bytes) = (limits.max_queued(), limits.max_queued_bytes());
            while self.by_hash.len() - self.ready + more > limit || self.queued_bytes + bytes > most_bytes {
                let worst = self.by_worth.first().copied().filter(|worst| !worst.ready && worst.tip < new.max_tip());
                self.evict_for(new, worst).ok_or(Refusal::QueueFull { limit })?;
            }
        }
        while self.by_hash.len() + more > limits.max_transactions || self.bytes + bytes > limits.max_bytes {
            let least = self.least_ready_tip().unwrap_or_default();
            let may_go = |worst: &Worth| !worst.ready || (is_ready && worst.tip < new.max_tip());
            let worst = self.by_worth.first().copied().filter(may_go);
            self.evict_for(new, worst).ok_or(Refusal::Full { least })?;
        }
        Ok(())
    }

    /// Evicts the last of the sender whose transaction `worst` is; nothing if there is none, or it is the newcomer's own sender.
    fn evict_for(&mut self, new: &PoolTransaction, worst: Option<Worth>) -> Option<()> {
        let sender = self.by_hash.get(&worst?.hash).map(|t| t.sender).filter(|sender| *sender != new.sender)?;
        let last = *self.senders.get(&sender)?.entries.last_key_value()?.0;
        self.evict(sender, last);
        Some(())
    }

    fn evict(&mut self, sender: Address, nonce: u64) {
        if let Some(transaction) = self.remove(sender, nonce) {
            self.left(transaction.hash, "evicted: the pool is full of better paid transactions".into());
        }
    }

    fn place(&mut self, transaction: Arc<PoolTransaction>, next: u64) -> Vec<B256> {
        self.arrivals += 1;
        let (address, nonce) = (transaction.sender, transaction.nonce);
        let entry = Entry { transaction: Arc::clone(&transaction), arrival: self.arrivals, ready: false };
        self.bytes += transaction.size;
        self.queued_bytes += transaction.size;
        self.by_worth.insert(Worth::of(&entry));
        self.by_hash.insert(transaction.hash, transaction);
        let sender = self.senders.entry(address).or_default();
        sender.nonce = next;
        sender.entries.insert(nonce, entry);
        self.recount(address)
    }

    pub(super) fn remove(&mut self, address: Address, nonce: u64) -> Option<Arc<PoolTransaction>> {
        let transaction = self.take(address, nonce)?;
        self.recount(address);
        Some(transaction)
    }

    /// Takes a transaction out; [`Self::recount`] must follow.
    fn take(&mut self, address: Address, nonce: u64) -> Option<Arc<PoolTransaction>> {
        let sender = self.senders.get_mut(&address)?;
        let entry = sender.entries.remove(&nonce)?;
        if entry.ready {
            sender.ready -= 1;
            self.ready -= 1;
        } else {
            self.queued_bytes -= entry.transaction.size;
        }
        if sender.entries.is_empty() {
            self.senders.remove(&address);
        }
        self.by_worth.remove(&Worth::of(&entry));
        let transaction = entry.transaction;
        self.bytes -= transaction.size;
        self.by_hash.remove(&transaction.hash);
        self.local.remove(&transaction.hash);
        Some(transaction)
    }

    /// Finds out anew which of a sender's transactions have none missing before them; gives those of which that is new, in order.
    fn recount(&mut self, address: Address) -> Vec<B256> {
        let Some(sender) = self.senders.get_mut(&address) else { return Vec::new() };
        let mut expected = Some(sender.nonce);
        let mut fresh = Vec::new();
        for (nonce, entry) in &mut sender.entries {
            let ready = expected == Some(*nonce);
            if ready {
                expected = nonce.checked_add(1);
            }
            if ready == entry.ready {
                continue;
            }
            self.by_worth.remove(&Worth::of(entry));
            entry.ready = ready;
            self.by_worth.insert(Worth::of(entry));
            if ready {
                fresh.push(entry.transaction.hash);
                sender.ready += 1;
                self.ready += 1;
                self.queued_bytes -= entry.transaction.size;
            } else {
                sender.ready -= 1;
                self.ready -= 1;
                self.queued_bytes += entry.transaction.size;
            }
        }
        fresh
    }

    /// The sender's next nonce is `next`: what is below leaves.
    pub(super) fn advance(&mut self, address: Address, next: u64, is_included: impl Fn(&B256) -> bool) {
        let Some(sender) = self.senders.get_mut(&address) else { return };
        sender.nonce = sender.nonce.max(next);
        let gone: Vec<u64> = sender.entries.range(..sender.nonce).map(|(nonce, _)| *nonce).collect();
        for nonce in gone {
            if let Some(transaction) = self.take(address, nonce)
                && !is_included(&transaction.hash)
            {
                self.left(transaction.hash, format!("nonce {nonce} was used by another transaction"));
            }
        }
        self.recount(address);
    }
}
