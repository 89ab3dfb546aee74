//! Between the contracts' words and ours.

use crate::contracts::{IBatchInbox, ISequencerPool, Portal, slasher};
use alloy::primitives::{B256, U256};
use baton_primitives::{
    BatchIndex, Core, Deposit, Epoch, Generation, Height, IdentityKey, Member, SequencerId, Snapshot, SnapshotId, View,
    bls,
};

/// Why a snapshot from L1 is no snapshot to us.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It has no seed yet.
    #[error("snapshot {0} is not sealed")]
    Unsealed(u64),
    /// The contract holds a key that is no point; its registration check must have failed.
    #[error("member {sequencer} of snapshot {snapshot} has a malformed vote key")]
    Key {
        /// The snapshot.
        snapshot: u64,
        /// The member's sequencer id.
        sequencer: u64,
    },
}

impl TryFrom<ISequencerPool::Snapshot> for Snapshot {
    type Error = SnapshotError;

    fn try_from(s: ISequencerPool::Snapshot) -> Result<Self, SnapshotError> {
        if s.sealBlock == 0 {
            return Err(SnapshotError::Unsealed(s.id));
        }
        let member = |m: ISequencerPool::Member| {
            Ok(Member {
                id: SequencerId::new(m.id),
                owner: m.owner,
                operator: m.operator,
                stake: m.stake,
                identity: IdentityKey(m.identity),
                vote_key: bls::PublicKey::from_eip2537(&m.blsKey)
                    .map_err(|_| SnapshotError::Key { snapshot: s.id, sequencer: m.id })?,
                endpoint: m.endpoint,
            })
        };
        Ok(Self {
            id: SnapshotId::new(s.id),
            seal_block: s.sealBlock,
            seed: s.seed,
            members: s.members.into_iter().map(member).collect::<Result<_, _>>()?,
        })
    }
}

/// A core as a contract's words and back. Each contract's bindings have their own type of it.
macro_rules! core_words {
    ($($words:ty),+) => {$(
        impl From<&Core> for $words {
            fn from(c: &Core) -> Self {
                Self {
                    version: c.version,
                    generation: c.generation.get(),
                    index: c.index.get(),
                    previous: c.previous,
                    epoch: c.epoch.get(),
                    snapshot: c.snapshot.get(),
                    firstHeight: c.first_height.get(),
                    lastHeight: c.last_height.get(),
                    lastView: c.last_view.get(),
                    lastBlock: c.last_block,
                    lastTimestamp: c.last_timestamp,
                    stateRoot: c.state_root,
                    originNumber: c.origin_number,
                    originHash: c.origin_hash,
                    deposits: c.deposits,
                    withdrawalsRoot: c.withdrawals_root,
                    closing: c.closing,
                    fees: c.fees,
                    performance: c.performance,
                    nextSnapshot: c.next_snapshot.get(),
                }
            }
        }

        impl From<&$words> for Core {
            fn from(c: &$words) -> Self {
                Self {
                    version: c.version,
                    generation: Generation::new(c.generation),
                    index: BatchIndex::new(c.index),
                    previous: c.previous,
                    epoch: Epoch::new(c.epoch),
                    snapshot: SnapshotId::new(c.snapshot),
                    first_height: Height::new(c.firstHeight),
                    last_height: Height::new(c.lastHeight),
                    last_view: View::new(c.lastView),
                    last_block: c.lastBlock,
                    last_timestamp: c.lastTimestamp,
                    state_root: c.stateRoot,
                    origin_number: c.originNumber,
                    origin_hash: c.originHash,
                    deposits: c.deposits,
                    withdrawals_root: c.withdrawalsRoot,
                    closing: c.closing,
                    fees: c.fees,
                    performance: c.performance,
                    next_snapshot: SnapshotId::new(c.nextSnapshot),
                }
            }
        }
    )+};
}
core_words!(IBatchInbox::Core, slasher::IBatchInbox::Core);

impl IBatchInbox::Certificate {
    /// A certificate from its parts.
    pub fn new(signers: U256, signature: &bls::Signature) -> Self {
        Self { signers, signature: signature.to_eip2537().into() }
    }
}

impl Portal::Deposited {
    /// The deposit of this event in the L1 block with hash `l1_hash`.
    pub fn deposit(&self, l1_hash: B256) -> Deposit {
        Deposit {
            index: self.index,
            l1_hash,
            from: self.from,
            to: (!self.creation).then_some(self.to),
            // The ether that exists fits 128 bits.
            mint: self.mint.saturating_to(),
            value: self.value,
            gas: self.gas,
            data: self.data.clone(),
        }
    }
}
