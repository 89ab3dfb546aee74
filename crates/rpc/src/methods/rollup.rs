//! What Ethereum has no word for: `rollup_*`.

use super::{Methods, Reply, blocks::Place};
use crate::{
    context::Context,
    error::RpcError,
    params::{At, Number},
    ports::Backend,
    types::{BlockRef, Fate, TransactionFate},
};
use alloy::primitives::B256;
use baton_primitives::{Epoch, Height};

pub(super) fn register<B: Backend>(table: &mut Methods<B>) {
    table.add("rollup_syncStatus() -> RollupStatus", |c, _| Reply::now(&c.backend.sync_status()));
    table.add("rollup_leader(epoch?: Quantity) -> Leaders|null", |c, p| {
        let epoch: Option<Number> = p.optional()?;
        Reply::read(c, move |c, _| Ok(c.backend.leaders(epoch.map(|e| Epoch::new(e.0)))?))
    });
    table.add("rollup_batchOf(block: Block) -> Batch|null", |c, p| {
        let At(at) = p.required()?;
        Reply::read(c, move |c, _| Ok(c.backend.batch_of(c.resolve(at)?)?))
    });
    table.add("rollup_transactionFate(transactionHash: Hash) -> Fate", |c, p| {
        let hash: B256 = p.required()?;
        Reply::read(c, move |c, _| fate(c, hash))
    });
    table.add("rollup_blob(versionedHash: Hash) -> Bytes|null", |c, p| {
        let versioned_hash: B256 = p.required()?;
        Reply::read(c, move |c, _| Ok(c.backend.blob(versioned_hash)?))
    });
}

fn fate<B: Backend>(context: &Context<B>, hash: B256) -> Result<TransactionFate, RpcError> {
    let mut fate =
        TransactionFate { transaction_hash: hash, status: Fate::Unknown, block: None, batch: None, reason: None };
    match context.place(hash)? {
        Place::Final(height, _) => {
            let heads = context.backend.heads();
            fate.status = match height {
                h if h <= heads.finalized && heads.finalized > Height::ZERO => Fate::Settled,
                h if h <= heads.safe && heads.safe > Height::ZERO => Fate::Posted,
                _ => Fate::Final,
            };
            fate.block = context.backend.header(height)?.map(|(hash, header)| BlockRef {
                number: header.number,
                hash,
                timestamp: header.timestamp,
            });
            fate.batch = context.backend.batch_of(height)?.map(|b| b.index);
        }
        Place::Waiting(_) => fate.status = Fate::Pending,
        Place::Nowhere => {
            if let Some(reason) = context.backend.rejection(hash) {
                fate.status = Fate::Rejected;
                fate.reason = Some(reason);
            }
        }
    }
    Ok(fate)
}
