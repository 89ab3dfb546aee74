//! A follower takes final blocks from any node and believes none: each must link to the last, execute, and be covered by a
//! certificate of the set that L1 names.
//!
//! ```text
//! node's /feed -block (+ certificate)-> held until a certificate covers it -> ledger
//! ```

use crate::{forward::websocket, ledger::LedgerError, sets::LedgerSets};
use alloy::primitives::B256;
use baton_consensus::{CertificateVerifier, Domain, Sets};
use baton_primitives::{Epoch, FinalBlock, Height, RecoverError, RecoveredBlock};
use baton_rpc::decode_feed;
use futures::StreamExt;
use std::{sync::Arc, time::Duration};
use tokio_tungstenite::{connect_async_with_config, tungstenite::protocol::WebSocketConfig};
use tokio_util::sync::CancellationToken;
use url::Url;

/// Blocks held for want of a certificate; a node that sends more without one is left for the next.
const MAX_HELD: usize = 1_024;
/// Pause before the next node is tried.
const PAUSE: Duration = Duration::from_millis(500);
/// A node that sends nothing for so long is left: it sends heartbeats and pings.
const SILENCE: Duration = Duration::from_secs(30);

/// Why a feed was left.
#[derive(Debug, thiserror::Error)]
enum FeedError {
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("it ended: {0}")]
    Ended(String),
    #[error("it sent nothing for {} s", SILENCE.as_secs())]
    Silent,
    #[error("it sent a malformed message")]
    Malformed,
    #[error("it sent a malformed block: {0}")]
    Block(#[from] RecoverError),
    #[error("block {got} {parent} does not follow {height} {hash}")]
    Unlinked { got: Height, parent: B256, height: Height, hash: B256 },
    #[error("the certificate of block {height} is invalid: {reason}")]
    Certificate { height: Height, reason: String },
    #[error("{MAX_HELD} blocks came without a certificate")]
    Uncertified,
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Follows the first of `nodes` that serves, for ever.
pub(crate) async fn follow(sets: LedgerSets, domain: Domain, nodes: Vec<Url>, stop: CancellationToken) {
    let mut follower = Follower { sets, domain, verifier: None };
    for node in nodes.iter().cycle() {
        let outcome = stop.run_until_cancelled(follower.feed(node)).await;
        match outcome {
            None => return,
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::warn!(%node, %error, "left a feed"),
        }
        if stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
            return;
        }
    }
}

struct Follower {
    sets: LedgerSets,
    domain: Domain,
    verifier: Option<(Epoch, CertificateVerifier)>,
}

impl Follower {
    async fn feed(&mut self, node: &Url) -> Result<(), FeedError> {
        let ledger = Arc::clone(&self.sets.0);
        let (height, mut last) = ledger.engine.head();
        let mut height = Height::new(height);
        let mut url = websocket(node);
        url.set_path("/feed");
        url.set_query(Some(&format!("from={}", height.next())));
        let most = usize::try_from(ledger.parameters.max_block_bytes).unwrap_or(usize::MAX).saturating_add(64 * 1024);
        let limits = WebSocketConfig::default().max_message_size(Some(most)).max_frame_size(Some(most));
        let (socket, _) = connect_async_with_config(url.as_str(), Some(limits), true)
            .await
            .map_err(|e| FeedError::Connect(e.to_string()))?;
        tracing::info!(%node, from = %height.next(), "following");
        let (_, mut messages) = socket.split();
        let mut held: Vec<Arc<RecoveredBlock>> = Vec::new();
        loop {
            let message = tokio::time::timeout(SILENCE, messages.next()).await.map_err(|_| FeedError::Silent)?;
            let message = message.ok_or_else(|| FeedError::Ended("closed".into()))?;
            let message = message.map_err(|e| FeedError::Ended(e.to_string()))?;
            if message.is_close() {
                return Err(FeedError::Ended(message.to_string()));
            }
            if !message.is_binary() {
                continue;
            }
            let bytes = alloy::primitives::Bytes::from(message.into_data());
            let (certificate, block) = decode_feed(&bytes.0).ok_or(FeedError::Malformed)?;
            let block = Arc::new(RecoveredBlock::decode(&block)?);
            if block.height() != height.next() || block.parent() != last {
                let (got, parent) = (block.height(), block.parent());
                return Err(FeedError::Unlinked { got, parent, height, hash: last });
            }
            (height, last) = (block.height(), block.hash());
            held.push(block);
            let Some(certificate) = certificate else {
                if held.len() > MAX_HELD {
                    return Err(FeedError::Uncertified);
                }
                continue;
            };
            self.check(height, last, &certificate).await?;
            let blocks = std::mem::take(&mut held);
            let ledger = Arc::clone(&ledger);
            let committed = tokio::task::spawn_blocking(move || {
                let newest = blocks.len().saturating_sub(1);
                for (position, block) in blocks.into_iter().enumerate() {
                    let certificate = (position == newest).then(|| certificate.clone().into());
                    ledger.finalize(&FinalBlock { block, certificate })?;
                }
                Ok(())
            });
            committed.await.map_err(|e| FeedError::Ended(e.to_string()))?.map_err(FeedError::Ledger)?;
        }
    }

    async fn check(&mut self, height: Height, hash: B256, certificate: &[u8]) -> Result<(), FeedError> {
        let epoch = height.epoch(self.sets.0.parameters.epoch_blocks);
        let failed = |reason: String| FeedError::Certificate { height, reason };
        let verifier = match self.verifier.take() {
            Some((known, verifier)) if known == epoch => verifier,
            _ => {
                let snapshot = self.sets.set_of(epoch).await;
                CertificateVerifier::new(&self.domain, epoch, snapshot).map_err(|e| failed(e.to_string()))?
            }
        };
        let (_, verifier) = self.verifier.insert((epoch, verifier));
        let finality = verifier.verify(certificate).map_err(|e| failed(e.to_string()))?;
        if finality.hash != hash {
            return Err(failed(format!("it is for {}, not {hash}", finality.hash)));
        }
        Ok(())
    }
}
