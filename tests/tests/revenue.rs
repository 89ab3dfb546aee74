//! Fees of several epochs, shared to the wei (P6 conservation).

use alloy::{
    primitives::{B256, U256},
    providers::Provider,
};
use baton_bindings::contracts::{IRevenueShare, RevenueShare};
use baton_cli::{
    anvil,
    devnet::{cluster::DELEGATORS, traffic},
};
use baton_testkit::{World, WorldPlan, promises, world::json};
use eyre::{Result, ensure};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const EPOCHS: u64 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn every_wei_of_fees_is_paid_claimable_or_tracked_dust() -> Result<()> {
    let stakes = vec![20_000, 30_000, 40_000, 50_000];
    let world = World::start(WorldPlan { users: 4, stakes, ..WorldPlan::default() }).await?;
    for (delegator, id) in [(DELEGATORS, "1"), (DELEGATORS + 1, "1"), (DELEGATORS + 1, "4")] {
        let account = anvil::account(delegator)?;
        json(&world.verb(&["delegate", "--id", id, "--amount", "10000", "--json"], &account).await?)?;
    }
    promises::conservation(&world).await?;

    let stop = CancellationToken::new();
    let load = tokio::spawn(traffic::run(world.nodes()[0].plan.http(), world.users.clone(), 10, stop.clone()));
    let inbox = world.inbox();
    world
        .until_l1("closed epochs", Duration::from_secs(300), || async {
            promises::conservation(&world).await?;
            Ok((inbox.anchor().call().await?.epoch >= EPOCHS).then_some(()))
        })
        .await?;
    stop.cancel();
    load.await??;

    let closed: Vec<_> = world.batches().await?.into_iter().filter(|b| b.core.closing).collect();
    ensure!(closed.len() as u64 >= EPOCHS, "only {} epochs closed", closed.len());
    ensure!(closed.iter().any(|b| b.core.fees > U256::ZERO), "no epoch had fees");

    // Everybody claims; what they receive is what the books said.
    let revenue = RevenueShare::new(world.cluster.deployment.addresses.revenue, world.l1());
    let mut received = U256::ZERO;
    for (position, founder) in world.cluster.founders.iter().enumerate() {
        let id = world.cluster.sequencers[position].get();
        received += claim(&world, &revenue, id, &founder.owner, true).await?;
        received += claim_debts(&world, &founder.keys.poster).await?;
    }
    for (delegator, id) in [(DELEGATORS, 1), (DELEGATORS + 1, 1), (DELEGATORS + 1, 4)] {
        let account = anvil::account(delegator)?;
        let paid = claim(&world, &revenue, id, &account, false).await?;
        received += paid;
    }
    let totals = revenue.totals().call().await?;
    ensure!(U256::from(totals.claimed) == received, "P6: claims received {received}, the books say {}", totals.claimed);
    promises::conservation(&world).await?;
    world.end().await;
    Ok(())
}

/// Claims and checks the exact payment; answers it.
async fn claim(
    world: &World,
    revenue: &RevenueShare::RevenueShareInstance<alloy::providers::DynProvider>,
    id: u64,
    account: &alloy::signers::local::PrivateKeySigner,
    owner: bool,
) -> Result<U256> {
    let receiver = alloy::primitives::Address::random();
    let (id_text, receiver_text) = (id.to_string(), receiver.to_string());
    let mut arguments = vec!["claim", "--id", &id_text, "--receiver", &receiver_text, "--json"];
    if owner {
        arguments.push("--owner");
    }
    let due = if owner {
        revenue.claimableOwner(id).call().await?
    } else {
        revenue.claimable(id, account.address()).call().await?
    };
    json(&world.verb(&arguments, account).await?)?;
    let paid = world.l1().get_balance(receiver).await?;
    // An epoch may have closed in between: then more is paid, never less.
    ensure!(paid >= due, "P6: sequencer {id} paid {paid}, {due} was claimable");
    Ok(paid)
}

/// Claims a poster's debts from the side of the last closed epoch, which does not grow meanwhile; answers what it received.
async fn claim_debts(world: &World, poster: &alloy::signers::local::PrivateKeySigner) -> Result<U256> {
    let revenue =
        RevenueShare::new(world.cluster.deployment.addresses.revenue, world.l1_wallet(std::slice::from_ref(poster)));
    let closings = revenue.EpochClosed_filter().from_block(0).query().await?;
    let added = revenue.DebtAdded_filter().topic3(poster.address().into_word()).from_block(0).query().await?;
    let place = |log: &alloy::rpc::types::Log| (log.block_number, log.log_index);
    let side = (closings.len() + 1) % 2;
    let mut open = Vec::new();
    for (debt, log) in added {
        let closed = closings.iter().filter(|(_, closing)| place(closing) < place(&log)).count();
        if closed % 2 == side {
            let (start, end) = ((debt.totalDebts - debt.amount).to(), debt.totalDebts.to());
            open.push(IRevenueShare::OpenDebt { id: debt.debtId, start, end });
        }
    }
    if open.is_empty() {
        return Ok(U256::ZERO);
    }
    // No claim was made before: the hash of none is zero.
    let claim = revenue.claimDebts(u8::try_from(side)?, B256::ZERO, open).from(poster.address());
    let amount = claim.call().await?;
    let receipt = claim.send().await?.get_receipt().await?;
    ensure!(receipt.status(), "claiming debts failed");
    let paid: U256 = receipt
        .logs()
        .iter()
        .filter_map(|log| log.log_decode::<RevenueShare::DebtClaimed>().ok())
        .map(|log| log.inner.data.amount)
        .sum();
    ensure!(paid >= amount, "P6: debts paid {paid}, {amount} were covered");
    Ok(paid)
}
