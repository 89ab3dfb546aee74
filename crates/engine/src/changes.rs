//! What a block changes in the state: the unit that layers, history and the trie share.

use crate::{
    error::StoreError,
    trie::{AccountLeaf, Rows, Source, Trie},
};
use alloy::primitives::{
    Address, B256, KECCAK256_EMPTY, U256, keccak256,
    map::{AddressMap, B256Map, HashMap},
};
use alloy_trie::EMPTY_ROOT_HASH;
use rayon::prelude::*;
use revm::{bytecode::Bytecode, state::AccountInfo};

/// An account as the state keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// Nonce.
    pub(crate) nonce: u64,
    /// Balance, wei.
    pub(crate) balance: U256,
    /// Hash of the code.
    pub(crate) code_hash: B256,
}

impl Account {
    pub(crate) fn of(info: &AccountInfo) -> Self {
        Self { nonce: info.nonce, balance: info.balance, code_hash: info.code_hash }
    }

    pub(crate) fn info(&self) -> AccountInfo {
        AccountInfo {
            nonce: self.nonce,
            balance: self.balance,
            code_hash: self.code_hash,
            code: (self.code_hash == KECCAK256_EMPTY).then(Bytecode::default),
            ..AccountInfo::default()
        }
    }
}

/// One slot's change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotChange {
    /// keccak256 of the slot.
    pub(crate) hashed: B256,
    /// Value before the block.
    pub(crate) before: U256,
    /// Value after it.
    pub(crate) after: U256,
}

/// One account's change.
#[derive(Clone, Debug)]
pub(crate) struct AccountChange {
    /// keccak256 of the address.
    pub(crate) hashed: B256,
    /// Before the block.
    pub(crate) before: Option<Account>,
    /// After it.
    pub(crate) after: Option<Account>,
    /// Slots whose value changed.
    pub(crate) slots: HashMap<U256, SlotChange>,
}

/// Everything a block changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    /// By address. An account is here if it or its storage changed.
    pub(crate) accounts: AddressMap<AccountChange>,
    /// Code created, by hash.
    pub(crate) codes: B256Map<Bytecode>,
}

/// What a block changes in the tables of the tries.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrieRows {
    /// Rows of the account trie.
    pub(crate) accounts: Rows,
    /// Rows of storage tries by hashed address.
    pub(crate) storage: Vec<(B256, Rows)>,
    /// Storage roots of the changed accounts that exist, by hashed address.
    pub(crate) roots: B256Map<B256>,
}

/// Where the nodes of an account's storage trie come from.
pub(crate) trait Storages: Source<AccountLeaf> + Sync {
    /// The source of one account's storage trie.
    fn storage<'a>(&'a self, hashed_address: &B256) -> impl Source<U256> + 'a;
}

impl Changes {
    /// The change of a whole state: `accounts` on top of nothing.
    pub(crate) fn genesis<'a>(
        accounts: impl Iterator<Item = (&'a Address, Account, Option<Bytecode>, Vec<(U256, U256)>)>,
    ) -> Self {
        let mut changes = Self::default();
        for (address, account, code, storage) in accounts {
            if let Some(code) = code {
                changes.codes.insert(account.code_hash, code);
            }
            let slots = storage
                .into_iter()
                .filter(|(_, value)| !value.is_zero())
                .map(|(slot, after)| (slot, SlotChange { hashed: hash_slot(slot), before: U256::ZERO, after }))
                .collect();
            let change = AccountChange { hashed: keccak256(address), before: None, after: Some(account), slots };
            changes.accounts.insert(*address, change);
        }
        changes
    }

    /// Applies the changes to `parent` and returns the sealed trie, its root and the rows to write.
    pub(crate) fn apply(
        &self,
        parent: &Trie<AccountLeaf>,
        source: &impl Storages,
        height: u64,
    ) -> Result<(Trie<AccountLeaf>, B256, TrieRows), StoreError> {
        let mut changes: Vec<&AccountChange> = self.accounts.values().collect();
        changes.sort_unstable_by_key(|change| change.hashed);
        let apply = |change: &&AccountChange| -> Result<(Option<AccountLeaf>, Rows), StoreError> {
            let mut rows = Rows::new();
            let Some(after) = change.after else {
                // EIP-6780 and EIP-684 leave no way to remove an account that had storage before the block.
                return match parent.get(&change.hashed, source)? {
                    Some(leaf) if leaf.storage.root() != Some(EMPTY_ROOT_HASH) => {
                        Err(StoreError::RemovedWithStorage(change.hashed))
                    }
                    Some(_) | None => Ok((None, rows)),
                };
            };
            let mut storage = match (change.before, change.slots.is_empty()) {
                (None, true) => Trie::Empty,
                _ => parent.get(&change.hashed, source)?.map_or(Trie::Empty, |leaf| leaf.storage),
            };
            let source = source.storage(&change.hashed);
            for slot in change.slots.values() {
                if slot.after.is_zero() {
                    storage.remove(&slot.hashed, &source, height, &mut rows)?;
                } else {
                    storage.insert(&slot.hashed, slot.after, &source, height, &mut rows)?;
                }
            }
            storage.seal(change.slots.len(), &mut rows);
            let Account { nonce, balance, code_hash } = after;
            Ok((Some(AccountLeaf { nonce, balance, code_hash, storage }), rows))
        };
        let slots: usize = changes.iter().map(|change| change.slots.len()).sum();
        let leaves: Vec<(Option<AccountLeaf>, Rows)> = if changes.len() + slots >= 256 {
            changes.par_iter().map(apply).collect::<Result<_, _>>()?
        } else {
            changes.iter().map(apply).collect::<Result<_, _>>()?
        };
        let mut trie = parent.clone();
        let mut rows = TrieRows::default();
        for (change, (leaf, storage)) in changes.iter().zip(leaves) {
            match leaf {
                Some(leaf) => {
                    rows.roots.insert(change.hashed, leaf.storage.root().unwrap_or(EMPTY_ROOT_HASH));
                    trie.insert(&change.hashed, leaf, source, height, &mut rows.accounts)?;
                }
                None => trie.remove(&change.hashed, source, height, &mut rows.accounts)?,
            }
            if !storage.is_empty() {
                rows.storage.push((change.hashed, storage));
            }
        }
        let root = trie.seal(changes.len(), &mut rows.accounts);
        Ok((trie, root, rows))
    }
}

/// keccak256 of a slot's 32 bytes.
pub(crate) fn hash_slot(slot: U256) -> B256 {
    keccak256(slot.to_be_bytes::<32>())
}
