//! The promises of the design, each a check by name. A check that passes says nothing; one that fails says what it saw.

use crate::world::{SOON, World, hash_at};
use alloy::{
    eips::BlockId,
    primitives::{B256, U256},
    providers::Provider,
};
use baton_bindings::contracts::{BatonToken, Portal, RevenueShare, SequencerPool, Staking};
use baton_cli::chain;
use baton_primitives::{Epoch, Snapshot, Term};
use eyre::{Result, ensure, eyre};
use futures::{StreamExt, TryStreamExt, stream};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{sync::Mutex, task::JoinHandle};
use url::Url;

/// Final blocks as one observer saw them.
#[derive(Debug)]
pub struct FinalLog {
    seen: Arc<Mutex<BTreeMap<u64, B256>>>,
    task: JoinHandle<()>,
}

impl FinalLog {
    /// Starts to observe.
    ///
    /// # Errors
    /// If the endpoint does not answer.
    pub async fn start(ws: &Url) -> Result<Self> {
        let mut heads = chain::heads(ws).await?;
        let seen = Arc::new(Mutex::new(BTreeMap::new()));
        let writer = seen.clone();
        let task = tokio::spawn(async move {
            while let Some(head) = heads.next().await {
                writer.lock().await.insert(head.number, head.hash);
            }
        });
        Ok(Self { seen, task })
    }

    /// What was seen so far.
    pub async fn blocks(&self) -> BTreeMap<u64, B256> {
        self.seen.lock().await.clone()
    }
}

impl Drop for FinalLog {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// P1 `no_lost_final`: every final block that was seen is still at its height on every node.
///
/// # Errors
/// The first that is not.
pub async fn no_lost_final(world: &World, logs: &[&FinalLog]) -> Result<()> {
    let mut seen = BTreeMap::<u64, B256>::new();
    for log in logs {
        for (height, hash) in log.blocks().await {
            let first = *seen.entry(height).or_insert(hash);
            ensure!(first == hash, "P1: {first} was final at height {height}, and so was {hash}");
        }
    }
    let newest = *seen.keys().last().ok_or_else(|| eyre!("P1: no final block was seen at all"))?;
    world.wait_all(newest, SOON).await?;
    for node in world.nodes() {
        let now = hashes(&node.plan.http(), seen.keys().copied()).await?;
        for (height, hash) in &seen {
            let now = now[height];
            ensure!(now == *hash, "P1: {} has {now} at height {height}, {hash} was final", node.plan.name);
        }
    }
    Ok(())
}

/// Hashes of a node's blocks.
async fn hashes(node: &Url, heights: impl Iterator<Item = u64>) -> Result<BTreeMap<u64, B256>> {
    let provider = &chain::http(node);
    stream::iter(heights)
        .map(|height| async move { Ok((height, hash_at(provider, height).await?)) })
        .buffer_unordered(16)
        .try_collect()
        .await
}

/// P2 `agreement`: all nodes have the same block at every height they share, and L1 accepted one core an index.
///
/// # Errors
/// The first contradiction.
pub async fn agreement(world: &World) -> Result<()> {
    let mut shared = u64::MAX;
    for node in world.nodes() {
        shared = shared.min(chain::http(&node.plan.http()).get_block_number().await?);
    }
    let mut first: Option<BTreeMap<u64, B256>> = None;
    for node in world.nodes() {
        let own = hashes(&node.plan.http(), 0..=shared).await?;
        let expected = first.get_or_insert_with(|| own.clone());
        let other = own.iter().find(|(height, hash)| expected[height] != **hash);
        ensure!(other.is_none(), "P2: {} has {other:?}, another node has another block there", node.plan.name);
    }
    posted_once(world).await
}

/// P2 and P9: batches on L1 are numbered without gap or repetition, and each starts where the former ended.
///
/// # Errors
/// The first that does not.
pub async fn posted_once(world: &World) -> Result<()> {
    let batches = world.batches().await?;
    let mut height = 0;
    for (batch, index) in batches.iter().zip(1u64..) {
        ensure!(batch.index == index, "P2: batch {} follows batch {}", batch.index, index - 1);
        ensure!(
            batch.core.firstHeight == height + 1,
            "P2: batch {index} starts at {}, not at {}",
            batch.core.firstHeight,
            height + 1
        );
        height = batch.core.lastHeight;
    }
    Ok(())
}

/// P3 `derived_equals_final`: at every batch end the certified hash and state root are those of the nodes.
///
/// # Errors
/// The first difference.
pub async fn batches_are_the_chain(world: &World) -> Result<()> {
    let provider = world.l2(0);
    for batch in world.batches().await? {
        let hash = hash_at(&provider, batch.core.lastHeight).await?;
        ensure!(
            hash == batch.core.lastBlock,
            "P3: batch {} ends with {}, the node has {hash}",
            batch.index,
            batch.core.lastBlock
        );
    }
    Ok(())
}

/// P4 `one_leader`: for the first `terms` terms of `epoch`, Rust and Solidity name the same one leader.
///
/// # Errors
/// The first difference.
pub async fn one_leader(world: &World, snapshot: u64, epoch: u64, terms: u64) -> Result<Vec<u64>> {
    let pool = SequencerPool::new(world.cluster.deployment.addresses.pool, world.l1());
    let set: Snapshot = pool.snapshot(snapshot).call().await?.try_into()?;
    let mut leaders = Vec::new();
    for term in 1..=terms {
        let here = baton_schedule::leader(set.seed, Epoch::new(epoch), Term::new(term), &set.stakes())
            .ok_or_else(|| eyre!("P4: snapshot {snapshot} has no stake"))?;
        let there = pool.leaderOf(snapshot, epoch, term).call().await?;
        let id = set.members[here].id.get();
        ensure!(there.id == id, "P4: epoch {epoch} term {term}: Rust names {id}, Solidity {}", there.id);
        leaders.push(id);
    }
    Ok(leaders)
}

/// P6 `conservation`: the books of revenue and stake balance to the wei.
///
/// # Errors
/// The equation that does not hold.
pub async fn conservation(world: &World) -> Result<()> {
    let a = &world.cluster.deployment.addresses;
    let l1 = world.l1();
    let revenue = RevenueShare::new(a.revenue, &l1);
    let staking = Staking::new(a.staking, &l1);
    let token = BatonToken::new(a.token, &l1);
    // All of one block: between two calls an epoch may close.
    let number = l1.get_block_number().await?;
    let at = BlockId::number(number);
    let t = revenue.totals().block(at).call().await?;
    let credited = U256::from(t.debtsPaid) + U256::from(t.treasury) + U256::from(t.income) + U256::from(t.carry);
    ensure!(U256::from(t.received) == credited, "P6: received {} but credited {credited}", t.received);
    let held = l1.get_balance(a.revenue).block_id(at).await?;
    let paid = paid_out(&revenue, number).await?;
    let owed = U256::from(t.received) - paid;
    ensure!(held == owed, "P6: RevenueShare holds {held} wei, received {} and told of {paid} paid", t.received);
    let fees: U256 = world.batches_up_to(number).await?.iter().map(|b| b.core.fees).sum();
    let proceeds = bridge(world, number, fees).await?;
    ensure!(
        fees + proceeds == U256::from(t.received),
        "P6: batches swept {fees} wei and deposits' gas brought {proceeds}, RevenueShare received {}",
        t.received
    );
    let staked = staking.totalStake().block(at).call().await? + staking.totalUnbonding().block(at).call().await?;
    let tokens = token.balanceOf(a.staking).block(at).call().await?;
    ensure!(tokens == staked, "P6: Staking holds {tokens} token wei, its books say {staked}");
    Ok(())
}

/// P6 for the Portal: it holds what came in less what went out, and owes what deposits paid for gas and has not been paid on. Returns the
/// proceeds paid on.
async fn bridge(world: &World, number: u64, fees: U256) -> Result<U256> {
    let l1 = world.l1();
    let portal = Portal::new(world.cluster.deployment.addresses.portal, &l1);
    let at = BlockId::number(number);
    let deposits = portal.Deposited_filter().from_block(0).to_block(number).query().await?;
    let (minted, sold) = deposits.iter().fold((U256::ZERO, U256::ZERO), |(m, s), (e, _)| (m + e.mint, s + e.fee));
    let withdrawn = portal.Withdrawn_filter().from_block(0).to_block(number).query().await?;
    let withdrawn: U256 = withdrawn.iter().filter(|(e, _)| e.success).map(|(e, _)| e.value).sum();
    let paid_on = portal.ProceedsPaid_filter().from_block(0).to_block(number).query().await?;
    let paid_on: U256 = paid_on.iter().map(|(e, _)| e.amount).sum();
    let owed = portal.proceeds().block(at).call().await?;
    ensure!(owed + paid_on == sold, "P6: deposits paid {sold} wei for gas, {paid_on} were paid on and {owed} are owed");
    let funded = portal.Funded_filter().from_block(0).to_block(number).query().await?;
    let funded: U256 = funded.iter().map(|(e, _)| e.value).sum();
    let held = l1.get_balance(*portal.address()).block_id(at).await?;
    let expected = funded + minted + owed - withdrawn - fees;
    ensure!(held == expected, "P6: the Portal holds {held} wei, by what came in and went out {expected}");
    Ok(paid_on)
}

/// Wei that RevenueShare told of paying, up to a block. (Its own count of what was claimed is what its balance lacks: no witness.)
async fn paid_out<P: Provider>(revenue: &RevenueShare::RevenueShareInstance<P>, number: u64) -> Result<U256> {
    let mut paid = U256::ZERO;
    let (claims, debts) = (revenue.Claimed_filter().to_block(number), revenue.DebtClaimed_filter().to_block(number));
    paid += claims.from_block(0).query().await?.iter().map(|(e, _)| e.amount).sum::<U256>();
    paid += debts.from_block(0).query().await?.iter().map(|(e, _)| e.amount).sum::<U256>();
    let (forfeits, treasury) =
        (revenue.ForfeitsClaimed_filter().to_block(number), revenue.TreasuryClaimed_filter().to_block(number));
    paid += forfeits.from_block(0).query().await?.iter().map(|(e, _)| e.amount).sum::<U256>();
    paid += treasury.from_block(0).query().await?.iter().map(|(e, _)| e.amount).sum::<U256>();
    Ok(paid)
}

/// P12 `bounded`, for one refusal: the message names the limit or the cause, and says what to do.
///
/// # Errors
/// If it is silent on one of `words`.
pub fn named(message: &str, words: &[&str]) -> Result<()> {
    for word in words {
        ensure!(message.to_lowercase().contains(&word.to_lowercase()), "the error does not say `{word}`: {message}");
    }
    Ok(())
}
