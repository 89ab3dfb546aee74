//! State roots of simulated blocks: the trie of the block below, with what each simulated block changed.

use crate::{
    changes::{Account, hash_slot},
    error::{ReadError, StoreError},
    proof::trie_of,
    state::StateView,
    trie::{AccountLeaf, Trie},
};
use alloy::{
    primitives::{Address, B256, U256, keccak256},
    rpc::types::state::StateOverride,
};
use revm::{database::AccountState, database::CacheDB, state::EvmState};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The trie, and what has changed since it was last hashed.
pub(crate) struct Roots {
    trie: Trie<AccountLeaf>,
    changed: BTreeMap<Address, Changed>,
}

#[derive(Default)]
struct Changed {
    slots: BTreeSet<U256>,
    /// Whether all slots that are not among `slots` are zero now.
    cleared: bool,
}

impl Roots {
    pub(crate) fn new(view: &StateView, limit: Duration) -> Result<Self, ReadError> {
        Ok(Self { trie: trie_of(view, limit)?, changed: BTreeMap::new() })
    }

    /// Notes what a caller overrides.
    pub(crate) fn overridden(&mut self, overrides: &StateOverride) {
        for (address, account) in overrides {
            let changed = self.changed.entry(*address).or_default();
            if let Some(state) = &account.state {
                changed.cleared = true;
                changed.slots = state.keys().map(|slot| U256::from_be_bytes(slot.0)).collect();
            }
            changed
                .slots
                .extend(account.state_diff.iter().flat_map(|diff| diff.keys()).map(|s| U256::from_be_bytes(s.0)));
        }
    }

    /// Notes what a transaction changed.
    pub(crate) fn executed(&mut self, state: &EvmState) {
        for (address, account) in state.iter().filter(|(_, account)| account.is_touched()) {
            let changed = self.changed.entry(*address).or_default();
            changed.slots.extend(account.changed_storage_slots().map(|(slot, _)| *slot));
        }
    }

    /// The root of the state that `database` has now.
    pub(crate) fn root(&mut self, database: &CacheDB<StateView>, height: u64) -> Result<B256, StoreError> {
        let source = &*database.db.base.snapshot;
        let changed = std::mem::take(&mut self.changed);
        for (address, Changed { slots, cleared }) in &changed {
            let Some(account) = database.cache.accounts.get(address) else { continue };
            let hashed = keccak256(address);
            if account.account_state == AccountState::NotExisting || account.info.is_empty() {
                self.trie.remove(&hashed, source, height)?;
                continue;
            }
            let before = if *cleared { None } else { self.trie.get(&hashed, source)? };
            let mut storage = before.map_or(Trie::Empty, |leaf| leaf.storage);
            for slot in slots {
                let value = account.storage.get(slot).copied().unwrap_or_default();
                let hashed = hash_slot(*slot);
                if value.is_zero() {
                    storage.remove(&hashed, source, height)?;
                } else {
                    storage.insert(&hashed, value, source, height)?;
                }
            }
            storage.seal(slots.len());
            let Account { nonce, balance, code_hash } = Account::of(&account.info);
            self.trie.insert(&hashed, AccountLeaf { nonce, balance, code_hash, storage }, source, height)?;
        }
        Ok(self.trie.seal(changed.len()))
    }
}
