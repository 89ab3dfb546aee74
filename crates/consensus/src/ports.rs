//! What consensus asks of the rest of the node. `node` joins these to the execution engine, the pool and L1.
//!
//! Every method is called on the consensus thread: an implementation hands the work to its own actor and awaits the answer,
//! it never computes in place. Futures are dropped when the engine gives a request up, so each must be cancellation-safe.

use alloy::primitives::{Address, B256};
use baton_primitives::{Epoch, FinalBlock, Height, RecoveredBlock, Snapshot, View};
use std::{future::Future, sync::Arc, time::Duration};

/// Where a block shall stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Epoch of the block.
    pub epoch: Epoch,
    /// View in which it is proposed; goes into its `extra_data`.
    pub view: View,
    /// View of the parent, 0 if the parent is the epoch's starting block; goes into `extra_data`.
    pub parent_view: View,
    /// Hash of the parent. It has been executed here, but is perhaps neither notarized nor final yet.
    pub parent: B256,
    /// Height of the parent.
    pub parent_height: Height,
}

impl Position {
    /// Height of the block itself.
    pub const fn height(&self) -> Height {
        self.parent_height.next()
    }
}

/// A request for a block.
#[derive(Clone, Copy, Debug)]
pub struct ProposeContext {
    /// Where the block shall stand.
    pub position: Position,
    /// The clock, ms since the Unix epoch. The block's time is this or the parent's, whichever is later.
    pub now_millis: u64,
    /// Time to build in; a later answer probably comes after the leader timeout.
    pub budget: Duration,
}

/// A request to check a block.
#[derive(Clone, Copy, Debug)]
pub struct VerifyContext {
    /// Where the block stands. Views, parent and height have been checked against the block already.
    pub position: Position,
    /// The clock, ms since the Unix epoch. The block's time is not after it.
    pub now_millis: u64,
}

/// Why a final block could not be taken over. Always fatal: the process must end rather than run on beside its own state.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ChainError(pub String);

/// The chain as consensus sees it: executes, builds and keeps blocks.
pub trait Chain: Send + Sync + 'static {
    /// The last block taken over through [`Self::finalized`], or the genesis.
    fn last_final(&self) -> impl Future<Output = (Height, B256)> + Send;

    /// Hash of the final block at a height; `None` above the last one.
    fn final_hash(&self, height: Height) -> impl Future<Output = Option<B256>> + Send;

    /// Whether the block has been executed here (final or not), so that a child can be built and verified.
    fn is_executed(&self, hash: B256) -> impl Future<Output = bool> + Send;

    /// Resolves as soon as a child of `parent` would have something to carry: a transaction or a due deposit. The leader then
    /// proposes at once instead of waiting for its heartbeat. Pacing is done here; the chain need not wait for time to pass.
    fn work_available(&self, parent: B256) -> impl Future<Output = ()> + Send;

    /// Builds a block. `None` declines: the leader gives up the rest of its term. The result counts as executed here.
    fn propose(&self, context: ProposeContext) -> impl Future<Output = Option<Arc<RecoveredBlock>>> + Send;

    /// Executes and judges a block. Stays pending while its origin is unseen or its parent has not been executed; `false` only
    /// if it can never become valid. May be called again for the same block and must then answer the same.
    fn verify(&self, context: VerifyContext, block: Arc<RecoveredBlock>) -> impl Future<Output = bool> + Send;

    /// The executed block with this hash, if it is at hand: its senders need not be recovered again. Answers at once.
    fn executed_block(&self, hash: B256) -> Option<Arc<RecoveredBlock>>;

    /// The senders of these transactions as far as this node has recovered them before (in its pool), one for one. Answers at once.
    fn known_senders(&self, transactions: &[B256]) -> Vec<Option<Address>>;

    /// Takes over the next final block. Called in height order, each height at least once (again after a restart: then it does
    /// nothing). Answers the height up to which blocks survive a crash: those above it are handed over again after one.
    fn finalized(&self, block: FinalBlock) -> impl Future<Output = Result<Height, ChainError>> + Send;

    /// Makes every block taken over survive a crash.
    fn sync(&self) -> impl Future<Output = Result<Height, ChainError>> + Send;
}

/// The sets that sequence the epochs: a pure function of final blocks and L1.
pub trait Sets: Send + Sync + 'static {
    /// The snapshot whose members sequence an epoch. Resolves once it is known: for epoch e + 1, when the last block of
    /// epoch e - 1 is final and its origin has been seen. Never changes for an epoch.
    fn set_of(&self, epoch: Epoch) -> impl Future<Output = Arc<Snapshot>> + Send;
}
