//! Lets `baton-rpc` see this node: its ports over engine, pool, L1 and consensus.

mod chain;
mod execute;
mod recent;
mod rollup;
mod simulate;
mod submit;
#[cfg(test)]
mod tests;

use crate::{batches::Batches, forward::Submitter, ledger::Ledger, sets::LedgerSets};
use alloy::primitives::{B256, Bytes};
use baton_consensus::Status;
use baton_engine::{ReadError as EngineReadError, StoreError};
use baton_primitives::Height;
use baton_rpc::ports::ReadError;
use recent::Recent;
use std::sync::Arc;
use tokio::sync::watch;

/// Finds a posted blob by its versioned hash.
pub(crate) type Blobs = Box<dyn Fn(B256) -> Option<Bytes> + Send + Sync>;

/// The node as RPC sees it.
pub(crate) struct Backend {
    ledger: Arc<Ledger>,
    sets: LedgerSets,
    recent: Recent,
    consensus: Option<watch::Receiver<Status>>,
    submitter: Submitter,
    blobs: Blobs,
    batches: Arc<Batches>,
}

impl Backend {
    /// `consensus` is where consensus is; none for a follower.
    pub(crate) fn new(
        ledger: Arc<Ledger>,
        submitter: Submitter,
        consensus: Option<watch::Receiver<Status>>,
        blobs: Blobs,
        batches: Arc<Batches>,
    ) -> Self {
        let sets = LedgerSets(Arc::clone(&ledger));
        Self { ledger, sets, recent: Recent::default(), consensus, submitter, blobs, batches }
    }

    /// The last final height.
    fn head(&self) -> Height {
        Height::new(self.ledger.engine.head().0)
    }
}

fn store(error: StoreError) -> ReadError {
    ReadError::Internal(error.to_string())
}

fn read(error: EngineReadError) -> ReadError {
    match error {
        EngineReadError::Pruned { height, oldest } => ReadError::Pruned { height, oldest },
        EngineReadError::Timeout { height, millis } => ReadError::Timeout { height, millis },
        EngineReadError::UnknownBlock(_) | EngineReadError::UnknownHeight { .. } | EngineReadError::Store(_) => {
            ReadError::Internal(error.to_string())
        }
    }
}
