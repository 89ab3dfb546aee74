use super::*;
use alloy::primitives::Address;
use baton_primitives::{IdentityKey, SequencerId, bls};
use proptest::prelude::*;
use std::{fs, path::PathBuf};

fn snapshot(stakes: &[u128]) -> Arc<Snapshot> {
    let vote_key = bls::SecretKey::from_seed(&[1; 32]).public();
    let member = |(i, stake): (u8, &u128)| Member {
        id: SequencerId::new(u64::from(i) + 1),
        owner: Address::repeat_byte(i),
        operator: Address::repeat_byte(i),
        stake: *stake,
        identity: IdentityKey(B256::repeat_byte(i)),
        vote_key,
        endpoint: "127.0.0.1:1".into(),
    };
    let members = (0u8..).zip(stakes).map(member).collect();
    Arc::new(Snapshot { id: SnapshotId::new(3), seal_block: 9, seed: B256::repeat_byte(7), members })
}

fn of(epoch: u64, term: u64, stakes: &[u128]) -> Option<usize> {
    leader(B256::repeat_byte(7), Epoch::new(epoch), Term::new(term), stakes)
}

/// A second way to the leader: long division of the draw, bit by bit, over the intervals' upper ends.
fn oracle(seed: B256, epoch: u64, term: u64, stakes: &[u128]) -> Option<usize> {
    let total = stakes.iter().fold(U256::ZERO, |sum, s| sum + U256::from(*s));
    let mut words = [0u8; 96];
    words[..32].copy_from_slice(seed.as_slice());
    words[56..64].copy_from_slice(&epoch.to_be_bytes());
    words[88..].copy_from_slice(&term.to_be_bytes());
    let mut rest = U256::ZERO;
    for byte in keccak256(words) {
        for bit in (0..8).rev() {
            rest = rest * U256::from(2) + U256::from((byte >> bit) & 1);
            if rest >= total {
                rest -= total;
            }
        }
    }
    let ends = stakes.iter().scan(U256::ZERO, |end, s| {
        *end += U256::from(*s);
        Some(*end)
    });
    ends.into_iter().position(|end| rest < end)
}

proptest! {
    #[test]
    fn the_leader_is_the_one_of_an_independent_computation(
        seed: [u8; 32], epoch: u64, term: u64, stakes in prop::collection::vec(0u128..=u128::MAX, 1..64),
    ) {
        prop_assume!(stakes.iter().any(|s| *s > 0));
        let position = leader(B256::from(seed), Epoch::new(epoch), Term::new(term), &stakes);
        prop_assert_eq!(position, oracle(B256::from(seed), epoch, term, &stakes));
        prop_assert!(stakes[position.unwrap()] > 0, "a member without stake was drawn");
    }

    #[test]
    fn the_snapshot_of_an_epoch_is_the_newest_sealed_by_then(
        epoch in 0u64..5, origin in 0u64..60, seals in prop::collection::vec(0u64..20, 0..20),
    ) {
        let mut block = 0;
        let mut sealed: Vec<_> = (1..).zip(seals).map(|(id, step)| { block += step; (SnapshotId::new(id), block) }).collect();
        let id = snapshot_for(Epoch::new(epoch), origin, &sealed);
        sealed.reverse();
        prop_assert_eq!(snapshot_for(Epoch::new(epoch), origin, &sealed), id, "the order of the list does not matter");
        if epoch < 2 {
            prop_assert_eq!(id, SnapshotId::ZERO);
        } else {
            let newer = sealed.iter().filter(|(other, _)| *other > id);
            prop_assert!(newer.into_iter().all(|(_, seal)| *seal > origin));
            prop_assert!(id == SnapshotId::ZERO || sealed.iter().any(|(i, seal)| *i == id && *seal <= origin));
        }
    }
}

#[test]
fn members_lead_in_proportion_to_their_stake() {
    let stakes = [10u128, 0, 30, 60].map(|s| s * 10u128.pow(18));
    let mut led = [0u32; 4];
    for term in 1..=20_000 {
        led[of(5, term, &stakes).unwrap()] += 1;
    }
    // Expected 2000, 0, 6000, 12000; five standard deviations are at most 350.
    assert_eq!(led[1], 0);
    for (count, expected) in led.into_iter().zip([2_000u32, 0, 6_000, 12_000]) {
        assert!(count.abs_diff(expected) < 350, "{led:?}");
    }
}

#[test]
fn nobody_leads_without_stake() {
    assert_eq!(of(0, 1, &[]), None);
    assert_eq!(of(0, 1, &[0, 0]), None);
    assert_eq!(Schedule::new(snapshot(&[0]), Epoch::ZERO, 30), Err(ScheduleError::NoStake(SnapshotId::new(3))));
    assert_eq!(Schedule::new(snapshot(&[1]), Epoch::ZERO, 0), Err(ScheduleError::NoTerm));
}

#[test]
fn a_schedule_keeps_its_leader_for_a_term_and_lists_the_next() {
    let stakes = [5u128, 6, 7, 8];
    let schedule = Schedule::new(snapshot(&stakes), Epoch::new(2), 30).unwrap();
    for view in 1..=30 {
        assert_eq!(Some(schedule.leader_of_view(View::new(view))), of(2, 1, &stakes));
    }
    let next: Vec<_> = schedule.next_leaders(View::new(30)).take(3).collect();
    let expected: Vec<_> = (2..5).map(|t| (Term::new(t), of(2, t, &stakes).unwrap())).collect();
    assert_eq!(next, expected);
    assert_eq!(schedule.leader_of_view(View::new(31)), expected[0].1);
}

#[test]
fn the_seed_hashes_prevrandao_and_the_snapshot_id() {
    let mut bytes = vec![9; 32];
    bytes.extend([0, 0, 0, 0, 0, 0, 1, 2]);
    assert_eq!(snapshot_seed(B256::repeat_byte(9), SnapshotId::new(258)), keccak256(bytes));
}

/// Writes the vectors when `BATON_BLESS` is set, and holds this crate to the committed ones otherwise.
#[test]
fn the_shared_vectors_hold() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/leaders.json");
    let token = 10u128.pow(18);
    let sets: [&[u128]; 6] = [
        &[1],
        &[token * 20_000; 4],
        &[token * 20_000, token * 30_000, token * 50_000, token * 100_000],
        &[0, token, 0, 3 * token],
        &[u128::MAX, u128::MAX, 1],
        &[token * 20_001; 64],
    ];
    let mut cases = Vec::new();
    for (set, stakes) in sets.iter().enumerate() {
        for (epoch, term) in [(0, 1), (0, 2), (1, 1), (7, 8), (u64::MAX, u64::MAX), (100, 60)] {
            let seed = keccak256([u8::try_from(set).unwrap()]);
            cases.push(serde_json::json!({
                "seed": seed,
                "epoch": epoch.to_string(),
                "term": term.to_string(),
                "stakes": stakes.iter().map(u128::to_string).collect::<Vec<_>>(),
                "leader": leader(seed, Epoch::new(epoch), Term::new(term), stakes).unwrap(),
            }));
        }
    }
    let seeds: Vec<_> = [0u64, 1, 5, u64::MAX]
        .map(|id| {
            let prevrandao = keccak256(id.to_be_bytes());
            let seed = snapshot_seed(prevrandao, SnapshotId::new(id));
            serde_json::json!({ "prevrandao": prevrandao, "snapshot": id.to_string(), "seed": seed })
        })
        .to_vec();
    let counts = (cases.len(), seeds.len());
    let vectors = serde_json::json!({ "count": counts.0, "cases": cases, "seedCount": counts.1, "seeds": seeds });
    let text = serde_json::to_string_pretty(&vectors).unwrap() + "\n";
    if std::env::var_os("BATON_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}
