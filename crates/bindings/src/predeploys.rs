//! Code of the contracts that exist on L2 from the genesis on; their addresses are in `baton_primitives::predeploys`.

use crate::contracts::{FeeVault, L1Block, MessagePasser};
use alloy::primitives::{Address, Bytes};
use baton_primitives::predeploys;

/// Addresses and runtime code of all predeploys. Their storage starts empty.
pub fn all() -> [(Address, Bytes); 3] {
    [
        (predeploys::L1_BLOCK, L1Block::DEPLOYED_BYTECODE.clone()),
        (predeploys::MESSAGE_PASSER, MessagePasser::DEPLOYED_BYTECODE.clone()),
        (predeploys::FEE_VAULT, FeeVault::DEPLOYED_BYTECODE.clone()),
    ]
}
