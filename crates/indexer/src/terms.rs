//! Who leads: the schedule as rows, computed from the snapshots on L1 and the origins of final blocks.
//!
//! A term is written as soon as its leader can be known, so that "next" is in the table too. Rows go when the seal of their
//! snapshot is reverted; what is missing then is found by comparing with the blocks.

use crate::{
    IndexerError, database,
    table::{as_int, from_int},
};
use alloy::primitives::B256;
use baton_primitives::{Epoch, Parameters, SnapshotId, Term};
use baton_schedule::{leader, snapshot_for};
use sqlx::{PgConnection, Row as _};
use std::sync::atomic::{AtomicU64, Ordering};

/// Terms written ahead of the last block's, and at the beginning of the next epoch.
const AHEAD: u64 = 8;

/// Writes the schedule beside the blocks, in their transactions, so that no snapshot of the database shows one without the other.
#[derive(Debug)]
pub(crate) struct Terms {
    parameters: Parameters,
    /// How often rows below the last epochs may have gone: at the start, and by reverts.
    losses: AtomicU64,
    /// The losses that have been made good.
    repaired: AtomicU64,
}

impl Terms {
    pub(crate) const fn new(parameters: Parameters) -> Self {
        Self { parameters, losses: AtomicU64::new(1), repaired: AtomicU64::new(0) }
    }

    /// Rows of any epoch may be missing from now on.
    pub(crate) fn lost(&self) {
        self.losses.fetch_add(1, Ordering::AcqRel);
    }

    /// Writes what is missing and can be known. [`Self::filled`] tells that the transaction was committed.
    pub(crate) async fn fill(&self, connection: &mut PgConnection) -> Result<Filled, IndexerError> {
        let losses = self.losses.load(Ordering::Acquire);
        let Some(last) = last_block(connection).await? else { return Ok(Filled(losses)) };
        let everything = losses != self.repaired.load(Ordering::Acquire);
        let first = if everything { 0 } else { last.epoch.saturating_sub(1) };
        let mut complete = true;
        for (epoch, needed) in missing(first, &last, connection).await? {
            complete &= fill_epoch(Epoch::new(epoch), needed, &self.parameters, connection).await?;
        }
        Ok(Filled(if complete { losses } else { 0 }))
    }

    /// The transaction of [`Self::fill`] was committed.
    pub(crate) fn filled(&self, filled: &Filled) {
        self.repaired.fetch_max(filled.0, Ordering::AcqRel);
    }
}

/// The losses that a transaction makes good.
pub(crate) struct Filled(u64);

struct Last {
    epoch: u64,
    term: u64,
}

async fn last_block(connection: &mut PgConnection) -> Result<Option<Last>, IndexerError> {
    let row = sqlx::query("SELECT epoch, term FROM chain.blocks ORDER BY number DESC LIMIT 1")
        .fetch_optional(connection)
        .await?;
    row.map(|row| Ok(Last { epoch: from_int(row.try_get("epoch")?), term: from_int(row.try_get("term")?) })).transpose()
}

/// Epochs from `first` on whose terms do not reach as far as they should: (epoch, terms needed).
async fn missing(first: u64, last: &Last, connection: &mut PgConnection) -> Result<Vec<(u64, u64)>, IndexerError> {
    let rows = sqlx::query(
        "WITH needed AS (
             SELECT epoch, max(term) AS term FROM chain.blocks WHERE epoch >= $1 GROUP BY epoch
         ), ahead AS (
             SELECT epoch, term FROM needed
             UNION ALL SELECT $2::bigint, $3::bigint + $4::bigint
             UNION ALL SELECT $2::bigint + 1, $4::bigint
         ), wanted AS (SELECT epoch, max(term) AS term FROM ahead GROUP BY epoch)
         SELECT w.epoch, w.term FROM wanted w
         WHERE w.term > (SELECT coalesce(max(t.term), 0) FROM chain.terms t WHERE t.epoch = w.epoch)
         ORDER BY w.epoch",
    )
    .bind(as_int(first)?)
    .bind(as_int(last.epoch)?)
    .bind(as_int(last.term)?)
    .bind(as_int(AHEAD)?)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((from_int(row.try_get("epoch")?), from_int(row.try_get("term")?)))).collect()
}

/// The set of an epoch.
pub(crate) struct Set {
    pub(crate) snapshot: u64,
    seed: B256,
    sequencers: Vec<i64>,
    stakes: Vec<u128>,
}

impl Set {
    /// Position and sequencer id of a term's leader.
    pub(crate) fn leader(&self, epoch: Epoch, term: Term) -> Option<(usize, i64)> {
        let position = leader(self.seed, epoch, term, &self.stakes)?;
        self.sequencers.get(position).map(|sequencer| (position, *sequencer))
    }
}

/// Writes the terms of one epoch up to `needed`; false if L1 is not indexed far enough to know its set.
async fn fill_epoch(
    epoch: Epoch,
    needed: u64,
    parameters: &Parameters,
    connection: &mut PgConnection,
) -> Result<bool, IndexerError> {
    let Some(set) = set_of(epoch, parameters, connection).await? else { return Ok(false) };
    let (mut terms, mut positions, mut sequencers) = (Vec::new(), Vec::new(), Vec::new());
    for term in 1..=needed {
        let Some((position, sequencer)) = set.leader(epoch, Term::new(term)) else { return Ok(false) };
        terms.push(as_int(term)?);
        positions.push(as_int(position as u64)?);
        sequencers.push(sequencer);
    }
    sqlx::query(
        "INSERT INTO chain.terms (epoch, term, snapshot, position, sequencer) \
         SELECT $1, t.term, $2, t.position, t.sequencer \
         FROM UNNEST($3::bigint[], $4::bigint[], $5::bigint[]) AS t (term, position, sequencer) ON CONFLICT DO NOTHING",
    )
    .bind(as_int(epoch.get())?)
    .bind(as_int(set.snapshot)?)
    .bind(terms)
    .bind(positions)
    .bind(sequencers)
    .execute(connection)
    .await?;
    Ok(true)
}

/// The set of an epoch, if both chains are indexed far enough to know it.
pub(crate) async fn set_of(
    epoch: Epoch,
    parameters: &Parameters,
    connection: &mut PgConnection,
) -> Result<Option<Set>, IndexerError> {
    let snapshot = match epoch.get().checked_sub(2) {
        None => SnapshotId::ZERO,
        Some(decisive) => {
            let height = Epoch::new(decisive).last_height(parameters.epoch_blocks);
            let row = sqlx::query(
                "SELECT b.origin_number FROM chain.blocks b JOIN chain.cursors c ON c.chain = 'l1' \
                 WHERE b.number = $1 AND b.origin_number <= c.number",
            )
            .bind(as_int(height.get())?)
            .fetch_optional(&mut *connection)
            .await?;
            let Some(row) = row else { return Ok(None) };
            let origin = from_int(row.try_get("origin_number")?);
            snapshot_for(epoch, origin, &sealed(origin, connection).await?)
        }
    };
    members(snapshot, connection).await
}

/// Snapshots sealed up to an L1 block. Only the newest can matter, ids ascend with time.
async fn sealed(origin: u64, connection: &mut PgConnection) -> Result<Vec<(SnapshotId, u64)>, IndexerError> {
    let rows = sqlx::query(
        "SELECT snapshot, seal_block FROM chain.snapshot_seals WHERE seal_block <= $1 ORDER BY snapshot DESC LIMIT 1",
    )
    .bind(as_int(origin)?)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| Ok((SnapshotId::new(from_int(row.try_get("snapshot")?)), from_int(row.try_get("seal_block")?))))
        .collect()
}

async fn members(snapshot: SnapshotId, connection: &mut PgConnection) -> Result<Option<Set>, IndexerError> {
    let rows = sqlx::query(
        "SELECT m.sequencer, m.stake::text AS stake, s.seed::bytea AS seed FROM chain.snapshot_members m \
         JOIN chain.snapshot_seals s ON s.snapshot = m.snapshot WHERE m.snapshot = $1 ORDER BY m.position",
    )
    .bind(as_int(snapshot.get())?)
    .fetch_all(connection)
    .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let seed = database::hash(first, "seed")?;
    let (mut sequencers, mut stakes) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for row in &rows {
        sequencers.push(row.try_get("sequencer")?);
        let stake: String = row.try_get("stake")?;
        stakes.push(stake.parse().map_err(|e| sqlx::Error::Decode(Box::new(e)))?);
    }
    Ok(Some(Set { snapshot: snapshot.get(), seed, sequencers, stakes }))
}
