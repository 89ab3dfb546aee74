//! The checks that need no lock. Those that need no state either run on the caller's thread, without a lock, and recover the sender once,
//! last: it costs more than all others together.

use crate::{Account, Config, PoolTransaction, Refusal};
use alloy::{
    consensus::{Transaction as _, Typed2718},
    eips::{Decodable2718, Encodable2718, eip7825::MAX_TX_GAS_LIMIT_OSAKA},
    primitives::{B256, U256},
};
use baton_primitives::{Transaction, sender};
use revm::{
    context_interface::cfg::gas::calculate_initial_tx_gas,
    primitives::{eip3860::MAX_INITCODE_SIZE, hardfork::SpecId},
};
use std::sync::Arc;

/// Checks what only its sender's account tells: that it may send, and can pay.
pub(crate) fn payable(transaction: &PoolTransaction, account: &Account) -> Result<(), Refusal> {
    if account.is_contract {
        return Err(Refusal::NotEoa);
    }
    if account.balance < transaction.cost {
        return Err(Refusal::Funds { balance: account.balance, cost: transaction.cost });
    }
    Ok(())
}

/// What the pool can say of a transaction by its hash and its tip cap alone, before the sender is recovered.
pub(crate) type Glance<'a> = &'a (dyn Fn(&B256, u128) -> Result<(), Refusal> + Sync);

/// Decodes EIP-2718 bytes and checks everything that needs no state.
pub(crate) fn decode(config: &Config, raw: &[u8], glance: Glance<'_>) -> Result<PoolTransaction, Refusal> {
    if raw.len() > config.limits.max_transaction_bytes {
        return Err(Refusal::Size { size: raw.len(), limit: config.limits.max_transaction_bytes });
    }
    match raw.first() {
        Some(kind @ (3 | 5..=0x7f)) => return Err(Refusal::Type(*kind)),
        Some(_) => {}
        None => return Err(Refusal::Decode("empty transaction bytes".into())),
    }
    let mut rest = raw;
    let transaction = Transaction::decode_2718(&mut rest).map_err(|e| Refusal::Decode(e.to_string()))?;
    if !rest.is_empty() {
        return Err(Refusal::Decode(format!("{} bytes follow the transaction", rest.len())));
    }
    check(config, transaction, glance)
}

/// Checks a decoded transaction.
fn check(config: &Config, transaction: Transaction, glance: Glance<'_>) -> Result<PoolTransaction, Refusal> {
    if matches!(transaction, Transaction::Deposit(_) | Transaction::PostExec(_)) {
        return Err(Refusal::Type(transaction.ty()));
    }
    let chain = transaction.chain_id().ok_or(Refusal::Unprotected)?;
    if chain != config.chain_id {
        return Err(Refusal::ChainId { have: chain, want: config.chain_id });
    }
    let size = transaction.encode_2718_len();
    if size > config.limits.max_transaction_bytes {
        return Err(Refusal::Size { size, limit: config.limits.max_transaction_bytes });
    }
    check_gas(config, &transaction)?;
    let (fee, tip) = (transaction.max_fee_per_gas(), transaction.max_priority_fee_per_gas());
    if fee < config.least_fee {
        return Err(Refusal::FeeTooLow { fee, least: config.least_fee });
    }
    if let Some(tip) = tip.filter(|tip| *tip > fee) {
        return Err(Refusal::TipAboveFee { tip, fee });
    }
    if transaction.is_eip7702() && transaction.authorization_list().is_none_or(<[_]>::is_empty) {
        return Err(Refusal::Authorizations);
    }
    let (hash, nonce) = (transaction.tx_hash(), transaction.nonce());
    glance(&hash, tip.unwrap_or(fee))?;
    let sender = sender(&transaction).ok_or(Refusal::Sender)?;
    // 2^64 gas times 2^128 wei per gas fits 192 bits; only the value can overflow, and no account can pay that.
    let gas_cost = U256::from(transaction.gas_limit()).saturating_mul(U256::from(fee));
    let cost = gas_cost.saturating_add(transaction.value());
    Ok(PoolTransaction { transaction: Arc::new(transaction), hash, sender, nonce, size, cost })
}

fn check_gas(config: &Config, transaction: &Transaction) -> Result<(), Refusal> {
    let have = transaction.gas_limit();
    if have > config.block_gas_limit {
        return Err(Refusal::GasLimit { have, limit: config.block_gas_limit });
    }
    if have > MAX_TX_GAS_LIMIT_OSAKA {
        return Err(Refusal::TransactionGas { have, limit: MAX_TX_GAS_LIMIT_OSAKA });
    }
    let input = transaction.input();
    if transaction.is_create() && input.len() > MAX_INITCODE_SIZE {
        return Err(Refusal::InitCode { size: input.len(), limit: MAX_INITCODE_SIZE });
    }
    let (accounts, slots) = transaction
        .access_list()
        .map_or((0, 0), |list| (list.len() as u64, list.iter().map(|item| item.storage_keys.len() as u64).sum()));
    let authorizations = transaction.authorization_list().map_or(0, |list| list.len() as u64);
    let gas =
        calculate_initial_tx_gas(SpecId::OSAKA, input, transaction.is_create(), accounts, slots, authorizations, None);
    let need = (gas.initial_regular_gas + gas.initial_state_gas).max(gas.floor_gas);
    if have < need {
        return Err(Refusal::IntrinsicGas { have, need });
    }
    Ok(())
}
