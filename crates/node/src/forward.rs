//! Transactions on their way to whoever leads: a member sends what it admitted to all members, a follower to a node it
//! follows.
//!
//! ```text
//! rpc -raw-> Submitter -> pool (admitted) -> queue -> batches -> members (p2p) | upstream node (JSON-RPC)
//!                           '-- still waiting after a while --^
//! members -batch-> admit into the pool
//! ```
//!
//! Whoever takes a transaction writes it down, a member that got it from another one too: it waits again after a restart. What
//! waits too long is sent again by the node whose user sent it, whatever became of the first time: a full queue, a leader that died, an upstream node
//! that was away, a restart. So nothing that was admitted is lost on the way.

use alloy::{
    eips::Encodable2718,
    primitives::{B256, Bytes},
};
use baton_consensus::{MESSAGE_LIMIT, Mailbox, PeerMessage, Topic};
use baton_pool::{Pool, Refusal};
use std::{collections::VecDeque, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Interval, MissedTickBehavior},
};
use url::Url;

/// Transactions waiting to be forwarded. Full: the transaction is forwarded when it is overdue.
const QUEUE: usize = 16_384;
/// How long a transaction waits before it is sent again.
const OVERDUE: Duration = Duration::from_secs(2);
/// Most transactions sent again at a time.
const AGAIN: usize = 1_000;
/// Most bytes of one batch.
const BATCH_BYTES: usize = MESSAGE_LIMIT / 4;
/// Most transactions in one batch to an upstream node.
const UPSTREAM_BATCH: usize = 100;
/// Least time between two batches: what comes in it gathers, so that a busy node sends few and a quiet one at once.
const GATHER: Duration = Duration::from_millis(2);
/// Longest wait for an upstream node.
const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(5);

/// Admits transactions and sends them on.
#[derive(Clone, Debug)]
pub(crate) struct Submitter {
    pool: Pool,
    queue: mpsc::Sender<Bytes>,
}

impl Submitter {
    /// The submitter, and the queue that one of the forwarding loops drains.
    pub(crate) fn new(pool: Pool) -> (Self, mpsc::Receiver<Bytes>) {
        let (queue, receiver) = mpsc::channel(QUEUE);
        (Self { pool, queue }, receiver)
    }

    /// Admits one. Recovers the sender on the calling thread.
    pub(crate) fn submit(&self, raw: Bytes) -> Result<B256, Refusal> {
        let hash = self.pool.admit_local(&raw)?;
        self.forward(raw);
        Ok(hash)
    }

    /// Admits several, on all cores.
    pub(crate) fn submit_all(&self, raw: Vec<Bytes>) -> Vec<Result<B256, Refusal>> {
        let results = self.pool.admit_all_local(&raw);
        for (raw, _) in raw.into_iter().zip(&results).filter(|(_, result)| result.is_ok()) {
            self.forward(raw);
        }
        results
    }

    fn forward(&self, raw: Bytes) {
        if self.queue.try_send(raw).is_err() {
            metrics::counter!("baton_forward_delayed_total").increment(1);
        }
    }
}

/// What is to be forwarded: new transactions, and those that wait too long.
pub(crate) struct Outbox {
    queue: mpsc::Receiver<Bytes>,
    pool: Pool,
    again: VecDeque<Bytes>,
    ticks: Interval,
    /// When the next batch may leave.
    leaves_at: tokio::time::Instant,
}

impl Outbox {
    pub(crate) fn new(queue: mpsc::Receiver<Bytes>, pool: Pool) -> Self {
        let mut ticks = tokio::time::interval(OVERDUE / 2);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { queue, pool, again: VecDeque::new(), ticks, leaves_at: tokio::time::Instant::now() }
    }

    /// The next batch, at most about so many bytes and transactions; `None` when there will be no more.
    async fn next(&mut self, most_bytes: usize, most: usize) -> Option<Vec<Bytes>> {
        while self.again.is_empty() {
            tokio::select! {
                _ = self.ticks.tick() => {
                    let overdue = self.pool.overdue(OVERDUE, AGAIN);
                    metrics::counter!("baton_forward_again_total").increment(overdue.len() as u64);
                    self.again.extend(overdue.iter().map(|t| Bytes::from(t.transaction.encoded_2718())));
                }
                raw = self.queue.recv() => return Some(self.gather(raw?, most_bytes, most).await),
            }
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(raw) = self.again.front().filter(|raw| batch.is_empty() || bytes + raw.len() + 4 <= most_bytes) {
            bytes += raw.len() + 4;
            batch.push(raw.clone());
            self.again.pop_front();
            if batch.len() == most {
                break;
            }
        }
        Some(batch)
    }

    async fn gather(&mut self, first: Bytes, most_bytes: usize, most: usize) -> Vec<Bytes> {
        let mut bytes = first.len() + 4;
        let mut batch = vec![first];
        while bytes < most_bytes && batch.len() < most {
            match tokio::time::timeout_at(self.leaves_at, self.queue.recv()).await {
                Ok(Some(raw)) => {
                    bytes += raw.len() + 4;
                    batch.push(raw);
                }
                Ok(None) | Err(_) => break,
            }
        }
        self.leaves_at = tokio::time::Instant::now() + GATHER;
        batch
    }
}

/// Sends admitted transactions to all members, in batches.
pub(crate) async fn to_members(mut outbox: Outbox, mailbox: Mailbox) {
    while let Some(batch) = outbox.next(BATCH_BYTES, usize::MAX).await {
        if let Err(error) = mailbox.broadcast(Topic::Transactions, encode(&batch)) {
            tracing::debug!(%error, "transactions not forwarded now, again in {OVERDUE:?}");
        }
    }
}

/// Takes what members forward into the pool.
pub(crate) async fn from_members(mut messages: mpsc::Receiver<PeerMessage>, pool: Pool) {
    while let Some(message) = messages.recv().await {
        let Some(batch) = decode(&message.bytes) else {
            tracing::warn!(from = %message.from, "a member forwarded malformed transactions");
            continue;
        };
        let pool = pool.clone();
        // Refusals are the sender's business: it has admitted the transaction by the same rules.
        let _ = tokio::task::spawn_blocking(move || pool.admit_all(&batch)).await;
    }
}

/// Sends admitted transactions to the first upstream node that answers.
pub(crate) async fn to_upstream(mut outbox: Outbox, upstream: Vec<Url>) {
    let client = match reqwest::Client::builder().timeout(UPSTREAM_TIMEOUT).build() {
        Ok(client) => client,
        Err(error) => return tracing::error!(%error, "transactions will not be forwarded: no HTTP client"),
    };
    while let Some(batch) = outbox.next(BATCH_BYTES, UPSTREAM_BATCH).await {
        let request: Vec<_> = batch
            .iter()
            .enumerate()
            .map(|(id, raw)| {
                serde_json::json!({ "jsonrpc": "2.0", "id": id, "method": "eth_sendRawTransaction", "params": [raw] })
            })
            .collect();
        for url in &upstream {
            match client.post(http(url)).json(&request).send().await.and_then(reqwest::Response::error_for_status) {
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%url, %error, "upstream node did not take transactions; again in {OVERDUE:?}")
                }
            }
        }
    }
}

/// The HTTP form of a node's URL, which may be given as a WebSocket.
pub(crate) fn http(url: &Url) -> Url {
    scheme(url, "http")
}

/// The WebSocket form of a node's URL.
pub(crate) fn websocket(url: &Url) -> Url {
    scheme(url, "ws")
}

fn scheme(url: &Url, base: &str) -> Url {
    let secure = matches!(url.scheme(), "https" | "wss");
    let mut url = url.clone();
    // Fails for no pair of these schemes.
    let _ = url.set_scheme(&if secure { format!("{base}s") } else { base.to_owned() });
    url
}

/// (u32 BE length, bytes) for each.
fn encode(batch: &[Bytes]) -> Bytes {
    let mut out = Vec::with_capacity(batch.iter().map(|raw| raw.len() + 4).sum());
    for raw in batch {
        out.extend_from_slice(&u32::try_from(raw.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(raw);
    }
    out.into()
}

fn decode(mut bytes: &[u8]) -> Option<Vec<Bytes>> {
    let mut batch = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        batch.push(Bytes::copy_from_slice(rest.get(..length)?));
        bytes = &rest[length..];
    }
    Some(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    use alloy::{
        consensus::{SignableTransaction, TxEip1559},
        network::TxSignerSync,
        primitives::{TxKind, U256},
        signers::local::PrivateKeySigner,
    };
    use baton_pool::Limits;
    use baton_primitives::{IdentityKey, L1Origin, Parameters, Transaction};

    #[tokio::test]
    async fn what_members_forward_waits_again_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let signer = PrivateKeySigner::from_bytes(&B256::repeat_byte(1)).unwrap();
        let mut genesis = crate::genesis(Parameters::devnet(), 1_700_000_000, L1Origin::default());
        let balance = U256::from(10u128.pow(18));
        let account = baton_engine::GenesisAccount { balance, ..Default::default() };
        genesis.alloc.insert(signer.address(), account);
        let chain_id = genesis.parameters.l2_chain_id;
        let engine = baton_engine::Config::new(directory.path().join("state"), genesis);
        let engine = baton_engine::Engine::open(engine).unwrap();
        let open = || crate::run::open_pool(directory.path(), Limits::default(), &engine).unwrap();
        let mut transaction = TxEip1559 {
            chain_id,
            gas_limit: 21_000,
            max_fee_per_gas: 10_000_000_000,
            to: TxKind::Call(signer.address()),
            ..TxEip1559::default()
        };
        let signature = signer.sign_transaction_sync(&mut transaction).unwrap();
        let transaction = Transaction::Eip1559(transaction.into_signed(signature));
        let (hash, raw) = (transaction.tx_hash(), Bytes::from(transaction.encoded_2718()));

        let pool = open();
        let (sender, messages) = mpsc::channel(1);
        let taking = tokio::spawn(from_members(messages, pool.clone()));
        sender.send(PeerMessage { from: IdentityKey([1; 32].into()), bytes: encode(&[raw]) }).await.unwrap();
        drop(sender);
        taking.await.unwrap();
        assert!(pool.contains(&hash));
        drop(pool);
        let pool = open();
        assert!(pool.contains(&hash), "a restart forgot it");
        assert!(pool.overdue(Duration::ZERO, 1).is_empty(), "it is of another node's user");
    }

    #[test]
    fn a_batch_round_trips_and_a_torn_one_is_refused() {
        let batch = vec![Bytes::from_static(b"one"), Bytes::new(), Bytes::from_static(b"three")];
        let encoded = encode(&batch);
        assert_eq!(decode(&encoded), Some(batch));
        assert_eq!(decode(&encoded[..encoded.len() - 1]), None);
        assert_eq!(decode(&[0xff; 4]), None);
    }

    #[test]
    fn urls_change_between_http_and_websocket() {
        let url = Url::parse("https://node.example:8545/").unwrap();
        assert_eq!(websocket(&url).as_str(), "wss://node.example:8545/");
        assert_eq!(http(&websocket(&url)), url);
    }
}
