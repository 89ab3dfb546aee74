//! Finds blobs by versioned hash. Whoever serves them is not trusted: a blob counts only if its KZG commitment hashes to
//! the versioned hash that L1 holds.
//!
//! ```text
//! hashes, L1 block -> beacon endpoints (by slot, hashes as filter) -> verify -> blobs
//!                       '- what is missing -> members' RPC (rollup_blob) -> verify -'
//! ```

use alloy::{
    eips::eip4844::{BYTES_PER_BLOB, Blob},
    primitives::{B256, Bytes},
};
use baton_batch::{in_background, versioned_hash};
use futures::StreamExt;
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::HashMap, time::Duration};
use tokio::sync::OnceCell;
use url::Url;

/// Where blobs are looked for.
#[derive(Clone, Debug)]
pub struct BlobConfig {
    /// Beacon API endpoints, asked first.
    pub beacons: Vec<Url>,
    /// JSON-RPC endpoints of members, which keep what they posted.
    pub members: Vec<Url>,
    /// Longest wait for one answer.
    pub timeout: Duration,
}

/// Why blobs were not found.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BlobError {
    /// No source has them now.
    #[error("{missing} of {wanted} blobs of L1 block {l1_number} were not found, the first is {first}: {reasons}")]
    NotFound {
        /// How many are missing.
        missing: usize,
        /// How many were asked for.
        wanted: usize,
        /// The first missing versioned hash.
        first: B256,
        /// The L1 block that names them.
        l1_number: u64,
        /// What each source said.
        reasons: String,
    },
    /// The HTTP client cannot be made.
    #[error("the HTTP client for blobs cannot be made: {0}")]
    Client(String),
}

/// Fetches blobs.
#[derive(Debug)]
pub struct BlobSource {
    config: BlobConfig,
    client: Client,
    clocks: Vec<OnceCell<SlotClock>>,
}

/// How a beacon endpoint numbers blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SlotClock {
    /// Slots by time, as on the public chains.
    Time { genesis: u64, seconds: u64 },
    /// The block number, as Anvil does: it has no slots, and says so by having no chain specification.
    Number,
}

/// Most bytes of one answer: all blobs of an L1 block, as JSON.
const MAX_ANSWER: usize = 32 * 2 * BYTES_PER_BLOB + (1 << 20);

#[derive(Deserialize)]
struct Blobs {
    data: Vec<Bytes>,
}

#[derive(Deserialize)]
struct Sidecars {
    data: Vec<Sidecar>,
}

#[derive(Deserialize)]
struct Sidecar {
    blob: Bytes,
}

impl BlobSource {
    /// A source over these endpoints; connects nothing yet.
    ///
    /// # Errors
    /// If the HTTP client cannot be made.
    pub fn new(config: BlobConfig) -> Result<Self, BlobError> {
        let client = Client::builder().timeout(config.timeout).build().map_err(|e| BlobError::Client(e.to_string()))?;
        let clocks = config.beacons.iter().map(|_| OnceCell::new()).collect();
        Ok(Self { config, client, clocks })
    }

    /// The blobs with these versioned hashes, in their order, posted in the L1 block with this number and time.
    ///
    /// # Errors
    /// If no source has one of them.
    pub async fn fetch(&self, hashes: &[B256], l1_number: u64, l1_timestamp: u64) -> Result<Vec<Blob>, BlobError> {
        let mut found: HashMap<B256, Box<Blob>> = HashMap::new();
        let mut reasons = Vec::new();
        for (beacon, clock) in self.config.beacons.iter().zip(&self.clocks) {
            let missing = missing(hashes, &found);
            if missing.is_empty() {
                break;
            }
            match self.ask_beacon(beacon, clock, &missing, l1_number, l1_timestamp).await {
                Ok(blobs) => found.extend(verified(blobs, &missing).await),
                Err(reason) => reasons.push(format!("{}: {reason}", host(beacon))),
            }
        }
        for member in &self.config.members {
            for hash in missing(hashes, &found) {
                match self.ask_member(member, hash).await {
                    Ok(blob) => found.extend(verified(vec![blob], &[hash]).await),
                    Err(reason) => reasons.push(format!("{}: {reason}", host(member))),
                }
            }
        }
        let lacking = missing(hashes, &found);
        if let Some(first) = lacking.first() {
            reasons.truncate(8);
            return Err(BlobError::NotFound {
                missing: lacking.len(),
                wanted: hashes.len(),
                first: *first,
                l1_number,
                reasons: reasons.join("; "),
            });
        }
        Ok(hashes.iter().filter_map(|h| found.get(h).map(|b| **b)).collect())
    }

    async fn ask_beacon(
        &self,
        beacon: &Url,
        clock: &OnceCell<SlotClock>,
        hashes: &[B256],
        l1_number: u64,
        l1_timestamp: u64,
    ) -> Result<Vec<Bytes>, String> {
        let slot = match clock.get_or_try_init(|| self.clock(beacon)).await? {
            SlotClock::Number => l1_number,
            SlotClock::Time { genesis, seconds } => l1_timestamp.saturating_sub(*genesis) / seconds,
        };
        let list = hashes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let path = format!("eth/v1/beacon/blobs/{slot}?versioned_hashes={list}");
        match self.get::<Blobs>(beacon, &path).await {
            Ok(blobs) => Ok(blobs.data),
            // Beacon nodes before Fusaka have sidecars only.
            Err(first) => match self.get::<Sidecars>(beacon, &format!("eth/v1/beacon/blob_sidecars/{slot}")).await {
                Ok(sidecars) => Ok(sidecars.data.into_iter().map(|s| s.blob).collect()),
                Err(_) => Err(first),
            },
        }
    }

    async fn clock(&self, beacon: &Url) -> Result<SlotClock, String> {
        let number =
            |value: &Value, name: &str| value.get("data")?.get(name)?.as_str().and_then(|t| t.parse::<u64>().ok());
        let genesis: Value = self.get(beacon, "eth/v1/beacon/genesis").await?;
        let genesis = number(&genesis, "genesis_time").ok_or("it tells no genesis time")?;
        match self.raw(beacon, "eth/v1/config/spec").await? {
            (StatusCode::OK, body) if !body.is_empty() => {
                let spec: Value = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
                let seconds = number(&spec, "SECONDS_PER_SLOT").filter(|s| *s > 0).ok_or("it tells no slot time")?;
                Ok(SlotClock::Time { genesis, seconds })
            }
            (StatusCode::OK | StatusCode::NOT_FOUND, _) => Ok(SlotClock::Number),
            (status, _) => Err(format!("config/spec: HTTP {status}")),
        }
    }

    async fn ask_member(&self, member: &Url, hash: B256) -> Result<Bytes, String> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "rollup_blob", "params": [hash] });
        let response = self.client.post(member.clone()).json(&request).send().await.map_err(|e| e.to_string())?;
        let body = limited(response).await?;
        let answer: Value = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
        let blob = answer.get("result").and_then(Value::as_str).ok_or("it does not have the blob")?;
        blob.parse().map_err(|_| "its answer is no blob".to_owned())
    }

    async fn get<T: for<'de> Deserialize<'de>>(&self, base: &Url, path: &str) -> Result<T, String> {
        match self.raw(base, path).await? {
            (StatusCode::OK, body) => serde_json::from_slice(&body).map_err(|e| e.to_string()),
            (status, _) => Err(format!("HTTP {status}")),
        }
    }

    async fn raw(&self, base: &Url, path: &str) -> Result<(StatusCode, Vec<u8>), String> {
        let mut base = base.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let url = base.join(path).map_err(|e| e.to_string())?;
        let response = self.client.get(url).send().await.map_err(|e| e.without_url().to_string())?;
        Ok((response.status(), limited(response).await?))
    }
}

/// The body, if it stays within [`MAX_ANSWER`].
async fn limited(response: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|e| e.without_url().to_string())?;
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(format!("its answer is longer than {MAX_ANSWER} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn missing(hashes: &[B256], found: &HashMap<B256, Box<Blob>>) -> Vec<B256> {
    hashes.iter().filter(|h| !found.contains_key(*h)).copied().collect()
}

/// Those of the candidates that are blobs with one of the wanted hashes.
async fn verified(candidates: Vec<Bytes>, wanted: &[B256]) -> Vec<(B256, Box<Blob>)> {
    let wanted = wanted.to_vec();
    let check = move || {
        let blobs = candidates.into_iter().filter_map(|bytes| Some((versioned_hash(&bytes)?, bytes)));
        let wanted = blobs.filter(|(hash, _)| wanted.contains(hash));
        wanted.filter_map(|(hash, bytes)| Some((hash, Box::new(Blob::try_from(bytes.as_ref()).ok()?)))).collect()
    };
    in_background(check).await.unwrap_or_default()
}

fn host(url: &Url) -> String {
    url.host_str().map_or_else(|| "?".into(), |h| url.port().map_or_else(|| h.into(), |p| format!("{h}:{p}")))
}
