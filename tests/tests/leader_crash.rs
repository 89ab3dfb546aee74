//! kill -9 of the leader under load, ten times.

use baton_cli::{chain, devnet::traffic};
use baton_testkit::{
    World, WorldPlan, promises,
    world::{LATER, SOON},
};
use eyre::{Result, ensure};
use futures::StreamExt;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// From kill to the next final block.
const LIMIT: Duration = Duration::from_millis(1_500);
const KILLS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn no_final_transaction_is_lost_and_blocks_go_on_when_leaders_die() -> Result<()> {
    let mut world = World::start(WorldPlan { users: 4, ..WorldPlan::default() }).await?;
    let stop = CancellationToken::new();
    let mut gaps = Vec::new();
    let mut logs = Vec::new();

    for round in 0..KILLS {
        let leader = world.leader(round % 4).await?;
        let witness = world.other(leader)?;
        let plan = world.nodes()[witness].plan.clone();
        let stop_load = stop.child_token();
        let load = tokio::spawn(traffic::run(plan.http(), world.users.clone(), 20, stop_load.clone()));
        let log = world.record(witness).await?;
        let mut heads = chain::heads(&plan.ws()).await?;
        // Under load, and surely in the middle of somebody's term.
        for _ in 0..5 {
            tokio::time::timeout(SOON, heads.next()).await?;
        }
        let leader = world.leader(witness).await?;
        let (leader, witness_dies) = if leader == witness { (world.other(witness)?, true) } else { (leader, false) };
        ensure!(!witness_dies || leader != witness, "the witness must live");

        let at = Instant::now();
        world.kill(leader).await;
        // Blocks that were on their way count as before the kill: the second head after it is made without the leader.
        tokio::time::timeout(SOON, heads.next()).await?;
        tokio::time::timeout(SOON, heads.next()).await?;
        let gap = log.longest_gap(at).await.max(Duration::ZERO);
        gaps.push(gap);
        let height = world.wait_height(witness, 1, SOON).await?;
        stop_load.cancel();
        load.await??;

        world.restart(leader).await?;
        world.wait_height(leader, height, LATER).await?;
        logs.push(log);
    }
    promises::no_lost_final(&world, &logs.iter().collect::<Vec<_>>()).await?;
    promises::agreement(&world).await?;
    let worst = gaps.iter().max().copied().unwrap_or_default();
    ensure!(worst <= LIMIT, "a kill of the leader cost {worst:?}; all gaps: {gaps:?}");
    world.end().await;
    Ok(())
}
