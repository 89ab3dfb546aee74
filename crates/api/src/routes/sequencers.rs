//! Who sequences.

use crate::{
    error::Problem,
    reply::{Answer, Page, Reply, number, one, page},
    server::App,
};
use axum::extract::{Path, State};
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;

/// A sequencer as it is now.
#[derive(Debug, Serialize, FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sequencer {
    sequencer: i64,
    owner: String,
    /// Poster account; absent until keys are registered, as identity and endpoint.
    operator: Option<String>,
    identity: Option<String>,
    endpoint: Option<String>,
    /// `bonded`, `registered`, `active` or `jailed`.
    status: String,
    /// Token wei: self-stake and delegations.
    stake: String,
    self_stake: String,
    delegated: String,
    /// Its share of the stake in the running epoch's set, 0 to 1: the chance to lead a term. Absent if not in that set.
    weight: Option<f64>,
    /// Basis points.
    commission: i32,
    max_commission: i32,
    /// Wei over all time, commission included.
    income: String,
    producer_income: String,
    attester_income: String,
    /// Blocks it led: certified ones of closed epochs and those of the epochs since.
    blocks: i64,
    /// Of closed epochs, as certified on L1.
    blocks_led: i64,
    terms_missed: i64,
    duties_missed: i64,
    created_at: String,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT s.sequencer, s.owner, s.operator, s.identity, s.endpoint, s.status, s.stake::text AS stake,
                    s.self_stake::text AS self_stake, s.delegated::text AS delegated, m.weight::float8 AS weight, s.commission,
                    s.max_commission, s.income::text AS income, s.producer_income::text AS producer_income,
                    s.attester_income::text AS attester_income,
                    s.blocks_led::bigint + (
                        SELECT count(*) FROM chain.terms t JOIN chain.blocks b ON b.epoch = t.epoch AND b.term = t.term
                        WHERE t.sequencer = s.sequencer
                          AND t.epoch > (SELECT coalesce(max(c.epoch), -1) FROM chain.epoch_closings c)) AS blocks,
                    s.blocks_led::bigint AS blocks_led, s.terms_missed::bigint AS terms_missed, s.duties_missed,
                    baton.iso(s.created_at) AS created_at
             FROM baton.sequencers s
             LEFT JOIN baton.snapshot_members m ON m.sequencer = s.sequencer AND m.snapshot = (
                 SELECT t.snapshot FROM chain.terms t
                 WHERE t.epoch = (SELECT k.epoch FROM chain.blocks k ORDER BY k.number DESC LIMIT 1) LIMIT 1) ",
            $rest
        )
    };
}

/// All sequencers, newest first.
#[utoipa::path(get, path = "/v1/sequencers", tag = "pool", params(Page), responses(
    (status = 200, body = Answer<Vec<Sequencer>>),
    (status = 400, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn list(State(app): State<App>, cut: Page) -> Reply<Vec<Sequencer>> {
    let sequencers: Vec<Sequencer> =
        sqlx::query_as(select!("WHERE s.sequencer < $1 ORDER BY s.sequencer DESC LIMIT $2"))
            .bind(cut.before_number()?)
            .bind(cut.fetch())
            .fetch_all(&app.database)
            .await?;
    page(&app, &cut, sequencers, |s| s.sequencer.to_string()).await
}

/// One sequencer.
#[utoipa::path(get, path = "/v1/sequencers/{id}", tag = "pool", params(("id" = u64, Path, description = "Sequencer id, from 1")),
    responses(
        (status = 200, body = Answer<Sequencer>),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn one_sequencer(State(app): State<App>, Path(id): Path<String>) -> Reply<Sequencer> {
    let found = sqlx::query_as(select!("WHERE s.sequencer = $1"))
        .bind(number(&id, "id")?)
        .fetch_optional(&app.database)
        .await?;
    one(&app, found.ok_or_else(|| unknown(&id))?).await
}

fn unknown(id: &str) -> Problem {
    Problem::missing(format!("No sequencer has the id {id}."), "See /v1/sequencers for all of them.")
}

/// What a sequencer earned in one epoch.
#[derive(Debug, Serialize, FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EpochIncome {
    epoch: i64,
    snapshot: i64,
    /// Wei for blocks led.
    producer: String,
    /// Wei for batches signed.
    attester: String,
    /// Of both, wei for the owner before the rest is shared.
    commission: String,
    credited_at: String,
}

/// A sequencer's incomes by epoch, newest first.
#[utoipa::path(get, path = "/v1/sequencers/{id}/incomes", tag = "pool",
    params(("id" = u64, Path, description = "Sequencer id"), Page),
    responses(
        (status = 200, body = Answer<Vec<EpochIncome>>),
        (status = 400, body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn incomes(State(app): State<App>, Path(id): Path<String>, cut: Page) -> Reply<Vec<EpochIncome>> {
    let incomes: Vec<EpochIncome> = sqlx::query_as(
        "SELECT epoch, snapshot, producer::text AS producer, attester::text AS attester, commission::text AS commission, \
         baton.iso(credited_at) AS credited_at FROM baton.incomes WHERE sequencer = $1 AND epoch < $2 \
         ORDER BY epoch DESC LIMIT $3",
    )
    .bind(number(&id, "id")?)
    .bind(cut.before_number()?)
    .bind(cut.fetch())
    .fetch_all(&app.database)
    .await?;
    page(&app, &cut, incomes, |i| i.epoch.to_string()).await
}
