//! The operator's own JSON-RPC: its token, and what it can ask and do.

use crate::{error::NodeError, rpc::Backend};
use alloy::primitives::{B256, hex};
use baton_rpc::{
    Admin,
    ports::{Chain, Rollup},
    types::{NodeInfo, Peers, SequencerRef},
};
use std::{
    fs,
    io::{self, Write},
    net::SocketAddr,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// File of the token in the data directory.
const TOKEN: &str = "admin.token";

/// Changes which log lines this process writes; why it did not, where it fails.
pub type SetLogFilter = Box<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// The log is one per process.
static LOG: OnceLock<SetLogFilter> = OnceLock::new();

/// Tells how the log's filter is changed. The first call counts.
pub fn control_log(set: SetLogFilter) {
    let _ = LOG.set(set);
}

/// The token in the data directory; made at the first start, readable by the node's user alone.
///
/// # Errors
/// If it cannot be made or read, others may read it, or it is too short to be a secret.
pub(crate) fn token(data_dir: &Path) -> Result<String, NodeError> {
    let path = data_dir.join(TOKEN);
    read_or_make(&path).map_err(|source| NodeError::DataDir { path, source })
}

fn read_or_make(path: &Path) -> io::Result<String> {
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            let token = hex::encode(B256::random());
            file.write_all(token.as_bytes())?;
            file.sync_all()?;
            return Ok(token);
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::other("others may read the operator's token: chmod 600, and change it"));
    }
    let token = fs::read_to_string(path)?.trim().to_owned();
    if token.len() < 32 {
        return Err(io::Error::other("the operator's token is shorter than 32 characters: remove the file"));
    }
    Ok(token)
}

/// What the operator sees and does.
pub(crate) struct Operator {
    pub(crate) backend: Arc<Backend>,
    pub(crate) data_dir: PathBuf,
    pub(crate) rpc: SocketAddr,
    pub(crate) p2p: Option<SocketAddr>,
    pub(crate) started: Instant,
    /// Cancelled to stop the node in order.
    pub(crate) stop: CancellationToken,
}

impl Admin for Operator {
    fn node_info(&self) -> NodeInfo {
        NodeInfo {
            version: env!("CARGO_PKG_VERSION").into(),
            chain_id: self.backend.chain_id(),
            genesis: self.backend.genesis_hash(),
            data_dir: self.data_dir.display().to_string(),
            rpc: self.rpc.to_string(),
            p2p: self.p2p.map(|address| address.to_string()),
            uptime_seconds: self.started.elapsed().as_secs(),
            status: self.backend.sync_status(),
        }
    }

    fn peers(&self) -> Peers {
        let members: Vec<SequencerRef> = self.backend.members();
        Peers { connected: Rollup::peers(self.backend.as_ref()) as u64, members }
    }

    fn set_log_filter(&self, filter: &str) -> Result<(), String> {
        LOG.get().ok_or_else(|| "this process does not let its log be changed".to_owned())?(filter)
    }

    fn stop(&self) {
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_made_once_and_only_its_owner_may_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let made = token(directory.path()).unwrap();
        assert_eq!(made.len(), 64);
        assert_eq!(token(directory.path()).unwrap(), made);
        let path = directory.path().join(TOKEN);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(token(directory.path()).unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "short").unwrap();
        assert!(token(directory.path()).is_err());
    }
}
