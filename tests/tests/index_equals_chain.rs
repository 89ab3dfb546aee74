//! Postgres equals the chain (P10), also after the database is lost and after L1 reorganises; and blocks never wait for it (P11).

use alloy::providers::Provider;
use baton_cli::{
    process::{Process, Spec},
    tools,
};
use baton_indexer::{Config, verify::verify};
use baton_testkit::{
    World, WorldPlan,
    world::{LATER, SOON},
};
use baton_tests::touch;
use eyre::{Result, ensure, eyre};
use std::time::Duration;

fn config(world: &World) -> Result<Config> {
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

fn start_indexer(world: &World) -> Result<Process> {
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

/// Waits until the index has caught up with `height` on L2 and the L1 block now, then compares every row.
async fn equal(world: &World, height: u64) -> Result<()> {
    let config = config(world)?;
    let head = world.l1().get_block_number().await?;
    world
        .until_l1("the index has caught up", LATER, || async {
            // While a cursor is on a dropped L1 block there is nothing to compare with.
            let Ok(report) = verify(&config).await else { return Ok(None) };
            ensure!(report.differences.is_empty(), "P10: {:?}", report.differences);
            let reached = report.l2_cursor >= Some(height) && report.l1_cursor >= Some(head);
            Ok(reached.then_some(()))
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_equals_the_chain_through_loss_and_reorg() -> Result<()> {
    let world = World::start(WorldPlan { users: 2, database: true, ..WorldPlan::default() }).await?;
    let mut indexer = start_indexer(&world)?;
    for user in &world.users {
        touch(&world, 0, user.address(), SOON).await?;
    }
    world.wait_batch(2, LATER).await?;
    let height = world.wait_height(0, 50, LATER).await?;
    equal(&world, height).await?;

    // The database is lost while the chain goes on (P11), and rebuilt from chain alone.
    let database = world.database.as_ref().ok_or_else(|| eyre!("no database"))?;
    database.recreate().await?;
    let height = world.wait_height(0, height + 20, SOON).await?;
    indexer.stop(Duration::from_secs(5)).await;
    indexer = start_indexer(&world)?;
    equal(&world, height).await?;

    // L1 reorganises within the depth that L2 tolerates.
    let depth = world.cluster.deployment.parameters.origin_depth;
    world.reorg(depth).await?;
    let height = world.wait_height(0, height + 20, SOON).await?;
    world.wait_posted(height, LATER).await?;
    equal(&world, height).await?;

    indexer.check()?;
    indexer.stop(Duration::from_secs(5)).await;
    world.end().await;
    Ok(())
}
