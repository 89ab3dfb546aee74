//! The least that anybody does for a transaction: revm over maps in memory, no receipts, no roots, no store.

use alloy::consensus::transaction::Transaction as _;
use alloy::primitives::Address;
use baton_engine::{Candidate, StateView};
use baton_primitives::{Header, Parameters};
use revm::{
    Context, DatabaseRef, ExecuteCommitEvm, ExecuteEvm, MainBuilder, MainContext,
    context::{BlockEnv, TxEnv},
    database::{CacheDB, EmptyDB},
    primitives::{U256, hardfork::SpecId},
};
use std::time::{Duration, Instant};

/// How the loop keeps what a transaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Committed to the database after each.
    Each,
    /// In one journal, committed after the last.
    Last,
}

pub(crate) type Memory = CacheDB<EmptyDB>;

/// The accounts `some` of `view`, and everything that `transactions` touch, in memory.
pub(crate) fn load(view: &StateView, some: impl Iterator<Item = Address>, transactions: &[Candidate]) -> Memory {
    let mut memory = Memory::default();
    for address in some {
        if let Some(account) = view.basic_ref(address).unwrap() {
            memory.insert_account_info(address, account);
        }
    }
    // Once over the state itself, to see what is touched.
    let mut touched = CacheDB::new(view.clone());
    run_on(&mut touched, view.header(), transactions, Keep::Each);
    for (address, account) in touched.cache.accounts {
        let Some(mut before) = view.basic_ref(address).unwrap() else { continue };
        if before.code.is_none() {
            before.code = Some(view.code_by_hash_ref(before.code_hash).unwrap());
        }
        memory.insert_account_info(address, before);
        for slot in account.storage.into_keys() {
            memory.insert_account_storage(address, slot, view.storage_ref(address, slot).unwrap()).unwrap();
        }
    }
    memory
}

/// Runs the transactions as a child of `parent` would, and says how long it took.
pub(crate) fn run(memory: &mut Memory, parent: &Header, transactions: &[Candidate], keep: Keep) -> Duration {
    run_on(memory, parent, transactions, keep)
}

fn run_on<DB>(database: &mut DB, parent: &Header, transactions: &[Candidate], keep: Keep) -> Duration
where
    DB: revm::Database<Error: std::fmt::Debug> + revm::DatabaseCommit,
{
    let block = BlockEnv {
        number: U256::from(parent.number + 1),
        beneficiary: baton_primitives::predeploys::FEE_VAULT,
        timestamp: U256::from(parent.timestamp + 1),
        gas_limit: parent.gas_limit,
        basefee: baton_engine::next_base_fee(parent),
        prevrandao: Some(parent.mix_hash),
        ..BlockEnv::default()
    };
    let mut evm = Context::mainnet()
        .with_db(database)
        .modify_cfg_chained(|cfg| {
            cfg.set_spec_and_mainnet_gas_params(SpecId::OSAKA);
            cfg.chain_id = Parameters::devnet().l2_chain_id;
        })
        .with_block(block)
        .build_mainnet();
    let envs: Vec<TxEnv> = transactions.iter().map(env).collect();
    let start = Instant::now();
    for env in envs {
        let succeeded = match keep {
            Keep::Each => evm.transact_commit(env).unwrap().is_success(),
            Keep::Last => evm.transact_one(env).unwrap().is_success(),
        };
        assert!(succeeded, "a transaction failed");
    }
    if keep == Keep::Last {
        evm.commit_inner();
    }
    start.elapsed()
}

fn env(candidate: &Candidate) -> TxEnv {
    let transaction = &candidate.transaction;
    TxEnv {
        tx_type: 2,
        caller: candidate.sender,
        gas_limit: transaction.gas_limit(),
        gas_price: transaction.max_fee_per_gas(),
        gas_priority_fee: transaction.max_priority_fee_per_gas(),
        kind: transaction.kind(),
        value: transaction.value(),
        data: transaction.input().clone(),
        nonce: transaction.nonce(),
        chain_id: transaction.chain_id(),
        ..TxEnv::default()
    }
}
