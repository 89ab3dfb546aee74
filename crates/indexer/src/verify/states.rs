//! Views against contracts: both are asked for the state after the cursor's L1 block.

use super::Report;
use crate::{
    Config, IndexerError,
    abi::{BatchInbox, Portal, RevenueShare, SequencerPool, Staking},
    database::Cursor,
    endpoint::Endpoint,
    table::from_int,
    terms::set_of,
};
use alloy::{
    eips::BlockId,
    network::Ethereum,
    primitives::{Address, Bytes},
    providers::Provider as _,
    rpc::types::TransactionRequest,
    sol_types::SolCall,
};
use baton_primitives::Epoch;
use futures::{StreamExt as _, TryStreamExt as _};
use sqlx::{PgConnection, Row as _, postgres::PgRow};

/// Calls at the cursor's block.
struct Caller<'a> {
    endpoint: &'a Endpoint<Ethereum>,
    at: Cursor,
}

impl Caller<'_> {
    async fn call<C: SolCall>(&self, to: Address, call: C) -> Result<C::Return, IndexerError> {
        let request = TransactionRequest::default().to(to).input(Bytes::from(call.abi_encode()).into());
        let block = BlockId::hash(self.at.hash);
        let answer = self.endpoint.ask(|p| async move { p.call(request).block(block).await }).await?;
        C::abi_decode_returns(&answer)
            .map_err(|e| self.endpoint.wrong(self.at.number, format!("{}: {e}", C::SIGNATURE)))
    }
}

async fn all(query: &'static str, connection: &mut PgConnection) -> Result<Vec<PgRow>, IndexerError> {
    Ok(sqlx::query(query).fetch_all(connection).await?)
}

fn text(row: &PgRow, column: &str) -> Result<String, IndexerError> {
    Ok(row.try_get::<Option<String>, _>(column)?.unwrap_or_else(|| "NULL".into()))
}

/// Sequencers, positions, incomes, debts, deposits, the anchor and the epoch table.
pub(super) async fn compare(
    config: &Config,
    endpoint: &Endpoint<Ethereum>,
    at: Cursor,
    connection: &mut PgConnection,
    report: &mut Report,
) -> Result<(), IndexerError> {
    let caller = Caller { endpoint, at };
    let addresses = &config.deployment.addresses;
    sequencers(&caller, addresses.staking, connection, report).await?;
    positions(&caller, addresses.staking, connection, report).await?;
    incomes(&caller, addresses.revenue, connection, report).await?;
    books(&caller, addresses.revenue, connection, report).await?;
    let deposits = caller.call(addresses.portal, Portal::depositCountCall {}).await?;
    let row = sqlx::query("SELECT count(*)::text AS n FROM chain.deposits").fetch_one(&mut *connection).await?;
    report.state(|| "deposits".into(), &text(&row, "n")?, &deposits.to_string());
    let proceeds = caller.call(addresses.portal, Portal::proceedsCall {}).await?;
    let row = sqlx::query(
        "SELECT ((SELECT coalesce(sum(fee), 0) FROM chain.deposits)
                 - (SELECT coalesce(sum(amount), 0) FROM chain.portal_payments WHERE kind = 'proceeds_paid'))::text AS owed",
    )
    .fetch_one(&mut *connection)
    .await?;
    report.state(|| "proceeds of deposits' gas".into(), &text(&row, "owed")?, &proceeds.to_string());
    batches(&caller, addresses.inbox, connection, report).await
}

async fn sequencers(
    caller: &Caller<'_>,
    staking: Address,
    connection: &mut PgConnection,
    report: &mut Report,
) -> Result<(), IndexerError> {
    let count = caller.call(staking, Staking::sequencerCountCall {}).await?;
    let rows = all(
        "SELECT sequencer, owner, commission::text AS commission, max_commission::text AS max_commission, \
         stake::text AS stake, self_stake::text AS self_stake FROM baton.sequencers ORDER BY sequencer",
        connection,
    )
    .await?;
    report.state(|| "sequencers".into(), &rows.len().to_string(), &count.to_string());
    for row in rows {
        let id = from_int(row.try_get("sequencer")?);
        let chain = caller.call(staking, Staking::sequencerCall { id }).await?;
        for (column, chain) in [
            ("owner", format!("{:#x}", chain.owner)),
            ("commission", chain.commission.to_string()),
            ("max_commission", chain.maxCommission.to_string()),
            ("stake", chain.stake.to_string()),
            ("self_stake", chain.selfStake.to_string()),
        ] {
            report.state(|| format!("{column} of sequencer {id}"), &text(&row, column)?, &chain);
        }
    }
    Ok(())
}

async fn positions(
    caller: &Caller<'_>,
    staking: Address,
    connection: &mut PgConnection,
    report: &mut Report,
) -> Result<(), IndexerError> {
    let rows = all(
        "SELECT sequencer, account, stake::text AS stake FROM baton.positions WHERE NOT self_stake ORDER BY 1, 2",
        connection,
    )
    .await?;
    for row in rows {
        let (id, account) = (from_int(row.try_get("sequencer")?), address(&row)?);
        let chain = caller.call(staking, Staking::stakeOfCall { id, account }).await?;
        report.state(|| format!("stake of {account} behind {id}"), &text(&row, "stake")?, &chain.to_string());
    }
    Ok(())
}

async fn incomes(
    caller: &Caller<'_>,
    revenue: Address,
    connection: &mut PgConnection,
    report: &mut Report,
) -> Result<(), IndexerError> {
    let rows = all(
        "SELECT sequencer, account, self_stake, claimable::text AS claimable FROM baton.position_incomes ORDER BY 1, 2, 3",
        connection,
    )
    .await?;
    for row in rows {
        let (id, account): (u64, Address) = (from_int(row.try_get("sequencer")?), address(&row)?);
        let chain = if row.try_get("self_stake")? {
            caller.call(revenue, RevenueShare::claimableOwnerCall { id }).await?
        } else {
            caller.call(revenue, RevenueShare::claimableCall { id, holder: account }).await?
        };
        let what = || format!("claimable income of {account} behind {id}");
        report.state(what, &text(&row, "claimable")?, &chain.to_string());
    }
    Ok(())
}

/// The totals of `RevenueShare`.
async fn books(
    caller: &Caller<'_>,
    revenue: Address,
    connection: &mut PgConnection,
    report: &mut Report,
) -> Result<(), IndexerError> {
    let row = sqlx::query(
        "SELECT (coalesce(sum(fees), 0)
                 + (SELECT coalesce(sum(amount), 0) FROM chain.portal_payments WHERE kind = 'proceeds_paid'))::text AS received,
                coalesce(max(debts_paid), 0)::text AS debts_paid,
                coalesce(sum(treasury), 0)::text AS treasury, coalesce(sum(producers + attesters), 0)::text AS income,
                (coalesce((SELECT carry FROM chain.epoch_closings ORDER BY epoch DESC LIMIT 1), 0)
                 + (SELECT coalesce(sum(amount), 0) FROM baton.deposit_proceeds WHERE epoch IS NULL))::text AS carry,
                (SELECT coalesce(sum(amount), 0)::text FROM chain.debts) AS debts
         FROM chain.epoch_closings",
    )
    .fetch_one(&mut *connection)
    .await?;
    let chain = caller.call(revenue, RevenueShare::totalsCall {}).await?;
    for (column, chain) in [
        ("received", chain.received),
        ("debts", chain.debts),
        ("debts_paid", chain.debtsPaid),
        ("treasury", chain.treasury),
        ("income", chain.income),
        ("carry", chain.carry),
    ] {
        report.state(|| format!("{column} of the books"), &text(&row, column)?, &chain.to_string());
    }
    Ok(())
}

async fn batches(
    caller: &Caller<'_>,
    inbox: Address,
    connection: &mut PgConnection,
    report: &mut Report,
) -> Result<(), IndexerError> {
    let anchor = caller.call(inbox, BatchInbox::anchorCall {}).await?;
    let row = sqlx::query(
        "SELECT coalesce(max(batch), 0)::text AS batch, coalesce(max(last_height), 0)::text AS last_height, \
         count(*)::text AS n FROM chain.batches",
    )
    .fetch_one(&mut *connection)
    .await?;
    report.state(|| "the anchor's batch".into(), &text(&row, "batch")?, &anchor.index.to_string());
    report.state(|| "batches without gaps".into(), &text(&row, "n")?, &anchor.index.to_string());
    report.state(|| "the anchor's height".into(), &text(&row, "last_height")?, &anchor.lastHeight.to_string());
    let rows = all("SELECT epoch, snapshot, first_height FROM chain.epoch_openings ORDER BY epoch", connection).await?;
    for row in rows {
        let epoch = from_int(row.try_get("epoch")?);
        let chain = caller.call(inbox, BatchInbox::epochsCall { epoch }).await?;
        let stored = (from_int(row.try_get("snapshot")?), from_int(row.try_get("first_height")?));
        let chain = (chain.snapshot, chain.firstHeight);
        report.state(|| format!("epoch {epoch}"), &format!("{stored:?}"), &format!("{chain:?}"));
    }
    Ok(())
}

/// Each stored term's leader, asked of the pool, and no term of a block without a row.
pub(super) async fn terms(
    config: &Config,
    endpoint: &Endpoint<Ethereum>,
    at: Cursor,
    connection: &mut PgConnection,
    report: &mut Report,
) -> Result<(), IndexerError> {
    let caller = &Caller { endpoint, at };
    let (pool, inbox) = (config.deployment.addresses.pool, config.deployment.addresses.inbox);
    let rows =
        all("SELECT epoch, term, snapshot, position, sequencer FROM chain.terms ORDER BY 1, 2", connection).await?;
    let stored = rows
        .iter()
        .map(|row| {
            let number = |column| Ok::<_, IndexerError>(from_int(row.try_get(column)?));
            Ok([number("epoch")?, number("term")?, number("snapshot")?, number("position")?, number("sequencer")?])
        })
        .collect::<Result<Vec<_>, IndexerError>>()?;
    *report.rows.entry("chain.terms").or_default() += stored.len() as u64;
    let led: Vec<_> = futures::stream::iter(stored)
        .map(|stored| async move {
            let [epoch, term, snapshot, ..] = stored;
            let leader = caller.call(pool, SequencerPool::leaderOfCall { snapshotId: snapshot, epoch, term }).await?;
            Ok::<_, IndexerError>((stored, leader))
        })
        .buffered(config.concurrency.get())
        .try_collect()
        .await?;
    let mut sets = std::collections::BTreeMap::new();
    for (stored, leader) in led {
        let [epoch, term, snapshot, position, sequencer] = stored;
        sets.insert(epoch, snapshot);
        let chain = format!("{} at {}", leader.id, leader.member);
        report.state(|| format!("leader of epoch {epoch}, term {term}"), &format!("{sequencer} at {position}"), &chain);
    }
    for (epoch, snapshot) in sets {
        if caller.call(inbox, BatchInbox::isEpochOpenCall { epoch }).await? {
            let chain = caller.call(inbox, BatchInbox::epochsCall { epoch }).await?;
            report.state(|| format!("set of epoch {epoch}"), &snapshot.to_string(), &chain.snapshot.to_string());
        }
    }
    let rows = sqlx::query(
        "SELECT epoch, min(term) AS term FROM (SELECT DISTINCT epoch, term FROM chain.blocks WHERE term > 0) b \
         WHERE NOT EXISTS (SELECT 1 FROM chain.terms t WHERE t.epoch = b.epoch AND t.term = b.term) GROUP BY epoch",
    )
    .fetch_all(&mut *connection)
    .await?;
    for row in rows {
        let epoch = from_int(row.try_get("epoch")?);
        // Where L1 is not indexed far enough, the set is not known yet.
        if set_of(Epoch::new(epoch), &config.parameters(), connection).await?.is_some() {
            let term: i64 = row.try_get("term")?;
            report.state(
                || format!("terms of epoch {epoch} with blocks and without a row, from"),
                &term.to_string(),
                "none",
            );
        }
    }
    Ok(())
}

fn address(row: &PgRow) -> Result<Address, IndexerError> {
    let hex: String = row.try_get("account")?;
    hex.parse().map_err(|e| {
        IndexerError::Postgres(sqlx::Error::Decode(Box::<dyn std::error::Error + Send + Sync>::from(format!("{e}"))))
    })
}
