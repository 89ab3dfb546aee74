//! The bytes themselves: `debug_getRaw*`, `eth_getRawTransaction*`.

use super::{Methods, Reply, blocks::Place};
use crate::{
    context::Context,
    error::RpcError,
    params::{At, Number, unknown_block},
    ports::Backend,
};
use alloy::{
    consensus::ReceiptWithBloom,
    eips::{BlockId, eip2718::Encodable2718},
    primitives::{B256, Bytes},
};

pub(super) fn register<B: Backend>(table: &mut Methods<B>) {
    table.add("debug_getRawBlock(block: Block) -> Bytes", |c, p| {
        let At(at) = p.required()?;
        Reply::read(c, move |c, _| Ok(c.block(at)?.ok_or_else(|| unknown_block(at))?.encode()))
    });
    table.add("debug_getRawHeader(block: Block) -> Bytes", |c, p| {
        let At(at) = p.required()?;
        let height = c.resolve(at)?;
        let (_, header) = c.backend.header(height)?.ok_or_else(|| unknown_block(at))?;
        Reply::now(&Bytes::from(alloy::rlp::encode(&header)))
    });
    table.add("debug_getRawTransaction(transactionHash: Hash) -> Bytes|null", |c, p| {
        let hash: B256 = p.required()?;
        Reply::now(&transaction(c, hash)?)
    });
    table.add("eth_getRawTransactionByHash(transactionHash: Hash) -> Bytes|null", |c, p| {
        let hash: B256 = p.required()?;
        Reply::now(&transaction(c, hash)?)
    });
    let by_hash = "eth_getRawTransactionByBlockHashAndIndex(blockHash: Hash, index: Quantity) -> Bytes|null";
    table.add(by_hash, |c, p| {
        let at = BlockId::hash(p.required()?);
        Reply::now(&transaction_at(c, at, p.required()?)?)
    });
    let by_number = "eth_getRawTransactionByBlockNumberAndIndex(block: Block, index: Quantity) -> Bytes|null";
    table.add(by_number, |c, p| {
        let At(at) = p.required()?;
        Reply::now(&transaction_at(c, at, p.required()?)?)
    });
    table.add("debug_getRawReceipts(block: Block) -> Bytes[]", |c, p| {
        let At(at) = p.required()?;
        Reply::read(c, move |c, _| {
            let (_, receipts) = c.executed(at)?.ok_or_else(|| unknown_block(at))?;
            let raw = receipts.iter().map(|r| Bytes::from(ReceiptWithBloom::from(r.clone()).encoded_2718()));
            Ok::<Vec<Bytes>, RpcError>(raw.collect())
        })
    });
}

/// A transaction, final or waiting.
fn transaction<B: Backend>(context: &Context<B>, hash: B256) -> Result<Option<Bytes>, RpcError> {
    let raw = match context.place(hash)? {
        Place::Final(height, index) => {
            let block = context.backend.block(height)?;
            block.and_then(|b| b.transactions().get(index).map(Encodable2718::encoded_2718))
        }
        Place::Waiting(waiting) => Some(waiting.transaction.encoded_2718()),
        Place::Nowhere => None,
    };
    Ok(raw.map(Bytes::from))
}

fn transaction_at<B: Backend>(context: &Context<B>, at: BlockId, index: Number) -> Result<Option<Bytes>, RpcError> {
    let index = usize::try_from(index.0).unwrap_or(usize::MAX);
    let raw = context.block(at)?.and_then(|b| b.transactions().get(index).map(Encodable2718::encoded_2718));
    Ok(raw.map(Bytes::from))
}
