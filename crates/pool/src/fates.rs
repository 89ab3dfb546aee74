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
}

/// The reason, or its beginning if it is long.
pub(crate) fn shorten(mut why: String) -> String {
    why.truncate(why.floor_char_boundary(MAX_REASON_BYTES));
    why
}

impl Fates {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    pub(crate) fn get(&self, hash: &B256) -> Option<&String> {
        self.reasons.get(hash)
    }

    /// Remembers a reason.
    pub(crate) fn add(&mut self, hash: B256, why: String) {
        if self.reasons.insert(hash, shorten(why)).is_none() {
            self.order.push_back(hash);
        }
        while self.order.len() > self.limit {
            if let Some(oldest) = self.order.pop_front() {
                self.reasons.remove(&oldest);
            }
        }
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
        let mut fates = Fates::new(2);
        for n in 1..=3 {
            fates.add(B256::repeat_byte(n), format!("reason {n}"));
        }
        assert_eq!(fates.get(&B256::repeat_byte(1)), None);
        let why = |n| (B256::repeat_byte(n), format!("reason {n}"));
        assert_eq!(fates.all(), [why(2), why(3)]);
        fates.add(B256::ZERO, format!("{}ä", "a".repeat(255)));
        assert_eq!(fates.get(&B256::ZERO).map(String::len), Some(255));
    }
}
