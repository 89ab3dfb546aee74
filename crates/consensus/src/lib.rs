//! Agrees on blocks: the only crate that sees commonware.
//!
//! ```text
//! Chain::propose --block--> engine of the epoch (peers vote) --certificates--> marshal --FinalBlock--> Chain::finalized
//!                                 ^                                                            |
//!   Sets::set_of(epoch) --set-----+-- next engine, started from the epoch's last block <-------+
//! other actors --bytes--> Mailbox --> members --> Streams
//! ```
//!
//! Promises: no two final blocks at one height while less than a third of the *members* is faulty (votes are one per member;
//! stake decides who is a member, how often it leads and what its signature weighs on L1); final blocks in height order, each
//! at least once; a vote only after `Chain::verify`; no contradicting vote after a restart; every queue bounded.
//!
//! Everything runs on a thread of its own with its own runtime. [`Actor::new`] makes, [`Actor::start`] starts, the [`Mailbox`]
//! reaches it, the ports ([`Chain`], [`Sets`]) are what it asks of the node.

mod actor;
mod automaton;
mod block;
mod certificate;
mod config;
mod core;
mod delivery;
mod digest;
mod elector;
mod engine;
mod epochs;
mod error;
mod evidence;
mod gates;
mod gossip;
mod held;
mod ingress;
mod lazy;
mod network;
mod observer;
mod pace;
mod ports;
mod schemes;
mod set;
#[cfg(test)]
mod sim;
mod standing;
mod status;
mod storage;
#[cfg(test)]
mod testing;
mod types;
mod votelog;

pub use actor::Actor;
pub use certificate::{CertificateVerifier, Finality};
pub use config::{Config, Domain, Timing};
pub use error::{CertificateError, ConfigError, Error, SendError};
pub use evidence::{Evidence, EvidenceKind, SignedVote};
pub use ingress::{Mailbox, PeerMessage, Streams, Topic};
pub use network::MESSAGE_LIMIT;
pub use ports::{Chain, ChainError, Position, ProposeContext, Sets, VerifyContext};
pub use status::{Leader, Role, Status};
