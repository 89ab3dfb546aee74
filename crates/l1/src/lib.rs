//! Watches L1 (heads, finality, logs, blobs, reorgs) and owns its nonces.

mod blob_schedule;
mod blobs;
mod config;
mod endpoint;
mod error;
mod event;
mod fetch;
mod snapshots;
mod status;
mod tail;
mod tx;
mod view;
mod watcher;

pub use blob_schedule::BlobSchedule;
pub use blobs::{BlobConfig, BlobError, BlobSource};
pub use config::{Config, EndpointsConfig, Start};
pub use endpoint::Endpoints;
pub use error::{Class, Error};
pub use event::{AcceptedBatch, ContractEvent, ContractLog, L1Block, L1Event};
pub use status::Status;
pub use tx::{Revert, TxConfig, TxError, TxManager, TxOutcome, TxRequest, TxSender};
pub use view::{EpochRow, Heads, L1View, Started};
pub use watcher::{Watcher, WatcherHandle};
