//! Tables, rows and how they meet: one description of each table serves writing, deleting and checking.

use crate::IndexerError;
use alloy::primitives::{Address, B256, Bytes, U256};
use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use std::{collections::BTreeMap, fmt::Write as _};

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `BIGINT`, `INTEGER` or `SMALLINT`.
    Int,
    /// `BYTEA`.
    Bytes,
    /// `NUMERIC(78, 0)`.
    Numeric,
    /// `TEXT`.
    Text,
    /// `BOOLEAN`.
    Bool,
    /// `TIMESTAMPTZ`, in milliseconds since the Unix epoch here.
    Time,
}

/// One table of schema `chain`.
#[derive(Debug)]
pub(crate) struct Table {
    /// With its schema.
    pub(crate) name: &'static str,
    /// The column that holds the block number, L1's or L2's.
    pub(crate) block: &'static str,
    /// Columns in the order of a row's cells.
    pub(crate) columns: &'static [(&'static str, Kind)],
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Bytes(Vec<u8>),
    Numeric(U256),
    Text(String),
    Bool(bool),
    Time(i64),
}

/// One row, its cells in the order of the table's columns.
pub(crate) type Row = Vec<Cell>;

impl Cell {
    /// Seconds since the Unix epoch.
    pub(crate) fn seconds(seconds: u64) -> Result<Self, IndexerError> {
        Self::millis(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub(crate) fn millis(millis: u64) -> Result<Self, IndexerError> {
        // The year 9999; Postgres has no time far beyond.
        const LAST: u64 = 253_402_300_799_000;
        i64::try_from(millis.min(LAST)).map(Self::Time).map_err(|_| IndexerError::Range { what: "time", value: millis })
    }

    /// A count, height, id or amount of gas.
    pub(crate) fn int(value: u64) -> Result<Self, IndexerError> {
        i64::try_from(value).map(Self::Int).map_err(|_| IndexerError::Range { what: "number", value })
    }

    /// The text by which stored and computed values are compared.
    pub(crate) fn canonical(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Int(value) | Self::Time(value) => Some(value.to_string()),
            Self::Bytes(bytes) => Some(format!("\\x{}", alloy::hex::encode(bytes))),
            Self::Numeric(value) => Some(value.to_string()),
            Self::Text(text) => Some(text.clone()),
            Self::Bool(value) => Some(value.to_string()),
        }
    }
}

impl From<Address> for Cell {
    fn from(value: Address) -> Self {
        Self::Bytes(value.to_vec())
    }
}
impl From<B256> for Cell {
    fn from(value: B256) -> Self {
        Self::Bytes(value.to_vec())
    }
}
impl From<&Bytes> for Cell {
    fn from(value: &Bytes) -> Self {
        Self::Bytes(value.to_vec())
    }
}
impl From<U256> for Cell {
    fn from(value: U256) -> Self {
        Self::Numeric(value)
    }
}
impl From<u128> for Cell {
    fn from(value: u128) -> Self {
        Self::Numeric(U256::from(value))
    }
}
impl From<u16> for Cell {
    fn from(value: u16) -> Self {
        Self::Int(i64::from(value))
    }
}
impl From<u32> for Cell {
    fn from(value: u32) -> Self {
        Self::Int(i64::from(value))
    }
}
impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        // Postgres has no NUL in text; an endpoint string on chain may.
        Self::Text(value.replace('\0', "\u{fffd}"))
    }
}
impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Rows of several tables, written in the order in which tables are declared (owners before what hangs on them).
#[derive(Debug, Default)]
pub(crate) struct Rows(BTreeMap<usize, Vec<Row>>);

impl Rows {
    /// Adds one row.
    pub(crate) fn push<const N: usize>(&mut self, table: &'static Table, row: [Cell; N]) {
        debug_assert_eq!(N, table.columns.len(), "cells of {}", table.name);
        self.0.entry(position(table)).or_default().push(row.into());
    }

    /// The rows of one table.
    pub(crate) fn of(&self, table: &'static Table) -> &[Row] {
        self.0.get(&position(table)).map_or(&[], Vec::as_slice)
    }

    /// All of `other` after all of `self`.
    pub(crate) fn append(&mut self, other: Self) {
        for (table, rows) in other.0 {
            self.0.entry(table).or_default().extend(rows);
        }
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Writes all rows, one statement a table.
    pub(crate) async fn insert(self, connection: &mut PgConnection) -> Result<(), IndexerError> {
        for (table, rows) in self.0 {
            if let Some(table) = crate::rows::TABLES.get(table) {
                table.insert(rows, connection).await?;
            }
        }
        Ok(())
    }
}

fn position(table: &'static Table) -> usize {
    // The tables are declared in one list; what is not in it cannot be named here.
    crate::rows::TABLES.iter().position(|t| std::ptr::eq(*t, table)).unwrap_or(usize::MAX)
}

impl Table {
    /// `INSERT ... SELECT ... FROM UNNEST(...)`: one round trip whatever the number of rows.
    async fn insert(&self, rows: Vec<Row>, connection: &mut PgConnection) -> Result<(), IndexerError> {
        let mut columns = vec![Vec::with_capacity(rows.len()); self.columns.len()];
        for row in rows {
            for (column, cell) in columns.iter_mut().zip(row) {
                column.push(cell);
            }
        }
        let statement = self.insert_statement();
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for ((_, kind), cells) in self.columns.iter().zip(columns) {
            query = match kind {
                Kind::Int | Kind::Time => query.bind(
                    cells
                        .into_iter()
                        .map(|c| if let Cell::Int(v) | Cell::Time(v) = c { Some(v) } else { None })
                        .collect::<Vec<_>>(),
                ),
                Kind::Bytes => query.bind(
                    cells.into_iter().map(|c| if let Cell::Bytes(v) = c { Some(v) } else { None }).collect::<Vec<_>>(),
                ),
                Kind::Bool => query.bind(
                    cells.into_iter().map(|c| if let Cell::Bool(v) = c { Some(v) } else { None }).collect::<Vec<_>>(),
                ),
                Kind::Numeric | Kind::Text => query.bind(cells.iter().map(Cell::canonical).collect::<Vec<_>>()),
            };
        }
        query.execute(connection).await?;
        Ok(())
    }

    fn insert_statement(&self) -> String {
        let (mut names, mut values, mut arrays, mut aliases) =
            (String::new(), String::new(), String::new(), String::new());
        for (i, (name, kind)) in self.columns.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            let number = i + 1;
            // Writing to a String cannot fail.
            let _ = write!(names, "{separator}{name}");
            let _ = write!(aliases, "{separator}c{number}");
            let _ = match kind {
                Kind::Numeric => write!(values, "{separator}c{number}::numeric"),
                Kind::Time => write!(values, "{separator}to_timestamp(c{number} / 1000.0)"),
                Kind::Int | Kind::Bytes | Kind::Text | Kind::Bool => write!(values, "{separator}c{number}"),
            };
            let _ = match kind {
                Kind::Int | Kind::Time => write!(arrays, "{separator}${number}::bigint[]"),
                Kind::Bytes => write!(arrays, "{separator}${number}::bytea[]"),
                Kind::Bool => write!(arrays, "{separator}${number}::boolean[]"),
                Kind::Numeric | Kind::Text => write!(arrays, "{separator}${number}::text[]"),
            };
        }
        format!("INSERT INTO {} ({names}) SELECT {values} FROM UNNEST({arrays}) AS t ({aliases})", self.name)
    }

    /// How many rows lie outside of a span of blocks.
    pub(crate) async fn count_outside(
        &self,
        blocks: std::ops::RangeInclusive<u64>,
        connection: &mut PgConnection,
    ) -> Result<u64, IndexerError> {
        let statement =
            format!("SELECT count(*) FROM {} WHERE {block} NOT BETWEEN $1 AND $2", self.name, block = self.block);
        let (first, last) = (as_int(*blocks.start())?, as_int(*blocks.end())?);
        let count = sqlx::query_scalar(AssertSqlSafe(statement)).bind(first).bind(last).fetch_one(connection).await?;
        Ok(from_int(count))
    }

    /// The stored rows of a span of blocks in canonical text, ordered by that text.
    pub(crate) async fn select(
        &self,
        blocks: std::ops::RangeInclusive<u64>,
        connection: &mut PgConnection,
    ) -> Result<Vec<Vec<Option<String>>>, IndexerError> {
        let mut values = String::new();
        for (i, (name, kind)) in self.columns.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            let _ = match kind {
                Kind::Time => write!(values, "{separator}round(extract(epoch from {name}) * 1000)::bigint::text"),
                Kind::Bytes => write!(values, "{separator}{name}::bytea::text"),
                Kind::Int | Kind::Numeric | Kind::Text | Kind::Bool => write!(values, "{separator}{name}::text"),
            };
        }
        let statement =
            format!("SELECT {values} FROM {} WHERE {block} BETWEEN $1 AND $2", self.name, block = self.block);
        let (first, last) = (as_int(*blocks.start())?, as_int(*blocks.end())?);
        let rows = sqlx::query(AssertSqlSafe(statement)).bind(first).bind(last).fetch_all(&mut *connection).await?;
        let mut rows = rows
            .iter()
            .map(|row| (0..self.columns.len()).map(|i| row.try_get(i)).collect())
            .collect::<Result<Vec<Vec<Option<String>>>, _>>()?;
        rows.sort_unstable();
        Ok(rows)
    }
}

/// A number as Postgres holds it.
pub(crate) fn as_int(value: u64) -> Result<i64, IndexerError> {
    i64::try_from(value).map_err(|_| IndexerError::Range { what: "number", value })
}

/// A number that Postgres holds, read back. What this crate wrote is never negative.
pub(crate) fn from_int(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}
