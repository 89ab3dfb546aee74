//! What can go wrong, by what the caller must do.

use baton_primitives::{Epoch, SnapshotId};
use std::{net::SocketAddr, time::Duration};

/// Why a configuration is refused. Raised before anything starts.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Two timeouts are in the wrong order.
    #[error("{longer} ({longer_value:?}) must be greater than {shorter} ({shorter_value:?})")]
    Order {
        /// The one that must be greater.
        longer: &'static str,
        /// Its value.
        longer_value: Duration,
        /// The one that must be smaller.
        shorter: &'static str,
        /// Its value.
        shorter_value: Duration,
    },
    /// The heartbeat is too slow for the leader timeout.
    #[error("idle block time {idle:?} must be at most half of the leader timeout {leader:?}")]
    Idle {
        /// The heartbeat.
        idle: Duration,
        /// The leader timeout.
        leader: Duration,
    },
    /// An epoch or a term is too short.
    #[error("{name} is {value}, at least {least} needed")]
    Length {
        /// The parameter.
        name: &'static str,
        /// Its value.
        value: u64,
        /// The least value.
        least: u64,
    },
    /// The block limit does not fit into one network message.
    #[error("max_block_bytes is {value}, at most {most} possible")]
    BlockBytes {
        /// The limit asked for.
        value: u64,
        /// The greatest limit possible.
        most: u64,
    },
    /// The genesis is not at height 0.
    #[error("the genesis block has height {0}")]
    Genesis(u64),
}

/// Why consensus ended. All are fatal to the process; only a drain ends without one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The listening address cannot be bound.
    #[error("cannot listen for peers on {address}: {source}; free the port or change consensus.listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A journal cannot be read.
    #[error("cannot read the vote journal of epoch {epoch}: {reason}; without it this key must not sign in the epoch")]
    Journal {
        /// The epoch.
        epoch: Epoch,
        /// Why.
        reason: String,
    },
    /// The store cannot be opened.
    #[error("cannot open the {what} of consensus: {reason}")]
    Storage {
        /// Which part.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// A snapshot cannot serve as a set.
    #[error("snapshot {snapshot} cannot serve as a set: {reason}")]
    Set {
        /// The snapshot.
        snapshot: SnapshotId,
        /// Why.
        reason: String,
    },
    /// The chain refused a final block.
    #[error("the chain cannot take over the final block {height}: {reason}")]
    Chain {
        /// Height of the block.
        height: u64,
        /// Why.
        reason: String,
    },
    /// The chain does not know the block that an epoch starts from.
    #[error("the chain does not hold the last block of epoch {0}, from which the next one starts")]
    Boundary(Epoch),
    /// An engine or another part ended by itself.
    #[error("{0} ended unexpectedly")]
    Ended(&'static str),
    /// The thread panicked.
    #[error("consensus panicked: {0}")]
    Panicked(String),
}

/// Why a message was not taken for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The queue is full: the caller is faster than the network. Retry later or drop.
    #[error("the outgoing queue is full ({capacity} messages)")]
    Full {
        /// Its capacity.
        capacity: usize,
    },
    /// Longer than the channel allows.
    #[error("message of {length} bytes exceeds the limit of {limit}")]
    TooLong {
        /// Length of the message.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// Consensus has ended.
    #[error("consensus has ended")]
    Closed,
}

/// Why a certificate does not prove a block final.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The bytes do not decode for this set.
    #[error("certificate does not decode: {0}")]
    Decode(String),
    /// The snapshot cannot serve as a set.
    #[error("snapshot {snapshot} cannot serve as a set: {reason}")]
    Set {
        /// The snapshot.
        snapshot: SnapshotId,
        /// Why.
        reason: String,
    },
    /// It belongs to another epoch than the one asked for.
    #[error("certificate is of epoch {got}, expected {expected}")]
    Epoch {
        /// Epoch of the certificate.
        got: Epoch,
        /// Epoch asked for.
        expected: Epoch,
    },
    /// The aggregate signature is not that of a quorum of the set.
    #[error("certificate is not signed by a quorum of the set")]
    Signature,
}
