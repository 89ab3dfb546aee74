//! Why transactions that were taken left without being included: the newest reasons, as many as the limit.

use alloy::primitives::B256;
use std::collections::{HashMap, VecDeque};

/// Longest reason, bytes; the rest of a longer one is left out.
const MAX_REASON_BYTES: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct Fates {
    limit: usize,
    reasons: HashMap<B256, String>,
    /// The oldest first.
    order: VecDeque<B256>,
    /// Those that are not in the journal yet; nothing is gathered where there is none.
    fresh: Option<Vec<(B256, String)>>,
}

impl Fates {
    pub(crate) fn new(limit: usize, journalled: bool) -> Self {
        Self { limit, fresh: journalled.then(Vec::new), ..Self::default() }
    }

    pub(crate) fn get(&self, hash: &B256) -> Option<&String> {
        self.reasons.get(hash)
    }

    /// Remembers a reason, and that the journal must be told.
    pub(crate) fn add(&mut self, hash: B256, mut why: String) {
        why.truncate(why.floor_char_boundary(MAX_REASON_BYTES));
        if let Some(fresh) = &mut self.fresh {
            fresh.push((hash, why.clone()));
        }
        self.recall(hash, why);
    }

    /// Remembers a reason that the journal knows.
    pub(crate) fn recall(&mut self, hash: B256, why: String) {
        if self.reasons.insert(hash, why).is_none() {
            self.order.push_back(hash);
        }
        while self.order.len() > self.limit {
            if let Some(oldest) = self.order.pop_front() {
                self.reasons.remove(&oldest);
            }
        }
    }

    /// Takes what the journal must be told.
    pub(crate) fn take_fresh(&mut self) -> Vec<(B256, String)> {
        self.fresh.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// All, the oldest first.
    pub(crate) fn all(&self) -> Vec<(B256, String)> {
        self.order.iter().filter_map(|hash| Some((*hash, self.reasons.get(hash)?.clone()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_reasons_stay_and_long_ones_are_cut_between_letters() {
        let mut fates = Fates::new(2, true);
        for n in 1..=3 {
            fates.add(B256::repeat_byte(n), format!("reason {n}"));
        }
        assert_eq!(fates.get(&B256::repeat_byte(1)), None);
        let why = |n| (B256::repeat_byte(n), format!("reason {n}"));
        assert_eq!(fates.all(), [why(2), why(3)]);
        assert_eq!(fates.take_fresh().len(), 3);
        fates.add(B256::ZERO, format!("{}ä", "a".repeat(255)));
        assert_eq!(fates.get(&B256::ZERO).map(String::len), Some(255));
        assert_eq!(fates.take_fresh().len(), 1);
    }
}
