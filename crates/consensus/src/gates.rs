//! What an epoch's automaton remembers per view: own blocks not yet sent, and verdicts not yet asked for.

use crate::{block::Block, digest::Digest};
use baton_primitives::View;
use commonware_cryptography::{Digested, Digestible as _};
use commonware_runtime::Handle;
use commonware_utils::channel::oneshot;
use std::collections::BTreeMap;

/// What certification of a block waits for. A dropped sender means: look again.
pub(crate) enum Verdict {
    /// The write of this node's own block.
    Own(oneshot::Receiver<Handle<()>>),
    /// This node's verification and the write behind it.
    Checked(oneshot::Receiver<bool>),
}

struct Staged {
    block: Digested<Block>,
    sent: bool,
}

/// Bounded by the engine: a handful of undecided views, few blocks in each.
#[derive(Default)]
pub(crate) struct Gates {
    staged: BTreeMap<(View, Digest), Staged>,
    verdicts: BTreeMap<(View, Digest), Verdict>,
    decided: View,
}

impl Gates {
    /// Keeps an own block until the engine wants it sent.
    pub(crate) fn stage(&mut self, view: View, block: Digested<Block>) {
        if view > self.decided {
            self.staged.insert((view, block.digest()), Staged { block, sent: false });
        }
    }

    /// The block to send ahead of its vote, once.
    pub(crate) fn relay_early(&mut self, view: View, digest: Digest) -> Option<Digested<Block>> {
        let staged = self.staged.get_mut(&(view, digest)).filter(|s| !s.sent)?;
        staged.sent = true;
        Some(staged.block.clone())
    }

    /// The block to send now, and whether it was sent already.
    pub(crate) fn take_staged(&mut self, view: View, digest: Digest) -> Option<(Digested<Block>, bool)> {
        self.staged.remove(&(view, digest)).map(|s| (s.block, s.sent))
    }

    /// Notes where the verdict on a block will come from.
    pub(crate) fn expect(&mut self, view: View, digest: Digest, verdict: Verdict) {
        if view > self.decided {
            self.verdicts.insert((view, digest), verdict);
        }
    }

    /// Hands over the verdict on a block.
    pub(crate) fn claim(&mut self, view: View, digest: Digest) -> Option<Verdict> {
        self.verdicts.remove(&(view, digest))
    }

    /// Forgets a final view and all before it.
    pub(crate) fn prune(&mut self, view: View) {
        self.decided = self.decided.max(view);
        let decided = self.decided;
        self.staged.retain(|(v, _), _| *v > decided);
        self.verdicts.retain(|(v, _), _| *v > decided);
    }
}
