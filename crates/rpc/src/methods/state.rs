//! Accounts after a block: balance, nonce, code, storage, proofs.

use super::{Methods, Reply};
use crate::{
    error::{RpcError, code},
    params::{At, Slot},
    ports::Backend,
};
use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    primitives::{Address, B256, U64, U256},
};
use std::collections::BTreeMap;

/// Slots that one proof may cover (geth's limit).
const MAX_PROOF_SLOTS: usize = 1_024;

pub(super) fn register<B: Backend>(table: &mut Methods<B>) {
    table.add("eth_getBalance(address: Address, block?: Block) -> Quantity", |c, p| {
        let address: Address = p.required()?;
        let At(at) = p.optional()?.unwrap_or_default();
        Reply::now(&c.backend.account(c.resolve(at)?, address)?.balance)
    });
    table.add("eth_getTransactionCount(address: Address, block?: Block) -> Quantity", |c, p| {
        let address: Address = p.required()?;
        let At(at) = p.optional()?.unwrap_or_default();
        let nonce = c.backend.account(c.resolve(at)?, address)?.nonce;
        let waiting = match at {
            BlockId::Number(BlockNumberOrTag::Pending) => c.backend.next_nonce(address).unwrap_or(0),
            BlockId::Number(_) | BlockId::Hash(_) => 0,
        };
        Reply::now(&U64::from(nonce.max(waiting)))
    });
    table.add("eth_getCode(address: Address, block?: Block) -> Bytes", |c, p| {
        let address: Address = p.required()?;
        let At(at) = p.optional()?.unwrap_or_default();
        Reply::now(&c.backend.code(c.resolve(at)?, address)?)
    });
    table.add("eth_getStorageAt(address: Address, slot: Slot, block?: Block) -> Hash", |c, p| {
        let address: Address = p.required()?;
        let Slot(slot) = p.required()?;
        let At(at) = p.optional()?.unwrap_or_default();
        Reply::now(&c.backend.storage(c.resolve(at)?, address, slot)?)
    });
    table.add("eth_getStorageValues(requests: StorageRequests, block?: Block) -> StorageValues", |c, p| {
        let requests: BTreeMap<Address, Vec<Slot>> = p.required()?;
        let At(at) = p.optional()?.unwrap_or_default();
        let slots: usize = requests.values().map(Vec::len).sum();
        if slots == 0 {
            return Err(RpcError::params("empty request"));
        }
        if slots > MAX_PROOF_SLOTS {
            return Err(RpcError::new(code::CLIENT_LIMIT, format!("too many slots (max {MAX_PROOF_SLOTS})")));
        }
        Reply::read(c, move |c, _| {
            let height = c.resolve(at)?;
            let mut values: BTreeMap<Address, Vec<B256>> = BTreeMap::new();
            for (address, slots) in requests {
                let read = slots.iter().map(|Slot(slot)| c.backend.storage(height, address, *slot));
                values.insert(address, read.collect::<Result<_, _>>()?);
            }
            Ok(values)
        })
    });
    table.add("eth_getProof(address: Address, slots?: Slot[], block?: Block) -> AccountProof", |c, p| {
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
