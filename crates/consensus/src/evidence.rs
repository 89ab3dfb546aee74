//! Contradicting votes, ready for the `Slasher`: the bytes that were signed and both signatures.

use crate::types::Activity;
use alloy::primitives::Bytes;
use baton_primitives::{Epoch, IdentityKey, View};
use commonware_codec::Encode;
use commonware_consensus::{Epochable, Viewable};

/// Which two votes contradict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvidenceKind {
    /// Two notarize votes of one view with different proposals.
    Notarize,
    /// Two finalize votes of one view with different proposals.
    Finalize,
    /// A nullify and a finalize vote of the same view.
    NullifyFinalize,
}

/// Proof that one key signed a contradiction. Verified: both signatures are the signer's.
///
/// `votes` is the engine's encoding of the pair, each vote being
/// `vi(epoch) ‖ vi(view) [‖ vi(parent view) ‖ hash32] ‖ vi(signer) ‖ signature48` (a nullify has no proposal); the signed
/// message of each is `vi(len(NS ‖ S)) ‖ NS ‖ S ‖` the part before the signer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Epoch of both votes.
    pub epoch: Epoch,
    /// View of both votes.
    pub view: View,
    /// What contradicts.
    pub kind: EvidenceKind,
    /// Position of the signer in the epoch's set.
    pub signer: usize,
    /// Network identity of the signer.
    pub identity: IdentityKey,
    /// The pair of votes.
    pub votes: Bytes,
}

/// The evidence in an activity that has been verified; `None` if it is none.
pub(crate) fn of(activity: &Activity, identity: impl FnOnce(usize) -> Option<IdentityKey>) -> Option<Evidence> {
    use commonware_consensus::simplex::types::{Activity as A, Attributable as _};
    let (kind, signer, votes) = match activity {
        A::ConflictingNotarize(pair) => (EvidenceKind::Notarize, pair.signer(), pair.encode()),
        A::ConflictingFinalize(pair) => (EvidenceKind::Finalize, pair.signer(), pair.encode()),
        A::NullifyFinalize(pair) => (EvidenceKind::NullifyFinalize, pair.signer(), pair.encode()),
        A::Notarize(_)
        | A::Notarization(_)
        | A::Certification(_)
        | A::Nullify(_)
        | A::Nullification(_)
        | A::Finalize(_)
        | A::Finalization(_) => return None,
    };
    let signer = usize::from(signer);
    Some(Evidence {
        epoch: Epoch::new(activity.epoch().get()),
        view: View::new(activity.view().get()),
        kind,
        signer,
        identity: identity(signer)?,
        votes: votes.into(),
    })
}
