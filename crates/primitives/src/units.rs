//! Counting words. None converts from a bare integer by accident, and arithmetic names what happens at the edge.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! counter {
    ($(#[$doc:meta] $name:ident),+ $(,)?) => {$(
        #[$doc]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// The zero value.
            pub const ZERO: Self = Self(0);

            /// Wraps a number that is known to be of this kind.
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// The bare number.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The next one; stays at the maximum at the end of the range, which no chain reaches.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }

            /// The one before; `None` at zero.
            pub const fn previous(self) -> Option<Self> {
                match self.0.checked_sub(1) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }

            /// How far `self` is above `other`; zero if it is not.
            pub const fn saturating_since(self, other: Self) -> u64 {
                self.0.saturating_sub(other.0)
            }

            /// `self + count`, at most the maximum.
            #[must_use]
            pub const fn saturating_add(self, count: u64) -> Self {
                Self(self.0.saturating_add(count))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

counter! {
    /// A fixed count of L2 heights sequenced by one snapshot's set. From 0.
    Epoch,
    /// Consecutive views led by one leader inside an epoch. From 1 in each epoch.
    Term,
    /// One consensus slot inside an epoch. From 1; 0 is the epoch's starting block.
    View,
    /// The number of an L2 block. The genesis is 0.
    Height,
    /// One entry in the pool. From 1.
    SequencerId,
    /// A frozen active set. From 0.
    SnapshotId,
    /// The number of a batch. From 1; 0 is the genesis anchor.
    BatchIndex,
    /// Counts recoveries. From 0.
    Generation,
}

impl Height {
    /// The epoch of this height, in a generation that began at height 0.
    pub const fn epoch(self, epoch_blocks: u64) -> Epoch {
        Epoch(self.0 / epoch_blocks)
    }

    /// Whether this is the last height of its epoch.
    pub const fn closes_epoch(self, epoch_blocks: u64) -> bool {
        self.0 % epoch_blocks == epoch_blocks - 1
    }
}

impl Epoch {
    /// The first height of this epoch.
    pub const fn first_height(self, epoch_blocks: u64) -> Height {
        Height(self.0.saturating_mul(epoch_blocks))
    }

    /// The last height of this epoch.
    pub const fn last_height(self, epoch_blocks: u64) -> Height {
        Height(self.0.saturating_mul(epoch_blocks).saturating_add(epoch_blocks - 1))
    }
}

impl View {
    /// The term of this view; views and terms count from 1. View 0, the epoch's starting block, is in term 0.
    pub const fn term(self, term_views: u64) -> Term {
        Term(self.0.div_ceil(term_views))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_count_from_one_and_hold_term_views_views() {
        assert_eq!(View::new(0).term(30), Term::new(0));
        assert_eq!(View::new(1).term(30), Term::new(1));
        assert_eq!(View::new(30).term(30), Term::new(1));
        assert_eq!(View::new(31).term(30), Term::new(2));
    }

    #[test]
    fn epochs_tile_the_heights() {
        let blocks = 240;
        for epoch in 0..4 {
            let epoch = Epoch::new(epoch);
            assert_eq!(epoch.first_height(blocks).epoch(blocks), epoch);
            assert_eq!(epoch.last_height(blocks).epoch(blocks), epoch);
            assert!(epoch.last_height(blocks).closes_epoch(blocks));
            assert_eq!(epoch.last_height(blocks).next(), epoch.next().first_height(blocks));
        }
    }
}
