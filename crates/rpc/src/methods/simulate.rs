//! `eth_simulateV1`: calls in blocks that follow one another (execution-apis).

use super::{Methods, Reply};
use crate::{
    context::Context,
    convert::{self, RpcBlock},
    error::RpcError,
    params::At,
    ports::{Backend, Outcome, SimulatedBlock, SimulatedCall, Simulation},
};
use alloy::{
    eips::BlockId,
    rpc::types::simulate::{SimCallResult, SimulateError, SimulatePayload, SimulatedBlock as Answer},
};

/// A call that failed other than by reverting (execution-apis).
const VM_ERROR: i32 = -32015;

pub(super) fn register<B: Backend>(table: &mut Methods<B>) {
    table.add("eth_simulateV1(payload: SimulatePayload, block?: Block) -> SimulatedBlock[]", |c, p| {
        let payload: SimulatePayload = p.required()?;
        let At(at) = p.optional()?.unwrap_or_default();
        if payload.block_state_calls.is_empty() {
            return Err(RpcError::params("empty input"));
        }
        Reply::read(c, move |c, _| simulate(c, payload, at))
    });
}

fn simulate<B: Backend>(
    context: &Context<B>,
    payload: SimulatePayload,
    at: BlockId,
) -> Result<Vec<Answer<RpcBlock>>, RpcError> {
    let full = payload.return_full_transactions;
    let simulation = Simulation {
        at: context.resolve(at)?,
        blocks: payload.block_state_calls,
        validation: payload.validation,
        trace_transfers: payload.trace_transfers,
    };
    let blocks = context.backend.simulate(&simulation)?;
    Ok(blocks.into_iter().map(|block| shown(block, full)).collect())
}

fn shown(simulated: SimulatedBlock, full: bool) -> Answer<RpcBlock> {
    let SimulatedBlock { block, receipts, calls } = simulated;
    let inner = convert::block(&block, full.then_some(&receipts));
    let mut first_log = 0;
    let mut results = Vec::with_capacity(calls.len());
    for (index, (call, transaction)) in calls.into_iter().zip(block.transactions()).enumerate() {
        let SimulatedCall { outcome, logs, max_used_gas } = call;
        let count = logs.len();
        let logs = logs
            .into_iter()
            .enumerate()
            .map(|(i, log)| convert::rpc_log(&block, transaction.tx_hash(), index, first_log + i, log))
            .collect();
        first_log += count;
        let (return_data, gas_used, error) = ended(outcome);
        let max_used_gas = Some(max_used_gas);
        results.push(SimCallResult { return_data, logs, gas_used, max_used_gas, status: error.is_none(), error });
    }
    Answer { inner, calls: results }
}

fn ended(outcome: Outcome) -> (alloy::primitives::Bytes, u64, Option<SimulateError>) {
    match outcome {
        Outcome::Success { output, gas_used, .. } => (output, gas_used, None),
        Outcome::Revert { output, gas_used } => {
            let message = RpcError::reverted(&output).message.into_owned();
            // What it returned is in the error (geth, and the vectors).
            (Default::default(), gas_used, Some(SimulateError { code: 3, message, data: Some(output) }))
        }
        Outcome::Halt { reason, gas_used, .. } => {
            (Default::default(), gas_used, Some(SimulateError { code: VM_ERROR, message: reason, data: None }))
        }
    }
}
