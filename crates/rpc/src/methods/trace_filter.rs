//! Calls of many transactions, and of one that was never sent, in their flat form: `trace_filter`, `trace_call`,
//! `trace_replay*`. State differences and instructions are what `debug_trace*` tells.
#![allow(clippy::wildcard_enum_match_arm, reason = "wide enums of other crates, all others alike")]

use super::{Methods, Reply, execute::Simulation, trace};
use crate::{
    context::Context,
    error::RpcError,
    params::{At, Params, unknown_block},
    ports::Backend,
};
use alloy::{
    primitives::B256,
    rpc::types::{
        TransactionRequest,
        trace::{
            filter::TraceFilter,
            geth::{GethDebugBuiltInTracerType, GethDebugTracingOptions, GethTrace},
            parity::{
                LocalizedTransactionTrace, TraceOutput, TraceResults, TraceResultsWithTransactionHash, TraceType,
                TransactionTrace,
            },
        },
    },
};
use baton_primitives::Height;
use std::time::Instant;

/// Blocks that one filter may span (reth's limit).
const MAX_BLOCKS: u64 = 100;

pub(super) fn register<B: Backend>(table: &mut Methods<B>) {
    table.add("trace_filter(filter: TraceFilter) -> FlatTrace[]", |c, p| {
        let filter: TraceFilter = p.required()?;
        Reply::read(c, move |c, deadline| matching(c, &filter, deadline))
    });
    let call = "trace_call(call: Call, kinds: TraceKind[], block?: Block, stateOverrides?: StateOverrides, \
                blockOverrides?: BlockOverrides) -> ReplayedTrace";
    table.add(call, |c, p| {
        let request: TransactionRequest = p.required()?;
        calls_only(p)?;
        let At(at) = p.optional()?.unwrap_or_default();
        let (state, block) = (p.optional()?.unwrap_or_default(), p.optional()?.unwrap_or_default());
        let call = Simulation::new(request, at, state, block)?;
        Reply::read(c, move |c, _| {
            let options = GethDebugTracingOptions::new_tracer(GethDebugBuiltInTracerType::FlatCallTracer);
            let frames = match c.backend.trace_call(&call.prepare(c)?, &options)? {
                GethTrace::FlatCallTracer(frames) => frames,
                _ => Vec::new(),
            };
            Ok::<_, RpcError>(results(frames.into_iter().map(|frame| frame.trace).collect()))
        })
    });
    table.add("trace_replayTransaction(transactionHash: Hash, kinds: TraceKind[]) -> ReplayedTrace|null", |c, p| {
        let hash: B256 = p.required()?;
        calls_only(p)?;
        Reply::read(c, move |c, _| {
            let Some((block, index)) = trace::located(c, hash)? else { return Ok(None) };
            let frames = trace::flat(c, &block, Some(index))?;
            Ok(Some(results(frames.into_iter().map(|frame| frame.trace).collect())))
        })
    });
    table.add("trace_replayBlockTransactions(block: Block, kinds: TraceKind[]) -> ReplayedTrace[]", |c, p| {
        let At(at) = p.required()?;
        calls_only(p)?;
        Reply::read(c, move |c, _| {
            let block = c.block(at)?.ok_or_else(|| unknown_block(at))?;
            Ok(by_transaction(trace::flat(c, &block, None)?))
        })
    });
}

/// Reads which kinds of traces are asked for: calls are the only one there is.
fn calls_only(params: &mut Params<'_>) -> Result<(), RpcError> {
    let kinds: Vec<TraceType> = params.required()?;
    if kinds.iter().any(|kind| *kind != TraceType::Trace) {
        let message = "only the kind \"trace\" is supported here: use debug_traceTransaction or debug_traceCall with \
                       prestateTracer for changes of state, without tracer for instructions";
        return Err(RpcError::params(message));
    }
    Ok(())
}

fn results(trace: Vec<TransactionTrace>) -> TraceResults {
    let output = trace.first().and_then(|frame| frame.result.clone()).map(TraceOutput::into_output);
    TraceResults { output: output.unwrap_or_default(), state_diff: None, trace, vm_trace: None }
}

fn by_transaction(frames: Vec<LocalizedTransactionTrace>) -> Vec<TraceResultsWithTransactionHash> {
    let mut all: Vec<(B256, Vec<TransactionTrace>)> = Vec::new();
    for frame in frames {
        let hash = frame.transaction_hash.unwrap_or_default();
        match all.last_mut() {
            Some((last, traces)) if *last == hash => traces.push(frame.trace),
            _ => all.push((hash, vec![frame.trace])),
        }
    }
    let whole =
        |(transaction_hash, trace)| TraceResultsWithTransactionHash { full_trace: results(trace), transaction_hash };
    all.into_iter().map(whole).collect()
}

fn matching<B: Backend>(
    context: &Context<B>,
    filter: &TraceFilter,
    deadline: Instant,
) -> Result<Vec<LocalizedTransactionTrace>, RpcError> {
    let latest = context.backend.heads().latest.get();
    let to = filter.to_block.unwrap_or(latest).min(latest);
    // Without a beginning: the most that may be asked for.
    let from = filter.from_block.unwrap_or_else(|| (to + 1).saturating_sub(MAX_BLOCKS));
    if from > to {
        return Err(RpcError::params(format!("invalid block range params: from {from}, to {to}")));
    }
    if to - from >= MAX_BLOCKS {
        return Err(RpcError::limit(format!("a trace filter may span {MAX_BLOCKS} blocks, not {}", to - from + 1)));
    }
    let matcher = filter.matcher();
    let most = context.config.max_logs;
    let mut skipped = filter.after.unwrap_or(0);
    let count = filter.count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
    let mut found = Vec::new();
    for height in from..=to {
        if Instant::now() >= deadline {
            return Err(RpcError::limit(format!("query timeout: reached block {height}; ask for fewer blocks")));
        }
        let Some(block) = context.backend.block(Height::new(height))? else { break };
        for frame in trace::flat(context, &block, None)?.into_iter().filter(|frame| matcher.matches(&frame.trace)) {
            if skipped > 0 {
                skipped -= 1;
            } else if found.len() == count {
                return Ok(found);
            } else if found.len() == most {
                let message = format!("query exceeds max results {most}: ask for fewer blocks, or use count");
                return Err(RpcError::limit(message));
            } else {
                found.push(frame);
            }
        }
        if found.len() == count {
            break;
        }
    }
    Ok(found)
}
