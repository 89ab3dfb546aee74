//! Settings of the watcher and of the transaction manager. Units are in the types or names.

use crate::BlobSchedule;
use alloy::primitives::B256;
use baton_bindings::Addresses;
use std::{num::NonZeroUsize, time::Duration};
use url::Url;

/// How endpoints are reached.
#[derive(Clone, Debug)]
pub struct EndpointsConfig {
    /// URLs in order of preference.
    pub urls: Vec<Url>,
    /// The chain they must serve.
    pub chain_id: u64,
    /// Longest wait for one answer.
    pub timeout: Duration,
    /// First pause of an endpoint after a failure; doubles up to `max_backoff`, with jitter.
    pub backoff: Duration,
    /// Longest pause of an endpoint after failures.
    pub max_backoff: Duration,
}

impl EndpointsConfig {
    /// The usual times for these URLs.
    pub fn new(urls: Vec<Url>, chain_id: u64) -> Self {
        Self {
            urls,
            chain_id,
            timeout: Duration::from_secs(10),
            backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(10),
        }
    }
}

/// Where the watcher begins.
#[derive(Clone, Debug)]
pub enum Start {
    /// At this block, the one that holds the first event (the deployment block).
    Block(u64),
    /// After these blocks, ascending and linked by their hashes as far as known; a block of them that L1 no longer has is
    /// reverted first.
    After(Vec<(u64, B256)>),
}

/// Settings of the watcher.
#[derive(Clone, Debug)]
pub struct Config {
    /// The contracts.
    pub contracts: Addresses,
    /// Where to begin.
    pub start: Start,
    /// Time between two looks at the head. A WebSocket endpoint wakes the watcher earlier.
    pub poll_interval: Duration,
    /// Most blocks asked for at once while catching up.
    pub chunk: NonZeroUsize,
    /// Deepest reorganization followed, L1 blocks; so many blocks below the head are always kept.
    pub max_reorg: u64,
    /// Whether snapshots are read and the view is kept. Without, only events are emitted (an indexer needs no view).
    pub keep_view: bool,
    /// How the chain prices blobs; `None` to find out.
    pub blob_schedule: Option<BlobSchedule>,
}

impl Config {
    /// The usual settings for contracts deployed in block `start`.
    pub fn new(contracts: Addresses, start: u64) -> Self {
        Self {
            contracts,
            start: Start::Block(start),
            poll_interval: Duration::from_secs(1),
            chunk: NonZeroUsize::new(64).unwrap_or(NonZeroUsize::MIN),
            max_reorg: 256,
            keep_view: true,
            blob_schedule: None,
        }
    }
}
