//! When to propose: at once if there is work, but no sooner than the block time after the parent; else at the heartbeat.

use crate::{config::Timing, digest::Digest, ports::Chain};
use commonware_runtime::Clock;
use parking_lot::Mutex;
use std::{collections::VecDeque, time::SystemTime};

/// Blocks whose times are kept. The parent of a proposal is among the latest few.
const KEPT: usize = 32;

/// Remembers when this node first held each recent block (proposed it itself or was asked to verify it). Local time, not the
/// block's, so that another node's clock does not pace this one.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<VecDeque<(Digest, SystemTime)>>);

impl Pace {
    /// Notes that a block was met just now; again for a re-proposal.
    pub(crate) fn met(&self, block: Digest, now: SystemTime) {
        let mut times = self.0.lock();
        times.retain(|(digest, _)| *digest != block);
        if times.len() == KEPT {
            times.pop_front();
        }
        times.push_back((block, now));
    }

    fn of(&self, block: &Digest) -> Option<SystemTime> {
        self.0.lock().iter().find(|(digest, _)| digest == block).map(|(_, time)| *time)
    }

    /// Waits until the block time has passed since the parent was met. At most one block time, whatever the clock did.
    pub(crate) async fn block_time<E: Clock>(&self, clock: &E, timing: &Timing, parent: Digest) {
        if let Some(met) = self.of(&parent) {
            let now = clock.current();
            clock.sleep_until((met + timing.block).min(now + timing.block)).await;
        }
    }

    /// Waits for work on top of the parent, at most until the heartbeat.
    pub(crate) async fn work<E: Clock, C: Chain>(&self, clock: &E, timing: &Timing, chain: &C, parent: Digest) {
        let now = clock.current();
        let met = self.of(&parent).unwrap_or(now);
        let heartbeat = (met + timing.idle).min(now + timing.idle);
        tokio::select! {
            biased;
            () = chain.work_available(parent.into()) => {}
            () = clock.sleep_until(heartbeat) => {}
        }
    }
}
