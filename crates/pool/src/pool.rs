//! The pool itself: one short lock around maps by sender and by hash.

use crate::{
    Account, Best, Config, PoolTransaction, Refusal, State,
    fates::Fates,
    journal::{Content, Journal},
    validate,
};
use alloy::primitives::{Address, B256, Bytes};
use baton_primitives::RecoveredBlock;
use parking_lot::{Mutex, MutexGuard};
use rayon::prelude::*;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{broadcast, watch};
use waiting::Waiting;

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
            waiting: Mutex::new(Waiting::new(fates)),
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

mod durable;
#[cfg(test)]
mod tests;
mod waiting;
