//! Calls that leave nothing behind: `eth_call`, `eth_estimateGas`, `eth_createAccessList`.

use super::{Methods, Reply};
use crate::{
    context::Context,
    error::{RpcError, code, output_of},
    params::{At, Params},
    ports::{Backend, Call, CallError, Outcome},
};
use alloy::{
    consensus::BlockHeader,
    eips::{BlockId, eip7825::MAX_TX_GAS_LIMIT_OSAKA},
    primitives::{TxKind, U256},
    rpc::types::{AccessListResult, BlockOverrides, TransactionRequest, state::StateOverride},
};
use std::time::Instant;

/// Gas of a plain transfer.
const TRANSFER_GAS: u64 = 21_000;
/// Gas that a call with value hands on beside its own.
const CALL_STIPEND: u64 = 2_300;

pub(super) fn register<B: Backend>(table: &mut Methods<B>) {
    table.add("eth_call", |c, p| {
        let call = Simulation::read(p)?;
        Reply::read(c, move |c, _| {
            let call = call.prepare(c)?;
            output_of(c.backend.call(&call)?)
        })
    });
    table.add("eth_estimateGas", |c, p| {
        let call = Simulation::read(p)?;
        Reply::read(c, move |c, deadline| {
            let asked = call.request.gas;
            let call = call.prepare(c)?;
            estimate(c, call, asked, deadline).map(U256::from)
        })
    });
    table.add("eth_createAccessList", |c, p| {
        let call = Simulation::read(p)?;
        Reply::read(c, move |c, _| {
            let (access_list, outcome) = c.backend.access_list(&call.prepare(c)?)?;
            let (gas_used, error) = match outcome {
                Outcome::Success { gas_used, .. } => (gas_used, None),
                Outcome::Revert { output, gas_used } => {
                    (gas_used, Some(RpcError::reverted(&output).message.into_owned()))
                }
                Outcome::Halt { reason, gas_used, .. } => (gas_used, Some(reason)),
            };
            Ok(AccessListResult { access_list, gas_used: U256::from(gas_used), error })
        })
    });
}

/// Parameters common to simulations.
pub(super) struct Simulation {
    request: TransactionRequest,
    at: BlockId,
    state: StateOverride,
    block: BlockOverrides,
}

impl Simulation {
    fn read(params: &mut Params<'_>) -> Result<Self, RpcError> {
        let request: TransactionRequest = params.required()?;
        let At(at) = params.optional()?.unwrap_or_default();
        let state = params.optional()?.unwrap_or_default();
        let block = params.optional()?.unwrap_or_default();
        Self::new(request, at, state, block)
    }

    pub(super) fn new(
        request: TransactionRequest,
        at: BlockId,
        state: StateOverride,
        block: BlockOverrides,
    ) -> Result<Self, RpcError> {
        if request.gas_price.is_some()
            && (request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some())
        {
            let message = "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified";
            return Err(RpcError::new(code::SERVER, message));
        }
        Ok(Self { request, at, state, block })
    }

    pub(super) fn prepare<B: Backend>(mut self, context: &Context<B>) -> Result<Call, RpcError> {
        let cap = context.config.gas_cap;
        self.request.gas = Some(self.request.gas.filter(|g| *g > 0).unwrap_or(cap).min(cap));
        Ok(Call { request: self.request, at: context.resolve(self.at)?, state: self.state, block: self.block })
    }
}

/// The smallest gas limit with which the call succeeds, found as geth finds it: between the gas that an unlimited run uses
/// and that limit, to within 1.5 %.
fn estimate<B: Backend>(
    context: &Context<B>,
    mut call: Call,
    asked: Option<u64>,
    deadline: Instant,
) -> Result<u64, RpcError> {
    let backend = &context.backend;
    let block_limit = backend.header(call.at)?.map_or(u64::MAX, |(_, h)| h.gas_limit());
    let mut high = match asked {
        Some(gas) if gas >= TRANSFER_GAS => gas,
        _ => block_limit,
    };
    high = high.min(block_limit).min(context.config.gas_cap).min(MAX_TX_GAS_LIMIT_OSAKA);
    if let Some(limit) = affordable(context, &call)? {
        high = high.min(limit);
    }
    let is_plain = call.request.input.input().is_none_or(|i| i.is_empty())
        && call.request.authorization_list.is_none()
        && call.request.access_list.is_none();
    if is_plain
        && call.state.is_empty()
        && let Some(TxKind::Call(to)) = call.request.to
        && high >= TRANSFER_GAS
        && backend.code(call.at, to)?.is_empty()
    {
        call.request.gas = Some(TRANSFER_GAS);
        if matches!(backend.call(&call)?, Outcome::Success { .. }) {
            return Ok(TRANSFER_GAS);
        }
    }
    call.request.gas = Some(high);
    let (used, refunded) = match run(context, &call)? {
        Some(Outcome::Success { gas_used, gas_refunded, .. }) => (gas_used, gas_refunded),
        Some(Outcome::Halt { out_of_gas: false, reason, .. }) => return Err(RpcError::new(code::SERVER, reason)),
        Some(Outcome::Revert { output, .. }) => return Err(RpcError::reverted(&output)),
        Some(Outcome::Halt { .. }) | None => {
            return Err(RpcError::new(code::SERVER, format!("gas required exceeds allowance ({high})")));
        }
    };
    let mut low = used.saturating_sub(1);
    // Most calls need a little more than they use (63/64 rule); one try there saves most of the search.
    let guess = (used + refunded + CALL_STIPEND).saturating_mul(64) / 63;
    let mut next = if guess < high { guess } else { low.midpoint(high) };
    while low + 1 < high {
        // Integers: (high - low) / high < 1.5 %.
        if (high - low).saturating_mul(1_000) < high.saturating_mul(15) {
            break;
        }
        if Instant::now() >= deadline {
            return Err(RpcError::timed_out());
        }
        call.request.gas = Some(next);
        match run(context, &call)? {
            Some(Outcome::Success { .. }) => high = next,
            Some(Outcome::Revert { .. } | Outcome::Halt { .. }) | None => low = next,
        }
        // Most of the range is far above the need: look low first.
        next = low.midpoint(high).min(low.saturating_mul(2).max(low + 1));
    }
    Ok(high)
}

/// Runs with the gas that is set; `None` if that is less than the call needs before its first instruction.
fn run<B: Backend>(context: &Context<B>, call: &Call) -> Result<Option<Outcome>, RpcError> {
    match context.backend.call(call) {
        Ok(outcome) => Ok(Some(outcome)),
        Err(CallError::IntrinsicGas { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// How much gas the sender can pay for at the price it names; `None` if it names none.
fn affordable<B: Backend>(context: &Context<B>, call: &Call) -> Result<Option<u64>, RpcError> {
    let price = call.request.max_fee_per_gas.or(call.request.gas_price).unwrap_or(0);
    let Some(from) = call.request.from.filter(|_| price > 0) else { return Ok(None) };
    let overridden = call.state.get(&from).and_then(|o| o.balance);
    let balance = match overridden {
        Some(balance) => balance,
        None => context.backend.account(call.at, from)?.balance,
    };
    let value = call.request.value.unwrap_or_default();
    let Some(left) = balance.checked_sub(value) else {
        return Err(RpcError::new(code::SERVER, "insufficient funds for transfer"));
    };
    let gas = left / U256::from(price);
    Ok(Some(u64::try_from(gas).unwrap_or(u64::MAX)))
}
