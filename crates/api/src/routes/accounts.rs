//! One account's money.

use crate::{
    error::Problem,
    reply::{Answer, Reply, address, one},
    server::App,
};
use axum::extract::{Path, State};
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;

/// Positions of one account told at most; the contracts know no such limit.
const MOST: i64 = 1_000;

/// Stake behind one sequencer.
#[derive(Debug, Serialize, FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Position {
    sequencer: i64,
    /// Whether it is the owner's own stake.
    self_stake: bool,
    /// Token wei.
    stake: String,
    shares: String,
    /// First snapshot that holds it.
    since_snapshot: i64,
}

/// Stake on its way out.
#[derive(Debug, Serialize, FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Exit {
    exit_id: i64,
    sequencer: i64,
    self_stake: bool,
    /// Token wei.
    amount: String,
    requested_at: String,
    ready_at: String,
    paid_at: Option<String>,
    /// `unbonding`, `ready` or `paid`.
    status: String,
}

/// Where an account's stake is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stake {
    account: String,
    /// Token wei bonded in all.
    total: String,
    positions: Vec<Position>,
    exits: Vec<Exit>,
}

/// An account's positions and exits.
#[utoipa::path(get, path = "/v1/accounts/{address}/stake", tag = "accounts",
    params(("address" = String, Path, description = "L1 address")),
    responses(
        (status = 200, body = Answer<Stake>),
        (status = 400, body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn stake(State(app): State<App>, Path(text): Path<String>) -> Reply<Stake> {
    let account = hex(&text)?;
    let positions = sqlx::query_as(
        "SELECT sequencer, self_stake, stake::text AS stake, shares::text AS shares, since_snapshot FROM baton.positions \
         WHERE account = $1 AND shares > 0 ORDER BY sequencer, self_stake DESC LIMIT $2",
    )
    .bind(&account)
    .bind(MOST)
    .fetch_all(&app.database)
    .await?;
    let exits = sqlx::query_as(
        "SELECT exit_id, sequencer, self_stake, amount::text AS amount, baton.iso(requested_at) AS requested_at, \
         baton.iso(ready_at) AS ready_at, baton.iso(paid_at) AS paid_at, status FROM baton.exits WHERE account = $1 \
         ORDER BY exit_id DESC LIMIT $2",
    )
    .bind(&account)
    .bind(MOST)
    .fetch_all(&app.database)
    .await?;
    let total = sqlx::query_scalar("SELECT coalesce(sum(stake), 0)::text FROM baton.positions WHERE account = $1")
        .bind(&account)
        .fetch_one(&app.database)
        .await?;
    one(&app, Stake { account, total, positions, exits }).await
}

/// Income of one position.
#[derive(Debug, Serialize, FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PositionIncome {
    sequencer: i64,
    /// Whether it is the owner's: self-stake and commission.
    self_stake: bool,
    /// Wei over all time.
    earned: String,
    claimed: String,
    claimable: String,
}

/// What an account earned.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Income {
    account: String,
    /// Wei over all time.
    earned: String,
    claimed: String,
    /// Wei that may be claimed now.
    claimable: String,
    positions: Vec<PositionIncome>,
}

/// An account's income: earned, claimed, claimable.
#[utoipa::path(get, path = "/v1/accounts/{address}/income", tag = "accounts",
    params(("address" = String, Path, description = "L1 address")),
    responses(
        (status = 200, body = Answer<Income>),
        (status = 400, body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn income(State(app): State<App>, Path(text): Path<String>) -> Reply<Income> {
    let account = hex(&text)?;
    let positions = sqlx::query_as(
        "SELECT sequencer, self_stake, earned::text AS earned, claimed::text AS claimed, claimable::text AS claimable \
         FROM baton.position_incomes WHERE account = $1 ORDER BY sequencer, self_stake DESC LIMIT $2",
    )
    .bind(&account)
    .bind(MOST)
    .fetch_all(&app.database)
    .await?;
    let (earned, claimed, claimable) = sqlx::query_as(
        "SELECT coalesce(sum(earned), 0)::text, coalesce(sum(claimed), 0)::text, coalesce(sum(claimable), 0)::text \
         FROM baton.position_incomes WHERE account = $1",
    )
    .bind(&account)
    .fetch_one(&app.database)
    .await?;
    one(&app, Income { account, earned, claimed, claimable, positions }).await
}

/// The address as the views write it.
fn hex(text: &str) -> Result<String, Problem> {
    Ok(alloy::hex::encode_prefixed(address(text)?))
}
