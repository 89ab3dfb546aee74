//! Reads headers and logs from one endpoint and checks what can be checked: a header hashes to its hash, chains to its
//! parent, and its bloom filter names the contracts whose logs come with it; logs belong to the block, the contracts and
//! each other's order; logs that the bloom promises and the endpoint leaves out are looked up in the receipts, whose root is
//! in the header.

use crate::{
    BlobSchedule, Error,
    endpoint::Endpoint,
    event::{self, ContractLog, L1Block},
};
use alloy::{
    consensus::{ReceiptEnvelope, proofs::calculate_receipt_root},
    primitives::{Address, B256, BloomInput, U64},
    rpc::types::{Header, Log, TransactionReceipt},
};
use baton_bindings::Addresses;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};

/// What is read, besides headers.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub(crate) contracts: Addresses,
    pub(crate) schedule: BlobSchedule,
}

/// The contracts whose logs are read.
pub(crate) const fn watched(contracts: &Addresses) -> [Address; 5] {
    [contracts.staking, contracts.pool, contracts.inbox, contracts.portal, contracts.revenue]
}

/// A block by number or tag; `None` if the endpoint does not have it.
pub(crate) async fn header(endpoint: &Endpoint, tag: &Value) -> Result<Option<Header>, Error> {
    let header: Option<Header> = endpoint.call("eth_getBlockByNumber", (tag, false)).await?;
    header.map(|h| checked_header(endpoint, h)).transpose()
}

/// A block's header by number.
pub(crate) async fn header_at(endpoint: &Endpoint, number: u64) -> Result<Option<Header>, Error> {
    let header = header(endpoint, &json!(U64::from(number))).await?;
    header.map(|h| numbered(endpoint, h, number)).transpose()
}

fn checked_header(endpoint: &Endpoint, header: Header) -> Result<Header, Error> {
    let actual = header.inner.hash_slow();
    if actual != header.hash {
        return Err(malformed(
            endpoint,
            format!("the header of block {} hashes to {actual}, not to its hash {}", header.inner.number, header.hash),
        ));
    }
    Ok(header)
}

fn numbered(endpoint: &Endpoint, header: Header, number: u64) -> Result<Header, Error> {
    if header.inner.number != number {
        return Err(malformed(endpoint, format!("block {} instead of block {number}", header.inner.number)));
    }
    Ok(header)
}

/// Up to `count` blocks from `first` on, linked to each other; fewer if the endpoint has no more.
pub(crate) async fn headers(endpoint: &Endpoint, first: u64, count: usize) -> Result<Vec<Header>, Error> {
    if count <= 1 {
        return Ok(header_at(endpoint, first).await?.into_iter().collect());
    }
    let params: Vec<_> = (first..).take(count).map(|n| (U64::from(n), false)).collect();
    let answers: Vec<Option<Header>> = endpoint.batch("eth_getBlockByNumber", &params).await?;
    let mut headers: Vec<Header> = Vec::with_capacity(count);
    for (number, header) in (first..).zip(answers) {
        let Some(header) = header else { break };
        let header = numbered(endpoint, checked_header(endpoint, header)?, number)?;
        if headers.last().is_some_and(|parent| parent.hash != header.inner.parent_hash) {
            return Err(malformed(endpoint, format!("block {number} does not follow the block before")));
        }
        headers.push(header);
    }
    Ok(headers)
}

/// The headers with the contracts' logs.
pub(crate) async fn blocks(endpoint: &Endpoint, scope: &Scope, headers: Vec<Header>) -> Result<Vec<L1Block>, Error> {
    let addresses = watched(&scope.contracts);
    let promised: Vec<&Header> = headers.iter().filter(|h| promises(h, &addresses)).collect();
    let mut logs: BTreeMap<u64, Vec<Log>> = BTreeMap::new();
    if let (Some(first), Some(last)) = (promised.first(), promised.last()) {
        let filter = if first.hash == last.hash {
            json!({ "address": addresses, "blockHash": first.hash })
        } else {
            let range = (U64::from(first.inner.number), U64::from(last.inner.number));
            json!({ "address": addresses, "fromBlock": range.0, "toBlock": range.1 })
        };
        let answer: Vec<Log> = endpoint.call("eth_getLogs", (filter,)).await?;
        for log in answer {
            let number = log.block_number.ok_or_else(|| malformed(endpoint, "a log without a block number".into()))?;
            logs.entry(number).or_default().push(log);
        }
    }
    let missing: Vec<_> = promised.iter().filter(|h| !logs.contains_key(&h.inner.number)).collect();
    let mut found = Vec::new();
    for header in missing {
        found.push((header.inner.number, receipt_logs(endpoint, header, &addresses).await?));
    }
    logs.extend(found);
    if let Some(number) = logs.keys().find(|n| !promised.iter().any(|h| h.inner.number == **n)) {
        return Err(malformed(endpoint, format!("logs of block {number}, whose header does not promise any")));
    }
    headers
        .into_iter()
        .map(|header| {
            let logs = logs.remove(&header.inner.number).unwrap_or_default();
            block(endpoint, scope, &header, logs)
        })
        .collect()
}

fn promises(header: &Header, addresses: &[Address]) -> bool {
    addresses.iter().any(|a| header.inner.logs_bloom.contains_input(BloomInput::Raw(a.as_slice())))
}

/// The contracts' logs out of the block's receipts, whose root must be the header's.
async fn receipt_logs(endpoint: &Endpoint, header: &Header, addresses: &[Address]) -> Result<Vec<Log>, Error> {
    let receipts: Option<Vec<TransactionReceipt>> = endpoint.call("eth_getBlockReceipts", (header.hash,)).await?;
    let number = header.inner.number;
    let receipts = receipts.ok_or_else(|| Error::Missing {
        endpoint: endpoint.name().to_owned(),
        what: format!("the receipts of block {number}"),
    })?;
    let envelopes: Vec<ReceiptEnvelope> =
        receipts.iter().map(|r| r.inner.clone().map_logs(|log: Log| log.into_inner())).collect();
    let root = calculate_receipt_root(&envelopes);
    if root != header.inner.receipts_root {
        return Err(malformed(
            endpoint,
            format!("the receipts of block {number} have root {root}, its header says {}", header.inner.receipts_root),
        ));
    }
    let ours = |log: &&Log| addresses.contains(&log.address());
    Ok(receipts.iter().flat_map(|r| r.logs().iter().filter(ours).cloned()).collect())
}

fn block(endpoint: &Endpoint, scope: &Scope, header: &Header, logs: Vec<Log>) -> Result<L1Block, Error> {
    let number = header.inner.number;
    let addresses: HashSet<Address> = watched(&scope.contracts).into_iter().collect();
    let mut decoded: Vec<ContractLog> = Vec::with_capacity(logs.len());
    for log in logs {
        let wrong = |what: &str| malformed(endpoint, format!("a log of block {number} {what}"));
        if log.removed {
            return Err(wrong("is marked as removed"));
        }
        if log.block_hash != Some(header.hash) {
            return Err(wrong("belongs to another block"));
        }
        if !addresses.contains(&log.address()) {
            return Err(wrong("is of a contract that was not asked for"));
        }
        let (Some(transaction), Some(log_index)) = (log.transaction_hash, log.log_index) else {
            return Err(wrong("lacks its transaction or index"));
        };
        if decoded.last().is_some_and(|before| before.log_index >= log_index) {
            return Err(wrong("is out of order"));
        }
        let event = event::decode(&scope.contracts, &log).map_err(|e| wrong(&format!("does not decode: {e}")))?;
        decoded.push(ContractLog { transaction, log_index, log: log.into_inner(), event });
    }
    Ok(L1Block {
        number,
        hash: header.hash,
        parent: header.inner.parent_hash,
        timestamp: header.inner.timestamp,
        base_fee: u128::from(header.inner.base_fee_per_gas.unwrap_or_default()),
        blob_base_fee: scope.schedule.price(header.inner.timestamp, header.inner.excess_blob_gas),
        prev_randao: header.inner.mix_hash,
        logs: decoded,
    })
}

/// Compares the schedule's price of a block with the endpoint's.
pub(crate) async fn check_blob_price(
    endpoint: &Endpoint,
    schedule: &BlobSchedule,
    header: &Header,
) -> Result<(), Error> {
    let number = header.inner.number;
    let history: Value = endpoint.call("eth_feeHistory", (U64::from(1), U64::from(number), Vec::<f64>::new())).await?;
    let told = history.get("baseFeePerBlobGas").and_then(|prices| prices.get(0)).and_then(Value::as_str);
    let Some(actual) = told.and_then(|t| u128::from_str_radix(t.trim_start_matches("0x"), 16).ok()) else {
        return Ok(());
    };
    let expected = schedule.price(header.inner.timestamp, header.inner.excess_blob_gas);
    // Endpoints report 0 or 1 for blocks before blobs.
    if actual > 1 && actual != expected {
        return Err(Error::BlobSchedule { number, actual, expected });
    }
    Ok(())
}

/// The hash an endpoint has at a number; `None` if it has no such block.
pub(crate) async fn hash_at(endpoint: &Endpoint, number: u64) -> Result<Option<B256>, Error> {
    Ok(header_at(endpoint, number).await?.map(|h| h.hash))
}

fn malformed(endpoint: &Endpoint, what: String) -> Error {
    Error::Malformed { endpoint: endpoint.name().to_owned(), what }
}
