//! The flags of the pool: every limit that it has.

use baton_batch::MAX_BLOCK_DATA;
use baton_pool::Limits;
use clap::Args;
use std::num::NonZeroUsize;

/// One flag for each limit of the pool.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Pool")]
pub(super) struct PoolFlags {
    /// Transactions that may wait.
    #[arg(long = "pool.max-transactions", env = "BATON_POOL_MAX_TRANSACTIONS", default_value_t = Limits::default().max_transactions, value_name = "COUNT")]
    max_transactions: usize,
    /// Bytes of all of them.
    #[arg(long = "pool.max-bytes", env = "BATON_POOL_MAX_BYTES", default_value_t = Limits::default().max_bytes, value_name = "BYTES")]
    max_bytes: usize,
    /// What waits behind a missing nonce may take one part in so many of both.
    #[arg(long = "pool.queued-share", env = "BATON_POOL_QUEUED_SHARE", default_value_t = Limits::default().queued_share, value_name = "PARTS")]
    queued_share: NonZeroUsize,
    /// Transactions of one sender.
    #[arg(long = "pool.max-per-sender", env = "BATON_POOL_MAX_PER_SENDER", default_value_t = Limits::default().max_per_sender, value_name = "COUNT")]
    max_per_sender: usize,
    /// Largest transaction; a longer one than the chain's blocks hold would wait for ever.
    #[arg(long = "pool.max-transaction-bytes", env = "BATON_POOL_MAX_TRANSACTION_BYTES", default_value_t = Limits::default().max_transaction_bytes, value_parser = transaction_bytes, value_name = "BYTES")]
    max_transaction_bytes: usize,
    /// How much more a replacement must offer, on both fee caps.
    #[arg(long = "pool.replacement-bump", env = "BATON_POOL_REPLACEMENT_BUMP", default_value_t = Limits::default().replacement_bump, value_name = "PERCENT")]
    replacement_bump: u128,
    /// Reasons remembered of transactions that left without being included (200 to 500 bytes each).
    #[arg(long = "pool.remembered-fates", env = "BATON_POOL_REMEMBERED_FATES", default_value_t = Limits::default().remembered_fates, value_name = "COUNT")]
    remembered_fates: usize,
}

impl PoolFlags {
    /// The pool's limits.
    pub(super) const fn limits(&self) -> Limits {
        Limits {
            max_transactions: self.max_transactions,
            max_bytes: self.max_bytes,
            queued_share: self.queued_share,
            max_per_sender: self.max_per_sender,
            max_transaction_bytes: self.max_transaction_bytes,
            replacement_bump: self.replacement_bump,
            remembered_fates: self.remembered_fates,
        }
    }
}

fn transaction_bytes(text: &str) -> Result<usize, String> {
    let bytes: usize = text.parse().map_err(|error| format!("not a number of bytes: {error}"))?;
    match u64::try_from(bytes) {
        Ok(size) if size <= MAX_BLOCK_DATA => Ok(bytes),
        Ok(_) | Err(_) => Err(format!("no block holds more than {MAX_BLOCK_DATA} bytes of transactions")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::node::walk::{every_field_has_a_flag_and_its_default, parse};

    #[test]
    fn every_limit_has_a_flag_and_its_default() {
        let shown = |_: &str| ("12345", "12345");
        let fields = every_field_has_a_flag_and_its_default(PoolFlags::limits, &Limits::default(), shown);
        assert_eq!(fields.changed, fields.all);
    }

    #[test]
    fn a_transaction_that_no_block_holds_is_no_limit() {
        let limits = |value| parse::<PoolFlags>(&["--pool.max-transaction-bytes", value]).map(|flags| flags.limits());
        assert_eq!(limits("700000").unwrap().max_transaction_bytes, 700_000);
        assert!(limits("700001").unwrap_err().contains("no block holds more than 700000 bytes"));
        assert!(limits("many").unwrap_err().contains("not a number of bytes"));
        assert!(parse::<PoolFlags>(&["--pool.queued-share", "0"]).is_err());
    }
}
