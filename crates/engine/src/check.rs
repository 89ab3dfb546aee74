//! The whole final state against its root, by an independent computation.

use crate::{engine::Engine, error::StoreError, trie::AccountLeaf};
use alloy_trie::root::{state_root_unsorted, storage_root_unsorted};

impl Engine {
    /// Checks that every node of the written trie is there and has its hash, and that its accounts and slots give the final
    /// head's state root: slow, for `doctor` and tests.
    ///
    /// # Errors
    /// If the store fails, a node is missing or wrong, or a root differs.
    pub fn check_state(&self) -> Result<(), StoreError> {
        let base = self.all_written()?;
        let source = &*base.snapshot;
        let differs = |expected, found| StoreError::HistoryRoot { height: base.height, expected, found };
        let mut accounts = Vec::new();
        let mut visit = |hashed, account: &AccountLeaf| {
            let mut slots = Vec::new();
            account.storage.each(source, &mut |slot, value| {
                slots.push((slot, *value));
                Ok(())
            })?;
            let (found, named) = (storage_root_unsorted(slots), account.trie_account());
            if found != named.storage_root {
                return Err(differs(named.storage_root, found));
            }
            accounts.push((hashed, named));
            Ok(())
        };
        // Not the nodes in memory: what a restarted process would find.
        source.trie(base.header.state_root)?.each(source, &mut visit)?;
        let (found, expected) = (state_root_unsorted(accounts), base.header.state_root);
        if found != expected { Err(differs(expected, found)) } else { Ok(()) }
    }
}
