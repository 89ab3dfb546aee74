//! `baton bench`: the same load against Anvil, one node and four, in one run.
//!
//! Each target is measured with each load a round: one by one and in batches, as fast as answers come, for throughput; and paced,
//! for latency. The medians over the rounds are reported. More loads on demand: ERC-20 transfers, open-loop at a share of what was
//! included one by one, the same with reads beside it, a long one that looks for drift, and a restart after all of them.

mod soak;

use crate::{
    anvil::{self, Anvil, AnvilOptions},
    chain,
    devnet::cluster::{Cluster, ClusterPlan, USERS},
    load::{
        self, Report, Shape,
        reads::{self, Reads, Subjects},
        token,
    },
    output::{Format, out},
};
use alloy::{
    primitives::{Address, utils::parse_ether},
    providers::Provider,
    signers::local::PrivateKeySigner,
};
use clap::Args;
use eyre::{Result, WrapErr, ensure};
use serde::Serialize;
use soak::Minute;
use std::{path::Path, time::Duration};
use tokio_util::sync::CancellationToken;
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
    #[arg(long, default_value_t = 250)]
    paced_transfers: usize,
    /// Transfers per second of the paced measurement.
    #[arg(long, default_value_t = 50)]
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
    /// The loads. Of the last four, Anvil gets none.
    #[arg(long, value_delimiter = ',', default_value = "one-by-one,batches,paced")]
    loads: Vec<Load>,
    /// Rate of open-loop loads, as a share of what was included one by one.
    #[arg(long, default_value_t = 0.8)]
    rate_share: f64,
    /// Seconds of an open-loop load.
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// Reads per second of the loads with reads.
    #[arg(long, default_value_t = 1_000)]
    reads: u32,
    /// Minutes of the soak.
    #[arg(long, default_value_t = 30)]
    minutes: u32,
    /// Seconds that count as a minute of the soak.
    #[arg(long, default_value_t = 60, hide = true)]
    minute_seconds: u32,
    /// Rate of the soak, as a share of what was included one by one.
    #[arg(long, default_value_t = 0.6)]
    soak_share: f64,
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
    accept_p99_ms: f64,
    included_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    refused: usize,
    missing: usize,
    /// The first refusal's text.
    refusal: Option<String>,
    /// How reads beside the load fared, round by round.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reads: Vec<Reads>,
    /// How a soak went, minute by minute.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    soak: Vec<Minute>,
    /// Of a restart: from the start of the process to its answer, ms, and the height of its chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    restart: Option<(f64, u64)>,
}

impl Row {
    const fn empty(target: Target, load: Load) -> Self {
        Self {
            target,
            load: load.name(),
            rounds: 1,
            accepted_per_second: f64::NAN,
            accept_p99_ms: f64::NAN,
            included_per_second: f64::NAN,
            p50_ms: f64::NAN,
            p99_ms: f64::NAN,
            refused: 0,
            missing: 0,
            refusal: None,
            reads: Vec::new(),
            soak: Vec::new(),
            restart: None,
        }
    }
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
            for (block_time, latency) in [(Some(1), false), (None, true)] {
                let options = AnvilOptions { block_time, port: None, ..AnvilOptions::default() };
                let wanted = |load: &&Load| !load.is_ours() && (**load == Load::Paced) == latency;
                let loads: Vec<Load> = v.loads.iter().filter(wanted).copied().collect();
                if loads.is_empty() {
                    continue;
                }
                let mut l1 = Anvil::start(dir, &options).await?;
                let measured = rounds(v, target, &l1.url(), &l1.ws_url(), &loads, None).await;
                l1.process.stop(GRACE).await;
                rows.extend(measured?);
            }
            return Ok(rows);
        }
        Target::One => 1,
        Target::Four => 4,
    };
    let mut plan = ClusterPlan { sequencers: nodes, log_filter: "warn".into(), ..ClusterPlan::new(dir) };
    // A set that restarts as a whole has nobody to ask for its votes.
    plan.extra = vec!["--trust-journal".into()];
    // What is sequenced here at full speed takes L1 longer to carry: no limit is to stop it in the middle of a measurement.
    plan.parameters.unposted_limit = 1_800;
    plan.parameters.stall_time = 3_600;
    plan.parameters.certificate_life = 6_000;
    plan.parameters.unbonding = 7_200;
    let mut cluster = Cluster::start(plan, |line| tracing::debug!("{line}")).await?;
    let entry = &cluster.nodes[0].plan;
    let (http, ws) = (entry.http(), entry.ws());
    let funder = anvil::account(USERS)?;
    cluster.deposit(std::slice::from_ref(&funder), parse_ether("1000")?).await?;
    chain::wait_balance(&ws, funder.address(), parse_ether("1000")?, Duration::from_secs(60)).await?;
    // Every member has then loaded what it commits to blobs with, which takes more than a second once in its life.
    for node in &cluster.nodes {
        posted(&node.plan.http(), &node.plan.ws()).await?;
    }
    let rows = rounds(v, target, &http, &ws, &v.loads, Some(&mut cluster)).await;
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
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    /// One transfer a request, as fast as answers come.
    OneByOne,
    /// Many transfers a request, as fast as answers come.
    Batches,
    /// One transfer a request, at a low rate.
    Paced,
    /// As one by one, of an ERC-20 token.
    Erc20,
    /// One transfer a request at a share of what was included one by one, by a timetable.
    OpenLoop,
    /// As open-loop, with reads beside it.
    Reads,
    /// As one by one, with reads beside it.
    FullReads,
    /// For minutes at a share of what was included one by one.
    Soak,
    /// A restart of a node.
    Restart,
}

impl Load {
    const fn name(self) -> &'static str {
        match self {
            Self::OneByOne => "one by one",
            Self::Batches => "batches",
            Self::Paced => "paced",
            Self::Erc20 => "ERC-20",
            Self::OpenLoop => "open-loop",
            Self::Reads => "open-loop + reads",
            Self::FullReads => "one by one + reads",
            Self::Soak => "soak",
            Self::Restart => "restart",
        }
    }

    /// Whether only Baton gets it.
    const fn is_ours(self) -> bool {
        matches!(self, Self::OpenLoop | Self::Reads | Self::FullReads | Self::Soak | Self::Restart)
    }

    /// The load's form; `saturation` is what is included one by one.
    fn shape(self, v: &Bench, saturation: f64, token: Address) -> Shape {
        let full = Shape { transfers: v.transfers, lanes: v.lanes, batch: 1, rate: None, token: None };
        match self {
            Self::OneByOne | Self::FullReads | Self::Restart => full,
            Self::Batches => Shape { batch: v.batch, ..full },
            Self::Paced => Shape { transfers: v.paced_transfers, rate: Some(v.rate), ..full },
            Self::Erc20 => Shape { token: Some(token), ..full },
            Self::OpenLoop | Self::Reads => paced(&full, saturation * v.rate_share, v.seconds),
            Self::Soak => paced(&full, saturation * v.soak_share, v.minute_seconds),
        }
    }
}

/// `rate` transfers a second for so many seconds.
fn paced(full: &Shape, rate: f64, seconds: u32) -> Shape {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is small and positive")]
    let rate = rate.clamp(1.0, 1e6) as u32;
    Shape { transfers: rate as usize * seconds as usize, rate: Some(rate), ..full.clone() }
}

/// Measures one target with each load. `cluster` is Baton's.
async fn rounds(
    v: &Bench,
    target: Target,
    http: &Url,
    ws: &Url,
    loads: &[Load],
    mut cluster: Option<&mut Cluster>,
) -> Result<Vec<Row>> {
    // A soak needs as many accounts as there can be: what waits of one account is bounded.
    let least = if loads.contains(&Load::Soak) { MOST } else { v.transfers.div_ceil(EACH) };
    let accounts: Vec<_> = (0..least.clamp(v.lanes, MOST)).map(|_| PrivateKeySigner::random()).collect();
    let funder = anvil::account(USERS)?;
    load::disperse(http, &funder, &accounts, FUNDS).await.wrap_err("funding the accounts")?;
    let needs_token = |load: &Load| matches!(load, Load::Erc20 | Load::Reads | Load::FullReads);
    let token = match loads.iter().any(needs_token) {
        true => token::deploy(http, &funder, &accounts).await.wrap_err("deploying the token")?,
        false => Address::ZERO,
    };
    let mut rows: Vec<Row> = Vec::new();
    let mut saturation = None;
    for load in loads {
        let needs_saturation = matches!(load, Load::OpenLoop | Load::Reads | Load::Soak);
        if needs_saturation && saturation.is_none() {
            let shape = Load::OneByOne.shape(v, 0.0, token);
            saturation = Some(load::run(http, ws, &accounts, &shape, PATIENCE).await?.included_per_second);
        }
        let shape = load.shape(v, saturation.unwrap_or_default(), token);
        match (load, &mut cluster) {
            (Load::Soak, Some(cluster)) => {
                let pids: Vec<i32> = cluster.nodes.iter().map(|node| node.process.id()).collect();
                let minutes = soak::run(http, ws, &accounts, &shape, v.minutes, &pids).await?;
                rows.push(Row { soak: minutes, ..Row::empty(target, *load) });
            }
            (Load::Restart, Some(cluster)) => {
                let restart = Some(soak::restart(&mut cluster.nodes[0], GRACE).await?);
                rows.push(Row { restart, ..Row::empty(target, *load) });
            }
            _ => {
                let mut reports = Vec::new();
                let mut reads = Vec::new();
                for _ in 0..v.rounds {
                    if matches!(load, Load::Reads | Load::FullReads) {
                        let (report, more) = beside(v, http, ws, &accounts, &shape, token).await?;
                        reports.push(report);
                        reads.push(more);
                    } else {
                        reports.push(load::run(http, ws, &accounts, &shape, PATIENCE).await?);
                    }
                }
                let row = Row { reads, ..medians(target, load.name(), &reports) };
                if *load == Load::OneByOne {
                    saturation = Some(row.included_per_second);
                }
                rows.push(row);
            }
        }
    }
    Ok(rows)
}

/// A load with reads beside it.
async fn beside(
    v: &Bench,
    http: &Url,
    ws: &Url,
    accounts: &[PrivateKeySigner],
    shape: &Shape,
    token: Address,
) -> Result<(Report, Reads)> {
    // Something to read the receipts of.
    let few = Shape { transfers: accounts.len().min(1_000), rate: None, ..shape.clone() };
    let nonces = load::nonces(http, accounts).await?;
    let first = load::prepare(http, accounts, &nonces, &few).await?;
    let transactions = first.hashes(few.transfers);
    load::drive(http, ws, first, &few, PATIENCE).await?;
    let nonces = load::nonces(http, accounts).await?;
    let prepared = load::prepare(http, accounts, &nonces, shape).await?;
    let subjects = Subjects { accounts: accounts.iter().map(PrivateKeySigner::address).collect(), token, transactions };
    let stop = CancellationToken::new();
    let reading = tokio::spawn(reads::read(http.clone(), v.reads, subjects, stop.clone()));
    let report = load::drive(http, ws, prepared, shape, PATIENCE).await;
    stop.cancel();
    Ok((report?, reading.await??))
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
        accept_p99_ms: median(|r| r.accept_p99_ms),
        included_per_second: median(|r| r.included_per_second),
        p50_ms: median(|r| r.p50_ms),
        p99_ms: median(|r| r.p99_ms),
        refused: reports.iter().map(|r| r.refused).sum(),
        missing: reports.iter().map(|r| r.accepted.saturating_sub(r.included)).sum(),
        refusal: reports.iter().find_map(|r| r.refusal.clone()),
        reads: Vec::new(),
        soak: Vec::new(),
        restart: None,
    }
}

fn markdown(rows: &[Row]) -> String {
    let mut text = String::from(
        "| target | load | accepted/s | request p99 ms | included/s | p50 ms | p99 ms | refused | missing | rounds |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for r in rows.iter().filter(|r| r.included_per_second.is_finite()) {
        text += &format!(
            "| {:?} | {} | {:.0} | {:.1} | {:.0} | {:.1} | {:.1} | {} | {} | {} |\n",
            r.target,
            r.load,
            r.accepted_per_second,
            r.accept_p99_ms,
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
    for r in rows {
        for reads in &r.reads {
            text += &format!(
                "\nreads beside {:?}, {}: {:.0}/s, p50 {:.1} ms, p99 {:.1} ms, {} errors",
                r.target, r.load, reads.per_second, reads.p50_ms, reads.p99_ms, reads.errors
            );
        }
        if !r.soak.is_empty() {
            text += &format!("\n\n{:?}, soak:\n\n{}", r.target, soak::markdown(&r.soak));
        }
        if let Some((ms, height)) = r.restart {
            text += &format!("\n{:?}: serves {ms:.0} ms after its start, at height {height}", r.target);
        }
    }
    text
}

/// Says what is measured, for the log of a long run.
pub fn announce(v: &Bench) {
    if !v.format.json {
        out(&format!(
            "{:?}: {} transfers, batches of {}, {} at {}/s (paced), {} connections, {} rounds each",
            v.loads, v.transfers, v.batch, v.paced_transfers, v.rate, v.lanes, v.rounds
        ));
    }
}
