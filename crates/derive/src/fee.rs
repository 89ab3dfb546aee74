//! The base fee of a block: EIP-1559 with a floor that covers what the block's data costs on L1.

use alloy::eips::eip1559::{BaseFeeParams, calc_next_block_base_fee};
use baton_primitives::{Header, L1Origin};

/// The floor of the floor, wei per gas: a block is never free, and EIP-1559 can always rise from here.
pub const MIN_BASE_FEE: u64 = 1_000_000;

/// Gas that pays for one byte of batch data. A byte that does not compress costs at least 40 gas (EIP-7623: 10 for each of
/// 4 tokens); signatures, addresses, access lists and authorizations pay more per byte. The fifth that is left covers
/// blobs that are not full.
const GAS_PER_BLOB_BYTE: u128 = 32;

/// One L1 gas is spent per this much L2 gas: posting a batch takes about 250,000 gas, so this covers it once a batch
/// carries 250 million.
const GAS_PER_L1_GAS: u128 = 1_000;

/// Least base fee of a block with this origin, wei per gas.
///
/// `blob base fee / 32 + base fee / 1000`, at least [`MIN_BASE_FEE`]: a byte of batch data takes 1.008 blob gas, and
/// execution sells a byte for 40 gas. So gas × price is all that a user pays; there is no extra fee for L1.
pub fn base_fee_floor(origin: &L1Origin) -> u64 {
    let floor = (origin.blob_base_fee / GAS_PER_BLOB_BYTE).saturating_add(origin.base_fee / GAS_PER_L1_GAS);
    u64::try_from(floor).unwrap_or(u64::MAX).max(MIN_BASE_FEE)
}

/// Base fee of the child of `parent` with this origin: that of EIP-1559 (elasticity 2, denominator 8), at least the floor.
pub fn base_fee(parent: &Header, origin: &L1Origin) -> u64 {
    let before = parent.base_fee_per_gas.unwrap_or(MIN_BASE_FEE);
    let next = calc_next_block_base_fee(parent.gas_used, parent.gas_limit, before, BaseFeeParams::ethereum());
    next.max(base_fee_floor(origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn origin(base_fee: u128, blob_base_fee: u128) -> L1Origin {
        L1Origin { base_fee, blob_base_fee, ..L1Origin::default() }
    }

    #[test]
    fn the_floor_rises_with_l1_prices_and_saturates() {
        assert_eq!(base_fee_floor(&origin(0, 0)), MIN_BASE_FEE);
        assert_eq!(base_fee_floor(&origin(1_000_000_000, 1)), MIN_BASE_FEE);
        assert_eq!(base_fee_floor(&origin(20_000_000_000, 32_000_000_000)), 1_020_000_000);
        assert_eq!(base_fee_floor(&origin(u128::MAX, u128::MAX)), u64::MAX);
    }

    proptest! {
        #[test]
        fn it_moves_by_an_eighth_at_most_and_never_below_the_floor(
            used in 0u64..=60_000_000, before in MIN_BASE_FEE..u64::MAX / 4, blob in 0u128..1 << 70, base in 0u128..1 << 60,
        ) {
            let parent = Header {
                gas_used: used,
                gas_limit: 60_000_000,
                base_fee_per_gas: Some(before),
                ..Header::default()
            };
            let fee = base_fee(&parent, &origin(base, blob));
            let floor = base_fee_floor(&origin(base, blob));
            prop_assert!(fee >= floor);
            prop_assert!(fee == floor || fee.abs_diff(before) <= before / 8 + 1);
            // A byte that does not compress pays its blob gas.
            prop_assert!(fee == u64::MAX || u128::from(fee) * 40 >= blob);
        }
    }
}
