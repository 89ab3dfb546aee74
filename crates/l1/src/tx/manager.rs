//! The actor that owns an account's nonces.

use super::{
    Job, Revert, TxConfig, TxError, TxOutcome, TxRequest, TxSender,
    fees::{Fees, Limits, Market},
    refusal::Refusal,
    state::{Action, Patience, Sighting, Spending, Version},
};
use crate::{Endpoints, Error, error::Class};
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEip4844, TxEip4844Variant, TxEip4844WithSidecar, TxEnvelope},
    eips::{
        eip2718::Encodable2718,
        eip7594::{BlobTransactionSidecarEip7594, BlobTransactionSidecarVariant},
    },
    primitives::{Address, B256, Bytes, TxKind, U64, U256},
    rpc::types::{TransactionReceipt, TransactionRequest},
    signers::{SignerSync, local::PrivateKeySigner},
};
use baton_batch::{in_background, sidecar};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

/// Owns one account's nonces. Construction starts nothing.
#[derive(Debug)]
pub struct TxManager {
    signer: PrivateKeySigner,
    endpoints: Endpoints,
    config: TxConfig,
    jobs: mpsc::Receiver<Job>,
    /// What an abandoned transaction at this nonce offered: the next one there must offer more.
    leftover: Option<(u64, Fees)>,
}

/// A request with its sidecar.
struct Prepared {
    request: TxRequest,
    sidecar: Option<BlobTransactionSidecarEip7594>,
    hashes: Vec<B256>,
}

/// How one nonce ended.
enum Spent {
    Done(TxOutcome),
    /// Another transaction spent the nonce: start over.
    Lost,
}

impl TxManager {
    /// A manager of the signer's account.
    pub fn new(config: TxConfig, endpoints: Endpoints, signer: PrivateKeySigner) -> (Self, TxSender) {
        let (sender, jobs) = mpsc::channel(config.queue.get());
        let handle = TxSender { account: signer.address(), jobs: sender };
        (Self { signer, endpoints, config, jobs, leftover: None }, handle)
    }

    /// Runs until `shutdown` or until every [`TxSender`] is gone.
    pub fn start(mut self, shutdown: CancellationToken) -> JoinHandle<()> {
        tokio::spawn(async move {
            let work = async {
                while let Some(job) = self.jobs.recv().await {
                    let label = job.request.label;
                    let result = Box::pin(self.process(job.request)).await;
                    let outcome = match &result {
                        Ok(outcome) => outcome.name(),
                        Err(_) => "invalid",
                    };
                    metrics::counter!("baton_l1_transactions_total", "label" => label, "outcome" => outcome)
                        .increment(1);
                    // A caller that no longer waits loses nothing: the chain tells the outcome.
                    let _ = job.reply.send(result);
                }
            };
            let _ = shutdown.run_until_cancelled(work).await;
        })
    }

    async fn process(&mut self, request: TxRequest) -> Result<TxOutcome, TxError> {
        let label = request.label;
        let prepared = prepare(request).await?;
        let started = Instant::now();
        let mut failures = 0;
        loop {
            match self.once(&prepared, started).await {
                Ok(Spent::Done(outcome)) => {
                    tracing::debug!(label, outcome = outcome.name(), elapsed = ?started.elapsed(), "L1 transaction");
                    return Ok(outcome);
                }
                Ok(Spent::Lost) => {
                    tracing::info!(label, "the nonce was spent elsewhere, simulating again");
                    tokio::time::sleep(self.config.poll_interval).await;
                }
                Err(error) => {
                    if started.elapsed() >= self.config.give_up_after || error.class() != Class::Retry {
                        let reason = error.to_string();
                        return Ok(TxOutcome::GivenUp { versions: Vec::new(), reason });
                    }
                    tracing::debug!(label, %error, "L1 transaction is tried again");
                    failures += 1;
                    let max = self.config.poll_interval.max(Duration::from_secs(5));
                    tokio::time::sleep(crate::endpoint::backoff(self.config.poll_interval / 2, max, failures)).await;
                }
            }
        }
    }

    /// Simulates and spends one nonce.
    async fn once(&mut self, prepared: &Prepared, started: Instant) -> Result<Spent, Error> {
        let call = self.call(prepared);
        let simulated: Result<Bytes, Error> = self.endpoints.call("eth_call", (&call, "latest")).await;
        if let Err(error) = simulated {
            return refused(error);
        }
        let gas: U64 = match self.endpoints.call("eth_estimateGas", (&call, "latest")).await {
            Ok(gas) => gas,
            Err(error) => return refused(error),
        };
        let gas = gas.to::<u64>();
        let gas = gas + gas / 5;
        let account = self.signer.address();
        let nonce = self.nonce(account, "latest").await?;
        // Something waits that is not known here: it is of an earlier life, most likely this very request.
        if self.leftover.is_none_or(|(n, _)| n != nonce)
            && self.nonce(account, "pending").await? > nonce
            && started.elapsed() < self.config.resubmit_after
        {
            tokio::time::sleep(self.config.poll_interval).await;
            return Ok(Spent::Lost);
        }
        let market = self.market().await?;
        let blobs = prepared.sidecar.is_some();
        let fees = Fees::first(&market, blobs, &self.limits());
        let fees = match (fees, self.leftover) {
            (Ok(fees), Some((n, left))) if n == nonce => {
                let old = Fees { blob_cap: if blobs { left.blob_cap.max(1) } else { 0 }, ..left };
                old.raised(&market, &self.limits()).map(|r| Fees {
                    tip: r.tip.max(fees.tip),
                    cap: r.cap.max(fees.cap),
                    blob_cap: r.blob_cap.max(fees.blob_cap),
                })
            }
            (fees, _) => fees,
        };
        let fees = match fees {
            Ok(fees) => fees,
            Err(dear) if started.elapsed() >= self.config.give_up_after => {
                let outcome = TxOutcome::CapReached { what: dear.what, needed: dear.needed, limit: dear.limit };
                return Ok(Spent::Done(outcome));
            }
            Err(_) => {
                // Prices fall as they rise: wait for it.
                tokio::time::sleep(self.config.poll_interval).await;
                return Ok(Spent::Lost);
            }
        };
        let mut spending = Spending::new(nonce);
        spending.versions.push(self.sign(prepared, nonce, gas, fees));
        self.spend(prepared, gas, spending, started).await
    }

    /// Sends versions until one is on chain, the nonce is gone, or time is up.
    async fn spend(
        &mut self,
        prepared: &Prepared,
        gas: u64,
        mut spending: Spending,
        started: Instant,
    ) -> Result<Spent, Error> {
        let patience = Patience {
            confirmations: self.config.confirmations,
            resubmit_after: self.config.resubmit_after,
            give_up_after: self.config.give_up_after,
        };
        let mut published = Instant::now();
        let mut reason = String::from("not included in time");
        let mut publish = true;
        loop {
            if publish {
                publish = false;
                let Some(version) = spending.versions.last() else { return Ok(Spent::Lost) };
                self.leftover = Some((spending.nonce, version.fees));
                tracing::debug!(label = prepared.request.label, nonce = spending.nonce, hash = %version.hash, fees = ?version.fees, "publishing");
                match self.publish(version).await {
                    Ok(()) => {}
                    Err((Refusal::NonceTooLow, _)) if spending.versions.len() == 1 => return Ok(Spent::Lost),
                    Err((Refusal::Underpriced, text)) => {
                        reason = text;
                        // Something else waits at this nonce. Offer more at once, without a new pause.
                        let market = self.market().await?;
                        if let Ok(fees) = version.fees.raised(&market, &self.limits()) {
                            let next = self.sign(prepared, spending.nonce, gas, fees);
                            spending.versions.push(next);
                            publish = true;
                        }
                    }
                    Err((Refusal::Unfunded, text)) => {
                        self.leftover = None;
                        let versions = spending.versions.iter().map(|v| v.hash).collect();
                        return Ok(Spent::Done(TxOutcome::GivenUp { versions, reason: text }));
                    }
                    Err((Refusal::NonceTooLow | Refusal::AlreadyKnown, _)) => {}
                    Err((Refusal::Reserved | Refusal::Other, text)) => reason = text,
                }
            }
            tokio::time::sleep(self.config.poll_interval).await;
            let Ok((sighting, receipt)) = self.sight(&spending).await else { continue };
            match spending.decide(&sighting, published.elapsed(), started.elapsed(), &patience) {
                Action::Wait => {}
                Action::Confirmed => {
                    self.leftover = None;
                    let Some(receipt) = receipt else { continue };
                    return Ok(Spent::Done(self.outcome(prepared, receipt).await));
                }
                Action::Republish => publish = true,
                Action::Raise => {
                    published = Instant::now();
                    publish = true;
                    let Ok(market) = self.market().await else { continue };
                    let raised = spending.versions.last().map(|v| v.fees.raised(&market, &self.limits()));
                    match raised {
                        Some(Ok(fees)) => {
                            let next = self.sign(prepared, spending.nonce, gas, fees);
                            spending.versions.push(next);
                        }
                        Some(Err(dear)) => {
                            reason =
                                format!("{} costs {} wei a unit, the limit is {}", dear.what, dear.needed, dear.limit);
                        }
                        None => {}
                    }
                }
                Action::Lost => {
                    self.leftover = None;
                    return Ok(Spent::Lost);
                }
                Action::GiveUp => {
                    let versions = spending.versions.iter().map(|v| v.hash).collect();
                    return Ok(Spent::Done(TxOutcome::GivenUp { versions, reason }));
                }
            }
        }
    }

    async fn sight(&self, spending: &Spending) -> Result<(Sighting, Option<TransactionReceipt>), Error> {
        let head: U64 = self.endpoints.call("eth_blockNumber", ()).await?;
        let nonce = self.nonce(self.signer.address(), "latest").await?;
        for version in spending.versions.iter().rev() {
            let receipt: Option<TransactionReceipt> =
                self.endpoints.call("eth_getTransactionReceipt", (version.hash,)).await?;
            if let Some(receipt) = receipt
                && let Some(number) = receipt.block_number
                && self.is_canonical(&receipt).await?
            {
                let confirmations = (head.to::<u64>() + 1).saturating_sub(number).max(1);
                return Ok((Sighting { confirmations, nonce, pooled: false }, Some(receipt)));
            }
        }
        let mut pooled = false;
        if let Some(version) = spending.versions.last() {
            let known: Option<Value> = self.endpoints.call("eth_getTransactionByHash", (version.hash,)).await?;
            pooled = known.is_some();
        }
        Ok((Sighting { confirmations: 0, nonce, pooled }, None))
    }

    async fn is_canonical(&self, receipt: &TransactionReceipt) -> Result<bool, Error> {
        let Some(number) = receipt.block_number else { return Ok(false) };
        let block: Option<Value> = self.endpoints.call("eth_getBlockByNumber", (U64::from(number), false)).await?;
        let hash = block.as_ref().and_then(|b| b.get("hash")).and_then(Value::as_str).and_then(|h| h.parse().ok());
        Ok(hash == receipt.block_hash)
    }

    async fn outcome(&self, prepared: &Prepared, receipt: TransactionReceipt) -> TxOutcome {
        let receipt = Box::new(receipt);
        if receipt.status() {
            return TxOutcome::Included { receipt };
        }
        let before = receipt.block_number.unwrap_or_default().saturating_sub(1);
        let again: Result<Bytes, Error> =
            self.endpoints.call("eth_call", (self.call(prepared), U64::from(before))).await;
        TxOutcome::Reverted { receipt, revert: again.err().map(|e| revert(&e)) }
    }

    async fn publish(&self, version: &Version) -> Result<(), (Refusal, String)> {
        let sent: Result<B256, Error> = self.endpoints.call("eth_sendRawTransaction", (&version.raw,)).await;
        match sent {
            Ok(_) => Ok(()),
            Err(Error::Rpc { message, .. }) => Err((Refusal::of(&message), message)),
            Err(error) => Err((Refusal::Other, error.to_string())),
        }
    }

    async fn nonce(&self, account: Address, tag: &'static str) -> Result<u64, Error> {
        let nonce: U64 = self.endpoints.call("eth_getTransactionCount", (account, tag)).await?;
        Ok(nonce.to())
    }

    /// What the next block asks.
    async fn market(&self) -> Result<Market, Error> {
        let history: Value = self.endpoints.call("eth_feeHistory", (U64::from(5), "latest", [50.0])).await?;
        let quantity =
            |value: &Value| value.as_str().and_then(|t| u128::from_str_radix(t.trim_start_matches("0x"), 16).ok());
        let last = |name: &str| history.get(name).and_then(Value::as_array).and_then(|a| a.last()).and_then(quantity);
        let base_fee = last("baseFeePerGas")
            .ok_or_else(|| Error::Missing { endpoint: "L1".into(), what: "base fees in eth_feeHistory".into() })?;
        let rewards = history.get("reward").and_then(Value::as_array).into_iter().flatten();
        let mut tips: Vec<u128> = rewards.filter_map(|r| quantity(r.get(0)?)).collect();
        tips.sort_unstable();
        let tip = tips.get(tips.len() / 2).copied().unwrap_or_default().max(self.config.min_tip);
        Ok(Market { base_fee, blob_base_fee: last("baseFeePerBlobGas").unwrap_or(1), tip })
    }

    const fn limits(&self) -> Limits {
        Limits { cap: self.config.max_fee, blob_cap: self.config.max_blob_fee }
    }

    fn call(&self, prepared: &Prepared) -> Value {
        let request = &prepared.request;
        let call = TransactionRequest::default()
            .from(self.signer.address())
            .to(request.to)
            .value(request.value)
            .input(request.input.clone().into());
        let mut call = json!(call);
        if !prepared.hashes.is_empty() {
            call["blobVersionedHashes"] = json!(prepared.hashes);
            call["maxFeePerBlobGas"] = json!(U256::from(self.config.max_blob_fee));
        }
        call
    }

    fn sign(&self, prepared: &Prepared, nonce: u64, gas_limit: u64, fees: Fees) -> Version {
        let (request, chain_id) = (&prepared.request, self.endpoints.chain_id());
        let envelope: TxEnvelope = match &prepared.sidecar {
            None => self.signed(TxEip1559 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas: fees.cap,
                max_priority_fee_per_gas: fees.tip,
                to: TxKind::Call(request.to),
                value: request.value,
                access_list: Default::default(),
                input: request.input.clone(),
            }),
            Some(sidecar) => {
                let tx = TxEip4844 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: fees.cap,
                    max_priority_fee_per_gas: fees.tip,
                    to: request.to,
                    value: request.value,
                    access_list: Default::default(),
                    blob_versioned_hashes: prepared.hashes.clone(),
                    max_fee_per_blob_gas: fees.blob_cap,
                    input: request.input.clone(),
                };
                let sidecar = BlobTransactionSidecarVariant::Eip7594(sidecar.clone());
                self.signed(TxEip4844Variant::TxEip4844WithSidecar(TxEip4844WithSidecar { tx, sidecar }))
            }
        };
        Version { hash: *envelope.tx_hash(), raw: envelope.encoded_2718().into(), fees }
    }

    fn signed<T>(&self, transaction: T) -> TxEnvelope
    where
        T: SignableTransaction<alloy::primitives::Signature>,
        TxEnvelope: From<alloy::consensus::Signed<T>>,
    {
        let hash = transaction.signature_hash();
        // A local key signs every 32-byte hash.
        let signature = self.signer.sign_hash_sync(&hash).expect("invariant: a local key signs any hash");
        transaction.into_signed(signature).into()
    }
}

impl TxOutcome {
    const fn name(&self) -> &'static str {
        match self {
            Self::Included { .. } => "included",
            Self::Reverted { .. } => "reverted",
            Self::Refused(_) => "refused",
            Self::CapReached { .. } => "cap_reached",
            Self::GivenUp { .. } => "given_up",
        }
    }
}

/// Commitments and proofs take long, so they are computed off the event loop.
async fn prepare(request: TxRequest) -> Result<Prepared, TxError> {
    if request.blobs.is_empty() {
        return Ok(Prepared { request, sidecar: None, hashes: Vec::new() });
    }
    let blobs = request.blobs.clone();
    let built = in_background(move || sidecar(&blobs)).await;
    let sidecar = match built {
        Some(Ok(sidecar)) => sidecar,
        Some(Err(error)) => return Err(TxError::Blobs(error.to_string())),
        None => return Err(TxError::Stopped),
    };
    let hashes = sidecar.versioned_hashes().collect();
    Ok(Prepared { request, sidecar: Some(sidecar), hashes })
}

/// The chain's own refusal is an outcome, everything else is tried again.
fn refused(error: Error) -> Result<Spent, Error> {
    let executed = matches!(&error, Error::Rpc { data: Some(_), .. } | Error::Rpc { code: 3, .. });
    let reverted = matches!(&error, Error::Rpc { message, .. } if message.contains("revert"));
    if executed || reverted { Ok(Spent::Done(TxOutcome::Refused(revert(&error)))) } else { Err(error) }
}

fn revert(error: &Error) -> Revert {
    Revert { reason: error.reason(), data: error.revert_data().cloned() }
}
