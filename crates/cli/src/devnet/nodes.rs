//! The nodes of a devnet: `baton node` processes with everything needed to start them again.
#![allow(clippy::result_large_err, reason = "starting a node is rare; the error tells where to look")]

use crate::{
    anvil::loopback,
    process::{Process, ProcessError, Spec},
    tools::{self, ToolMissing},
};
use alloy::providers::{Provider, ProviderBuilder};
use std::{
    ffi::OsString,
    path::PathBuf,
    time::{Duration, Instant},
};
use url::Url;

/// Everything that a node is started with.
#[derive(Clone, Debug)]
pub struct NodePlan {
    /// What messages call it.
    pub name: String,
    /// Its data and log go here.
    pub dir: PathBuf,
    /// The deployment file.
    pub deployment: PathBuf,
    /// Directory of its keys; none makes a follower.
    pub keys: Option<PathBuf>,
    /// L1 endpoints.
    pub l1: Vec<Url>,
    /// Port of JSON-RPC.
    pub rpc_port: u16,
    /// Port for members (unused by a follower).
    pub p2p_port: u16,
    /// Port of metrics.
    pub metrics_port: Option<u16>,
    /// Nodes to follow.
    pub follow: Vec<Url>,
    /// More flags.
    pub extra: Vec<String>,
    /// Log filter.
    pub log_filter: String,
}

impl NodePlan {
    /// HTTP JSON-RPC.
    pub fn http(&self) -> Url {
        loopback("http", self.rpc_port)
    }

    /// WebSocket JSON-RPC.
    pub fn ws(&self) -> Url {
        loopback("ws", self.rpc_port)
    }

    /// Its log file.
    pub fn log(&self) -> PathBuf {
        self.dir.join("node.log")
    }

    /// The command line.
    ///
    /// # Errors
    /// If the `baton` binary is not there.
    pub fn spec(&self) -> Result<Spec, ToolMissing> {
        let mut args: Vec<OsString> = vec!["node".into(), "--exit-on-stdin-close".into()];
        let mut flag = |name: &str, value: OsString| args.extend([OsString::from(name), value]);
        flag("--data-dir", self.dir.join("data").into());
        flag("--deployment", self.deployment.clone().into());
        if let Some(keys) = &self.keys {
            flag("--keys", keys.clone().into());
            flag("--p2p.addr", format!("127.0.0.1:{}", self.p2p_port).into());
        }
        for url in &self.l1 {
            flag("--l1.url", url.as_str().into());
        }
        for url in &self.follow {
            flag("--follow", url.as_str().into());
        }
        flag("--rpc.addr", format!("127.0.0.1:{}", self.rpc_port).into());
        flag("--rpc.cors", "*".into());
        if let Some(port) = self.metrics_port {
            flag("--metrics.addr", format!("127.0.0.1:{port}").into());
        }
        flag("--log.filter", self.log_filter.clone().into());
        args.extend(self.extra.iter().map(OsString::from));
        Ok(Spec { name: self.name.clone(), program: tools::baton()?, args, env: vec![], log: self.log() })
    }
}

/// Why a node does not run.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The binary is missing.
    #[error(transparent)]
    Missing(#[from] ToolMissing),
    /// It did not start, or ended.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// Its directory cannot be made.
    #[error("cannot make {dir}: {source}")]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// It runs but does not answer.
    #[error("{name} does not answer at {url} after {waited:?}; see its log {log}")]
    Silent {
        /// Which node.
        name: String,
        /// Where it should listen.
        url: Url,
        /// How long was waited.
        waited: Duration,
        /// Its log.
        log: PathBuf,
    },
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    /// How it is started.
    pub plan: NodePlan,
    /// Its process.
    pub process: Process,
}

impl Node {
    /// Starts the process; does not wait for it to answer.
    ///
    /// # Errors
    /// If the process cannot be started.
    pub fn spawn(plan: NodePlan) -> Result<Self, NodeError> {
        std::fs::create_dir_all(&plan.dir).map_err(|source| NodeError::Directory { dir: plan.dir.clone(), source })?;
        Ok(Self { process: Process::spawn(plan.spec()?)?, plan })
    }

    /// Starts the process anew after it ended.
    ///
    /// # Errors
    /// If the process cannot be started.
    pub fn respawn(&mut self) -> Result<(), NodeError> {
        self.process = Process::spawn(self.plan.spec()?)?;
        Ok(())
    }

    /// Waits until JSON-RPC answers.
    ///
    /// # Errors
    /// If the process ends first, or `within` passes.
    pub async fn ready(&mut self, within: Duration) -> Result<(), NodeError> {
        let provider = ProviderBuilder::new().connect_http(self.plan.http());
        let began = Instant::now();
        loop {
            self.process.check()?;
            if provider.get_chain_id().await.is_ok() {
                return Ok(());
            }
            if began.elapsed() > within {
                return Err(NodeError::Silent {
                    name: self.plan.name.clone(),
                    url: self.plan.http(),
                    waited: began.elapsed(),
                    log: self.plan.log(),
                });
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}
