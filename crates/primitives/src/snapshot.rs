//! The frozen active set.

use crate::{IdentityKey, SequencerId, SnapshotId, bls};
use alloy::primitives::{Address, B256, U256};
use serde::{Deserialize, Serialize};

/// One member of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its entry in the pool.
    pub id: SequencerId,
    /// Holds the stake.
    pub owner: Address,
    /// The poster account of its node.
    pub operator: Address,
    /// Bonded tokens, base units (18 decimals).
    pub stake: u128,
    /// ed25519 network identity, as 32 bytes that L1 does not check to be a point.
    pub identity: IdentityKey,
    /// BLS vote key.
    pub vote_key: bls::PublicKey,
    /// `host:port` of its node.
    pub endpoint: String,
}

/// The frozen active set: members ascend by ed25519 key, the order of bitmaps, stake intervals and votes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Number, from 0.
    pub id: SnapshotId,
    /// L1 block in which it was sealed.
    pub seal_block: u64,
    /// Seed of its leader schedule.
    pub seed: B256,
    /// The members, ascending by identity.
    pub members: Vec<Member>,
}

impl Snapshot {
    /// Sum of all stakes.
    pub fn total_stake(&self) -> U256 {
        self.members.iter().map(|m| U256::from(m.stake)).sum()
    }

    /// The stakes in member order.
    pub fn stakes(&self) -> Vec<u128> {
        self.members.iter().map(|m| m.stake).collect()
    }

    /// Position of the member with this network identity.
    pub fn position(&self, identity: &IdentityKey) -> Option<usize> {
        self.members.binary_search_by(|m| m.identity.cmp(identity)).ok()
    }

    /// Whether the stake of the members in `bitmap` is at least 2/3 of the whole.
    pub fn is_quorum(&self, bitmap: U256) -> bool {
        let signed: U256 =
            self.members.iter().enumerate().filter(|(i, _)| bitmap.bit(*i)).map(|(_, m)| U256::from(m.stake)).sum();
        signed * U256::from(3) >= self.total_stake() * U256::from(2)
    }
}
