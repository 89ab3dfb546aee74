//! A member that is away is jailed by the others and comes back by itself; that governance changed parameters meanwhile stops nobody.

use alloy::{primitives::Bytes, providers::Provider, sol_types::SolCall};
use baton_bindings::{
    ChainParameters,
    contracts::{
        Governance, IParameters, Parameters, SequencerPool, Staking, parameters::Parameters::setPenaltiesCall,
    },
};
use baton_cli::anvil;
use baton_testkit::{
    World, WorldPlan, promises,
    world::{LATER, SOON, short_epochs},
};
use baton_tests::{index_equals, start_indexer};
use eyre::{ContextCompat as _, Result, ensure};
use std::time::Duration;

/// `ISequencerPool.Status`.
const ACTIVE: u8 = 2;
const JAILED: u8 = 3;
/// Epochs of a dead member's terms, and L1's delays.
const EPOCHS: Duration = Duration::from_secs(240);

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_away_is_jailed_and_comes_back_under_changed_parameters() -> Result<()> {
    let parameters = ChainParameters { jail_time: 20, ..short_epochs() };
    let mut world = World::start(WorldPlan { database: true, parameters, ..WorldPlan::default() }).await?;
    let mut indexer = start_indexer(&world)?;
    let addresses = world.cluster.deployment.addresses;
    let (l1, away) = (world.l1().clone(), world.cluster.sequencers[3].get());
    let pool = SequencerPool::new(addresses.pool, &l1);
    let staking = Staking::new(addresses.staking, &l1);
    let before = staking.sequencer(away).call().await?.stake;

    // The governor announces a shorter jail; it can be in force after the delay.
    let governor = anvil::account(0)?;
    let wallet = world.l1_wallet(std::slice::from_ref(&governor));
    let governance = Governance::new(addresses.governance, &wallet);
    let penalties = Parameters::new(addresses.parameters, &l1).penalties().call().await?;
    let changed = IParameters::Penalties { jailTime: penalties.jailTime - 1, ..penalties };
    let call = Bytes::from(setPenaltiesCall { next: changed }.abi_encode());
    let announced =
        governance.schedule(addresses.parameters, call.clone(), alloy::primitives::aliases::U48::ZERO).send().await?;
    ensure!(announced.get_receipt().await?.status(), "the change is not announced");
    let operation = governance.hashOperation(governor.address(), addresses.parameters, call.clone()).call().await?;
    let due: u64 = governance.getSchedule(operation).call().await?.to();

    // It misses its terms. The others certify that they are missed, and one of them has it jailed; no stake is taken.
    world.kill(3).await;
    world
        .until_l1("the one who is away is jailed", EPOCHS, || async {
            Ok((pool.entry(away).call().await?.status == JAILED).then_some(()))
        })
        .await?;
    ensure!(staking.sequencer(away).call().await?.stake == before, "an absence costs no stake");
    let active = pool.active().call().await?;
    let others = &world.cluster.sequencers[..3];
    ensure!(others.iter().all(|id| active.contains(&id.get())), "somebody else was jailed: {active:?} are active");
    // It misses the terms of the epochs whose sets still have it, too; L1 says that those are punished.
    world
        .until_l1("the dockets are empty", EPOCHS, || async {
            let mut files = 0;
            for node in 1..=3 {
                files += std::fs::read_dir(world.path().join(format!("node{node}/data/offences")))?.count();
            }
            Ok((files == 0).then_some(()))
        })
        .await?;

    world
        .until_l1("the change is due", EPOCHS, || async {
            let head = l1.get_block_by_number(alloy::eips::BlockNumberOrTag::Latest).await?;
            Ok(head.filter(|block| block.header.timestamp >= due).map(|_| ()))
        })
        .await?;
    let executed = governance.execute(addresses.parameters, call).send().await?.get_receipt().await?;
    ensure!(executed.status(), "the change is not in force");

    // It starts although its deployment file has the former jail time, and proves its readiness by itself.
    world.restart(3).await?;
    world
        .until_l1("it is back", LATER, || async { Ok((pool.entry(away).call().await?.status == ACTIVE).then_some(())) })
        .await?;
    let logs = (0..3).map(|node| std::fs::read_to_string(world.nodes()[node].plan.log()));
    let logs = logs.collect::<Result<String, _>>()?;
    ensure!(logs.contains("Slasher_NotAbsent"), "nobody heard from L1 that it is punished already");
    let log = std::fs::read_to_string(world.nodes()[3].plan.log())?;
    ensure!(log.contains("governance changed a parameter"), "the operator is not told");

    let height = world.l2(0).get_block_number().await?;
    world.wait_all(height + 40, LATER).await?;
    index_equals(&world, height).await?;
    let database = world.database.as_ref().wrap_err("a database")?;
    let index = sqlx::PgPool::connect(database.url()).await?;
    let jailed: Vec<i64> =
        sqlx::query_scalar("SELECT DISTINCT sequencer FROM baton.absences").fetch_all(&index).await?;
    ensure!(jailed == [i64::try_from(away)?], "the index has absences of {jailed:?}");
    index.close().await;
    promises::agreement(&world).await?;
    indexer.stop(SOON).await;
    world.end().await;
    Ok(())
}
