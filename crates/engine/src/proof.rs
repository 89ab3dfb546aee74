//! `eth_getProof` against the state root of any block whose state is kept.

use crate::{
    changes::{Account, hash_slot},
    engine::{BlockRef, Engine},
    error::{ReadError, StoreError},
    state::{Base, StateView},
    store::{Before, Key, Snapshot},
    trie::{AccountLeaf, Trie},
};
use alloy::{
    primitives::{Address, B256, KECCAK256_EMPTY, U256, keccak256},
    rpc::types::{EIP1186AccountProofResponse, EIP1186StorageProof},
    serde::JsonStorageKey,
};
use alloy_trie::EMPTY_ROOT_HASH;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

impl Engine {
    /// The account at `address` and some of its slots, with the trie nodes that prove them (or their absence) against the
    /// state root of the block. The state of an older block is rebuilt from the history, which takes time in proportion to
    /// what changed since.
    ///
    /// # Errors
    /// If the state is not there, or rebuilding it takes longer than a call may.
    pub fn proof(
        &self,
        at: BlockRef,
        address: Address,
        slots: &[U256],
    ) -> Result<EIP1186AccountProofResponse, ReadError> {
        let view = self.state(at)?;
        let trie = trie_of(&view, self.shared.config.call_timeout)?;
        let snapshot: &Snapshot = &view.base.snapshot;
        let hashed = keccak256(address);
        let (account_proof, leaf) = trie.prove(&hashed, snapshot)?;
        let storage = leaf.as_ref().map_or(Trie::Empty, |leaf| leaf.storage.clone());
        let storage_proof = slots
            .iter()
            .map(|slot| {
                let key = B256::from(*slot);
                let (proof, value) = storage.prove(&keccak256(key), snapshot)?;
                let value = value.unwrap_or_default();
                Ok(EIP1186StorageProof { key: JsonStorageKey::Hash(key), value, proof })
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(EIP1186AccountProofResponse {
            address,
            balance: leaf.as_ref().map_or(U256::ZERO, |leaf| leaf.balance),
            code_hash: leaf.as_ref().map_or(KECCAK256_EMPTY, |leaf| leaf.code_hash),
            nonce: leaf.as_ref().map_or(0, |leaf| leaf.nonce),
            storage_hash: storage.root().unwrap_or(EMPTY_ROOT_HASH),
            account_proof,
            storage_proof,
        })
    }
}

/// The trie of a state; an old one takes at most `limit` to rebuild.
pub(crate) fn trie_of(view: &StateView, limit: Duration) -> Result<Trie<AccountLeaf>, ReadError> {
    match &view.past {
        None => Ok(view.trie().clone()),
        Some((_, header)) => rebuild(&view.base, header.number, header.state_root, limit),
    }
}

/// An account as it was at some height, and the slots that have changed since then.
#[derive(Default)]
struct Undone {
    account: Option<Account>,
    slots: Vec<(B256, U256)>,
}

/// The trie after block `height`: the written trie with everything undone that changed since.
fn rebuild(base: &Base, height: u64, expected: B256, limit: Duration) -> Result<Trie<AccountLeaf>, ReadError> {
    let deadline = Instant::now() + limit;
    let in_time = || match Instant::now() < deadline {
        true => Ok(()),
        false => Err(ReadError::Timeout { height, millis: limit.as_millis() }),
    };
    let snapshot: &Snapshot = &base.snapshot;
    // What was before the oldest change is what was at the height.
    let mut undone = BTreeMap::new();
    for changed in (height + 1..=base.written).rev() {
        in_time()?;
        snapshot.changed(changed, |key, before| {
            undone.insert(key, before);
        })?;
    }
    let mut accounts: BTreeMap<B256, Undone> = BTreeMap::new();
    for (key, before) in undone {
        match (key, before) {
            (Key::Account(address), Before::Account(before)) => {
                accounts.entry(keccak256(address)).or_default().account = before;
            }
            (Key::Slot(address, slot), Before::Slot(before)) => {
                accounts.entry(keccak256(address)).or_default().slots.push((hash_slot(slot), before));
            }
            _ => return Err(StoreError::Row { table: "changes" }.into()),
        }
    }
    let mut trie = base.written_trie.clone();
    for (hashed, Undone { account, slots }) in &accounts {
        in_time()?;
        let Some(Account { nonce, balance, code_hash }) = *account else {
            trie.remove(hashed, snapshot, 0)?;
            continue;
        };
        trie.update(hashed, snapshot, 0, |now| {
            let mut storage = now.map_or(Trie::Empty, |leaf| leaf.storage.clone());
            for (slot, value) in slots {
                if value.is_zero() {
                    storage.remove(slot, snapshot, 0)?;
                } else {
                    storage.insert(slot, *value, snapshot, 0)?;
                }
            }
            storage.seal(slots.len());
            Ok(AccountLeaf { nonce, balance, code_hash, storage })
        })?;
    }
    let found = trie.seal(accounts.len());
    if found == expected { Ok(trie) } else { Err(StoreError::HistoryRoot { height, expected, found }.into()) }
}
