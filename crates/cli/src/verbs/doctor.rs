//! `baton doctor`: checks an installation before it is started, and says how to mend it.

use super::{l1::Standing, node::NodeFlags};
use crate::{
    chain,
    output::{Format, Table, ether},
};
use alloy::{
    eips::BlockNumberOrTag,
    primitives::{U256, utils::parse_ether},
    providers::{DynProvider, Provider},
};
use baton_bindings::{
    Deployment,
    contracts::{Parameters, SequencerPool, Staking},
};
use baton_node::{Config, OperatorKeys};
use clap::Args;
use eyre::{Result, bail};
use serde::Serialize;
use std::{
    net::{SocketAddr, TcpListener},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::timeout;

const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How far the newest L1 block's time may be from ours, seconds.
const CLOCK_TOLERANCE: u64 = 30;

/// `baton doctor`: the flags of the node to be checked.
#[derive(Args, Debug)]
pub struct Doctor {
    #[command(flatten)]
    node: NodeFlags,
    /// Postgres to check too.
    #[arg(long = "database.url", env = "BATON_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// One check.
#[derive(Debug, Serialize)]
struct Finding {
    check: String,
    ok: bool,
    detail: String,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, check: &str, result: Result<String, String>) -> bool {
        let ok = result.is_ok();
        let detail = result.unwrap_or_else(|problem| problem);
        self.0.push(Finding { check: check.into(), ok, detail });
        ok
    }
}

/// Runs every check that can be run.
///
/// # Errors
/// If one fails; all findings are printed before.
pub async fn run(v: &Doctor) -> Result<()> {
    let config = v.node.config();
    let mut findings = Findings::default();
    findings.add("settings", config.validate().map(|()| "valid".into()).map_err(|e| e.to_string()));
    let deployment = Deployment::load(&config.deployment);
    findings.add(
        "deployment",
        deployment
            .as_ref()
            .map(|d| format!("L1 chain {}, L2 chain {}", d.l1_chain_id, d.parameters.l2_chain_id))
            .map_err(ToString::to_string),
    );
    let keys = config.keys.as_ref().map(|dir| OperatorKeys::load(dir));
    if let Some(keys) = &keys {
        findings
            .add("keys", keys.as_ref().map(|k| format!("poster {}", k.poster.address())).map_err(ToString::to_string));
    }
    findings.add("data directory", writable(&config));
    findings.add("RPC port", free(config.rpc.addr, "--rpc.addr"));
    if config.keys.is_some() {
        findings.add("peer port", free(config.p2p.addr, "--p2p.addr"));
    }
    if let Ok(deployment) = &deployment {
        for url in &config.l1.url {
            l1(&mut findings, url, deployment, keys.as_ref().and_then(|k| k.as_ref().ok())).await;
        }
    }
    if let Some(url) = &v.database_url {
        findings.add("Postgres", postgres(url).await);
    }
    let failed = findings.0.iter().filter(|f| !f.ok).count();
    v.format.print(&findings.0, |all| {
        let mut table = Table::plain();
        for f in all {
            table.row([if f.ok { "ok" } else { "FAILED" }.into(), f.check.clone(), f.detail.clone()]);
        }
        table.render()
    })?;
    if failed > 0 {
        bail!("{failed} of {} checks failed", findings.0.len());
    }
    Ok(())
}

fn writable(config: &Config) -> Result<String, String> {
    let dir = &config.data_dir;
    let probe = dir.join(".doctor");
    let result = std::fs::create_dir_all(dir)
        .and_then(|()| std::fs::write(&probe, b"x"))
        .and_then(|()| std::fs::remove_file(&probe));
    match result {
        Ok(()) => Ok(dir.display().to_string()),
        Err(error) => {
            Err(format!("cannot write to {}: {error}; choose another --data-dir or change its owner", dir.display()))
        }
    }
}

fn free(address: SocketAddr, flag: &str) -> Result<String, String> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(format!("{address} is free")),
        Err(error) => Err(format!("{address} cannot be used: {error}; stop what uses it or choose another {flag}")),
    }
}

async fn l1(findings: &mut Findings, url: &url::Url, deployment: &Deployment, keys: Option<&OperatorKeys>) {
    let provider = if url.scheme().starts_with("ws") {
        match timeout(ANSWER_WITHIN, chain::ws(url)).await {
            Ok(Ok(provider)) => provider,
            Ok(Err(error)) => {
                findings.add("L1", Err(format!("{error:#}: check --l1.url and that the L1 node runs")));
                return;
            }
            Err(_) => {
                findings.add(
                    "L1",
                    Err(format!(
                        "{url} gives no answer within {ANSWER_WITHIN:?}: check --l1.url and that the L1 node runs"
                    )),
                );
                return;
            }
        }
    } else {
        chain::http(url)
    };
    let id = timeout(ANSWER_WITHIN, provider.get_chain_id()).await;
    let reached = findings.add(
        "L1",
        match id {
            Ok(Ok(id)) if id == deployment.l1_chain_id => Ok(format!("{url} is chain {id}")),
            Ok(Ok(id)) => Err(format!(
                "{url} is chain {id}, the deployment is on chain {}: give the right --l1.url or --deployment",
                deployment.l1_chain_id
            )),
            Ok(Err(error)) => Err(format!("{url}: {error}: check --l1.url and that the L1 node runs")),
            Err(_) => {
                Err(format!("{url} gives no answer within {ANSWER_WITHIN:?}: check --l1.url and that the L1 node runs"))
            }
        },
    );
    if !reached {
        return;
    }
    findings.add("clock", clock(&provider).await);
    findings.add("contracts", contracts(&provider, deployment).await);
    if let Some(keys) = keys {
        findings.add("registration", registration(&provider, deployment, keys).await);
        findings.add("poster funds", funds(&provider, keys).await);
    }
}

async fn clock(provider: &DynProvider) -> Result<String, String> {
    let block = provider.get_block_by_number(BlockNumberOrTag::Latest).await.map_err(|e| e.to_string())?;
    let at = block.map(|b| b.header.timestamp).unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map(|d| d.as_secs()).unwrap_or_default();
    if now.abs_diff(at) <= CLOCK_TOLERANCE {
        Ok(format!("{} s from the newest L1 block", now.abs_diff(at)))
    } else {
        Err(format!(
            "{} s from the newest L1 block: set this machine's clock (NTP), or wait until the L1 node has caught up",
            now.abs_diff(at)
        ))
    }
}

async fn contracts(provider: &DynProvider, deployment: &Deployment) -> Result<String, String> {
    let parameters = Parameters::new(deployment.addresses.parameters, provider);
    let values = parameters.values().call().await.map_err(|e| {
        format!("no contracts at the deployment's addresses ({e}): give the --deployment of this L1, or deploy again")
    })?;
    parameters_fit(deployment, &baton_bindings::ChainParameters::from(&values))
}

/// What governance may change may differ from the file; the rest may not.
fn parameters_fit(deployment: &Deployment, contract: &baton_bindings::ChainParameters) -> Result<String, String> {
    let differences = deployment.parameters.differences(contract);
    let (changed, wrong): (Vec<_>, Vec<_>) = differences.into_iter().partition(|difference| difference.governed);
    let list = |all: &[baton_bindings::Difference]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if !wrong.is_empty() {
        return Err(format!(
            "the contracts are not of the deployment file: {}; get the file of this deployment",
            list(&wrong)
        ));
    }
    let text = "parameters are those of the deployment file";
    Ok(if changed.is_empty() {
        text.into()
    } else {
        format!("{text}, but for what governance changed: {}", list(&changed))
    })
}

async fn registration(provider: &DynProvider, deployment: &Deployment, keys: &OperatorKeys) -> Result<String, String> {
    let staking = Staking::new(deployment.addresses.staking, provider);
    let pool = SequencerPool::new(deployment.addresses.pool, provider);
    let count = staking.sequencerCount().call().await.map_err(|e| e.to_string())?;
    let mut total = U256::ZERO;
    let mut own = None;
    for id in 1..=count {
        let stake = U256::from(staking.sequencer(id).call().await.map_err(|e| e.to_string())?.stake);
        let entry = pool.entry(id).call().await.map_err(|e| e.to_string())?;
        if Standing::from(entry.status) == Standing::Active {
            total += stake;
        }
        if entry.keys.identity == keys.identity.public().0 {
            own = Some((id, stake, entry));
        }
    }
    let Some((id, stake, entry)) = own else {
        return Err(
            "these keys are registered for no sequencer: stake with `baton stake`, then `baton register`".into()
        );
    };
    if entry.keys.blsKey[..] != keys.vote.public().to_eip2537() || entry.keys.operator != keys.poster.address() {
        return Err(format!(
            "sequencer {id} is registered with another vote key or poster: use its key directory, or `baton register` these"
        ));
    }
    match Standing::from(entry.status) {
        Standing::Active => {
            let third = if stake * U256::from(3) >= total {
                "; it holds a third of the stake or more: without it nothing is posted"
            } else {
                ""
            };
            Ok(format!("sequencer {id}, active, stake {}, {}{third}", ether(stake), entry.keys.endpoint))
        }
        Standing::Jailed => Err(format!(
            "sequencer {id} is jailed until {} (Unix time): wait, then `baton activate`",
            entry.jailedUntil
        )),
        Standing::Registered | Standing::None | Standing::Unknown => Err(format!(
            "sequencer {id} is registered but not active: start the node and run `baton activate --id {id}`"
        )),
    }
}

async fn funds(provider: &DynProvider, keys: &OperatorKeys) -> Result<String, String> {
    let address = keys.poster.address();
    let balance = provider.get_balance(address).await.map_err(|e| e.to_string())?;
    let enough = parse_ether("0.1").unwrap_or_default();
    if balance >= enough {
        Ok(format!("{} ether at {address}", ether(balance)))
    } else {
        Err(format!(
            "{} ether at {address}: send it at least {} ether on L1, it pays for batches and is repaid",
            ether(balance),
            ether(enough)
        ))
    }
}

async fn postgres(url: &str) -> Result<String, String> {
    use sqlx::Connection;
    match timeout(ANSWER_WITHIN, sqlx::PgConnection::connect(url)).await {
        Ok(Ok(connection)) => {
            let _ = connection.close().await;
            Ok("answers".into())
        }
        Ok(Err(error)) => Err(format!("{error}: check --database.url and that the server runs")),
        Err(_) => Err(format!("no answer within {ANSWER_WITHIN:?}: check --database.url and that the server runs")),
    }
}
