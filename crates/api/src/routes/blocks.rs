//! L2 blocks.

use crate::{
    error::Problem,
    reply::{Answer, Page, Reply, hash, number, one, page},
    server::App,
};
use axum::extract::{Path, State};
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;

/// An L2 block.
#[derive(Debug, Serialize, FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Block {
    number: i64,
    hash: String,
    parent_hash: String,
    time: String,
    epoch: i64,
    term: i64,
    view: i64,
    /// Sequencer that led its term; absent for the genesis, or while its set is not indexed.
    leader: Option<i64>,
    /// L1 block that it builds its L1 view on; absent for the genesis.
    origin_number: Option<i64>,
    /// Transactions, the system transaction and deposits included.
    transactions: i64,
    gas_used: i64,
    gas_limit: i64,
    base_fee: String,
    state_root: String,
    /// `final`, `posted` or `settled`.
    finality: String,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT number, hash, parent_hash, baton.iso(time) AS time, epoch, term, view, leader, origin_number, transactions, \
             gas_used, gas_limit, base_fee::text AS base_fee, state_root, finality FROM baton.blocks ",
            $rest
        )
    };
}

/// Final blocks, newest first.
#[utoipa::path(get, path = "/v1/blocks", tag = "chain", params(Page), responses(
    (status = 200, body = Answer<Vec<Block>>),
    (status = 400, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn list(State(app): State<App>, cut: Page) -> Reply<Vec<Block>> {
    let blocks: Vec<Block> = sqlx::query_as(select!("WHERE number < $1 ORDER BY number DESC LIMIT $2"))
        .bind(cut.before_number()?)
        .bind(cut.fetch())
        .fetch_all(&app.database)
        .await?;
    page(&app, &cut, blocks, |b| b.number.to_string()).await
}

/// One block, by number or hash.
#[utoipa::path(get, path = "/v1/blocks/{block}", tag = "chain", params(("block" = String, Path, description = "Number or hash")),
    responses(
        (status = 200, body = Answer<Block>),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn one_block(State(app): State<App>, Path(block): Path<String>) -> Reply<Block> {
    let found = if block.starts_with("0x") {
        sqlx::query_as(select!("WHERE number = (SELECT k.number FROM chain.blocks k WHERE k.hash = $1)"))
            .bind(hash(&block)?)
            .fetch_optional(&app.database)
            .await?
    } else {
        sqlx::query_as(select!("WHERE number = $1"))
            .bind(number(&block, "block")?)
            .fetch_optional(&app.database)
            .await?
    };
    let missing = || {
        Problem::missing(format!("No final block {block} is indexed."), "See `l2Block` in /v1/overview for the newest.")
    };
    one(&app, found.ok_or_else(missing)?).await
}
