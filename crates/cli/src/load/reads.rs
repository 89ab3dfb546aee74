//! Reads beside a load, by a timetable: what wallets and explorers ask while others send.

use super::{Client, percentile};
use alloy::primitives::{Address, B256};
use eyre::Result;
use futures::future::try_join_all;
use serde::Serialize;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use url::Url;

/// Connections of the readers.
const LANES: u32 = 8;

/// What is read, in turn.
#[derive(Clone, Debug)]
pub struct Subjects {
    /// Whose balances.
    pub accounts: Vec<Address>,
    /// The contract that is called; its balances of the accounts.
    pub token: Address,
    /// Whose receipts.
    pub transactions: Vec<B256>,
}

/// How readers fared.
#[derive(Clone, Debug, Serialize)]
pub struct Reads {
    /// Answered per second.
    pub per_second: f64,
    /// Answers that were errors, or null.
    pub errors: usize,
    /// Median from the time by the timetable to the answer, ms.
    pub p50_ms: f64,
    /// 99th percentile of the same.
    pub p99_ms: f64,
}

/// Reads `rate` times a second until `stop`.
///
/// # Errors
/// If a connection fails.
pub async fn read(http: Url, rate: u32, subjects: Subjects, stop: CancellationToken) -> Result<Reads> {
    let began = Instant::now();
    let lanes = (0..LANES).map(|lane| {
        let (http, subjects, stop) = (http.clone(), subjects.clone(), stop.clone());
        tokio::spawn(async move { self::lane(&http, lane, rate, &subjects, &stop).await })
    });
    let mut times = Vec::new();
    let mut errors = 0;
    for lane in try_join_all(lanes).await? {
        let (more, failed) = lane?;
        times.extend(more);
        errors += failed;
    }
    times.sort_unstable();
    Ok(Reads {
        per_second: times.len() as f64 / began.elapsed().as_secs_f64().max(1e-9),
        errors,
        p50_ms: percentile(&times, 50),
        p99_ms: percentile(&times, 99),
    })
}

async fn lane(
    http: &Url,
    lane: u32,
    rate: u32,
    subjects: &Subjects,
    stop: &CancellationToken,
) -> Result<(Vec<Duration>, usize)> {
    let mut client = Client::connect(http).await?;
    let pause = Duration::from_secs_f64(f64::from(LANES) / f64::from(rate.max(1)));
    // Lanes take turns.
    let start = tokio::time::Instant::now() + pause * lane / LANES;
    let mut ticks = tokio::time::interval_at(start, pause);
    let (mut times, mut errors) = (Vec::new(), 0);
    for turn in (0usize..).map(|turn| turn * LANES as usize + lane as usize) {
        let at = tokio::select! {
            () = stop.cancelled() => break,
            at = ticks.tick() => at,
        };
        let answer = client.post(body(subjects, turn).into()).await?;
        times.push(at.elapsed());
        let answer = std::str::from_utf8(&answer).unwrap_or_default();
        errors += usize::from(!answer.contains(r#""result":"#) || answer.contains(r#""result":null"#));
    }
    Ok((times, errors))
}

fn body(subjects: &Subjects, turn: usize) -> String {
    let account = subjects.accounts[turn % subjects.accounts.len()];
    let (method, params) = match turn % 3 {
        0 => ("eth_getBalance", format!(r#"["{account}","latest"]"#)),
        1 => {
            let data = format!("0x70a08231{:0>64}", alloy::hex::encode(account));
            ("eth_call", format!(r#"[{{"to":"{}","data":"{data}"}},"latest"]"#, subjects.token))
        }
        _ => {
            let hash = subjects.transactions[turn % subjects.transactions.len()];
            ("eth_getTransactionReceipt", format!(r#"["{hash}"]"#))
        }
    };
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
}
