//! Load for a JSON-RPC endpoint, the same for Baton and Anvil: signed transfers, sent one by one or in batches, and a
//! witness that notes when each is in a block.
//!
//! ```text
//! funder -disperse-> accounts -sign ahead-> lanes -HTTP-> endpoint -newHeads (WebSocket)-> witness -> Report
//! ```
//!
//! A paced load is open-loop: its transfers have a timetable, and what is late by it counts as waiting.
#![allow(clippy::wildcard_enum_match_arm, reason = "wide enums of other crates, all others alike")]

pub mod reads;
pub mod token;

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
use eyre::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, future::try_join_all, stream};
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot},
};
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
    /// The ERC-20 token that is transferred; none transfers ether.
    pub token: Option<Address>,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Transfers that the endpoint accepted.
    pub accepted: usize,
    /// Refusals; those for want of room were sent again.
    pub refused: usize,
    /// The first refusal's text.
    pub refusal: Option<String>,
    /// Transfers seen in blocks.
    pub included: usize,
    /// Accepted per second of sending.
    pub accepted_per_second: f64,
    /// Included per second, from the first submission to the last inclusion.
    pub included_per_second: f64,
    /// 99th percentile of a request's answer, ms.
    pub accept_p99_ms: f64,
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
    sign(signer, chain_id, nonce, fees, (to, U256::ONE, 21_000, Bytes::new()))
}

/// Signs a call: recipient, wei, gas limit and input.
fn sign(
    signer: &PrivateKeySigner,
    chain_id: u64,
    nonce: u64,
    fees: Fees,
    (to, value, gas_limit, input): (Address, U256, u64, Bytes),
) -> Result<Signed> {
    let transaction = TxEip1559 {
        chain_id,
        nonce,
        gas_limit,
        max_fee_per_gas: fees.max_fee,
        max_priority_fee_per_gas: fees.tip,
        to: TxKind::Call(to),
        value,
        input,
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
    let nonces = nonces(http, accounts).await?;
    let prepared = prepare(http, accounts, &nonces, shape).await?;
    drive(http, ws, prepared, shape, patience).await
}

/// Each account's next nonce, what waits included.
///
/// # Errors
/// If the endpoint fails.
pub async fn nonces(http: &Url, accounts: &[PrivateKeySigner]) -> Result<Vec<u64>> {
    let provider = ProviderBuilder::new().connect_http(http.clone());
    let nonces: Result<_, _> = stream::iter(accounts)
        .map(|account| provider.get_transaction_count(account.address()).pending().into_future())
        .buffered(16)
        .try_collect()
        .await;
    nonces.wrap_err_with(|| format!("{http} does not tell nonces"))
}

/// Transactions signed ahead, one list a lane.
#[derive(Clone, Debug)]
pub struct Prepared {
    lanes: Vec<Vec<Signed>>,
}

impl Prepared {
    /// Hashes of `count` of the transactions.
    pub fn hashes(&self, count: usize) -> Vec<B256> {
        self.lanes.iter().flatten().take(count).map(|signed| signed.hash).collect()
    }
}

/// Signs a load whose accounts go on from `nonces`.
///
/// # Errors
/// If the endpoint does not tell its chain and price.
pub async fn prepare(http: &Url, accounts: &[PrivateKeySigner], nonces: &[u64], shape: &Shape) -> Result<Prepared> {
    let provider = ProviderBuilder::new().connect_http(http.clone());
    let chain_id = provider.get_chain_id().await.wrap_err_with(|| format!("{http} does not answer"))?;
    let base_fee = provider.get_gas_price().await?;
    let fees = Fees::cap(base_fee.saturating_mul(4).max(2_000_000_000));
    let (accounts, nonces, shape) = (accounts.to_vec(), nonces.to_vec(), shape.clone());
    let lanes = tokio::task::spawn_blocking(move || share_out(&accounts, &nonces, &shape, chain_id, fees)).await??;
    Ok(Prepared { lanes })
}

/// As [`run`], with what was signed ahead.
///
/// # Errors
/// As [`run`].
pub async fn drive(http: &Url, ws: &Url, prepared: Prepared, shape: &Shape, patience: Duration) -> Result<Report> {
    let lanes = prepared.lanes.len();
    let sent = Arc::new(AtomicUsize::new(0));
    let (witness, done) = Witness::start(ws, patience).await?;
    let began = Instant::now();
    let apart = shape.rate.map(|rate| Duration::from_secs_f64(shape.batch.max(1) as f64 / f64::from(rate)));
    let outcomes = try_join_all((0u32..).zip(prepared.lanes).map(|(turn, transactions)| {
        let (http, witness, sent) = (http.clone(), witness.clone(), sent.clone());
        // The lanes take turns, so that requests come one by one and not one of each lane at once.
        let timetable = apart.map(|apart| Timetable {
            first: began + apart * turn,
            pause: apart * u32::try_from(lanes).unwrap_or(u32::MAX),
        });
        tokio::spawn(lane(http, transactions, shape.batch.max(1), timetable, witness, sent))
    }))
    .await?;
    let sending = began.elapsed();
    let mut refused = 0;
    let mut refusal = None;
    let mut answers = Vec::new();
    for outcome in outcomes {
        let mut lane = outcome?;
        refused += lane.refused;
        refusal = refusal.or(lane.refusal);
        answers.append(&mut lane.answers);
    }
    answers.sort_unstable();
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
        accept_p99_ms: percentile(&answers, 99),
        p50_ms: percentile(&latencies, 50),
        p99_ms: percentile(&latencies, 99),
    })
}

/// Signs transfers and shares them out among lanes. An account's transfers are in one lane, in order, as far apart as can be,
/// so that few of them wait in the pool at once.
fn share_out(
    accounts: &[PrivateKeySigner],
    nonces: &[u64],
    shape: &Shape,
    chain_id: u64,
    fees: Fees,
) -> Result<Vec<Vec<Signed>>> {
    let (transfers, lanes) = (shape.transfers, shape.lanes.clamp(1, accounts.len().max(1)));
    let mut work = vec![Vec::with_capacity(transfers.div_ceil(lanes)); lanes];
    let rounds = transfers.div_ceil(accounts.len().max(1));
    let turns = (0u64..).take(rounds).flat_map(|round| (0..accounts.len()).map(move |index| (round, index)));
    for (round, index) in turns.take(transfers) {
        let (account, nonce) = (&accounts[index], nonces[index] + round);
        work[index % lanes].push(match shape.token {
            None => sign_transfer(account, chain_id, nonce, Address::repeat_byte(0xba), fees)?,
            Some(token) => {
                // To another holder, so that no slot is new.
                let to = accounts[(index + 1) % accounts.len()].address();
                sign(account, chain_id, nonce, fees, token::transfer(token, to))?
            }
        });
    }
    Ok(work)
}

/// When a lane sends.
#[derive(Clone, Copy, Debug)]
struct Timetable {
    first: Instant,
    pause: Duration,
}

/// What one connection saw.
#[derive(Debug, Default)]
struct Lane {
    refused: usize,
    refusal: Option<String>,
    /// How long each request took.
    answers: Vec<Duration>,
}

/// One connection: sends its transactions in order, `batch` a request. Whatever is refused for want of room is sent again, before
/// anything else, as a client does that is told to retry later.
async fn lane(
    http: Url,
    transactions: Vec<Signed>,
    batch: usize,
    timetable: Option<Timetable>,
    witness: mpsc::Sender<Note>,
    sent: Arc<AtomicUsize>,
) -> Result<Lane> {
    let mut client = Client::connect(&http).await?;
    let mut ticks = timetable.map(|table| tokio::time::interval_at(table.first.into(), table.pause));
    let mut seen = Lane::default();
    for chunk in transactions.chunks(batch) {
        // The time by the timetable, not that of sending: waiting for the connection is waiting.
        let at = match &mut ticks {
            Some(ticks) => ticks.tick().await.into_std(),
            None => Instant::now(),
        };
        let _ = witness.send(Note::Sent(chunk.iter().map(|t| t.hash).collect(), at)).await;
        let mut rest: Vec<Signed> = chunk.to_vec();
        while !rest.is_empty() {
            let refusal = &seen.refusal;
            ensure!(at.elapsed() < STUCK, "{http} has had no room for {} s: {refusal:?}", STUCK.as_secs());
            let asked = Instant::now();
            let answers = client.submit(&rest).await?;
            seen.answers.push(asked.elapsed());
            let mut again = Vec::new();
            for (transaction, answer) in rest.into_iter().zip(answers) {
                match answer {
                    Ok(()) => {
                        sent.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(refused_as) => {
                        seen.refused += 1;
                        if refused_as.code == NO_ROOM {
                            again.push(transaction);
                        }
                        seen.refusal.get_or_insert(refused_as.message);
                    }
                }
            }
            rest = again;
            if !rest.is_empty() {
                tokio::time::sleep(RETRY).await;
            }
        }
    }
    Ok(seen)
}

/// The code of a refusal for want of room (execution-apis: limit exceeded).
const NO_ROOM: i64 = -32005;
/// Without room for so long a lane gives up.
const STUCK: Duration = Duration::from_secs(60);
/// Pause before what had no room is sent again.
const RETRY: Duration = Duration::from_millis(20);

/// Why an endpoint did not take a transaction.
#[derive(Clone, Debug, Deserialize)]
pub struct Refusal {
    /// JSON-RPC error code.
    pub code: i64,
    /// What the endpoint says.
    pub message: String,
}

/// One kept-alive HTTP/1.1 connection to an endpoint. It costs little, because it shares the machine with what it measures.
#[derive(Debug)]
pub struct Client {
    sender: http1::SendRequest<Full<bytes::Bytes>>,
    url: Url,
    host: String,
}

impl Client {
    /// Connects to `http://host:port`.
    ///
    /// # Errors
    /// If nothing listens there.
    pub async fn connect(url: &Url) -> Result<Self> {
        let addresses = url.socket_addrs(|| None).wrap_err_with(|| format!("{url} is no endpoint"))?;
        let stream =
            TcpStream::connect(addresses.as_slice()).await.wrap_err_with(|| format!("{url} does not answer"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the sender; a failure shows in the request that it hits.
        tokio::spawn(connection);
        Ok(Self { sender, url: url.clone(), host: url.authority().to_owned() })
    }

    /// Sends transactions in one HTTP request. Answers, in order, acceptance or the endpoint's reason.
    ///
    /// # Errors
    /// If the request fails or the answer is no JSON-RPC.
    pub async fn submit(&mut self, transactions: &[Signed]) -> Result<Vec<Result<(), Refusal>>> {
        let body = self.post(request_body(transactions)).await?;
        let not_json = || format!("{} answered something that is not JSON-RPC", self.url);
        let mut answers: Vec<Answer> = match body.first() {
            Some(b'[') => serde_json::from_slice(&body).wrap_err_with(not_json)?,
            _ => vec![serde_json::from_slice(&body).wrap_err_with(not_json)?],
        };
        ensure!(
            answers.len() == transactions.len(),
            "{} answered {} of {}",
            self.url,
            answers.len(),
            transactions.len()
        );
        answers.sort_by_key(|answer| answer.id);
        Ok(answers.into_iter().map(|answer| answer.error.map_or(Ok(()), Err)).collect())
    }

    /// Whether another request can be sent: the endpoint has not closed the connection.
    pub async fn is_open(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// Posts a body and gives the answer's.
    ///
    /// # Errors
    /// If the connection ends before the answer has.
    pub async fn post(&mut self, body: bytes::Bytes) -> Result<bytes::Bytes> {
        let request = Request::post("/")
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let response = self.sender.send_request(request).await.wrap_err_with(|| format!("{} failed", self.url))?;
        Ok(response.into_body().collect().await?.to_bytes())
    }
}

/// Of a JSON-RPC answer only what tells acceptance.
#[derive(Deserialize)]
struct Answer {
    id: u64,
    #[serde(default)]
    error: Option<Refusal>,
}

/// One call, or a batch of several; ids count from 0.
fn request_body(transactions: &[Signed]) -> bytes::Bytes {
    let mut body = Vec::with_capacity(transactions.iter().map(|t| 2 * t.raw.len() + 90).sum());
    if transactions.len() != 1 {
        body.push(b'[');
    }
    for (id, transaction) in transactions.iter().enumerate() {
        if id > 0 {
            body.push(b',');
        }
        body.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
        body.extend_from_slice(id.to_string().as_bytes());
        body.extend_from_slice(br#","method":"eth_sendRawTransaction","params":["0x"#);
        let at = body.len();
        body.resize(at + 2 * transaction.raw.len(), 0);
        // Twice as long, so that it fits.
        let _ = alloy::hex::encode_to_slice(&transaction.raw, &mut body[at..]);
        body.extend_from_slice(br#""]}"#);
    }
    if transactions.len() != 1 {
        body.push(b']');
    }
    body.into()
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
        let shape = Shape { transfers: 12, lanes: 2, batch: 1, rate: None, token: None };
        let work = share_out(&accounts, &[7, 0, 0, 0, 3], &shape, 1, Fees::cap(10)).unwrap();
        assert_eq!((work[0].len(), work[1].len()), (7, 5));
        let all: std::collections::BTreeSet<_> = work.iter().flatten().map(|s| s.hash).collect();
        assert_eq!(all.len(), 12);
        let nonce = |signed: &Signed| TxEnvelope::decode_2718(&mut signed.raw.as_ref()).unwrap().nonce();
        // Accounts 0, 2, 4, again, and once more the first.
        assert_eq!(work[0].iter().map(nonce).collect::<Vec<_>>(), [7, 0, 3, 8, 1, 4, 9]);
    }
}
