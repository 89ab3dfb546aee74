//! `baton node`: a sequencer's node or a follower.

mod pool;
mod rpc;
#[cfg(test)]
mod walk;

use self::{pool::PoolFlags, rpc::RpcFlags};
use super::index::until_asked_to_end;
use baton_node::config::{Admin, Config, Consensus, HISTORY_BLOCKS, L1, Metrics, P2p, Poster, Rpc};
use clap::Args;
use eyre::Result;
use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};
use url::Url;

/// Every setting of a node.
#[derive(Args, Clone, Debug)]
pub struct NodeFlags {
    /// Read settings from this TOML file; flags and environment win over it.
    #[arg(long, env = "BATON_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory of everything the node writes.
    #[arg(long, env = "BATON_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
    /// The deployment file (`deployments/<chain id>.json`).
    #[arg(long, env = "BATON_DEPLOYMENT", value_name = "FILE")]
    deployment: PathBuf,
    /// Directory of the operator's keys; none makes a follower.
    #[arg(long, env = "BATON_KEYS", value_name = "DIR")]
    keys: Option<PathBuf>,
    /// How many heights below the head have readable state: a number, or `all` (an archive). What is gone does not come back.
    #[arg(long = "history.blocks", env = "BATON_HISTORY_BLOCKS", default_value_t = History(Some(HISTORY_BLOCKS)), value_name = "COUNT")]
    history: History,
    /// L1 endpoints, HTTP or WebSocket; several are cross-checked by block hash.
    #[arg(long = "l1.url", env = "BATON_L1_URL", value_delimiter = ',', required = true, value_name = "URL")]
    l1_url: Vec<Url>,
    /// Beacon API endpoints for blobs; the L1 endpoints if none is given.
    #[arg(long = "l1.beacon-url", env = "BATON_L1_BEACON_URL", value_delimiter = ',', value_name = "URL")]
    l1_beacon_url: Vec<Url>,
    /// Where to serve JSON-RPC over HTTP and WebSocket; port 0 picks a free one.
    #[arg(long = "rpc.addr", env = "BATON_RPC_ADDR", default_value = "127.0.0.1:8545", value_name = "ADDR")]
    rpc_addr: SocketAddr,
    #[command(flatten)]
    rpc: RpcFlags,
    #[command(flatten)]
    pool: PoolFlags,
    /// Where to listen for members; they dial the endpoint registered on L1.
    #[arg(long = "p2p.addr", env = "BATON_P2P_ADDR", default_value = "0.0.0.0:9545", value_name = "ADDR")]
    p2p_addr: SocketAddr,
    /// Nodes whose blocks a follower takes, in order of preference.
    #[arg(long, env = "BATON_FOLLOW", value_delimiter = ',', value_name = "URL")]
    follow: Vec<Url>,
    /// Highest fee per gas ever offered on L1, gwei.
    #[arg(long = "poster.max-fee-gwei", env = "BATON_POSTER_MAX_FEE_GWEI", default_value_t = Poster::default().max_fee_gwei)]
    poster_max_fee_gwei: u64,
    /// Highest fee per blob gas ever offered on L1, gwei.
    #[arg(long = "poster.max-blob-fee-gwei", env = "BATON_POSTER_MAX_BLOB_FEE_GWEI", default_value_t = Poster::default().max_blob_fee_gwei)]
    poster_max_blob_fee_gwei: u64,
    /// How long a poster waits for signatures beyond two thirds, ms.
    #[arg(long = "poster.sign-wait-ms", env = "BATON_POSTER_SIGN_WAIT_MS", default_value_t = Poster::default().sign_wait_ms)]
    poster_sign_wait_ms: u64,
    /// Sign at once from the journal, without hearing peers first: only for a restart of the whole set.
    #[arg(long = "trust-journal", env = "BATON_TRUST_JOURNAL")]
    trust_journal: bool,
    /// Where to serve Prometheus metrics; nowhere if not given.
    #[arg(long = "metrics.addr", env = "BATON_METRICS_ADDR", value_name = "ADDR")]
    metrics_addr: Option<SocketAddr>,
    /// Where to serve the operator's JSON-RPC (`admin_*`), to who has the token in `admin.token` of the data directory.
    #[arg(long = "admin.addr", env = "BATON_ADMIN_ADDR", value_name = "ADDR")]
    admin_addr: Option<SocketAddr>,
    /// End when standard input closes.
    #[arg(long, hide = true)]
    exit_on_stdin_close: bool,
}

/// Runs a node until a signal asks it to end; a sequencer gives the baton on first.
///
/// # Errors
/// Why it did not start, or which part of it failed.
pub async fn run(flags: &NodeFlags) -> Result<()> {
    without_huge_pages();
    Ok(baton_node::run(flags.config(), until_asked_to_end(flags.exit_on_stdin_close)).await?)
}

/// The kernel clears a huge page as a whole (2 MB) when its first byte is touched. A node takes and returns buffers of some 100 kB all
/// the time, so clearing was an eighth of a busy node's time. Children of this process would inherit it: a node has none.
#[cfg(target_os = "linux")]
fn without_huge_pages() {
    if let Err(error) = nix::sys::prctl::set_thp_disable(true) {
        tracing::debug!(%error, "huge pages stay on");
    }
}

#[cfg(not(target_os = "linux"))]
fn without_huge_pages() {}

/// Heights whose state is kept; all if none is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct History(Option<u64>);

impl FromStr for History {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(Self(None)),
            number => Ok(Self(Some(number.parse().map_err(|_| "neither a number of blocks nor `all`".to_owned())?))),
        }
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(blocks) => blocks.fmt(f),
            None => f.write_str("all"),
        }
    }
}

impl NodeFlags {
    /// The node's configuration.
    pub fn config(&self) -> Config {
        Config {
            data_dir: self.data_dir.clone(),
            deployment: self.deployment.clone(),
            keys: self.keys.clone(),
            history_blocks: self.history.0,
            l1: L1 { url: self.l1_url.clone(), beacon_url: self.l1_beacon_url.clone() },
            rpc: Rpc { addr: self.rpc_addr, server: self.rpc.config() },
            pool: self.pool.limits(),
            p2p: P2p { addr: self.p2p_addr },
            follow: self.follow.clone(),
            poster: Poster {
                max_fee_gwei: self.poster_max_fee_gwei,
                max_blob_fee_gwei: self.poster_max_blob_fee_gwei,
                sign_wait_ms: self.poster_sign_wait_ms,
            },
            consensus: Consensus { trust_journal: self.trust_journal },
            metrics: Metrics { addr: self.metrics_addr },
            admin: Admin { addr: self.admin_addr },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_is_a_number_of_blocks_or_all() {
        for (text, history) in [("0", Some(0)), ("1024", Some(1_024)), ("all", None)] {
            assert_eq!(text.parse(), Ok(History(history)));
            assert_eq!(History(history).to_string(), text);
        }
        assert!("ever".parse::<History>().unwrap_err().contains("`all`"));
    }
}
