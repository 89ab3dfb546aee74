//! Reading a state: the layers of the unfinalized blocks over those of the final ones that are not written, over a snapshot.

use crate::{
    cache::ValueCache,
    changes::{Account, hash_slot},
    error::StoreError,
    executed::ExecutedBlock,
    store::{Before, Key, Outcome, Snapshot},
    trie::{AccountLeaf, Trie},
};
use alloy::primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use baton_primitives::{Header, RecoveredBlock};
use lru::LruCache;
use parking_lot::Mutex;
use revm::{
    bytecode::Bytecode,
    database_interface::{Database, DatabaseRef},
    primitives::{StorageKey, StorageValue},
    state::AccountInfo,
};
use std::{collections::BTreeMap, sync::Arc};

/// A final block and everything final below it: what is written, and the blocks since then, which are in memory until several
/// of them are written together.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) snapshot: Arc<Snapshot>,
    /// Height of the snapshot.
    pub(crate) written: u64,
    /// The final blocks above the snapshot, newest first.
    pub(crate) unwritten: Vec<Arc<ExecutedBlock>>,
    pub(crate) height: u64,
    pub(crate) hash: B256,
    pub(crate) header: Header,
    pub(crate) outcome: Outcome,
    /// Oldest height whose state can be read.
    pub(crate) oldest: u64,
    pub(crate) trie: Trie<AccountLeaf>,
    /// The trie after the block at `written`.
    pub(crate) written_trie: Trie<AccountLeaf>,
}

impl Base {
    /// The head of a snapshot; with its trie in memory if it is `top`.
    pub(crate) fn written(snapshot: Snapshot, top: Option<&ExecutedBlock>) -> Result<Self, StoreError> {
        let absent = |table: &'static str| StoreError::Absent { table };
        let height = snapshot.meta_u64("head")?.ok_or(absent("meta"))?;
        let oldest = snapshot.meta_u64("history")?.ok_or(absent("meta"))?;
        let (hash, header, outcome, trie) = match top {
            Some(top) => (top.hash(), top.block.header().clone(), top.outcome(), top.trie.clone()),
            None => {
                let (hash, header) = snapshot.header(height)?.ok_or(absent("headers"))?;
                let outcome = snapshot.outcome(height)?.ok_or(absent("outcomes"))?;
                let trie = snapshot.trie(header.state_root)?;
                (hash, header, outcome, trie)
            }
        };
        let (snapshot, unwritten, written_trie) = (Arc::new(snapshot), Vec::new(), trie.clone());
        Ok(Self { snapshot, written: height, unwritten, height, hash, header, outcome, oldest, trie, written_trie })
    }

    /// The head after `top`, the first of `unwritten`, which follow the snapshot of this one, newest first.
    pub(crate) fn over(&self, top: &ExecutedBlock, unwritten: Vec<Arc<ExecutedBlock>>) -> Self {
        Self {
            snapshot: self.snapshot.clone(),
            written: self.written,
            height: top.height(),
            hash: top.hash(),
            header: top.block.header().clone(),
            outcome: top.outcome(),
            oldest: self.oldest,
            trie: top.trie.clone(),
            written_trie: self.written_trie.clone(),
            unwritten,
        }
    }

    /// A final block that is not written.
    pub(crate) fn unwritten(&self, height: u64) -> Option<&Arc<ExecutedBlock>> {
        self.unwritten.iter().find(|block| block.height() == height)
    }

    /// Hash and header of a final block.
    pub(crate) fn header_at(&self, height: u64) -> Result<Option<(B256, Header)>, StoreError> {
        match self.unwritten(height) {
            Some(block) => Ok(Some((block.hash(), block.block.header().clone()))),
            None => self.snapshot.header(height),
        }
    }

    /// Hash of a final block.
    pub(crate) fn hash_at(&self, height: u64) -> Result<Option<B256>, StoreError> {
        match self.unwritten(height) {
            Some(block) => Ok(Some(block.hash())),
            None => self.snapshot.hash(height),
        }
    }

    /// Height of a final block.
    pub(crate) fn height_of(&self, hash: &B256) -> Result<Option<u64>, StoreError> {
        match self.unwritten.iter().find(|block| block.hash() == *hash) {
            Some(block) => Ok(Some(block.height())),
            None => self.snapshot.height(hash),
        }
    }

    fn account(&self, address: Address) -> Result<Option<Account>, StoreError> {
        Ok(self.trie.get(&keccak256(address), &*self.snapshot)?.map(|leaf| leaf.account()))
    }

    fn slot(&self, address: Address, slot: U256) -> Result<U256, StoreError> {
        self.slot_in(&self.trie, &keccak256(address), &hash_slot(slot))
    }

    fn slot_in(&self, trie: &Trie<AccountLeaf>, address: &B256, slot: &B256) -> Result<U256, StoreError> {
        let Some(leaf) = trie.get(address, &*self.snapshot)? else { return Ok(U256::ZERO) };
        Ok(leaf.storage.get(slot, &*self.snapshot)?.unwrap_or_default())
    }

    /// The account as it was after block `height`, which is written and whose history is kept.
    pub(crate) fn account_at(&self, address: Address, height: u64) -> Result<Option<Account>, StoreError> {
        match self.snapshot.before(&Key::Account(address), height)? {
            Some(Before::Account(before)) => Ok(before),
            Some(Before::Slot(_)) => Err(StoreError::Row { table: "changes" }),
            None => Ok(self.written_trie.get(&keccak256(address), &*self.snapshot)?.map(|leaf| leaf.account())),
        }
    }

    /// The slot as it was after block `height`, which is written and whose history is kept.
    pub(crate) fn slot_at(&self, address: Address, slot: U256, height: u64) -> Result<U256, StoreError> {
        match self.snapshot.before(&Key::Slot(address, slot), height)? {
            Some(Before::Slot(before)) => Ok(before),
            Some(Before::Account(_)) => Err(StoreError::Row { table: "changes" }),
            None => self.slot_in(&self.written_trie, &keccak256(address), &hash_slot(slot)),
        }
    }

    fn code(&self, hash: &B256) -> Result<Bytecode, StoreError> {
        if let Some(code) = self.unwritten.iter().find_map(|block| block.changes.codes.get(hash)) {
            return Ok(code.clone());
        }
        let bytes = self.snapshot.code(hash)?.ok_or(StoreError::Code(*hash))?;
        Bytecode::new_raw_checked(bytes.into()).map_err(|_| StoreError::Row { table: "codes" })
    }
}

/// Caches that all views share.
#[derive(Debug)]
pub(crate) struct Caches {
    pub(crate) values: ValueCache,
    pub(crate) codes: Mutex<LruCache<B256, Bytecode>>,
    /// Written blocks, by height.
    pub(crate) blocks: Mutex<LruCache<u64, Arc<RecoveredBlock>>>,
}

/// The state after one block. Cheap to clone; holds its snapshot while it lives, so do not keep it for long.
#[derive(Clone, Debug)]
pub struct StateView {
    /// Unfinalized blocks, newest first.
    pub(crate) layers: Arc<[Arc<ExecutedBlock>]>,
    pub(crate) base: Arc<Base>,
    pub(crate) caches: Arc<Caches>,
    /// Set for a state older than the base.
    pub(crate) past: Option<(B256, Box<Header>)>,
}

impl StateView {
    /// Hash of the block.
    pub fn hash(&self) -> B256 {
        match (&self.past, self.layers.first()) {
            (Some((hash, _)), _) => *hash,
            (None, Some(top)) => top.hash(),
            (None, None) => self.base.hash,
        }
    }

    /// Header of the block.
    pub fn header(&self) -> &Header {
        match (&self.past, self.layers.first()) {
            (Some((_, header)), _) => header,
            (None, Some(top)) => top.block.header(),
            (None, None) => &self.base.header,
        }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        self.layers.first().map_or(self.base.outcome, |top| top.outcome())
    }

    pub(crate) fn trie(&self) -> &Trie<AccountLeaf> {
        self.layers.first().map_or(&self.base.trie, |top| &top.trie)
    }

    fn account(&self, address: Address) -> Result<Option<Account>, StoreError> {
        if let Some((_, header)) = &self.past {
            return self.base.account_at(address, header.number);
        }
        for layer in self.layers.iter() {
            if let Some(change) = layer.changes.accounts.get(&address) {
                return Ok(change.after);
            }
        }
        self.caches.values.account(address, self.base.height, || self.base.account(address))
    }

    fn slot(&self, address: Address, slot: U256) -> Result<U256, StoreError> {
        if let Some((_, header)) = &self.past {
            return self.base.slot_at(address, slot, header.number);
        }
        for layer in self.layers.iter() {
            if let Some(change) = layer.changes.accounts.get(&address)
                && let Some(change) = change.slots.get(&slot)
            {
                return Ok(change.after);
            }
        }
        self.caches.values.slot(address, slot, self.base.height, || self.base.slot(address, slot))
    }

    fn code_by_hash(&self, hash: B256) -> Result<Bytecode, StoreError> {
        if hash == KECCAK256_EMPTY || hash.is_zero() {
            return Ok(Bytecode::default());
        }
        if let Some(code) = self.caches.codes.lock().get(&hash) {
            return Ok(code.clone());
        }
        for layer in self.layers.iter() {
            if let Some(code) = layer.changes.codes.get(&hash) {
                return Ok(code.clone());
            }
        }
        let code = self.base.code(&hash)?;
        self.caches.codes.lock().put(hash, code.clone());
        Ok(code)
    }

    fn hash_of(&self, height: u64) -> Result<B256, StoreError> {
        let layer = self.layers.iter().find(|layer| layer.height() == height);
        match layer {
            Some(layer) => Ok(layer.hash()),
            None if height > self.header().number => Ok(B256::ZERO),
            None => Ok(self.base.hash_at(height)?.unwrap_or_default()),
        }
    }

    /// Balance of an account, wei.
    ///
    /// # Errors
    /// If the store fails.
    pub fn balance(&self, address: Address) -> Result<U256, StoreError> {
        Ok(self.account(address)?.map_or(U256::ZERO, |account| account.balance))
    }

    /// Next nonce of an account.
    ///
    /// # Errors
    /// If the store fails.
    pub fn nonce(&self, address: Address) -> Result<u64, StoreError> {
        Ok(self.account(address)?.map_or(0, |account| account.nonce))
    }

    /// Code of an account.
    ///
    /// # Errors
    /// If the store fails.
    pub fn code(&self, address: Address) -> Result<Bytes, StoreError> {
        match self.account(address)? {
            Some(account) => Ok(self.code_by_hash(account.code_hash)?.original_bytes()),
            None => Ok(Bytes::new()),
        }
    }

    /// Value of a storage slot.
    ///
    /// # Errors
    /// If the store fails.
    pub fn storage_at(&self, address: Address, slot: U256) -> Result<U256, StoreError> {
        self.slot(address, slot)
    }
}

impl DatabaseRef for StateView {
    type Error = StoreError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StoreError> {
        Ok(self.account(address)?.map(|account| account.info()))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, StoreError> {
        self.code_by_hash(hash)
    }

    fn storage_ref(&self, address: Address, index: StorageKey) -> Result<StorageValue, StoreError> {
        self.slot(address, index)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, StoreError> {
        self.hash_of(number)
    }
}

/// An account that was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// keccak256 of the address.
    pub(crate) hashed: B256,
    pub(crate) before: Option<Account>,
}

/// A view through which one block executes; it remembers what it read, which is what the block's changes start from.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) view: StateView,
    pub(crate) accounts: alloy::primitives::map::AddressMap<Known>,
    pub(crate) slots: alloy::primitives::map::HashMap<(Address, U256), U256>,
    /// The view's trie; what [`Self::warm`] loaded is in its memory.
    pub(crate) trie: Trie<AccountLeaf>,
    /// Hashes of blocks, where the view is not of a chain that knows them.
    hashes: Option<BTreeMap<u64, B256>>,
}

impl Recorder {
    pub(crate) fn new(view: StateView) -> Self {
        let trie = view.trie().clone();
        Self { view, accounts: Default::default(), slots: Default::default(), trie, hashes: None }
    }

    /// As [`Self::new`], over a state without a chain: `hashes` tells the hashes of earlier blocks by number.
    pub(crate) fn with_hashes(view: StateView, hashes: BTreeMap<u64, B256>) -> Self {
        Self { hashes: Some(hashes), ..Self::new(view) }
    }

    /// Reads accounts that the block at `height` is going to touch, on all processors, and keeps in memory what changing them needs.
    pub(crate) fn warm(&mut self, addresses: impl Iterator<Item = Address>, height: u64) -> Result<(), StoreError> {
        let mut keys: Vec<_> = addresses
            .filter(|address| !self.accounts.contains_key(address))
            .map(|address| (keccak256(address), address))
            .collect();
        keys.sort_unstable();
        keys.dedup();
        let hashed: Vec<B256> = keys.iter().map(|(hashed, _)| *hashed).collect();
        let values = self.trie.warm(&hashed, &*self.view.base.snapshot, height, AccountLeaf::account)?;
        let known = keys.into_iter().zip(values);
        self.accounts.extend(known.map(|((hashed, address), before)| (address, Known { hashed, before })));
        Ok(())
    }
}

impl Database for Recorder {
    type Error = StoreError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, StoreError> {
        let account = match self.accounts.get(&address) {
            Some(known) => known.before,
            None => {
                let before = self.view.account(address)?;
                self.accounts.insert(address, Known { hashed: keccak256(address), before });
                before
            }
        };
        Ok(account.map(|account| account.info()))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, StoreError> {
        self.view.code_by_hash(hash)
    }

    fn storage(&mut self, address: Address, index: StorageKey) -> Result<StorageValue, StoreError> {
        let value = self.view.slot(address, index)?;
        self.slots.insert((address, index), value);
        Ok(value)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, StoreError> {
        match &self.hashes {
            Some(hashes) => Ok(hashes.get(&number).copied().unwrap_or_default()),
            None => self.view.hash_of(number),
        }
    }
}
