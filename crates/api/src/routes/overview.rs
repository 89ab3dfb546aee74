//! The whole at a glance.

use crate::{
    error::Problem,
    reply::{Answer, Reply, one},
    server::App,
};
use axum::extract::State;
use serde::Serialize;
use sqlx::{FromRow, PgPool};
use utoipa::ToSchema;

/// Terms told after the current one.
const NEXT_TERMS: i64 = 6;

/// Who leads a term.
#[derive(Clone, Debug, Serialize, FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Term {
    epoch: i64,
    term: i64,
    sequencer: i64,
    first_view: i64,
    last_view: i64,
}

/// Who leads now and next. "Now" is the term of the view after the newest final block's.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Leader {
    /// Absent while the epoch's set is not indexed.
    now: Option<Term>,
    next: Vec<Term>,
}

/// The newest batch.
#[derive(Clone, Debug, Serialize, FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LastBatch {
    batch: i64,
    first_height: i64,
    last_height: i64,
    posted_at: String,
    posted_by: Option<i64>,
    finality: String,
}

/// The state of the chain as far as it is indexed.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Overview {
    #[serde(flatten)]
    head: Head,
    leader: Leader,
    /// Absent before the first.
    last_batch: Option<LastBatch>,
}

#[derive(Clone, Debug, Serialize, FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Head {
    l1_chain_id: i64,
    l2_chain_id: i64,
    /// `BatchInbox` on L1.
    inbox: String,
    /// The newest final block.
    height: i64,
    hash: String,
    time: String,
    epoch: i64,
    term: i64,
    view: i64,
    /// Final blocks of the epoch so far, of `epochBlocks`.
    epoch_done: i64,
    epoch_blocks: i64,
    /// Height up to which L1 has the blocks; absent before the first batch.
    posted_height: Option<i64>,
    /// Height up to which finalized L1 has the blocks.
    settled_height: Option<i64>,
    /// Mean milliseconds between the last blocks (up to 100); absent with one block.
    block_interval_ms: Option<f64>,
    /// Users' transactions and deposits a second over these blocks.
    transactions_per_second: Option<f64>,
    /// Sequencers in the epoch's set.
    members: i64,
    /// Token wei of that set.
    set_stake: String,
    /// Bonded token wei of all sequencers.
    total_stake: String,
    /// Wei of fees handed to L1 over all time.
    fees: String,
    /// Wei credited to sequencers over all time.
    income: String,
    /// Wei claimed over all time.
    claimed: String,
    l1_block: Option<i64>,
    l1_head: Option<i64>,
    l1_finalized: Option<i64>,
    l2_head: i64,
}

/// The overview; `None` while no block is indexed.
pub(crate) async fn read(database: &PgPool) -> Result<Option<Overview>, sqlx::Error> {
    let head: Option<Head> = sqlx::query_as(
        "WITH last AS (SELECT * FROM chain.blocks ORDER BY number DESC LIMIT 1),
              recent AS (SELECT number, time, transactions FROM chain.blocks ORDER BY number DESC LIMIT 101),
              speed AS (
                  SELECT extract(epoch FROM max(time) - min(time))::float8 AS seconds, count(*) - 1 AS intervals,
                         sum(transactions - 1) FILTER (WHERE number > (SELECT min(number) FROM recent)) AS transactions
                  FROM recent),
              members AS (
                  SELECT count(*) AS members, coalesce(sum(m.stake), 0) AS stake FROM chain.snapshot_members m
                  WHERE m.snapshot = (SELECT t.snapshot FROM chain.terms t, last WHERE t.epoch = last.epoch LIMIT 1))
         SELECT i.l1_chain_id, i.l2_chain_id, baton.hex(i.inbox) AS inbox, last.number AS height, baton.hex(last.hash) AS hash,
                baton.iso(last.time) AS time, last.epoch, last.term, last.view,
                last.number - last.epoch * i.epoch_blocks + 1 AS epoch_done, i.epoch_blocks,
                f.posted_height, f.settled_height,
                CASE WHEN speed.intervals > 0 THEN speed.seconds * 1000 / speed.intervals END AS block_interval_ms,
                CASE WHEN speed.seconds > 0 THEN speed.transactions / speed.seconds END AS transactions_per_second,
                members.members, members.stake::text AS set_stake,
                (SELECT coalesce(sum(stake), 0)::text FROM baton.pots) AS total_stake,
                (SELECT coalesce(sum(fees), 0)::text FROM chain.epoch_closings) AS fees,
                (SELECT coalesce(sum(producers + attesters), 0)::text FROM chain.epoch_closings) AS income,
                (SELECT coalesce(sum(amount), 0)::text FROM chain.claims) AS claimed,
                l1.number AS l1_block, l1.head AS l1_head, l1.finalized AS l1_finalized, l2.head AS l2_head
         FROM chain.identity i CROSS JOIN last CROSS JOIN speed CROSS JOIN members CROSS JOIN baton.finality f
         JOIN chain.cursors l2 ON l2.chain = 'l2'
         LEFT JOIN chain.cursors l1 ON l1.chain = 'l1'",
    )
    .fetch_optional(database)
    .await?;
    let Some(head) = head else { return Ok(None) };
    let leader = read_leader(database).await?;
    let last_batch = sqlx::query_as(
        "SELECT batch, first_height, last_height, baton.iso(posted_at) AS posted_at, posted_by, finality \
         FROM baton.batches ORDER BY batch DESC LIMIT 1",
    )
    .fetch_optional(database)
    .await?;
    Ok(Some(Overview { head, leader, last_batch }))
}

async fn read_leader(database: &PgPool) -> Result<Leader, sqlx::Error> {
    let mut terms: Vec<Term> = sqlx::query_as(
        "WITH last AS (
             SELECT b.epoch, b.view, b.number = (b.epoch + 1) * i.epoch_blocks - 1 AS ends, i.term_views
             FROM chain.blocks b CROSS JOIN chain.identity i ORDER BY b.number DESC LIMIT 1),
         current AS (
             SELECT CASE WHEN ends THEN epoch + 1 ELSE epoch END AS epoch,
                    CASE WHEN ends THEN 1 ELSE view / term_views + 1 END AS term, term_views FROM last)
         SELECT t.epoch, t.term, t.sequencer, (t.term - 1) * c.term_views + 1 AS first_view, t.term * c.term_views AS last_view
         FROM chain.terms t CROSS JOIN current c
         WHERE (t.epoch, t.term) >= (c.epoch, c.term) AND t.epoch = c.epoch
         ORDER BY t.epoch, t.term LIMIT $1",
    )
    .bind(NEXT_TERMS + 1)
    .fetch_all(database)
    .await?;
    let now = if terms.is_empty() { None } else { Some(terms.remove(0)) };
    Ok(Leader { now, next: terms })
}

/// Height, finality, leader, last batch, epoch, stake and income at a glance.
#[utoipa::path(get, path = "/v1/overview", tag = "chain", responses(
    (status = 200, body = Answer<Overview>),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn overview(State(app): State<App>) -> Reply<Overview> {
    let overview = read(&app.database).await?.ok_or_else(Problem::empty)?;
    one(&app, overview).await
}

/// Who leads now and next.
#[utoipa::path(get, path = "/v1/leader", tag = "pool", responses(
    (status = 200, body = Answer<Leader>),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn leader(State(app): State<App>) -> Reply<Leader> {
    let leader = read_leader(&app.database).await?;
    one(&app, leader).await
}
