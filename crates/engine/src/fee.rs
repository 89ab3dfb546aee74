//! The base fee by EIP-1559. The floor that covers data cost is a rule of derivation, not of execution.

use baton_primitives::Header;

/// Base fee of the genesis, wei per gas.
pub const GENESIS_BASE_FEE: u64 = 1_000_000_000;

/// Target gas is the limit divided by this.
const ELASTICITY: u64 = 2;
/// A full block raises the base fee by one part in this many.
const DENOMINATOR: u128 = 8;

/// The base fee that EIP-1559 gives the child of `parent`, before any floor.
pub fn next_base_fee(parent: &Header) -> u64 {
    let base = parent.base_fee_per_gas.unwrap_or(GENESIS_BASE_FEE);
    let target = (parent.gas_limit / ELASTICITY).max(1);
    let step = |distance: u64| {
        let step = u128::from(base) * u128::from(distance) / u128::from(target) / DENOMINATOR;
        u64::try_from(step).unwrap_or(u64::MAX)
    };
    match parent.gas_used.cmp(&target) {
        std::cmp::Ordering::Equal => base,
        std::cmp::Ordering::Greater => base.saturating_add(step(parent.gas_used - target).max(1)),
        std::cmp::Ordering::Less => base.saturating_sub(step(target - parent.gas_used)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::eips::eip1559::{BaseFeeParams, calc_next_block_base_fee};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_ethereums(used in 0u64..=60_000_000, base in 7u64..1_000_000_000_000) {
            let parent = Header {
                gas_limit: 60_000_000,
                gas_used: used,
                base_fee_per_gas: Some(base),
                ..Header::default()
            };
            let expected = calc_next_block_base_fee(used, 60_000_000, base, BaseFeeParams::ethereum());
            prop_assert_eq!(next_base_fee(&parent), expected);
        }
    }
}
