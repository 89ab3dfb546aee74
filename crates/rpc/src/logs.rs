//! Finds logs: the index tells which blocks may hold them, their receipts which do, within the limits.
#![allow(clippy::wildcard_enum_match_arm, reason = "wide enums of other crates, all others alike")]

use crate::{
    context::Context,
    convert,
    error::{RpcError, code},
    params::without_position,
    ports::{Backend, Receipt},
};
use alloy::{
    consensus::TxReceipt,
    eips::{BlockId, BlockNumberOrTag},
    primitives,
    rpc::types::{Filter, FilterBlockOption, Log},
};
use baton_primitives::RecoveredBlock;
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny},
};
use serde_json::value::RawValue;
use std::{ops::RangeInclusive, time::Instant};

/// Addresses, or topics in one position, that a filter may name (geth's limit).
const MAX_ALTERNATIVES: usize = 1_000;

/// A filter as it was asked for.
///
/// A log with fewer topics than the filter has positions does not match, even where the positions are null: so geth has it, and
/// libraries test for it. alloy's filter, which reth asks, forgets nulls at the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogFilter {
    /// Blocks, addresses and topics.
    pub(crate) wanted: Filter,
    positions: usize,
}

impl LogFilter {
    /// Whether a log has what is asked for; its block is not looked at.
    pub(crate) fn matches(&self, log: &primitives::Log) -> bool {
        log.topics().len() >= self.positions && self.wanted.matches(log)
    }
}

impl<'de> Deserialize<'de> for LogFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Topics {
            topics: Option<Vec<IgnoredAny>>,
        }
        let text = <&RawValue>::deserialize(deserializer)?.get();
        let failed = |error| D::Error::custom(without_position(&error));
        let wanted = serde_json::from_str(text).map_err(failed)?;
        let Topics { topics } = serde_json::from_str(text).map_err(failed)?;
        Ok(Self { wanted, positions: topics.map_or(0, |topics| topics.len()) })
    }
}

/// Refuses filters that are too wide to evaluate.
pub(crate) fn check(filter: &LogFilter) -> Result<(), RpcError> {
    let filter = &filter.wanted;
    let widest = filter.topics.iter().map(|t| t.len()).chain([filter.address.len()]).max().unwrap_or(0);
    if widest > MAX_ALTERNATIVES {
        return Err(RpcError::limit(format!("exceed max addresses or topics per search position: {MAX_ALTERNATIVES}")));
    }
    Ok(())
}

/// The heights that a filter spans; `None` if it spans none (all above the head).
pub(crate) fn range<B: Backend>(
    context: &Context<B>,
    filter: &Filter,
) -> Result<Option<RangeInclusive<u64>>, RpcError> {
    let (from, to) = match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => {
            let Some(height) = context.backend.height_of(hash)? else {
                return Err(RpcError::new(code::SERVER, "unknown block"));
            };
            return Ok(Some(height.get()..=height.get()));
        }
        FilterBlockOption::Range { from_block, to_block } => (from_block, to_block),
    };
    let latest = context.backend.heads().latest.get();
    let height = |tag: Option<BlockNumberOrTag>| match tag.unwrap_or_default() {
        BlockNumberOrTag::Number(number) => Ok(number),
        tag => Ok::<_, RpcError>(context.resolve(BlockId::Number(tag))?.get()),
    };
    let (from, to) = (height(from)?, height(to)?);
    if from > to {
        return Err(RpcError::params(format!("invalid block range params: from {from}, to {to}")));
    }
    if from > latest {
        return Ok(None);
    }
    Ok(Some(from..=to.min(latest)))
}

/// All logs that match, by height and position.
///
/// # Errors
/// If the range, the result or the time exceeds a limit; the text says what to ask instead.
pub(crate) fn query<B: Backend>(
    context: &Context<B>,
    filter: &LogFilter,
    deadline: Instant,
) -> Result<Vec<Log>, RpcError> {
    let Some(range) = range(context, &filter.wanted)? else { return Ok(Vec::new()) };
    let span = range.end() - range.start() + 1;
    let limit = context.config.max_log_blocks;
    if span > limit {
        return Err(RpcError::limit(format!(
            "query exceeds max block range {limit}: {span} blocks; ask for less at a time"
        )));
    }
    collect(context, filter, range, deadline)
}

/// Logs of a range whose length is known to be within the limit.
pub(crate) fn collect<B: Backend>(
    context: &Context<B>,
    filter: &LogFilter,
    range: RangeInclusive<u64>,
    deadline: Instant,
) -> Result<Vec<Log>, RpcError> {
    let mut logs = Vec::new();
    let first = *range.start();
    for height in context.backend.log_heights(&filter.wanted, range)? {
        let height = height?;
        if Instant::now() >= deadline {
            let message = format!("query timeout: reached block {height}; retry with the range {first}-{height}");
            return Err(RpcError::limit(message));
        }
        if let Some((block, receipts)) = context.executed_at(height)? {
            append(&mut logs, filter, &block, &receipts);
        }
        let limit = context.config.max_logs;
        if logs.len() > limit {
            let end = height.get().saturating_sub(1).max(first);
            let message = format!("query exceeds max results {limit}, retry with the range {first}-{end}");
            return Err(RpcError::limit(message));
        }
    }
    Ok(logs)
}

/// Adds the matching logs of one block.
fn append(logs: &mut Vec<Log>, filter: &LogFilter, block: &RecoveredBlock, receipts: &[Receipt]) {
    let mut position = 0;
    for (index, (receipt, transaction)) in receipts.iter().zip(block.transactions()).enumerate() {
        for log in receipt.logs() {
            if filter.matches(log) {
                logs.push(convert::rpc_log(block, transaction.tx_hash(), index, position, log.clone()));
            }
            position += 1;
        }
    }
}
