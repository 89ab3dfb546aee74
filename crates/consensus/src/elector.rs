//! Who leads: stake-weighted, fixed for the epoch by the snapshot's seed.
//!
//! Votes are one per member; stake decides how often a member leads.

use crate::types::{PublicKey, Scheme};
use alloy::primitives::B256;
use baton_primitives::{Epoch, Snapshot, Term};
use commonware_consensus::{
    simplex::elector::{self, Scheduled, Terms},
    types::{Participant, Round},
};
use commonware_utils::ordered::Set;
use std::sync::Arc;

/// The schedule of one epoch.
#[derive(Clone, Debug)]
pub(crate) struct StakeSchedule {
    seed: B256,
    stakes: Arc<[u128]>,
    terms: Terms,
}

impl StakeSchedule {
    pub(crate) fn new(set: &Snapshot, terms: Terms) -> Self {
        Self { seed: set.seed, stakes: set.stakes().into(), terms }
    }

    /// Position in the set of a term's leader.
    pub(crate) fn leader(&self, epoch: Epoch, term: Term) -> usize {
        baton_schedule::leader(self.seed, epoch, term, &self.stakes)
            .expect("invariant: a set without stake was refused when it was made")
    }
}

impl elector::Config<Scheme> for StakeSchedule {
    type Elector = Self;

    fn build(self, participants: &Set<PublicKey>) -> Self {
        assert_eq!(participants.len(), self.stakes.len(), "invariant: the engine's set is the snapshot's");
        self
    }
}

impl elector::Elector<Scheme> for StakeSchedule {
    type Mode = Scheduled;

    fn terms(&self) -> Terms {
        self.terms
    }

    fn elect(&self, round: Round, (): ()) -> Participant {
        let term = round.view().term_index(self.terms.length());
        Participant::from_usize(self.leader(Epoch::new(round.epoch().get()), Term::new(term)))
    }
}
