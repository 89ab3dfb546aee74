//! What a pool is told, and its limits.

use std::{num::NonZeroUsize, path::PathBuf};

/// What a pool is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Gas limit of a block.
    pub block_gas_limit: u64,
    /// The least base fee that a block can have, wei per gas: what offers less can never be included.
    pub least_fee: u128,
    /// File of what waits, and of the fates; none where they need not survive a restart.
    pub journal: Option<PathBuf>,
    /// Its limits.
    pub limits: Limits,
}

impl Config {
    /// A pool with the usual limits, whose content ends with it.
    pub fn new(chain_id: u64, block_gas_limit: u64) -> Self {
        Self { chain_id, block_gas_limit, least_fee: 0, journal: None, limits: Limits::default() }
    }
}

/// Limits of a pool. Past each the caller gets a named [`crate::Refusal`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most transactions.
    pub max_transactions: usize,
    /// Most bytes of all transactions.
    pub max_bytes: usize,
    /// What waits behind a missing nonce may take one part in so many of transactions and bytes: it may never have to pay.
    pub queued_share: NonZeroUsize,
    /// Most transactions of one sender.
    pub max_per_sender: usize,
    /// Largest transaction, bytes.
    pub max_transaction_bytes: usize,
    /// How much a replacement must pay more, percent, on both fee caps.
    pub replacement_bump: u128,
    /// Fates remembered of transactions that left without being included: the newest. Each takes 200 to 500 bytes of memory,
    /// and 100 to 300 of the journal.
    pub remembered_fates: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_transactions: 10_000,
            max_bytes: 20 * 1024 * 1024,
            queued_share: NonZeroUsize::MIN.saturating_add(3),
            max_per_sender: 16,
            max_transaction_bytes: 128 * 1024,
            replacement_bump: 10,
            remembered_fates: 100_000,
        }
    }
}

impl Limits {
    /// Most transactions behind a missing nonce.
    pub(crate) fn max_queued(&self) -> usize {
        self.max_transactions.div_ceil(self.queued_share.get())
    }

    /// Most bytes of those.
    pub(crate) fn max_queued_bytes(&self) -> usize {
        self.max_bytes.div_ceil(self.queued_share.get())
    }
}
