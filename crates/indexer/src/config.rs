//! What the indexer is told.

use crate::IndexerError;
use baton_bindings::Deployment;
use baton_primitives::Parameters;
use std::{num::NonZeroUsize, time::Duration};
use url::Url;

/// How the indexer runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Postgres, `postgres://user:password@host:port/database`. The user must be allowed to create schemas there.
    pub database_url: String,
    /// Endpoints of L1, HTTP or WebSocket; the next one is used when one fails.
    pub l1_urls: Vec<Url>,
    /// Endpoints of nodes, HTTP or WebSocket; the next one is used when one fails.
    pub l2_urls: Vec<Url>,
    /// What was deployed where: addresses, first block, parameters, genesis.
    pub deployment: Deployment,
    /// How often an HTTP endpoint of L1 is asked for news.
    pub l1_poll: Duration,
    /// How often an HTTP endpoint of a node is asked for news.
    pub l2_poll: Duration,
    /// Blocks fetched at the same time while catching up.
    pub concurrency: NonZeroUsize,
    /// L1 blocks asked for in one `eth_getLogs` while far behind.
    pub l1_range: u64,
}

impl Config {
    /// How often L1 is asked over HTTP, unless told otherwise.
    pub const L1_POLL: Duration = Duration::from_millis(500);
    /// How often a node is asked over HTTP, unless told otherwise.
    pub const L2_POLL: Duration = Duration::from_millis(100);
    /// Blocks fetched at the same time, unless told otherwise.
    pub const CONCURRENCY: NonZeroUsize = NonZeroUsize::new(16).unwrap();
    /// L1 blocks in one request for logs, unless told otherwise: within the limits of common providers.
    pub const L1_RANGE: u64 = 1_000;

    pub(crate) fn validate(&self) -> Result<(), IndexerError> {
        let refused = |name, problem| Err(IndexerError::Config { name, problem });
        if self.l1_urls.is_empty() {
            return refused("l1", "needs at least one endpoint of L1");
        }
        if self.l2_urls.is_empty() {
            return refused("l2", "needs at least one endpoint of a node");
        }
        if self.l1_range == 0 {
            return refused("l1_range", "must be at least 1");
        }
        if self.l1_poll.is_zero() || self.l2_poll.is_zero() {
            return refused("poll", "must be longer than zero");
        }
        self.parameters().validate().map_err(IndexerError::Parameters)
    }

    /// The parameters that the rules read.
    pub(crate) fn parameters(&self) -> Parameters {
        (&self.deployment.parameters).into()
    }
}
