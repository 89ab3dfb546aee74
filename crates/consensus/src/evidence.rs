//! Contradicting votes, ready for the `Slasher`: what was signed, and both signatures.

use crate::types::Activity;
use alloy::primitives::B256;
use baton_primitives::{Epoch, IdentityKey, View};
use commonware_codec::{Buf, Encode, Error, ReadExt, varint::UInt};
use commonware_consensus::{Epochable, Viewable};

/// Which two votes contradict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvidenceKind {
    /// Two notarize votes of one view with different proposals.
    Notarize,
    /// Two finalize votes of one view with different proposals.
    Finalize,
    /// A nullify and a finalize vote of the same view, in this order.
    NullifyFinalize,
}

/// One vote of a contradiction.
///
/// The signed message is `vi(len(NS ‖ S)) ‖ NS ‖ S ‖ vi(epoch) ‖ vi(view) [‖ vi(parent view) ‖ block]`, with the engine's namespace
/// NS and the suffix S of the vote's kind; a nullify proposes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedVote {
    /// View of the proposal's parent; 0 in a nullify.
    pub parent_view: View,
    /// Hash of the proposed block; zero in a nullify.
    pub block: B256,
    /// Compressed G1 point.
    pub signature: [u8; 48],
}

/// Proof that one key signed a contradiction. Verified: both signatures are the signer's.
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
    /// The votes.
    pub votes: [SignedVote; 2],
}

/// The evidence in an activity that has been verified; `None` if it is none.
pub(crate) fn of(activity: &Activity, identity: impl FnOnce(usize) -> Option<IdentityKey>) -> Option<Evidence> {
    use commonware_consensus::simplex::types::{Activity as A, Attributable as _};
    let (kind, signer, pair) = match activity {
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
    let mut bytes = pair;
    let first = vote(&mut bytes, kind != EvidenceKind::NullifyFinalize).ok()?;
    let second = vote(&mut bytes, true).ok()?;
    Some(Evidence {
        epoch: Epoch::new(activity.epoch().get()),
        view: View::new(activity.view().get()),
        kind,
        signer,
        identity: identity(signer)?,
        votes: [first, second],
    })
}

/// The engine's encoding of a vote: `vi(epoch) ‖ vi(view) [‖ vi(parent view) ‖ hash32] ‖ vi(signer) ‖ signature48`.
fn vote(bytes: &mut impl Buf, proposes: bool) -> Result<SignedVote, Error> {
    let (_epoch, _view) = (UInt::<u64>::read(bytes)?, UInt::<u64>::read(bytes)?);
    let (parent_view, block) =
        if proposes { (UInt::<u64>::read(bytes)?.into(), <[u8; 32]>::read(bytes)?) } else { (0, [0; 32]) };
    let _signer = UInt::<u32>::read(bytes)?;
    let signature = <[u8; 48]>::read(bytes)?;
    Ok(SignedVote { parent_view: View::new(parent_view), block: block.into(), signature })
}
