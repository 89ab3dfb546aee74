//! Scenarios over real Anvil, Postgres and processes.
//!
//! Each file of `tests/` is one story: a world, what happens in it, and the promises (P1..P12) that must hold. What the
//! stories share is here.

use alloy::{
    network::TransactionBuilder,
    primitives::{Address, B256, U256},
    providers::{DynProvider, Provider},
    rpc::types::{TransactionReceipt, TransactionRequest},
};
use baton_cli::chain;
use baton_testkit::World;
use eyre::{Result, ensure, eyre};
use std::time::Duration;

/// Sends one wei from `from` to a fixed account and waits until it is final.
///
/// # Errors
/// If it is refused, fails or is not final in time.
pub async fn touch(world: &World, node: usize, from: Address, within: Duration) -> Result<TransactionReceipt> {
    let wallet = world.l2_wallet(node);
    let request =
        TransactionRequest::default().with_from(from).with_to(Address::repeat_byte(0x77)).with_value(U256::ONE);
    let hash = *wallet.send_transaction(request).await?.tx_hash();
    chain::wait_receipt(&world.nodes()[node].plan.ws(), hash, within).await
}

/// The rung of the ladder on which a transaction stands: `pending`, `final`, `posted`, `settled`.
///
/// # Errors
/// If the node does not answer.
pub async fn fate(provider: &DynProvider, hash: B256) -> Result<String> {
    let answer: serde_json::Value = provider.raw_request("rollup_transactionFate".into(), (hash,)).await?;
    let status = answer.get("status").and_then(|s| s.as_str());
    Ok(status.ok_or_else(|| eyre!("rollup_transactionFate answered {answer}"))?.to_owned())
}

/// Follows a transaction up to `settled` and checks that it never falls back.
///
/// # Errors
/// If it falls back, or is not settled in time.
pub async fn climbs(world: &World, node: usize, hash: B256, within: Duration) -> Result<Vec<String>> {
    const LADDER: [&str; 4] = ["pending", "final", "posted", "settled"];
    let provider = world.l2(node);
    let seen = std::cell::RefCell::new(Vec::<String>::new());
    world
        .until_l1(&format!("{hash} settled"), within, || async {
            let now = fate(&provider, hash).await?;
            let mut seen = seen.borrow_mut();
            let rung = |name: &str| LADDER.iter().position(|r| *r == name).ok_or_else(|| eyre!("{hash} is {name}"));
            if let Some(last) = seen.last() {
                ensure!(rung(&now)? >= rung(last)?, "{hash} fell from {last} to {now}");
            }
            if seen.last() != Some(&now) {
                seen.push(now.clone());
            }
            Ok((now == "settled").then_some(()))
        })
        .await?;
    Ok(seen.into_inner())
}

/// View and parent view of a block, from its header's extra data.
///
/// # Errors
/// If the node has no such block or its extra data is malformed.
pub async fn views(provider: &DynProvider, height: u64) -> Result<(u64, u64)> {
    let block: serde_json::Value =
        provider.raw_request("eth_getBlockByNumber".into(), (U256::from(height), false)).await?;
    let extra = block.get("extraData").and_then(|e| e.as_str()).ok_or_else(|| eyre!("no block {height}"))?;
    let bytes: alloy::primitives::Bytes = extra.parse()?;
    let extra = baton_primitives::ExtraData::from_bytes(&bytes)?;
    Ok((extra.view.get(), extra.parent_view.get()))
}
