//! Names the things of the protocol, how they encode and how they are signed.
//!
//! Everything here is a plain value: no I/O, no clock, no randomness except key generation. The formats are those of
//! `ARCHITECTURE.md`, section "Formats"; vectors in `tests/vectors/` pin them against the contracts.

mod block;
pub mod bls;
mod core;
mod deposit;
mod fields;
mod identity;
mod messages;
mod origin;
mod parameters;
pub mod predeploys;
mod snapshot;
mod units;

pub use block::{
    Block, ExtraData, ExtraDataError, FinalBlock, Header, RecoverError, RecoveredBlock, Transaction, block_body, sender,
};
pub use core::{
    Anchor, Core, Lane, MemberPerformance, Performance, PerformanceError, data_hash_blobs, data_hash_calldata,
};
pub use deposit::Deposit;
pub use fields::{Fields, FieldsError};
pub use identity::{IdentityKey, IdentitySecret};
pub use messages::{batch_message, consensus_namespace, possession_message, readiness_message};
pub use origin::{L1Origin, OriginError, SystemCall, system_transaction};
pub use parameters::{Parameters, ParametersError};
pub use snapshot::{Member, Snapshot};
pub use units::{BatchIndex, Epoch, Generation, Height, SequencerId, SnapshotId, Term, View};
