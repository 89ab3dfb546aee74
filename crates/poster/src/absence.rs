//! Who missed its terms, so that `Slasher.jailAbsent` is worth asking. Pure.
//!
//! The contract counts the terms of four closed epochs: terms missed as their closing batches certified them, terms drawn by the schedule. It leaves
//! out epochs of declared downtime and those of sets up to a member's last jailing, which is nothing that this node follows: so
//! whoever would be jailed if some of the epochs are left out is one to ask for. The contract is simulated before it is called.

use crate::{Kind, Offence, Report};
use alloy::{primitives::Bytes, sol_types::SolCall};
use baton_bindings::contracts::slasher::Slasher::jailAbsentCall;
use baton_primitives::{Epoch, Performance, SequencerId, Snapshot, Term};
use baton_schedule::leader;
use std::{collections::BTreeMap, sync::Arc};

/// Epochs over which missed terms count (`Slasher.ABSENCE_EPOCHS`).
const WINDOW: u64 = 4;
/// Missed terms below which nobody is jailed (`Slasher.ABSENCE_TERMS`).
const LEAST: u64 = 3;
/// Terms above which an epoch judges nobody (`Slasher.MOST_TERMS`).
const MOST_TERMS: u64 = 2_048;

/// An epoch as its closing batch left it on L1.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    pub(crate) epoch: Epoch,
    pub(crate) snapshot: Arc<Snapshot>,
    /// The term of its last block.
    pub(crate) terms: Term,
    pub(crate) performance: Bytes,
}

/// Terms of one member in one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Terms {
    missed: u64,
    drawn: u64,
}

/// The epochs that `jailAbsent` judges with `last`, oldest first.
pub(crate) fn window(last: Epoch) -> impl Iterator<Item = Epoch> {
    let first = (last.get() + 1).saturating_sub(WINDOW);
    (first..=last.get()).map(Epoch::new)
}

/// Who may be jailed for these epochs.
pub(crate) fn absent(closed: &[Closed]) -> Vec<SequencerId> {
    let mut members = BTreeMap::<SequencerId, Vec<Terms>>::new();
    for closed in closed.iter().filter(|closed| closed.terms.get() <= MOST_TERMS) {
        let Ok(Performance(performance)) = Performance::from_bytes(&closed.performance) else { continue };
        if performance.iter().all(|did| did.terms_missed == 0) {
            // Nobody is any more to blame for it.
            continue;
        }
        let stakes = closed.snapshot.stakes();
        let mut drawn = vec![0; stakes.len()];
        for term in (1..=closed.terms.get()).map(Term::new) {
            let leads = leader(closed.snapshot.seed, closed.epoch, term, &stakes);
            if let Some(count) = leads.and_then(|position| drawn.get_mut(position)) {
                *count += 1;
            }
        }
        for ((member, did), drawn) in closed.snapshot.members.iter().zip(performance).zip(drawn) {
            let terms = Terms { missed: did.terms_missed.into(), drawn };
            members.entry(member.id).or_default().push(terms);
        }
    }
    members.into_iter().filter(|(_, terms)| is_absent(terms)).map(|(id, _)| id).collect()
}

/// Whether some of these epochs are enough to be jailed for.
fn is_absent(epochs: &[Terms]) -> bool {
    (1u32..1 << epochs.len()).any(|chosen| {
        let chosen = (0..).zip(epochs).filter(|(i, _)| chosen >> i & 1 == 1).map(|(_, terms)| terms);
        let (missed, drawn) =
            chosen.fold((0, 0), |(missed, drawn), terms| (missed + terms.missed, drawn + terms.drawn));
        missed >= LEAST && missed * 2 > drawn
    })
}

/// The call that jails `id`, with the performance bytes of the epochs of the [`window`] up to `epoch`.
pub(crate) fn accuse(id: SequencerId, epoch: Epoch, performance: Vec<Bytes>) -> Report {
    let call = jailAbsentCall { id: id.get(), epoch: epoch.get(), performance };
    Report { offence: Offence { sequencer: id, epoch, kind: Kind::Absence }, call: call.abi_encode().into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::snapshot;
    use baton_primitives::MemberPerformance;

    fn terms(missed: u64, drawn: u64) -> Terms {
        Terms { missed, drawn }
    }

    #[test]
    fn three_missed_terms_and_more_than_half_are_absence() {
        assert!(is_absent(&[terms(3, 5)]));
        assert!(!is_absent(&[terms(3, 6)]), "half is not more than half");
        assert!(!is_absent(&[terms(2, 2)]), "two are too few");
        assert!(is_absent(&[terms(1, 1), terms(1, 2), terms(1, 2)]), "over epochs");
        assert!(!is_absent(&[]));
    }

    #[test]
    fn epochs_that_the_contract_may_leave_out_do_not_hide_an_absence() {
        assert!(!is_absent(&[terms(0, 9), terms(2, 4), terms(1, 2)]));
        assert!(is_absent(&[terms(0, 9), terms(2, 3), terms(1, 2)]), "the first may be before its last jail");
        assert!(is_absent(&[terms(2, 3), terms(0, 9), terms(1, 2)]), "or the one between of a downtime");
    }

    #[test]
    fn a_window_has_four_epochs_or_as_many_as_there_are() {
        let epochs = |last| window(Epoch::new(last)).map(Epoch::get).collect::<Vec<_>>();
        assert_eq!(epochs(0), [0]);
        assert_eq!(epochs(2), [0, 1, 2]);
        assert_eq!(epochs(9), [6, 7, 8, 9]);
    }

    /// An epoch in which `missing` never led.
    fn closed(epoch: u64, terms: u64, missing: Option<usize>) -> Closed {
        let (snapshot, epoch) = (snapshot(4), Epoch::new(epoch));
        let mut performance = vec![MemberPerformance::default(); 4];
        for term in (1..=terms).map(Term::new) {
            let position = leader(snapshot.seed, epoch, term, &snapshot.stakes()).unwrap();
            let did = &mut performance[position];
            if Some(position) == missing { did.terms_missed += 1 } else { did.blocks_led += 30 }
        }
        let performance = Performance(performance).to_bytes();
        Closed { epoch, snapshot: Arc::new(snapshot), terms: Term::new(terms), performance }
    }

    #[test]
    fn who_led_no_term_of_some_epochs_is_found_and_nobody_else() {
        let id = |position: usize| snapshot(4).members[position].id;
        for position in 0..4 {
            let epochs: Vec<_> = (3..7).map(|epoch| closed(epoch, 12, Some(position))).collect();
            assert_eq!(absent(&epochs), [id(position)]);
        }
        assert!(absent(&(3..7).map(|epoch| closed(epoch, 12, None)).collect::<Vec<_>>()).is_empty());
        // Too long an epoch judges nobody; bytes that are no performance neither.
        assert!(absent(&[closed(3, MOST_TERMS + 1, Some(1))]).is_empty());
        assert_eq!(absent(&[closed(3, MOST_TERMS, Some(1))]), [id(1)]);
        assert!(absent(&[Closed { performance: Bytes::from_static(&[0; 7]), ..closed(3, 12, Some(1)) }]).is_empty());
    }
}
