//! Why a node does not start or does not go on. Each says what to do.

use crate::{config::ConfigError, genesis::DeploymentMismatch, keys::KeyError, ledger::LedgerError};
use std::{io, net::SocketAddr, path::PathBuf};

/// Why a node does not start or does not go on.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The deployment file.
    #[error(transparent)]
    Deployment(#[from] baton_bindings::DeploymentError),
    /// The deployment does not fit this release.
    #[error(transparent)]
    Mismatch(#[from] DeploymentMismatch),
    /// The deployment file and the contracts differ.
    #[error(
        "the deployment file is not of the contract at {contract}, where {differing}: take the file that belongs to this L1"
    )]
    Parameters {
        /// `Parameters`.
        contract: alloy::primitives::Address,
        /// What differs.
        differing: String,
    },
    /// The data directory.
    #[error("data directory {path}: {source}; give a directory that this user may write with --data-dir")]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another process holds the data directory.
    #[error("data directory {0} is in use by another node: stop it first, or give another --data-dir")]
    InUse(PathBuf),
    /// The state cannot be opened.
    #[error(transparent)]
    Engine(#[from] baton_engine::OpenError),
    /// The certificates cannot be opened.
    #[error("certificates: {0}")]
    Certificates(Box<redb::Error>),
    /// The batches that are no longer in memory.
    #[error("batches: {0}; remove batches.redb from the data directory if it is damaged: it is read from L1 again")]
    Batches(String),
    /// The pool's journal.
    #[error("transaction journal: {0}")]
    Pool(io::Error),
    /// An address is taken.
    #[error("cannot listen on {address} for {what}: {source}; free the port or choose another with --{flag}")]
    Listen {
        /// For what.
        what: &'static str,
        /// The flag that changes it.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// L1.
    #[error("L1: {0}")]
    L1(#[from] baton_l1::Error),
    /// Blobs.
    #[error("blobs: {0}")]
    Blobs(#[from] baton_l1::BlobError),
    /// Consensus is not configured right.
    #[error(transparent)]
    ConsensusConfig(#[from] baton_consensus::ConfigError),
    /// Consensus ended.
    #[error("consensus: {0}")]
    Consensus(#[from] baton_consensus::Error),
    /// The poster ended.
    #[error("poster: {0}")]
    Poster(#[from] baton_poster::Error),
    /// The chain cannot go on.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What L1 accepted does not derive.
    #[error("derivation: {0}")]
    Derive(#[from] baton_derive::DeriveError),
    /// The data of an accepted batch.
    #[error("the data of batch {batch} is not what L1 accepted: {reason}")]
    Data {
        /// The batch.
        batch: baton_primitives::BatchIndex,
        /// What is wrong.
        reason: String,
    },
    /// An actor ended without a reason.
    #[error("{0} ended unexpectedly; see the log above")]
    Ended(&'static str),
}

impl From<redb::Error> for NodeError {
    fn from(error: redb::Error) -> Self {
        Self::Certificates(Box::new(error))
    }
}
