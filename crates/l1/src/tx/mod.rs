//! Sends transactions of one account to L1.
//!
//! ```text
//! request -bounded queue-> simulate -> prepared (nonce, fees, signed) -> sent -> on chain -> confirmed -> outcome
//!                             |            ^                              |  pool lost it: again; too slow: raise
//!                             v            '--- nonce spent elsewhere ----'
//!                          Refused
//! ```
//!
//! One request at a time: the account's next nonce at the head is the truth, so that a restart needs no memory. A
//! transaction of an earlier life that still waits is either the same one (then it is adopted by its hash), or it is waited
//! for and then replaced. Whatever happens, one request is executed at most once per call: all versions share a nonce, and
//! after a nonce was spent elsewhere the request is simulated anew.

mod fees;
mod manager;
mod refusal;
mod state;

use alloy::{
    primitives::{Address, B256, Bytes, U256},
    rpc::types::TransactionReceipt,
};
use baton_batch::CommittedBlob;
use std::{num::NonZeroUsize, time::Duration};
use tokio::sync::{mpsc, oneshot};

pub use manager::TxManager;

/// Settings of a [`TxManager`].
#[derive(Clone, Debug)]
pub struct TxConfig {
    /// Blocks from the one that holds the transaction up to the head, both counted, until it is done; 1 is "included".
    pub confirmations: u64,
    /// Time between two looks at L1.
    pub poll_interval: Duration,
    /// Time without inclusion after which more is offered.
    pub resubmit_after: Duration,
    /// Time without inclusion after which a request is given up.
    pub give_up_after: Duration,
    /// Most wei per gas.
    pub max_fee: u128,
    /// Most wei per blob gas.
    pub max_blob_fee: u128,
    /// Least tip, wei per gas.
    pub min_tip: u128,
    /// Requests that may wait; more are answered with [`TxError::Full`].
    pub queue: NonZeroUsize,
}

impl Default for TxConfig {
    fn default() -> Self {
        Self {
            confirmations: 1,
            poll_interval: Duration::from_secs(1),
            resubmit_after: Duration::from_secs(48),
            give_up_after: Duration::from_secs(600),
            max_fee: 500_000_000_000,
            max_blob_fee: 500_000_000_000,
            min_tip: 1_000_000,
            queue: NonZeroUsize::new(16).unwrap_or(NonZeroUsize::MIN),
        }
    }
}

/// A transaction to send.
#[derive(Clone, Debug)]
pub struct TxRequest {
    /// What it is, for logs and metrics.
    pub label: &'static str,
    /// Receiver.
    pub to: Address,
    /// Call data.
    pub input: Bytes,
    /// Wei.
    pub value: U256,
    /// Blobs; none makes it an ordinary (EIP-1559) transaction.
    pub blobs: Vec<CommittedBlob>,
}

/// A revert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revert {
    /// The contract's named error with its figures, or the endpoint's words.
    pub reason: String,
    /// Revert data, if there is any.
    pub data: Option<Bytes>,
}

/// What became of a transaction.
#[derive(Clone, Debug)]
pub enum TxOutcome {
    /// On chain as deep as asked, and succeeded.
    Included {
        /// Its receipt.
        receipt: Box<TransactionReceipt>,
    },
    /// On chain as deep as asked, and reverted.
    Reverted {
        /// Its receipt.
        receipt: Box<TransactionReceipt>,
        /// Why, found by executing it again on the state before its block.
        revert: Option<Revert>,
    },
    /// It would revert, so it was not sent.
    Refused(Revert),
    /// L1 asks more than the limit.
    CapReached {
        /// Gas or blob gas.
        what: &'static str,
        /// Wei that a unit costs, or that a replacement must offer.
        needed: u128,
        /// The limit.
        limit: u128,
    },
    /// Not on chain in time. A version may still wait in the pool; the next request replaces it.
    GivenUp {
        /// Hashes of all versions.
        versions: Vec<B256>,
        /// Why, as far as known.
        reason: String,
    },
}

/// Why a request was not taken on.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TxError {
    /// Too many requests wait.
    #[error("the queue of the L1 account is full: {0} transactions wait")]
    Full(usize),
    /// The blobs are no valid blobs.
    #[error("the blobs are malformed: {0}")]
    Blobs(String),
    /// The manager has stopped.
    #[error("the L1 transaction manager has stopped")]
    Stopped,
}

/// A request with the way back.
#[derive(Debug)]
pub(crate) struct Job {
    request: TxRequest,
    reply: oneshot::Sender<Result<TxOutcome, TxError>>,
}

/// Sends through a [`TxManager`]; clones are cheap.
#[derive(Clone, Debug)]
pub struct TxSender {
    account: Address,
    jobs: mpsc::Sender<Job>,
}

impl TxSender {
    /// The account that sends.
    pub const fn account(&self) -> Address {
        self.account
    }

    /// Sends and waits for the outcome.
    ///
    /// # Errors
    /// [`TxError::Full`] at once if too many wait.
    pub async fn send(&self, request: TxRequest) -> Result<TxOutcome, TxError> {
        let (reply, outcome) = oneshot::channel();
        self.jobs.try_send(Job { request, reply }).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => TxError::Full(self.jobs.max_capacity()),
            mpsc::error::TrySendError::Closed(_) => TxError::Stopped,
        })?;
        outcome.await.map_err(|_| TxError::Stopped)?
    }
}
