//! `baton devnet`: the whole system on this machine, under one supervisor.
//!
//! ```text
//! supervisor ─┬─ anvil ─ contracts, founding set (cluster)
//!             ├─ node1 .. node4, follower (nodes)
//!             ├─ Postgres, indexer, api (services)
//!             └─ traffic
//! ```
//!
//! Every child ends with the supervisor, however that ends ([`crate::process`]). `devnet.json` describes the running devnet
//! and is removed with it.

pub mod cluster;
mod control;
pub mod nodes;
mod report;
mod services;
mod supervisor;
pub mod traffic;

pub use report::{Account, Description, NodeEntry};

use crate::output::Format;
use clap::{Args, Subcommand};
use eyre::Result;
use std::path::PathBuf;

/// Flags of `baton devnet`.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DevnetFlags {
    #[command(subcommand)]
    control: Option<Control>,
    /// Where to write the description of the running devnet.
    #[arg(long, default_value = "devnet.json", value_name = "FILE")]
    file: PathBuf,
    /// Keep everything in this directory instead of a temporary one that is removed at the end.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Run in the background; `baton devnet stop` ends it.
    #[arg(long)]
    detach: bool,
    /// Sequencers, 1 to 12; fewer than 4 tolerate no crash.
    #[arg(long, default_value_t = 4)]
    sequencers: u32,
    /// Background transfers per second; 0 for none.
    #[arg(long, default_value_t = 2)]
    traffic: u32,
    /// Leave out Postgres, indexer, API and page.
    #[arg(long)]
    no_index: bool,
    /// What the nodes log.
    #[arg(long = "nodes.log", default_value = crate::app::SERVING)]
    nodes_log: String,
    /// End when standard input closes.
    #[arg(long, hide = true)]
    exit_on_stdin_close: bool,
    #[command(flatten)]
    format: Format,
}

#[derive(Clone, Debug, Subcommand)]
enum Control {
    /// Show a running devnet.
    Status(ControlFlags),
    /// Stop a running devnet and wait until it is gone.
    Stop(ControlFlags),
}

#[derive(Args, Clone, Debug)]
struct ControlFlags {
    /// The description of the running devnet.
    #[arg(long, default_value = "devnet.json", value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    format: Format,
}

/// Runs the verb.
///
/// # Errors
/// If a part does not start, or there is no devnet to control.
pub async fn run(flags: DevnetFlags) -> Result<()> {
    match &flags.control {
        Some(Control::Status(control)) => control::status(control).await,
        Some(Control::Stop(control)) => control::stop(control).await,
        None if flags.detach => control::detach(&flags).await,
        None => supervisor::run(&flags).await,
    }
}
