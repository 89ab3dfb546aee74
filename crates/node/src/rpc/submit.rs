//! Transactions of this node's users.

use super::Backend;
use alloy::primitives::{Address, B256, Bytes};
use baton_pool::{Fate, PoolTransaction, Refusal};
use baton_rpc::ports::{Submit, SubmitError, Waiting};
use std::sync::Arc;
use tokio::sync::broadcast;

impl Submit for Backend {
    /// Recovers the sender on this very task: about 40 us, less than a hand-over to another thread and back costs under
    /// load.
    async fn submit(&self, raw: Bytes) -> Result<B256, SubmitError> {
        self.submitter.submit(raw).map_err(refusal)
    }

    async fn submit_batch(&self, raw: Vec<Bytes>) -> Vec<Result<B256, SubmitError>> {
        let (submitter, count) = (self.submitter.clone(), raw.len());
        match tokio::task::spawn_blocking(move || submitter.submit_all(raw)).await {
            Ok(results) => results.into_iter().map(|r| r.map_err(refusal)).collect(),
            Err(error) => vec![Err(SubmitError::Internal(error.to_string())); count],
        }
    }

    fn next_nonce(&self, sender: Address) -> Option<u64> {
        self.ledger.pool.next_nonce(&sender)
    }

    fn waiting(&self, hash: B256) -> Option<Waiting> {
        let transaction = self.ledger.pool.get(&hash)?;
        let ready = self.ledger.pool.next_nonce(&transaction.sender).is_some_and(|next| transaction.nonce < next);
        Some(waiting(&transaction, ready))
    }

    fn counts(&self) -> (usize, usize) {
        let counts = self.ledger.pool.counts();
        (counts.ready, counts.queued)
    }

    fn content(&self, of: Option<Address>) -> Vec<Waiting> {
        self.ledger.pool.content(of).iter().map(|(transaction, ready)| waiting(transaction, *ready)).collect()
    }

    fn subscribe_pending(&self) -> broadcast::Receiver<B256> {
        self.ledger.pool.subscribe()
    }

    /// Blocks take what is ready, best tip first. While one block empties the pool, any tip does; else one above the lowest
    /// that still waits.
    fn suggested_tip(&self) -> u128 {
        let waiting = self.ledger.pool.counts().ready as u64;
        let room = self.ledger.engine.parameters().l2_gas_limit / AVERAGE_GAS;
        if waiting < room { LEAST_TIP } else { BUSY_TIP }
    }

    fn rejection(&self, hash: B256) -> Option<String> {
        match self.ledger.pool.fate(&hash)? {
            Fate::Dropped(reason) => Some(reason),
            Fate::Waiting => None,
        }
    }
}

/// Gas of a transaction between a transfer and a swap, to judge whether what waits fits one block.
const AVERAGE_GAS: u64 = 60_000;
/// Tip that wallets are told while blocks have room, wei per gas: more than nothing, so that it beats those who ask nobody.
const LEAST_TIP: u128 = 1_000;
/// Tip that wallets are told while more waits than a block takes, wei per gas.
const BUSY_TIP: u128 = 1_000_000;

fn waiting(transaction: &Arc<PoolTransaction>, ready: bool) -> Waiting {
    Waiting { transaction: (*transaction.transaction).clone(), sender: transaction.sender, ready }
}

/// The pool's words under the class that decides the code.
pub(super) fn refusal(refusal: Refusal) -> SubmitError {
    let text = refusal.to_string();
    match refusal {
        Refusal::Type(_) | Refusal::Unprotected => SubmitError::Rejected(text),
        Refusal::SenderLimit { .. } | Refusal::Full { .. } | Refusal::QueueFull { .. } => SubmitError::Limit(text),
        Refusal::State(_) => SubmitError::Internal(text),
        Refusal::Decode(_)
        | Refusal::Sender
        | Refusal::ChainId { .. }
        | Refusal::AlreadyKnown
        | Refusal::NonceTooLow { .. }
        | Refusal::Funds { .. }
        | Refusal::IntrinsicGas { .. }
        | Refusal::GasLimit { .. }
        | Refusal::TransactionGas { .. }
        | Refusal::TipAboveFee { .. }
        | Refusal::FeeTooLow { .. }
        | Refusal::Size { .. }
        | Refusal::InitCode { .. }
        | Refusal::Authorizations
        | Refusal::NotEoa
        | Refusal::Underpriced { .. } => SubmitError::Invalid(text),
    }
}
