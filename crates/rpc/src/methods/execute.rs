//! Calls that leave nothing behind: `eth_call`, `eth_estimateGas`, `eth_createAccessList`.

use super::{Methods, Reply};
use crate::{
    context::Context,
    error::{RpcError, code, output_of},
    params::{At, Params},
    ports::{Backend, Call, Estimate, Outcome},
};
use alloy::{
    eips::BlockId,
    primitives::U256,
    rpc::types::{AccessListResult, BlockOverrides, TransactionRequest, state::StateOverride},
};

/// Gas of a plain transfer.
const TRANSFER_GAS: u64 = 21_000;

pub(super) fn register<B: Backend>(table: &mut Methods<B>) {
    table.add("eth_call(call: Call, block?: Block, stateOverrides?: StateOverrides, blockOverrides?: BlockOverrides) -> Bytes", |c, p| {
        let call = Simulation::read(p)?;
        Reply::read(c, move |c, _| {
            let call = call.prepare(c)?;
            output_of(c.backend.call(&call)?)
        })
    });
    table.add("eth_estimateGas(call: Call, block?: Block, stateOverrides?: StateOverrides, blockOverrides?: BlockOverrides) -> Quantity", |c, p| {
        let call = Simulation::read(p)?;
        Reply::read(c, move |c, _| estimate(c, call).map(U256::from))
    });
    table.add("eth_createAccessList(call: Call, block?: Block, stateOverrides?: StateOverrides, blockOverrides?: BlockOverrides) -> AccessListResult", |c, p| {
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

/// The smallest gas limit with which the call succeeds, or why there is none.
pub(super) fn estimate<B: Backend>(context: &Context<B>, mut call: Simulation) -> Result<u64, RpcError> {
    // Less than a transfer costs is no limit that anyone means (geth).
    call.request.gas = call.request.gas.filter(|gas| *gas >= TRANSFER_GAS);
    match context.backend.estimate_gas(&call.prepare(context)?)? {
        Estimate::Enough(gas) => Ok(gas),
        Estimate::Fails { allowance, outcome: Outcome::Halt { out_of_gas: true, .. } }
        | Estimate::Never { allowance } => {
            Err(RpcError::new(code::SERVER, format!("gas required exceeds allowance ({allowance})")))
        }
        Estimate::Fails { outcome: Outcome::Halt { reason, .. }, .. } => Err(RpcError::new(code::SERVER, reason)),
        Estimate::Fails { outcome, .. } => output_of(outcome).map(|_| 0),
    }
}
