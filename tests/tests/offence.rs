//! A member that signs contradictions, of votes and of batches, is slashed and jailed by the others, and the chain goes on without it (P8).

use alloy::primitives::{B256, U256};
use baton_bindings::contracts::{SequencerPool, Slasher, Staking};
use baton_consensus::{Evidence, EvidenceKind, SignedVote};
use baton_node::{OperatorKeys, accuse};
use baton_poster::{Attestation, accuse_batches};
use baton_primitives::{Core, Epoch, Generation, Snapshot, View, batch_message, bls, consensus_namespace};
use baton_testkit::{
    World, WorldPlan, promises,
    world::{LATER, SOON, short_epochs},
};
use baton_tests::{index_equals, start_indexer};
use eyre::{ContextCompat as _, Result, ensure};

/// Unsigned LEB128, as the engine writes integers.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.extend(u8::try_from(value & 0x7f).map(|low| low | 0x80));
        value >>= 7;
    }
    bytes.extend(u8::try_from(value));
    bytes
}

/// A finalize vote of view 300 for a block, as the engine signs it.
fn finalize(world: &World, key: &bls::SecretKey, block: B256) -> Result<SignedVote> {
    let deployment = &world.cluster.deployment;
    let namespace = consensus_namespace(deployment.l1_chain_id, deployment.addresses.inbox, Generation::ZERO);
    let body = [varint(0), varint(300), varint(299), block.to_vec()].concat();
    let message = [varint(32 + 9), namespace.to_vec(), b"_FINALIZE".to_vec(), body].concat();
    let signature = key.sign(&message).to_bytes();
    Ok(SignedVote { parent_view: View::new(299), block, signature: signature.as_slice().try_into()? })
}

/// A signature on an encoding of a core, as the poster makes it.
fn attest(world: &World, key: &bls::SecretKey, core: Core) -> Attestation {
    let deployment = &world.cluster.deployment;
    let data_hash = B256::repeat_byte(7);
    let message = batch_message(deployment.l1_chain_id, deployment.addresses.inbox, core.hash(), data_hash);
    Attestation { core, data_hash, signature: key.sign(&message) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_signs_a_contradiction_is_slashed_and_jailed_and_blocks_go_on() -> Result<()> {
    let parameters = short_epochs();
    let plan = WorldPlan { database: true, parameters: parameters.clone(), ..WorldPlan::default() };
    let mut world = World::start(plan).await?;
    let mut indexer = start_indexer(&world)?;
    let addresses = world.cluster.deployment.addresses;
    let (l1, offender) = (world.l1().clone(), world.cluster.sequencers[3]);
    let pool = SequencerPool::new(addresses.pool, &l1);
    let staking = Staking::new(addresses.staking, &l1);
    let slasher = Slasher::new(addresses.slasher, &l1);
    let before = staking.sequencer(offender.get()).call().await?.stake;

    // Node 4's vote key signs two blocks of one view; node 1 learns both votes.
    let keys = OperatorKeys::load(&world.path().join("node4/keys"))?;
    let snapshot: Snapshot = pool.snapshot(0).call().await?.try_into()?;
    let signer = snapshot.position(&keys.identity.public()).wrap_err("node 4 is a founder")?;
    let votes = [B256::repeat_byte(1), B256::repeat_byte(2)].map(|block| finalize(&world, &keys.vote, block));
    let [first, second] = votes;
    let evidence = Evidence {
        epoch: Epoch::ZERO,
        view: View::new(300),
        kind: EvidenceKind::Finalize,
        signer,
        identity: keys.identity.public(),
        votes: [first?, second?],
    };
    let reporter = OperatorKeys::load(&world.path().join("node1/keys"))?.poster.address();
    let report = accuse(&snapshot, Generation::ZERO, &evidence, reporter).wrap_err("evidence of the set")?;
    world.wait_batch(1, LATER).await?;
    world.kill(0).await;
    let docket = world.path().join("node1/data/offences");
    let file = docket.join(format!("{offender}-0"));
    std::fs::write(&file, &report.call)?;
    // In the next epoch, whose set is the same, it signs two cores of one batch.
    let batch = world.batches().await?.pop().wrap_err("a batch is on L1")?;
    let core = Core { epoch: Epoch::new(1), ..Core::from(&batch.core) };
    let other = Core { state_root: B256::repeat_byte(9), ..core.clone() };
    let [one, two] = [core, other].map(|core| attest(&world, &keys.vote, core));
    let second = accuse_batches(&snapshot.members[signer], &one, &two, reporter);
    let later = docket.join(format!("{offender}-1-batches"));
    std::fs::write(&later, &second.call)?;
    world.restart(0).await?;

    world
        .until_l1("the offence is punished", LATER, || async {
            Ok(slasher.isPunished(offender.get(), 0).call().await?.then_some(()))
        })
        .await?;
    ensure!(pool.active().call().await?.iter().all(|id| *id != offender.get()), "the offender is still active");
    let token = baton_bindings::contracts::BatonToken::new(addresses.token, &l1);
    ensure!(token.balanceOf(reporter).call().await? > U256::ZERO, "the reporter has no bounty");
    world.until_l1("the votes are off the docket", SOON, || async { Ok((!file.exists()).then_some(())) }).await?;

    // What was signed for an epoch that was not open on L1 has waited for it.
    world
        .until_l1("the two cores are punished", LATER, || async {
            Ok(slasher.isPunished(offender.get(), 1).call().await?.then_some(()))
        })
        .await?;
    // Each costs its part of what the one before it has left; which is the first on L1 is chance.
    let mut punished = slasher.Offended_filter().from_block(0).query().await?;
    punished.sort_by_key(|(_, log)| (log.block_number, log.log_index));
    ensure!(punished.len() == 2, "punished {} times", punished.len());
    let mut stake = before;
    for (event, _) in &punished {
        let bps = if event.repeated { parameters.repeated_bps } else { parameters.first_bps };
        let cost = (stake * u128::from(bps)).div_ceil(10_000);
        ensure!(event.slashed == cost, "of {stake} the offence in epoch {} cost {}", event.epoch, event.slashed);
        stake -= cost;
    }
    ensure!(staking.sequencer(offender.get()).call().await?.stake == stake, "the stake is not what is left");
    world.until_l1("the docket is empty", SOON, || async { Ok((!later.exists()).then_some(())) }).await?;

    // Two epochs later the set is one of three, and blocks go on.
    let epoch = world.cluster.deployment.parameters.epoch_blocks;
    let height = world.wait_height(1, 3 * epoch + 20, LATER).await?;
    index_equals(&world, height).await?;
    let database = world.database.as_ref().wrap_err("a database")?;
    let index = sqlx::PgPool::connect(database.url()).await?;
    let (slashed, status): (String, String) = sqlx::query_as(
        "SELECT o.slashed::text, s.status FROM baton.offences o JOIN baton.sequencers s USING (sequencer) WHERE o.epoch = 0",
    )
    .fetch_one(&index)
    .await?;
    let votes = punished.iter().find(|(event, _)| event.epoch == 0).wrap_err("no event of the votes")?;
    ensure!(slashed == votes.0.slashed.to_string(), "the index says {slashed}");
    // After its jail term the node proves its readiness by itself, and is in again.
    ensure!(["jailed", "active"].contains(&status.as_str()), "the index says {status}");
    index.close().await;
    promises::agreement(&world).await?;
    indexer.stop(SOON).await;
    world.end().await;
    Ok(())
}
