//! Batches on L1.

use crate::{
    error::Problem,
    reply::{Answer, Page, Reply, number, one, page},
    server::App,
};
use axum::extract::{Path, State};
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;

/// A batch that L1 accepted.
#[derive(Debug, Serialize, FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Batch {
    pub(crate) batch: i64,
    core_hash: String,
    epoch: i64,
    snapshot: i64,
    first_height: i64,
    last_height: i64,
    blocks: i64,
    last_block: String,
    state_root: String,
    origin_number: i64,
    /// Whether it ends its epoch.
    closing: bool,
    /// Wei of fees it hands over; zero unless closing.
    fees: String,
    /// `blobs` or `calldata`.
    lane: String,
    blobs: i32,
    signer_count: i32,
    /// Members of its snapshot.
    members: Option<i64>,
    poster: String,
    /// Sequencer whose operator posted it; absent if somebody else did.
    posted_by: Option<i64>,
    /// Sequencer whose duty it was.
    on_duty: Option<i64>,
    duty_missed: bool,
    posted_at: String,
    l1_block: i64,
    l1_transaction: String,
    /// Wei that the posting transaction cost.
    l1_fee: String,
    /// Wei noted as debt to the poster.
    repaid: Option<String>,
    /// `posted` or `settled`.
    finality: String,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT batch, core_hash, epoch, snapshot, first_height, last_height, blocks, last_block, state_root, origin_number, \
             closing, fees::text AS fees, lane, blobs, signer_count, members, poster, posted_by, on_duty, duty_missed, \
             baton.iso(posted_at) AS posted_at, l1_block, l1_transaction, l1_fee::text AS l1_fee, repaid::text AS repaid, \
             finality FROM baton.batches ",
            $rest
        )
    };
}

/// Accepted batches, newest first.
#[utoipa::path(get, path = "/v1/batches", tag = "settlement", params(Page), responses(
    (status = 200, body = Answer<Vec<Batch>>),
    (status = 400, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn list(State(app): State<App>, cut: Page) -> Reply<Vec<Batch>> {
    let batches: Vec<Batch> = sqlx::query_as(select!("WHERE batch < $1 ORDER BY batch DESC LIMIT $2"))
        .bind(cut.before_number()?)
        .bind(cut.fetch())
        .fetch_all(&app.database)
        .await?;
    page(&app, &cut, batches, |b| b.batch.to_string()).await
}

/// One batch.
#[utoipa::path(get, path = "/v1/batches/{batch}", tag = "settlement", params(("batch" = u64, Path, description = "Number, from 1")),
    responses(
        (status = 200, body = Answer<Batch>),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn one_batch(State(app): State<App>, Path(text): Path<String>) -> Reply<Batch> {
    let found =
        sqlx::query_as(select!("WHERE batch = $1")).bind(number(&text, "batch")?).fetch_optional(&app.database).await?;
    let missing = || {
        Problem::missing(format!("L1 accepted no batch {text} yet."), "See `lastBatch` in /v1/overview for the newest.")
    };
    one(&app, found.ok_or_else(missing)?).await
}
