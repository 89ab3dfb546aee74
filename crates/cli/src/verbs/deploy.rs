//! `baton deploy`, `baton start`: bring a Baton to life.

use super::l1::{Done, SenderFlags};
use crate::{
    founding::{self, Founding},
    output::{Format, Table},
};
use alloy::primitives::{Address, U256};
use baton_bindings::{ChainParameters, Deployment, Powers};
use baton_primitives::SequencerId;
use clap::Args;
use eyre::{Result, WrapErr, eyre};
use std::{fs, path::PathBuf};

/// `baton deploy`.
#[derive(Args, Debug)]
pub struct Deploy {
    #[command(flatten)]
    sender: SenderFlags,
    /// JSON file with the chain parameters; the devnet's if not given.
    #[arg(long, value_name = "FILE")]
    parameters: Option<PathBuf>,
    /// Receives the treasury's share; the deployer if not given.
    #[arg(long)]
    treasury: Option<Address>,
    /// Changes parameters, after the delay; the deployer if not given.
    #[arg(long)]
    governor: Option<Address>,
    /// Pauses entry, at once; the governor if not given.
    #[arg(long)]
    guardian: Option<Address>,
    /// Seconds between the announcement of a change of parameters and its execution; the unbonding time if not given.
    #[arg(long, value_name = "SECONDS")]
    governance_delay: Option<u32>,
    /// Directory for the deployment file, `<L1 chain id>.json`.
    #[arg(long, default_value = "deployments", value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    format: Format,
}

/// `baton start`.
#[derive(Args, Debug)]
pub struct Start {
    #[command(flatten)]
    sender: SenderFlags,
    /// Ids of the founding sequencers, staked and registered.
    #[arg(long, value_delimiter = ',', required = true)]
    members: Vec<u64>,
    #[command(flatten)]
    format: Format,
}

/// Deploys the contracts and writes the deployment file.
///
/// # Errors
/// If a parameter is out of bounds or L1 refuses.
pub async fn deploy(v: &Deploy) -> Result<()> {
    let (deployer, url) = v.sender.account_and_url()?;
    let parameters = match &v.parameters {
        None => ChainParameters::devnet(),
        Some(path) => {
            let text = fs::read_to_string(path).wrap_err_with(|| format!("cannot read {}", path.display()))?;
            serde_json::from_str(&text).wrap_err_with(|| format!("{} holds no chain parameters", path.display()))?
        }
    };
    let governor = v.governor.unwrap_or_else(|| deployer.address());
    let usual = Powers::of(governor, &parameters);
    let powers =
        Powers { guardian: v.guardian.unwrap_or(governor), delay: v.governance_delay.unwrap_or(usual.delay), ..usual };
    let founding = Founding {
        parameters,
        powers,
        treasury: v.treasury.unwrap_or_else(|| deployer.address()),
        deployer,
        founders: Vec::new(),
        poster_funds: U256::ZERO,
        tokens: Vec::new(),
    };
    let deployment = founding::deploy_contracts(&url, &founding).await?;
    let path = Deployment::path_in(&v.out, deployment.l1_chain_id);
    deployment.save(&path)?;
    v.format.print(&deployment, |d| {
        let mut table = Table::plain();
        for (name, address) in d.addresses.named() {
            table.row([name.into(), address.to_string()]);
        }
        format!(
            "{}\nwritten to {}; next: stake and register the founders, then `baton start`",
            table.render(),
            path.display()
        )
    })?;
    Ok(())
}

/// Starts the chain with its founding set.
///
/// # Errors
/// If the inbox refuses: not the deployer, started already, genesis too old, a founder without keys or stake.
pub async fn start(v: &Start) -> Result<()> {
    let s = v.sender.sender().await?;
    let members: Vec<_> = v.members.iter().map(|id| SequencerId::new(*id)).collect();
    let receipt = baton_bindings::start(&s.provider, &s.deployment, &members).await.map_err(|error| eyre!(error))?;
    let done = Done::new(format!("the chain is started with {} sequencers", members.len()), &receipt);
    v.format.print(&done, Done::line)?;
    Ok(())
}
