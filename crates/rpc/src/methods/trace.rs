//! What transactions did, step by step or call by call: `debug_trace*` and `trace_*`.

use super::{Methods, Reply, execute::Simulation};
use crate::{
    context::Context,
    error::{RpcError, code},
    params::{At, unknown_block},
    ports::Backend,
};
use alloy::{
    consensus::Transaction as _,
    primitives::B256,
    rpc::types::{
        TransactionRequest,
        trace::{
            geth::{
                GethDebugBuiltInTracerType, GethDebugTracingCallOptions, GethDebugTracingOptions, GethTrace,
                TraceResult,
            },
            parity::{
                Action, CallAction, CallType, CreateAction, CreationMethod, LocalizedTransactionTrace, TransactionTrace,
            },
        },
    },
};
use baton_primitives::RecoveredBlock;
use std::sync::Arc;

pub(super) fn register<B: Backend>(table: &mut Methods<B>) {
    table.add("debug_traceTransaction(transactionHash: Hash, options?: TraceOptions) -> Trace", |c, p| {
        let hash: B256 = p.required()?;
        let options: GethDebugTracingOptions = p.optional()?.unwrap_or_default();
        Reply::read(c, move |c, _| {
            let (block, index) = located(c, hash)?.ok_or_else(not_found)?;
            match c.backend.trace_block(&block, Some(index), &options)?.pop() {
                Some(TraceResult::Success { result, .. }) => Ok(result),
                Some(TraceResult::Error { error, .. }) => Err(RpcError::new(code::SERVER, error)),
                None => Err(not_found()),
            }
        })
    });
    table.add("debug_traceBlockByNumber(block: Block, options?: TraceOptions) -> Trace[]", |c, p| {
        let At(at) = p.required()?;
        let options: GethDebugTracingOptions = p.optional()?.unwrap_or_default();
        Reply::read(c, move |c, _| {
            let block = c.block(at)?.ok_or_else(|| unknown_block(at))?;
            Ok::<_, RpcError>(c.backend.trace_block(&block, None, &options)?)
        })
    });
    table.add("debug_traceBlockByHash(blockHash: Hash, options?: TraceOptions) -> Trace[]", |c, p| {
        let At(at) = p.required()?;
        let options: GethDebugTracingOptions = p.optional()?.unwrap_or_default();
        Reply::read(c, move |c, _| {
            let block = c.block(at)?.ok_or_else(|| unknown_block(at))?;
            Ok::<_, RpcError>(c.backend.trace_block(&block, None, &options)?)
        })
    });
    table.add("debug_traceCall(call: Call, block?: Block, options?: TraceOptions) -> Trace", |c, p| {
        let request: TransactionRequest = p.required()?;
        let At(at) = p.optional()?.unwrap_or_default();
        let options: GethDebugTracingCallOptions = p.optional()?.unwrap_or_default();
        if options.tx_index.is_some() {
            return Err(RpcError::params("txIndex is not supported: name the block before"));
        }
        let state = options.state_overrides.unwrap_or_default();
        let call = Simulation::new(request, at, state, options.block_overrides.unwrap_or_default())?;
        let options = options.tracing_options;
        Reply::read(c, move |c, _| Ok::<_, RpcError>(c.backend.trace_call(&call.prepare(c)?, &options)?))
    });
    table.add("trace_transaction(transactionHash: Hash) -> FlatTrace[]|null", |c, p| {
        let hash: B256 = p.required()?;
        Reply::read(c, move |c, _| match located(c, hash)? {
            Some((block, index)) => flat(c, &block, Some(index)).map(Some),
            None => Ok(None),
        })
    });
    table.add("trace_block(block: Block) -> FlatTrace[]", |c, p| {
        let At(at) = p.required()?;
        Reply::read(c, move |c, _| {
            let block = c.block(at)?.ok_or_else(|| unknown_block(at))?;
            flat(c, &block, None)
        })
    });
}

/// The block of a final transaction, and its place there.
pub(super) fn located<B: Backend>(
    context: &Context<B>,
    hash: B256,
) -> Result<Option<(Arc<RecoveredBlock>, usize)>, RpcError> {
    let Some((height, index)) = context.backend.locate(hash)? else { return Ok(None) };
    Ok(context.backend.block(height)?.map(|block| (block, index)))
}

fn not_found() -> RpcError {
    RpcError::new(code::SERVER, "transaction not found")
}

/// The calls of a block's transactions in one list, as `trace_*` tells them. A deposit that could not start is told as the call
/// that it would have been, with the reason.
pub(super) fn flat<B: Backend>(
    context: &Context<B>,
    block: &RecoveredBlock,
    only: Option<usize>,
) -> Result<Vec<LocalizedTransactionTrace>, RpcError> {
    let options = GethDebugTracingOptions::new_tracer(GethDebugBuiltInTracerType::FlatCallTracer);
    let mut calls = Vec::new();
    for (index, traced) in (only.unwrap_or_default()..).zip(context.backend.trace_block(block, only, &options)?) {
        match traced {
            TraceResult::Success { result: GethTrace::FlatCallTracer(frames), .. } => calls.extend(frames),
            TraceResult::Success { .. } => {}
            TraceResult::Error { error, .. } => calls.extend(unstarted(block, index, error)),
        }
    }
    Ok(calls)
}

fn unstarted(block: &RecoveredBlock, index: usize, error: String) -> Option<LocalizedTransactionTrace> {
    let (transaction, from) = (block.transactions().get(index)?, *block.senders().get(index)?);
    let (gas, value, input) = (transaction.gas_limit(), transaction.value(), transaction.input().clone());
    let action = match transaction.to() {
        Some(to) => Action::Call(CallAction { from, to, gas, value, input, call_type: CallType::Call }),
        None => {
            let creation_method = CreationMethod::Create;
            Action::Create(CreateAction { from, gas, value, init: input, creation_method })
        }
    };
    Some(LocalizedTransactionTrace {
        trace: TransactionTrace { action, error: Some(error), result: None, subtraces: 0, trace_address: Vec::new() },
        block_hash: Some(block.hash()),
        block_number: Some(block.header().number),
        transaction_hash: Some(transaction.tx_hash()),
        transaction_position: Some(index as u64),
    })
}
