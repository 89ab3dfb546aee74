//! What the engine tells about itself.

use std::time::Instant;

/// Names and help texts are registered once.
pub(crate) fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_histogram!("baton_engine_build_seconds", Unit::Seconds, "Time to build a block, roots included");
    describe_histogram!("baton_engine_execute_seconds", Unit::Seconds, "Time to execute and check a proposed block");
    describe_histogram!(
        "baton_engine_run_seconds",
        Unit::Seconds,
        "Time to run a block's transactions, receipts included"
    );
    describe_histogram!("baton_engine_seal_seconds", Unit::Seconds, "Time to compute a block's roots");
    describe_histogram!(
        "baton_engine_finalize_seconds",
        Unit::Seconds,
        "Time to make blocks final; it includes writing only when too many wait"
    );
    describe_histogram!("baton_engine_write_seconds", Unit::Seconds, "Time to write final blocks to the disk");
    describe_counter!("baton_engine_transactions_total", "Transactions in executed blocks");
    describe_counter!("baton_engine_gas_total", "Gas used in executed blocks");
    describe_gauge!("baton_engine_final_height", "Height of the last final block");
    describe_gauge!("baton_engine_unfinalized_blocks", "Executed blocks that are not final");
}

/// Records how long `name` took since `start`.
pub(crate) fn since(name: &'static str, start: Instant) {
    metrics::histogram!(name).record(start.elapsed().as_secs_f64());
}

/// Counts an executed block.
pub(crate) fn executed(block: &crate::ExecutedBlock) {
    metrics::counter!("baton_engine_transactions_total").increment(block.receipts.len() as u64);
    metrics::counter!("baton_engine_gas_total").increment(block.block.header().gas_used);
}

/// Sets the gauges of the tree.
pub(crate) fn tree(final_height: u64, unfinalized: usize) {
    metrics::gauge!("baton_engine_final_height").set(final_height as f64);
    metrics::gauge!("baton_engine_unfinalized_blocks").set(unfinalized as f64);
}
