//! Traces: transactions and calls executed again, watched as they run. Nothing of them is kept.
//!
//! ```text
//! state before the block -> history contract -> transaction -> ... -> transaction, watched -> what its tracer tells
//! ```
//!
//! Each transaction is committed by itself, unlike in the block's own execution; both come to the same states.

use crate::{
    call::{self, Call, Deadline, Ran, Simulation, Unfinished, World},
    engine::{BlockRef, Engine},
    error::{CallError, StoreError},
    evm::{self, Failure, Mode, Precompiles},
    state::StateView,
};
use alloy::{
    eips::eip2935,
    primitives::{Address, B256, U256},
    rpc::types::trace::geth::{GethDebugTracingOptions, GethTrace, TraceResult},
};
use baton_primitives::RecoveredBlock;
use revm::{
    Database, DatabaseCommit, SystemCallEvm,
    context::{BlockEnv, JournalTr, TxEnv, result::ResultAndState},
    database::CacheDB,
    inspector::NoOpInspector,
    state::EvmState,
};
use revm_inspectors::tracing::{
    DebugInspector, DebugInspectorError, TraceLimits, TracingInspector, TransactionContext,
};
use std::{fmt::Display, time::Instant};

/// Most instructions of one transaction whose tracer records each of them: a record takes up to a kilobyte.
const MOST_RECORDED: u64 = 500_000;
/// Most bytes that a tracer copies (inputs of calls, memory): with next to no gas each call can hand on a megabyte.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// The trace of each transaction, or why it has none.
pub type Traces = Vec<TraceResult>;

impl Engine {
    /// Executes a final block again and tells what each of its transactions did, or only the one at `only`.
    ///
    /// # Errors
    /// If the state before the block is not there, the options name no tracer, or it takes too long.
    pub fn trace_block(
        &self,
        block: &RecoveredBlock,
        only: Option<usize>,
        options: &GethDebugTracingOptions,
    ) -> Result<Traces, CallError> {
        let Some(before) = block.header().number.checked_sub(1) else { return Ok(Vec::new()) };
        let config = &self.shared.config;
        let (chain_id, env) = (config.genesis.parameters.l2_chain_id, evm::block_env(block.header()));
        let deadline = Instant::now() + config.call_timeout;
        let view = self.state(BlockRef::Height(before))?;
        let parent = view.hash();
        let (mut database, _) = record_parent(CacheDB::new(view), parent, chain_id, &env)?;
        let mut traces = Vec::new();
        for (index, (transaction, sender)) in block.transactions().iter().zip(block.senders()).enumerate() {
            let (message, mode) = evm::transaction_env(transaction, *sender)?;
            let mut inspector = match only {
                Some(only) if only != index => None,
                _ => Some(inspector(options)?),
            };
            let state = inspector.as_ref().map(|_| database.clone());
            let (ran, after) = match &mut inspector {
                Some(inspector) => {
                    let watch = Deadline::new(deadline, most(inspector));
                    let world = plain(database, chain_id);
                    outcome(call::run(world, env.clone(), message.clone(), mode, watch, inspector))
                }
                None => {
                    let watch = Deadline::new(deadline, u64::MAX);
                    let world = plain(database, chain_id);
                    outcome(call::run(world, env.clone(), message.clone(), mode, watch, NoOpInspector))
                }
            };
            database = after;
            let hash = Some(transaction.tx_hash());
            let traced = match (ran, mode) {
                (Ok(result), _) => {
                    let context =
                        TransactionContext { block_hash: Some(block.hash()), tx_index: Some(index), tx_hash: hash };
                    let told = inspector.zip(state).map(|(mut inspector, state)| {
                        tell(&mut inspector, Some(context), &message, &env, &result, state)
                    });
                    database.commit(result.state);
                    told.transpose()?.map(|result| TraceResult::Success { result, tx_hash: hash })
                }
                (Err(Unfinished::Failed(Failure::Invalid(_))), Mode::Deposit { mint }) => {
                    failed_deposit(&mut database, *sender, mint)?;
                    let error = "the deposit could not start: it minted, and used all its gas".to_owned();
                    inspector.map(|_| TraceResult::Error { error, tx_hash: hash })
                }
                (Err(unfinished), _) => return Err(unfinished.into_error(config.call_timeout)),
            };
            traces.extend(traced);
            if only == Some(index) {
                break;
            }
        }
        Ok(traces)
    }

    /// Runs one call as [`Self::call`] does, and tells what it did.
    ///
    /// # Errors
    /// As [`Self::call`], or if the options name no tracer.
    pub fn trace_call(
        &self,
        at: BlockRef,
        call: &Call,
        options: &GethDebugTracingOptions,
    ) -> Result<GethTrace, CallError> {
        let s = Simulation::new(self, at, call)?;
        let mut inspector = inspector(options)?;
        let watch = Deadline::new(s.deadline, most(&inspector));
        let (env, block) = (s.env.clone(), s.block.clone());
        let world = World { database: s.database, precompiles: s.precompiles, chain_id: s.chain_id };
        let ran = call::run(world, s.block, s.env, Mode::Call, watch, &mut inspector);
        let (result, state) = outcome(ran);
        let result = result.map_err(|unfinished| unfinished.into_error(s.timeout))?;
        tell(&mut inspector, None, &env, &block, &result, state)
    }
}

fn outcome<I>(ran: Ran<I>) -> (Result<ResultAndState, Unfinished>, CacheDB<StateView>) {
    (ran.result, ran.database)
}

/// A world as a block has it.
fn plain(database: CacheDB<StateView>, chain_id: u64) -> World {
    World { database, precompiles: Precompiles::default(), chain_id }
}

/// The state at the beginning of a block, the history contract (EIP-2935) having noted the parent; and what that changed.
pub(crate) fn record_parent(
    database: CacheDB<StateView>,
    parent: B256,
    chain_id: u64,
    env: &BlockEnv,
) -> Result<(CacheDB<StateView>, EvmState), StoreError> {
    let mut evm = evm::evm(database, chain_id, env.clone());
    if let Err(error) = evm.system_call_one(eip2935::HISTORY_STORAGE_ADDRESS, parent.0.into())
        && let Failure::Store(error) = evm::failure(error, 0)
    {
        return Err(error);
    }
    let changes = evm.ctx.journaled_state.finalize();
    let mut database = evm.ctx.journaled_state.database;
    database.commit(changes.clone());
    Ok((database, changes))
}

/// A deposit cannot be left out: it mints and counts its nonce.
fn failed_deposit(database: &mut CacheDB<StateView>, sender: Address, mint: u128) -> Result<(), StoreError> {
    let mut info = database.basic(sender)?.unwrap_or_default();
    info.balance = info.balance.saturating_add(U256::from(mint));
    info.nonce += 1;
    database.insert_account_info(sender, info);
    Ok(())
}

fn inspector(options: &GethDebugTracingOptions) -> Result<DebugInspector, CallError> {
    let mut inspector = DebugInspector::new(options.clone()).map_err(refused)?;
    if let Some(recorder) = recorder(&mut inspector) {
        let limits = TraceLimits::default().set_max_recorded_bytes(Some(MOST_BYTES));
        *recorder = std::mem::take(recorder).with_limits(limits);
    } else if matches!(inspector, DebugInspector::Mux(..)) {
        return Err(CallError::Tracer(
            "muxTracer is not served: what it records has no bound; ask for one at a time".into(),
        ));
    }
    Ok(inspector)
}

/// What records calls and instructions for the tracer, if it is that kind.
fn recorder(inspector: &mut DebugInspector) -> Option<&mut TracingInspector> {
    match inspector {
        DebugInspector::CallTracer(recorder, _)
        | DebugInspector::PreStateTracer(recorder, _)
        | DebugInspector::FlatCallTracer(recorder)
        | DebugInspector::Erc7562Tracer(recorder, _)
        | DebugInspector::Default(recorder, _) => Some(recorder),
        DebugInspector::FourByte(_)
        | DebugInspector::Noop(_)
        | DebugInspector::StateGasTracer(_)
        | DebugInspector::Mux(..) => None,
    }
}

/// How many instructions a tracer may see.
fn most(inspector: &DebugInspector) -> u64 {
    match inspector {
        DebugInspector::Default(..) | DebugInspector::Erc7562Tracer(..) | DebugInspector::Mux(..) => MOST_RECORDED,
        DebugInspector::FourByte(_)
        | DebugInspector::CallTracer(..)
        | DebugInspector::PreStateTracer(..)
        | DebugInspector::Noop(_)
        | DebugInspector::StateGasTracer(_)
        | DebugInspector::FlatCallTracer(_) => u64::MAX,
    }
}

/// What a tracer has to tell. `state` is that before the message.
fn tell(
    inspector: &mut DebugInspector,
    context: Option<TransactionContext>,
    env: &TxEnv,
    block: &BlockEnv,
    result: &ResultAndState,
    mut state: CacheDB<StateView>,
) -> Result<GethTrace, CallError> {
    if recorder(inspector).is_some_and(|recorder| recorder.limit_exceeded()) {
        return Err(CallError::Tracer(format!(
            "the trace holds more than {MOST_BYTES} bytes of calls' inputs and memory"
        )));
    }
    match inspector.get_result(context, env, block, result, &mut state) {
        Ok(trace) => Ok(trace),
        Err(DebugInspectorError::Database(error)) => Err(error.into()),
        Err(error) => Err(refused(error)),
    }
}

fn refused(error: impl Display) -> CallError {
    CallError::Tracer(error.to_string())
}
