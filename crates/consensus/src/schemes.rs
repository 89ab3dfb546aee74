//! The schemes by which the marshal verifies certificates, per epoch.

use crate::types::Scheme;
use baton_primitives::Epoch;
use commonware_consensus::types;
use commonware_cryptography::certificate::{Provider, Scoped};
use parking_lot::RwLock;
use std::{collections::BTreeMap, sync::Arc};

/// Epochs behind the running one whose certificates are still verified: stragglers send them.
const BEHIND: u64 = 3;

/// Verifying schemes by epoch. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schemes(Arc<RwLock<BTreeMap<u64, Arc<Scheme>>>>);

impl Schemes {
    pub(crate) fn register(&self, epoch: Epoch, scheme: Scheme) {
        self.0.write().insert(epoch.get(), Arc::new(scheme));
    }

    /// Forgets epochs that no block still to be delivered belongs to.
    pub(crate) fn retire(&self, running: Epoch) {
        let least = running.get().saturating_sub(BEHIND);
        self.0.write().retain(|epoch, _| *epoch >= least);
    }
}

impl Provider for Schemes {
    type Scope = types::Epoch;
    type Scheme = Scheme;

    /// The whole scheme, not a verify-only one: the marshal throws away a notarized block that it fetched where it has only that.
    fn scoped(&self, epoch: types::Epoch) -> Option<Scoped<Scheme>> {
        self.0.read().get(&epoch.get()).cloned().map(Scoped::scheme)
    }
}
