//! Which snapshot's set sequences an epoch: final blocks and L1 joined for the rule in `schedule`.

use crate::ledger::Ledger;
use baton_consensus::Sets;
use baton_primitives::{Epoch, Snapshot, SnapshotId};
use baton_schedule::snapshot_for;
use std::sync::Arc;

/// The sets of the chain in `ledger`.
#[derive(Clone, Debug)]
pub(crate) struct LedgerSets(pub(crate) Arc<Ledger>);

impl LedgerSets {
    /// The snapshot of an epoch, if it is known yet.
    pub(crate) fn known(&self, epoch: Epoch) -> Option<Arc<Snapshot>> {
        let ledger = &self.0;
        let id = match epoch.previous().and_then(Epoch::previous) {
            None => SnapshotId::ZERO,
            Some(decisive) => {
                let last = decisive.last_height(ledger.parameters.epoch_blocks);
                let outcome = ledger.engine.outcome(last.get()).ok().flatten()?;
                // Every seal up to that origin must have been seen, on the same L1 chain.
                let origin = outcome.origin.number;
                let seen = ledger.l1.heads().head.number;
                if seen < origin || ledger.l1.origin(origin).is_some_and(|o| o.hash != outcome.origin.hash) {
                    return None;
                }
                snapshot_for(epoch, origin, &ledger.l1.sealed())
            }
        };
        ledger.l1.snapshot(id)
    }
}

impl Sets for LedgerSets {
    async fn set_of(&self, epoch: Epoch) -> Arc<Snapshot> {
        let mut head = self.0.head();
        let mut l1 = self.0.l1.subscribe();
        loop {
            head.mark_unchanged();
            l1.mark_unchanged();
            if let Some(snapshot) = self.known(epoch) {
                return snapshot;
            }
            tokio::select! {
                _ = head.changed() => {}
                _ = l1.changed() => {}
            }
        }
    }
}
