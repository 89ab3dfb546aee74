//! What a running devnet tells: `devnet.json` for scripts, a table for people.

use crate::{output::Table, tools};
use alloy::primitives::Address;
use eyre::{Result, WrapErr};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use url::Url;

/// A running devnet: the content of `devnet.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// Process id of the supervisor.
    pub pid: u32,
    /// A file that the supervisor holds locked while it runs.
    pub lock: PathBuf,
    /// Everything the devnet writes.
    pub data_dir: PathBuf,
    /// The deployment file.
    pub deployment: PathBuf,
    /// EIP-155 chain id of L1.
    pub l1_chain_id: u64,
    /// EIP-155 chain id of L2.
    pub l2_chain_id: u64,
    /// Endpoints by name: `l1`, `l1Ws`, `rpc`, `ws` (the follower's), `api`, `page`, `database`.
    pub endpoints: BTreeMap<String, String>,
    /// The nodes.
    pub nodes: Vec<NodeEntry>,
    /// The contracts on L1.
    pub contracts: BTreeMap<String, Address>,
    /// Funded accounts.
    pub accounts: Vec<Account>,
    /// Milliseconds from start to the first final block.
    pub first_block_ms: u64,
}

/// One node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeEntry {
    /// Its name.
    pub name: String,
    /// Its sequencer id; none for a follower.
    pub sequencer: Option<u64>,
    /// HTTP JSON-RPC.
    pub rpc: Url,
    /// WebSocket JSON-RPC.
    pub ws: Url,
    /// Metrics, if served.
    pub metrics: Option<Url>,
    /// Process id at the last start.
    pub pid: i32,
    /// Directory of its keys.
    pub keys: Option<PathBuf>,
    /// Its log.
    pub log: PathBuf,
}

/// One funded account.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// What it is for.
    pub role: String,
    /// Its address.
    pub address: Address,
    /// File with its secret key (well-known development keys).
    pub key_file: PathBuf,
}

impl Description {
    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn save(&self, path: &Path) -> Result<()> {
        let temporary = path.with_extension("json.new");
        let text = serde_json::to_string_pretty(self)?;
        fs::write(&temporary, text + "\n").wrap_err_with(|| format!("cannot write {}", temporary.display()))?;
        fs::rename(&temporary, path).wrap_err_with(|| format!("cannot write {}", path.display()))
    }

    /// Reads the file.
    ///
    /// # Errors
    /// If there is none.
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).wrap_err_with(|| {
            format!(
                "no devnet is described by {}: start one with `npx rust-just devnet`, or name its file with --file",
                path.display()
            )
        })?;
        serde_json::from_str(&text)
            .wrap_err_with(|| format!("{} was written by another release: start the devnet anew", path.display()))
    }

    /// The table for people; `file` is where the description is saved.
    pub fn table(&self, file: &Path) -> String {
        let mut endpoints = Table::plain();
        for (name, url) in &self.endpoints {
            endpoints.row([format!("  {name}"), url.clone()]);
        }
        let mut nodes = Table::new(["  node", "sequencer", "rpc", "pid", "log"]);
        for node in &self.nodes {
            nodes.row([
                format!("  {}", node.name),
                node.sequencer.map_or_else(|| "-".into(), |id| id.to_string()),
                node.rpc.to_string(),
                node.pid.to_string(),
                node.log.display().to_string(),
            ]);
        }
        let mut contracts = Table::plain();
        for (name, address) in &self.contracts {
            contracts.row([format!("  {name}"), address.to_string()]);
        }
        let mut accounts = Table::plain();
        for account in &self.accounts {
            accounts.row([
                format!("  {}", account.role),
                account.address.to_string(),
                account.key_file.display().to_string(),
            ]);
        }
        format!(
            "Endpoints (L1 chain {}, L2 chain {})\n{}\n\nNodes\n{}\n\nContracts on L1\n{}\n\nFunded accounts (development keys)\n{}\n\n{}",
            self.l1_chain_id,
            self.l2_chain_id,
            endpoints.render(),
            nodes.render(),
            contracts.render(),
            accounts.render(),
            self.next_steps(file),
        )
    }

    fn next_steps(&self, file: &Path) -> String {
        let rpc = self.endpoints.get("rpc").cloned().unwrap_or_default();
        let key = self.accounts.iter().find(|a| a.role.starts_with("user"));
        let key = key.map(|a| a.key_file.display().to_string()).unwrap_or_default();
        let mut lines = vec!["Try next".to_owned()];
        if let Some(page) = self.endpoints.get("page") {
            lines.push(format!("  open {page}"));
        }
        let cast = tools::foundry("cast").map_or_else(|_| "cast".into(), |path| shown(&path));
        let baton = std::env::current_exe().map_or_else(|_| "baton".into(), |path| shown(&path));
        let file = shown(file);
        lines.push(format!("  {cast} block-number --rpc-url {rpc}"));
        lines.push(format!("  {cast} send --rpc-url {rpc} --private-key $(cat {key}) 0x000000000000000000000000000000000000dEaD --value 1ether"));
        lines.push(format!("  {baton} sequencers --devnet {file}"));
        lines.push(format!("  {baton} duties --devnet {file}"));
        if let Some(node) = self.nodes.first() {
            lines.push(format!("  kill -9 {}   # {}: blocks go on, and it is started again", node.pid, node.name));
        }
        lines.join("\n")
    }
}

/// A path as one would type it here.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
