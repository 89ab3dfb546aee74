//! Admits, orders and evicts transactions.
//!
//! ```text
//! raw bytes -> validate (decode, sender, costs: no lock) -> insert (one short lock) -> by sender and nonce
//!                                                              |-> watch: ready count, broadcast: new ready hashes
//! best() : a snapshot ordered by tip <- block building          |-> journal: what waits survives a restart
//! on_final() : nonces move on, what was included or can never be included leaves, each with a remembered fate
//! ```
//!
//! Promises: a sender's transactions come in nonce order; among senders the higher effective tip comes first, the earlier
//! arrival among equals; nothing leaves silently ([`Pool::fate`]); every count and size has a limit.

mod config;
mod error;
mod fates;
mod journal;
mod order;
mod pool;
mod ports;
mod transaction;
mod validate;

pub use config::{Config, Limits};
pub use error::Refusal;
pub use order::Best;
pub use pool::{Counts, Fate, Pool};
pub use ports::{Account, State, StateError};
pub use transaction::PoolTransaction;
