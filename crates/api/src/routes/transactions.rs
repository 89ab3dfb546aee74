//! L2 transactions and their fate.

use crate::{
    error::Problem,
    reply::{Answer, Page, Reply, hash, one, page},
    server::App,
};
use axum::extract::{Path, State};
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;

/// An L2 transaction with its receipt and its place on the ladder.
#[derive(Debug, Serialize, FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Transaction {
    hash: String,
    block: i64,
    position: i64,
    time: String,
    /// EIP-2718 type; 126 is a deposit.
    kind: i16,
    sender: String,
    /// Absent for a contract creation.
    recipient: Option<String>,
    nonce: i64,
    value: String,
    gas_limit: i64,
    gas_used: i64,
    effective_gas_price: String,
    /// Wei paid.
    fee: String,
    /// Whether it succeeded.
    status: bool,
    /// The contract it created.
    contract_address: Option<String>,
    /// `final`, `posted` or `settled`.
    finality: String,
}

/// Where a transaction is on the ladder, with what puts it there.
#[derive(Debug, Serialize, FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fate {
    #[sqlx(flatten)]
    #[serde(flatten)]
    transaction: Transaction,
    /// Batch that posted it on L1.
    batch: Option<i64>,
    posted_at: Option<String>,
    /// L1 transaction that posted it.
    l1_transaction: Option<String>,
    /// L1 block that holds it.
    l1_block: Option<i64>,
    /// For a deposit: its number on L1.
    deposit: Option<i64>,
}

macro_rules! columns {
    () => {
        "t.hash, t.block, t.position, baton.iso(t.time) AS time, t.kind, t.sender, t.recipient, t.nonce, t.value::text AS value, \
         t.gas_limit, t.gas_used, t.effective_gas_price::text AS effective_gas_price, t.fee::text AS fee, t.status, \
         t.contract_address, t.finality"
    };
}

/// Users' transactions and deposits (no system transactions), newest first.
#[utoipa::path(get, path = "/v1/transactions", tag = "chain", params(Page), responses(
    (status = 200, body = Answer<Vec<Transaction>>),
    (status = 400, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn list(State(app): State<App>, cut: Page) -> Reply<Vec<Transaction>> {
    let (block, position) = cut.before_pair()?;
    let transactions: Vec<Transaction> = sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        // The system transaction is the first of its block, and a block that has no other has nothing to show.
        " FROM baton.transactions t WHERE t.position > 0 AND (t.block, t.position) < ($1, $2) \
         ORDER BY t.block DESC, t.position DESC LIMIT $3"
    ))
    .bind(block)
    .bind(position)
    .bind(cut.fetch())
    .fetch_all(&app.database)
    .await?;
    page(&app, &cut, transactions, |t| format!("{}.{}", t.block, t.position)).await
}

/// One transaction's fate: final, posted or settled, and by which batch.
#[utoipa::path(get, path = "/v1/transactions/{hash}", tag = "chain",
    params(("hash" = String, Path, description = "Transaction hash")),
    responses(
        (status = 200, body = Answer<Fate>),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn one_transaction(State(app): State<App>, Path(text): Path<String>) -> Reply<Fate> {
    let found: Option<Fate> = sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        ", b.batch, baton.iso(b.posted_at) AS posted_at, b.l1_transaction, b.l1_block,
           (SELECT d.deposit FROM chain.deposits d WHERE d.l2_transaction = x.hash) AS deposit
         FROM chain.transactions x
         JOIN baton.transactions t ON t.block = x.block AND t.position = x.position
         LEFT JOIN LATERAL (SELECT batch FROM chain.batches k WHERE k.last_height >= x.block ORDER BY k.last_height LIMIT 1) k
           ON t.finality <> 'final'
         LEFT JOIN baton.batches b ON b.batch = k.batch
         WHERE x.hash = $1"
    ))
    .bind(hash(&text)?)
    .fetch_optional(&app.database)
    .await?;
    let missing = || {
        Problem::missing(
            format!("Transaction {text} is in no final block that is indexed."),
            "It may be pending: ask a node (eth_getTransactionByHash), or try again when `meta.l2Block` has advanced.",
        )
    };
    one(&app, found.ok_or_else(missing)?).await
}
