//! The local L1: one Anvil with Osaka rules, started on a free port and ended with its parent.

use crate::{
    process::{Process, ProcessError, Spec},
    tools::{self, ToolMissing},
};
use alloy::{
    providers::{Provider, ProviderBuilder},
    signers::local::{LocalSignerError, MnemonicBuilder, PrivateKeySigner},
};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use url::Url;

/// The well-known mnemonic of development chains.
pub const MNEMONIC: &str = "test test test test test test test test test test test junk";
/// Accounts that Anvil funds.
pub const ACCOUNTS: u32 = 40;
const START_WITHIN: Duration = Duration::from_secs(20);

/// How to start Anvil.
#[derive(Clone, Debug)]
pub struct AnvilOptions {
    /// Port to try first.
    pub port: Option<u16>,
    /// Seconds between blocks; none mines at once whatever comes.
    pub block_time: Option<u64>,
    /// Chain id.
    pub chain_id: u64,
}

impl Default for AnvilOptions {
    fn default() -> Self {
        Self { port: None, block_time: Some(1), chain_id: 31_337 }
    }
}

/// Why the L1 does not run.
#[derive(Debug, thiserror::Error)]
pub enum AnvilError {
    /// Anvil is not installed.
    #[error(transparent)]
    Missing(#[from] ToolMissing),
    /// It did not start, or ended.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// It does not answer.
    #[error("anvil does not answer at {url} after {waited:?}; see its log {log}")]
    Silent {
        /// Where it should listen.
        url: Url,
        /// How long was waited.
        waited: Duration,
        /// Its log.
        log: String,
    },
}

/// A running Anvil.
#[derive(Debug)]
pub struct Anvil {
    /// Its process (the guard around it).
    pub process: Process,
    /// Its port: HTTP and WebSocket.
    pub port: u16,
}

impl Anvil {
    /// Starts it with its log in `dir` and waits until it answers. A port that another process grabs in between costs a
    /// second try, no failure.
    ///
    /// # Errors
    /// If it is not installed or does not come up.
    pub async fn start(dir: &Path, options: &AnvilOptions) -> Result<Self, AnvilError> {
        let (anvil, baton) = (tools::foundry("anvil")?, tools::baton()?);
        let mut last = None;
        for _ in 0..3 {
            let port = tools::free_port(options.port);
            let mut args: Vec<String> = ["guard", "--"].map(String::from).to_vec();
            args.push(anvil.to_string_lossy().into_owned());
            let chain_id = options.chain_id.to_string();
            let (port_text, accounts) = (port.to_string(), ACCOUNTS.to_string());
            let flags = [
                ["--host", "127.0.0.1"],
                ["--port", &port_text],
                ["--chain-id", &chain_id],
                ["--hardfork", "osaka"],
                ["--accounts", &accounts],
                ["--balance", "1000000"],
                ["--mnemonic", MNEMONIC],
                ["--slots-in-an-epoch", "2"],
                ["--gas-limit", "60000000"],
            ];
            args.extend(flags.iter().flatten().map(ToString::to_string));
            if let Some(seconds) = options.block_time {
                args.extend(["--block-time".into(), seconds.to_string()]);
            }
            let process = Process::spawn(Spec {
                name: "anvil".into(),
                program: baton.clone(),
                args: args.into_iter().map(Into::into).collect(),
                env: vec![],
                log: dir.join("anvil.log"),
            })?;
            let mut anvil = Self { process, port };
            match anvil.ready().await {
                Ok(()) => return Ok(anvil),
                Err(error @ AnvilError::Process(_)) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.expect("invariant: every round either returns or leaves an error"))
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> Url {
        loopback("http", self.port)
    }

    /// `ws://127.0.0.1:<port>`.
    pub fn ws_url(&self) -> Url {
        loopback("ws", self.port)
    }

    async fn ready(&mut self) -> Result<(), AnvilError> {
        let began = Instant::now();
        let provider = ProviderBuilder::new().connect_http(self.url());
        loop {
            self.process.check()?;
            if provider.get_chain_id().await.is_ok() {
                // Another process may answer on this port while ours just failed to bind it.
                tokio::time::sleep(Duration::from_millis(20)).await;
                return Ok(self.process.check()?);
            }
            if began.elapsed() > START_WITHIN {
                return Err(AnvilError::Silent {
                    url: self.url(),
                    waited: began.elapsed(),
                    log: self.process.log().display().to_string(),
                });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Account number `index` of the development mnemonic.
///
/// # Errors
/// Never for an index below 2^31.
pub fn account(index: u32) -> Result<PrivateKeySigner, LocalSignerError> {
    MnemonicBuilder::english().phrase(MNEMONIC).index(index)?.build()
}

/// A URL of the loopback interface.
pub fn loopback(scheme: &str, port: u16) -> Url {
    format!("{scheme}://127.0.0.1:{port}").parse().expect("invariant: a scheme and a port make a URL")
}
