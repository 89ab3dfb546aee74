//! The first block.

use crate::{
    changes::{Account, Changes},
    error::GenesisError,
    executed::ExecutedBlock,
    fee::GENESIS_BASE_FEE,
    header::prevrandao,
    trie::{AccountLeaf, Nowhere, Trie},
};
use alloy::{
    consensus::{EMPTY_OMMER_ROOT_HASH, constants::EMPTY_WITHDRAWALS},
    eips::{eip2935, eip7685::EMPTY_REQUESTS_HASH},
    primitives::{Address, B64, B256, Bloom, Bytes, KECCAK256_EMPTY, U256, keccak256},
    rlp::Encodable,
};
use alloy_trie::EMPTY_ROOT_HASH;
use baton_primitives::{Block, ExtraData, Header, L1Origin, Parameters, RecoveredBlock, block_body, predeploys};
use revm::bytecode::Bytecode;
use std::{collections::BTreeMap, sync::Arc};

/// An account of the genesis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenesisAccount {
    /// Balance, wei.
    pub balance: U256,
    /// Nonce.
    pub nonce: u64,
    /// Runtime code.
    pub code: Bytes,
    /// Storage; zero values are left out.
    pub storage: BTreeMap<U256, U256>,
}

/// Everything the first block follows from. Every node of a chain has the same one.
#[derive(Clone, Debug)]
pub struct Genesis {
    /// Chain parameters.
    pub parameters: Parameters,
    /// Time of the genesis block, seconds.
    pub timestamp: u64,
    /// The L1 block from which deposits count.
    pub origin: L1Origin,
    /// Accounts; the caller brings the predeploys' code. The history contract of EIP-2935 is added unless it is here.
    pub alloc: BTreeMap<Address, GenesisAccount>,
}

/// The genesis block and its state root: a pure function.
///
/// # Errors
/// If the accounts contradict themselves.
pub fn genesis_block(genesis: &Genesis) -> Result<(RecoveredBlock, B256), GenesisError> {
    let executed = execute_genesis(genesis)?;
    let root = executed.block.header().state_root;
    Ok((executed.block.as_ref().clone(), root))
}

/// The state that consists of these accounts: as changes of nothing, as a trie, and its root.
pub(crate) fn state_of<'a>(
    accounts: impl Iterator<Item = (&'a Address, &'a GenesisAccount)>,
) -> (Changes, Trie<AccountLeaf>, B256) {
    let changes = Changes::genesis(accounts.map(|(address, account)| {
        let code = (!account.code.is_empty()).then(|| Bytecode::new_raw(account.code.clone()));
        let code_hash = if account.code.is_empty() { KECCAK256_EMPTY } else { keccak256(&account.code) };
        let GenesisAccount { balance, nonce, .. } = *account;
        let storage = account.storage.iter().map(|(slot, value)| (*slot, *value)).collect();
        (address, Account { nonce, balance, code_hash }, code, storage)
    }));
    let (trie, root) = changes
        .apply(&Trie::Empty, &Nowhere, 0)
        .unwrap_or_else(|error| unreachable!("a trie that starts empty needs no store: {error}"));
    (changes, trie, root)
}

pub(crate) fn execute_genesis(genesis: &Genesis) -> Result<ExecutedBlock, GenesisError> {
    let mut alloc = genesis.alloc.clone();
    alloc.entry(eip2935::HISTORY_STORAGE_ADDRESS).or_insert_with(|| GenesisAccount {
        nonce: 1,
        code: eip2935::HISTORY_STORAGE_CODE.clone(),
        ..GenesisAccount::default()
    });
    let mut supply = U256::ZERO;
    for (address, account) in &alloc {
        supply = supply.checked_add(account.balance).ok_or(GenesisError::Supply)?;
        if account.code.is_empty() && account.nonce == 0 && !account.storage.is_empty() {
            return Err(GenesisError::StorageOfEmptyAccount(*address));
        }
    }
    let accounts = alloc.iter().filter(|(_, account)| **account != GenesisAccount::default());
    let (changes, trie, state_root) = state_of(accounts);

    let withdrawals_root = alloc
        .get(&predeploys::MESSAGE_PASSER)
        .and_then(|account| account.storage.get(&U256::ZERO))
        .map_or(B256::ZERO, |root| B256::from(*root));
    let header = Header {
        parent_hash: B256::ZERO,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: predeploys::FEE_VAULT,
        state_root,
        transactions_root: EMPTY_ROOT_HASH,
        receipts_root: EMPTY_ROOT_HASH,
        logs_bloom: Bloom::ZERO,
        difficulty: U256::ZERO,
        number: 0,
        gas_limit: genesis.parameters.l2_gas_limit,
        gas_used: 0,
        timestamp: genesis.timestamp,
        extra_data: ExtraData::default().to_bytes(),
        mix_hash: prevrandao(genesis.origin.hash, 0),
        nonce: B64::ZERO,
        base_fee_per_gas: Some(GENESIS_BASE_FEE),
        withdrawals_root: Some(EMPTY_WITHDRAWALS),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(genesis.origin.hash),
        requests_hash: Some(EMPTY_REQUESTS_HASH),
        ..Header::default()
    };
    let block = Block { header, body: block_body(Vec::new()) };
    let size = u64::try_from(block.length()).unwrap_or(u64::MAX);
    let block = RecoveredBlock::new_unchecked(block.header.hash_slow(), block, Vec::new());
    Ok(ExecutedBlock {
        positions: Default::default(),
        block: Arc::new(block),
        receipts: Arc::default(),
        swept: U256::ZERO,
        withdrawals_root,
        deposits: 0,
        origin: genesis.origin,
        size,
        changes,
        trie,
    })
}
