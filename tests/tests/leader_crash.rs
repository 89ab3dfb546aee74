//! kill -9 of the leader under load, ten times.

use alloy::providers::Provider;
use baton_cli::{chain, devnet::traffic};
use baton_testkit::{
    World, WorldPlan, promises,
    world::{LATER, SOON},
};
use eyre::{Result, ensure, eyre};
use futures::StreamExt;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// From kill to the next final block.
const LIMIT: Duration = Duration::from_millis(1_500);
const KILLS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn no_final_transaction_is_lost_and_blocks_go_on_when_leaders_die() -> Result<()> {
    let mut world = World::start(WorldPlan { users: 4, ..WorldPlan::default() }).await?;
    let mut gaps = Vec::new();
    let mut logs = Vec::new();

    for round in 0..KILLS {
        // The witness changes with the rounds, so that every node is killed and every node watches.
        let witness = round % 4;
        let plan = world.nodes()[witness].plan.clone();
        let stop = CancellationToken::new();
        let load = tokio::spawn(traffic::run(plan.http(), world.users.clone(), 20, stop.clone()));
        let log = world.record(witness).await?;
        let mut heads = chain::heads(&plan.ws()).await?;
        let mut seen = 0;
        let leader = loop {
            tokio::time::timeout(SOON, heads.next()).await?.ok_or_else(|| eyre!("{} ends its heads", plan.name))?;
            seen += 1;
            let leader = world.leader(witness).await?;
            if seen >= 5 && leader != witness {
                break leader;
            }
        };

        world.kill(leader).await;
        // A block that was on its way may still come: the longest wait for one of the next ten is the price of the kill.
        let mut gap = Duration::ZERO;
        for _ in 0..10 {
            let from = Instant::now();
            tokio::time::timeout(SOON, heads.next()).await?.ok_or_else(|| eyre!("{} ends its heads", plan.name))?;
            gap = gap.max(from.elapsed());
        }
        gaps.push(gap);
        stop.cancel();
        load.await??;

        world.restart(leader).await?;
        let height = world.l2(witness).get_block_number().await?;
        world.wait_height(leader, height, LATER).await?;
        // Four can bear one dead member, so the next one dies only when this one votes again.
        world.wait_voting(leader, LATER).await?;
        logs.push(log);
    }
    promises::no_lost_final(&world, &logs.iter().collect::<Vec<_>>()).await?;
    promises::agreement(&world).await?;
    let worst = gaps.iter().max().copied().unwrap_or_default();
    ensure!(worst <= LIMIT, "a kill of the leader cost {worst:?}; all gaps: {gaps:?}");
    world.end().await;
    Ok(())
}
