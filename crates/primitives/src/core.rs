//! The deterministic part of a batch header, and the hashes that bind its data.

use crate::{BatchIndex, Epoch, Generation, Height, SnapshotId, View};
use alloy::{
    primitives::{B256, Bytes, U256, keccak256},
    sol,
    sol_types::SolValue,
};
use serde::{Deserialize, Serialize};

mod words {
    #![allow(missing_docs)]
    use super::sol;
    sol! {
        /// `IBatchInbox.Core`: the same fields in the same order.
        struct CoreWords {
            uint16 version; uint64 generation; uint64 index; bytes32 previous; uint64 epoch; uint64 snapshot; uint64 firstHeight;
            uint64 lastHeight; uint64 lastView; bytes32 lastBlock; uint64 lastTimestamp; bytes32 stateRoot; uint64 originNumber;
            bytes32 originHash; uint64 deposits; bytes32 withdrawalsRoot; bool closing; uint256 fees; bytes32 performance; uint64 nextSnapshot;
        }
    }
}

/// The deterministic part of a batch header: every honest node computes the same one from final blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Core {
    /// Format version.
    pub version: u16,
    /// Recoveries so far.
    pub generation: Generation,
    /// Number of this batch, from 1.
    pub index: BatchIndex,
    /// Hash of the core before; zero for the first.
    pub previous: B256,
    /// Epoch of all its blocks.
    pub epoch: Epoch,
    /// Snapshot whose members certify it.
    pub snapshot: SnapshotId,
    /// First block.
    pub first_height: Height,
    /// Last block.
    pub last_height: Height,
    /// View of the last block (from its extra data).
    pub last_view: View,
    /// Hash of the last block.
    pub last_block: B256,
    /// Time of the last block, seconds.
    pub last_timestamp: u64,
    /// State root after the last block.
    pub state_root: B256,
    /// Origin number of the last block.
    pub origin_number: u64,
    /// Origin hash of the last block.
    pub origin_hash: B256,
    /// Deposits executed in total after the last block.
    pub deposits: u64,
    /// Root of `MessagePasser` after the last block.
    pub withdrawals_root: B256,
    /// Whether its last block is its epoch's last.
    pub closing: bool,
    /// Fees swept in the epoch, wei; zero unless closing.
    pub fees: U256,
    /// Hash of the performance bytes; zero unless closing.
    pub performance: B256,
    /// Snapshot of the next epoch; zero unless closing.
    pub next_snapshot: SnapshotId,
}

impl Core {
    /// The format version in force.
    pub const VERSION: u16 = 1;

    /// keccak256(abi.encode(core)), as `BatchInbox` computes it.
    pub fn hash(&self) -> B256 {
        keccak256(
            words::CoreWords {
                version: self.version,
                generation: self.generation.get(),
                index: self.index.get(),
                previous: self.previous,
                epoch: self.epoch.get(),
                snapshot: self.snapshot.get(),
                firstHeight: self.first_height.get(),
                lastHeight: self.last_height.get(),
                lastView: self.last_view.get(),
                lastBlock: self.last_block,
                lastTimestamp: self.last_timestamp,
                stateRoot: self.state_root,
                originNumber: self.origin_number,
                originHash: self.origin_hash,
                deposits: self.deposits,
                withdrawalsRoot: self.withdrawals_root,
                closing: self.closing,
                fees: self.fees,
                performance: self.performance,
                nextSnapshot: self.next_snapshot.get(),
            }
            .abi_encode(),
        )
    }
}

impl Core {
    /// The anchor that this core becomes once L1 accepts it.
    pub fn anchor(&self) -> Anchor {
        Anchor {
            index: self.index,
            core_hash: self.hash(),
            last_height: self.last_height,
            last_block: self.last_block,
            state_root: self.state_root,
        }
    }
}

/// The last batch accepted by L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Number of the batch; 0 for the genesis.
    pub index: BatchIndex,
    /// Hash of its core; zero for the genesis.
    pub core_hash: B256,
    /// Its last block.
    pub last_height: Height,
    /// Hash of its last block.
    pub last_block: B256,
    /// State root after its last block.
    pub state_root: B256,
}

/// Where a batch's data lies on L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// EIP-4844 blobs of the posting transaction.
    Blobs,
    /// Call data of the posting transaction.
    Calldata,
}

/// Binds data that lies in blobs: keccak256(0x00 ‖ versioned hashes).
pub fn data_hash_blobs(versioned_hashes: &[B256]) -> B256 {
    let mut bytes = Vec::with_capacity(1 + 32 * versioned_hashes.len());
    bytes.push(0);
    for hash in versioned_hashes {
        bytes.extend_from_slice(hash.as_slice());
    }
    keccak256(bytes)
}

/// Binds data that lies in call data: keccak256(0x01 ‖ keccak256(data)).
pub fn data_hash_calldata(data: &[u8]) -> B256 {
    let mut bytes = [0u8; 33];
    bytes[0] = 1;
    bytes[1..].copy_from_slice(keccak256(data).as_slice());
    keccak256(bytes)
}

/// What one member did in an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberPerformance {
    /// Final blocks whose view it led.
    pub blocks_led: u32,
    /// Terms it led without a final block, while a later term of the epoch has one.
    pub terms_missed: u32,
}

/// What every member did in an epoch, in snapshot order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Performance(pub Vec<MemberPerformance>);

/// Why performance bytes do not decode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("performance bytes have length {0}, not a multiple of 8")]
pub struct PerformanceError(usize);

impl Performance {
    /// Eight bytes a member: blocks led and terms missed, big-endian u32 each.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(8 * self.0.len());
        for member in &self.0 {
            bytes.extend_from_slice(&member.blocks_led.to_be_bytes());
            bytes.extend_from_slice(&member.terms_missed.to_be_bytes());
        }
        bytes.into()
    }

    /// Inverse of [`Self::to_bytes`].
    ///
    /// # Errors
    /// If the length is not a multiple of 8.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PerformanceError> {
        let (chunks, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(PerformanceError(bytes.len()));
        }
        let member = |c: &[u8; 8]| MemberPerformance {
            blocks_led: u32::from_be_bytes([c[0], c[1], c[2], c[3]]),
            terms_missed: u32::from_be_bytes([c[4], c[5], c[6], c[7]]),
        };
        Ok(Self(chunks.iter().map(member).collect()))
    }

    /// keccak256 of the bytes, as in `Core.performance`.
    pub fn hash(&self) -> B256 {
        keccak256(self.to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn performance_round_trips_and_refuses_odd_lengths() {
        let performance =
            Performance(vec![MemberPerformance { blocks_led: 1, terms_missed: 2 }, MemberPerformance::default()]);
        assert_eq!(Performance::from_bytes(&performance.to_bytes()).unwrap(), performance);
        assert_eq!(Performance::from_bytes(&[0; 9]), Err(PerformanceError(9)));
    }
}
