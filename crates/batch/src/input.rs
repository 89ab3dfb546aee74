//! What a block needs beyond L1 and its parent.

use alloy::eips::eip2718::Encodable2718;
use baton_primitives::{ExtraDataError, OriginError, RecoveredBlock, Transaction, View};

/// What a block needs beyond L1 and its parent: with these, derivation rebuilds the system transaction, the deposits and
/// every header field, and execution the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockInput {
    /// Its time, ms since the Unix epoch.
    pub time_millis: u64,
    /// View in which it was first proposed.
    pub view: View,
    /// View of its parent.
    pub parent_view: View,
    /// Number of its origin.
    pub origin: u64,
    /// Its transactions other than the system transaction and the deposits.
    pub transactions: Vec<Transaction>,
}

/// Why a block has no input form; no final block is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The extra data is malformed.
    #[error(transparent)]
    Extra(#[from] ExtraDataError),
    /// There is no system transaction.
    #[error(transparent)]
    Origin(#[from] OriginError),
}

impl BlockInput {
    /// Reads the input back out of a block.
    ///
    /// # Errors
    /// If its extra data or its first transaction is malformed (possible only for blocks not verified).
    pub fn of(block: &RecoveredBlock) -> Result<Self, InputError> {
        let extra = block.extra()?;
        let transactions = pool_transactions(block).cloned().collect();
        Ok(Self {
            time_millis: block.time_millis(),
            view: extra.view,
            parent_view: extra.parent_view,
            origin: block.system_call()?.origin.number,
            transactions,
        })
    }
}

/// The transactions of a block that came from the pool.
pub(crate) fn pool_transactions(block: &RecoveredBlock) -> impl Iterator<Item = &Transaction> {
    block.transactions().iter().filter(|t| !t.is_deposit())
}

/// Size of the block's batch data before compression: its pool transactions.
pub(crate) fn data_bytes(block: &RecoveredBlock) -> u64 {
    pool_transactions(block).map(|t| t.encode_2718_len() as u64).sum()
}
