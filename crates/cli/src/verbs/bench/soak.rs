//! A load for minutes, and a restart: what only time shows.

use super::PATIENCE;
use crate::{
    devnet::nodes::Node,
    load::{self, Report, Shape},
};
use alloy::{
    providers::{Provider, ProviderBuilder},
    signers::local::PrivateKeySigner,
};
use eyre::{Result, ensure};
use serde::Serialize;
use std::time::{Duration, Instant};
use url::Url;

const READY: Duration = Duration::from_secs(60);

/// One minute of a soak.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Minute {
    /// What was measured.
    pub(super) report: Report,
    /// Accepted, but in no block: a gap in its account's nonces.
    pub(super) missing: usize,
    /// Resident memory of each node, MB.
    pub(super) resident_mb: Vec<u64>,
}

/// Sends `shape` again and again; each minute's transactions are signed while the one before is sent.
///
/// # Errors
/// If an endpoint fails, or an account's nonce is not what its transactions make it.
pub(super) async fn run(
    http: &Url,
    ws: &Url,
    accounts: &[PrivateKeySigner],
    shape: &Shape,
    minutes: u32,
    pids: &[i32],
) -> Result<Vec<Minute>> {
    let mut nonces = load::nonces(http, accounts).await?;
    let mut prepared = load::prepare(http, accounts, &nonces, shape).await?;
    let mut seen = Vec::new();
    for minute in 0..minutes {
        for (index, nonce) in nonces.iter_mut().enumerate() {
            let turns = shape.transfers / accounts.len() + usize::from(index < shape.transfers % accounts.len());
            *nonce += turns as u64;
        }
        let next = async {
            if minute + 1 < minutes { load::prepare(http, accounts, &nonces, shape).await.map(Some) } else { Ok(None) }
        };
        let (report, next) = tokio::join!(load::drive(http, ws, prepared, shape, PATIENCE), next);
        let report = report?;
        let missing = report.accepted.saturating_sub(report.included);
        seen.push(Minute { report, missing, resident_mb: pids.iter().map(|pid| resident_mb(*pid)).collect() });
        let Some(next) = next? else { break };
        prepared = next;
    }
    ensure!(load::nonces(http, accounts).await? == nonces, "an account's nonce is not what its transactions make it");
    Ok(seen)
}

/// Resident memory of a process, MB; 0 if it cannot be told.
fn resident_mb(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1_000
}

/// Stops a node and starts it again; the ms from the start of its process until JSON-RPC answers, and its height then.
///
/// # Errors
/// If it does not come back.
pub(super) async fn restart(node: &mut Node, grace: Duration) -> Result<(f64, u64)> {
    node.process.stop(grace).await;
    let start = Instant::now();
    node.respawn()?;
    node.ready(READY).await?;
    let ms = start.elapsed().as_secs_f64() * 1_000.0;
    Ok((ms, ProviderBuilder::new().connect_http(node.plan.http()).get_block_number().await?))
}

/// A table by minute, and how far the last tenth of the minutes is from the first.
pub(super) fn markdown(minutes: &[Minute]) -> String {
    let mut text = String::from(
        "| minute | included/s | p50 ms | p99 ms | refused | missing | MB resident |\n|---:|---:|---:|---:|---:|---:|---|\n",
    );
    for (number, minute) in minutes.iter().enumerate() {
        let r = &minute.report;
        text += &format!(
            "| {} | {:.0} | {:.1} | {:.1} | {} | {} | {:?} |\n",
            number + 1,
            r.included_per_second,
            r.p50_ms,
            r.p99_ms,
            r.refused,
            minute.missing,
            minute.resident_mb
        );
    }
    let tenth = minutes.len().div_ceil(10);
    let mean = |some: &[Minute], value: fn(&Minute) -> f64| some.iter().map(value).sum::<f64>() / some.len() as f64;
    let drift = |value| {
        let (first, last) = (mean(&minutes[..tenth], value), mean(&minutes[minutes.len() - tenth..], value));
        (last / first - 1.0) * 100.0
    };
    text += &format!(
        "\ndrift: included {:+.1} %, p50 {:+.1} %, p99 {:+.1} %",
        drift(|m| m.report.included_per_second),
        drift(|m| m.report.p50_ms),
        drift(|m| m.report.p99_ms)
    );
    text
}
