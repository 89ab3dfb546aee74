//! What the members did in an epoch: a pure function of its final blocks' views.

use baton_primitives::{MemberPerformance, Performance, Term, View};
use std::collections::BTreeMap;

/// Counts the final blocks of one epoch by term. Feed it every block's view, as in its extra data, in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    blocks: BTreeMap<Term, u32>,
}

impl Record {
    /// Nothing counted.
    pub const fn new() -> Self {
        Self { blocks: BTreeMap::new() }
    }

    /// Counts a final block that was first proposed in `view`. View 0 is the genesis, which nobody led.
    pub fn push(&mut self, view: View, term_views: u64) {
        let term = view.term(term_views);
        if term != Term::ZERO {
            let count = self.blocks.entry(term).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// Blocks led and terms missed by each of `members` members. `leader` gives the position of a term's leader.
    ///
    /// A term is missed if no final block has a view in it and a later term of the epoch has one: so terms at an epoch's
    /// end that nobody needed are nobody's fault. `leader` must give positions below `members`; others are not counted.
    pub fn performance(&self, members: usize, leader: impl Fn(Term) -> usize) -> Performance {
        let mut performance = vec![MemberPerformance::default(); members];
        let last = self.blocks.last_key_value().map_or(0, |(term, _)| term.get());
        for term in (1..=last).map(Term::new) {
            let Some(member) = performance.get_mut(leader(term)) else { continue };
            match self.blocks.get(&term) {
                Some(blocks) => member.blocks_led = member.blocks_led.saturating_add(*blocks),
                None => member.terms_missed = member.terms_missed.saturating_add(1),
            }
        }
        Performance(performance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(views: &[u64]) -> Record {
        let mut record = Record::new();
        views.iter().for_each(|v| record.push(View::new(*v), 30));
        record
    }

    fn by_term(term: Term) -> usize {
        usize::try_from(term.get() % 3).unwrap()
    }

    fn counts(performance: &Performance) -> Vec<(u32, u32)> {
        performance.0.iter().map(|m| (m.blocks_led, m.terms_missed)).collect()
    }

    #[test]
    fn a_term_without_blocks_is_missed_only_if_a_later_one_has_some() {
        // Terms 1 (views 1..=30), 3 and 4 have blocks; 2 has none; nothing is known of 5.
        let performance = record(&[1, 2, 30, 61, 95]).performance(3, by_term);
        assert_eq!(counts(&performance), [(1, 0), (4, 0), (0, 1)]);
    }

    #[test]
    fn the_genesis_and_an_empty_epoch_count_for_nobody() {
        assert_eq!(counts(&record(&[0]).performance(3, by_term)), [(0, 0); 3]);
        assert_eq!(counts(&record(&[]).performance(3, by_term)), [(0, 0); 3]);
    }

    proptest! {
        #[test]
        fn every_block_is_led_once_and_every_term_is_led_or_missed(
            mut views in prop::collection::vec(1u64..3_000, 1..200),
        ) {
            let performance = record(&views).performance(3, by_term);
            let led: u32 = performance.0.iter().map(|m| m.blocks_led).sum();
            let missed: u32 = performance.0.iter().map(|m| m.terms_missed).sum();
            prop_assert_eq!(led as usize, views.len());
            let mut terms: Vec<_> = views.iter().map(|v| View::new(*v).term(30).get()).collect();
            terms.sort_unstable();
            terms.dedup();
            prop_assert_eq!(u64::from(missed) + terms.len() as u64, *terms.last().unwrap());
            views.reverse();
            prop_assert_eq!(record(&views).performance(3, by_term), performance);
        }
    }
}
