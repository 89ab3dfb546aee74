//! `baton sequencers`, `baton duties`: the set, and who leads when.

use super::l1::{L1Flags, Standing};
use crate::{
    chain,
    output::{Format, Table, ether},
};
use alloy::{
    primitives::{Address, U256},
    providers::Provider,
};
use baton_bindings::contracts::{BatchInbox, RevenueShare, SequencerPool, Staking};
use baton_primitives::{Epoch, Snapshot, SnapshotId, Term};
use clap::Args;
use eyre::{Result, eyre};
use serde::Serialize;
use url::Url;

/// `baton sequencers`.
#[derive(Args, Debug)]
pub struct Sequencers {
    #[command(flatten)]
    l1: L1Flags,
    #[command(flatten)]
    format: Format,
}

/// `baton duties`.
#[derive(Args, Debug)]
pub struct Duties {
    #[command(flatten)]
    l1: L1Flags,
    /// A node, to know the running height; the devnet's if not given.
    #[arg(long = "node.url", env = "BATON_NODE_URL", value_name = "URL")]
    node: Option<Url>,
    /// Epoch to show; the running one if not given.
    #[arg(long)]
    epoch: Option<u64>,
    /// How many terms to show.
    #[arg(long, default_value_t = 8)]
    terms: u64,
    #[command(flatten)]
    format: Format,
}

/// One sequencer.
#[derive(Debug, Serialize)]
struct Row {
    id: u64,
    owner: Address,
    status: &'static str,
    stake: String,
    self_stake: String,
    commission_bps: u16,
    endpoint: String,
    owner_income: String,
}

/// Prints every sequencer ever created.
///
/// # Errors
/// If L1 does not answer.
pub async fn sequencers(v: &Sequencers) -> Result<()> {
    let (provider, deployment) = v.l1.reader().await?;
    let staking = Staking::new(deployment.addresses.staking, &provider);
    let pool = SequencerPool::new(deployment.addresses.pool, &provider);
    let revenue = RevenueShare::new(deployment.addresses.revenue, &provider);
    let mut rows = Vec::new();
    for id in 1..=staking.sequencerCount().call().await? {
        let s = staking.sequencer(id).call().await?;
        let entry = pool.entry(id).call().await?;
        rows.push(Row {
            id,
            owner: s.owner,
            status: Standing::from(entry.status).name(),
            stake: ether(U256::from(s.stake)),
            self_stake: ether(U256::from(s.selfStake)),
            commission_bps: s.commission,
            endpoint: entry.keys.endpoint,
            owner_income: ether(revenue.claimableOwner(id).call().await?),
        });
    }
    v.format.print(&rows, |rows| {
        let mut table =
            Table::new(["id", "status", "stake", "own", "commission", "income (ether)", "endpoint", "owner"]);
        for r in rows {
            table.row([
                r.id.to_string(),
                r.status.into(),
                r.stake.clone(),
                r.self_stake.clone(),
                format!("{}.{:02} %", r.commission_bps / 100, r.commission_bps % 100),
                r.owner_income.clone(),
                r.endpoint.clone(),
                r.owner.to_string(),
            ]);
        }
        table.render()
    })?;
    Ok(())
}

/// The leader of one term.
#[derive(Debug, Serialize)]
struct Duty {
    epoch: u64,
    term: u64,
    sequencer: u64,
    member: usize,
    operator: Address,
}

/// Prints the leaders of an epoch's terms, computed here from the snapshot on L1.
///
/// # Errors
/// If L1 does not answer, or the epoch's set is not known yet.
pub async fn duties(v: &Duties) -> Result<()> {
    let (provider, deployment) = v.l1.reader().await?;
    let pool = SequencerPool::new(deployment.addresses.pool, &provider);
    let inbox = BatchInbox::new(deployment.addresses.inbox, &provider);
    let anchor = inbox.anchor().call().await?;
    let running = match node_url(v) {
        Some(url) => {
            let height = chain::http(&url).get_block_number().await?;
            height / deployment.parameters.epoch_blocks
        }
        None => anchor.epoch,
    };
    let epoch = v.epoch.unwrap_or(running);
    let row = inbox.epochs(epoch).call().await?;
    let open = inbox.isEpochOpen(epoch).call().await?;
    // An epoch that L1 has not opened yet runs with the snapshot of the newest one unless a newer is sealed in time.
    let snapshot = if open { row.snapshot } else { anchor.snapshot };
    let snapshot: Snapshot = pool.snapshot(snapshot).call().await?.try_into()?;
    let terms = 1..=v.terms.max(1);
    let duties = terms.map(|term| duty(&snapshot, epoch, term)).collect::<Result<Vec<_>>>()?;
    let id: SnapshotId = snapshot.id;
    v.format.print(&duties, |duties| {
        let mut table = Table::new(["epoch", "term", "sequencer", "operator"]);
        for d in duties {
            table.row([d.epoch.to_string(), d.term.to_string(), d.sequencer.to_string(), d.operator.to_string()]);
        }
        let note = if open { "" } else { " (L1 has not opened this epoch yet: a newer snapshot may replace it)" };
        format!("{}\nsnapshot {id}{note}", table.render())
    })?;
    Ok(())
}

fn node_url(v: &Duties) -> Option<Url> {
    v.node.clone().or_else(|| v.l1.description()?.endpoints.get("rpc")?.parse().ok())
}

fn duty(snapshot: &Snapshot, epoch: u64, term: u64) -> Result<Duty> {
    let leader = baton_schedule::leader(snapshot.seed, Epoch::new(epoch), Term::new(term), &snapshot.stakes());
    let member = leader.ok_or_else(|| eyre!("snapshot {} has no stake", snapshot.id))?;
    let m = &snapshot.members[member];
    Ok(Duty { epoch, term, sequencer: m.id.get(), member, operator: m.operator })
}
