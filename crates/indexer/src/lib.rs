//! Writes what happened to Postgres, in order, reversibly.
//!
//! ```text
//! L1 endpoint -> l1 (watch, decode events) --\                         /-> pg_notify('baton') -> api
//!                                             > rows + cursor, one tx -<
//! node's RPC  -> l2 (final blocks, receipts) -/                         \-> views of schema baton -> analysts
//! ```
//!
//! What it promises:
//!
//! - One Postgres transaction moves a cursor and writes the rows of the blocks it moves over; a crash loses nothing and
//!   repeats nothing.
//! - Rows are what the chain said (schema `chain`), never a state that would have to be undone: when L1 reorganises, the rows
//!   of the dropped blocks are deleted, all in one transaction, and every view (schema `baton`) is right again.
//! - Everything comes from chain: an empty or dropped database is filled from the deployment block on.
//! - It runs beside the nodes, never in their way: Postgres or an endpoint down means waiting and trying again, with a log
//!   line that says so. Only what cannot get better by waiting ends it: a database of another chain, or one that a newer
//!   release has migrated.
//!
//! [`run`] is the process, [`verify`](verify::verify) the check that Postgres equals the chain (promise P10), and
//! [`embedded`] a Postgres for who has none.

mod abi;
mod config;
mod database;
pub mod embedded;
mod endpoint;
mod error;
mod l1;
mod l2;
mod metrics;
mod rows;
mod table;
mod terms;
mod tries;
pub mod verify;

pub use config::Config;
pub use database::{CHANNEL, Database, migrate};
pub use error::{Class, IndexerError};

use tokio_util::sync::CancellationToken;

/// Runs the indexer until `cancellation`, or until an error that waiting does not cure.
///
/// # Errors
/// Only errors of [`Class::Fatal`]; all others are logged and tried again.
pub async fn run(config: Config, cancellation: CancellationToken) -> Result<(), IndexerError> {
    config.validate()?;
    let Some(database) = cancellable(&cancellation, database::open(&config, &cancellation)).await? else {
        return Ok(());
    };
    let terms = terms::Terms::new(config.parameters());
    let l1 = l1::follow(&config, &database, &terms, &cancellation);
    let l2 = l2::follow(&config, &database, &terms, &cancellation);
    let outcome = Box::pin(cancellable(&cancellation, async { tokio::try_join!(l1, l2).map(|_| ()) })).await;
    database.close().await;
    outcome.map(|_| ())
}

/// The outcome, or `None` if cancelled first. What is dropped in the middle is a Postgres transaction, which rolls back.
async fn cancellable<T>(
    cancellation: &CancellationToken,
    work: impl Future<Output = Result<T, IndexerError>>,
) -> Result<Option<T>, IndexerError> {
    tokio::select! {
        biased;
        () = cancellation.cancelled() => Ok(None),
        outcome = work => outcome.map(Some),
    }
}
