//! Keys and sets for this crate's unit tests.

use crate::set::Members;
use alloy::primitives::{Address, B256};
use baton_primitives::{IdentitySecret, Member, SequencerId, Snapshot, SnapshotId, bls};
use std::sync::Arc;

pub(crate) fn keys(seed: u8) -> (IdentitySecret, bls::SecretKey) {
    (IdentitySecret::from_bytes([seed; 32]), bls::SecretKey::from_seed(&[seed; 32]))
}

pub(crate) fn member(seed: u8) -> Member {
    let (identity, vote) = keys(seed);
    Member {
        id: SequencerId::new(u64::from(seed)),
        owner: Address::repeat_byte(seed),
        operator: Address::repeat_byte(seed),
        stake: 20_000 + u128::from(seed),
        identity: identity.public(),
        vote_key: vote.public(),
        endpoint: format!("127.0.0.1:{}", 9_000 + u16::from(seed)),
    }
}

pub(crate) fn snapshot_of(id: u64, seeds: &[u8]) -> Snapshot {
    let mut members: Vec<_> = seeds.iter().map(|seed| member(*seed)).collect();
    members.sort_by_key(|m| m.identity);
    Snapshot { id: SnapshotId::new(id), seal_block: id, seed: B256::with_last_byte(7), members }
}

pub(crate) fn snapshot(members: u8) -> Snapshot {
    snapshot_of(0, &(1..=members).collect::<Vec<_>>())
}

pub(crate) fn members(count: u8) -> Members {
    Members::new(Arc::new(snapshot(count))).unwrap()
}

/// The signing scheme of the member with a seed.
pub(crate) fn signer(count: u8, seed: u8) -> crate::types::Scheme {
    use commonware_cryptography::Signer as _;
    let (identity, vote) = keys(seed);
    let me = crate::set::identity(&identity).public_key();
    let domain = crate::Domain {
        l1_chain_id: 31_337,
        inbox: Address::repeat_byte(1),
        generation: baton_primitives::Generation::ZERO,
    };
    members(count).signer(&domain, &me, &crate::set::vote_secret(&vote)).unwrap()
}
