//! `baton api`: Postgres to HTTP and the page.

use super::index::until_asked_to_end;
use baton_api::Config;
use clap::Args;
use eyre::Result;
use std::{net::SocketAddr, path::PathBuf};

/// Every setting of the API.
#[derive(Args, Clone, Debug)]
pub struct ApiFlags {
    /// Read settings from this TOML file; flags and environment win over it.
    #[arg(long, env = "BATON_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen.
    #[arg(long = "api.addr", env = "BATON_API_ADDR", default_value = "127.0.0.1:8080", value_name = "ADDR")]
    addr: SocketAddr,
    /// Postgres that `baton indexer` fills. It holds a password: prefer the environment.
    #[arg(long = "database.url", env = "BATON_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: String,
    /// End when standard input closes.
    #[arg(long, hide = true)]
    exit_on_stdin_close: bool,
}

/// Serves until a signal asks it to end.
///
/// # Errors
/// If the address cannot be used or Postgres does not answer.
pub async fn run(flags: &ApiFlags) -> Result<()> {
    let config = Config::new(flags.database_url.clone(), flags.addr);
    Ok(baton_api::serve(config, until_asked_to_end(flags.exit_on_stdin_close)).await?)
}
