//! `baton derive`: the chain from L1 alone.

use crate::output::{Format, out};
use baton_node::{
    Until,
    config::{Admin, Config, Consensus, HISTORY_BLOCKS, L1, Metrics, P2p, Poster, Rpc},
    derive,
};
use baton_pool::Limits;
use baton_primitives::BatchIndex;
use clap::Args;
use eyre::Result;
use serde::Serialize;
use std::path::PathBuf;
use url::Url;

/// Rebuilds the chain from what L1 accepted, executing every block, and compares each batch with its core.
#[derive(Args, Debug)]
pub struct Derive {
    /// The deployment file (`deployments/<chain id>.json`).
    #[arg(long, env = "BATON_DEPLOYMENT", value_name = "FILE")]
    deployment: PathBuf,
    /// L1 endpoints, HTTP or WebSocket; several are cross-checked by block hash.
    #[arg(long = "l1.url", env = "BATON_L1_URL", value_delimiter = ',', required = true, value_name = "URL")]
    l1_url: Vec<Url>,
    /// Beacon API endpoints for blobs; the L1 endpoints if none is given.
    #[arg(long = "l1.beacon-url", env = "BATON_L1_BEACON_URL", value_delimiter = ',', value_name = "URL")]
    l1_beacon_url: Vec<Url>,
    /// Nodes that may have blobs which the beacon endpoints no longer have. What they serve is checked against L1.
    #[arg(long = "blobs.url", env = "BATON_BLOBS_URL", value_delimiter = ',', value_name = "URL")]
    blobs_url: Vec<Url>,
    /// Where to keep the state, so that the next run goes on from here; a temporary directory if not given.
    #[arg(long, env = "BATON_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Stop at this batch, waiting for it; else at the newest.
    #[arg(long, value_name = "INDEX")]
    batch: Option<u64>,
    #[command(flatten)]
    format: Format,
}

/// What is printed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    batch: u64,
    height: u64,
    block_hash: String,
    state_root: String,
    blocks_executed: u64,
}

/// Runs the verb.
///
/// # Errors
/// If L1 cannot be read, or what it accepted does not derive.
pub async fn run(verb: &Derive) -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let config = Config {
        data_dir: verb.data_dir.clone().unwrap_or_else(|| temporary.path().to_owned()),
        deployment: verb.deployment.clone(),
        keys: None,
        history_blocks: Some(HISTORY_BLOCKS),
        l1: L1 { url: verb.l1_url.clone(), beacon_url: verb.l1_beacon_url.clone() },
        rpc: Rpc::default(),
        pool: Limits::default(),
        p2p: P2p::default(),
        follow: Vec::new(),
        poster: Poster::default(),
        consensus: Consensus::default(),
        metrics: Metrics::default(),
        admin: Admin::default(),
    };
    let until = verb.batch.map_or(Until::Head, |index| Until::Batch(BatchIndex::new(index)));
    let quiet = verb.format.json;
    let derived = derive(&config, verb.blobs_url.clone(), until, |anchor| {
        if !quiet {
            out(&format!("batch {:>6}  height {:>8}  {}", anchor.index, anchor.last_height, anchor.last_block));
        }
    })
    .await?;
    let report = Report {
        batch: derived.anchor.index.get(),
        height: derived.anchor.last_height.get(),
        block_hash: derived.anchor.last_block.to_string(),
        state_root: derived.anchor.state_root.to_string(),
        blocks_executed: derived.blocks,
    };
    verb.format.print(&report, |r| {
        format!(
            "derived from L1 alone: batch {}, height {}, {} blocks executed\nblock {}\nstate {}",
            r.batch, r.height, r.blocks_executed, r.block_hash, r.state_root
        )
    })?;
    Ok(())
}
