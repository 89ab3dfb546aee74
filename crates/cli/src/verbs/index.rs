//! `baton indexer`: chain to Postgres.

use crate::{output::Format, process};
use baton_bindings::Deployment;
use baton_indexer::{Config, verify::verify};
use clap::{Args, Subcommand};
use eyre::Result;
use std::{path::PathBuf, process::ExitCode};
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
    #[command(subcommand)]
    check: Option<IndexerVerb>,
}

/// What else the indexer can do.
#[derive(Clone, Debug, Subcommand)]
enum IndexerVerb {
    /// Compare every row with both chains, and every current state with the contracts.
    Verify {
        #[command(flatten)]
        format: Format,
    },
}

/// Runs the indexer until a signal asks it to end, or compares what it wrote.
///
/// # Errors
/// What waiting does not cure, for example a database of another chain.
pub async fn run(flags: &IndexerFlags) -> Result<ExitCode> {
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
    let Some(IndexerVerb::Verify { format }) = flags.check else {
        baton_indexer::run(config, until_asked_to_end(flags.exit_on_stdin_close)).await?;
        return Ok(ExitCode::SUCCESS);
    };
    let report = verify(&config).await?;
    format.print(&report, |report| {
        let rows: u64 = report.rows.values().sum();
        let upto = |cursor: Option<u64>| cursor.map_or_else(|| "nothing".to_owned(), |number| number.to_string());
        let mut text = format!(
            "{rows} rows and {} states compared up to L1 block {} and L2 block {}: {} differences",
            report.states,
            upto(report.l1_cursor),
            upto(report.l2_cursor),
            report.difference_count
        );
        report.differences.iter().for_each(|difference| text += &format!("\n  {difference}"));
        text
    })?;
    Ok(if report.is_equal() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
