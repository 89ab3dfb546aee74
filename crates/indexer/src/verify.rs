//! Whether Postgres equals the chain (promise P10): every row recomputed, every current state compared with the contracts.
//!
//! ```text
//! one read-only snapshot of the database, its cursors
//!   rows:   blocks and events from the endpoints again -> rows -> equal, table by table, span by span
//!   terms:  each leader asked of `SequencerPool.leaderOf`
//!   states: the views against the contracts, called at the cursor's L1 block
//! ```

mod states;

use crate::{
    Config, Database, IndexerError,
    database::{self, Cursor},
    endpoint::Endpoint,
    l1, l2,
    metrics::Chain,
    rows::{L1_BLOCKS, TABLES, is_l1},
    table::{Row, Rows, Table},
};
use alloy::{network::Ethereum, providers::Provider as _};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use sqlx::{Connection as _, PgConnection};
use std::collections::BTreeMap;

/// Differences told in full; beyond, only their number.
const TOLD: usize = 100;
/// L1 blocks compared at a time.
const L1_SPAN: u64 = 500;
/// L2 blocks compared at a time.
const L2_SPAN: u64 = 100;

/// What was compared, and what differs.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The L1 cursor up to which everything was compared.
    pub l1_cursor: Option<u64>,
    /// The L2 cursor.
    pub l2_cursor: Option<u64>,
    /// Rows that the chain calls for, by table.
    pub rows: BTreeMap<&'static str, u64>,
    /// Values of views that were compared with contracts.
    pub states: u64,
    /// The first differences, in words.
    pub differences: Vec<String>,
    /// All differences.
    pub difference_count: u64,
}

impl Report {
    /// Whether Postgres equals the chain.
    pub const fn is_equal(&self) -> bool {
        self.difference_count == 0
    }

    fn differs(&mut self, what: String) {
        self.difference_count += 1;
        if self.differences.len() < TOLD {
            self.differences.push(what);
        }
    }

    fn state(&mut self, what: impl FnOnce() -> String, stored: &str, chain: &str) {
        self.states += 1;
        if stored != chain {
            self.differs(format!("{}: Postgres says {stored}, the contract {chain}", what()));
        }
    }
}

/// Compares the database with the first L1 and L2 endpoints of the configuration.
///
/// It reads one snapshot of the database, so that an indexer may go on meanwhile.
///
/// # Errors
/// If the database or an endpoint fails, or the chain of a cursor is not the endpoint's (then the indexer has a revert to make,
/// or the endpoint is behind: try again).
pub async fn verify(config: &Config) -> Result<Report, IndexerError> {
    config.validate()?;
    let database: Database = crate::migrate(&config.database_url).await?;
    let mut connection = database.acquire().await?.detach();
    let mut report = Report::default();
    sqlx::query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").execute(&mut connection).await?;
    if let (Some(cursor), Some(url)) = (database::cursor(Chain::L1, &mut connection).await?, config.l1_urls.first()) {
        let endpoint = Endpoint::connect(url, config.deployment.l1_chain_id, config.l1_poll).await?;
        report.l1_cursor = Some(cursor.number);
        anchored(&endpoint, cursor).await?;
        l1_rows(config, &endpoint, cursor, &mut connection, &mut report).await?;
        states::compare(config, &endpoint, cursor, &mut connection, &mut report).await?;
        states::terms(config, &endpoint, cursor, &mut connection, &mut report).await?;
        anchored(&endpoint, cursor).await?;
    }
    if let (Some(cursor), Some(url)) = (database::cursor(Chain::L2, &mut connection).await?, config.l2_urls.first()) {
        let endpoint = Endpoint::connect(url, config.deployment.parameters.l2_chain_id, config.l2_poll).await?;
        report.l2_cursor = Some(cursor.number);
        anchored(&endpoint, cursor).await?;
        l2_rows(config, &endpoint, cursor, &mut connection, &mut report).await?;
        anchored(&endpoint, cursor).await?;
    }
    sqlx::query("ROLLBACK").execute(&mut connection).await?;
    connection.close().await?;
    database.close().await;
    Ok(report)
}

/// The cursor's block is the endpoint's.
async fn anchored<N: alloy::network::Network>(endpoint: &Endpoint<N>, cursor: Cursor) -> Result<(), IndexerError> {
    match endpoint.hash_at(cursor.number).await? {
        Some(hash) if hash == cursor.hash => Ok(()),
        Some(hash) => Err(endpoint.wrong(cursor.number, format!("it has {hash}, the database {}", cursor.hash))),
        None => Err(endpoint.wrong(cursor.number, "the cursor's block is missing")),
    }
}

async fn l1_rows(
    config: &Config,
    endpoint: &Endpoint<Ethereum>,
    cursor: Cursor,
    connection: &mut PgConnection,
    report: &mut Report,
) -> Result<(), IndexerError> {
    let addresses = &config.deployment.addresses;
    let mut first = config.deployment.block;
    nothing_outside(first..=cursor.number, true, connection, report).await?;
    while first <= cursor.number {
        let last = cursor.number.min(first.saturating_add(L1_SPAN - 1));
        let blocks = l1::range(endpoint, addresses, first..=last, config.concurrency).await?;
        let mut expected = Rows::default();
        for block in &blocks {
            expected.append(crate::rows::l1::rows(block, addresses)?);
        }
        for table in TABLES.iter().filter(|t| is_l1(t) && !std::ptr::eq(**t, &raw const L1_BLOCKS)) {
            let stored = table.select(first..=last, connection).await?;
            compare(table, expected.of(table), stored, report);
        }
        let stored = L1_BLOCKS.select(first..=last, connection).await?;
        let with_events = blocks.iter().filter(|b| !b.events.is_empty()).map(|b| b.number);
        let expected = l1_blocks(config, endpoint, with_events, &stored).await?;
        compare(&L1_BLOCKS, &expected, stored, report);
        first = last + 1;
    }
    Ok(())
}

/// L1 blocks are stored if they hold events or were near the head: each must be the endpoint's.
async fn l1_blocks(
    config: &Config,
    endpoint: &Endpoint<Ethereum>,
    needed: impl Iterator<Item = u64>,
    stored: &[Vec<Option<String>>],
) -> Result<Vec<Row>, IndexerError> {
    let stored = stored.iter().filter_map(|row| row.first()?.as_ref()?.parse().ok());
    let numbers: std::collections::BTreeSet<u64> = needed.chain(stored).collect();
    futures::stream::iter(numbers)
        .map(|number| async move {
            let block = endpoint.ask(|p| async move { p.get_block_by_number(number.into()).await }).await?;
            let header = block.ok_or_else(|| endpoint.wrong(number, "a block below the cursor is missing"))?.header;
            let block = crate::rows::l1::L1Block {
                number,
                hash: header.hash,
                parent: header.parent_hash,
                timestamp: header.timestamp,
                events: Vec::new(),
            };
            let rows = crate::rows::l1::rows(&block, &config.deployment.addresses)?;
            Ok(rows.of(&L1_BLOCKS).to_vec())
        })
        .buffered(config.concurrency.get())
        .try_concat()
        .await
}

async fn l2_rows(
    config: &Config,
    endpoint: &Endpoint<op_alloy_network::Optimism>,
    cursor: Cursor,
    connection: &mut PgConnection,
    report: &mut Report,
) -> Result<(), IndexerError> {
    let parameters = config.parameters();
    nothing_outside(0..=cursor.number, false, connection, report).await?;
    let (mut first, mut parent) = (0, None);
    while first <= cursor.number {
        let last = cursor.number.min(first + L2_SPAN - 1);
        let blocks = l2::range(endpoint, &parameters, first..=last, config.concurrency.get()).await?;
        let mut expected = Rows::default();
        for block in blocks {
            if parent.is_some_and(|p| p != block.parent) {
                return Err(endpoint.wrong(block.number, "its parent is not the block before it"));
            }
            parent = Some(block.hash);
            expected.append(block.rows);
        }
        for table in TABLES.iter().filter(|t| !is_l1(t)) {
            let stored = table.select(first..=last, connection).await?;
            compare(table, expected.of(table), stored, report);
        }
        first = last + 1;
    }
    Ok(())
}

/// No row lies below the first or above the last block.
async fn nothing_outside(
    blocks: std::ops::RangeInclusive<u64>,
    on_l1: bool,
    connection: &mut PgConnection,
    report: &mut Report,
) -> Result<(), IndexerError> {
    for table in TABLES.iter().filter(|t| is_l1(t) == on_l1) {
        let count = table.count_outside(blocks.clone(), connection).await?;
        if count > 0 {
            report.differs(format!("{}: {count} rows of blocks outside {blocks:?}", table.name));
        }
    }
    Ok(())
}

/// Equal as multisets, in canonical text.
fn compare(table: &'static Table, expected: &[Row], stored: Vec<Vec<Option<String>>>, report: &mut Report) {
    *report.rows.entry(table.name).or_default() += expected.len() as u64;
    let mut counts: BTreeMap<Vec<Option<String>>, i64> = BTreeMap::new();
    for row in expected {
        *counts.entry(row.iter().map(crate::table::Cell::canonical).collect()).or_default() += 1;
    }
    for row in stored {
        *counts.entry(row).or_default() -= 1;
    }
    for (row, count) in counts {
        let told = || {
            let cells = table.columns.iter().zip(&row);
            cells
                .map(|((name, _), cell)| format!("{name}={}", cell.as_deref().unwrap_or("NULL")))
                .collect::<Vec<_>>()
                .join(" ")
        };
        match count {
            0 => {}
            1.. => report.differs(format!("{}: missing {}", table.name, told())),
            _ => report.differs(format!("{}: not on chain {}", table.name, told())),
        }
    }
}
