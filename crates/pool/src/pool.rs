//! The pool itself: one short lock around maps by sender and by hash.

use crate::{
    Account, Best, Config, Limits, PoolTransaction, Refusal, State,
    fates::{self, Fates},
    journal::{Content, Journal, Record},
    order::Entry,
    validate,
};
use alloy::primitives::{Address, B256, Bytes};
use baton_primitives::RecoveredBlock;
use parking_lot::{Mutex, MutexGuard};
use rayon::prelude::*;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{broadcast, watch};

/// New ready hashes that a slow listener may lag behind before it loses the oldest.
const PENDING_BACKLOG: usize = 4_096;

/// Transactions from which on senders are recovered by several threads. Fewer take less time than the threads' waking and falling asleep.
const PARALLEL_FROM: usize = 4;

/// How many wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Transactions with none missing before them.
    pub ready: usize,
    /// Transactions behind a gap.
    pub queued: usize,
    /// Bytes of all.
    pub bytes: usize,
}

/// What became of a transaction that the pool took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waits.
    Waiting,
    /// It left without having been included, for this reason.
    Dropped(String),
}

/// Waiting transactions. Cheap to clone.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

struct Shared {
    config: Config,
    state: Box<dyn State>,
    waiting: Mutex<Waiting>,
    journal: Option<Mutex<Journal>>,
    /// Recovers senders. Not the global pool, which hashes the state and whose short work would wait behind long batches here.
    recovery: rayon::ThreadPool,
    ready: watch::Sender<usize>,
    pending: broadcast::Sender<B256>,
}

/// One sender's transactions by nonce.
#[derive(Debug, Default)]
struct Sender {
    /// The next nonce in the last final state.
    nonce: u64,
    /// How many from `nonce` on have none missing before them.
    ready: usize,
    entries: BTreeMap<u64, Entry>,
}

impl Sender {
    /// How many from `next` on have none missing before them.
    fn count_from(&self, next: u64) -> usize {
        (next..).zip(self.entries.range(next..)).take_while(|(expected, (nonce, _))| expected == *nonce).count()
    }
}

/// What a transaction is worth to the pool; the least goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Worth {
    /// None is missing before it: what cannot be included costs its sender nothing, whatever it offers.
    ready: bool,
    tip: u128,
    arrival: Reverse<u64>,
    hash: B256,
}

impl Worth {
    /// Less than all that are ready.
    const LEAST_READY: Self = Self { ready: true, tip: 0, arrival: Reverse(u64::MAX), hash: B256::ZERO };

    fn of(entry: &Entry) -> Self {
        let (tip, hash) = (entry.transaction.max_tip(), entry.transaction.hash);
        Self { ready: entry.ready, tip, arrival: Reverse(entry.arrival), hash }
    }
}

#[derive(Debug, Default)]
struct Waiting {
    senders: HashMap<Address, Sender>,
    by_hash: HashMap<B256, Arc<PoolTransaction>>,
    /// All in the order in which they give way: those behind a gap first, then by tip cap, later arrivals first among equals.
    by_worth: BTreeSet<Worth>,
    bytes: usize,
    ready: usize,
    /// Bytes of those behind a gap.
    queued_bytes: usize,
    arrivals: u64,
    /// Those of this node's own users, and since when they wait or were last given out as [`Pool::overdue`].
    local: HashMap<B256, Instant>,
    /// Why others left.
    fates: Fates,
    /// Changes that are not in the journal yet, in their order; nothing is gathered where there is none.
    unwritten: Option<Vec<Record>>,
}

impl Pool {
    /// Opens the pool; transactions of the journal that are still valid wait again, and the journal's fates are known.
    ///
    /// # Errors
    /// If the journal cannot be read or written.
    pub fn open(config: Config, state: impl State) -> io::Result<Self> {
        let (journal, content) = match &config.journal {
            Some(path) => Journal::open(path).map(|(journal, content)| (Some(Mutex::new(journal)), content))?,
            None => (None, Content::default()),
        };
        let fates = Fates::new(config.limits.remembered_fates);
        let recovery = rayon::ThreadPoolBuilder::new().thread_name(|i| format!("recovery-{i}")).build();
        let shared = Shared {
            config,
            recovery: recovery.map_err(io::Error::other)?,
            state: Box::new(state),
            waiting: Mutex::new(Waiting { fates, ..Waiting::default() }),
            journal,
            ready: watch::Sender::new(0),
            pending: broadcast::Sender::new(PENDING_BACKLOG),
        };
        let pool = Self { shared: Arc::new(shared) };
        pool.replay(content);
        pool.shared.waiting.lock().unwritten = pool.shared.journal.is_some().then(Vec::new);
        pool.rewrite_journal();
        Ok(pool)
    }

    /// Takes one signed transaction from this node's own users and gives its hash.
    ///
    /// Recovers the sender on the calling thread: call it off the async threads.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn admit_local(&self, raw: &[u8]) -> Result<B256, Refusal> {
        self.take(raw, true)
    }

    /// As [`Self::admit_local`], several on all cores.
    pub fn admit_all_local(&self, raw: &[Bytes]) -> Vec<Result<B256, Refusal>> {
        self.take_all(raw, |_| true)
    }

    /// Ready transactions of this node's own users that have waited for `age`, at most `limit`; the next call gives each again
    /// only after another `age`. Whoever forwards transactions calls it, so that none is lost on the way.
    pub fn overdue(&self, age: Duration, limit: usize) -> Vec<Arc<PoolTransaction>> {
        let now = Instant::now();
        let mut waiting = self.shared.waiting.lock();
        let Waiting { local, by_hash, senders, .. } = &mut *waiting;
        let is_ready = |t: &PoolTransaction| {
            senders.get(&t.sender).is_some_and(|s| t.nonce.checked_sub(s.nonce).is_some_and(|n| n < s.ready as u64))
        };
        let mut found = Vec::new();
        for (hash, since) in local.iter_mut().filter(|(_, since)| now.saturating_duration_since(**since) >= age) {
            if found.len() == limit {
                break;
            }
            if let Some(transaction) = by_hash.get(hash).filter(|t| is_ready(t)) {
                *since = now;
                found.push(Arc::clone(transaction));
            }
        }
        // A sender's transactions are taken only in their order.
        found.sort_unstable_by_key(|t| (t.sender, t.nonce));
        found
    }

    /// Takes one signed transaction that another node forwarded.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn admit(&self, raw: &[u8]) -> Result<B256, Refusal> {
        self.take(raw, false)
    }

    /// As [`Self::admit`], several on all cores. A sender's transactions are taken in the given order.
    pub fn admit_all(&self, raw: &[Bytes]) -> Vec<Result<B256, Refusal>> {
        self.take_all(raw, |_| false)
    }

    fn take(&self, raw: &[u8], local: bool) -> Result<B256, Refusal> {
        let transaction = validate::decode(&self.shared.config, raw, &|hash, tip| self.glance(hash, tip))?;
        let account =
            self.shared.state.account(transaction.sender).map_err(|error| Refusal::State(error.to_string()))?;
        validate::payable(&transaction, &account)?;
        let hash = transaction.hash;
        let mut waiting = self.shared.waiting.lock();
        let became_ready = waiting.insert(&self.shared.config.limits, transaction, &account, local);
        self.changed(waiting);
        for hash in became_ready? {
            // No listener is no error.
            let _ = self.shared.pending.send(hash);
        }
        Ok(hash)
    }

    /// `is_local` tells by the place in `raw` whether a transaction is of this node's own users.
    fn take_all(&self, raw: &[Bytes], is_local: impl Fn(usize) -> bool) -> Vec<Result<B256, Refusal>> {
        let decode = |raw: &Bytes| validate::decode(&self.shared.config, raw, &|hash, tip| self.glance(hash, tip));
        let decoded: Vec<_> = if raw.len() < PARALLEL_FROM {
            raw.iter().map(decode).collect()
        } else {
            self.shared.recovery.install(|| raw.par_iter().map(decode).collect())
        };
        let mut results = Vec::with_capacity(decoded.len());
        let mut became_ready = Vec::new();
        let mut accounts: HashMap<Address, Account> = HashMap::new();
        for (place, transaction) in decoded.into_iter().enumerate() {
            results.push(transaction.and_then(|transaction| {
                let account = match accounts.get(&transaction.sender) {
                    Some(account) => *account,
                    None => {
                        let read = self.shared.state.account(transaction.sender);
                        let account = read.map_err(|error| Refusal::State(error.to_string()))?;
                        accounts.insert(transaction.sender, account);
                        account
                    }
                };
                validate::payable(&transaction, &account)?;
                let hash = transaction.hash;
                let (mut waiting, limits) = (self.shared.waiting.lock(), &self.shared.config.limits);
                became_ready.extend(waiting.insert(limits, transaction, &account, is_local(place))?);
                Ok(hash)
            }));
        }
        self.changed(self.shared.waiting.lock());
        for hash in became_ready {
            let _ = self.shared.pending.send(hash);
        }
        results
    }

    /// Whoever changes what waits gives the lock back with this.
    fn changed(&self, waiting: MutexGuard<'_, Waiting>) {
        let (ready, has_unwritten) = (waiting.ready, waiting.unwritten.as_ref().is_some_and(|list| !list.is_empty()));
        drop(waiting);
        self.shared.ready.send_replace(ready);
        if has_unwritten {
            self.write_down();
        }
    }

    /// Refuses what is here already, and anything that does not offer more than the worst ready one of a full pool, replacements and
    /// fillers of gaps included: so a flood costs no recoveries.
    fn glance(&self, hash: &B256, tip: u128) -> Result<(), Refusal> {
        let (limits, waiting) = (&self.shared.config.limits, self.shared.waiting.lock());
        if waiting.by_hash.contains_key(hash) {
            return Err(Refusal::AlreadyKnown);
        }
        let is_full = waiting.by_hash.len() >= limits.max_transactions || waiting.bytes >= limits.max_bytes;
        match waiting.least_ready_tip() {
            Some(least) if is_full && tip <= least => Err(Refusal::Full { least }),
            Some(_) | None => Ok(()),
        }
    }

    /// The ready transactions by preference at this base fee, as they are now.
    pub fn best(&self, base_fee: u64) -> Best {
        let waiting = self.shared.waiting.lock();
        let ready = waiting.senders.values().filter(|sender| sender.ready > 0);
        Best::new(base_fee, ready.map(|sender| sender.entries.values().take(sender.ready)))
    }

    /// Whether a block at this base fee on top of `included` (transactions of blocks not yet final) would have something
    /// to take: for some sender the first ready transaction that is not included pays the base fee.
    pub fn has_payable(&self, base_fee: u64, included: &HashSet<B256>) -> bool {
        let waiting = self.shared.waiting.lock();
        waiting.senders.values().any(|sender| {
            let mut ready = sender.entries.values().take(sender.ready);
            let first = ready.find(|entry| !included.contains(&entry.transaction.hash));
            first.is_some_and(|entry| entry.transaction.tip(base_fee).is_some())
        })
    }

    /// Removes a transaction that can never be included, and remembers why.
    pub fn reject(&self, hash: B256, why: String) {
        let mut waiting = self.shared.waiting.lock();
        let Some(transaction) = waiting.by_hash.get(&hash).cloned() else { return };
        waiting.remove(transaction.sender, transaction.nonce);
        waiting.left(hash, why);
        self.changed(waiting);
    }

    /// A block became final and its state readable: its senders' nonces move on.
    pub fn on_final(&self, block: &RecoveredBlock) {
        let senders: BTreeSet<Address> = block.senders().iter().copied().collect();
        let included: HashSet<B256> = block.transactions().iter().map(|t| t.tx_hash()).collect();
        let concerned: Vec<Address> = {
            let waiting = self.shared.waiting.lock();
            senders.into_iter().filter(|sender| waiting.senders.contains_key(sender)).collect()
        };
        let mut accounts = Vec::with_capacity(concerned.len());
        for sender in concerned {
            match self.shared.state.account(sender) {
                Ok(account) => accounts.push((sender, account)),
                // The build drops what has become invalid, so that nothing but memory is at stake.
                Err(error) => tracing::warn!(%sender, %error, "pool cannot follow an account"),
            }
        }
        let mut waiting = self.shared.waiting.lock();
        for (sender, account) in accounts {
            waiting.advance(sender, account.nonce, |hash| included.contains(hash));
        }
        self.changed(waiting);
    }

    /// Whether the transaction waits.
    pub fn contains(&self, hash: &B256) -> bool {
        self.shared.waiting.lock().by_hash.contains_key(hash)
    }

    /// A waiting transaction.
    pub fn get(&self, hash: &B256) -> Option<Arc<PoolTransaction>> {
        self.shared.waiting.lock().by_hash.get(hash).cloned()
    }

    /// The senders of those of these transactions that wait here, one for one.
    pub fn senders(&self, hashes: &[B256]) -> Vec<Option<Address>> {
        let waiting = self.shared.waiting.lock();
        hashes.iter().map(|hash| waiting.by_hash.get(hash).map(|t| t.sender)).collect()
    }

    /// What became of a transaction; `None` if the pool never took it, it was included, or it is long ago.
    pub fn fate(&self, hash: &B256) -> Option<Fate> {
        let waiting = self.shared.waiting.lock();
        if waiting.by_hash.contains_key(hash) {
            return Some(Fate::Waiting);
        }
        waiting.fates.get(hash).cloned().map(Fate::Dropped)
    }

    /// The nonce after the sender's ready transactions; `None` if it has none ready.
    pub fn next_nonce(&self, sender: &Address) -> Option<u64> {
        let waiting = self.shared.waiting.lock();
        waiting.senders.get(sender).filter(|s| s.ready > 0).map(|s| s.nonce.saturating_add(s.ready as u64))
    }

    /// How many wait.
    pub fn counts(&self) -> Counts {
        let waiting = self.shared.waiting.lock();
        Counts { ready: waiting.ready, queued: waiting.by_hash.len() - waiting.ready, bytes: waiting.bytes }
    }

    /// All that wait (or only one sender's), by sender and nonce, each with whether it is ready.
    pub fn content(&self, of: Option<Address>) -> Vec<(Arc<PoolTransaction>, bool)> {
        let waiting = self.shared.waiting.lock();
        let mut senders: Vec<_> = waiting.senders.iter().filter(|(a, _)| of.is_none_or(|of| of == **a)).collect();
        senders.sort_unstable_by_key(|(address, _)| **address);
        let entries = senders.into_iter().flat_map(|(_, sender)| {
            sender.entries.values().enumerate().map(|(i, e)| (Arc::clone(&e.transaction), i < sender.ready))
        });
        entries.collect()
    }

    /// How many are ready, now and as it changes.
    pub fn ready(&self) -> watch::Receiver<usize> {
        self.shared.ready.subscribe()
    }

    /// Hashes of transactions as they become ready. A slow listener loses the oldest.
    pub fn subscribe(&self) -> broadcast::Receiver<B256> {
        self.shared.pending.subscribe()
    }
}

impl Waiting {
    /// Puts a validated transaction in; gives the hashes that became ready by it.
    fn insert(
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
    fn left(&mut self, hash: B256, why: String) {
        let why = fates::shorten(why);
        if let Some(unwritten) = &mut self.unwritten {
            unwritten.push(Record::Fate(hash, why.clone()));
        }
        self.fates.add(hash, why);
    }

    /// The lowest tip among those that are ready.
    fn least_ready_tip(&self) -> Option<u128> {
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

    fn remove(&mut self, address: Address, nonce: u64) -> Option<Arc<PoolTransaction>> {
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
    fn advance(&mut self, address: Address, next: u64, is_included: impl Fn(&B256) -> bool) {
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

mod durable;
#[cfg(test)]
mod tests;
