//! A cache of the final state's values that many snapshots may share.
//!
//! Each entry carries the height since which it holds, so that a view of an older head never reads a newer value, and a
//! reader of an older head never writes its value over a newer one. Two generations approximate least-recently-used.

use crate::changes::{Account, Changes};
use alloy::primitives::{Address, U256, map::HashMap};
use parking_lot::Mutex;
use std::hash::{BuildHasher, Hash};

const SHARDS: usize = 16;

#[derive(Debug)]
struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    limit: usize,
}

impl<K: Eq + Hash + Copy, V: Copy> Generations<K, V> {
    fn new(limit: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), limit: limit.max(1) }
    }

    fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(*value);
        }
        let value = self.old.remove(key)?;
        self.insert(*key, value);
        Some(value)
    }

    fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.limit {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }
}

#[derive(Debug)]
struct Shard<K, V> {
    height: u64,
    values: Generations<K, (u64, V)>,
}

/// Values by key, sharded.
struct Shards<K, V> {
    shards: Vec<Mutex<Shard<K, V>>>,
    hasher: alloy::primitives::map::DefaultHashBuilder,
}

impl<K: Eq + Hash + Copy, V: Copy> Shards<K, V> {
    fn new(entries: usize, height: u64) -> Self {
        let limit = entries / SHARDS / 2;
        let shard = || Mutex::new(Shard { height, values: Generations::new(limit) });
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            hasher: alloy::primitives::map::DefaultHashBuilder::default(),
        }
    }

    fn shard(&self, key: &K) -> &Mutex<Shard<K, V>> {
        let hash = self.hasher.hash_one(key);
        &self.shards[usize::try_from(hash >> 60).unwrap_or(0) % SHARDS]
    }

    /// The value at head `height`, read with `load` if it is not here.
    fn get_or<E>(&self, key: K, height: u64, load: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        let shard = self.shard(&key);
        if let Some((since, value)) = shard.lock().values.get(&key)
            && since <= height
        {
            return Ok(value);
        }
        let value = load()?;
        let mut shard = shard.lock();
        if shard.height == height {
            shard.values.insert(key, (height, value));
        }
        Ok(value)
    }

    fn advance(&self, height: u64, changed: impl Iterator<Item = (K, V)>) {
        for shard in &self.shards {
            shard.lock().height = height;
        }
        for (key, value) in changed {
            self.shard(&key).lock().values.insert(key, (height, value));
        }
    }
}

/// The cache.
pub(crate) struct ValueCache {
    accounts: Shards<Address, Option<Account>>,
    slots: Shards<(Address, U256), U256>,
}

impl std::fmt::Debug for ValueCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ValueCache").finish_non_exhaustive()
    }
}

impl ValueCache {
    pub(crate) fn new(accounts: usize, slots: usize, height: u64) -> Self {
        Self { accounts: Shards::new(accounts, height), slots: Shards::new(slots, height) }
    }

    pub(crate) fn account<E>(
        &self,
        address: Address,
        height: u64,
        load: impl FnOnce() -> Result<Option<Account>, E>,
    ) -> Result<Option<Account>, E> {
        self.accounts.get_or(address, height, load)
    }

    pub(crate) fn slot<E>(
        &self,
        address: Address,
        slot: U256,
        height: u64,
        load: impl FnOnce() -> Result<U256, E>,
    ) -> Result<U256, E> {
        self.slots.get_or((address, slot), height, load)
    }

    /// Moves the head to `height`. Call after the commit and before any view of the new head exists.
    pub(crate) fn advance(&self, height: u64, changes: &Changes) {
        self.accounts.advance(height, changes.accounts.iter().map(|(address, change)| (*address, change.after)));
        let slots = changes
            .accounts
            .iter()
            .flat_map(|(address, change)| change.slots.iter().map(|(slot, change)| ((*address, *slot), change.after)));
        self.slots.advance(height, slots);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(nonce: u64) -> Option<Account> {
        Some(Account { nonce, balance: U256::ZERO, code_hash: alloy::primitives::KECCAK256_EMPTY })
    }

    fn read(cache: &ValueCache, height: u64, stored: u64) -> u64 {
        let loaded = cache.account(Address::ZERO, height, || Ok::<_, ()>(account(stored)));
        loaded.unwrap().unwrap().nonce
    }

    #[test]
    fn a_view_of_an_old_head_neither_reads_nor_writes_newer_values() {
        let cache = ValueCache::new(64, 64, 5);
        assert_eq!(read(&cache, 5, 1), 1);
        assert_eq!(read(&cache, 5, 99), 1, "the second read is cached");
        let mut changes = Changes::default();
        changes.accounts.insert(
            Address::ZERO,
            crate::changes::AccountChange {
                hashed: alloy::primitives::keccak256(Address::ZERO),
                before: account(1),
                after: account(2),
                slots: HashMap::default(),
            },
        );
        cache.advance(6, &changes);
        assert_eq!(read(&cache, 5, 1), 1, "the old view reads its own store");
        assert_eq!(read(&cache, 6, 99), 2, "the new view reads the cache");
    }
}
