//! `baton indexer`: chain to Postgres.

use crate::process;
use baton_bindings::Deployment;
use baton_indexer::Config;
use clap::Args;
use eyre::Result;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Every setting of the indexer.
#[derive(Args, Clone, Debug)]
pub struct IndexerFlags {
    /// Read settings from this TOML file; flags and environment win over it.
    #[arg(long, env = "BATON_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The deployment file (`deployments/<chain id>.json`).
    #[arg(long, env = "BATON_DEPLOYMENT", value_name = "FILE")]
    deployment: PathBuf,
    /// L1 endpoints, HTTP or WebSocket; the next one is used when one fails.
    #[arg(long = "l1.url", env = "BATON_L1_URL", value_delimiter = ',', required = true, value_name = "URL")]
    l1_url: Vec<Url>,
    /// Endpoints of nodes; the next one is used when one fails.
    #[arg(long = "node.url", env = "BATON_NODE_URL", value_delimiter = ',', required = true, value_name = "URL")]
    node_url: Vec<Url>,
    /// Postgres; the user must be allowed to create schemas. It holds a password: prefer the environment.
    #[arg(long = "database.url", env = "BATON_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: String,
    /// End when standard input closes.
    #[arg(long, hide = true)]
    exit_on_stdin_close: bool,
}

/// Runs the indexer until a signal asks it to end.
///
/// # Errors
/// What waiting does not cure, for example a database of another chain.
pub async fn run(flags: &IndexerFlags) -> Result<()> {
    let config = Config {
        database_url: flags.database_url.clone(),
        l1_urls: flags.l1_url.clone(),
        l2_urls: flags.node_url.clone(),
        deployment: Deployment::load(&flags.deployment)?,
        l1_poll: Config::L1_POLL,
        l2_poll: Config::L2_POLL,
        concurrency: Config::CONCURRENCY,
        l1_range: Config::L1_RANGE,
    };
    Ok(baton_indexer::run(config, until_asked_to_end(flags.exit_on_stdin_close)).await?)
}

/// A token that is cancelled by SIGINT, SIGTERM or, if asked for, the end of standard input.
pub fn until_asked_to_end(watch_stdin: bool) -> CancellationToken {
    let token = CancellationToken::new();
    let end = token.clone();
    tokio::spawn(async move {
        process::end_of_life(watch_stdin).await;
        end.cancel();
    });
    token
}
