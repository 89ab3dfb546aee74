//! The whole final state against its root, by an independent computation.

use crate::{
    changes::Account,
    engine::Engine,
    error::StoreError,
    trie::{AccountLeaf, Nowhere, Rows, Trie},
};
use alloy_trie::{
    Nibbles, TrieAccount,
    root::{state_root_unsorted, storage_root_unsorted},
};
use std::collections::BTreeMap;

impl Engine {
    /// Checks that the accounts and slots on disk give the final head's state root, and that the trie's rows are exactly
    /// those of a trie made afresh: slow, for `doctor` and tests.
    ///
    /// # Errors
    /// If the store fails, a root differs, or a row is stale, missing or left over.
    pub fn check_state(&self) -> Result<(), StoreError> {
        let base = self.all_written()?;
        let differs = |expected, found| StoreError::HistoryRoot { height: base.height, expected, found };
        let (mut trie, mut rows) = (Trie::Empty, Rows::new());
        let mut storage_rows = BTreeMap::new();
        let mut accounts = Vec::new();
        for (hashed, account, storage_root) in base.snapshot.all_accounts()? {
            let slots = base.snapshot.all_slots(&hashed)?;
            let (mut storage, mut slot_rows) = (Trie::Empty, Rows::new());
            for (slot, value) in &slots {
                storage.insert(slot, *value, &Nowhere, 0, &mut slot_rows)?;
            }
            storage.seal(slots.len(), &mut slot_rows);
            collect(&mut storage_rows, hashed.as_slice(), slot_rows);
            let found = storage_root_unsorted(slots);
            if found != storage_root {
                return Err(differs(storage_root, found));
            }
            let Account { nonce, balance, code_hash } = account;
            accounts.push((hashed, TrieAccount::new(nonce, balance, storage_root, code_hash)));
            trie.insert(&hashed, AccountLeaf { nonce, balance, code_hash, storage }, &Nowhere, 0, &mut rows)?;
        }
        trie.seal(accounts.len(), &mut rows);
        let (found, expected) = (state_root_unsorted(accounts), base.header.state_root);
        if found != expected {
            return Err(differs(expected, found));
        }
        let mut account_rows = BTreeMap::new();
        collect(&mut account_rows, &[], rows);
        let (stored_accounts, stored_storage) = base.snapshot.all_nodes()?;
        if stored_accounts != account_rows {
            return Err(StoreError::Row { table: "account_nodes" });
        }
        if stored_storage != storage_rows {
            return Err(StoreError::Row { table: "storage_nodes" });
        }
        Ok(())
    }
}

fn collect(into: &mut BTreeMap<Vec<u8>, Vec<u8>>, prefix: &[u8], rows: Vec<(Nibbles, Option<Vec<u8>>)>) {
    for (path, row) in rows {
        let key = [prefix, path.to_vec().as_slice()].concat();
        match row {
            Some(row) => into.insert(key, row),
            None => into.remove(&key),
        };
    }
}
