//! Hashes of random cores, and verdicts on random certificates, are those of the contracts.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "../../../tests/vectors/differential.rs"]
mod differential;

use alloy::primitives::{Address, B256, U256, uint};
use baton_primitives::{
    BatchIndex, Core, Epoch, Generation, Height, IdentityKey, Member, SequencerId, Snapshot, SnapshotId, View,
    bls::{PublicKey, SecretKey, Signature},
};
use differential::{CASES, Cases, limb, varied};

#[test]
fn hashes_of_random_cores_are_pinned() {
    let mut cases = Cases::new("cores");
    for i in 0..CASES {
        let number = |k| limb(cases.word(i, k), 0);
        let hash = |k| B256::from(cases.word(i, k));
        let core = Core {
            version: u16::try_from(number(0) % 65_536).unwrap(),
            generation: Generation::new(number(1)),
            index: BatchIndex::new(number(2)),
            previous: hash(3),
            epoch: Epoch::new(number(4)),
            snapshot: SnapshotId::new(number(5)),
            first_height: Height::new(number(6)),
            last_height: Height::new(number(7)),
            last_view: View::new(number(8)),
            last_block: hash(9),
            last_timestamp: number(10),
            state_root: hash(11),
            origin_number: number(12),
            origin_hash: hash(13),
            deposits: number(14),
            withdrawals_root: hash(15),
            closing: number(16) % 2 == 1,
            fees: cases.word(i, 17),
            performance: hash(18),
            next_snapshot: SnapshotId::new(number(19)),
        };
        let answer = core.hash();
        cases.fold(answer);
    }
    cases.pin();
}

/// Order of the groups of BLS12-381.
const ORDER: U256 = uint!(0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001_U256);
const MEMBERS: u64 = 7;

fn key(scalar: U256) -> SecretKey {
    SecretKey::from_bytes(&scalar.to_be_bytes()).unwrap()
}

fn of(bitmap: u64) -> impl Iterator<Item = usize> {
    (0..7).filter(move |i| (bitmap >> i) & 1 == 1)
}

/// 0: valid; 1: names a signer who is no member; 2: too little stake; 3: another signature than the signers'.
fn verdict(snapshot: &Snapshot, signers: u64, message: &[u8], signature: &Signature) -> u64 {
    if signers >> MEMBERS != 0 {
        return 1;
    }
    if !snapshot.is_quorum(U256::from(signers)) {
        return 2;
    }
    let keys: Vec<_> = of(signers).map(|i| snapshot.members[i].vote_key).collect();
    PublicKey::aggregate(&keys).unwrap().verify(message, signature).map_or(3, |()| 0)
}

#[test]
fn verdicts_on_random_certificates_are_pinned() {
    let mut cases = Cases::new("certificates");
    let scalars: Vec<U256> = (0..MEMBERS).map(|k| cases.word(u64::MAX, k) % ORDER).collect();
    let member = |k: u64| Member {
        id: SequencerId::new(k + 1),
        owner: Address::ZERO,
        operator: Address::ZERO,
        stake: 0,
        identity: IdentityKey(U256::from(k).into()),
        vote_key: key(scalars[usize::try_from(k).unwrap()]).public(),
        endpoint: String::new(),
    };
    let members = (0..MEMBERS).map(member).collect();
    let mut snapshot = Snapshot { id: SnapshotId::ZERO, seal_block: 0, seed: B256::ZERO, members };
    let mut seen = [0; 4];
    for i in 0..CASES {
        let word = cases.word(i, 0);
        for (k, member) in (1..).zip(&mut snapshot.members) {
            member.stake = varied(cases.word(i, k), 80, 4) | 1;
        }
        let mut signers = (limb(word, 0) | limb(word, 0) >> 8) & 0x7f;
        let (flip, kind) = (1 << (limb(word, 3) % MEMBERS), limb(word, 2) % 8);
        // Who really signed what: in one case of eight another set, in one another message.
        let mut signing = if kind == 0 { signers ^ flip } else { signers };
        if signing == 0 {
            signing = flip;
        }
        if limb(word, 1).is_multiple_of(16) {
            signers |= 0x80;
        }
        let message = B256::from(cases.word(i, 10));
        let signed = if kind == 1 { cases.word(i, 11).into() } else { message };
        let sum = of(signing).fold(U256::ZERO, |sum, k| sum.add_mod(scalars[k], ORDER));
        let mut signature = key(sum).sign(signed.as_slice());
        // In one a point of the curve that nobody signed.
        if kind == 2 {
            signature = Signature::aggregate(&[signature, signature]).unwrap();
        }
        let answer = verdict(&snapshot, signers, message.as_slice(), &signature);
        seen[usize::try_from(answer).unwrap()] += 1;
        cases.fold(U256::from(answer));
    }
    assert!(seen.iter().all(|n| *n > 200), "{seen:?}");
    cases.pin();
}
