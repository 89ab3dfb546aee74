//! Accounts after a block: balance, nonce, code, storage, proofs.

use super::{Methods, Reply};
use crate::{
    error::RpcError,
    params::{At, Slot},
    ports::Backend,
};
use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    primitives::{Address, U64, U256},
};

/// Slots that one proof may cover (geth's limit).
const MAX_PROOF_SLOTS: usize = 1_024;

pub(super) fn register<B: Backend>(table: &mut Methods<B>) {
    table.add("eth_getBalance", |c, p| {
        let address: Address = p.required()?;
        let At(at) = p.optional()?.unwrap_or_default();
        Reply::now(&c.backend.account(c.resolve(at)?, address)?.balance)
    });
    table.add("eth_getTransactionCount", |c, p| {
        let address: Address = p.required()?;
        let At(at) = p.optional()?.unwrap_or_default();
        let nonce = c.backend.account(c.resolve(at)?, address)?.nonce;
        let waiting = match at {
            BlockId::Number(BlockNumberOrTag::Pending) => c.backend.next_nonce(address).unwrap_or(0),
            BlockId::Number(_) | BlockId::Hash(_) => 0,
        };
        Reply::now(&U64::from(nonce.max(waiting)))
    });
    table.add("eth_getCode", |c, p| {
        let address: Address = p.required()?;
        let At(at) = p.optional()?.unwrap_or_default();
        Reply::now(&c.backend.code(c.resolve(at)?, address)?)
    });
    table.add("eth_getStorageAt", |c, p| {
        let address: Address = p.required()?;
        let Slot(slot) = p.required()?;
        let At(at) = p.optional()?.unwrap_or_default();
        Reply::now(&c.backend.storage(c.resolve(at)?, address, slot)?)
    });
    table.add("eth_getProof", |c, p| {
        let address: Address = p.required()?;
        let slots: Vec<Slot> = p.optional()?.unwrap_or_default();
        let At(at) = p.optional()?.unwrap_or_default();
        if slots.len() > MAX_PROOF_SLOTS {
            let message = format!("too many keys (max {MAX_PROOF_SLOTS}, got {})", slots.len());
            return Err(RpcError::params(message));
        }
        Reply::read(c, move |c, _| {
            let slots: Vec<U256> = slots.iter().map(|s| s.0).collect();
            Ok(c.backend.proof(c.resolve(at)?, address, &slots)?)
        })
    });
}
