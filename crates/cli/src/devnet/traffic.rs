//! Light background traffic: transfers between a few accounts, at a steady rate, through one endpoint.

use crate::{
    chain,
    load::{self, Fees},
};
use alloy::{primitives::Address, providers::Provider, signers::local::PrivateKeySigner};
use eyre::Result;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use url::Url;

/// Sends `per_second` transfers in turn from each account to the next until `stop`. A refused or unanswered transfer is
/// logged, and the account's nonce is asked for again.
///
/// # Errors
/// If the endpoint does not answer at the start.
pub async fn run(rpc: Url, accounts: Vec<PrivateKeySigner>, per_second: u32, stop: CancellationToken) -> Result<()> {
    if per_second == 0 || accounts.is_empty() {
        return Ok(());
    }
    let provider = chain::http(&rpc);
    let chain_id = provider.get_chain_id().await?;
    let mut nonces: Vec<Option<u64>> = vec![None; accounts.len()];
    let mut ticks = interval(Duration::from_secs(1) / per_second);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for turn in 0usize.. {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => {}
        }
        let from = turn % accounts.len();
        let to = accounts[(from + 1) % accounts.len()].address();
        match send(&provider, chain_id, &accounts[from], nonces[from], to).await {
            Ok(nonce) => nonces[from] = Some(nonce + 1),
            Err(error) => {
                tracing::debug!(%error, "a background transfer was not accepted");
                nonces[from] = None;
            }
        }
    }
    Ok(())
}

async fn send(
    provider: &impl Provider,
    chain_id: u64,
    from: &PrivateKeySigner,
    nonce: Option<u64>,
    to: Address,
) -> Result<u64> {
    let nonce = match nonce {
        Some(nonce) => nonce,
        None => provider.get_transaction_count(from.address()).pending().await?,
    };
    let max_fee = provider.get_gas_price().await?.saturating_mul(2).max(1_000_000_000);
    // Enough that a devnet's fees exceed what its batches cost on L1, so that there is income to see.
    let signed = load::sign_transfer(from, chain_id, nonce, to, Fees { max_fee, tip: max_fee / 4 })?;
    let _ = provider.send_raw_transaction(&signed.raw).await?;
    Ok(nonce)
}
