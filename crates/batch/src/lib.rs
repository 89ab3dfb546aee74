//! Turns final blocks into batch data and back.
//!
//! ```text
//! final blocks -> Cutter -> BatchRange -> core()  -> Core    (hashed, certified)
//!                                      -> encode() -> bytes -> pack_blobs() -> blobs
//! blobs -> unpack_blobs() -> bytes -> decode() -> BlockInput (executed by derivation)
//! ```
//!
//! Everything here is a pure function: any node computes the same cuts and cores, and any encoder's bytes decode to the
//! same inputs or to the same error. (Only blob commitments know a thread: they take long, see [`in_background`].)

mod blobs;
pub mod codec;
mod commitment;
mod core;
mod cut;
mod input;

pub use blobs::{BLOB_CAPACITY, BlobError, MAX_BLOBS, pack_blobs, unpack_blobs};
pub use codec::{DecodeError, EncodeError, decode, encode};
pub use commitment::{CommittedBlob, Opening, check_openings, commit, in_background, open, sidecar, versioned_hash};
pub use core::{BatchContext, Closing, CoreError, Outcome, core};
pub use cut::{BatchRange, BlockFacts, CutError, Cutter};
pub use input::{BlockInput, InputError};

/// Most bytes of pool transactions (EIP-2718 encodings) that one block may hold: such a block always fits, as a batch of
/// its own, into the blobs of one L1 transaction. Deposits do not count: L1 has their data already.
pub const MAX_BLOCK_DATA: u64 = 700_000;
