//! What gas costs. The base fee covers the cost of data on L1, so that `gas x price` is the whole cost.

use super::{Methods, Reply};
use crate::{
    context::Context,
    convert,
    error::RpcError,
    params::{At, Number},
    ports::{Backend, Receipt},
};
use alloy::{
    consensus::{BlockHeader, Transaction as _},
    eips::BlockId,
    primitives::U256,
    rpc::types::FeeHistory,
};
use baton_primitives::{Height, RecoveredBlock};
use std::time::Instant;

/// Percentiles that one request may ask for (geth's limit).
const MAX_PERCENTILES: usize = 100;

pub(super) fn register<B: Backend>(table: &mut Methods<B>) {
    table.add("eth_gasPrice() -> Quantity", |c, _| {
        Reply::read(c, |c, _| {
            // One price has to hold until the transaction is in a block: it lasts for one step of the base fee, an eighth.
            // And `eth_estimateGas` with that price runs in the head, whose base fee may be above the next one.
            let next = u128::from(c.backend.next_base_fee());
            let head = c.backend.header(c.backend.heads().latest)?;
            let head = head.and_then(|(_, header)| header.base_fee_per_gas).map_or(0, u128::from);
            let base_fee = next.saturating_add(next / 8).max(head);
            Ok(U256::from(base_fee.saturating_add(c.backend.suggested_tip())))
        })
    });
    table.add("eth_maxPriorityFeePerGas() -> Quantity", |c, _| Reply::now(&U256::from(c.backend.suggested_tip())));
    // L2 takes no blobs: the price is the least that Ethereum knows.
    table.add("eth_blobBaseFee() -> Quantity", |_, _| Reply::now(&U256::ONE));
    table.add(
        "eth_feeHistory(blockCount: Quantity, newestBlock: Block, rewardPercentiles?: Percentile[]) -> FeeHistory",
        |c, p| {
            let Number(count) = p.required()?;
            let At(newest) = p.required()?;
            let percentiles: Vec<f64> = p.optional()?.unwrap_or_default();
            check(&percentiles)?;
            Reply::read(c, move |c, deadline| history(c, count, newest, &percentiles, deadline))
        },
    );
}

fn check(percentiles: &[f64]) -> Result<(), RpcError> {
    if percentiles.len() > MAX_PERCENTILES {
        let message = format!("over the query limit {MAX_PERCENTILES}: got {} percentiles", percentiles.len());
        return Err(RpcError::params(message));
    }
    if let Some(p) = percentiles.iter().find(|p| !(0.0..=100.0).contains(*p)) {
        return Err(RpcError::params(format!("invalid reward percentile: {p}")));
    }
    if let Some(pair) = percentiles.windows(2).find(|pair| pair[0] > pair[1]) {
        return Err(RpcError::params(format!("invalid reward percentile: {} > {}", pair[0], pair[1])));
    }
    Ok(())
}

fn history<B: Backend>(
    context: &Context<B>,
    count: u64,
    newest: BlockId,
    percentiles: &[f64],
    deadline: Instant,
) -> Result<FeeHistory, RpcError> {
    let last = context.find(newest)?.ok_or_else(|| RpcError::params("request beyond head block"))?;
    let count = count.min(context.config.max_fee_history).min(last.get() + 1);
    if count == 0 {
        return Ok(FeeHistory::default());
    }
    let first = last.get() + 1 - count;
    let mut history = FeeHistory { oldest_block: first, ..FeeHistory::default() };
    let mut rewards = Vec::new();
    for height in (first..=last.get()).map(Height::new) {
        if Instant::now() >= deadline {
            return Err(RpcError::timed_out());
        }
        let header = if percentiles.is_empty() {
            context.backend.header(height)?.map(|(_, header)| header)
        } else {
            let executed = context.executed_at(height)?;
            executed.map(|(block, receipts)| {
                rewards.push(tips(&block, &receipts, percentiles));
                block.header().clone()
            })
        };
        let header = header.ok_or_else(|| RpcError::internal(&format!("block {height} vanished")))?;
        history.base_fee_per_gas.push(u128::from(header.base_fee_per_gas().unwrap_or(0)));
        history.gas_used_ratio.push(ratio(header.gas_used(), header.gas_limit()));
        history.base_fee_per_blob_gas.push(1);
        history.blob_gas_used_ratio.push(0.0);
    }
    let after = match context.backend.header(last.next())? {
        Some((_, header)) => header.base_fee_per_gas().unwrap_or(0),
        None => context.backend.next_base_fee(),
    };
    history.base_fee_per_gas.push(u128::from(after));
    history.base_fee_per_blob_gas.push(1);
    history.reward = (!percentiles.is_empty()).then_some(rewards);
    Ok(history)
}

#[allow(clippy::cast_precision_loss)] // a ratio for people: 52 bits are enough
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The tips at the percentiles of the block's gas, deposits left out: they pay none.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn tips(block: &RecoveredBlock, receipts: &[Receipt], percentiles: &[f64]) -> Vec<u128> {
    let base_fee = block.header().base_fee_per_gas.unwrap_or(0);
    let mut paid: Vec<(u128, u64)> = block
        .transactions()
        .iter()
        .enumerate()
        .filter(|(_, t)| !t.is_deposit())
        .map(|(i, t)| (t.effective_tip_per_gas(base_fee).unwrap_or(0), convert::gas_used(receipts, i)))
        .collect();
    paid.sort_unstable();
    let total: u64 = paid.iter().map(|(_, gas)| gas).sum();
    let mut sum = 0;
    let mut next = paid.iter().peekable();
    let mut tip = paid.first().map_or(0, |(tip, _)| *tip);
    let mut at = |percentile: f64| {
        // Whole gas, as geth has it (`eth/gasprice/feehistory.go`).
        let threshold = (total as f64 * percentile / 100.0) as u64;
        while let Some((t, gas)) = next.peek()
            && sum < threshold
        {
            sum += gas;
            tip = *t;
            next.next();
        }
        tip
    };
    percentiles.iter().map(|p| at(*p)).collect()
}
