//! Blocks, transactions and receipts. What does not exist is `null`, never an error.

use super::{Methods, Reply};
use crate::{
    context::Context,
    convert::{self, RpcBlock},
    envelope::json,
    error::RpcError,
    params::{At, Number, Params},
    ports::{Backend, ReadError, Receipts, Waiting},
};
use alloy::{
    eips::BlockId,
    primitives::{B256, U64},
};
use baton_primitives::{Height, RecoveredBlock};
use op_alloy_rpc_types::{OpTransactionReceipt, Transaction as RpcTransaction};
use serde::Deserialize;
use std::sync::Arc;

/// Where a transaction is.
pub(crate) enum Place {
    /// In the final block of this height, at this index.
    Final(Height, usize),
    /// In the pool.
    Waiting(Box<Waiting>),
    /// In neither.
    Nowhere,
}

pub(super) fn register<B: Backend>(table: &mut Methods<B>) {
    table.add("eth_getBlockByHash(blockHash: Hash, fullTransactions?: Boolean) -> BlockBody|null", |c, p| {
        let hash: B256 = p.required()?;
        block(c, BlockId::hash(hash), p.optional()?.unwrap_or(false))
    });
    table.add("eth_getBlockByNumber(block: Block, fullTransactions?: Boolean) -> BlockBody|null", |c, p| {
        let At(at) = p.required()?;
        block(c, at, p.optional()?.unwrap_or(false))
    });
    table.add("eth_getHeaderByHash(blockHash: Hash) -> Header|null", |c, p| header(c, BlockId::hash(p.required()?)));
    table.add("eth_getHeaderByNumber(block: Block) -> Header|null", |c, p| header(c, p.required::<At>()?.0));
    table.add("eth_getBlockTransactionCountByHash(blockHash: Hash) -> Quantity|null", |c, p| {
        count(c, BlockId::hash(p.required()?))
    });
    table.add("eth_getBlockTransactionCountByNumber(block: Block) -> Quantity|null", |c, p| {
        count(c, p.required::<At>()?.0)
    });
    table.add("eth_getUncleCountByBlockHash(blockHash: Hash) -> Quantity|null", |c, p| {
        uncles(c, BlockId::hash(p.required()?))
    });
    table.add("eth_getUncleCountByBlockNumber(block: Block) -> Quantity|null", |c, p| uncles(c, p.required::<At>()?.0));
    table.add("eth_getUncleByBlockHashAndIndex(blockHash: Hash, index: Quantity) -> null", |_, p| no_uncle::<B256>(p));
    table.add("eth_getUncleByBlockNumberAndIndex(block: Block, index: Quantity) -> null", |_, p| no_uncle::<At>(p));
    table.add("eth_getTransactionByHash(transactionHash: Hash) -> Transaction|null", |c, p| {
        let hash: B256 = p.required()?;
        Reply::now(&c.transaction(hash)?)
    });
    table.add("eth_getTransactionByBlockHashAndIndex(blockHash: Hash, index: Quantity) -> Transaction|null", |c, p| {
        let at = BlockId::hash(p.required()?);
        by_index(c, at, p.required()?)
    });
    table.add("eth_getTransactionByBlockNumberAndIndex(block: Block, index: Quantity) -> Transaction|null", |c, p| {
        let At(at) = p.required()?;
        by_index(c, at, p.required()?)
    });
    table.add("eth_getTransactionReceipt(transactionHash: Hash) -> Receipt|null", |c, p| {
        let hash: B256 = p.required()?;
        Reply::now(&c.receipt(hash)?)
    });
    table.add("eth_getBlockReceipts(block: Block) -> Receipt[]|null", |c, p| {
        let At(at) = p.required()?;
        Reply::read(c, move |c, _| {
            let Some(executed) = c.executed(at)? else { return Ok(None) };
            Ok(Some(convert::block_receipts(&executed.0, &executed.1)))
        })
    });
}

fn block<B: Backend>(context: &Arc<Context<B>>, at: BlockId, full: bool) -> Result<Reply, RpcError> {
    if full {
        return Reply::read(context, move |c, _| {
            let Some((block, receipts)) = c.executed(at)? else { return Ok(None::<RpcBlock>) };
            Ok(Some(convert::block(&block, Some(&receipts))))
        });
    }
    let found = context.block(at)?;
    Reply::now(&found.map(|b| convert::block(&b, None)))
}

fn header<B: Backend>(context: &Arc<Context<B>>, at: BlockId) -> Result<Reply, RpcError> {
    let Some(height) = context.find(at)? else { return Ok(Reply::Now(b"null".to_vec())) };
    let found = context.backend.header(height)?;
    Reply::now(&found.map(|(hash, header)| convert::header(hash, header, None)))
}

fn count<B: Backend>(context: &Arc<Context<B>>, at: BlockId) -> Result<Reply, RpcError> {
    Reply::now(&context.block(at)?.map(|b| U64::from(b.transactions().len())))
}

fn uncles<B: Backend>(context: &Arc<Context<B>>, at: BlockId) -> Result<Reply, RpcError> {
    Reply::now(&context.find(at)?.map(|_| U64::ZERO))
}

fn no_uncle<'a, T: Deserialize<'a>>(params: &mut Params<'a>) -> Result<Reply, RpcError> {
    params.required::<T>()?;
    params.required::<Number>()?;
    Ok(Reply::Now(b"null".to_vec()))
}

fn by_index<B: Backend>(context: &Arc<Context<B>>, at: BlockId, index: Number) -> Result<Reply, RpcError> {
    let index = usize::try_from(index.0).unwrap_or(usize::MAX);
    let found = context.executed(at)?;
    let found = found.and_then(|(block, receipts)| convert::transaction(&block, index, receipts.get(index)));
    json(&found).map(Reply::Now)
}

/// A block and its receipts.
pub(crate) type Executed = (Arc<RecoveredBlock>, Receipts);

impl<B: Backend> Context<B> {
    /// The block behind a reference.
    pub(crate) fn block(&self, at: BlockId) -> Result<Option<Arc<RecoveredBlock>>, RpcError> {
        let Some(height) = self.find(at)? else { return Ok(None) };
        Ok(self.backend.block(height)?)
    }

    /// The block behind a reference, with its receipts.
    pub(crate) fn executed(&self, at: BlockId) -> Result<Option<Executed>, RpcError> {
        let Some(height) = self.find(at)? else { return Ok(None) };
        Ok(self.executed_at(height)?)
    }

    /// The block at a height, with its receipts.
    pub(crate) fn executed_at(&self, height: Height) -> Result<Option<Executed>, ReadError> {
        Ok(self.backend.executed(height)?.map(|executed| (executed.block, executed.receipts)))
    }

    /// Looks for a transaction.
    pub(crate) fn place(&self, hash: B256) -> Result<Place, ReadError> {
        let in_block = || Ok(self.backend.locate(hash)?.map(|(height, index)| Place::Final(height, index)));
        if let Some(place) = in_block()? {
            return Ok(place);
        }
        match self.backend.waiting(hash) {
            Some(waiting) => Ok(Place::Waiting(Box::new(waiting))),
            // It leaves the pool after its block is final: it may have done so since the first look.
            None => Ok(in_block()?.unwrap_or(Place::Nowhere)),
        }
    }

    /// A transaction, final or waiting.
    pub(crate) fn transaction(&self, hash: B256) -> Result<Option<RpcTransaction>, RpcError> {
        Ok(match self.place(hash)? {
            Place::Final(height, index) => {
                let executed = self.executed_at(height)?;
                executed.and_then(|(block, receipts)| convert::transaction(&block, index, receipts.get(index)))
            }
            Place::Waiting(waiting) => Some(convert::waiting(waiting.transaction, waiting.sender)),
            Place::Nowhere => None,
        })
    }

    /// The receipt of a final transaction.
    pub(crate) fn receipt(&self, hash: B256) -> Result<Option<OpTransactionReceipt>, RpcError> {
        let Some((height, index)) = self.backend.locate(hash)? else { return Ok(None) };
        let Some((block, receipts)) = self.executed_at(height)? else { return Ok(None) };
        Ok(convert::receipt(&block, &receipts, index, convert::logs_before(&receipts, index)))
    }
}
