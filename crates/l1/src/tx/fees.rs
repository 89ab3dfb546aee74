//! What a transaction offers, and how the offer rises.
//!
//! Rules of the pools of L1's clients: a replacement must raise tip and fee cap by 10 %, of a blob transaction by 100 % and
//! the blob fee cap too. The first offer survives a doubled base fee.

/// What a transaction offers, wei per gas and wei per blob gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fees {
    pub(crate) tip: u128,
    pub(crate) cap: u128,
    /// 0 for an ordinary transaction.
    pub(crate) blob_cap: u128,
}

/// What L1 asks now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Market {
    pub(crate) base_fee: u128,
    pub(crate) blob_base_fee: u128,
    pub(crate) tip: u128,
}

/// The most to offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) cap: u128,
    pub(crate) blob_cap: u128,
}

/// L1 asks more than the limits allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooDear {
    pub(crate) what: &'static str,
    pub(crate) needed: u128,
    pub(crate) limit: u128,
}

const GWEI: u128 = 1_000_000_000;

impl Fees {
    /// A first offer at this market.
    ///
    /// # Errors
    /// If not even the market's price now is within the limits.
    pub(crate) fn first(market: &Market, blobs: bool, limits: &Limits) -> Result<Self, TooDear> {
        let needed = market.base_fee + market.tip;
        if needed > limits.cap {
            return Err(TooDear { what: "gas", needed, limit: limits.cap });
        }
        if blobs && market.blob_base_fee > limits.blob_cap {
            return Err(TooDear { what: "blob gas", needed: market.blob_base_fee, limit: limits.blob_cap });
        }
        let cap = (market.tip + 2 * market.base_fee).min(limits.cap);
        let blob_cap = if blobs { (2 * market.blob_base_fee).max(GWEI).min(limits.blob_cap) } else { 0 };
        Ok(Self { tip: market.tip.min(cap), cap, blob_cap })
    }

    /// An offer that replaces `self`: raised as pools require, and to the market where that is more.
    ///
    /// # Errors
    /// If the replacement would exceed the limits; the old offer stays the best one.
    pub(crate) fn raised(&self, market: &Market, limits: &Limits) -> Result<Self, TooDear> {
        let blobs = self.blob_cap > 0;
        let raise = |fee: u128| if blobs { fee * 2 } else { fee + fee.div_ceil(10) };
        let tip = raise(self.tip).max(market.tip).max(1);
        // Comfortable where the limit allows it, else the limit itself; never less than pools ask of a replacement.
        let cap = (tip + 2 * market.base_fee).min(limits.cap).max(raise(self.cap)).max(tip);
        if cap > limits.cap {
            return Err(TooDear { what: "gas", needed: cap, limit: limits.cap });
        }
        let blob_cap =
            if blobs { (2 * market.blob_base_fee).max(GWEI).min(limits.blob_cap).max(raise(self.blob_cap)) } else { 0 };
        if blob_cap > limits.blob_cap {
            return Err(TooDear { what: "blob gas", needed: blob_cap, limit: limits.blob_cap });
        }
        Ok(Self { tip, cap, blob_cap })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { cap: 500 * GWEI, blob_cap: 100 * GWEI };

    fn market(base: u128, blob: u128) -> Market {
        Market { base_fee: base * GWEI, blob_base_fee: blob, tip: GWEI }
    }

    #[test]
    fn a_first_offer_survives_a_doubled_base_fee() {
        let fees = Fees::first(&market(20, 5), true, &LIMITS).unwrap();
        assert_eq!(fees, Fees { tip: GWEI, cap: 41 * GWEI, blob_cap: GWEI });
        assert_eq!(Fees::first(&market(20, 5), false, &LIMITS).unwrap().blob_cap, 0);
    }

    #[test]
    fn a_market_above_the_limit_is_too_dear_and_one_just_below_is_met() {
        let dear = Fees::first(&market(500, 1), false, &LIMITS).unwrap_err();
        assert_eq!(dear, TooDear { what: "gas", needed: 501 * GWEI, limit: 500 * GWEI });
        assert_eq!(Fees::first(&market(499, 1), false, &LIMITS).unwrap().cap, 500 * GWEI);
        let dear = Fees::first(&market(1, 101 * GWEI), true, &LIMITS).unwrap_err();
        assert_eq!(dear.what, "blob gas");
    }

    #[test]
    fn a_replacement_goes_to_the_limit_where_a_comfortable_one_would_exceed_it() {
        let limits = Limits { cap: 60 * GWEI, blob_cap: 10 * GWEI };
        let cheap = Fees::first(&market(1, 1), true, &limits).unwrap();
        let raised = cheap.raised(&market(45, 8 * GWEI), &limits).unwrap();
        assert_eq!((raised.cap, raised.blob_cap), (60 * GWEI, 10 * GWEI));
    }

    proptest! {
        #[test]
        fn a_replacement_is_accepted_by_pools_and_never_above_the_limits(
            base in 1u128..400, blob in 1u128..60_000_000_000, blobs: bool, rises in 1usize..12,
        ) {
            let market = market(base, blob);
            let mut fees = Fees::first(&market, blobs, &LIMITS).unwrap();
            for _ in 0..rises {
                let Ok(next) = fees.raised(&market, &LIMITS) else { break };
                let percent = if blobs { 200 } else { 110 };
                prop_assert!(next.tip * 100 >= fees.tip * percent);
                prop_assert!(next.cap * 100 >= fees.cap * percent);
                prop_assert!(!blobs || next.blob_cap * 100 >= fees.blob_cap * percent);
                prop_assert!(next.cap <= LIMITS.cap && next.blob_cap <= LIMITS.blob_cap && next.tip <= next.cap);
                fees = next;
            }
        }
    }
}
