//! The bytes themselves: `debug_getRaw*`.

use super::{Methods, Reply};
use crate::{
    error::RpcError,
    params::{At, unknown_block},
    ports::Backend,
};
use alloy::{
    consensus::ReceiptWithBloom,
    eips::eip2718::Encodable2718,
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
        let transaction = match c.backend.locate(hash)? {
            Some((height, index)) => {
                let block = c.backend.block(height)?;
                block.and_then(|b| b.transactions().get(index).map(Encodable2718::encoded_2718))
            }
            None => c.backend.waiting(hash).map(|w| w.transaction.encoded_2718()),
        };
        Reply::now(&transaction.map(Bytes::from))
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
