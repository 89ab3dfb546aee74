//! Reads L1 blocks with the events of Baton's contracts, and believes no log that does not fit its block.

use crate::{
    IndexerError,
    endpoint::Endpoint,
    rows::l1::{Event, L1Block, PostingCost, is_batch},
};
use alloy::{
    network::Ethereum,
    primitives::{B256, BloomInput},
    providers::Provider as _,
    rpc::types::{Filter, Header, Log},
};
use baton_bindings::Addresses;
use futures::{StreamExt as _, TryStreamExt as _};
use std::{collections::BTreeMap, num::NonZeroUsize, ops::RangeInclusive};

/// The contracts whose events are written.
const fn emitters(a: &Addresses) -> [alloy::primitives::Address; 10] {
    [a.staking, a.pool, a.inbox, a.portal, a.revenue, a.slasher, a.profiles, a.parameters, a.recovery, a.commitments]
}

/// One block; `None` if the endpoint does not have it.
pub(crate) async fn block_at(
    endpoint: &Endpoint<Ethereum>,
    addresses: &Addresses,
    number: u64,
) -> Result<Option<L1Block>, IndexerError> {
    let Some(block) = endpoint.ask(|p| async move { p.get_block_by_number(number.into()).await }).await? else {
        return Ok(None);
    };
    let header = block.header;
    let filter = Filter::new().at_block_hash(header.hash).address(emitters(addresses).to_vec());
    let mut logs = endpoint.ask(|p| async move { p.get_logs(&filter).await }).await?;
    if logs.is_empty()
        && emitters(addresses).iter().any(|a| header.logs_bloom.contains_input(BloomInput::Raw(a.as_slice())))
    {
        // The header's bloom says there may be some: the receipts know.
        logs = logs_of_receipts(endpoint, addresses, header.hash).await?;
    }
    complete(endpoint, addresses, &header, logs).await.map(Some)
}

/// The blocks of a finalized range that have events, and always its last one.
pub(crate) async fn range(
    endpoint: &Endpoint<Ethereum>,
    addresses: &Addresses,
    numbers: RangeInclusive<u64>,
    concurrency: NonZeroUsize,
) -> Result<Vec<L1Block>, IndexerError> {
    let (first, last) = (*numbers.start(), *numbers.end());
    let filter = Filter::new().select(numbers).address(emitters(addresses).to_vec());
    let logs = endpoint.ask(|p| async move { p.get_logs(&filter).await }).await?;
    let mut by_block: BTreeMap<u64, Vec<Log>> = BTreeMap::from([(last, Vec::new())]);
    for log in logs {
        let number = log.block_number.unwrap_or_default();
        if number < first || number > last {
            return Err(endpoint.wrong(number, "a log from outside the range that was asked for"));
        }
        by_block.entry(number).or_default().push(log);
    }
    futures::stream::iter(by_block)
        .map(|(number, logs)| async move {
            let block = endpoint.ask(|p| async move { p.get_block_by_number(number.into()).await }).await?;
            let header = block.ok_or_else(|| endpoint.wrong(number, "a finalized block is missing"))?.header;
            complete(endpoint, addresses, &header, logs).await
        })
        .buffered(concurrency.get())
        .try_collect()
        .await
}

async fn logs_of_receipts(
    endpoint: &Endpoint<Ethereum>,
    addresses: &Addresses,
    hash: B256,
) -> Result<Vec<Log>, IndexerError> {
    let receipts = endpoint.ask(|p| async move { p.get_block_receipts(hash.into()).await }).await?;
    let logs = receipts.into_iter().flatten().flat_map(|r| r.inner.logs().to_vec());
    Ok(logs.filter(|log| emitters(addresses).contains(&log.address())).collect())
}

/// Checks that the logs are this block's, in order, and adds what a batch's transaction cost.
async fn complete(
    endpoint: &Endpoint<Ethereum>,
    addresses: &Addresses,
    header: &Header,
    logs: Vec<Log>,
) -> Result<L1Block, IndexerError> {
    let number = header.number;
    let wrong = |what: &str| endpoint.wrong(number, what);
    let mut events = Vec::with_capacity(logs.len());
    let mut previous = None;
    for log in logs {
        if log.removed || log.block_hash != Some(header.hash) {
            return Err(wrong("a log that is not of this block"));
        }
        if !emitters(addresses).contains(&log.address()) {
            return Err(wrong("a log of another contract"));
        }
        let (Some(index), Some(transaction)) = (log.log_index, log.transaction_hash) else {
            return Err(wrong("a log without index or transaction"));
        };
        if previous.is_some_and(|p| p >= index) {
            return Err(wrong("logs out of order"));
        }
        previous = Some(index);
        let cost = if is_batch(addresses.inbox, log.address(), log.topic0()) {
            Some(cost(endpoint, number, transaction).await?)
        } else {
            None
        };
        events.push(Event { index, transaction, log: log.inner, cost });
    }
    Ok(L1Block { number, hash: header.hash, parent: header.parent_hash, timestamp: header.timestamp, events })
}

async fn cost(endpoint: &Endpoint<Ethereum>, number: u64, transaction: B256) -> Result<PostingCost, IndexerError> {
    let receipt = endpoint.ask(|p| async move { p.get_transaction_receipt(transaction).await }).await?;
    let receipt = receipt
        .filter(|r| r.block_number == Some(number))
        .ok_or_else(|| endpoint.wrong(number, format!("transaction {transaction} has no receipt in its block")))?;
    Ok(PostingCost {
        gas_used: receipt.gas_used,
        gas_price: receipt.effective_gas_price,
        blob_gas_used: receipt.blob_gas_used.unwrap_or_default(),
        blob_gas_price: receipt.blob_gas_price.unwrap_or_default(),
    })
}
