//! What a block changes in the state: the unit that layers, history and the trie share.

use crate::{
    error::StoreError,
    trie::{AccountLeaf, Source, Trie},
};
use alloy::primitives::{
    Address, B256, KECCAK256_EMPTY, U256, keccak256,
    map::{AddressMap, B256Map, HashMap},
};
use alloy_trie::EMPTY_ROOT_HASH;
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

    /// Applies the changes to `parent` and returns the sealed trie and its root.
    pub(crate) fn apply(
        &self,
        parent: &Trie<AccountLeaf>,
        source: &impl Source,
        height: u64,
    ) -> Result<(Trie<AccountLeaf>, B256), StoreError> {
        let mut kept: Vec<(B256, (&AccountChange, Account))> = Vec::with_capacity(self.accounts.len());
        let mut removed = Vec::new();
        for change in self.accounts.values() {
            match change.after {
                Some(after) => kept.push((change.hashed, (change, after))),
                None => removed.push(change.hashed),
            }
        }
        kept.sort_unstable_by_key(|(hashed, _)| *hashed);
        let mut trie = parent.clone();
        trie.update_all(&kept, source, height, |(change, after), before| {
            // An account that was not there before the block starts without storage, whatever it had.
            let before = before.filter(|_| change.before.is_some() || !change.slots.is_empty());
            let mut storage = before.map_or(Trie::Empty, |leaf| leaf.storage.clone());
            for slot in change.slots.values() {
                if slot.after.is_zero() {
                    storage.remove(&slot.hashed, source, height)?;
                } else {
                    storage.insert(&slot.hashed, slot.after, source, height)?;
                }
            }
            storage.seal(change.slots.len());
            let Account { nonce, balance, code_hash } = *after;
            Ok(AccountLeaf { nonce, balance, code_hash, storage })
        })?;
        for hashed in removed {
            // EIP-6780 and EIP-684 leave no way to remove an account that had storage before the block.
            match trie.get(&hashed, source)? {
                Some(leaf) if leaf.storage.root() != Some(EMPTY_ROOT_HASH) => {
                    return Err(StoreError::RemovedWithStorage(hashed));
                }
                Some(_) => trie.remove(&hashed, source, height)?,
                None => {}
            }
        }
        let root = trie.seal(self.accounts.len());
        Ok((trie, root))
    }
}

/// keccak256 of a slot's 32 bytes.
pub(crate) fn hash_slot(slot: U256) -> B256 {
    keccak256(slot.to_be_bytes::<32>())
}
