//! An independent execution: revm's own mainnet handler over its own in-memory database, one commit per transaction, and
//! the state root from scratch by `alloy-trie`. It shares with the engine neither handler, journal use, layers nor trie.

use alloy::{
    consensus::Transaction as _,
    eips::eip2935,
    primitives::{Address, B256, KECCAK256_EMPTY, Log, TxKind, U256, keccak256},
};
use alloy_trie::{
    TrieAccount,
    root::{state_root_unhashed, storage_root_unhashed},
};
use baton_engine::Genesis;
use baton_primitives::{Header, Transaction, predeploys};
use revm::{
    Context, ExecuteCommitEvm, MainBuilder, MainContext,
    bytecode::Bytecode,
    context::{BlockEnv, CfgEnv, TxEnv, either::Either},
    context_interface::block::BlobExcessGasAndPrice,
    database::{CacheDB, EmptyDB},
    primitives::hardfork::SpecId,
    state::AccountInfo,
};
use std::collections::BTreeMap;

/// What a transaction did: success, gas, logs. `None`: it may not be in the block.
pub(crate) type Effect = Option<(bool, u64, Vec<Log>)>;

#[derive(Clone, Debug)]
pub(crate) struct Oracle {
    database: CacheDB<EmptyDB>,
    block: BlockEnv,
    gas_left: u64,
    chain_id: u64,
}

impl Oracle {
    pub(crate) fn new(genesis: &Genesis) -> Self {
        let mut database = CacheDB::new(EmptyDB::new());
        for (address, account) in &genesis.alloc {
            let code = Bytecode::new_raw(account.code.clone());
            let code_hash = if account.code.is_empty() { KECCAK256_EMPTY } else { keccak256(&account.code) };
            let info = AccountInfo::new(account.balance, account.nonce, code_hash, code);
            database.insert_account_info(*address, info);
            for (slot, value) in &account.storage {
                database.insert_account_storage(*address, *slot, *value).unwrap();
            }
        }
        let code = Bytecode::new_raw(eip2935::HISTORY_STORAGE_CODE.clone());
        let info = AccountInfo::new(U256::ZERO, 1, code.hash_slow(), code);
        database.insert_account_info(eip2935::HISTORY_STORAGE_ADDRESS, info);
        let chain_id = genesis.parameters.l2_chain_id;
        Self { database, block: BlockEnv::default(), gas_left: 0, chain_id }
    }

    pub(crate) fn begin(&mut self, header: &Header) {
        self.block = BlockEnv {
            number: U256::from(header.number),
            beneficiary: predeploys::FEE_VAULT,
            timestamp: U256::from(header.timestamp),
            gas_limit: header.gas_limit,
            basefee: header.base_fee_per_gas.unwrap(),
            difficulty: U256::ZERO,
            prevrandao: Some(header.mix_hash),
            blob_excess_gas_and_price: Some(BlobExcessGasAndPrice { excess_blob_gas: 0, blob_gasprice: 1 }),
            slot_num: 0,
        };
        self.gas_left = header.gas_limit;
        let slot = U256::from((header.number - 1) % 8191);
        let history = eip2935::HISTORY_STORAGE_ADDRESS;
        self.database.insert_account_storage(history, slot, header.parent_hash.into()).unwrap();
        self.database.cache.block_hashes.insert(U256::from(header.number - 1), header.parent_hash);
    }

    fn info(&mut self, address: Address) -> &mut AccountInfo {
        &mut self.database.load_account(address).unwrap().info
    }

    fn credit(&mut self, address: Address, wei: U256) {
        if !wei.is_zero() {
            let mut info = self.info(address).clone();
            info.balance += wei;
            self.database.insert_account_info(address, info);
        }
    }

    fn run(&mut self, env: TxEnv, basefee: u64, cap: Option<u64>) -> Effect {
        let mut cfg = CfgEnv::new_with_spec(SpecId::OSAKA).with_chain_id(self.chain_id);
        cfg.tx_gas_limit_cap = cap;
        let block = BlockEnv { basefee, ..self.block.clone() };
        let mut evm = Context::mainnet().with_cfg(cfg).with_block(block).with_db(&mut self.database).build_mainnet();
        let result = evm.transact_commit(env).ok()?;
        Some((result.is_success(), result.tx_gas_used(), result.into_logs()))
    }

    pub(crate) fn execute(&mut self, transaction: &Transaction, sender: Address) -> Effect {
        if transaction.gas_limit() > self.gas_left {
            return None;
        }
        let nonce = self.info(sender).nonce;
        let effect = if let Some(deposit) = transaction.as_deposit() {
            self.credit(sender, U256::from(deposit.mint));
            let env = TxEnv {
                caller: sender,
                gas_limit: deposit.gas_limit,
                gas_price: 0,
                kind: deposit.to,
                value: deposit.value,
                data: deposit.input.clone(),
                nonce,
                chain_id: Some(self.chain_id),
                ..TxEnv::default()
            };
            match self.run(env, 0, Some(u64::MAX)) {
                Some(effect) => effect,
                None => {
                    let info = AccountInfo { nonce: nonce + 1, ..self.info(sender).clone() };
                    self.database.insert_account_info(sender, info);
                    (false, deposit.gas_limit, Vec::new())
                }
            }
        } else {
            let dynamic = transaction.is_dynamic_fee();
            let env = TxEnv {
                tx_type: transaction.tx_type() as u8,
                caller: sender,
                gas_limit: transaction.gas_limit(),
                gas_price: transaction.max_fee_per_gas(),
                gas_priority_fee: dynamic.then(|| transaction.max_priority_fee_per_gas().unwrap()),
                kind: transaction.to().map_or(TxKind::Create, TxKind::Call),
                value: transaction.value(),
                data: transaction.input().clone(),
                nonce: transaction.nonce(),
                chain_id: transaction.chain_id(),
                access_list: transaction.access_list().cloned().unwrap_or_default(),
                authorization_list: transaction
                    .authorization_list()
                    .into_iter()
                    .flatten()
                    .map(|signed| Either::Left(signed.clone()))
                    .collect(),
                ..TxEnv::default()
            };
            let effect = self.run(env, self.block.basefee, None)?;
            // The mainnet handler burns the base fee; here the vault gets it.
            self.credit(predeploys::FEE_VAULT, U256::from(self.block.basefee) * U256::from(effect.1));
            effect
        };
        self.gas_left -= effect.1;
        Some(effect)
    }

    pub(crate) fn sweep(&mut self) -> U256 {
        let mut info = self.info(predeploys::FEE_VAULT).clone();
        let swept = std::mem::take(&mut info.balance);
        self.database.insert_account_info(predeploys::FEE_VAULT, info);
        swept
    }

    pub(crate) fn balances(&self) -> U256 {
        self.database.cache.accounts.values().map(|account| account.info.balance).sum()
    }

    pub(crate) fn state_root(&self) -> B256 {
        let accounts: BTreeMap<Address, TrieAccount> = self
            .database
            .cache
            .accounts
            .iter()
            .filter(|(_, account)| !account.info.is_empty())
            .map(|(address, account)| {
                let slots = account.storage.iter().filter(|(_, value)| !value.is_zero());
                let root = storage_root_unhashed(slots.map(|(slot, value)| (B256::from(*slot), *value)));
                let AccountInfo { nonce, balance, code_hash, .. } = account.info;
                (*address, TrieAccount::new(nonce, balance, root, code_hash))
            })
            .collect();
        state_root_unhashed(accounts)
    }
}
