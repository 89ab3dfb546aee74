//! The chain parameters as a file, and their way to and from the contract.

use crate::contracts::IParameters::{Money, Penalties, Posting, Rules, Stakes, Values};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Every chain parameter, as `Parameters.sol` names them (units and bounds there). Token and wei amounts are decimal strings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "documented field by field in contracts/src/interfaces/IParameters.sol")]
pub struct ChainParameters {
    pub l2_chain_id: u64,
    pub gas_limit: u64,
    pub block_bytes: u64,
    pub epoch_blocks: u64,
    pub term_views: u64,
    pub origin_depth: u64,
    pub max_origin_lag: u64,
    pub l1_block_time: u64,
    pub block_time_ms: u64,
    pub idle_block_time_ms: u64,
    pub leader_timeout_ms: u64,
    pub unposted_limit: u64,
    pub min_deposit_price: u64,
    pub batch_max_age_ms: u64,
    pub batch_max_bytes: u64,
    pub sign_wait_ms: u64,
    pub post_grace: u64,
    pub settlement_delay: u64,
    pub stall_time: u64,
    pub recovery_window: u64,
    pub snapshot_interval: u64,
    pub readiness_window: u64,
    pub max_members: u64,
    pub unbonding: u64,
    pub certificate_life: u64,
    #[serde(with = "decimal")]
    pub min_stake: u128,
    #[serde(with = "decimal")]
    pub max_stake: u128,
    pub treasury_bps: u16,
    pub producers_bps: u16,
    #[serde(with = "decimal")]
    pub tip_cap: u128,
    #[serde(with = "decimal")]
    pub repay_cap: u128,
    #[serde(with = "decimal")]
    pub emission: u128,
    pub first_bps: u16,
    pub repeated_bps: u16,
    pub bounty_bps: u16,
    pub jail_time: u64,
}

impl ChainParameters {
    /// The devnet's values (`anvil/parameters.json`).
    pub fn devnet() -> Self {
        serde_json::from_str(include_str!("../../../anvil/parameters.json"))
            .expect("invariant: anvil/parameters.json is checked by a test")
    }
}

mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&value.to_string())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A value that differs between the deployment file (or an earlier look) and the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The value, as the file names it but for its case.
    pub name: &'static str,
    /// What it was.
    pub was: String,
    /// What the contract holds.
    pub is: String,
    /// Whether governance may change it: no rule of L2 or of batches reads it.
    pub governed: bool,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, not {}", self.name, self.is, self.was)
    }
}

/// What governance can change (`Parameters.setStakes`, `setMoney`, `setPenalties`).
const GOVERNED: [&str; 3] = ["stakes", "money", "penalties"];
/// What is fixed of it nevertheless.
const FIXED: [&str; 2] = ["unbonding", "certificate_life"];

impl ChainParameters {
    /// What differs in the contract's values.
    pub fn differences(&self, contract: &Self) -> Vec<Difference> {
        let both = self.listed().into_iter().zip(contract.listed());
        let differing = both.filter(|((_, _, was), (_, _, is))| was != is);
        let difference = |((group, name, was), (_, _, is)): ((&'static str, &'static str, _), (_, _, _))| {
            let governed = GOVERNED.contains(&group) && !FIXED.contains(&name);
            Difference { name, was, is, governed }
        };
        differing.map(difference).collect()
    }
}

/// Copies all fields, so that a missing one does not compile.
macro_rules! convert {
    ($($group:ident $kind:ident { $($rust:ident $solidity:ident),+ $(,)? })+) => {
        impl From<&ChainParameters> for Values {
            fn from(p: &ChainParameters) -> Self {
                Self { $($group: $kind { $($solidity: p.$rust),+ }),+ }
            }
        }

        impl From<&Values> for ChainParameters {
            fn from(v: &Values) -> Self {
                Self { $($($rust: v.$group.$solidity),+),+ }
            }
        }

        impl ChainParameters {
            /// Group, name and value of each.
            fn listed(&self) -> Vec<(&'static str, &'static str, String)> {
                vec![$($((stringify!($group), stringify!($rust), self.$rust.to_string())),+),+]
            }
        }
    };
}

convert! {
    l2 Rules { l2_chain_id l2ChainId, gas_limit gasLimit, block_bytes blockBytes, epoch_blocks epochBlocks, term_views termViews, origin_depth originDepth, max_origin_lag maxOriginLag, l1_block_time l1BlockTime, block_time_ms blockTimeMs, idle_block_time_ms idleBlockTimeMs, leader_timeout_ms leaderTimeoutMs, unposted_limit unpostedLimit, min_deposit_price minDepositPrice }
    posting Posting { batch_max_age_ms batchMaxAgeMs, batch_max_bytes batchMaxBytes, sign_wait_ms signWaitMs, post_grace postGrace, settlement_delay settlementDelay, stall_time stallTime, recovery_window recoveryWindow }
    stakes Stakes { snapshot_interval snapshotInterval, readiness_window readinessWindow, max_members maxMembers, unbonding unbonding, certificate_life certificateLife, min_stake minStake, max_stake maxStake }
    money Money { treasury_bps treasuryBps, producers_bps producersBps, tip_cap tipCap, repay_cap repayCap, emission emission }
    penalties Penalties { first_bps firstBps, repeated_bps repeatedBps, bounty_bps bountyBps, jail_time jailTime }
}

/// What L2 and batch rules read of them.
impl From<&ChainParameters> for baton_primitives::Parameters {
    fn from(p: &ChainParameters) -> Self {
        Self {
            l2_chain_id: p.l2_chain_id,
            l2_gas_limit: p.gas_limit,
            epoch_blocks: p.epoch_blocks,
            term_views: p.term_views,
            block_time_ms: p.block_time_ms,
            idle_block_time_ms: p.idle_block_time_ms,
            leader_timeout_ms: p.leader_timeout_ms,
            origin_depth: p.origin_depth,
            max_origin_lag_s: p.max_origin_lag,
            batch_max_age_ms: p.batch_max_age_ms,
            batch_max_bytes: p.batch_max_bytes,
            post_grace: p.post_grace,
            settlement_delay: p.settlement_delay,
            unposted_limit_s: p.unposted_limit,
            stall_time_s: p.stall_time,
            unbonding_s: p.unbonding,
            max_block_bytes: p.block_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_devnet_file_is_the_devnet_of_the_rules() {
        let rules = baton_primitives::Parameters::from(&ChainParameters::devnet());
        assert_eq!(rules, baton_primitives::Parameters::devnet());
    }

    #[test]
    fn what_governance_may_change_is_told_from_what_is_fixed() {
        let file = ChainParameters::devnet();
        assert!(file.differences(&file).is_empty());
        let governed = [
            ChainParameters { snapshot_interval: 6, ..file.clone() },
            ChainParameters { readiness_window: 6, ..file.clone() },
            ChainParameters { max_members: 6, ..file.clone() },
            ChainParameters { min_stake: 6, ..file.clone() },
            ChainParameters { max_stake: 6, ..file.clone() },
            ChainParameters { treasury_bps: 6, ..file.clone() },
            ChainParameters { producers_bps: 6, ..file.clone() },
            ChainParameters { tip_cap: 6, ..file.clone() },
            ChainParameters { repay_cap: 6, ..file.clone() },
            ChainParameters { emission: 6, ..file.clone() },
            ChainParameters { first_bps: 6, ..file.clone() },
            ChainParameters { repeated_bps: 6, ..file.clone() },
            ChainParameters { bounty_bps: 6, ..file.clone() },
            ChainParameters { jail_time: 6, ..file.clone() },
        ];
        for changed in &governed {
            let differences = file.differences(changed);
            assert!(differences.len() == 1 && differences[0].governed, "{differences:?}");
        }
        let fixed = [
            ChainParameters { unbonding: 6, ..file.clone() },
            ChainParameters { certificate_life: 6, ..file.clone() },
            ChainParameters { post_grace: 6, ..file.clone() },
            ChainParameters { epoch_blocks: 6, ..file.clone() },
        ];
        for changed in &fixed {
            let differences = file.differences(changed);
            assert!(differences.len() == 1 && !differences[0].governed, "{differences:?}");
        }
        assert_eq!(governed.len() + 22, file.listed().len(), "22 values are fixed");
        assert_eq!(file.differences(&fixed[3])[0].to_string(), "epoch_blocks is 6, not 240");
    }

    #[test]
    fn parameters_survive_the_contract_form() {
        let devnet = ChainParameters::devnet();
        assert_eq!(ChainParameters::from(&Values::from(&devnet)), devnet);
    }
}
