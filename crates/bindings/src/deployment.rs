//! What was deployed where: `deployments/<L1 chain id>.json`, read by node, indexer, tests, API and page.

use crate::ChainParameters;
use alloy::primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// The contracts' addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addresses {
    /// Stake token.
    pub token: Address,
    /// Chain parameters.
    pub parameters: Address,
    /// Custody of stake.
    pub staking: Address,
    /// Keys, admission, snapshots.
    pub pool: Address,
    /// Bridge.
    pub portal: Address,
    /// Income.
    pub revenue: Address,
    /// Batches.
    pub inbox: Address,
    /// Evidence of offences.
    pub slasher: Address,
    /// Who may change parameters.
    pub governance: Address,
    /// A stalled chain's way on.
    pub recovery: Address,
    /// What sequencers say of themselves.
    pub profiles: Address,
    /// Reads of many things at once.
    pub lens: Address,
    /// Where registrations are announced.
    pub commitments: Address,
}

impl Addresses {
    /// Every address with its contract's name, in the order in which a reader meets them.
    pub const fn named(&self) -> [(&'static str, Address); 13] {
        [
            ("BatonToken", self.token),
            ("Parameters", self.parameters),
            ("Staking", self.staking),
            ("SequencerPool", self.pool),
            ("BatchInbox", self.inbox),
            ("Portal", self.portal),
            ("RevenueShare", self.revenue),
            ("Slasher", self.slasher),
            ("Governance", self.governance),
            ("Recovery", self.recovery),
            ("Profiles", self.profiles),
            ("Lens", self.lens),
            ("Commitments", self.commitments),
        ]
    }
}

/// The L2 genesis, computed by the deployer before anything is deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Genesis {
    /// Hash of the genesis block.
    pub block_hash: B256,
    /// Its state root.
    pub state_root: B256,
    /// Its time, seconds.
    pub timestamp: u64,
    /// Its L1 origin, within the last 256 L1 blocks when the chain is started.
    pub origin_number: u64,
    /// Hash of the origin.
    pub origin_hash: B256,
    /// Wei allocated in the genesis state; the starter pays it into the Portal.
    pub supply: U256,
}

/// A deployed Baton.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deployment {
    /// EIP-155 chain id of L1.
    pub l1_chain_id: u64,
    /// L1 block of the first contract: nothing of interest is older.
    pub block: u64,
    /// Who deployed, and alone may start the chain.
    pub deployer: Address,
    /// Where the contracts are.
    pub addresses: Addresses,
    /// ABI-encoded constructor arguments by contract name, for source verification.
    pub constructor_arguments: BTreeMap<String, Bytes>,
    /// The chain parameters.
    pub parameters: ChainParameters,
    /// The L2 genesis.
    pub genesis: Genesis,
}

/// Why a deployment file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// The file cannot be read or written.
    #[error("deployment file {path}: {source}; deploy first, or name the file of the running chain")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not a deployment.
    #[error("deployment file {path} is malformed: {source}; it was written by another release, deploy again")]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl Deployment {
    /// The file's usual place: `<folder>/<L1 chain id>.json`.
    pub fn path_in(folder: &Path, l1_chain_id: u64) -> PathBuf {
        folder.join(format!("{l1_chain_id}.json"))
    }

    /// Reads a deployment file.
    ///
    /// # Errors
    /// If the file is missing or malformed.
    pub fn load(path: &Path) -> Result<Self, DeploymentError> {
        let text = fs::read_to_string(path).map_err(|source| DeploymentError::Io { path: path.to_owned(), source })?;
        serde_json::from_str(&text).map_err(|source| DeploymentError::Json { path: path.to_owned(), source })
    }

    /// Writes the file whole or not at all, making its folder if need be.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), DeploymentError> {
        let io = |source| DeploymentError::Io { path: path.to_owned(), source };
        let text = serde_json::to_string_pretty(self)
            .map_err(|source| DeploymentError::Json { path: path.to_owned(), source })?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(io)?;
        }
        let temporary = path.with_extension("json.new");
        fs::write(&temporary, text + "\n").map_err(io)?;
        fs::rename(&temporary, path).map_err(io)
    }
}
