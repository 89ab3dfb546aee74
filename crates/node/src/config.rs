//! What a node is told: one plain struct, parsed and validated once, before the first task starts. Secrets are named by path.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};
use url::Url;

/// Final heights whose state is kept where nothing else is asked for.
pub const HISTORY_BLOCKS: u64 = 1_024;

/// Configuration of `baton node`. With `keys` it is a sequencer's node, without it a follower.
#[derive(Clone, Debug)]
pub struct Config {
    /// Directory of everything the node writes; created if absent.
    pub data_dir: PathBuf,
    /// The deployment file (`deployments/<chain id>.json`).
    pub deployment: PathBuf,
    /// Directory of the operator's keys ([`crate::keys`]); none for a follower.
    pub keys: Option<PathBuf>,
    /// Final heights below the head whose state can be read; `None` keeps all (an archive).
    pub history_blocks: Option<u64>,
    /// L1 access.
    pub l1: L1,
    /// JSON-RPC.
    pub rpc: Rpc,
    /// What the pool may hold.
    pub pool: baton_pool::Limits,
    /// Network among members.
    pub p2p: P2p,
    /// JSON-RPC base URLs of nodes whose feed a follower takes blocks from, in order of preference.
    pub follow: Vec<Url>,
    /// Posting of batches.
    pub poster: Poster,
    /// Consensus.
    pub consensus: Consensus,
    /// Prometheus metrics.
    pub metrics: Metrics,
    /// The operator's JSON-RPC.
    pub admin: Admin,
}

/// L1 access.
#[derive(Clone, Debug)]
pub struct L1 {
    /// JSON-RPC URLs, HTTP or WebSocket; several are cross-checked by block hash.
    pub url: Vec<Url>,
    /// Beacon API URLs for blobs; the JSON-RPC URLs where empty (Anvil serves both).
    pub beacon_url: Vec<Url>,
}

/// JSON-RPC over HTTP and WebSocket.
#[derive(Clone, Debug)]
pub struct Rpc {
    /// Where to listen; port 0 picks a free one.
    pub addr: SocketAddr,
    /// Limits and manners of the server.
    pub server: baton_rpc::Config,
}

impl Default for Rpc {
    fn default() -> Self {
        Self { addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 8545)), server: baton_rpc::Config::default() }
    }
}

/// Network among members.
#[derive(Clone, Debug)]
pub struct P2p {
    /// Where to listen. What peers dial is the endpoint registered on L1.
    pub addr: SocketAddr,
}

impl Default for P2p {
    fn default() -> Self {
        Self { addr: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 9545)) }
    }
}

/// Posting of batches.
#[derive(Clone, Debug)]
pub struct Poster {
    /// Highest fee per gas the node ever offers on L1, gwei.
    pub max_fee_gwei: u64,
    /// Highest fee per blob gas the node ever offers on L1, gwei.
    pub max_blob_fee_gwei: u64,
    /// How long to wait for the signatures beyond a quorum, ms.
    pub sign_wait_ms: u64,
}

impl Default for Poster {
    fn default() -> Self {
        Self { max_fee_gwei: 500, max_blob_fee_gwei: 500, sign_wait_ms: 100 }
    }
}

/// Consensus.
#[derive(Clone, Debug, Default)]
pub struct Consensus {
    /// Sign at once from the journal, without hearing peers first: for a restart of the whole set at once.
    pub trust_journal: bool,
}

/// Prometheus metrics.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Where to serve `/metrics`; not served where absent.
    pub addr: Option<SocketAddr>,
}

/// The operator's JSON-RPC (`admin_*`), apart from everyone's.
#[derive(Clone, Debug, Default)]
pub struct Admin {
    /// Where to serve it, to who has the token in `admin.token` of the data directory; not served where absent.
    pub addr: Option<SocketAddr>,
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No L1 URL.
    #[error("no L1 endpoint: give at least one --l1.url")]
    NoL1,
    /// Neither keys nor a feed.
    #[error("neither --keys (a sequencer's node) nor --follow (a follower) is given: give one")]
    NoRole,
}

impl Config {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// The first thing that is missing.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.l1.url.is_empty() {
            return Err(ConfigError::NoL1);
        }
        if self.keys.is_none() && self.follow.is_empty() {
            return Err(ConfigError::NoRole);
        }
        Ok(())
    }

    /// The beacon endpoints: those given, else the L1 endpoints over HTTP.
    pub fn beacon_urls(&self) -> Vec<Url> {
        if self.l1.beacon_url.is_empty() {
            self.l1.url.iter().filter(|u| u.scheme().starts_with("http")).cloned().collect()
        } else {
            self.l1.beacon_url.clone()
        }
    }
}
