//! One block on any state, by this chain's rules or Ethereum's: what comparisons with other implementations drive.
//!
//! ```text
//!  accounts -> a layer over an empty store --\                         /-> roots, receipts, refused transactions
//!                                             +-> Process -> Changes -+
//!  environment, transactions ----------------/      (as in blocks)     \-> accounts afterwards
//! ```
//!
//! There is no second executor here: journal, handler, collection of changes and trie are those of [`crate::Engine`]'s blocks.
//! Only what surrounds a block differs by [`Rules`], since other implementations have nothing of deposits, origins and sweeps.

use crate::{
    changes::Changes,
    error::{InvalidTransaction, StoreError},
    evm::{self, Failure, SPEC},
    executed::{ExecutedBlock, Receipt},
    genesis::{GenesisAccount, state_of},
    process::Process,
    state::{Base, Caches, Recorder, StateView},
    store::Store,
};
use alloy::{
    consensus::proofs::calculate_transaction_root,
    eips::{eip2935, eip4788, eip4895::Withdrawal, eip7002, eip7251},
    primitives::{Address, B256, Bloom, Bytes, U256, map::B256Map},
};
use alloy_trie::root::ordered_trie_root_encoded;
use baton_primitives::{Block, Header, L1Origin, RecoveredBlock, Transaction, block_body};
use lru::LruCache;
use parking_lot::Mutex;
use revm::{
    bytecode::Bytecode,
    context_interface::block::BlobExcessGasAndPrice,
    primitives::{eip4844, hardfork::SpecId},
};
use std::{collections::BTreeMap, num::NonZeroUsize, str::FromStr, sync::Arc};

/// By whose rules a block executes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// This chain's: Osaka, the beneficiary gets the base fee too, no beacon chain.
    Baton,
    /// Ethereum's since March 2024.
    Cancun,
    /// Ethereum's since May 2025.
    Prague,
    /// Ethereum's since December 2025.
    Osaka,
}

/// The rules have no such name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown rules {0}: Baton, Cancun, Prague and Osaka are known")]
pub struct UnknownRules(String);

impl FromStr for Rules {
    type Err = UnknownRules;

    fn from_str(name: &str) -> Result<Self, UnknownRules> {
        match name {
            "Baton" => Ok(Self::Baton),
            "Cancun" => Ok(Self::Cancun),
            "Prague" => Ok(Self::Prague),
            "Osaka" => Ok(Self::Osaka),
            other => Err(UnknownRules(other.to_owned())),
        }
    }
}

impl Rules {
    const fn fork(self) -> SpecId {
        match self {
            Self::Baton => SPEC,
            Self::Cancun => SpecId::CANCUN,
            Self::Prague => SpecId::PRAGUE,
            Self::Osaka => SpecId::OSAKA,
        }
    }

    /// Whether there is a beacon chain, whose roots and requests a block handles, and the base fee is burnt.
    const fn is_ethereum(self) -> bool {
        !matches!(self, Self::Baton)
    }
}

/// The block around the transactions.
#[derive(Clone, Debug)]
pub struct Environment {
    /// By whose rules.
    pub rules: Rules,
    /// Chain id.
    pub chain_id: u64,
    /// Number, parent, beneficiary, time, limits, base fee, PREVRANDAO, beacon root and excess blob gas count; the rest does not.
    pub header: Header,
    /// Hashes of earlier blocks, by number, as BLOCKHASH sees them.
    pub hashes: BTreeMap<u64, B256>,
    /// Credited after the transactions.
    pub withdrawals: Vec<Withdrawal>,
    /// Whether the calls of the system surround the transactions, as in a block. A single transaction of a state test has none.
    pub system: bool,
}

/// What a block did.
#[derive(Clone, Debug)]
pub struct Transition {
    /// Root of the state afterwards.
    pub state_root: B256,
    /// Root of the included transactions.
    pub transactions_root: B256,
    /// Root of their receipts.
    pub receipts_root: B256,
    /// Gas of all transactions.
    pub gas_used: u64,
    /// Bloom of all logs.
    pub bloom: Bloom,
    /// Positions of the included transactions.
    pub included: Vec<usize>,
    /// Receipts of the included transactions.
    pub receipts: Vec<Receipt>,
    /// Positions of the refused transactions, and why each is.
    pub refused: Vec<(usize, InvalidTransaction)>,
    /// Every account afterwards.
    pub accounts: BTreeMap<Address, GenesisAccount>,
}

/// Executes blocks on states that callers bring, each alone.
#[derive(Debug)]
pub struct Transitions {
    empty: Arc<Base>,
    caches: Arc<Caches>,
}

impl Transitions {
    /// Prepares an empty store in memory.
    ///
    /// # Errors
    /// If the store fails.
    pub fn new() -> Result<Self, StoreError> {
        let nothing = layer(&BTreeMap::new(), Header::default());
        let store = Store::in_memory(&nothing)?;
        let empty = Base::written(store.snapshot()?, Some(&nothing))?;
        // Shared by all states: whatever is not in a state's own layer is absent, and code is known by its hash.
        let caches = Caches {
            values: crate::cache::ValueCache::new(1, 1, 0),
            codes: Mutex::new(LruCache::new(NonZeroUsize::MIN)),
            blocks: Mutex::new(LruCache::new(NonZeroUsize::MIN)),
        };
        Ok(Self { empty: Arc::new(empty), caches: Arc::new(caches) })
    }

    /// Executes the transactions, each with its sender, on `accounts`; one that may not be in the block leaves no trace.
    ///
    /// # Errors
    /// If the store fails.
    pub fn run(
        &self,
        accounts: &BTreeMap<Address, GenesisAccount>,
        environment: &Environment,
        transactions: &[(Transaction, Address)],
    ) -> Result<Transition, StoreError> {
        let Environment { rules, header, .. } = environment;
        let above = Header { number: header.number.saturating_sub(1), ..Header::default() };
        let layers = Arc::new([Arc::new(layer(accounts, above))]);
        let view = StateView { layers, base: self.empty.clone(), caches: self.caches.clone(), past: None };

        let mut block = evm::block_env(header);
        let fraction = match rules {
            Rules::Cancun => eip4844::BLOB_BASE_FEE_UPDATE_FRACTION_CANCUN,
            Rules::Baton | Rules::Prague | Rules::Osaka => eip4844::BLOB_BASE_FEE_UPDATE_FRACTION_PRAGUE,
        };
        block.blob_excess_gas_and_price =
            Some(BlobExcessGasAndPrice::new(header.excess_blob_gas.unwrap_or(0), fraction));
        let recorder = Recorder::with_hashes(view.clone(), environment.hashes.clone());
        let evm = evm::evm_of(rules.fork(), recorder, environment.chain_id, block);
        let mut process = Process::over(evm, header, rules.is_ethereum());

        let fork = rules.fork();
        if environment.system
            && rules.is_ethereum()
            && let Some(root) = header.parent_beacon_block_root
        {
            process.system(eip4788::BEACON_ROOTS_ADDRESS, root.0.into())?;
        }
        if environment.system && fork.is_enabled_in(SpecId::PRAGUE) {
            process.system(eip2935::HISTORY_STORAGE_ADDRESS, header.parent_hash.0.into())?;
        }
        let (mut included, mut refused) = (Vec::new(), Vec::new());
        for (index, (transaction, sender)) in transactions.iter().enumerate() {
            match process.transaction(transaction, *sender) {
                Ok(()) => included.push(index),
                Err(Failure::Invalid(why)) => refused.push((index, why)),
                Err(Failure::Store(error)) => return Err(error),
            }
        }
        for withdrawal in &environment.withdrawals {
            process.credit(withdrawal.address, withdrawal.amount_wei())?;
        }
        if environment.system && rules.is_ethereum() && fork.is_enabled_in(SpecId::PRAGUE) {
            process.system(eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, Bytes::new())?;
            process.system(eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, Bytes::new())?;
        }

        let processed = process.finish(false)?;
        let (_, state_root) = processed.changes.apply(&processed.trie, &*view.base.snapshot, header.number)?;
        let body: Vec<&Transaction> =
            included.iter().filter_map(|index| transactions.get(*index)).map(|(transaction, _)| transaction).collect();
        Ok(Transition {
            state_root,
            transactions_root: calculate_transaction_root(&body),
            receipts_root: ordered_trie_root_encoded(&processed.encoded_receipts),
            gas_used: process.gas_used,
            bloom: process.bloom,
            included,
            receipts: std::mem::take(&mut process.receipts),
            refused,
            accounts: after(accounts, &processed.changes),
        })
    }
}

/// A block after which the state consists of these accounts.
fn layer(accounts: &BTreeMap<Address, GenesisAccount>, header: Header) -> ExecutedBlock {
    let (changes, trie, state_root) = state_of(accounts.iter());
    let header = Header { state_root, ..header };
    let block = Block { header, body: block_body(Vec::new()) };
    ExecutedBlock {
        positions: Default::default(),
        block: Arc::new(RecoveredBlock::new_unchecked(block.header.hash_slow(), block, Vec::new())),
        receipts: Arc::default(),
        swept: U256::ZERO,
        withdrawals_root: B256::ZERO,
        deposits: 0,
        origin: L1Origin::default(),
        size: 0,
        changes,
        trie,
    }
}

fn after(before: &BTreeMap<Address, GenesisAccount>, changes: &Changes) -> BTreeMap<Address, GenesisAccount> {
    let codes: B256Map<&Bytecode> = changes.codes.iter().map(|(hash, code)| (*hash, code)).collect();
    let mut accounts = before.clone();
    for (address, change) in &changes.accounts {
        let Some(account) = change.after else {
            accounts.remove(address);
            continue;
        };
        let entry = accounts.entry(*address).or_default();
        (entry.nonce, entry.balance) = (account.nonce, account.balance);
        if change.before.is_none_or(|before| before.code_hash != account.code_hash) {
            entry.code = codes.get(&account.code_hash).map(|code| code.original_bytes()).unwrap_or_default();
        }
        for (slot, value) in &change.slots {
            entry.storage.insert(*slot, value.after);
        }
        entry.storage.retain(|_, value| !value.is_zero());
    }
    accounts
}

/// Root of the state that consists of these accounts.
pub fn state_root(accounts: &BTreeMap<Address, GenesisAccount>) -> B256 {
    state_of(accounts.iter()).2
}
