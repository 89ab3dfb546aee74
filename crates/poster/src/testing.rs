//! Values for tests.
#![allow(clippy::cast_possible_truncation, reason = "a test set has few members")]

use alloy::primitives::{Address, B256, U256};
use baton_primitives::{
    BatchIndex, Core, Epoch, Generation, Height, IdentitySecret, Member, SequencerId, Snapshot, SnapshotId, View, bls,
};

pub(crate) fn key(member: u8) -> bls::SecretKey {
    bls::SecretKey::from_seed(&[member + 1; 32])
}

pub(crate) fn core(index: u64, fees: u64) -> Core {
    Core {
        version: Core::VERSION,
        generation: Generation::ZERO,
        index: BatchIndex::new(index),
        previous: B256::ZERO,
        epoch: Epoch::ZERO,
        snapshot: SnapshotId::ZERO,
        first_height: Height::new(1),
        last_height: Height::new(9),
        last_view: View::new(9),
        last_block: B256::repeat_byte(1),
        last_timestamp: 7,
        state_root: B256::repeat_byte(2),
        origin_number: 3,
        origin_hash: B256::repeat_byte(3),
        deposits: 0,
        withdrawals_root: B256::ZERO,
        closing: false,
        fees: U256::from(fees),
        performance: B256::ZERO,
        next_snapshot: SnapshotId::ZERO,
    }
}

/// A snapshot of members with keys [`key`] and equal stake, ascending by identity.
pub(crate) fn snapshot(members: u8) -> Snapshot {
    let mut identities: Vec<_> = (0..members).map(|i| IdentitySecret::from_bytes([i + 1; 32]).public()).collect();
    identities.sort_unstable();
    let member = |(i, identity)| Member {
        id: SequencerId::new(i as u64 + 1),
        owner: Address::with_last_byte(i as u8),
        operator: Address::with_last_byte(100 + i as u8),
        stake: 100,
        identity,
        vote_key: key(i as u8).public(),
        endpoint: format!("127.0.0.1:{}", 9000 + i),
    };
    Snapshot {
        id: SnapshotId::ZERO,
        seal_block: 1,
        seed: B256::repeat_byte(9),
        members: identities.into_iter().enumerate().map(member).collect(),
    }
}
