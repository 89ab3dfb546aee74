//! A fresh reader with nothing but L1 reaches the same chain (P3 derived_equals_final).

use baton_testkit::{
    World, WorldPlan, promises,
    world::{LATER, SOON, hash_at, json},
};
use baton_tests::touch;
use eyre::{Result, ensure, eyre};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_l1_alone_reaches_the_same_hashes() -> Result<()> {
    let world = World::start(WorldPlan { users: 2, ..WorldPlan::default() }).await?;
    for user in &world.users {
        for _ in 0..3 {
            touch(&world, 0, user.address(), SOON).await?;
        }
    }
    // Past the first epoch's end, so that a sweep and a hand-off are in it.
    let epoch_blocks = world.cluster.deployment.parameters.epoch_blocks;
    let height = world.wait_height(0, epoch_blocks + 20, Duration::from_secs(180)).await?;
    world.wait_posted(height, LATER).await?;

    let deployment = world.cluster.deployment_path.display().to_string();
    let l1 = world.cluster.anvil.url().to_string();
    let directory = world.path().join("derived").display().to_string();
    let output =
        World::baton(&["derive", "--deployment", &deployment, "--l1.url", &l1, "--data-dir", &directory, "--json"])
            .await?;
    let derived = json(&output)?;
    let reached = derived["height"].as_u64().ok_or_else(|| eyre!("no height in {derived}"))?;
    ensure!(reached >= height, "derived up to {reached} only, {height} is posted");
    let expected = hash_at(&world.l2(0), reached).await?;
    ensure!(
        derived["blockHash"].as_str().and_then(|h| h.parse().ok()) == Some(expected),
        "P3: derived {derived}, final {expected}"
    );
    promises::batches_are_the_chain(&world).await?;
    world.end().await;
    Ok(())
}
