//! Three epochs and more: leaders by schedule, a hand-over that loses nothing, one who joins, one who leaves.

use alloy::{primitives::U256, providers::Provider};
use baton_bindings::contracts::{BatonToken, SequencerPool, Staking};
use baton_cli::{anvil, chain, devnet::nodes::Node};
use baton_testkit::{
    World, WorldPlan, promises,
    world::{LATER, SOON, json, short_epochs},
};
use baton_tests::views;
use eyre::{Result, ensure, eyre};
use std::{collections::BTreeSet, time::Duration};

/// Account of the newcomer.
const NEWCOMER: u32 = 9;

#[tokio::test(flavor = "multi_thread")]
async fn leaders_follow_the_schedule_and_the_set_changes_at_epochs() -> Result<()> {
    let plan = WorldPlan { users: 1, parameters: short_epochs(), ..WorldPlan::default() };
    let world = World::start(plan).await?;
    let epoch_blocks = world.cluster.deployment.parameters.epoch_blocks;
    let term_views = world.cluster.deployment.parameters.term_views;

    // Somebody joins: stake, register, start the node; the node proves its readiness by itself.
    let newcomer = anvil::account(NEWCOMER)?;
    let (plan, keys) = world.cluster.joiner_plan("newcomer")?;
    fund_poster(&world, keys.poster.address()).await?;
    let staked = json(&world.verb(&["stake", "--amount", "40000", "--json"], &newcomer).await?)?;
    let text = staked["what"].as_str().unwrap_or_default();
    let id: u64 =
        text.split_whitespace().nth(2).and_then(|n| n.parse().ok()).ok_or_else(|| eyre!("no id in {text}"))?;
    let directory = plan.keys.as_ref().map(|k| k.display().to_string()).unwrap_or_default();
    let endpoint = format!("127.0.0.1:{}", plan.p2p_port);
    let registered = ["register", "--id", &id.to_string(), "--keys", &directory, "--endpoint", &endpoint, "--json"];
    json(&world.verb(&registered, &newcomer).await?)?;
    let mut joined = Node::spawn(plan)?;
    joined.ready(SOON).await?;

    // Three epochs: each term's leader is the one that Rust and Solidity name (P4 one_leader).
    let mut led = BTreeSet::new();
    let mut skipped = 0;
    let mut hand_overs = 0;
    let provider = world.l2(0);
    world.wait_all(3 * epoch_blocks, Duration::from_secs(240)).await?;
    for epoch in 0..3u64 {
        let schedule: serde_json::Value = provider.raw_request("rollup_leader".into(), (U256::from(epoch),)).await?;
        let snapshot = hex(&schedule["snapshot"])?;
        let named = promises::one_leader(&world, snapshot, epoch, epoch_blocks / term_views).await?;
        let current = hex(&schedule["current"]["leader"]["id"])?;
        ensure!(
            current == named[0],
            "P4: the node names {current} for epoch {epoch} term 1, the contract {}",
            named[0]
        );
        led.extend(named);
        for height in epoch * epoch_blocks + 1..(epoch + 1) * epoch_blocks {
            let (view, parent) = views(&provider, height).await?;
            if parent != 0 && view.div_ceil(term_views) != parent.div_ceil(term_views) {
                hand_overs += 1;
                skipped += u32::from(view != parent + 1);
            }
        }
    }
    ensure!(hand_overs >= 15, "only {hand_overs} hand-overs in three epochs");
    ensure!(skipped * 5 <= hand_overs, "{skipped} of {hand_overs} planned hand-overs skipped a view");
    ensure!(led.len() >= 3, "only {led:?} were named as leaders");

    // The newcomer leads in a later epoch.
    let first = first_epoch_with(&world, id, Duration::from_secs(180)).await?;
    world.wait_height(0, (first + 1) * epoch_blocks, Duration::from_secs(180)).await?;
    let newcomer_view = chain::http(&joined.plan.http()).get_block_number().await?;
    ensure!(newcomer_view + 50 >= (first + 1) * epoch_blocks, "the newcomer is at {newcomer_view} only");

    // One founder leaves: it stops leading at an epoch, and gets its stake back after unbonding (P7 exit_is_free).
    let leaver = world.cluster.founders[3].owner.clone();
    let gone = world.cluster.sequencers[3].get();
    let token = BatonToken::new(world.cluster.deployment.addresses.token, world.l1());
    let before = token.balanceOf(leaver.address()).call().await?;
    let staking = Staking::new(world.cluster.deployment.addresses.staking, world.l1());
    let stake = staking.sequencer(gone).call().await?.selfStake;
    let id_text = gone.to_string();
    let left =
        json(&world.verb(&["exit", "--id", &id_text, "--amount", "40000", "--self-stake", "--json"], &leaver).await?)?;
    let exit = left["what"].as_str().and_then(|w| w.split_whitespace().nth(1)).unwrap_or_default().to_owned();
    let early = world.verb(&["finish-exit", "--exit-id", &exit], &leaver).await?;
    promises::named(&baton_testkit::world::refusal(&early)?, &["Staking_ExitNotReady"])?;
    let last = epoch_without(&world, gone, Duration::from_secs(240)).await?;
    world.wait_height(0, last * epoch_blocks + 60, Duration::from_secs(180)).await?;

    let ready = staking.exits(exit.parse()?).call().await?.readyAt;
    world
        .until_l1("unbonding", Duration::from_secs(240), || async {
            let head = world.l1().get_block_by_number(alloy::eips::BlockNumberOrTag::Latest).await?;
            Ok(head.filter(|b| b.header.timestamp >= ready).map(|_| ()))
        })
        .await?;
    json(&world.verb(&["finish-exit", "--exit-id", &exit, "--json"], &leaver).await?)?;
    let after = token.balanceOf(leaver.address()).call().await?;
    ensure!(after == before + U256::from(stake), "P7: paid {} of {stake}", after - before);

    promises::agreement(&world).await?;
    promises::batches_are_the_chain(&world).await?;
    joined.process.stop(Duration::from_secs(8)).await;
    world.end().await;
    Ok(())
}

async fn fund_poster(world: &World, poster: alloy::primitives::Address) -> Result<()> {
    use alloy::{network::TransactionBuilder, rpc::types::TransactionRequest};
    let deployer = anvil::account(0)?;
    let wallet = world.l1_wallet(std::slice::from_ref(&deployer));
    let request =
        TransactionRequest::default().with_to(poster).with_value(alloy::primitives::utils::parse_ether("100")?);
    wallet.send_transaction(request).await?.get_receipt().await?;
    Ok(())
}

/// The first epoch of the table on L1 whose snapshot has `id`.
async fn first_epoch_with(world: &World, id: u64, within: Duration) -> Result<u64> {
    find_epoch(world, within, &format!("an epoch with sequencer {id}"), |members| members.contains(&id)).await
}

/// The first epoch after now whose snapshot has `id` no more.
async fn epoch_without(world: &World, id: u64, within: Duration) -> Result<u64> {
    find_epoch(world, within, &format!("an epoch without sequencer {id}"), |members| !members.contains(&id)).await
}

async fn find_epoch(world: &World, within: Duration, what: &str, fits: impl Fn(&[u64]) -> bool) -> Result<u64> {
    let pool = SequencerPool::new(world.cluster.deployment.addresses.pool, world.l1());
    let inbox = world.inbox();
    let fits = &fits;
    world
        .until_l1(what, within, || async {
            let anchor = inbox.anchor().call().await?;
            let snapshot = pool.snapshot(anchor.snapshot).call().await?;
            let members: Vec<u64> = snapshot.members.iter().map(|m| m.id).collect();
            Ok(fits(&members).then_some(anchor.epoch))
        })
        .await
}

fn hex(value: &serde_json::Value) -> Result<u64> {
    let text = value.as_str().ok_or_else(|| eyre!("{value} is no quantity"))?;
    Ok(u64::from_str_radix(text.trim_start_matches("0x"), 16)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn leaders_are_the_same_in_rust_and_solidity_for_many_terms() -> Result<()> {
    let plan = WorldPlan { users: 0, stakes: vec![20_000, 30_000, 50_000, 100_000], ..WorldPlan::default() };
    let world = World::start(plan).await?;
    world.wait_height(0, 1, LATER).await?;
    let mut drawn = [0u32; 5];
    for epoch in 0..2 {
        for id in promises::one_leader(&world, 0, epoch, 60).await? {
            drawn[usize::try_from(id)?] += 1;
        }
    }
    // Ids are in the order in which the founders' bonds came to L1.
    let ids = &world.cluster.sequencers;
    let draws = |founder: usize| usize::try_from(ids[founder].get()).map(|id| drawn[id]);
    ensure!(draws(3)? > draws(0)?, "half the stake leads less than a tenth of it: {drawn:?}");
    world.end().await;
    Ok(())
}
