//! Postgres equals the chain (P10), also after the database is lost and after L1 reorganises; and blocks never wait for it (P11).

use baton_testkit::{
    World, WorldPlan,
    world::{LATER, SOON},
};
use baton_tests::{index_equals, start_indexer, touch};
use eyre::{Result, eyre};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn postgres_equals_the_chain_through_loss_and_reorg() -> Result<()> {
    let world = World::start(WorldPlan { users: 2, database: true, ..WorldPlan::default() }).await?;
    let mut indexer = start_indexer(&world)?;
    for user in &world.users {
        touch(&world, 0, user.address(), SOON).await?;
    }
    world.wait_batch(2, LATER).await?;
    let height = world.wait_height(0, 50, LATER).await?;
    index_equals(&world, height).await?;

    // The database is lost while the chain goes on (P11), and rebuilt from chain alone.
    let database = world.database.as_ref().ok_or_else(|| eyre!("no database"))?;
    database.recreate().await?;
    let height = world.wait_height(0, height + 20, SOON).await?;
    indexer.stop(Duration::from_secs(5)).await;
    indexer = start_indexer(&world)?;
    index_equals(&world, height).await?;

    // L1 reorganises within the depth that L2 tolerates.
    let depth = world.cluster.deployment.parameters.origin_depth;
    world.reorg(depth).await?;
    let height = world.wait_height(0, height + 20, SOON).await?;
    world.wait_posted(height, LATER).await?;
    index_equals(&world, height).await?;

    indexer.check()?;
    indexer.stop(Duration::from_secs(5)).await;
    world.end().await;
    Ok(())
}
