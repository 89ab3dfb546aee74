//! Load for a JSON-RPC endpoint, the same for Baton and Anvil: signed transfers, sent one by one or in batches, and a
//! witness that notes when each is in a block.
//!
//! ```text
//! funder -disperse-> accounts -sign ahead-> lanes -HTTP-> endpoint -newHeads (WebSocket)-> witness -> Report
//! ```
#![allow(clippy::wildcard_enum_match_arm, reason = "wide enums of other crates, all others alike")]

use crate::founding;
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718,
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes, TxKind, U256},
    providers::{Provider, ProviderBuilder, WsConnect},
    rpc::types::TransactionRequest,
    signers::{SignerSync, local::PrivateKeySigner},
};
use eyre::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt, future::try_join_all, stream};
use serde::Serialize;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};
use url::Url;

/// A transaction ready to be sent.
#[derive(Clone, Debug)]
pub struct Signed {
    /// Its hash.
    pub hash: B256,
    /// EIP-2718 bytes.
    pub raw: Bytes,
}

/// How the load is made.
#[derive(Clone, Debug, Serialize)]
pub struct Shape {
    /// Transfers in total.
    pub transfers: usize,
    /// Connections; the accounts are shared out among them.
    pub lanes: usize,
    /// Transfers in one HTTP request.
    pub batch: usize,
    /// Transfers per second over all lanes; none sends as fast as answers come.
    pub rate: Option<u32>,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Transfers that the endpoint accepted.
    pub accepted: usize,
    /// Refused ones, with the first reason.
    pub refused: usize,
    /// The first refusal's text.
    pub refusal: Option<String>,
    /// Transfers seen in blocks.
    pub included: usize,
    /// Accepted per second of sending.
    pub accepted_per_second: f64,
    /// Included per second, from the first submission to the last inclusion.
    pub included_per_second: f64,
    /// Median of submission to sight of the block, ms.
    pub p50_ms: f64,
    /// 99th percentile of the same, ms.
    pub p99_ms: f64,
}

/// Sends `wei` from `funder` to each account: contract creations whose init code does nothing else.
///
/// # Errors
/// If the endpoint refuses, or one of them fails.
pub async fn disperse(http: &Url, funder: &PrivateKeySigner, accounts: &[PrivateKeySigner], wei: u64) -> Result<()> {
    // About 37,000 gas an account, below the 2^24 that a transaction may have (EIP-7825).
    const AT_ONCE: usize = 350;
    let wallet = founding::wallet(http, std::slice::from_ref(funder));
    for some in accounts.chunks(AT_ONCE) {
        let mut code = Vec::with_capacity(some.len() * 41);
        for account in some {
            // PUSH1 0 four times, PUSH8 wei, PUSH20 account, GAS, CALL, POP
            code.extend([0x60, 0, 0x60, 0, 0x60, 0, 0x60, 0, 0x67]);
            code.extend(wei.to_be_bytes());
            code.push(0x73);
            code.extend(account.address());
            code.extend([0x5a, 0xf1, 0x50]);
        }
        let total = U256::from(wei) * U256::from(some.len());
        let request =
            TransactionRequest::default().with_deploy_code(code).with_value(total).with_from(funder.address());
        let receipt = wallet.send_transaction(request).await?.get_receipt().await?;
        ensure!(receipt.status(), "funding {} accounts failed", some.len());
    }
    Ok(())
}

/// What a transfer offers, wei per gas.
#[derive(Clone, Copy, Debug)]
pub struct Fees {
    /// At most, in total.
    pub max_fee: u128,
    /// At most, above the base fee.
    pub tip: u128,
}

impl Fees {
    /// A fee cap with next to no tip.
    pub fn cap(max_fee: u128) -> Self {
        Self { max_fee, tip: max_fee.min(1_000_000) }
    }
}

/// Signs one transfer of 1 wei.
///
/// # Errors
/// If signing fails.
pub fn sign_transfer(signer: &PrivateKeySigner, chain_id: u64, nonce: u64, to: Address, fees: Fees) -> Result<Signed> {
    let transaction = TxEip1559 {
        chain_id,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: fees.max_fee,
        max_priority_fee_per_gas: fees.tip,
        to: TxKind::Call(to),
        value: U256::from(1),
        ..TxEip1559::default()
    };
    let signature = signer.sign_hash_sync(&transaction.signature_hash())?;
    let envelope = TxEnvelope::from(transaction.into_signed(signature));
    Ok(Signed { hash: *envelope.tx_hash(), raw: envelope.encoded_2718().into() })
}

/// Sends the load to `http` and watches blocks over `ws`. Ends when every accepted transfer is in a block, or `patience`
/// passes without a new inclusion (the report then says how many are missing).
///
/// # Errors
/// If an endpoint cannot be reached or answers with something that is no JSON-RPC.
pub async fn run(
    http: &Url,
    ws: &Url,
    accounts: &[PrivateKeySigner],
    shape: &Shape,
    patience: Duration,
) -> Result<Report> {
    let provider = ProviderBuilder::new().connect_http(http.clone());
    let chain_id = provider.get_chain_id().await.wrap_err_with(|| format!("{http} does not answer"))?;
    let base_fee = provider.get_gas_price().await?;
    let max_fee = base_fee.saturating_mul(4).max(2_000_000_000);
    let lanes = shape.lanes.clamp(1, accounts.len());
    let nonces: Vec<u64> = stream::iter(accounts)
        .map(|account| provider.get_transaction_count(account.address()).pending().into_future())
        .buffered(16)
        .try_collect()
        .await?;
    let work = {
        let (accounts, transfers) = (accounts.to_vec(), shape.transfers);
        tokio::task::spawn_blocking(move || share_out(&accounts, &nonces, transfers, lanes, chain_id, max_fee))
            .await??
    };

    let sent = Arc::new(AtomicUsize::new(0));
    let (witness, done) = Witness::start(ws, patience).await?;
    let began = Instant::now();
    let pause = shape.rate.map(|rate| {
        let per_lane = f64::from(rate) / lanes as f64;
        Duration::from_secs_f64(shape.batch.max(1) as f64 / per_lane)
    });
    let outcomes = try_join_all(work.into_iter().map(|transactions| {
        let (http, witness, sent) = (http.clone(), witness.clone(), sent.clone());
        tokio::spawn(lane(http, transactions, shape.batch.max(1), pause, witness, sent))
    }))
    .await?;
    let sending = began.elapsed();
    let mut refused = 0;
    let mut refusal = None;
    for outcome in outcomes {
        let (count, reason) = outcome?;
        refused += count;
        refusal = refusal.or(reason);
    }
    let accepted = sent.load(Ordering::SeqCst);
    let _ = witness.send(Note::Expect(accepted)).await;
    drop(witness);
    let seen = done.await.wrap_err("the block subscription ended early")?;

    let mut latencies: Vec<Duration> = seen.iter().map(|(sent, at)| at.saturating_duration_since(*sent)).collect();
    latencies.sort_unstable();
    let last = seen.iter().map(|(_, at)| *at).max().unwrap_or(began);
    let span = last.saturating_duration_since(began).as_secs_f64().max(1e-9);
    Ok(Report {
        accepted,
        refused,
        refusal,
        included: latencies.len(),
        accepted_per_second: accepted as f64 / sending.as_secs_f64().max(1e-9),
        included_per_second: latencies.len() as f64 / span,
        p50_ms: percentile(&latencies, 50),
        p99_ms: percentile(&latencies, 99),
    })
}

/// Signs transfers and shares them out among lanes. An account's transfers are in one lane, in order, as far apart as can be,
/// so that few of them wait in the pool at once.
fn share_out(
    accounts: &[PrivateKeySigner],
    nonces: &[u64],
    transfers: usize,
    lanes: usize,
    chain_id: u64,
    max_fee: u128,
) -> Result<Vec<Vec<Signed>>> {
    let mut work = vec![Vec::with_capacity(transfers.div_ceil(lanes)); lanes];
    let rounds = transfers.div_ceil(accounts.len());
    let turns = (0u64..).take(rounds).flat_map(|round| (0..accounts.len()).map(move |index| (round, index)));
    for (round, index) in turns.take(transfers) {
        let to = Address::repeat_byte(0xba);
        work[index % lanes].push(sign_transfer(
            &accounts[index],
            chain_id,
            nonces[index] + round,
            to,
            Fees::cap(max_fee),
        )?);
    }
    Ok(work)
}

/// One connection: sends its transactions in order, `batch` a request.
async fn lane(
    http: Url,
    transactions: Vec<Signed>,
    batch: usize,
    pause: Option<Duration>,
    witness: mpsc::Sender<Note>,
    sent: Arc<AtomicUsize>,
) -> Result<(usize, Option<String>)> {
    let client = reqwest::Client::builder().pool_max_idle_per_host(1).build()?;
    let mut ticks = pause.map(tokio::time::interval);
    let (mut refused, mut refusal) = (0, None);
    for chunk in transactions.chunks(batch) {
        if let Some(ticks) = &mut ticks {
            ticks.tick().await;
        }
        let at = Instant::now();
        let _ = witness.send(Note::Sent(chunk.iter().map(|t| t.hash).collect(), at)).await;
        let answers = submit(&client, &http, chunk).await?;
        for answer in answers {
            match answer {
                Ok(()) => {
                    sent.fetch_add(1, Ordering::SeqCst);
                }
                Err(reason) => {
                    refused += 1;
                    refusal.get_or_insert(reason);
                }
            }
        }
    }
    Ok((refused, refusal))
}

/// Sends transactions in one HTTP request. Answers, in order, acceptance or the endpoint's reason.
///
/// # Errors
/// If the request fails or the answer is no JSON-RPC.
pub async fn submit(client: &reqwest::Client, http: &Url, transactions: &[Signed]) -> Result<Vec<Result<(), String>>> {
    let call = |(id, t): (usize, &Signed)| {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_sendRawTransaction","params":["{}"]}}"#, t.raw)
    };
    let calls: Vec<String> = transactions.iter().enumerate().map(call).collect();
    let body = if let [one] = calls.as_slice() { one.clone() } else { format!("[{}]", calls.join(",")) };
    let response = client.post(http.clone()).header("content-type", "application/json").body(body).send().await?;
    let answer: serde_json::Value = serde_json::from_slice(&response.bytes().await?)
        .wrap_err_with(|| format!("{http} answered something that is not JSON"))?;
    let verdict = |answer: &serde_json::Value| match answer.get("error") {
        None => Ok(()),
        Some(error) => Err(error.get("message").and_then(|m| m.as_str()).unwrap_or("no message").to_owned()),
    };
    match answer {
        serde_json::Value::Array(mut answers) => {
            answers.sort_by_key(|a| a.get("id").and_then(serde_json::Value::as_u64));
            Ok(answers.iter().map(verdict).collect())
        }
        one @ serde_json::Value::Object(_) => Ok(vec![verdict(&one)]),
        other => bail!("{http} answered {other} instead of a JSON-RPC response"),
    }
}

/// What a lane tells the witness.
enum Note {
    /// These were sent at this moment.
    Sent(Vec<B256>, Instant),
    /// No more are coming; this many were accepted.
    Expect(usize),
}

/// Sees blocks, and remembers when each transaction was sent and seen.
struct Witness;

type Seen = Vec<(Instant, Instant)>;

impl Witness {
    /// Subscribes to heads; the receiver yields (sent, seen) of each included transaction in the end.
    async fn start(ws: &Url, patience: Duration) -> Result<(mpsc::Sender<Note>, oneshot::Receiver<Seen>)> {
        let provider = ProviderBuilder::new()
            .connect_ws(WsConnect::new(ws.to_string()))
            .await
            .wrap_err_with(|| format!("{ws} does not accept a WebSocket"))?;
        let mut heads = provider.subscribe_blocks().await?.into_stream();
        // Full: lanes wait for the witness, which only writes to memory.
        let (notes, mut inbox) = mpsc::channel::<Note>(1_024);
        let (result, done) = oneshot::channel();
        tokio::spawn(async move {
            let mut sent: HashMap<B256, Instant> = HashMap::new();
            let mut early: HashMap<B256, Instant> = HashMap::new();
            let mut seen = Seen::new();
            let mut expected = None;
            let mut quiet_since = Instant::now();
            loop {
                if expected.is_some_and(|e| seen.len() >= e) || quiet_since.elapsed() > patience {
                    break;
                }
                tokio::select! {
                    note = inbox.recv(), if expected.is_none() => match note {
                        Some(Note::Sent(hashes, at)) => for hash in hashes {
                            match early.remove(&hash) {
                                Some(sight) => seen.push((at, sight)),
                                None => { sent.insert(hash, at); }
                            }
                            quiet_since = Instant::now();
                        },
                        Some(Note::Expect(count)) => expected = Some(count),
                        None => expected = Some(0),
                    },
                    head = heads.next() => {
                        let Some(head) = head else { break };
                        let at = Instant::now();
                        let Ok(Some(block)) = provider.get_block_by_hash(head.hash).hashes().await else { continue };
                        for hash in block.transactions.hashes() {
                            match sent.remove(&hash) {
                                Some(start) => { seen.push((start, at)); quiet_since = at; }
                                None if expected.is_none() => { early.insert(hash, at); }
                                None => {}
                            }
                        }
                    }
                    () = tokio::time::sleep(Duration::from_millis(200)) => {}
                }
            }
            let _ = result.send(seen);
        });
        Ok((notes, done))
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    sorted[(last * percent).div_ceil(100).min(last)].as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::{consensus::Transaction, eips::eip2718::Decodable2718};

    #[test]
    fn percentiles_are_values_that_occurred() {
        let sorted: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert!((percentile(&sorted, 50) - 51.0).abs() < 1e-6);
        assert!((percentile(&sorted, 99) - 100.0).abs() < 1e-6);
        assert!(percentile(&[], 50).is_nan());
    }

    #[test]
    fn transfers_are_shared_out_in_order_of_their_nonces() {
        let accounts: Vec<_> = (0..5).map(|_| PrivateKeySigner::random()).collect();
        let work = share_out(&accounts, &[7, 0, 0, 0, 3], 12, 2, 1, 10).unwrap();
        assert_eq!((work[0].len(), work[1].len()), (7, 5));
        let all: std::collections::BTreeSet<_> = work.iter().flatten().map(|s| s.hash).collect();
        assert_eq!(all.len(), 12);
        let nonce = |signed: &Signed| TxEnvelope::decode_2718(&mut signed.raw.as_ref()).unwrap().nonce();
        // Accounts 0, 2, 4, again, and once more the first.
        assert_eq!(work[0].iter().map(nonce).collect::<Vec<_>>(), [7, 0, 3, 8, 1, 4, 9]);
    }
}
