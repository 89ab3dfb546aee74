//! One module per thing asked for. Handlers read the views of schema `baton`, or its tables where a key is bytes.

pub(crate) mod accounts;
pub(crate) mod batches;
pub(crate) mod blocks;
pub(crate) mod epochs;
pub(crate) mod overview;
pub(crate) mod sequencers;
pub(crate) mod transactions;

use crate::server::App;
use axum::{Router, routing::get};

/// All read routes.
pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/v1/overview", get(overview::overview))
        .route("/v1/leader", get(overview::leader))
        .route("/v1/sequencers", get(sequencers::list))
        .route("/v1/sequencers/{id}", get(sequencers::one_sequencer))
        .route("/v1/sequencers/{id}/incomes", get(sequencers::incomes))
        .route("/v1/epochs", get(epochs::list))
        .route("/v1/epochs/{epoch}", get(epochs::one_epoch))
        .route("/v1/batches", get(batches::list))
        .route("/v1/batches/{batch}", get(batches::one_batch))
        .route("/v1/blocks", get(blocks::list))
        .route("/v1/blocks/{block}", get(blocks::one_block))
        .route("/v1/transactions", get(transactions::list))
        .route("/v1/transactions/{hash}", get(transactions::one_transaction))
        .route("/v1/accounts/{address}/stake", get(accounts::stake))
        .route("/v1/accounts/{address}/income", get(accounts::income))
}
