//! kill -9 of the poster in mid-batch: everything is posted exactly once (P9 no_single_poster).

use alloy::{eips::BlockNumberOrTag, providers::Provider};
use baton_testkit::{
    World, WorldPlan, promises,
    world::{LATER, SOON},
};
use eyre::{Result, ensure, eyre};
use std::time::Duration;

const KILLS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn a_poster_that_dies_in_mid_batch_costs_no_batch_and_doubles_none() -> Result<()> {
    let mut world = World::start(WorldPlan { users: 1, ..WorldPlan::default() }).await?;
    world.wait_batch(1, LATER).await?;

    for _ in 0..KILLS {
        // Who posted last is about to collect signatures for the next one, or its successor is; kill it as soon as its
        // transaction is on its way.
        let poster = next_poster(&world).await?;
        world.kill(poster).await;
        let index = world.inbox().anchor().call().await?.index;
        world.wait_batch(index + 2, LATER).await?;
        world.restart(poster).await?;
    }

    let height = world.wait_height(0, 1, SOON).await?;
    world.wait_posted(height, LATER).await?;
    promises::posted_once(&world).await?;
    promises::batches_are_the_chain(&world).await?;
    promises::agreement(&world).await?;
    let wasted = failed_posts(&world).await?;
    ensure!(wasted <= KILLS * 2, "{wasted} posts failed on L1 after {KILLS} kills");
    world.end().await;
    Ok(())
}

/// Waits for a transaction to the inbox in L1's pool, or else a new batch; answers the node of its sender.
async fn next_poster(world: &World) -> Result<usize> {
    let inbox = world.cluster.deployment.addresses.inbox;
    let l1 = world.l1();
    let posted = world.batches().await?.len();
    let sender = world
        .until_l1("a post on its way", Duration::from_secs(60), || async {
            let pool: serde_json::Value = l1.raw_request("txpool_content".into(), ()).await?;
            let pending = pool["pending"].as_object().into_iter().flatten();
            for (sender, transactions) in pending {
                let mut all = transactions.as_object().into_iter().flatten();
                let to_inbox = |t: &serde_json::Value| t["to"].as_str().and_then(|a| a.parse().ok()) == Some(inbox);
                if all.any(|(_, t)| to_inbox(t)) {
                    return Ok(Some(sender.parse()?));
                }
            }
            let batches = world.batches().await?;
            Ok(batches.get(posted).map(|batch| batch.poster))
        })
        .await?;
    let position = world.cluster.founders.iter().position(|f| f.keys.poster.address() == sender);
    position.ok_or_else(|| eyre!("{sender} posts but is no founder's poster"))
}

/// Transactions to the inbox that failed.
async fn failed_posts(world: &World) -> Result<usize> {
    let inbox = world.cluster.deployment.addresses.inbox;
    let l1 = world.l1();
    let mut failed = 0;
    for number in world.cluster.deployment.block..=l1.get_block_number().await? {
        let receipts = l1.get_block_receipts(BlockNumberOrTag::Number(number).into()).await?.unwrap_or_default();
        failed += receipts.iter().filter(|r| r.to == Some(inbox) && !r.status()).count();
    }
    Ok(failed)
}
