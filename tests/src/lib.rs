//! Scenarios over real Anvil, Postgres and processes.
//!
//! Each file of `tests/` is one story: a world, what happens in it, and the promises (P1..P12) that must hold. What the
//! stories share is here.

pub mod hostile;

use alloy::{
    network::TransactionBuilder,
    primitives::{Address, B256, U256},
    providers::{DynProvider, Provider},
    rpc::types::{TransactionReceipt, TransactionRequest},
};
use baton_cli::{
    chain,
    process::{Process, Spec},
    tools,
};
use baton_indexer::{Config, verify::verify};
use baton_testkit::{World, world::LATER};
use eyre::{Result, ensure, eyre};
use sqlx::{Connection as _, PgConnection};
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
    Ok(fate_and_reason(provider, hash).await?.0)
}

/// As [`fate`], and the reason of a rejection.
///
/// # Errors
/// If the node does not answer.
pub async fn fate_and_reason(provider: &DynProvider, hash: B256) -> Result<(String, Option<String>)> {
    let answer: serde_json::Value = provider.raw_request("rollup_transactionFate".into(), (hash,)).await?;
    let text = |key| answer.get(key).and_then(|s| s.as_str()).map(str::to_owned);
    let status = text("status").ok_or_else(|| eyre!("rollup_transactionFate answered {answer}"))?;
    Ok((status, text("reason")))
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

/// What an indexer of this world, reading L2 from its first node, needs.
///
/// # Errors
/// If the world has no database.
pub fn index_config(world: &World) -> Result<Config> {
    let database = world.database.as_ref().ok_or_else(|| eyre!("no database"))?;
    Ok(Config {
        database_url: database.url().into(),
        l1_urls: vec![world.cluster.anvil.url()],
        l2_urls: vec![world.nodes()[0].plan.http()],
        deployment: world.cluster.deployment.clone(),
        l1_poll: Config::L1_POLL,
        l2_poll: Config::L2_POLL,
        concurrency: Config::CONCURRENCY,
        l1_range: Config::L1_RANGE,
    })
}

/// Starts an indexer process.
///
/// # Errors
/// If there is no database or no binary.
pub fn start_indexer(world: &World) -> Result<Process> {
    let database = world.database.as_ref().ok_or_else(|| eyre!("no database"))?;
    let plan = &world.nodes()[0].plan;
    let args = [
        "indexer",
        "--exit-on-stdin-close",
        "--l1.url",
        world.cluster.anvil.url().as_str(),
        "--node.url",
        plan.http().as_str(),
        "--deployment",
        &world.cluster.deployment_path.display().to_string(),
    ]
    .map(Into::into)
    .to_vec();
    let env = vec![("BATON_DATABASE_URL".into(), database.url().into())];
    let log = world.path().join("indexer.log");
    Ok(Process::spawn(Spec { name: "indexer".into(), program: tools::baton()?, args, env, log })?)
}

/// Waits until the index has caught up with `height` on L2 and the L1 block now, then compares every row (P10).
///
/// # Errors
/// If they differ, or it is not in time.
pub async fn index_equals(world: &World, height: u64) -> Result<()> {
    let config = index_config(world)?;
    let head = world.l1().get_block_number().await?;
    world
        .until_l1("the index has caught up", LATER, || async {
            // While the database is being made there is nothing to ask.
            let Ok(mut connection) = PgConnection::connect(&config.database_url).await else { return Ok(None) };
            let reached: Option<bool> = sqlx::query_scalar(
                "SELECT bool_and(number >= CASE chain WHEN 'l1' THEN $1 ELSE $2 END) FROM chain.cursors HAVING count(*) = 2",
            )
            .bind(i64::try_from(head)?)
            .bind(i64::try_from(height)?)
            .fetch_optional(&mut connection)
            .await
            .unwrap_or_default();
            Ok(reached.unwrap_or_default().then_some(()))
        })
        .await?;
    // While Anvil mines, it answers a call at its newest block with the state of the one that it mines: L1 stands still.
    world.set_l1_block_time(0).await?;
    let report = world
        .until_l1("the comparison", LATER, || async {
            // While a cursor is on a dropped L1 block there is nothing to compare with.
            Ok(verify(&config).await.ok())
        })
        .await?;
    world.set_l1_block_time(1).await?;
    ensure!(report.differences.is_empty(), "P10: {:?}", report.differences);
    ensure!(report.l2_cursor >= Some(height) && report.l1_cursor >= Some(head), "the index went back: {report:?}");
    Ok(())
}
