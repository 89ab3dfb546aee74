//! What is measured.

use std::time::{Duration, SystemTime};

/// Which chain a loop follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chain {
    L1,
    L2,
}

impl Chain {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::L1 => "l1",
            Self::L2 => "l2",
        }
    }
}

/// After a commit: where the cursor is, how far the head, how old the last block was, how many rows were written and how
/// long that took.
pub(crate) fn committed(chain: Chain, cursor: u64, head: u64, block_millis: u64, rows: usize, took: Duration) {
    let labels = [("chain", chain.name())];
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let age = now.saturating_sub(Duration::from_millis(block_millis));
    metrics::gauge!("baton_indexer_cursor", &labels).set(float(cursor));
    metrics::gauge!("baton_indexer_lag_blocks", &labels).set(float(head.saturating_sub(cursor)));
    metrics::gauge!("baton_indexer_block_age_seconds", &labels).set(age.as_secs_f64());
    metrics::counter!("baton_indexer_rows_total", &labels).increment(rows as u64);
    metrics::histogram!("baton_indexer_commit_seconds", &labels).record(took.as_secs_f64());
}

/// A revert of `depth` blocks.
pub(crate) fn reverted(chain: Chain, depth: u64) {
    metrics::counter!("baton_indexer_reverted_blocks_total", "chain" => chain.name()).increment(depth);
}

/// An error that is tried again.
pub(crate) fn failed(chain: Chain) {
    metrics::counter!("baton_indexer_errors_total", "chain" => chain.name()).increment(1);
}

/// Heights stay far below 2^53, where a double is exact.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a double")]
const fn float(value: u64) -> f64 {
    value as f64
}
