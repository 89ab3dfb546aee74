//! Epochs.

use crate::{
    error::Problem,
    reply::{Answer, Page, Reply, number, one, page},
    server::App,
};
use axum::extract::{Path, State};
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;

/// An epoch.
#[derive(Debug, Serialize, FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Epoch {
    epoch: i64,
    /// Snapshot whose members sequence it; absent while it is not known.
    snapshot: Option<i64>,
    first_height: i64,
    last_height: i64,
    /// Final blocks so far.
    blocks: i64,
    blocks_planned: i64,
    /// `running`, `ended` (all blocks final) or `closed` (on L1, fees split).
    status: String,
    closing_batch: Option<i64>,
    closed_at: Option<String>,
    /// Wei of fees; absent until closed, as the shares below.
    fees: Option<String>,
    treasury: Option<String>,
    producers: Option<String>,
    attesters: Option<String>,
    carry: Option<String>,
}

/// What one member did and earned in an epoch.
#[derive(Debug, Serialize, FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MemberShare {
    sequencer: i64,
    stake: String,
    /// Blocks whose term it led.
    blocks: i64,
    terms: i64,
    /// As certified on L1; absent until closed.
    terms_missed: Option<i64>,
    producer_income: Option<String>,
    attester_income: Option<String>,
}

/// An epoch with its members.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EpochDetail {
    #[serde(flatten)]
    epoch: Epoch,
    members: Vec<MemberShare>,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT epoch, snapshot, first_height, last_height, blocks, blocks_planned, status, closing_batch, \
             baton.iso(closed_at) AS closed_at, fees::text AS fees, treasury::text AS treasury, producers::text AS producers, \
             attesters::text AS attesters, carry::text AS carry FROM baton.epochs ",
            $rest
        )
    };
}

/// Epochs, newest first.
#[utoipa::path(get, path = "/v1/epochs", tag = "settlement", params(Page), responses(
    (status = 200, body = Answer<Vec<Epoch>>),
    (status = 400, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn list(State(app): State<App>, cut: Page) -> Reply<Vec<Epoch>> {
    let epochs: Vec<Epoch> = sqlx::query_as(select!("WHERE epoch < $1 ORDER BY epoch DESC LIMIT $2"))
        .bind(cut.before_number()?)
        .bind(cut.fetch())
        .fetch_all(&app.database)
        .await?;
    page(&app, &cut, epochs, |e| e.epoch.to_string()).await
}

/// One epoch, with what each member did and earned.
#[utoipa::path(get, path = "/v1/epochs/{epoch}", tag = "settlement", params(("epoch" = u64, Path, description = "Number, from 0")),
    responses(
        (status = 200, body = Answer<EpochDetail>),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn one_epoch(State(app): State<App>, Path(text): Path<String>) -> Reply<EpochDetail> {
    let key = number(&text, "epoch")?;
    let epoch: Option<Epoch> =
        sqlx::query_as(select!("WHERE epoch = $1")).bind(key).fetch_optional(&app.database).await?;
    let missing = || {
        Problem::missing(format!("Epoch {text} has no final block yet."), "See `epoch` in /v1/overview for the newest.")
    };
    let epoch = epoch.ok_or_else(missing)?;
    let members = sqlx::query_as(
        "SELECT m.sequencer, m.stake::text AS stake,
                coalesce((SELECT sum(t.blocks) FROM baton.terms t WHERE t.epoch = $1 AND t.position = m.position), 0)::bigint AS blocks,
                (SELECT count(*) FROM baton.terms t
                 WHERE t.epoch = $1 AND t.position = m.position AND (t.blocks > 0 OR t.missed)) AS terms,
                p.terms_missed, i.producer::text AS producer_income, i.attester::text AS attester_income
         FROM chain.snapshot_members m
         LEFT JOIN chain.performances p ON p.epoch = $1 AND p.position = m.position
         LEFT JOIN chain.incomes i ON i.epoch = $1 AND i.position = m.position
         WHERE m.snapshot = $2 ORDER BY m.position",
    )
    .bind(key)
    .bind(epoch.snapshot)
    .fetch_all(&app.database)
    .await?;
    one(&app, EpochDetail { epoch, members }).await
}
