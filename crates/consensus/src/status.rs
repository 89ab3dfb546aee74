//! Where consensus is: one watch, written by the engine's reports, read by RPC and metrics.

use alloy::primitives::B256;
use baton_primitives::{Epoch, Height, IdentityKey, SequencerId, SnapshotId, Term, View};
use tokio::sync::watch;

/// What this node does in the running epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Its key votes.
    Signer,
    /// It has a seat but does not vote in this epoch: after a restart its key was not cleared.
    Silent,
    /// It has no seat and follows.
    #[default]
    Observer,
}

/// Where consensus is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The running epoch.
    pub epoch: Epoch,
    /// Its snapshot.
    pub snapshot: SnapshotId,
    /// The view in progress; 0 before the first.
    pub view: View,
    /// The term in progress; 0 before the first view.
    pub term: Term,
    /// Who leads the term.
    pub leader: Option<Leader>,
    /// The last final block taken over by the chain.
    pub last_final: (Height, B256),
    /// The highest block known to be final; above `last_final` while this node catches up.
    pub tip: Height,
    /// Peers connected.
    pub peers: usize,
    /// What this node does.
    pub role: Role,
}

/// The leader of a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Its entry in the pool.
    pub sequencer: SequencerId,
    /// Its network identity.
    pub identity: IdentityKey,
}

pub(crate) type StatusSender = watch::Sender<Status>;

/// Changes the status, waking readers only if something changed.
pub(crate) fn update(status: &StatusSender, change: impl FnOnce(&mut Status)) {
    status.send_if_modified(|status| {
        let before = status.clone();
        change(status);
        *status != before
    });
}
