//! Simulated calls: `eth_call`, `eth_estimateGas`, `eth_createAccessList`. Nothing of them is kept.

use crate::{
    engine::{BlockRef, Engine},
    error::{CallError, InvalidTransaction},
    evm::{self, BatonHandler, EvmError, Failure, Mode, Precompiles},
    state::StateView,
};
use alloy::{
    eips::eip2930::AccessList,
    primitives::{Address, Bytes, Log, TxKind, U256, map::AddressSet},
    rpc::types::{BlockOverrides, TransactionRequest, state::StateOverride},
};
use revm::{
    Inspector,
    bytecode::Bytecode,
    context::{
        BlockEnv, ContextSetters, JournalTr, TxEnv,
        either::Either,
        result::{ExecutionResult, HaltReason, ResultAndState},
    },
    database::CacheDB,
    inspector::{InspectorHandler, NoOpInspector},
    interpreter::{InstructionResult, Interpreter},
};
use revm_inspectors::access_list::AccessListInspector;
use std::time::{Duration, Instant};

/// What an inspector of a call sees.
pub type CallContext = evm::Ctx<CacheDB<StateView>>;

/// A call to simulate.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// What to run. Without a price it costs nothing and sees a base fee of zero.
    pub request: TransactionRequest,
    /// Accounts to change first.
    pub state: StateOverride,
    /// Values of the block's environment to change first.
    pub block: BlockOverrides,
}

/// What a call did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallOutcome {
    /// How it ended.
    pub end: CallEnd,
    /// Gas used, after refunds.
    pub gas_used: u64,
    /// Gas refunded, already taken off.
    pub gas_refunded: u64,
    /// Logs it emitted.
    pub logs: Vec<Log>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// It returned this, or created a contract with this code.
    Success(Bytes),
    /// It reverted with this.
    Revert(Bytes),
    /// It stopped for another reason, and its gas is gone.
    Halt(HaltReason),
}

impl CallOutcome {
    /// Whether it succeeded.
    pub const fn is_success(&self) -> bool {
        matches!(self.end, CallEnd::Success(_))
    }

    pub(crate) fn of(result: ExecutionResult) -> Self {
        let (gas_used, gas_refunded) = (result.tx_gas_used(), result.gas().final_refunded());
        let (end, logs) = match result {
            ExecutionResult::Success { output, logs, .. } => (CallEnd::Success(output.into_data()), logs),
            ExecutionResult::Revert { output, logs, .. } => (CallEnd::Revert(output), logs),
            ExecutionResult::Halt { reason, logs, .. } => (CallEnd::Halt(reason), logs),
        };
        Self { end, gas_used, gas_refunded, logs }
    }
}

impl Engine {
    /// Runs one call on the state after `at`, in that block's environment.
    ///
    /// # Errors
    /// If the state is not there, the call breaks a rule before it starts, or it takes too long.
    pub fn call(&self, at: BlockRef, call: &Call) -> Result<CallOutcome, CallError> {
        self.inspect(at, call, NoOpInspector).map(|(outcome, _)| outcome)
    }

    /// As [`Self::call`], watched by an inspector.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn inspect<I: Inspector<CallContext>>(
        &self,
        at: BlockRef,
        call: &Call,
        inspector: I,
    ) -> Result<(CallOutcome, I), CallError> {
        Simulation::new(self, at, call)?.run(None, inspector)
    }

    /// The access list that the call would use, and what the call does with that list in place.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn access_list(&self, at: BlockRef, call: &Call) -> Result<(AccessList, CallOutcome), CallError> {
        let mut call = call.clone();
        // The list changes what the call costs, which may change its path: repeat until it is stable, as others do.
        for _ in 0..10 {
            let list = call.request.access_list.clone().unwrap_or_default();
            let (outcome, inspector) = self.inspect(at, &call, AccessListInspector::new(list.clone()))?;
            let found = inspector.into_access_list();
            if found == list {
                return Ok((found, outcome));
            }
            call.request.access_list = Some(found);
        }
        let outcome = self.call(at, &call)?;
        Ok((call.request.access_list.unwrap_or_default(), outcome))
    }

    /// The least gas limit with which the call succeeds, within 1.5 %; or how it fails with all the gas that it may have.
    ///
    /// # Errors
    /// As [`Self::call`], and if the sender cannot pay for the call's value.
    pub fn estimate_gas(&self, at: BlockRef, call: &Call) -> Result<Estimate, CallError> {
        let simulation = Simulation::new(self, at, call)?;
        let mut high = simulation.gas_limit()?;
        let run = |gas: u64| match simulation.clone().run(Some(gas), NoOpInspector) {
            Ok((outcome, _)) => Ok(Some(outcome)),
            Err(CallError::Invalid(InvalidTransaction::IntrinsicGas { .. })) => Ok(None),
            Err(error) => Err(error),
        };
        let Some(first) = run(high)? else { return Ok(Estimate::Never { gas: high }) };
        if !first.is_success() {
            return Ok(Estimate::Fails { gas: high, outcome: first });
        }
        let enough = |gas: u64| Ok::<_, CallError>(run(gas)?.is_some_and(|outcome| outcome.is_success()));
        // No limit below what it spends before refunds can do; for most calls exactly that is enough.
        let spent = (first.gas_used + first.gas_refunded).min(high);
        if enough(spent)? {
            return Ok(Estimate::Enough(spent));
        }
        let mut low = spent;
        // Else it is usually the stipend and the one 64th that calls hold back which are missing.
        let mut middle = ((spent + 2_300).saturating_mul(64) / 63).clamp(low, high);
        while low + 1 < high {
            if (high - low).saturating_mul(200) < high.saturating_mul(3) {
                break;
            }
            if enough(middle)? {
                high = middle;
            } else {
                low = middle;
            }
            middle = (low + (high - low) / 2).min(low.saturating_mul(2).max(low + 1));
        }
        Ok(Estimate::Enough(high))
    }
}

/// What is known of the gas that a call needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Estimate {
    /// It succeeds with this limit, and hardly with less.
    Enough(u64),
    /// It fails with all the gas it may have.
    Fails {
        /// That gas.
        gas: u64,
        /// What it did.
        outcome: CallOutcome,
    },
    /// All the gas it may have is less than it costs before its first instruction.
    Never {
        /// That gas.
        gas: u64,
    },
}

/// A call, ready to run.
#[derive(Clone)]
pub(crate) struct Simulation {
    pub(crate) env: TxEnv,
    pub(crate) block: BlockEnv,
    pub(crate) database: CacheDB<StateView>,
    pub(crate) precompiles: Precompiles,
    pub(crate) chain_id: u64,
    pub(crate) timeout: Duration,
    pub(crate) deadline: Instant,
}

impl Simulation {
    pub(crate) fn new(engine: &Engine, at: BlockRef, call: &Call) -> Result<Self, CallError> {
        let view = engine.state(at)?;
        let config = &engine.shared.config;
        let mut block = evm::block_env(view.header());
        let mut database = CacheDB::new(view);
        override_block(&mut block, &mut database, &call.block);
        let mut precompiles = Precompiles::default();
        override_state(&mut database, &mut precompiles, &call.state)?;
        let env = request_env(&call.request, &mut block, config.call_gas_cap)?;
        let timeout = config.call_timeout;
        let chain_id = config.genesis.parameters.l2_chain_id;
        Ok(Self { env, block, database, precompiles, chain_id, timeout, deadline: Instant::now() + timeout })
    }

    /// The most gas that a signed transaction of this kind could have: what is asked for, the chain's limits, and what the
    /// sender can pay.
    fn gas_limit(&self) -> Result<u64, CallError> {
        let mut limit = self.env.gas_limit.min(self.block.gas_limit).min(evm::MAX_TRANSACTION_GAS);
        if self.env.gas_price > 0 {
            let balance = self.database.clone().load_account(self.env.caller)?.info.balance;
            let Some(rest) = balance.checked_sub(self.env.value) else {
                return Err(InvalidTransaction::Funds { needed: self.env.value, balance }.into());
            };
            let affordable = rest / U256::from(self.env.gas_price);
            limit = limit.min(u64::try_from(affordable).unwrap_or(u64::MAX));
        }
        Ok(limit)
    }

    fn run<I: Inspector<CallContext>>(
        mut self,
        gas_limit: Option<u64>,
        inspector: I,
    ) -> Result<(CallOutcome, I), CallError> {
        if let Some(limit) = gas_limit {
            self.env.gas_limit = limit;
        }
        let watch = Deadline::new(self.deadline, u64::MAX);
        let world = World { database: self.database, precompiles: self.precompiles, chain_id: self.chain_id };
        let ran = run(world, self.block, self.env, Mode::Call, watch, inspector);
        let inspector = ran.inspector;
        ran.result.map_err(|refused| refused.into_error(self.timeout)).map(|r| (CallOutcome::of(r.result), inspector))
    }
}

/// What a message runs in.
pub(crate) struct World {
    pub(crate) database: CacheDB<StateView>,
    pub(crate) precompiles: Precompiles,
    pub(crate) chain_id: u64,
}

/// What became of one message.
pub(crate) struct Ran<I> {
    pub(crate) result: Result<ResultAndState, Unfinished>,
    /// As it was before: the changes are in the result.
    pub(crate) database: CacheDB<StateView>,
    pub(crate) inspector: I,
}

/// Why a message has no result.
pub(crate) enum Unfinished {
    /// It was stopped.
    Stopped(Stop),
    /// It broke a rule before it started, or the store failed.
    Failed(Failure),
}

impl Unfinished {
    pub(crate) fn into_error(self, timeout: Duration) -> CallError {
        match self {
            Self::Stopped(Stop::Time) => CallError::Timeout(timeout.as_millis()),
            Self::Stopped(Stop::Steps(most)) => CallError::Steps(most),
            Self::Failed(Failure::Invalid(why)) => CallError::Invalid(why),
            Self::Failed(Failure::Store(error)) => error.into(),
        }
    }
}

/// Runs one message, watched by an inspector.
pub(crate) fn run<I: Inspector<CallContext>>(
    world: World,
    block: BlockEnv,
    env: TxEnv,
    mode: Mode,
    watch: Deadline,
    inspector: I,
) -> Ran<I> {
    let base_fee = block.basefee;
    let context = evm::context(world.database, world.chain_id, block);
    let mut evm = evm::watched(context, (watch, inspector), world.precompiles);
    evm.ctx.set_tx(env);
    let result = BatonHandler::<_, EvmError<_>>::new(mode).inspect_run(&mut evm);
    let state = evm.ctx.journaled_state.finalize();
    let (watch, inspector) = evm.inspector;
    let result = match (watch.passed, result) {
        (Some(stop), _) => Err(Unfinished::Stopped(stop)),
        (None, Ok(result)) => Ok(ResultAndState { result, state }),
        (None, Err(error)) => Err(Unfinished::Failed(evm::failure(error, base_fee))),
    };
    Ran { result, database: evm.ctx.journaled_state.database, inspector }
}

fn request_env(request: &TransactionRequest, block: &mut BlockEnv, cap: u64) -> Result<TxEnv, CallError> {
    let env = message(request, request.gas.unwrap_or(cap).min(cap))?;
    if env.gas_price == 0 {
        block.basefee = 0;
    } else if env.gas_price < u128::from(block.basefee) {
        return Err(InvalidTransaction::FeeCap { base_fee: block.basefee }.into());
    }
    Ok(env)
}

/// The message that a request describes; what it leaves out is zero.
pub(crate) fn message(request: &TransactionRequest, gas_limit: u64) -> Result<TxEnv, CallError> {
    if request.blob_versioned_hashes.as_ref().is_some_and(|hashes| !hashes.is_empty()) {
        return Err(CallError::Invalid(InvalidTransaction::Type(3)));
    }
    if request.gas_price.is_some() && (request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some())
    {
        return Err(CallError::Request("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified"));
    }
    if let (Some(fee), Some(tip)) = (request.max_fee_per_gas, request.max_priority_fee_per_gas)
        && tip > fee
    {
        return Err(CallError::Request("max priority fee per gas higher than max fee per gas"));
    }
    let list = request.authorization_list.clone().unwrap_or_default();
    let tx_type = match (list.is_empty(), request.gas_price, &request.access_list) {
        (false, _, _) => 4,
        (true, None, _) => 2,
        (true, Some(_), Some(_)) => 1,
        (true, Some(_), None) => 0,
    };
    Ok(TxEnv {
        tx_type,
        caller: request.from.unwrap_or_default(),
        gas_limit,
        gas_price: request.gas_price.or(request.max_fee_per_gas).unwrap_or(0),
        kind: request.to.unwrap_or(TxKind::Create),
        value: request.value.unwrap_or_default(),
        data: request.input.input().cloned().unwrap_or_default(),
        nonce: request.nonce.unwrap_or_default(),
        access_list: request.access_list.clone().unwrap_or_default(),
        gas_priority_fee: (tx_type == 2 || tx_type == 4).then(|| request.max_priority_fee_per_gas.unwrap_or(0)),
        authorization_list: list.into_iter().map(Either::Left).collect(),
        ..TxEnv::default()
    })
}

fn override_block(block: &mut BlockEnv, database: &mut CacheDB<StateView>, overrides: &BlockOverrides) {
    block.number = overrides.number.unwrap_or(block.number);
    block.timestamp = overrides.time.map_or(block.timestamp, U256::from);
    block.gas_limit = overrides.gas_limit.unwrap_or(block.gas_limit);
    block.beneficiary = overrides.coinbase.unwrap_or(block.beneficiary);
    block.prevrandao = overrides.random.or(block.prevrandao);
    if let Some(base_fee) = overrides.base_fee {
        block.basefee = u64::try_from(base_fee).unwrap_or(u64::MAX);
    }
    for (number, hash) in overrides.block_hash.iter().flatten() {
        database.cache.block_hashes.insert(U256::from(*number), *hash);
    }
}

/// Changes accounts, and moves precompiled contracts. As geth does, any override takes the precompiled contract at its
/// address away (core of `internal/ethapi/override`).
pub(crate) fn override_state(
    database: &mut CacheDB<StateView>,
    precompiles: &mut Precompiles,
    overrides: &StateOverride,
) -> Result<(), CallError> {
    check_moves(precompiles, overrides)?;
    for (from, account) in overrides {
        if precompiles.has(from) && account.move_precompile_to.is_none() {
            precompiles.take(*from, None);
        }
    }
    for (from, account) in overrides {
        if let Some(to) = account.move_precompile_to {
            precompiles.take(*from, Some(to));
        }
    }
    for (address, account) in overrides {
        if account.state.is_some() && account.state_diff.is_some() {
            return Err(CallError::Request("account has both 'state' and 'stateDiff'"));
        }
        let address: Address = *address;
        let mut info = database.load_account(address)?.info.clone();
        info.balance = account.balance.unwrap_or(info.balance);
        info.nonce = account.nonce.unwrap_or(info.nonce);
        if let Some(code) = &account.code {
            let code = Bytecode::new_raw_checked(code.clone())
                .map_err(|_| CallError::Request("the code of an override is malformed"))?;
            info.code_hash = code.hash_slow();
            info.code = Some(code);
        }
        database.insert_account_info(address, info);
        if let Some(state) = &account.state {
            let slots = state.iter().map(|(slot, value)| ((*slot).into(), (*value).into())).collect();
            database.replace_account_storage(address, slots)?;
        }
        for (slot, value) in account.state_diff.iter().flatten() {
            database.insert_account_storage(address, (*slot).into(), (*value).into())?;
        }
    }
    Ok(())
}

/// Each moved contract must be one, and go where nothing else is changed.
fn check_moves(precompiles: &Precompiles, overrides: &StateOverride) -> Result<(), CallError> {
    let mut targets = AddressSet::default();
    for (from, account) in overrides {
        let Some(to) = account.move_precompile_to else { continue };
        if !precompiles.has(from) {
            return Err(CallError::NotPrecompile(*from));
        }
        if to == *from {
            return Err(CallError::MovedToItself(*from));
        }
        if overrides.contains_key(&to) || !targets.insert(to) {
            return Err(CallError::MovedTwice(to));
        }
    }
    Ok(())
}

/// Stops what runs too long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    at: Instant,
    most: u64,
    /// Instructions that are left.
    left: u64,
    passed: Option<Stop>,
}

/// What was used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Its time.
    Time,
    /// Its instructions: so many.
    Steps(u64),
}

impl Deadline {
    /// At a time, or after so many instructions.
    pub(crate) const fn new(at: Instant, most: u64) -> Self {
        Self { at, most, left: most, passed: None }
    }
}

/// Instructions between two looks at the clock.
const STEPS: u64 = 4_096;

impl<CTX> Inspector<CTX> for Deadline {
    fn step(&mut self, interpreter: &mut Interpreter, _: &mut CTX) {
        self.left -= 1;
        if self.passed.is_none() && self.left.is_multiple_of(STEPS) {
            if self.left == 0 {
                self.passed = Some(Stop::Steps(self.most));
            } else if Instant::now() >= self.at {
                self.passed = Some(Stop::Time);
            }
        }
        if self.passed.is_some() {
            self.left += 1;
            interpreter.halt(InstructionResult::OutOfGas);
        }
    }
}
