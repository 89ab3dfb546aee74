//! `eth_simulateV1`: the engine's simulation in the words and codes of execution-apis.

use super::{Backend, execute};
use baton_derive::base_fee_floor;
use baton_engine::{InvalidTransaction, SimulateError, Simulated};
use baton_primitives::Height;
use baton_rpc::{
    code,
    ports::{CallError, SimulatedBlock, SimulatedCall, Simulation},
};

impl Backend {
    /// Least base fee of a block after this one.
    pub(super) fn base_fee_floor(&self, at: Height) -> u64 {
        let outcome = self.ledger.engine.outcome(at.get()).ok().flatten();
        base_fee_floor(&outcome.map(|outcome| outcome.origin).unwrap_or_default())
    }
}

pub(super) fn request(simulation: &Simulation, least_base_fee: u64) -> Simulated {
    Simulated {
        blocks: simulation.blocks.clone(),
        validation: simulation.validation,
        trace_transfers: simulation.trace_transfers,
        least_base_fee,
    }
}

pub(super) fn shown(block: baton_engine::SimulatedBlock) -> SimulatedBlock {
    let baton_engine::SimulatedBlock { block, receipts, calls } = block;
    let call = |mut call: baton_engine::SimulatedCall| {
        let logs = std::mem::take(&mut call.outcome.logs);
        SimulatedCall { outcome: execute::shown(call.outcome), logs, max_used_gas: call.max_used_gas }
    };
    SimulatedBlock { block, receipts, calls: calls.into_iter().map(call).collect() }
}

/// Codes of execution-apis (`src/eth/execute.yaml`), texts of geth (`internal/ethapi/simulate.go`).
pub(super) fn failure(error: SimulateError) -> CallError {
    match error {
        SimulateError::BlockNumber { .. } => execute::coded(-38_020, &error),
        SimulateError::Timestamp { .. } => execute::coded(-38_021, &error),
        SimulateError::TooManyBlocks => execute::coded(code::CLIENT_LIMIT, &error),
        SimulateError::BlockGas { .. } => execute::coded(-38_015, &error),
        SimulateError::InitCode { .. } => execute::coded(-38_025, &error),
        SimulateError::Timeout(_) => execute::coded(-32_016, &error),
        SimulateError::ChainId { .. } | SimulateError::Request(_) => execute::coded(-32_602, &error),
        SimulateError::Call(error) => execute::failure(&Default::default(), error),
        SimulateError::Transaction { why, caller, max_fee, gas } => {
            let text = execute::refusal(&why, caller, max_fee);
            execute::coded(code(&why), &format!("err: {text} (supplied gas {gas})"))
        }
    }
}

const fn code(why: &InvalidTransaction) -> i64 {
    match why {
        InvalidTransaction::NonceTooLow { .. } => -38_010,
        InvalidTransaction::NonceTooHigh { .. } => -38_011,
        InvalidTransaction::FeeCap { .. } => -38_012,
        InvalidTransaction::IntrinsicGas { .. } => -38_013,
        InvalidTransaction::Funds { .. } => -38_014,
        InvalidTransaction::GasLimit { .. } => -38_015,
        InvalidTransaction::Type(_) => -32_602,
        InvalidTransaction::Rule(_) => -32_603,
    }
}
