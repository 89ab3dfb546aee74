//! What the engine of an epoch reports: certificates go to the marshal, views to the status, contradictions to the slasher.

use crate::{
    automaton::Automaton,
    elector::StakeSchedule,
    evidence::{self, Evidence},
    ports::Chain,
    set::{Members, identity_key},
    standing::Standing,
    status::{self, Leader, StatusSender},
    types::{Activity, Marshal, Scheme},
};
use baton_primitives::{Epoch, View};
use commonware_actor::Feedback;
use commonware_consensus::{
    Reporter, Viewable,
    simplex::types::{Activity as A, Attributable, Vote},
};
use commonware_parallel::Sequential;
use commonware_runtime::{Clock, Spawner};
use parking_lot::Mutex;
use rand_core::CryptoRng;
use std::sync::Arc;
use tokio::sync::mpsc;
use tracing::warn;

/// What an observer needs.
pub(crate) struct Parts<E, C> {
    pub(crate) rng: E,
    pub(crate) automaton: Automaton<E, C>,
    pub(crate) marshal: Marshal,
    pub(crate) epoch: Epoch,
    pub(crate) term_views: u64,
    pub(crate) members: Members,
    pub(crate) schedule: StakeSchedule,
    pub(crate) scheme: Scheme,
    pub(crate) standing: Arc<Standing>,
    pub(crate) status: StatusSender,
    /// Full queue: the evidence is dropped with a warning; the offence is provable once per epoch and is seen again.
    pub(crate) evidence: mpsc::Sender<Evidence>,
}

/// The reporter of one epoch. Clones share their state.
///
/// Single votes are not verified again here (one pairing each): they are used only where a false one harms nobody but its
/// sender. Contradictions are, before they leave.
pub(crate) struct Observer<E, C>(Arc<Mutex<Parts<E, C>>>);

impl<E, C> Clone for Observer<E, C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: Spawner + Clock + CryptoRng, C: Chain> Observer<E, C> {
    pub(crate) fn new(parts: Parts<E, C>) -> Self {
        let observer = Self(Arc::new(Mutex::new(parts)));
        observer.0.lock().entered(View::new(1));
        observer
    }
}

impl<E: Spawner + Clock + CryptoRng, C: Chain> Parts<E, C> {
    fn entered(&self, view: View) {
        let term = view.term(self.term_views);
        let seat = self.schedule.leader(self.epoch, term);
        let member = &self.members.snapshot().members[seat];
        let leader = Leader { sequencer: member.id, identity: member.identity };
        status::update(&self.status, |status| {
            if status.epoch == self.epoch && view > status.view {
                status.view = view;
                status.term = term;
                status.leader = Some(leader);
            }
        });
    }

    fn record<V: Attributable>(&self, vote: &V, wrapped: Vote<Scheme, crate::digest::Digest>) {
        if let Some(signer) = self.members.keys().get(usize::from(vote.signer())) {
            self.standing.record(signer, wrapped);
        }
    }

    fn report(&mut self, activity: Activity) -> Feedback {
        let view = View::new(activity.view().get());
        match &activity {
            A::Notarize(vote) => self.record(vote, Vote::Notarize(vote.clone())),
            A::Nullify(vote) => self.record(vote, Vote::Nullify(vote.clone())),
            A::Finalize(vote) => self.record(vote, Vote::Finalize(vote.clone())),
            A::Notarization(_) => {}
            A::Certification(_) => self.entered(view.next()),
            A::Nullification(_) => {
                // A nullification ends the whole term.
                let next_term = view.term(self.term_views).get() * self.term_views + 1;
                self.entered(View::new(next_term));
            }
            A::Finalization(_) => {
                self.automaton.decided(view);
                self.entered(view.next());
            }
            A::ConflictingNotarize(_) | A::ConflictingFinalize(_) | A::NullifyFinalize(_) => {
                if activity.verify(&mut self.rng, &self.scheme, &Sequential) {
                    self.expose(&activity);
                }
                return Feedback::Ok;
            }
        }
        self.marshal.report(activity)
    }

    fn expose(&self, activity: &Activity) {
        let identity = |signer: usize| self.members.keys().get(signer).map(identity_key);
        if let Some(evidence) = evidence::of(activity, identity) {
            warn!(epoch = %evidence.epoch, view = %evidence.view, identity = %evidence.identity, kind = ?evidence.kind,
                "a member signed a contradiction");
            if self.evidence.try_send(evidence).is_err() {
                warn!("evidence queue is full, dropped");
            }
        }
    }
}

impl<E: Spawner + Clock + CryptoRng, C: Chain> Reporter for Observer<E, C> {
    type Activity = Activity;

    fn report(&mut self, activity: Activity) -> Feedback {
        self.0.lock().report(activity)
    }
}
