//! The EVM of this chain: revm with Osaka rules and a handler of our own.

mod handler;
mod precompiles;

use crate::error::{InvalidTransaction, StoreError};
use alloy::primitives::{Address, TxKind, U256};
use baton_primitives::{Header, Transaction};
pub(crate) use handler::{BatonHandler, EvmError, Mode};
pub(crate) use precompiles::Precompiles;
use revm::{
    Context, Database, MainBuilder, MainnetEvm,
    context::{
        BlockEnv, CfgEnv, ContextSetters, Journal, TxEnv,
        either::Either,
        result::{ExecutionResult, InvalidTransaction as Refusal},
    },
    context_interface::block::BlobExcessGasAndPrice,
    handler::{EthFrame, Handler, instructions::EthInstructions},
    interpreter::interpreter::EthInterpreter,
    primitives::{eip4844, eip7825, hardfork::SpecId},
};

/// The rules: the latest stable fork.
pub(crate) const SPEC: SpecId = SpecId::OSAKA;

/// The most gas a signed transaction may ask for (EIP-7825).
pub const MAX_TRANSACTION_GAS: u64 = eip7825::TX_GAS_LIMIT_CAP;

pub(crate) type Ctx<DB> = Context<BlockEnv, TxEnv, CfgEnv, DB, Journal<DB>, ()>;
pub(crate) type Evm<DB, INSP = ()> = MainnetEvm<Ctx<DB>, INSP>;
/// An EVM for simulations.
pub(crate) type Watched<DB, INSP> =
    revm::context::Evm<Ctx<DB>, INSP, EthInstructions<EthInterpreter, Ctx<DB>>, Precompiles, EthFrame<EthInterpreter>>;

/// What the EVM sees of a block.
pub(crate) fn block_env(header: &Header) -> BlockEnv {
    BlockEnv {
        number: U256::from(header.number),
        beneficiary: header.beneficiary,
        timestamp: U256::from(header.timestamp),
        gas_limit: header.gas_limit,
        basefee: header.base_fee_per_gas.unwrap_or(0),
        difficulty: U256::ZERO,
        prevrandao: Some(header.mix_hash),
        blob_excess_gas_and_price: Some(BlobExcessGasAndPrice::new(0, eip4844::BLOB_BASE_FEE_UPDATE_FRACTION_PRAGUE)),
        slot_num: 0,
    }
}

/// An EVM over `database`.
pub(crate) fn context<DB: Database>(database: DB, chain_id: u64, block: BlockEnv) -> Ctx<DB> {
    context_of(SPEC, database, chain_id, block)
}

fn context_of<DB: Database>(fork: SpecId, database: DB, chain_id: u64, block: BlockEnv) -> Ctx<DB> {
    let mut cfg = CfgEnv::new_with_spec(fork).with_chain_id(chain_id);
    cfg.tx_chain_id_check = true;
    // Lifted for deposits, whose gas the portal bounds; the handler holds signed transactions to EIP-7825.
    cfg.tx_gas_limit_cap = Some(u64::MAX);
    Ctx::<DB>::new(database, fork).with_cfg(cfg).with_block(block)
}

/// An EVM over `database` for simulations: watched, and with the precompiled contracts where the caller wants them.
pub(crate) fn watched<DB: Database, INSP>(
    context: Ctx<DB>,
    inspector: INSP,
    precompiles: Precompiles,
) -> Watched<DB, INSP> {
    let instructions = EthInstructions::new_mainnet_with_spec(SPEC);
    revm::context::Evm::new_with_inspector(context, inspector, instructions, precompiles)
}

/// An EVM over `database`, without inspector.
pub(crate) fn evm<DB: Database>(database: DB, chain_id: u64, block: BlockEnv) -> Evm<DB> {
    context(database, chain_id, block).build_mainnet()
}

/// As [`evm`], by the rules of another fork: for comparisons.
pub(crate) fn evm_of<DB: Database>(fork: SpecId, database: DB, chain_id: u64, block: BlockEnv) -> Evm<DB> {
    context_of(fork, database, chain_id, block).build_mainnet()
}

/// Runs one message; its effects stay in the EVM's journal. On an error nothing of it stays.
pub(crate) fn run<DB: Database>(
    evm: &mut Evm<DB>,
    transaction: TxEnv,
    mode: Mode,
) -> Result<ExecutionResult, EvmError<DB::Error>> {
    evm.ctx.set_tx(transaction);
    BatonHandler::<_, EvmError<DB::Error>>::new(mode).run(evm)
}

/// A transaction as the EVM takes it, and by whose rules.
pub(crate) fn transaction_env(transaction: &Transaction, sender: Address) -> Result<(TxEnv, Mode), InvalidTransaction> {
    let mut env = TxEnv { caller: sender, ..TxEnv::default() };
    match transaction {
        Transaction::Legacy(signed) => {
            let tx = signed.tx();
            env.chain_id = tx.chain_id;
            (env.nonce, env.gas_limit, env.gas_price) = (tx.nonce, tx.gas_limit, tx.gas_price);
            (env.kind, env.value, env.data) = (tx.to, tx.value, tx.input.clone());
        }
        Transaction::Eip2930(signed) => {
            let tx = signed.tx();
            env.tx_type = 1;
            env.chain_id = Some(tx.chain_id);
            (env.nonce, env.gas_limit, env.gas_price) = (tx.nonce, tx.gas_limit, tx.gas_price);
            (env.kind, env.value, env.data) = (tx.to, tx.value, tx.input.clone());
            env.access_list = tx.access_list.clone();
        }
        Transaction::Eip1559(signed) => {
            let tx = signed.tx();
            env.tx_type = 2;
            env.chain_id = Some(tx.chain_id);
            (env.nonce, env.gas_limit, env.gas_price) = (tx.nonce, tx.gas_limit, tx.max_fee_per_gas);
            env.gas_priority_fee = Some(tx.max_priority_fee_per_gas);
            (env.kind, env.value, env.data) = (tx.to, tx.value, tx.input.clone());
            env.access_list = tx.access_list.clone();
        }
        Transaction::Eip7702(signed) => {
            let tx = signed.tx();
            env.tx_type = 4;
            env.chain_id = Some(tx.chain_id);
            (env.nonce, env.gas_limit, env.gas_price) = (tx.nonce, tx.gas_limit, tx.max_fee_per_gas);
            env.gas_priority_fee = Some(tx.max_priority_fee_per_gas);
            (env.kind, env.value, env.data) = (TxKind::Call(tx.to), tx.value, tx.input.clone());
            env.access_list = tx.access_list.clone();
            env.authorization_list = tx.authorization_list.iter().cloned().map(Either::Left).collect();
        }
        Transaction::Deposit(deposit) => {
            let tx = deposit.inner();
            (env.gas_limit, env.gas_price) = (tx.gas_limit, 0);
            (env.kind, env.value, env.data) = (tx.to, tx.value, tx.input.clone());
            return Ok((env, Mode::Deposit { mint: tx.mint }));
        }
        Transaction::PostExec(_) => return Err(InvalidTransaction::Type(0x7d)),
    }
    Ok((env, Mode::Signed { burns: false }))
}

/// What an EVM error means.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The transaction may not be in the block.
    Invalid(InvalidTransaction),
    /// The store failed.
    Store(StoreError),
}

/// Sorts an EVM error. `base_fee` is the block's.
pub(crate) fn failure(error: EvmError<StoreError>, base_fee: u64) -> Failure {
    match error {
        EvmError::Database(error) => Failure::Store(error),
        EvmError::Transaction(refusal) => Failure::Invalid(refused(refusal, base_fee)),
        EvmError::Header(error) => Failure::Invalid(InvalidTransaction::Rule(error.to_string())),
        EvmError::Custom(error) => Failure::Invalid(InvalidTransaction::Rule(error)),
        EvmError::CustomAny(error) => Failure::Invalid(InvalidTransaction::Rule(error.to_string())),
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "refusals that nobody tells apart share one variant")]
pub(crate) fn refused(refusal: Refusal, base_fee: u64) -> InvalidTransaction {
    match refusal {
        Refusal::NonceTooLow { tx, state } => InvalidTransaction::NonceTooLow { transaction: tx, account: state },
        Refusal::NonceTooHigh { tx, state } => InvalidTransaction::NonceTooHigh { transaction: tx, account: state },
        Refusal::LackOfFundForMaxFee { fee, balance } => InvalidTransaction::Funds { needed: *fee, balance: *balance },
        Refusal::GasPriceLessThanBasefee => InvalidTransaction::FeeCap { base_fee },
        Refusal::TxGasLimitGreaterThanCap { gas_limit, cap } => {
            InvalidTransaction::GasLimit { limit: gas_limit, most: cap }
        }
        Refusal::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
            InvalidTransaction::IntrinsicGas { limit: gas_limit, needed: initial_gas }
        }
        Refusal::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
            InvalidTransaction::IntrinsicGas { limit: gas_limit, needed: gas_floor }
        }
        other => InvalidTransaction::Rule(other.to_string()),
    }
}
