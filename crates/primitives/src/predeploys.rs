//! Contracts that exist on L2 from the genesis on. Sources: `contracts/src/l2`.

use alloy::primitives::{Address, address};

/// Holds the current origin; written by the system transaction of every block.
pub const L1_BLOCK: Address = address!("0x4200000000000000000000000000000000000015");
/// Collects messages from L2 to L1 in a Merkle tree; its root is in storage slot 0.
pub const MESSAGE_PASSER: Address = address!("0x4200000000000000000000000000000000000016");
/// Receives every fee, the base fee included; emptied at each epoch's end.
pub const FEE_VAULT: Address = address!("0x4200000000000000000000000000000000000019");
/// The sender of system transactions. No key is known for it.
pub const SYSTEM_DEPOSITOR: Address = address!("0xDeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001");
