//! Installed filters: a place in the chain (or in the stream of pending transactions), never a queue of answers.

use crate::{
    error::{RpcError, code},
    logs::LogFilter,
};
use alloy::primitives::B256;
use baton_primitives::Height;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::broadcast;

/// What a filter watches.
pub(crate) enum Watch {
    /// New blocks, from this height on.
    Blocks {
        /// The first height not told yet.
        next: Height,
    },
    /// Logs of new blocks.
    Logs {
        /// Which.
        filter: Box<LogFilter>,
        /// The first height not told yet.
        next: Height,
    },
    /// Transactions as they become ready. The stream keeps a bounded number; a filter polled too rarely misses the oldest.
    Pending {
        /// The stream.
        hashes: broadcast::Receiver<B256>,
        /// Whether whole transactions are wanted.
        full: bool,
    },
}

/// An installed filter. Locked while it is polled, so that two polls do not tell the same.
pub(crate) type Installed = Arc<Mutex<Watch>>;

struct Entry {
    watch: Installed,
    touched: Instant,
}

/// All installed filters.
pub(crate) struct Filters {
    entries: Mutex<HashMap<u128, Entry>>,
    seeds: (RandomState, RandomState),
    count: AtomicU64,
    limit: usize,
    ttl: Duration,
}

impl Filters {
    pub(crate) fn new(limit: usize, ttl: Duration) -> Self {
        let seeds = (RandomState::new(), RandomState::new());
        Self { entries: Mutex::default(), seeds, count: AtomicU64::new(0), limit, ttl }
    }

    /// An id that cannot be guessed from another.
    pub(crate) fn fresh_id(&self) -> u128 {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        u128::from(self.seeds.0.hash_one(count)) << 64 | u128::from(self.seeds.1.hash_one(count))
    }

    /// Installs a filter and gives its id.
    ///
    /// # Errors
    /// If as many as allowed are installed.
    pub(crate) fn install(&self, watch: Watch) -> Result<u128, RpcError> {
        let mut entries = self.entries.lock();
        if entries.len() >= self.limit {
            self.drop_expired(&mut entries);
        }
        if entries.len() >= self.limit {
            let message =
                format!("too many filters: limit {}; uninstall some, or subscribe over WebSocket", self.limit);
            return Err(RpcError::limit(message));
        }
        let id = self.fresh_id();
        entries.insert(id, Entry { watch: Arc::new(Mutex::new(watch)), touched: Instant::now() });
        Ok(id)
    }

    /// A filter that is about to be polled.
    ///
    /// # Errors
    /// If it is not installed (any more).
    pub(crate) fn get(&self, id: u128) -> Result<Installed, RpcError> {
        let mut entries = self.entries.lock();
        let entry = entries.get_mut(&id).filter(|e| e.touched.elapsed() < self.ttl);
        let entry = entry.ok_or_else(|| RpcError::new(code::SERVER, "filter not found"))?;
        entry.touched = Instant::now();
        Ok(Arc::clone(&entry.watch))
    }

    /// Whether the filter was there.
    pub(crate) fn uninstall(&self, id: u128) -> bool {
        self.entries.lock().remove(&id).is_some()
    }

    /// Forgets filters that nobody polls.
    pub(crate) fn sweep(&self) {
        self.drop_expired(&mut self.entries.lock());
    }

    fn drop_expired(&self, entries: &mut HashMap<u128, Entry>) {
        entries.retain(|_, e| e.touched.elapsed() < self.ttl);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_limited_and_expire() {
        let filters = Filters::new(2, Duration::from_secs(60));
        let first = filters.install(Watch::Blocks { next: Height::ZERO }).unwrap();
        let second = filters.install(Watch::Blocks { next: Height::ZERO }).unwrap();
        assert_ne!(first, second);
        let refused = filters.install(Watch::Blocks { next: Height::ZERO }).unwrap_err();
        assert_eq!(refused.code, code::LIMIT);
        assert!(filters.uninstall(first));
        assert!(!filters.uninstall(first));
        assert!(filters.get(first).is_err());
        assert!(filters.get(second).is_ok());

        let short = Filters::new(1, Duration::ZERO);
        let gone = short.install(Watch::Blocks { next: Height::ZERO }).unwrap();
        assert!(short.get(gone).is_err());
        short.install(Watch::Blocks { next: Height::ZERO }).unwrap();
    }
}
