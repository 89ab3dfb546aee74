//! Certifies batches and puts them on L1 exactly once.
//!
//! ```text
//! final blocks -> Builder -> core --(own turn)--> encode -> ask all -> collect 2/3 -> L1 -> anchor moves
//!                              '--(another's)---> its data decodes to own blocks? -> journal -> sign -> answer
//! ```
//!
//! Promises: one core for each (generation, epoch, index) is ever signed, on disk before the signature leaves; what is
//! signed is this node's own final chain; any member posts when its turn comes, so that no single one can stop posting; the
//! anchor on L1 is the only memory, so that a crash at any point loses nothing and posts nothing twice; a member that is seen to sign two
//! cores of one batch is reported.
//!
//! [`Keeper`] does the chores that the contracts leave to anyone: snapshots, their seals, this node's own readiness, the
//! offences that this node can prove, and members that are absent.

mod absence;
mod actor;
mod archive;
mod attest;
mod builder;
mod collect;
mod config;
mod docket;
mod duty;
mod error;
mod journal;
mod keeper;
mod message;
mod ports;
mod round;
#[cfg(test)]
mod testing;
mod witness;

pub use actor::{Poster, PosterHandle, Status};
pub use archive::Archive;
pub use config::{Config, KeeperConfig};
pub use docket::{Docket, Kind, Offence, Report};
pub use duty::Duty;
pub use error::Error;
pub use keeper::Keeper;
pub use message::{Attestation, MAX_DATA, MAX_MESSAGE, Message, MessageError, Request, Signature, Statement};
pub use ports::{Call, Chain, ClosedEpoch, Executed, Ledger, Network, Recipients, Sent, Settlement, Standing};
pub use witness::accuse_batches;
