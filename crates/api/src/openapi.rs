//! The OpenAPI document, from the handlers themselves.

use crate::{events, routes};
use axum::Json;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Baton index",
        description = "What happened on a Baton chain, read from its index. Amounts are decimal strings of wei (token wei for stake), \
                       times ISO 8601 in UTC, hashes and addresses lower-case hex. Lists are newest first; pass `next` as `before`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    paths(
        routes::overview::overview,
        routes::overview::leader,
        routes::sequencers::list,
        routes::sequencers::one_sequencer,
        routes::sequencers::incomes,
        routes::epochs::list,
        routes::epochs::one_epoch,
        routes::batches::list,
        routes::batches::one_batch,
        routes::blocks::list,
        routes::blocks::one_block,
        routes::transactions::list,
        routes::transactions::one_transaction,
        routes::accounts::stake,
        routes::accounts::income,
        events::stream,
    ),
    tags(
        (name = "chain", description = "Blocks, transactions and where they are on the ladder final, posted, settled"),
        (name = "pool", description = "Who sequences, with what stake, and what it earns"),
        (name = "settlement", description = "Batches and epochs on L1"),
        (name = "accounts", description = "One account's stake and income"),
        (name = "live", description = "Events"),
    ),
)]
struct Document;

/// The OpenAPI document of this release.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    document.info.version = env!("CARGO_PKG_VERSION").into();
    document
}

pub(crate) async fn serve() -> Json<utoipa::openapi::OpenApi> {
    Json(document())
}
