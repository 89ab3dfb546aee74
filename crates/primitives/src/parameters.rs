//! The chain parameters: set at deployment on L1, read by every rule. Times carry their unit in the name.

use serde::{Deserialize, Serialize};

/// Every chain parameter that L2 or batch rules read. The contracts hold the same values; a node refuses to start if its
/// deployment file and the contracts differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// EIP-155 chain id of L2.
    pub l2_chain_id: u64,
    /// Gas limit of every L2 block.
    pub l2_gas_limit: u64,
    /// L2 heights in an epoch.
    pub epoch_blocks: u64,
    /// Views in a term.
    pub term_views: u64,
    /// Least time between blocks, ms.
    pub block_time_ms: u64,
    /// Time after which a leader without transactions proposes an empty block, ms.
    pub idle_block_time_ms: u64,
    /// Time after view entry at which a silent leader is given up, ms.
    pub leader_timeout_ms: u64,
    /// How far below the L1 head that a voter sees an origin must be, L1 blocks.
    pub origin_depth: u64,
    /// How far a block's time may run ahead of its origin's, seconds.
    pub max_origin_lag_s: u64,
    /// L2 time after which a batch is cut, ms.
    pub batch_max_age_ms: u64,
    /// Size before compression at which a batch is cut, bytes.
    pub batch_max_bytes: u64,
    /// L1 blocks after which the next member may post; after twice that, anyone.
    pub post_grace: u64,
    /// L1 blocks between a batch and withdrawals from it.
    pub settlement_delay: u64,
    /// Seconds of unposted final blocks after which voters accept only heartbeats and due deposits.
    pub unposted_limit_s: u64,
    /// Seconds without an accepted batch after which recovery opens.
    pub stall_time_s: u64,
    /// Seconds from the request of an exit to its last step.
    pub unbonding_s: u64,
    /// Largest L2 block, bytes of RLP.
    pub max_block_bytes: u64,
}

/// Why parameters are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("chain parameter {name} = {value} is out of bounds: {bound}")]
pub struct ParametersError {
    /// The parameter.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
    /// What it must satisfy.
    pub bound: &'static str,
}

impl Parameters {
    /// The devnet's values (DESIGN: the second figure of each pair).
    pub const fn devnet() -> Self {
        Self {
            l2_chain_id: 13_370,
            l2_gas_limit: 60_000_000,
            epoch_blocks: 240,
            term_views: 30,
            block_time_ms: 50,
            idle_block_time_ms: 150,
            leader_timeout_ms: 300,
            origin_depth: 2,
            max_origin_lag_s: 60,
            batch_max_age_ms: 4_000,
            batch_max_bytes: 400_000,
            post_grace: 3,
            settlement_delay: 4,
            unposted_limit_s: 30,
            stall_time_s: 60,
            unbonding_s: 240,
            max_block_bytes: 2 * 1024 * 1024,
        }
    }

    /// Checks every bound and relation.
    ///
    /// # Errors
    /// The first parameter that is out of bounds.
    pub fn validate(&self) -> Result<(), ParametersError> {
        let checks: [(&'static str, u64, bool, &'static str); 10] = [
            ("l2_chain_id", self.l2_chain_id, self.l2_chain_id > 0, "at least 1"),
            ("l2_gas_limit", self.l2_gas_limit, self.l2_gas_limit >= 5_000_000, "at least 5,000,000"),
            ("term_views", self.term_views, self.term_views >= 2, "at least 2"),
            ("epoch_blocks", self.epoch_blocks, self.epoch_blocks >= 8 * self.term_views, "at least 8 terms"),
            ("block_time_ms", self.block_time_ms, self.block_time_ms >= 1, "at least 1"),
            (
                "idle_block_time_ms",
                self.idle_block_time_ms,
                self.idle_block_time_ms >= self.block_time_ms && self.idle_block_time_ms * 2 <= self.leader_timeout_ms,
                "between block_time_ms and half of leader_timeout_ms",
            ),
            (
                "epoch_blocks",
                self.epoch_blocks,
                self.epoch_blocks.saturating_mul(self.block_time_ms) >= 10_000,
                "an epoch lasts at least 10 s",
            ),
            ("origin_depth", self.origin_depth, self.origin_depth >= 1, "at least 1"),
            ("batch_max_bytes", self.batch_max_bytes, self.batch_max_bytes >= 1_000, "at least 1,000"),
            (
                "unposted_limit_s",
                self.unposted_limit_s,
                self.unposted_limit_s < self.stall_time_s,
                "below stall_time_s",
            ),
        ];
        match checks.into_iter().find(|(_, _, ok, _)| !ok) {
            Some((name, value, _, bound)) => Err(ParametersError { name, value, bound }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devnet_values_are_within_bounds_and_a_short_epoch_is_not() {
        assert_eq!(Parameters::devnet().validate(), Ok(()));
        let short = Parameters { epoch_blocks: 199, ..Parameters::devnet() };
        assert_eq!(short.validate().unwrap_err().name, "epoch_blocks");
    }
}
