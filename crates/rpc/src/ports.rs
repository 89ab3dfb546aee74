//! What answering needs from the rest of the node. `crates/node` implements these over the engine, the pool, L1 and the
//! poster; this crate never sees those.
//!
//! Reads are plain calls over snapshots that must not wait for the block path. Those that may take long (execution,
//! proofs, long ranges) are called on blocking threads, a bounded number at a time.

use crate::types::{BatchInfo, LeaderSchedule, SyncStatus};
use alloy::{
    primitives::{Address, B256, Bytes, Log, U256},
    rpc::types::{
        AccessList, BlockOverrides, EIP1186AccountProofResponse, Filter, TransactionRequest,
        simulate::SimBlock,
        state::StateOverride,
        trace::geth::{GethDebugTracingOptions, GethTrace, TraceResult},
    },
};
use baton_primitives::{Epoch, FinalBlock, Header, Height, RecoveredBlock, Transaction};
use op_alloy_consensus::OpReceipt;
use std::{future::Future, ops::RangeInclusive, sync::Arc};
use tokio::sync::broadcast;

/// Why a read failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The state, or the block, is older than what this node keeps.
    #[error("history of block {height} is pruned; the oldest kept is {oldest}")]
    Pruned {
        /// What was asked for.
        height: u64,
        /// The oldest that is answered.
        oldest: u64,
    },
    /// Rebuilding old state took too long.
    #[error(
        "query timeout: rebuilding the state of block {height} took longer than {millis} ms; ask for a newer block"
    )]
    Timeout {
        /// What was asked for.
        height: u64,
        /// The time allowed.
        millis: u128,
    },
    /// The store or the executor failed: the node's fault, not the caller's.
    #[error("{0}")]
    Internal(String),
}

/// A receipt: Ethereum's, with deposits; its bloom follows from its logs. A deposit's carries the nonce that its sender had.
pub type Receipt = OpReceipt;

/// One receipt a transaction, in order; shared with whoever keeps them.
pub type Receipts = Arc<Vec<Receipt>>;

/// A final block with what its execution gave.
#[derive(Clone, Debug)]
pub struct ExecutedBlock {
    /// The block.
    pub block: Arc<RecoveredBlock>,
    /// Its receipts.
    pub receipts: Receipts,
}

/// Heights behind the tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    /// Last final block.
    pub latest: Height,
    /// Last block that is posted on L1.
    pub safe: Height,
    /// Last block that is posted in a finalized L1 block.
    pub finalized: Height,
}

/// Balance and nonce of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Wei.
    pub balance: U256,
    /// Transactions sent (or contracts created).
    pub nonce: u64,
}

/// Final blocks and the state after each.
pub trait Chain: Send + Sync + 'static {
    /// EIP-155 chain id.
    fn chain_id(&self) -> u64;
    /// Heights behind the tags.
    fn heads(&self) -> Heads;
    /// Height of the block with this hash.
    ///
    /// # Errors
    /// If the store fails.
    fn height_of(&self, hash: B256) -> Result<Option<Height>, ReadError>;
    /// Header and hash of the block at a height; `None` above the head.
    ///
    /// # Errors
    /// If the store fails or history is pruned.
    fn header(&self, height: Height) -> Result<Option<(B256, Header)>, ReadError>;
    /// The block at a height; `None` above the head.
    ///
    /// # Errors
    /// If the store fails or history is pruned.
    fn block(&self, height: Height) -> Result<Option<Arc<RecoveredBlock>>, ReadError>;
    /// The block at a height with its receipts (the genesis has none); `None` above the head.
    ///
    /// # Errors
    /// If the store fails or history is pruned.
    fn executed(&self, height: Height) -> Result<Option<ExecutedBlock>, ReadError>;
    /// The heights among these, ascending, whose blocks may hold logs with the filter's addresses and topics (its own range
    /// counts for nothing): none that holds one is left out, a few that do not may be there.
    ///
    /// # Errors
    /// If the store fails.
    fn log_heights(
        &self,
        filter: &Filter,
        heights: RangeInclusive<u64>,
    ) -> Result<impl Iterator<Item = Result<Height, ReadError>>, ReadError>;
    /// The heights among these, newest or oldest first, whose blocks may hold transactions that an address sent or got, that
    /// created it, or in which it emitted a log: none that holds one is left out, a few that do not may be there.
    ///
    /// # Errors
    /// If the store fails.
    fn address_heights(
        &self,
        address: Address,
        heights: RangeInclusive<u64>,
        newest_first: bool,
    ) -> Result<impl Iterator<Item = Result<Height, ReadError>>, ReadError>;
    /// Height and index of a final transaction.
    ///
    /// # Errors
    /// If the store fails.
    fn locate(&self, transaction: B256) -> Result<Option<(Height, usize)>, ReadError>;
    /// Balance and nonce after the block at `at`; zeros for an account that does not exist.
    ///
    /// # Errors
    /// If the store fails or the state is pruned.
    fn account(&self, at: Height, address: Address) -> Result<Account, ReadError>;
    /// Code after the block at `at`; empty where there is none.
    ///
    /// # Errors
    /// If the store fails or the state is pruned.
    fn code(&self, at: Height, address: Address) -> Result<Bytes, ReadError>;
    /// Storage word after the block at `at`.
    ///
    /// # Errors
    /// If the store fails or the state is pruned.
    fn storage(&self, at: Height, address: Address, slot: U256) -> Result<B256, ReadError>;
    /// Oldest height whose state can be read, and how many below the head are kept (`None`: all).
    fn state_history(&self) -> (Height, Option<u64>);
    /// Base fee that the next block will have at least, wei per gas.
    fn next_base_fee(&self) -> u64;
    /// Every block as it becomes final and readable, in order. A receiver that falls behind loses its place; what it
    /// missed is in the store.
    fn subscribe(&self) -> broadcast::Receiver<ExecutedBlock>;
    /// The block at a height with the nearest certificate that this node keeps for it, for followers.
    ///
    /// # Errors
    /// If the store fails or history is pruned.
    fn final_block(&self, height: Height) -> Result<Option<FinalBlock>, ReadError>;
}

/// One simulated call.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// What to run. `gas` is always set, to at most the configured cap.
    pub request: TransactionRequest,
    /// It runs on the state after this block, in this block's environment.
    pub at: Height,
    /// Accounts to change first.
    pub state: StateOverride,
    /// Environment values to change first.
    pub block: BlockOverrides,
}

/// What a simulated call did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It returned (or created).
    Success {
        /// Return data; the code for a creation.
        output: Bytes,
        /// Gas used after refunds.
        gas_used: u64,
        /// Gas given back, already taken off `gas_used`.
        gas_refunded: u64,
    },
    /// It reverted.
    Revert {
        /// Revert data.
        output: Bytes,
        /// Gas used.
        gas_used: u64,
    },
    /// It stopped on an exceptional halt.
    Halt {
        /// Whether gas ran out.
        out_of_gas: bool,
        /// geth's words for the reason: `out of gas`, `invalid opcode: INVALID`, `stack underflow`, ...
        reason: String,
        /// Gas used: all of it.
        gas_used: u64,
    },
}

/// What is known of the gas that a call needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Estimate {
    /// It succeeds with this limit, and hardly with less.
    Enough(u64),
    /// It fails with all the gas it may have.
    Fails {
        /// That gas.
        allowance: u64,
        /// How.
        outcome: Outcome,
    },
    /// All the gas it may have is less than it costs before its first instruction.
    Never {
        /// That gas.
        allowance: u64,
    },
}

/// Blocks to simulate on top of one another.
#[derive(Clone, Debug, Default)]
pub struct Simulation {
    /// On the state after this block.
    pub at: Height,
    /// The blocks.
    pub blocks: Vec<SimBlock<TransactionRequest>>,
    /// Whether nonces and prices are checked as in a block.
    pub validation: bool,
    /// Whether transfers of ether are told as logs.
    pub trace_transfers: bool,
}

/// A simulated block.
#[derive(Clone, Debug)]
pub struct SimulatedBlock {
    /// The block; its transactions have zero signatures.
    pub block: RecoveredBlock,
    /// Its receipts.
    pub receipts: Vec<Receipt>,
    /// What each call did.
    pub calls: Vec<SimulatedCall>,
}

/// What a simulated call did.
#[derive(Clone, Debug)]
pub struct SimulatedCall {
    /// Its end.
    pub outcome: Outcome,
    /// Its logs, transfers of ether among them if they were asked for.
    pub logs: Vec<Log>,
    /// The most gas it held before refunds.
    pub max_used_gas: u64,
}

/// Why a call could not even run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The state could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Less gas than the call costs before its first instruction.
    #[error("intrinsic gas too low: have {have}, want {want}")]
    IntrinsicGas {
        /// The call's limit.
        have: u64,
        /// What it needs.
        want: u64,
    },
    /// Refused before execution, in geth's words: `insufficient funds for gas * price + value: ...`, `nonce too low: ...`,
    /// `max fee per gas less than block base fee: ...`.
    #[error("{0}")]
    Refused(String),
    /// Refused with a code of its own.
    #[error("{message}")]
    Coded {
        /// JSON-RPC error code.
        code: i64,
        /// JSON-RPC error message.
        message: String,
    },
}

/// Simulates. Called on blocking threads.
pub trait Execute: Send + Sync + 'static {
    /// Runs one call; nothing is kept. The sender's nonce, code and balance are not required to be fit to sign, unless a
    /// gas price is given.
    ///
    /// # Errors
    /// If it could not run.
    fn call(&self, call: &Call) -> Result<Outcome, CallError>;
    /// The least gas limit with which the call succeeds, to within 1.5 %.
    ///
    /// # Errors
    /// If it could not run.
    fn estimate_gas(&self, call: &Call) -> Result<Estimate, CallError>;
    /// Runs calls in blocks that follow one another; nothing is kept.
    ///
    /// # Errors
    /// If blocks are out of order, or one of the calls could not be in its block.
    fn simulate(&self, simulation: &Simulation) -> Result<Vec<SimulatedBlock>, CallError>;
    /// The access list that the call would use, and what it did with that list in place.
    ///
    /// # Errors
    /// If it could not run.
    fn access_list(&self, call: &Call) -> Result<(AccessList, Outcome), CallError>;
    /// Runs one call and tells what it did, as the tracer of the options sees it.
    ///
    /// # Errors
    /// If it could not run, or there is no such tracer.
    fn trace_call(&self, call: &Call, options: &GethDebugTracingOptions) -> Result<GethTrace, CallError>;
    /// Executes a final block again and tells what its transactions did, or only the one at `only`; empty for the genesis.
    ///
    /// # Errors
    /// If the state before it could not be read, it took too long, or there is no such tracer.
    fn trace_block(
        &self,
        block: &RecoveredBlock,
        only: Option<usize>,
        options: &GethDebugTracingOptions,
    ) -> Result<Vec<TraceResult>, CallError>;
    /// Merkle proof of an account and some of its slots against the state root of the block at `at`.
    ///
    /// # Errors
    /// If the state could not be read.
    fn proof(&self, at: Height, address: Address, slots: &[U256]) -> Result<EIP1186AccountProofResponse, ReadError>;
}

/// Why a transaction was not taken, by the code that the caller gets. The pool brings the texts, which begin as geth's do:
/// wallets match them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// It breaks a rule, or can never be included: `nonce too low: ...`, `already known`, `insufficient funds ...`.
    #[error("{0}")]
    Invalid(String),
    /// It is well formed, but this chain or node does not take it: a type that L2 does not have.
    #[error("{0}")]
    Rejected(String),
    /// A limit of the pool, with what to do.
    #[error("{0}")]
    Limit(String),
    /// The node cannot take transactions now; try again later or elsewhere.
    #[error("{0}")]
    Unavailable(String),
    /// The sequencer to which it was forwarded refused it, in its words.
    #[error("{message}")]
    Upstream {
        /// JSON-RPC error code.
        code: i64,
        /// JSON-RPC error message.
        message: String,
    },
    /// The pool failed.
    #[error("{0}")]
    Internal(String),
}

/// A transaction that waits.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The transaction.
    pub transaction: Transaction,
    /// Its sender.
    pub sender: Address,
    /// Whether it could be in the next block (no nonce missing before it).
    pub ready: bool,
}

/// Takes transactions.
pub trait Submit: Send + Sync + 'static {
    /// Admits one signed transaction (EIP-2718 bytes) and gives its hash. On success it has a fate: it is in the pool
    /// and, on a follower, acknowledged by a sequencer.
    fn submit(&self, raw: Bytes) -> impl Future<Output = Result<B256, SubmitError>> + Send;
    /// Admits several at once, in order; as many results as inputs. Verification may run on all cores.
    fn submit_batch(&self, raw: Vec<Bytes>) -> impl Future<Output = Vec<Result<B256, SubmitError>>> + Send;
    /// The nonce after all waiting transactions of the sender that have none missing before them; `None` if it has none
    /// waiting.
    fn next_nonce(&self, sender: Address) -> Option<u64>;
    /// A waiting transaction.
    fn waiting(&self, hash: B256) -> Option<Waiting>;
    /// How many wait: ready ones, and ones behind a gap.
    fn counts(&self) -> (usize, usize);
    /// All that wait (or only one sender's), bounded by the pool's own limit.
    fn content(&self, of: Option<Address>) -> Vec<Waiting>;
    /// Hashes of transactions as they become ready.
    fn subscribe_pending(&self) -> broadcast::Receiver<B256>;
    /// Smallest tip that gets a transaction into the next blocks now, wei per gas.
    fn suggested_tip(&self) -> u128;
    /// Why a transaction that was taken before was dropped, if this node remembers.
    fn rejection(&self, hash: B256) -> Option<String>;
}

/// What Ethereum has no word for.
pub trait Rollup: Send + Sync + 'static {
    /// Where this node stands.
    fn sync_status(&self) -> SyncStatus;
    /// Who leads in an epoch (`None`: the running one), from the current term on.
    ///
    /// # Errors
    /// If the snapshot could not be read.
    fn leaders(&self, epoch: Option<Epoch>) -> Result<Option<LeaderSchedule>, ReadError>;
    /// The accepted batch that holds a height.
    ///
    /// # Errors
    /// If the store fails.
    fn batch_of(&self, height: Height) -> Result<Option<BatchInfo>, ReadError>;
    /// A posted blob by its versioned hash, 131,072 bytes.
    ///
    /// # Errors
    /// If the store fails.
    fn blob(&self, versioned_hash: B256) -> Result<Option<Bytes>, ReadError>;
    /// Connected peers.
    fn peers(&self) -> usize;
}

/// All of it: what the server is generic over.
pub trait Backend: Chain + Execute + Submit + Rollup {}
impl<T: Chain + Execute + Submit + Rollup> Backend for T {}
