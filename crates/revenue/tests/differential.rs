//! The split of random epochs, and what positions and posters can claim of it, is that of the contract.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "../../../tests/vectors/differential.rs"]
mod differential;

use alloy::primitives::{B256, U256, keccak256};
use baton_revenue::{Books, Debt, Earner, Shares, income};
use differential::{CASES, Cases, limb, varied};

fn small(value: u64, below: u64) -> u16 {
    u16::try_from(value % below).unwrap()
}

#[test]
fn splits_and_claims_of_random_epochs_are_pinned() {
    let mut cases = Cases::new("claims");
    let mut books = Books::default();
    let mut debt = Debt { start: 0, end: 0, claimed: 0 };
    for i in 0..CASES {
        let size = cases.word(i, 0);
        let batches = 1 + limb(size, 3) % 20;
        let shares = Shares { treasury_bps: small(limb(size, 1), 1_001), producers_bps: small(limb(size, 2), 10_001) };
        books.receive(varied(cases.word(i, 1), 80, 80)).unwrap();
        let owed = cases.word(i, 2);
        if limb(owed, 3).is_multiple_of(2) {
            debt = books.add_debt(varied(owed, 80, 80)).unwrap();
        }
        let members: Vec<Earner> = (0..1 + limb(size, 0) % 4)
            .map(|k| {
                let did = cases.word(i, 10 + 10 * k);
                Earner {
                    stake: varied(cases.word(i, 11 + 10 * k), 88, 40) | 1,
                    shares: varied(cases.word(i, 12 + 10 * k), 104, 24) | 1 << 80,
                    commission_bps: small(limb(did, 0), 10_001),
                    blocks_led: u32::try_from(limb(did, 1) % 100).unwrap(),
                    signed: limb(did, 2) % (batches + 1),
                    ..Earner::default()
                }
            })
            .collect();
        let closed = books.close(&shares, batches, &members).unwrap();
        assert!(books.is_conserved());
        let mut answer = vec![books.debts_paid, books.treasury, books.income, books.carry, debt.covered(&books)]
            .into_iter()
            .map(U256::from)
            .collect::<Vec<_>>();
        for (k, (member, credit)) in (0..).zip(members.iter().zip(&closed.credits)) {
            let position = cases.word(i, 13 + 10 * k) % (U256::from(member.shares) + U256::from(1));
            let claim = income(u128::try_from(position).unwrap(), U256::ZERO, credit.index_step);
            answer.extend([credit.index_step, U256::from(credit.commission), U256::from(claim)]);
        }
        cases.fold(keccak256(answer.into_iter().map(B256::from).collect::<Vec<_>>().concat()));
    }
    cases.pin();
}
