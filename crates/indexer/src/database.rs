//! Postgres: connecting, migrating, the identity of the chain, cursors, and the two transactions that change rows.

use crate::{
    Class, Config, IndexerError,
    metrics::{self, Chain},
    table::{Rows, as_int, from_int},
    terms::Terms,
};
use alloy::primitives::B256;
use baton_bindings::Deployment;
use sqlx::{
    PgConnection, PgPool, Row as _,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{str::FromStr as _, time::Duration};
use tokio_util::sync::CancellationToken;

/// The channel on which every commit is told; the payload is the chain, `l1` or `l2`.
pub const CHANNEL: &str = "baton";

/// Advisory lock of whoever changes rows: "baton" in ASCII.
const WRITER: i64 = 0x62_6174_6f6e;

/// The embedded `migrations/`.
static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations");

/// A pool of connections to a migrated database.
pub type Database = PgPool;

/// The last block written, and what the chain's endpoint said then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) number: u64,
    pub(crate) hash: B256,
}

/// How far an endpoint knows its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) number: u64,
    pub(crate) finalized: u64,
}

/// Connects and brings the schema up to date.
///
/// # Errors
/// If Postgres does not answer, or the schema is a newer release's.
pub async fn migrate(database_url: &str) -> Result<Database, IndexerError> {
    // A role named `baton` would find its own schema before `public`, and with it another table of migrations.
    let options = PgConnectOptions::from_str(database_url)?
        .application_name("baton-indexer")
        .options([("search_path", "public")]);
    let pool =
        PgPoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(5)).connect_with(options).await?;
    MIGRATIONS.run(&pool).await?;
    Ok(pool)
}

/// Connects, migrates and checks the identity, again and again until Postgres is there.
pub(crate) async fn open(config: &Config, cancellation: &CancellationToken) -> Result<Database, IndexerError> {
    let mut backoff = Backoff::new();
    loop {
        let attempt = async {
            let database = migrate(&config.database_url).await?;
            check_identity(&database, &config.deployment).await?;
            Ok(database)
        };
        match attempt.await {
            Ok(database) => return Ok(database),
            Err(error) if error_is_final(&error) => return Err(error),
            Err(error) => {
                let pause = backoff.next();
                tracing::warn!(%error, ?pause, "no database yet; trying again");
                cancellation.run_until_cancelled(tokio::time::sleep(pause)).await;
            }
        }
    }
}

/// After an error: if Postgres is there but lost the schema (the database was dropped and made anew), migrates once more.
pub(crate) async fn repair(database: &Database, config: &Config, terms: &Terms) -> Result<(), IndexerError> {
    let repaired = async {
        let found: bool =
            sqlx::query_scalar("SELECT to_regclass('chain.identity') IS NOT NULL").fetch_one(database).await?;
        if !found {
            tracing::warn!("the database is empty: it is filled from the deployment block on");
            MIGRATIONS.run(database).await?;
            terms.lost();
        }
        check_identity(database, &config.deployment).await
    };
    match repaired.await {
        Err(error) if error_is_final(&error) => Err(error),
        // Still down: the loop's next attempt says so.
        Ok(()) | Err(_) => Ok(()),
    }
}

fn error_is_final(error: &IndexerError) -> bool {
    error.class() == Class::Fatal
}

/// Pauses between attempts, from 100 ms, doubling to 5 s.
#[derive(Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(5);

    pub(crate) const fn new() -> Self {
        Self(Self::FIRST)
    }

    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (self.0 * 2).min(Self::LONGEST);
        pause
    }

    pub(crate) const fn reset(&mut self) {
        self.0 = Self::FIRST;
    }
}

/// Notes which chain an empty database is about; refuses the database of another.
async fn check_identity(database: &Database, deployment: &Deployment) -> Result<(), IndexerError> {
    let (addresses, parameters) = (&deployment.addresses, &deployment.parameters);
    sqlx::query(
        "INSERT INTO chain.identity (l1_chain_id, l2_chain_id, deployment_block, genesis_hash, staking, pool, inbox, \
         portal, revenue, epoch_blocks, term_views, unbonding_seconds) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING",
    )
    .bind(as_int(deployment.l1_chain_id)?)
    .bind(as_int(parameters.l2_chain_id)?)
    .bind(as_int(deployment.block)?)
    .bind(deployment.genesis.block_hash.to_vec())
    .bind(addresses.staking.to_vec())
    .bind(addresses.pool.to_vec())
    .bind(addresses.inbox.to_vec())
    .bind(addresses.portal.to_vec())
    .bind(addresses.revenue.to_vec())
    .bind(as_int(parameters.epoch_blocks)?)
    .bind(as_int(parameters.term_views)?)
    .bind(as_int(parameters.unbonding)?)
    .execute(database)
    .await?;
    let row = sqlx::query(
        "SELECT l1_chain_id, l2_chain_id, deployment_block, genesis_hash::bytea AS genesis_hash, inbox::bytea AS inbox, \
         epoch_blocks, term_views FROM chain.identity",
    )
    .fetch_one(database)
    .await?;
    for (column, configured) in [
        ("l1_chain_id", deployment.l1_chain_id),
        ("l2_chain_id", parameters.l2_chain_id),
        ("deployment_block", deployment.block),
        ("epoch_blocks", parameters.epoch_blocks),
        ("term_views", parameters.term_views),
    ] {
        let stored = from_int(row.try_get(column)?);
        if stored != configured {
            return Err(wrong_database(column, &stored, &configured));
        }
    }
    for (column, configured) in
        [("genesis_hash", deployment.genesis.block_hash.to_vec()), ("inbox", addresses.inbox.to_vec())]
    {
        let stored: Vec<u8> = row.try_get(column)?;
        if stored != configured {
            let hex = alloy::hex::encode_prefixed;
            return Err(wrong_database(column, &hex(stored), &hex(configured)));
        }
    }
    Ok(())
}

fn wrong_database(what: &'static str, stored: &impl ToString, configured: &impl ToString) -> IndexerError {
    IndexerError::WrongDatabase { what, stored: stored.to_string(), configured: configured.to_string() }
}

/// Where a loop goes on; `None` before its first block.
pub(crate) async fn cursor(chain: Chain, connection: &mut PgConnection) -> Result<Option<Cursor>, IndexerError> {
    let row = sqlx::query("SELECT number, hash::bytea AS hash FROM chain.cursors WHERE chain = $1")
        .bind(chain.name())
        .fetch_optional(connection)
        .await?;
    row.map(|row| Ok(Cursor { number: from_int(row.try_get("number")?), hash: hash(&row, "hash")? })).transpose()
}

/// The stored hash of a block, if it is stored.
pub(crate) async fn block_hash(
    chain: Chain,
    number: u64,
    connection: &mut PgConnection,
) -> Result<Option<B256>, IndexerError> {
    let query = match chain {
        Chain::L1 => sqlx::query("SELECT hash::bytea AS hash FROM chain.l1_blocks WHERE number = $1"),
        Chain::L2 => sqlx::query("SELECT hash::bytea AS hash FROM chain.blocks WHERE number = $1"),
    };
    let row = query.bind(as_int(number)?).fetch_optional(connection).await?;
    row.map(|row| hash(&row, "hash")).transpose()
}

/// The stored blocks below `number`, newest first, at most `limit`.
pub(crate) async fn blocks_below(
    chain: Chain,
    number: u64,
    limit: i64,
    connection: &mut PgConnection,
) -> Result<Vec<Cursor>, IndexerError> {
    let query = match chain {
        Chain::L1 => sqlx::query(
            "SELECT number, hash::bytea AS hash FROM chain.l1_blocks WHERE number < $1 ORDER BY number DESC LIMIT $2",
        ),
        Chain::L2 => sqlx::query(
            "SELECT number, hash::bytea AS hash FROM chain.blocks WHERE number < $1 ORDER BY number DESC LIMIT $2",
        ),
    };
    let rows = query.bind(as_int(number)?).bind(limit).fetch_all(connection).await?;
    rows.iter().map(|row| Ok(Cursor { number: from_int(row.try_get("number")?), hash: hash(row, "hash")? })).collect()
}

/// Reads a hash column.
pub(crate) fn hash(row: &sqlx::postgres::PgRow, column: &str) -> Result<B256, IndexerError> {
    let bytes: Vec<u8> = row.try_get(column)?;
    B256::try_from(bytes.as_slice()).map_err(|e| IndexerError::Postgres(sqlx::Error::Decode(Box::new(e))))
}

/// A transaction that changes rows: one at a time, because what one chain's rows mean may need the other's.
async fn begin(database: &Database) -> Result<sqlx::Transaction<'static, sqlx::Postgres>, IndexerError> {
    let mut transaction = database.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(WRITER).execute(&mut *transaction).await?;
    Ok(transaction)
}

/// Writes rows and moves the cursor from `from` to `to`, in one transaction.
pub(crate) async fn commit(
    database: &Database,
    chain: Chain,
    from: Option<Cursor>,
    to: Cursor,
    head: Head,
    rows: Rows,
    terms: &Terms,
) -> Result<(), IndexerError> {
    let mut transaction = begin(database).await?;
    move_cursor(chain, from, Some(to), head, &mut transaction).await?;
    rows.insert(&mut transaction).await?;
    let filled = terms.fill(&mut transaction).await?;
    tell(chain, &mut transaction).await?;
    transaction.commit().await?;
    terms.filled(&filled);
    Ok(())
}

/// Deletes the blocks above `to` (all, if `None`) and moves the cursor there, in one transaction.
pub(crate) async fn revert(
    database: &Database,
    chain: Chain,
    from: Cursor,
    to: Option<Cursor>,
    head: Head,
    terms: &Terms,
) -> Result<(), IndexerError> {
    terms.lost();
    let mut transaction = begin(database).await?;
    move_cursor(chain, Some(from), to, head, &mut transaction).await?;
    let above = to.map_or(Ok(-1), |to| as_int(to.number))?;
    let query = match chain {
        Chain::L1 => sqlx::query("DELETE FROM chain.l1_blocks WHERE number > $1"),
        Chain::L2 => sqlx::query("DELETE FROM chain.blocks WHERE number > $1"),
    };
    query.bind(above).execute(&mut *transaction).await?;
    let filled = terms.fill(&mut transaction).await?;
    tell(chain, &mut transaction).await?;
    transaction.commit().await?;
    terms.filled(&filled);
    metrics::reverted(chain, from.number.saturating_sub(to.map_or(0, |to| to.number)));
    Ok(())
}

/// Notes how far the endpoint is, without a new block.
pub(crate) async fn note_head(database: &Database, chain: Chain, head: Head) -> Result<(), IndexerError> {
    let mut transaction = database.begin().await?;
    let changed = sqlx::query(
        "UPDATE chain.cursors SET head = $2, finalized = $3, updated_at = now() \
         WHERE chain = $1 AND (head, finalized) IS DISTINCT FROM ($2, $3)",
    )
    .bind(chain.name())
    .bind(as_int(head.number)?)
    .bind(as_int(head.finalized)?)
    .execute(&mut *transaction)
    .await?;
    if changed.rows_affected() > 0 {
        tell(chain, &mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Moves the cursor only if it is where this process left it, so that two indexers cannot mix their rows.
async fn move_cursor(
    chain: Chain,
    from: Option<Cursor>,
    to: Option<Cursor>,
    head: Head,
    connection: &mut PgConnection,
) -> Result<(), IndexerError> {
    let (number, finalized) = (as_int(head.number)?, as_int(head.finalized)?);
    let done = match (from, to) {
        (None, None) => return Ok(()),
        (None, Some(to)) => {
            sqlx::query(
                "INSERT INTO chain.cursors (chain, number, hash, head, finalized) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(chain.name())
            .bind(as_int(to.number)?)
            .bind(to.hash.to_vec())
            .bind(number)
            .bind(finalized)
            .execute(connection)
            .await?
        }
        (Some(from), Some(to)) => {
            sqlx::query(
                "UPDATE chain.cursors SET number = $4, hash = $5, head = $6, finalized = $7, updated_at = now() \
                 WHERE chain = $1 AND number = $2 AND hash = $3",
            )
            .bind(chain.name())
            .bind(as_int(from.number)?)
            .bind(from.hash.to_vec())
            .bind(as_int(to.number)?)
            .bind(to.hash.to_vec())
            .bind(number)
            .bind(finalized)
            .execute(connection)
            .await?
        }
        (Some(from), None) => {
            sqlx::query("DELETE FROM chain.cursors WHERE chain = $1 AND number = $2 AND hash = $3")
                .bind(chain.name())
                .bind(as_int(from.number)?)
                .bind(from.hash.to_vec())
                .execute(connection)
                .await?
        }
    };
    if done.rows_affected() == 1 { Ok(()) } else { Err(IndexerError::CursorMoved { chain: chain.name() }) }
}

/// Listeners hear of it when the transaction commits.
async fn tell(chain: Chain, connection: &mut PgConnection) -> Result<(), IndexerError> {
    sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(chain.name()).execute(connection).await?;
    Ok(())
}
