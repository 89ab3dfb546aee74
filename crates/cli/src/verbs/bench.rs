//! `baton bench`: the same load against Anvil, one node and four, in one run.
//!
//! Each target is measured three times a round: one by one and in batches, as fast as answers come, for throughput; and paced,
//! for latency. The medians over the rounds are reported.

use crate::{
    anvil::{self, Anvil, AnvilOptions},
    chain,
    devnet::cluster::{Cluster, ClusterPlan, USERS},
    load::{self, Report, Shape},
    output::{Format, out},
};
use alloy::{primitives::utils::parse_ether, providers::Provider, signers::local::PrivateKeySigner};
use clap::Args;
use eyre::{Result, WrapErr, ensure};
use serde::Serialize;
use std::{path::Path, time::Duration};
use url::Url;

const PATIENCE: Duration = Duration::from_secs(20);
const GRACE: Duration = Duration::from_secs(8);
/// Transfers of one account in a measurement: below what pools let an account have waiting.
const EACH: usize = 8;
/// Accounts at most.
const MOST: usize = 5_000;
/// Wei of each account.
const FUNDS: u64 = 100_000_000_000_000_000;

/// `baton bench`.
#[derive(Args, Debug)]
pub struct Bench {
    /// Transfers of one measurement of throughput.
    #[arg(long, default_value_t = 20_000)]
    transfers: usize,
    /// Transfers of one paced measurement.
    #[arg(long, default_value_t = 500)]
    paced_transfers: usize,
    /// Transfers per second of the paced measurement.
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// Connections.
    #[arg(long, default_value_t = 16)]
    lanes: usize,
    /// Transfers in one HTTP request of the measurement in batches.
    #[arg(long, default_value_t = 100)]
    batch: usize,
    /// Rounds; medians are reported.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// What is measured.
    #[arg(long, value_delimiter = ',', default_value = "anvil,one,four")]
    targets: Vec<Target>,
    #[command(flatten)]
    format: Format,
}

/// What is measured.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Target {
    /// Anvil with a block a second, where it includes most; its latency is measured with a block a transaction.
    Anvil,
    /// A set of one node.
    One,
    /// A set of four nodes.
    Four,
}

/// Medians of one target and load.
#[derive(Debug, Serialize)]
struct Row {
    target: Target,
    load: &'static str,
    rounds: usize,
    accepted_per_second: f64,
    included_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    refused: usize,
    missing: usize,
    /// The first refusal's text.
    refusal: Option<String>,
}

/// Measures every target and prints a table (Markdown) or JSON.
///
/// # Errors
/// If a target does not start or an endpoint fails.
pub async fn run(v: &Bench) -> Result<()> {
    ensure!(v.rounds > 0 && v.lanes > 0 && v.lanes <= 256, "give at least one round and 1 to 256 lanes");
    let home = tempfile::Builder::new().prefix("baton-bench-").tempdir()?;
    let mut rows = Vec::new();
    for target in &v.targets {
        let dir = home.path().join(format!("{target:?}").to_lowercase());
        std::fs::create_dir_all(&dir)?;
        rows.extend(measure(v, *target, &dir).await.wrap_err_with(|| format!("{target:?}"))?);
    }
    v.format.print(&rows, |rows| markdown(rows))?;
    Ok(())
}

async fn measure(v: &Bench, target: Target, dir: &Path) -> Result<Vec<Row>> {
    let nodes = match target {
        Target::Anvil => {
            let mut rows = Vec::new();
            for (block_time, loads) in [(Some(1), &THROUGHPUT[..]), (None, &LATENCY[..])] {
                let options = AnvilOptions { block_time, port: None, ..AnvilOptions::default() };
                let mut l1 = Anvil::start(dir, &options).await?;
                let measured = rounds(v, target, &l1.url(), &l1.ws_url(), loads).await;
                l1.process.stop(GRACE).await;
                rows.extend(measured?);
            }
            return Ok(rows);
        }
        Target::One => 1,
        Target::Four => 4,
    };
    let mut plan = ClusterPlan { sequencers: nodes, log_filter: "warn".into(), ..ClusterPlan::new(dir) };
    // What is sequenced here at full speed takes L1 longer to carry: no limit is to stop it in the middle of a measurement.
    plan.parameters.unposted_limit = 1_800;
    plan.parameters.stall_time = 3_600;
    plan.parameters.certificate_life = 6_000;
    plan.parameters.unbonding = 7_200;
    let cluster = Cluster::start(plan, |line| tracing::debug!("{line}")).await?;
    let entry = &cluster.nodes[0].plan;
    let (http, ws) = (entry.http(), entry.ws());
    let funder = anvil::account(USERS)?;
    cluster.deposit(std::slice::from_ref(&funder), parse_ether("1000")?).await?;
    chain::wait_balance(&ws, funder.address(), parse_ether("1000")?, Duration::from_secs(60)).await?;
    // Every member has then loaded what it commits to blobs with, which takes more than a second once in its life.
    for node in &cluster.nodes {
        posted(&node.plan.http(), &node.plan.ws()).await?;
    }
    let rows = rounds(v, target, &http, &ws, &[&THROUGHPUT[..], &LATENCY[..]].concat()).await;
    cluster.stop(GRACE).await;
    rows
}

/// Waits until the node knows of a posted batch.
async fn posted(http: &Url, ws: &Url) -> Result<()> {
    let provider = chain::http(http);
    let status = || async {
        let status: serde_json::Value = provider.raw_request("rollup_syncStatus".into(), ()).await?;
        Ok((status["batch"].as_str() != Some("0x0")).then_some(()))
    };
    chain::wait_for(ws, "the first batch on L1", Duration::from_secs(120), status).await
}

/// A load by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    OneByOne,
    Batches,
    Paced,
}

const THROUGHPUT: [Load; 2] = [Load::OneByOne, Load::Batches];
const LATENCY: [Load; 1] = [Load::Paced];

impl Load {
    const fn name(self) -> &'static str {
        match self {
            Self::OneByOne => "one by one",
            Self::Batches => "batches",
            Self::Paced => "paced",
        }
    }

    const fn shape(self, v: &Bench) -> Shape {
        let (transfers, lanes) = (v.transfers, v.lanes);
        match self {
            Self::OneByOne => Shape { transfers, lanes, batch: 1, rate: None },
            Self::Batches => Shape { transfers, lanes, batch: v.batch, rate: None },
            Self::Paced => Shape { transfers: v.paced_transfers, lanes, batch: 1, rate: Some(v.rate) },
        }
    }
}

async fn rounds(v: &Bench, target: Target, http: &Url, ws: &Url, loads: &[Load]) -> Result<Vec<Row>> {
    let accounts: Vec<_> =
        (0..v.transfers.div_ceil(EACH).clamp(v.lanes, MOST)).map(|_| PrivateKeySigner::random()).collect();
    load::disperse(http, &anvil::account(USERS)?, &accounts, FUNDS).await.wrap_err("funding the accounts")?;
    let mut rows = Vec::new();
    for load in loads {
        let mut reports = Vec::new();
        for _ in 0..v.rounds {
            reports.push(load::run(http, ws, &accounts, &load.shape(v), PATIENCE).await?);
        }
        rows.push(medians(target, load.name(), &reports));
    }
    Ok(rows)
}

fn medians(target: Target, load: &'static str, reports: &[Report]) -> Row {
    let median = |value: fn(&Report) -> f64| {
        let mut values: Vec<f64> = reports.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Row {
        target,
        load,
        rounds: reports.len(),
        accepted_per_second: median(|r| r.accepted_per_second),
        included_per_second: median(|r| r.included_per_second),
        p50_ms: median(|r| r.p50_ms),
        p99_ms: median(|r| r.p99_ms),
        refused: reports.iter().map(|r| r.refused).sum(),
        missing: reports.iter().map(|r| r.accepted.saturating_sub(r.included)).sum(),
        refusal: reports.iter().find_map(|r| r.refusal.clone()),
    }
}

fn markdown(rows: &[Row]) -> String {
    let mut text = String::from(
        "| target | load | accepted/s | included/s | p50 ms | p99 ms | refused | missing | rounds |\n|---|---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for r in rows {
        text += &format!(
            "| {:?} | {} | {:.0} | {:.0} | {:.1} | {:.1} | {} | {} | {} |\n",
            r.target,
            r.load,
            r.accepted_per_second,
            r.included_per_second,
            r.p50_ms,
            r.p99_ms,
            r.refused,
            r.missing,
            r.rounds
        );
    }
    for reason in rows.iter().filter_map(|r| r.refusal.as_ref()) {
        text += &format!("\nfirst refusal: {reason}");
    }
    text
}

/// Says what is measured, for the log of a long run.
pub fn announce(v: &Bench) {
    if !v.format.json {
        out(&format!(
            "{} transfers one by one and in batches of {}, {} at {}/s (paced), {} connections, {} rounds each",
            v.transfers, v.batch, v.paced_transfers, v.rate, v.lanes, v.rounds
        ));
    }
}
