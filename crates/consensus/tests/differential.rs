//! The bytes that the engine signs are those that the `Slasher` verifies.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "../../../tests/vectors/differential.rs"]
mod differential;

use alloy::primitives::{Address, keccak256};
use baton_primitives::{Generation, consensus_namespace};
use commonware_consensus::{
    simplex::{
        scheme::Namespace,
        types::{Proposal, Subject},
    },
    types::{Epoch, Round, View},
};
use commonware_cryptography::{certificate::Subject as _, sha256::Digest};
use commonware_utils::union_unique;
use differential::{CASES, Cases, limb, varied};

#[test]
fn bytes_of_random_votes_are_pinned() {
    let mut cases = Cases::new("votes");
    for i in 0..CASES {
        let number = |k| u64::try_from(varied(cases.word(i, k), 64, 64)).unwrap();
        let inbox = Address::from_word(cases.word(i, 0).into());
        let namespace = Namespace::new(consensus_namespace(31_337, inbox, Generation::new(number(1))).as_slice());
        let round = Round::new(Epoch::new(number(2)), View::new(number(3)));
        let proposal = Proposal::new(round, View::new(number(4)), Digest::from(cases.word(i, 5).to_be_bytes::<32>()));
        let subject = match limb(cases.word(i, 6), 0) % 3 {
            0 => Subject::Notarize { proposal: &proposal },
            1 => Subject::Finalize { proposal: &proposal },
            _ => Subject::Nullify { round },
        };
        let message = union_unique(subject.namespace(&namespace), &subject.message());
        cases.fold(keccak256(message));
    }
    cases.pin();
}
