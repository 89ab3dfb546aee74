//! What can go wrong, classed by what to do about it.
#![allow(clippy::wildcard_enum_match_arm, reason = "wide enums of other crates, all others alike")]

use alloy::primitives::B256;
use baton_primitives::ParametersError;

/// What the caller must do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Wait and try again: Postgres or an endpoint is down or behind.
    Retry,
    /// Ask another endpoint: this one said something that cannot be right.
    Distrust,
    /// Nothing helps but a change of configuration or program.
    Fatal,
}

/// Why the indexer does not go on.
#[derive(Debug, thiserror::Error)]
pub enum IndexerError {
    /// A setting is wrong.
    #[error("indexer setting {name} {problem}")]
    Config {
        /// The setting.
        name: &'static str,
        /// What it must be.
        problem: &'static str,
    },
    /// Chain parameters out of bounds.
    #[error(transparent)]
    Parameters(ParametersError),
    /// Postgres failed.
    #[error("Postgres: {0}; check that it runs and that the database URL (DATABASE_URL) names it")]
    Postgres(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error(
        "Postgres schema: {0}; a database of a newer release needs that release, a half-made one can be dropped: it is rebuilt from chain"
    )]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// An endpoint failed.
    #[error("{endpoint} does not answer: {detail}")]
    Endpoint {
        /// Which.
        endpoint: String,
        /// What happened.
        detail: String,
    },
    /// An endpoint contradicts itself.
    #[error("{endpoint} contradicts itself at block {number}: {what}")]
    Inconsistent {
        /// Which.
        endpoint: String,
        /// Where.
        number: u64,
        /// How.
        what: String,
    },
    /// The database belongs to another chain.
    #[error(
        "this database is about another chain ({what}: it says {stored}, the configuration {configured}); use another database, or drop this one: it is rebuilt from chain"
    )]
    WrongDatabase {
        /// The field that differs.
        what: &'static str,
        /// In the database.
        stored: String,
        /// In the configuration or on chain.
        configured: String,
    },
    /// An endpoint serves another chain.
    #[error("{endpoint} serves chain {actual}, expected {expected}; check the endpoint's URL and the deployment file")]
    WrongChain {
        /// Which.
        endpoint: String,
        /// Its chain id.
        actual: u64,
        /// The one configured or stored.
        expected: u64,
    },
    /// Another process moved the cursor.
    #[error(
        "another indexer moved the {chain} cursor of this database; run only one (this one starts over from the cursor)"
    )]
    CursorMoved {
        /// `l1` or `l2`.
        chain: &'static str,
    },
    /// A number of the chain does not fit a column.
    #[error("{what} {value} does not fit the database")]
    Range {
        /// What it counts.
        what: &'static str,
        /// The number.
        value: u64,
    },
    /// A final L2 block contradicts the batch that L1 accepted for it.
    #[error("batch {batch} ends with block {posted}, the node's block {height} is {ours}")]
    Diverged {
        /// The batch.
        batch: u64,
        /// The height of its last block.
        height: u64,
        /// What L1 accepted.
        posted: B256,
        /// What the node serves.
        ours: B256,
    },
}

impl IndexerError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Postgres(error) => match error {
                sqlx::Error::Configuration(_) => Class::Fatal,
                _ => Class::Retry,
            },
            Self::Migrate(sqlx::migrate::MigrateError::Execute(_)) | Self::CursorMoved { .. } => Class::Retry,
            Self::Endpoint { .. } | Self::Inconsistent { .. } | Self::Diverged { .. } => Class::Distrust,
            Self::Config { .. }
            | Self::Parameters(_)
            | Self::Migrate(_)
            | Self::WrongDatabase { .. }
            | Self::WrongChain { .. }
            | Self::Range { .. } => Class::Fatal,
        }
    }
}
