//! Simulated calls, and geth's words for how they fail.

use super::{Backend, read, simulate};
use alloy::{
    primitives::{Address, U256},
    rpc::types::{
        AccessList, EIP1186AccountProofResponse, TransactionRequest,
        trace::geth::{GethDebugTracingOptions, GethTrace},
    },
};
use baton_engine::{
    BlockRef, Call as EngineCall, CallEnd, CallError as EngineCallError, CallOutcome, Estimate as EngineEstimate,
    InvalidTransaction, Traces,
};
use baton_primitives::{Height, RecoveredBlock};
use baton_rpc::ports::{Call, CallError, Estimate, Execute, Outcome, ReadError, SimulatedBlock, Simulation};
use revm::context::result::HaltReason;

impl Execute for Backend {
    fn call(&self, call: &Call) -> Result<Outcome, CallError> {
        let outcome =
            self.ledger.engine.call(at(call.at), &engine_call(call)).map_err(|e| failure(&call.request, e))?;
        Ok(shown(outcome))
    }

    fn estimate_gas(&self, call: &Call) -> Result<Estimate, CallError> {
        let found = self.ledger.engine.estimate_gas(at(call.at), &engine_call(call));
        Ok(match found.map_err(|e| failure(&call.request, e))? {
            EngineEstimate::Enough(gas) => Estimate::Enough(gas),
            EngineEstimate::Fails { gas, outcome } => Estimate::Fails { allowance: gas, outcome: shown(outcome) },
            EngineEstimate::Never { gas } => Estimate::Never { allowance: gas },
        })
    }

    fn simulate(&self, simulation: &Simulation) -> Result<Vec<SimulatedBlock>, CallError> {
        let what = simulate::request(simulation, self.base_fee_floor(simulation.at));
        let blocks = self.ledger.engine.simulate(at(simulation.at), &what).map_err(simulate::failure)?;
        Ok(blocks.into_iter().map(simulate::shown).collect())
    }

    fn access_list(&self, call: &Call) -> Result<(AccessList, Outcome), CallError> {
        let result = self.ledger.engine.access_list(at(call.at), &engine_call(call));
        let (list, outcome) = result.map_err(|e| failure(&call.request, e))?;
        Ok((list, shown(outcome)))
    }

    fn trace_call(&self, call: &Call, options: &GethDebugTracingOptions) -> Result<GethTrace, CallError> {
        let engine = &self.ledger.engine;
        engine.trace_call(at(call.at), &engine_call(call), options).map_err(|e| failure(&call.request, e))
    }

    fn trace_block(
        &self,
        block: &RecoveredBlock,
        only: Option<usize>,
        options: &GethDebugTracingOptions,
    ) -> Result<Traces, CallError> {
        let traces = self.ledger.engine.trace_block(block, only, options);
        traces.map_err(|e| failure(&TransactionRequest::default(), e))
    }

    fn proof(
        &self,
        height: Height,
        address: Address,
        slots: &[U256],
    ) -> Result<EIP1186AccountProofResponse, ReadError> {
        self.ledger.engine.proof(at(height), address, slots).map_err(read)
    }
}

const fn at(height: Height) -> BlockRef {
    BlockRef::Height(height.get())
}

fn engine_call(call: &Call) -> EngineCall {
    EngineCall { request: call.request.clone(), state: call.state.clone(), block: call.block.clone() }
}

pub(super) fn shown(outcome: CallOutcome) -> Outcome {
    let CallOutcome { end, gas_used, gas_refunded, .. } = outcome;
    match end {
        CallEnd::Success(output) => Outcome::Success { output, gas_used, gas_refunded },
        CallEnd::Revert(output) => Outcome::Revert { output, gas_used },
        CallEnd::Halt(reason) => Outcome::Halt {
            out_of_gas: matches!(reason, HaltReason::OutOfGas(_)),
            reason: words(&reason).into(),
            gas_used,
        },
    }
}

/// What geth says where revm halts.
fn words(reason: &HaltReason) -> &'static str {
    match reason {
        HaltReason::OutOfGas(_) => "out of gas",
        HaltReason::OpcodeNotFound | HaltReason::NotActivated => "invalid opcode",
        HaltReason::InvalidFEOpcode => "invalid opcode: INVALID",
        HaltReason::InvalidJump => "invalid jump destination",
        HaltReason::StackUnderflow => "stack underflow",
        HaltReason::StackOverflow => "stack limit reached 1024 (1023)",
        HaltReason::OutOfOffset => "return data out of bounds",
        HaltReason::CreateCollision => "contract address collision",
        HaltReason::PrecompileError | HaltReason::PrecompileErrorWithContext(_) => "precompile failed",
        HaltReason::NonceOverflow => "nonce uint64 overflow",
        HaltReason::CreateContractSizeLimit => "max code size exceeded",
        HaltReason::CreateContractStartingWithEF => "invalid code: must not begin with 0xef",
        HaltReason::CreateInitCodeSizeLimit => "max initcode size exceeded",
        HaltReason::OverflowPayment => "payment overflow",
        HaltReason::StateChangeDuringStaticCall | HaltReason::CallNotAllowedInsideStatic => "write protection",
        HaltReason::OutOfFunds => "insufficient balance for transfer",
        HaltReason::CallTooDeep => "max call depth exceeded",
    }
}

/// An error with a code of its own.
pub(super) fn coded(code: i64, error: &impl std::fmt::Display) -> CallError {
    CallError::Coded { code, message: error.to_string() }
}

/// What geth says where a call does not even start.
pub(super) fn failure(request: &TransactionRequest, error: EngineCallError) -> CallError {
    let address = request.from.unwrap_or_default();
    let invalid = match error {
        EngineCallError::Read(error) => return CallError::Read(read(error)),
        EngineCallError::Timeout(millis) => {
            return CallError::Refused(format!("execution aborted (timeout = {} s)", millis / 1_000));
        }
        EngineCallError::Steps(_) => return CallError::Refused(format!("execution aborted ({error})")),
        EngineCallError::Invalid(invalid) => invalid,
        EngineCallError::Tracer(_) => return CallError::Refused(error.to_string()),
        EngineCallError::Request(text) => return CallError::Refused(text.into()),
        EngineCallError::MovedToItself(_) => return coded(-38_022, &error),
        EngineCallError::MovedTwice(_) => return coded(-38_023, &error),
        EngineCallError::NotPrecompile(_) => return CallError::Refused(error.to_string()),
    };
    let cap = request.max_fee_per_gas.or(request.gas_price).unwrap_or_default();
    if let InvalidTransaction::IntrinsicGas { limit, needed } = invalid {
        return CallError::IntrinsicGas { have: limit, want: needed };
    }
    CallError::Refused(refusal(&invalid, address, cap))
}

/// geth's words for a transaction that may not be in a block.
pub(super) fn refusal(invalid: &InvalidTransaction, address: Address, cap: u128) -> String {
    match invalid {
        InvalidTransaction::IntrinsicGas { limit, needed } => {
            format!("intrinsic gas too low: have {limit}, want {needed}")
        }
        InvalidTransaction::NonceTooLow { transaction, account } => {
            format!("nonce too low: address {address}, tx: {transaction} state: {account}")
        }
        InvalidTransaction::NonceTooHigh { transaction, account } => {
            format!("nonce too high: address {address}, tx: {transaction} state: {account}")
        }
        InvalidTransaction::Funds { needed, balance } => {
            format!("insufficient funds for gas * price + value: address {address} have {balance} want {needed}")
        }
        InvalidTransaction::FeeCap { base_fee } => {
            format!(
                "max fee per gas less than block base fee: address {address}, maxFeePerGas: {cap}, baseFee: {base_fee}"
            )
        }
        InvalidTransaction::GasLimit { limit, most } => {
            format!("transaction gas limit too high (cap: {most}, tx: {limit})")
        }
        InvalidTransaction::Type(kind) => format!("transaction type not supported: {kind:#x}"),
        InvalidTransaction::Rule(text) => text.clone(),
    }
}
