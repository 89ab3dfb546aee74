//! Keys and sets for this crate's unit tests.

use crate::set::Members;
use alloy::primitives::{Address, B256};
use baton_primitives::{IdentitySecret, Member, SequencerId, Snapshot, SnapshotId, bls};
use std::sync::Arc;

pub(crate) fn keys(seed: u8) -> (IdentitySecret, bls::SecretKey) {
    (IdentitySecret::from_bytes([seed; 32]), bls::SecretKey::from_seed(&[seed; 32]))
}

pub(crate) fn snapshot(members: u8) -> Snapshot {
    let mut members: Vec<_> = (1..=members)
        .map(|seed| {
            let (identity, vote) = keys(seed);
            Member {
                id: SequencerId::new(u64::from(seed)),
                owner: Address::repeat_byte(seed),
                operator: Address::repeat_byte(seed),
                stake: 20_000,
                identity: identity.public(),
                vote_key: vote.public(),
                endpoint: format!("127.0.0.1:{}", 9_000 + u16::from(seed)),
            }
        })
        .collect();
    members.sort_by_key(|m| m.identity);
    Snapshot { id: SnapshotId::ZERO, seal_block: 0, seed: B256::repeat_byte(7), members }
}

pub(crate) fn members(count: u8) -> Members {
    Members::new(Arc::new(snapshot(count))).unwrap()
}
