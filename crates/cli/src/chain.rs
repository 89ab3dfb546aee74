//! Waiting for a chain: by its heads, with a deadline, never by a fixed pause.

use alloy::{
    primitives::{B256, U256},
    providers::{DynProvider, Provider, ProviderBuilder, WsConnect},
    rpc::types::Header,
};
use eyre::{Result, WrapErr, bail, eyre};
use futures::{Stream, StreamExt};
use std::{future::Future, time::Duration};
use tokio::time::{Instant, timeout_at};
use url::Url;

/// An HTTP provider. Takes a WebSocket URL too: nodes serve both on one port.
pub fn http(url: &Url) -> DynProvider {
    let mut url = url.clone();
    let scheme = match url.scheme() {
        "ws" => "http",
        "wss" => "https",
        _ => "",
    };
    if !scheme.is_empty() {
        // Fails for no pair of these schemes.
        let _ = url.set_scheme(scheme);
    }
    ProviderBuilder::new().connect_http(url).erased()
}

/// A WebSocket provider.
///
/// # Errors
/// If the endpoint does not answer.
pub async fn ws(url: &Url) -> Result<DynProvider> {
    let connect = WsConnect::new(url.to_string());
    let provider = ProviderBuilder::new().connect_ws(connect).await;
    Ok(provider.wrap_err_with(|| format!("{url} does not accept a WebSocket"))?.erased())
}

/// The stream of new heads of the endpoint.
///
/// # Errors
/// If the endpoint does not answer.
pub async fn heads(url: &Url) -> Result<impl Stream<Item = Header> + Send + Unpin + use<>> {
    let provider = ws(url).await?;
    let stream = provider.subscribe_blocks().await.wrap_err("no subscription to heads")?.into_stream();
    // The provider owns the connection: it must live as long as the stream.
    Ok(Box::pin(stream.map(move |head| {
        let _ = &provider;
        head
    })))
}

/// Waits until the head of the endpoint is at least `height`; answers the head then.
///
/// # Errors
/// If `within` passes first, with the height reached.
pub async fn wait_height(url: &Url, height: u64, within: Duration) -> Result<u64> {
    let deadline = Instant::now() + within;
    let mut heads = heads(url).await?;
    let provider = http(url);
    let mut now = provider.get_block_number().await?;
    while now < height {
        match timeout_at(deadline, heads.next()).await {
            Ok(Some(head)) => now = now.max(head.number),
            Ok(None) => bail!("{url} closed the subscription at height {now}"),
            Err(_) => bail!("{url} is at height {now}, not at {height}, after {within:?}"),
        }
    }
    Ok(now)
}

/// Asks `question` after every new head (and at least every 500 ms) until it answers `Some`.
///
/// # Errors
/// If `within` passes, naming `what`; or what the question answers.
pub async fn wait_for<T, F>(url: &Url, what: &str, within: Duration, mut question: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let deadline = Instant::now() + within;
    let mut heads = heads(url).await?;
    loop {
        if let Some(answer) = question().await? {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            bail!("{what}: not within {within:?}");
        }
        let next = deadline.min(Instant::now() + Duration::from_millis(500));
        if matches!(timeout_at(next, heads.next()).await, Ok(None)) {
            return Err(eyre!("{url} closed the subscription while waiting: {what}"));
        }
    }
}

/// Waits for the receipt of a transaction and checks that it succeeded.
///
/// # Errors
/// If it fails, or `within` passes.
pub async fn wait_receipt(url: &Url, hash: B256, within: Duration) -> Result<alloy::rpc::types::TransactionReceipt> {
    let provider = http(url);
    let what = format!("receipt of {hash}");
    let receipt = wait_for(url, &what, within, || async { Ok(provider.get_transaction_receipt(hash).await?) }).await?;
    if !receipt.status() {
        bail!("transaction {hash} failed in block {:?}", receipt.block_number);
    }
    Ok(receipt)
}

/// Waits until an account holds at least `wei`.
///
/// # Errors
/// If `within` passes.
pub async fn wait_balance(url: &Url, account: alloy::primitives::Address, wei: U256, within: Duration) -> Result<U256> {
    let provider = http(url);
    let what = format!("{wei} wei for {account}");
    wait_for(url, &what, within, || async {
        let balance = provider.get_balance(account).await?;
        Ok((balance >= wei).then_some(balance))
    })
    .await
}
