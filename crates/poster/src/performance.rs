//! What every member did in an epoch: a function of the views of its final blocks alone.

use baton_primitives::{MemberPerformance, Performance, Term, View};
use baton_schedule::Schedule;
use std::collections::BTreeSet;

/// Blocks led: final blocks whose view the member led. Terms missed: terms led without a final block while a later term of
/// the epoch has one. The starting block of the chain has view 0 and no leader.
pub(crate) fn performance(schedule: &Schedule, views: &[View]) -> Performance {
    let mut members = vec![MemberPerformance::default(); schedule.snapshot().members.len()];
    let mut terms = BTreeSet::new();
    for view in views.iter().filter(|v| v.get() > 0) {
        let term = schedule.term(*view);
        terms.insert(term);
        let led = &mut members[schedule.leader_of_term(term)].blocks_led;
        *led = led.saturating_add(1);
    }
    let last = terms.last().copied().unwrap_or(Term::ZERO);
    let mut term = Term::new(1);
    while term < last {
        if !terms.contains(&term) {
            let missed = &mut members[schedule.leader_of_term(term)].terms_missed;
            *missed = missed.saturating_add(1);
        }
        term = term.next();
    }
    Performance(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_primitives::Epoch;
    use std::sync::Arc;

    #[test]
    fn blocks_and_missed_terms_are_those_of_the_leaders() {
        let schedule = Schedule::new(Arc::new(crate::testing::snapshot(4)), Epoch::new(1), 10).unwrap();
        // Terms 1, 2 and 5 have blocks; 3 and 4 have none; nothing is known of terms after 5.
        let views: Vec<_> = [0, 1, 2, 10, 11, 41].into_iter().map(View::new).collect();
        let performance = performance(&schedule, &views);
        let mut expected = vec![MemberPerformance::default(); 4];
        for (term, blocks) in [(1, 3), (2, 1), (5, 1)] {
            expected[schedule.leader_of_term(Term::new(term))].blocks_led += blocks;
        }
        for term in [3, 4] {
            expected[schedule.leader_of_term(Term::new(term))].terms_missed += 1;
        }
        assert_eq!(performance.0, expected);
    }
}
