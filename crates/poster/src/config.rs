//! Settings of the poster and of the keeper. Units are in the types or names.

use alloy::primitives::Address;
use baton_primitives::{IdentityKey, Parameters, bls};
use std::{path::PathBuf, time::Duration};

/// Settings of the poster.
#[derive(Clone, Debug)]
pub struct Config {
    /// The chain's parameters.
    pub parameters: Parameters,
    /// EIP-155 chain id of L1.
    pub l1_chain_id: u64,
    /// Address of `BatchInbox`.
    pub inbox: Address,
    /// Signs batches.
    pub vote_key: bls::SecretKey,
    /// This node's identity, by which it finds itself in a snapshot.
    pub identity: IdentityKey,
    /// Where the journal of signed cores and the posted blobs are kept.
    pub directory: PathBuf,
    /// How long a poster waits for the signatures beyond two thirds.
    pub sign_wait: Duration,
    /// Cores computed ahead of the anchor, at most; also how far ahead others may ask for signatures.
    pub ahead: usize,
    /// Messages of peers that may wait; more are dropped.
    pub queue: usize,
    /// Accepted batches whose blobs are kept; older ones are deleted.
    pub keep_batches: u64,
}

impl Config {
    /// The usual settings.
    pub fn new(
        parameters: Parameters,
        l1_chain_id: u64,
        inbox: Address,
        vote_key: bls::SecretKey,
        identity: IdentityKey,
        directory: PathBuf,
    ) -> Self {
        Self {
            parameters,
            l1_chain_id,
            inbox,
            vote_key,
            identity,
            directory,
            sign_wait: Duration::from_secs(2),
            ahead: 16,
            queue: 128,
            keep_batches: 10_000,
        }
    }
}

/// Settings of the keeper.
#[derive(Clone, Debug)]
pub struct KeeperConfig {
    /// EIP-155 chain id of L1.
    pub l1_chain_id: u64,
    /// Address of `SequencerPool`.
    pub pool: Address,
    /// Address of the `Slasher`.
    pub slasher: Address,
    /// Signs readiness proofs.
    pub vote_key: bls::SecretKey,
    /// This node's identity.
    pub identity: IdentityKey,
    /// Views in a term.
    pub term_views: u64,
    /// L1 blocks that one member waits for the one before it to do a chore that is everyone's.
    pub turn: u64,
}
