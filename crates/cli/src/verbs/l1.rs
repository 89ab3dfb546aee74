//! What every verb that speaks to the contracts needs: L1, the deployment, an account.

use crate::{chain, devnet::Description, founding, keys::read_account};
use alloy::{
    contract::Error as ContractError,
    network::Ethereum,
    primitives::{Address, TxHash, U256, utils::parse_ether},
    providers::{DynProvider, PendingTransactionBuilder, Provider},
    rpc::types::TransactionReceipt,
    signers::local::PrivateKeySigner,
};
use baton_bindings::{Deployment, explain};
use clap::Args;
use eyre::{Result, WrapErr, bail, ensure, eyre};
use serde::Serialize;
use std::{fs, path::PathBuf};
use url::Url;

/// Where L1 and the contracts are. Without flags, a `devnet.json` in the working directory tells.
#[derive(Args, Clone, Debug)]
pub struct L1Flags {
    /// L1 endpoint (HTTP).
    #[arg(long = "l1.url", env = "BATON_L1_URL", value_name = "URL")]
    l1_url: Option<Url>,
    /// The deployment file (`deployments/<chain id>.json`).
    #[arg(long, env = "BATON_DEPLOYMENT", value_name = "FILE")]
    deployment: Option<PathBuf>,
    /// Take both from the description of a running devnet.
    #[arg(long, default_value = "devnet.json", value_name = "FILE")]
    devnet: PathBuf,
}

impl L1Flags {
    /// The description of the devnet, where one is needed and there.
    pub fn description(&self) -> Option<Description> {
        Description::load(&self.devnet).ok()
    }

    /// The L1 endpoint.
    ///
    /// # Errors
    /// If neither a flag nor a devnet names one.
    pub fn url(&self) -> Result<Url> {
        if let Some(url) = &self.l1_url {
            return Ok(url.clone());
        }
        let description = self.description().ok_or_else(|| {
            eyre!(
                "no L1 endpoint: give --l1.url, or --devnet with the description of a running devnet (looked for {})",
                self.devnet.display()
            )
        })?;
        let url = description.endpoints.get("l1").ok_or_else(|| eyre!("{} names no L1", self.devnet.display()))?;
        Ok(url.parse()?)
    }

    /// The deployment.
    ///
    /// # Errors
    /// If neither a flag nor a devnet names its file, or the file is malformed.
    pub fn deployment(&self) -> Result<Deployment> {
        let path = match &self.deployment {
            Some(path) => path.clone(),
            None => self.description().map(|d| d.deployment).ok_or_else(|| {
                eyre!("no deployment: give --deployment, or --devnet with the description of a running devnet (looked for {})", self.devnet.display())
            })?,
        };
        Ok(Deployment::load(&path)?)
    }

    /// L1 to read from, checked to be the chain of the deployment.
    ///
    /// # Errors
    /// If L1 does not answer or is another chain.
    pub async fn reader(&self) -> Result<(DynProvider, Deployment)> {
        let deployment = self.deployment()?;
        let url = self.url()?;
        let provider = chain::http(&url);
        check_chain(&provider, &url, &deployment).await?;
        Ok((provider, deployment))
    }
}

/// The account that signs and pays.
#[derive(Args, Clone, Debug)]
pub struct AccountFlags {
    /// File with the account's secret key as 64 hexadecimal digits, readable by its owner only.
    #[arg(long = "account.key-file", env = "BATON_ACCOUNT_KEY_FILE", value_name = "FILE", conflicts_with = "keystore")]
    key_file: Option<PathBuf>,
    /// Encrypted JSON keystore of the account.
    #[arg(long = "account.keystore", env = "BATON_ACCOUNT_KEYSTORE", value_name = "FILE", requires = "password_file")]
    keystore: Option<PathBuf>,
    /// File with the keystore's password.
    #[arg(long = "account.password-file", env = "BATON_ACCOUNT_PASSWORD_FILE", value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl AccountFlags {
    /// The signer.
    ///
    /// # Errors
    /// If no account is named, or its file or password is wrong.
    pub fn signer(&self) -> Result<PrivateKeySigner> {
        match (&self.key_file, &self.keystore, &self.password_file) {
            (Some(path), _, _) => Ok(read_account(path)?),
            (None, Some(keystore), Some(password)) => {
                let secret = fs::read_to_string(password)
                    .wrap_err_with(|| format!("cannot read the password file {}", password.display()))?;
                PrivateKeySigner::decrypt_keystore(keystore, secret.trim_end_matches(['\r', '\n'])).wrap_err_with(
                    || format!("cannot open the keystore {}: wrong password or no keystore", keystore.display()),
                )
            }
            _ => bail!("no account: give --account.key-file, or --account.keystore with --account.password-file"),
        }
    }
}

/// Both together.
#[derive(Args, Clone, Debug)]
pub struct SenderFlags {
    #[command(flatten)]
    l1: L1Flags,
    #[command(flatten)]
    account: AccountFlags,
}

/// Ready to send transactions.
#[derive(Debug)]
pub struct Sender {
    /// Signs for `account`.
    pub provider: DynProvider,
    /// Where the contracts are.
    pub deployment: Deployment,
    /// Who signs.
    pub account: Address,
}

impl SenderFlags {
    /// Where L1 is.
    pub const fn l1(&self) -> &L1Flags {
        &self.l1
    }

    /// Reads the account and connects.
    ///
    /// # Errors
    /// If the account cannot be read, or L1 does not answer or is another chain.
    pub async fn sender(&self) -> Result<Sender> {
        let signer = self.account.signer()?;
        let deployment = self.l1.deployment()?;
        let url = self.l1.url()?;
        let provider = founding::wallet(&url, std::slice::from_ref(&signer));
        check_chain(&provider, &url, &deployment).await?;
        Ok(Sender { provider, deployment, account: signer.address() })
    }

    /// The account and the endpoint, where nothing is deployed yet.
    ///
    /// # Errors
    /// As [`Self::sender`].
    pub fn account_and_url(&self) -> Result<(PrivateKeySigner, Url)> {
        Ok((self.account.signer()?, self.l1.url()?))
    }
}

/// Refuses an L1 that is another chain than the deployment's.
///
/// # Errors
/// If L1 does not answer or is another chain.
pub async fn check_chain(provider: &impl Provider, url: &Url, deployment: &Deployment) -> Result<()> {
    let actual = provider
        .get_chain_id()
        .await
        .wrap_err_with(|| format!("L1 does not answer at {url}: check the address and that the node runs"))?;
    ensure!(
        actual == deployment.l1_chain_id,
        "wrong L1: {url} is chain {actual}, the deployment is on chain {}; give the right --l1.url or --deployment",
        deployment.l1_chain_id
    );
    Ok(())
}

/// A sequencer's standing in the pool: `ISequencerPool.Status` by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// No keys yet.
    None,
    /// Keys registered, not in the active set.
    Registered,
    /// In the next snapshot.
    Active,
    /// Kept out for a time.
    Jailed,
    /// A value that this release does not know.
    Unknown,
}

impl Standing {
    /// As printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "no keys",
            Self::Registered => "registered",
            Self::Active => "active",
            Self::Jailed => "jailed",
            Self::Unknown => "unknown",
        }
    }
}

impl From<u8> for Standing {
    fn from(value: u8) -> Self {
        match value {
            0 => Self::None,
            1 => Self::Registered,
            2 => Self::Active,
            3 => Self::Jailed,
            _ => Self::Unknown,
        }
    }
}

/// A transaction that was mined, as printed by every verb that sends one.
#[derive(Clone, Debug, Serialize)]
pub struct Done {
    /// What was done.
    pub what: String,
    /// Its hash.
    pub transaction: TxHash,
    /// L1 block.
    pub block: u64,
    /// Gas it used.
    pub gas: u64,
}

/// Waits for a sent call; a revert becomes its named error.
///
/// # Errors
/// If the contract refuses, with its error by name and figures.
pub async fn mined(
    what: &str,
    sent: Result<PendingTransactionBuilder<Ethereum>, ContractError>,
) -> Result<TransactionReceipt> {
    let pending = sent.map_err(|error| eyre!("{what}: {}", explain(&error)))?;
    let receipt = pending.get_receipt().await.wrap_err_with(|| format!("{what}: no receipt"))?;
    ensure!(receipt.status(), "{what}: transaction {} failed on L1", receipt.transaction_hash);
    Ok(receipt)
}

impl Done {
    /// From a receipt.
    pub fn new(what: String, receipt: &TransactionReceipt) -> Self {
        Self {
            what,
            transaction: receipt.transaction_hash,
            block: receipt.block_number.unwrap_or_default(),
            gas: receipt.gas_used,
        }
    }

    /// One line for people.
    pub fn line(&self) -> String {
        format!("{} (transaction {}, L1 block {})", self.what, self.transaction, self.block)
    }
}

/// An amount of tokens or ether as a decimal, to base units.
///
/// # Errors
/// If it is no decimal number with at most 18 digits after the point.
pub fn amount(text: &str) -> Result<u128, String> {
    let wei: U256 =
        parse_ether(text).map_err(|_| format!("`{text}` is no amount: expected a decimal such as 20000 or 0.5"))?;
    wei.try_into().map_err(|_| format!("`{text}` is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_decimals_of_eighteen_digits() {
        assert_eq!(amount("0.5"), Ok(500_000_000_000_000_000));
        assert_eq!(amount("20000"), Ok(20_000 * 10u128.pow(18)));
        assert!(amount("much").unwrap_err().contains("decimal"));
    }
}
