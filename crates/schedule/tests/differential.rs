//! The leaders of random sets are those that Solidity draws.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "../../../tests/vectors/differential.rs"]
mod differential;

use alloy::primitives::U256;
use baton_primitives::{Epoch, Term};
use baton_schedule::leader;
use differential::{CASES, Cases, limb, varied};

#[test]
fn leaders_of_random_sets_are_pinned() {
    let mut cases = Cases::new("leaders");
    for i in 0..CASES {
        let size = cases.word(i, 0);
        let members = 1 + ((limb(size, 0) % 64) >> (limb(size, 1) % 6));
        let mut stakes: Vec<u128> = (1..=members).map(|k| varied(cases.word(i, k), 112, 113)).collect();
        stakes[0] |= 1;
        let epoch = Epoch::new(limb(cases.word(i, 101), 0));
        let term = Term::new(limb(cases.word(i, 102), 0));
        let position = leader(cases.word(i, 100).into(), epoch, term, &stakes).unwrap();
        cases.fold(U256::from(position));
    }
    cases.pin();
}
