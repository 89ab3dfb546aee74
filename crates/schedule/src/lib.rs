//! Says who leads, from a snapshot, an epoch and a term.
//!
//! ```text
//! seed, epoch, term -> r = keccak256(abi.encode(seed, epoch, term)) mod total stake -> the member whose stake interval holds r
//! origin of an epoch's last block + sealed snapshots -> the snapshot of the epoch after the next
//! ```
//!
//! `SequencerPool.leaderAt` computes the same; `tests/vectors/leaders.json` holds both to it. Draws are with
//! replacement: terms are independent, a member may lead several in a row.

use alloy::{
    primitives::{B256, U256, keccak256},
    sol_types::SolValue,
};
use baton_primitives::{Epoch, Member, Snapshot, SnapshotId, Term, View};
use std::sync::Arc;

/// The position of the member that leads `term` of `epoch`: drawn in proportion to stake, the same for everyone.
///
/// `None` if the stakes sum to zero. A member without stake never leads.
pub fn leader(seed: B256, epoch: Epoch, term: Term, stakes: &[u128]) -> Option<usize> {
    let total: U256 = stakes.iter().map(|s| U256::from(*s)).sum();
    if total.is_zero() {
        return None;
    }
    let mut rest = draw(seed, epoch, term) % total;
    for (position, stake) in stakes.iter().enumerate() {
        let stake = U256::from(*stake);
        if rest < stake {
            return Some(position);
        }
        rest -= stake;
    }
    None
}

/// uint256(keccak256(abi.encode(bytes32 seed, uint64 epoch, uint64 term))).
fn draw(seed: B256, epoch: Epoch, term: Term) -> U256 {
    U256::from_be_bytes(keccak256((seed, U256::from(epoch.get()), U256::from(term.get())).abi_encode()).0)
}

/// The seed of snapshot `id`: keccak256(prevrandao ‖ uint64 BE id), `prevrandao` being that of the L1 block 8 after the
/// taking (for snapshot 0 that of the block which took it).
pub fn snapshot_seed(prevrandao: B256, id: SnapshotId) -> B256 {
    let mut bytes = [0; 40];
    bytes[..32].copy_from_slice(prevrandao.as_slice());
    bytes[32..].copy_from_slice(&id.get().to_be_bytes());
    keccak256(bytes)
}

/// The snapshot whose set sequences `epoch`: the newest one sealed at or below `origin`, the origin number of the last
/// block of epoch - 2. Epochs 0 and 1 use snapshot 0, which is also the answer while no other one qualifies.
///
/// `sealed` are (snapshot, L1 block of its seal) in any order. Every node must pass all snapshots sealed up to `origin`.
pub fn snapshot_for(epoch: Epoch, origin: u64, sealed: &[(SnapshotId, u64)]) -> SnapshotId {
    if epoch.get() < 2 {
        return SnapshotId::ZERO;
    }
    sealed.iter().filter(|(_, seal)| *seal <= origin).map(|(id, _)| *id).max().unwrap_or(SnapshotId::ZERO)
}

/// The leaders of one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    snapshot: Arc<Snapshot>,
    epoch: Epoch,
    term_views: u64,
    stakes: Vec<u128>,
}

/// Why a snapshot gives no schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Nobody has stake, so nobody can be drawn.
    #[error("snapshot {0} has no stake, so no leaders")]
    NoStake(SnapshotId),
    /// Terms must have a length.
    #[error("a term must last at least one view")]
    NoTerm,
}

impl Schedule {
    /// The schedule of `epoch`, sequenced by the members of `snapshot`.
    ///
    /// # Errors
    /// If nobody in the snapshot has stake, or `term_views` is zero.
    pub fn new(snapshot: Arc<Snapshot>, epoch: Epoch, term_views: u64) -> Result<Self, ScheduleError> {
        let stakes = snapshot.stakes();
        if stakes.iter().all(|s| *s == 0) {
            return Err(ScheduleError::NoStake(snapshot.id));
        }
        if term_views == 0 {
            return Err(ScheduleError::NoTerm);
        }
        Ok(Self { snapshot, epoch, term_views, stakes })
    }

    /// The set.
    pub const fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The epoch.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The term of `view`.
    pub const fn term(&self, view: View) -> Term {
        view.term(self.term_views)
    }

    /// Position of the leader of `term` in the snapshot.
    pub fn leader_of_term(&self, term: Term) -> usize {
        // `new` has checked that there is stake, the one reason for `None`.
        leader(self.snapshot.seed, self.epoch, term, &self.stakes).unwrap_or_default()
    }

    /// Position of the leader of `view` in the snapshot.
    pub fn leader_of_view(&self, view: View) -> usize {
        self.leader_of_term(self.term(view))
    }

    /// The member at `position`.
    pub fn member(&self, position: usize) -> Option<&Member> {
        self.snapshot.members.get(position)
    }

    /// The terms after that of `view` with the positions of their leaders, without end.
    pub fn next_leaders(&self, view: View) -> impl Iterator<Item = (Term, usize)> + '_ {
        let mut term = self.term(view);
        std::iter::from_fn(move || {
            term = term.next();
            Some((term, self.leader_of_term(term)))
        })
    }
}

#[cfg(test)]
mod tests;
