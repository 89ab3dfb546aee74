//! What the poster needs from its neighbours; `node` joins them.

use alloy::primitives::{Address, B256, Bytes, U256};
use baton_batch::CommittedBlob;
use baton_primitives::{
    Anchor, BatchIndex, Epoch, Generation, Height, IdentityKey, RecoveredBlock, SequencerId, Snapshot, SnapshotId, View,
};
use std::sync::Arc;
use tokio::sync::watch;

/// A final block and what execution says of it.
#[derive(Clone, Debug)]
pub struct Executed {
    /// The block.
    pub block: Arc<RecoveredBlock>,
    /// Storage slot 0 of `MessagePasser` after it.
    pub withdrawals_root: B256,
    /// Wei swept out of the fee vault by it; zero unless it closes its epoch.
    pub swept: U256,
}

/// The final chain.
pub trait Chain: Clone + Send + Sync + 'static {
    /// The last final height that is executed, and its changes.
    fn head(&self) -> watch::Receiver<Height>;

    /// A final block; `None` if it is not final yet or no longer kept.
    fn executed(&self, height: Height) -> impl Future<Output = Option<Executed>> + Send;
}

/// Where settlement stands in the L1 block that is the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Number of the L1 head.
    pub l1_head: u64,
    /// Hash of the L1 head.
    pub l1_hash: B256,
    /// The last accepted batch, or the genesis.
    pub anchor: Anchor,
    /// L1 block in which it was accepted (or the chain started).
    pub accepted_in: u64,
    /// Recoveries so far.
    pub generation: Generation,
}

/// How an epoch closed on L1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedEpoch {
    /// View of its last block.
    pub last_view: View,
    /// The performance bytes of its closing batch.
    pub performance: Bytes,
}

/// What is known of L1.
pub trait Settlement: Clone + Send + Sync + 'static {
    /// Where settlement stands, and its changes; `None` until the view of L1 has caught up and the chain has begun.
    fn standing(&self) -> watch::Receiver<Option<Standing>>;

    /// A sealed snapshot.
    fn snapshot(&self, id: SnapshotId) -> Option<Arc<Snapshot>>;

    /// Id and seal block of every sealed snapshot, oldest first.
    fn sealed(&self) -> Vec<(SnapshotId, u64)>;

    /// The sequencer that registered this identity.
    fn sequencer_of(&self, identity: &IdentityKey) -> Option<SequencerId>;

    /// Whether this sequencer last left the active set because its owner wanted it.
    fn left_by_owner(&self, id: SequencerId) -> bool;

    /// Versioned hashes of an accepted batch's blobs; `None` if the batch is not known.
    fn blob_hashes(&self, index: BatchIndex) -> Option<Vec<B256>>;

    /// Snapshot of an epoch as L1's epoch table says; `None` if the row does not exist yet.
    fn epoch_snapshot(&self, epoch: Epoch) -> Option<SnapshotId>;

    /// The newest epoch of that table, which runs.
    fn running_epoch(&self) -> Option<Epoch>;

    /// How one of the last epochs closed; `None` if no batch closed it.
    fn closed_epoch(&self, epoch: Epoch) -> Option<ClosedEpoch>;
}

/// To whom a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// Every member of this snapshot but oneself.
    Members(Arc<Snapshot>),
    /// One member.
    One(IdentityKey),
}

/// The peers. What they send comes in through [`crate::PosterHandle::deliver`].
pub trait Network: Clone + Send + Sync + 'static {
    /// Sends at most once, without waiting; drops the message where a queue is full or a peer is away.
    fn send(&self, to: Recipients, message: Bytes);
}

/// A transaction to L1.
#[derive(Clone, Debug)]
pub struct Call {
    /// What it is, for logs and metrics.
    pub label: &'static str,
    /// Receiver.
    pub to: Address,
    /// Call data.
    pub input: Bytes,
    /// Blobs it carries; none for an ordinary transaction.
    pub blobs: Vec<CommittedBlob>,
}

/// What became of a [`Call`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is on L1 and did what it should.
    Included {
        /// Its hash.
        transaction: B256,
        /// The L1 block that holds it.
        l1_number: u64,
    },
    /// It is on L1 and reverted.
    Reverted {
        /// Its hash.
        transaction: B256,
        /// The contracts' named error.
        reason: String,
    },
    /// It would revert and was not sent.
    Refused {
        /// The contracts' named error.
        reason: String,
    },
    /// It was not included: L1 is out of reach, too expensive, or the account is empty.
    Failed {
        /// Why.
        reason: String,
    },
}

/// L1 as something to send to and to ask.
pub trait Ledger: Clone + Send + Sync + 'static {
    /// Account that sends.
    fn account(&self) -> Address;

    /// Simulates, sends, and waits until it is on L1 or given up. Calls wait for each other.
    fn send(&self, call: Call) -> impl Future<Output = Sent> + Send;

    /// Executes a view call on the newest state.
    ///
    /// # Errors
    /// The revert's or the transport's reason.
    fn view(&self, to: Address, input: Bytes) -> impl Future<Output = Result<Bytes, String>> + Send;

    /// Whether this call, sent now by [`Self::account`], would succeed.
    ///
    /// # Errors
    /// The named error of the revert, or the transport's reason.
    fn would_succeed(&self, to: Address, input: Bytes) -> impl Future<Output = Result<(), String>> + Send;

    /// RLP of an L1 header.
    ///
    /// # Errors
    /// If L1 is out of reach or does not have the block.
    fn header(&self, number: u64) -> impl Future<Output = Result<Bytes, String>> + Send;
}
