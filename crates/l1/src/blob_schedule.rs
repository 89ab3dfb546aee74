//! What a unit of blob gas costs in an L1 block: a function of its header and of the fork in force.
//!
//! The forks of the public chains are built in (EIP-7840, EIP-7892). For any other chain the endpoint's `eth_config`
//! (EIP-7910) tells them; without it the values of Osaka are assumed. The watcher compares the result with
//! `eth_feeHistory` when it starts, so that a wrong schedule is a named error and no split of L2.

use crate::{Error, endpoint::Endpoint};
use alloy::eips::eip7840::BlobParams;
use serde_json::Value;

/// Blob fee parameters by activation time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobSchedule(Vec<(u64, BlobParams)>);

const MAINNET: u64 = 1;
const SEPOLIA: u64 = 11_155_111;
const HOODI: u64 = 560_048;

impl BlobSchedule {
    /// The schedule of a public chain. Times: EIP-7840's and EIP-7892's activation tables.
    pub fn of_chain(chain_id: u64) -> Option<Self> {
        let times: [u64; 5] = match chain_id {
            MAINNET => [1_710_338_135, 1_746_612_311, 1_764_798_551, 1_765_290_071, 1_767_747_671],
            SEPOLIA => [1_706_655_072, 1_741_159_776, 1_760_427_360, 1_761_017_184, 1_761_607_008],
            HOODI => [0, 1_742_999_832, 1_761_677_592, 1_762_365_720, 1_762_955_544],
            _ => return None,
        };
        let forks =
            [BlobParams::cancun(), BlobParams::prague(), BlobParams::osaka(), BlobParams::bpo1(), BlobParams::bpo2()];
        Some(Self(times.into_iter().zip(forks).collect()))
    }

    /// One set of parameters for ever.
    pub fn constant(parameters: BlobParams) -> Self {
        Self(vec![(0, parameters)])
    }

    /// The chain's own, or what the endpoint says.
    pub(crate) async fn discover(chain_id: u64, endpoint: &Endpoint) -> Result<Self, Error> {
        if let Some(schedule) = Self::of_chain(chain_id) {
            return Ok(schedule);
        }
        match endpoint.call::<_, Value>("eth_config", ()).await {
            Ok(config) => Ok(Self::from_config(&config).unwrap_or_else(|| Self::constant(BlobParams::osaka()))),
            Err(Error::Rpc { .. } | Error::Malformed { .. } | Error::Missing { .. }) => {
                Ok(Self::constant(BlobParams::osaka()))
            }
            // "Method not found" comes as a transport error, so that others are asked; for this method none need know it.
            Err(Error::Transport { reason, .. }) if reason.contains("-32601") => {
                Ok(Self::constant(BlobParams::osaka()))
            }
            Err(error) => Err(error),
        }
    }

    fn from_config(config: &Value) -> Option<Self> {
        let fork = |value: &Value| {
            let schedule = value.get("blobSchedule")?;
            let number = |name: &str| schedule.get(name).and_then(Value::as_u64);
            let parameters = BlobParams {
                target_blob_count: number("target")?,
                max_blob_count: number("max")?,
                update_fraction: u128::from(number("baseFeeUpdateFraction").filter(|f| *f > 0)?),
                ..BlobParams::osaka()
            };
            Some((value.get("activationTime").and_then(Value::as_u64)?, parameters))
        };
        let mut forks: Vec<_> = ["current", "next"].iter().filter_map(|name| fork(config.get(name)?)).collect();
        // Blocks before the current fork are priced like it: an unknown chain's past forks are not told.
        forks.first_mut()?.0 = 0;
        Some(Self(forks))
    }

    /// Wei per blob gas in a block with this time and `excess_blob_gas`.
    pub fn price(&self, timestamp: u64, excess_blob_gas: Option<u64>) -> u128 {
        let fork = self.0.iter().rev().find(|(from, _)| *from <= timestamp).or(self.0.first());
        match (fork, excess_blob_gas) {
            (Some((_, parameters)), Some(excess)) => parameters.calc_blob_fee(excess),
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fork_changes_the_price_from_its_time_on() {
        let schedule = BlobSchedule(vec![(0, BlobParams::osaka()), (100, BlobParams::bpo2())]);
        let excess = Some(40_000_000);
        assert_eq!(schedule.price(99, excess), BlobParams::osaka().calc_blob_fee(40_000_000));
        assert_eq!(schedule.price(100, excess), BlobParams::bpo2().calc_blob_fee(40_000_000));
        assert_ne!(schedule.price(99, excess), schedule.price(100, excess));
        assert_eq!(schedule.price(100, None), 1);
    }

    #[test]
    fn the_endpoints_own_schedule_is_read() {
        let config = json!({
            "current": { "activationTime": 7, "blobSchedule": { "baseFeeUpdateFraction": 5_007_716, "max": 9, "target": 6 } },
            "next": { "activationTime": 90, "blobSchedule": { "baseFeeUpdateFraction": 8_346_193, "max": 15, "target": 10 } },
        });
        let schedule = BlobSchedule::from_config(&config).unwrap();
        assert_eq!(schedule.0[0].0, 0);
        assert_eq!(schedule.0[1], (90, BlobParams { target_blob_count: 10, max_blob_count: 15, ..BlobParams::bpo1() }));
        assert_eq!(BlobSchedule::from_config(&json!({ "current": null })), None);
    }
}
