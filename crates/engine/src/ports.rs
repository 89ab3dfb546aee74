//! What the engine asks of others.

use crate::error::InvalidTransaction;
use alloy::primitives::{Address, B256};
use baton_primitives::Transaction;
use std::sync::Arc;

/// A transaction that waits to be included, its sender recovered.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The transaction.
    pub transaction: Arc<Transaction>,
    /// Its sender.
    pub sender: Address,
}

/// Transactions by preference, for one block. A later transaction of a sender comes after its earlier ones. Several are drawn before
/// there are verdicts on the first of them; those that are [closed](Self::is_closed) when their turn comes are passed over.
pub trait TransactionSource {
    /// The next best one; `None` if nothing more waits.
    fn next(&mut self) -> Option<Candidate>;

    /// The transaction does not fit into this block: none of its sender's later ones may come.
    fn skip(&mut self, hash: B256, sender: Address);

    /// The transaction may not be included: none of its sender's later ones may come. Unless
    /// [`InvalidTransaction::is_temporary`], it never may.
    fn invalid(&mut self, hash: B256, sender: Address, why: &InvalidTransaction);

    /// Whether there was a verdict after which this sender's transactions may not come, also those that were drawn already.
    fn is_closed(&self, sender: &Address) -> bool;
}

/// No transactions: an empty block.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTransactions;

impl TransactionSource for NoTransactions {
    fn next(&mut self) -> Option<Candidate> {
        None
    }

    fn skip(&mut self, _: B256, _: Address) {}

    fn invalid(&mut self, _: B256, _: Address, _: &InvalidTransaction) {}

    fn is_closed(&self, _: &Address) -> bool {
        false
    }
}
