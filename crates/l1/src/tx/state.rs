//! One nonce being spent: which versions of the transaction are out, and what to do next. No I/O.

use super::fees::Fees;
use alloy::primitives::{B256, Bytes};
use std::time::Duration;

/// One signed version of the transaction.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) hash: B256,
    pub(crate) raw: Bytes,
    pub(crate) fees: Fees,
}

/// What L1 says of the nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// Blocks from the one that holds a version up to the head, both counted; 0 if none is on chain.
    pub(crate) confirmations: u64,
    /// The account's next nonce at the head.
    pub(crate) nonce: u64,
    /// Whether the pool knows the newest version.
    pub(crate) pooled: bool,
}

/// Times and depths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    pub(crate) confirmations: u64,
    pub(crate) resubmit_after: Duration,
    pub(crate) give_up_after: Duration,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Look again later.
    Wait,
    /// Done: a version is deep enough.
    Confirmed,
    /// The pool lost it: send the newest version again.
    Republish,
    /// It waits for too long: offer more.
    Raise,
    /// Another transaction spent the nonce.
    Lost,
    /// Time is up, and no version is on chain.
    GiveUp,
}

/// How often a spent nonce without a receipt of ours is seen before it counts as lost: an endpoint may know the new nonce
/// a moment before the receipt, and a reorganization may bring ours back.
const LOST_AFTER: u8 = 3;
/// How often the pool must deny the newest version before it is sent again.
const DROPPED_AFTER: u8 = 2;

/// A nonce being spent.
#[derive(Clone, Debug)]
pub(crate) struct Spending {
    pub(crate) nonce: u64,
    pub(crate) versions: Vec<Version>,
    spent_elsewhere: u8,
    unpooled: u8,
}

impl Spending {
    pub(crate) const fn new(nonce: u64) -> Self {
        Self { nonce, versions: Vec::new(), spent_elsewhere: 0, unpooled: 0 }
    }

    /// Decides after a sighting, `waited` after the last version went out and `total` after the first.
    pub(crate) fn decide(
        &mut self,
        sighting: &Sighting,
        waited: Duration,
        total: Duration,
        patience: &Patience,
    ) -> Action {
        if sighting.confirmations > 0 {
            // Never give up or replace what is on chain; a reorganization brings us back below.
            self.spent_elsewhere = 0;
            self.unpooled = 0;
            let deep = sighting.confirmations >= patience.confirmations;
            return if deep { Action::Confirmed } else { Action::Wait };
        }
        if sighting.nonce > self.nonce {
            self.spent_elsewhere += 1;
            return if self.spent_elsewhere >= LOST_AFTER { Action::Lost } else { Action::Wait };
        }
        self.spent_elsewhere = 0;
        if total >= patience.give_up_after {
            return Action::GiveUp;
        }
        if waited >= patience.resubmit_after {
            self.unpooled = 0;
            return Action::Raise;
        }
        if sighting.pooled {
            self.unpooled = 0;
            return Action::Wait;
        }
        self.unpooled += 1;
        if self.unpooled >= DROPPED_AFTER {
            self.unpooled = 0;
            return Action::Republish;
        }
        Action::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience =
        Patience { confirmations: 3, resubmit_after: Duration::from_secs(10), give_up_after: Duration::from_secs(60) };
    const NOW: Duration = Duration::ZERO;

    fn pending(pooled: bool) -> Sighting {
        Sighting { confirmations: 0, nonce: 7, pooled }
    }

    fn mined(confirmations: u64) -> Sighting {
        Sighting { confirmations, nonce: 8, pooled: false }
    }

    #[test]
    fn it_is_done_at_the_depth_and_not_before() {
        let mut spending = Spending::new(7);
        assert_eq!(spending.decide(&mined(2), NOW, Duration::MAX, &PATIENCE), Action::Wait);
        assert_eq!(spending.decide(&mined(3), NOW, NOW, &PATIENCE), Action::Confirmed);
    }

    #[test]
    fn a_dropped_transaction_is_sent_again() {
        let mut spending = Spending::new(7);
        assert_eq!(spending.decide(&pending(false), NOW, NOW, &PATIENCE), Action::Wait);
        assert_eq!(spending.decide(&pending(false), NOW, NOW, &PATIENCE), Action::Republish);
        assert_eq!(spending.decide(&pending(true), NOW, NOW, &PATIENCE), Action::Wait);
    }

    #[test]
    fn a_waiting_transaction_is_raised_and_at_last_given_up() {
        let mut spending = Spending::new(7);
        assert_eq!(spending.decide(&pending(true), PATIENCE.resubmit_after, NOW, &PATIENCE), Action::Raise);
        let total = PATIENCE.give_up_after;
        assert_eq!(spending.decide(&pending(true), NOW, total, &PATIENCE), Action::GiveUp);
    }

    #[test]
    fn a_nonce_spent_elsewhere_is_lost_only_when_seen_repeatedly() {
        let mut spending = Spending::new(7);
        let elsewhere = Sighting { confirmations: 0, nonce: 8, pooled: false };
        assert_eq!(spending.decide(&elsewhere, NOW, NOW, &PATIENCE), Action::Wait);
        assert_eq!(spending.decide(&elsewhere, NOW, NOW, &PATIENCE), Action::Wait);
        // The receipt appears after all, then a reorganization takes the block away.
        assert_eq!(spending.decide(&mined(1), NOW, NOW, &PATIENCE), Action::Wait);
        assert_eq!(spending.decide(&elsewhere, NOW, NOW, &PATIENCE), Action::Wait);
        assert_eq!(spending.decide(&elsewhere, NOW, NOW, &PATIENCE), Action::Wait);
        assert_eq!(spending.decide(&elsewhere, NOW, NOW, &PATIENCE), Action::Lost);
    }

    #[test]
    fn a_mined_version_is_never_given_up() {
        let mut spending = Spending::new(7);
        assert_eq!(spending.decide(&mined(1), Duration::MAX, Duration::MAX, &PATIENCE), Action::Wait);
    }
}
