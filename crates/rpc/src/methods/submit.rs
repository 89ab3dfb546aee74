//! Sending transactions.

use super::{Methods, Reply};
use crate::{
    context::Context,
    convert,
    envelope::{Json, json},
    error::{RpcError, code},
    params::Number,
    ports::Backend,
};
use alloy::consensus::Transaction as _;
use alloy::primitives::{Bytes, U64, keccak256};
use baton_primitives::Transaction;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

pub(super) fn register<B: Backend>(table: &mut Methods<B>) {
    table.add("eth_sendRawTransaction(transaction: Bytes) -> Hash", |c, p| {
        let raw: Bytes = p.required()?;
        let backend = Arc::clone(&c.backend);
        Reply::later(async move { json(&backend.submit(raw).await?) })
    });
    table.add("eth_sendRawTransactionSync(transaction: Bytes, timeoutMilliseconds?: Quantity) -> Receipt", |c, p| {
        let raw: Bytes = p.required()?;
        let millis: Option<Number> = p.optional()?;
        let wait = c.sync_timeout(millis.map(|m| m.0));
        let context = Arc::clone(c);
        Reply::later(async move { send_and_wait(&context, raw, wait).await })
    });
}

/// EIP-7966: the receipt, or an error that says what became of the transaction.
async fn send_and_wait<B: Backend>(context: &Context<B>, raw: Bytes, wait: Duration) -> Result<Json, RpcError> {
    // Asked for before it is sent, so that its block cannot pass unseen.
    let hash = keccak256(&raw);
    let found = context.hub.wait_for(hash)?;
    context.backend.submit(raw).await?;
    if let Some(waiting) = context.backend.waiting(hash)
        && !waiting.ready
    {
        return Err(not_ready(context, &waiting.transaction, waiting.sender)?);
    }
    match timeout(wait, found).await {
        Ok(Ok((head, index))) => {
            let (block, receipts) = (&head.executed.block, &head.executed.receipts);
            json(&convert::receipt(block, receipts, index, convert::logs_before(receipts, index)))
        }
        Ok(Err(_)) => Err(RpcError::new(code::UNAVAILABLE, "the node is stopping")),
        // The node itself may have missed the head: the store knows.
        Err(_) => match context.receipt(hash)? {
            Some(receipt) => json(&receipt),
            None => Err(RpcError::sync_timeout(hash, wait.as_millis())),
        },
    }
}

fn not_ready<B: Backend>(
    context: &Context<B>,
    transaction: &Transaction,
    sender: alloy::primitives::Address,
) -> Result<RpcError, RpcError> {
    let latest = context.backend.heads().latest;
    let next = context.backend.account(latest, sender)?.nonce.max(context.backend.next_nonce(sender).unwrap_or(0));
    let hash = transaction.tx_hash();
    if transaction.nonce() > next {
        let message = format!("The transaction has a nonce gap: expected {next}, got {}", transaction.nonce());
        return Ok(RpcError::new(code::SYNC_NONCE_GAP, message).with_data(&U64::from(next)));
    }
    let message = "The transaction was added to the mempool but is not ready to run";
    Ok(RpcError::new(code::SYNC_NOT_READY, message).with_data(&hash))
}
