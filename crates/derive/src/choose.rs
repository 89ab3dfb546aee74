//! A proposer's choice of origin and time.

use crate::{OriginView, Parent, check::deposit_gas};
use baton_primitives::{L1Origin, Parameters};

/// Origin and time of a block to propose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The origin.
    pub origin: L1Origin,
    /// Time of the block, ms since the Unix epoch.
    pub time_millis: u64,
}

/// Why no block may be proposed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Declined {
    /// Even the earliest block would be too far ahead of the newest origin: L1 is out of sight, or stands still.
    #[error("a block at {earliest_millis} ms is too far ahead of L1 block {origin}, the newest usable one")]
    Lag {
        /// Earliest time of the block.
        earliest_millis: u64,
        /// Newest origin that the block could have.
        origin: u64,
    },
}

/// Origin and time of the child of `parent`, built at `now_millis`.
///
/// The origin advances as far as L1 is deep enough (one block deeper than voters need), its time is not after the block's,
/// and the due deposits fit half the gas limit (those of one L1 block always do). The time is now, at least
/// `block_time_ms` after the parent. After a long L1 outage it stays behind the clock, at the origin's time plus
/// `max_origin_lag_s`, until the origins have caught up: so the lag rule holds in every block.
///
/// # Errors
/// If no block would be valid.
pub fn choose(
    parent: &Parent,
    view: &OriginView,
    now_millis: u64,
    parameters: &Parameters,
) -> Result<Choice, Declined> {
    let earliest = parent.time_millis().saturating_add(parameters.block_time_ms);
    let wanted = now_millis.max(earliest);
    let deepest = view.head().saturating_sub(parameters.origin_depth.saturating_add(1));
    let half = parameters.l2_gas_limit / 2;
    let (mut origin, mut gas) = (parent.call.origin, 0u64);
    for number in origin.number.saturating_add(1)..=deepest {
        let Some(block) = view.block(number) else { break };
        gas = gas.saturating_add(deposit_gas(block));
        let first = number == parent.call.origin.number.saturating_add(1);
        if (gas > half && !first) || block.origin.timestamp.saturating_mul(1000) > wanted {
            break;
        }
        origin = block.origin;
    }
    let latest = latest_millis(&origin, parameters);
    if earliest > latest {
        return Err(Declined::Lag { earliest_millis: earliest, origin: origin.number });
    }
    // With an origin from the loop its time is not after `wanted`, nor after `latest`; the parent's is not after `earliest`.
    Ok(Choice { origin, time_millis: wanted.min(latest) })
}

/// The latest time of a block with this origin, ms.
pub(crate) const fn latest_millis(origin: &L1Origin, parameters: &Parameters) -> u64 {
    origin.timestamp.saturating_add(parameters.max_origin_lag_s).saturating_mul(1000)
}
