//! What each member signed of the newest batches, and who signed two cores of one. No I/O, no clock.
//!
//! ```text
//! requests (who asks has signed), answers, statements told by others -> Witness -> Report (two cores: Slasher.slashBatches)
//!                                                                               -> Statement to tell the others
//! ```
//!
//! Signatures on this node's own core are known to who collects them; those on another core to whom its signer asks. So that
//! the two meet, a node tells the members of each signature on another core that it is the first to hear of.

use crate::{
    Kind, Offence, Report,
    builder::Built,
    message::{Attestation, Statement},
};
use alloy::{
    primitives::{Address, B256},
    sol_types::SolCall,
};
use baton_bindings::contracts::{
    ISlasher,
    slasher::{IBatchInbox, Slasher::slashBatchesCall},
};
use baton_primitives::{BatchIndex, Core, IdentityKey, Member, batch_message};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Batches at and below the anchor of which statements are remembered.
const REMEMBERED: u64 = 64;

/// Whose signatures these are, and for whom the bounty is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) l1_chain_id: u64,
    pub(crate) inbox: Address,
    pub(crate) receiver: Address,
}

/// What members signed.
#[derive(Debug)]
pub(crate) struct Witness {
    place: Place,
    batches: BTreeMap<BatchIndex, Seen>,
    /// Offences reported, by the batch that proves them.
    reported: BTreeSet<(BatchIndex, Offence)>,
    /// Who told what is not true: not listened to until the anchor moves, since each signature costs a millisecond to verify.
    liars: BTreeSet<IdentityKey>,
}

/// One batch: this node's own core, and at most one statement of each member on it and one on another core of its epoch.
#[derive(Debug)]
struct Seen {
    own: Arc<Built>,
    agreeing: BTreeMap<IdentityKey, Attestation>,
    foreign: BTreeMap<IdentityKey, Attestation>,
}

/// What follows from a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// For the Slasher.
    pub(crate) report: Option<Report>,
    /// For the other members.
    pub(crate) tell: Option<Statement>,
}

impl Witness {
    pub(crate) const fn new(place: Place) -> Self {
        Self { place, batches: BTreeMap::new(), reported: BTreeSet::new(), liars: BTreeSet::new() }
    }

    /// Takes in a batch as this node built it.
    pub(crate) fn know(&mut self, own: &Arc<Built>) {
        let seen = self.batches.get(&own.core.index);
        // Another one after a reorganization of L1 or a recovery: what is known is of no account any more.
        if seen.is_none_or(|seen| seen.own.core_hash != own.core_hash) {
            let seen = Seen { own: Arc::clone(own), agreeing: BTreeMap::new(), foreign: BTreeMap::new() };
            self.batches.insert(own.core.index, seen);
        }
    }

    /// A batch taken in before.
    pub(crate) fn own(&self, index: BatchIndex) -> Option<&Arc<Built>> {
        self.batches.get(&index).map(|seen| &seen.own)
    }

    /// Whether this member is known to have signed this node's own core of a batch.
    pub(crate) fn agrees(&self, index: BatchIndex, signer: &IdentityKey) -> bool {
        self.batches.get(&index).is_some_and(|seen| seen.agreeing.contains_key(signer))
    }

    /// The anchor moved: forgets batches far below it, and who did not tell the truth.
    pub(crate) fn forget(&mut self, anchor: BatchIndex) {
        self.liars.clear();
        let oldest = BatchIndex::new(anchor.get().saturating_sub(REMEMBERED));
        self.batches = self.batches.split_off(&oldest);
        self.reported.retain(|(index, _)| *index >= oldest);
    }

    /// The core of which `signer` is known to have signed an encoding, by its hash.
    pub(crate) fn core(&self, index: BatchIndex, core_hash: B256) -> Option<&Core> {
        let seen = self.batches.get(&index)?;
        let foreign = || seen.foreign.values().map(|a| &a.core).find(|core| core.hash() == core_hash);
        if seen.own.core_hash == core_hash { Some(&seen.own.core) } else { foreign() }
    }

    /// Takes a statement of `signer`'s that `from` tells. It is the signer's if it was `verified`, or if its signature is. Of others,
    /// of unknown batches and of other epochs nothing follows.
    pub(crate) fn take(
        &mut self,
        from: &IdentityKey,
        signer: &IdentityKey,
        statement: Attestation,
        verified: bool,
    ) -> Findings {
        if self.liars.contains(from) {
            return Findings::default();
        }
        let Some(seen) = self.batches.get_mut(&statement.core.index) else { return Findings::default() };
        let Some(position) = seen.own.snapshot.position(signer) else { return Findings::default() };
        let own = &seen.own.core;
        let core = &statement.core;
        // Only such statements contradict each other.
        if (core.generation, core.epoch) != (own.generation, own.epoch) {
            return Findings::default();
        }
        let core_hash = core.hash();
        let agrees = core_hash == seen.own.core_hash;
        let known = if agrees { seen.agreeing.get(signer) } else { seen.foreign.get(signer) };
        // A second one of a kind proves something only if both are of foreign cores that differ.
        if known.is_some_and(|known| agrees || known.core.hash() == core_hash) {
            return Findings::default();
        }
        let member = &seen.own.snapshot.members[position];
        let message = batch_message(self.place.l1_chain_id, self.place.inbox, core_hash, statement.data_hash);
        if !verified && member.vote_key.verify(&message, &statement.signature).is_err() {
            metrics::counter!("baton_poster_invalid_signatures_total").increment(1);
            tracing::warn!(%from, %signer, index = %core.index, "what a member says was signed of a batch does not verify");
            self.liars.insert(*from);
            return Findings::default();
        }
        let other = known.or_else(|| if agrees { seen.foreign.get(signer) } else { seen.agreeing.get(signer) });
        let report = other.map(|other| self.place.accuse(member, other, &statement));
        let report = report.filter(|report| self.reported.insert((statement.core.index, report.offence)));
        let tell = (!agrees && known.is_none() && from == signer)
            .then(|| Statement { attestation: statement.clone(), signer: *signer });
        let kept = if agrees { &mut seen.agreeing } else { &mut seen.foreign };
        kept.entry(*signer).or_insert(statement);
        Findings { report, tell }
    }
}

impl Place {
    fn accuse(&self, member: &Member, first: &Attestation, second: &Attestation) -> Report {
        accuse_batches(member, first, second, self.receiver)
    }
}

/// The call that proves that a member signed two cores of one batch, with the bounty for `receiver`.
pub fn accuse_batches(member: &Member, first: &Attestation, second: &Attestation, receiver: Address) -> Report {
    let words = |statement: &Attestation| ISlasher::Attestation {
        core: IBatchInbox::Core::from(&statement.core),
        dataHash: statement.data_hash,
        signature: statement.signature.to_eip2537().into(),
    };
    let key = member.vote_key.to_eip2537().into();
    let call = slashBatchesCall { key, first: words(first), second: words(second), receiver };
    let offence = Offence { sequencer: member.id, epoch: first.core.epoch, kind: Kind::Batches };
    Report { offence, call: call.abi_encode().into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{core, key, snapshot};
    use baton_primitives::{Epoch, Generation, SequencerId};

    const PLACE: Place = Place { l1_chain_id: 1, inbox: Address::repeat_byte(1), receiver: Address::repeat_byte(2) };

    fn witness(index: u64) -> Witness {
        let core = core(index, 0);
        let built = Built { core_hash: core.hash(), core, performance: None, snapshot: Arc::new(snapshot(4)) };
        let mut witness = Witness::new(PLACE);
        witness.know(&Arc::new(built));
        witness
    }

    fn signer(member: u8) -> IdentityKey {
        snapshot(4).members[usize::from(member)].identity
    }

    /// `member`'s signature on a core, which differs for other `fees`, and on an encoding of it.
    fn signed(member: u8, core: Core, data: u8) -> Attestation {
        let data_hash = B256::repeat_byte(data);
        let signature = key(member).sign(&batch_message(1, PLACE.inbox, core.hash(), data_hash));
        Attestation { core, data_hash, signature }
    }

    fn take(witness: &mut Witness, member: u8, statement: Attestation) -> Findings {
        witness.take(&signer(member), &signer(member), statement, false)
    }

    #[test]
    fn two_cores_of_one_batch_are_reported_once_whichever_comes_first() {
        for swap in [false, true] {
            let mut witness = witness(5);
            let mut both = [signed(2, core(5, 0), 1), signed(2, core(5, 9), 1)];
            if swap {
                both.reverse();
            }
            let [first, second] = both.clone();
            assert_eq!(take(&mut witness, 2, first).report, None);
            let report = take(&mut witness, 2, second).report.unwrap();
            let offence = Offence { sequencer: SequencerId::new(3), epoch: Epoch::ZERO, kind: Kind::Batches };
            assert_eq!(report.offence, offence);
            let call = slashBatchesCall::abi_decode_validate(&report.call).unwrap();
            let cores = [&call.first, &call.second].map(|a| (Core::from(&a.core).hash(), a.dataHash));
            assert_eq!(cores, both.each_ref().map(|a| (a.core.hash(), a.data_hash)));
            assert_eq!(call.receiver, PLACE.receiver);
            assert_eq!(call.key[..], key(2).public().to_eip2537());
            for again in both.into_iter().chain([signed(2, core(5, 8), 1)]) {
                assert_eq!(take(&mut witness, 2, again).report, None, "once");
            }
        }
    }

    #[test]
    fn two_foreign_cores_contradict_each_other_too() {
        let mut witness = witness(5);
        assert_eq!(take(&mut witness, 1, signed(1, core(5, 8), 1)).report, None);
        assert!(take(&mut witness, 1, signed(1, core(5, 9), 1)).report.is_some());
    }

    #[test]
    fn encodings_of_one_core_other_members_and_other_batches_contradict_nothing() {
        let mut witness = witness(5);
        let epoch = Core { epoch: Epoch::new(1), ..core(5, 9) };
        let generation = Core { generation: Generation::new(1), ..core(5, 9) };
        let (own, two) = (core(5, 0), core(5, 9));
        for (member, statement) in [
            (0, signed(0, own.clone(), 1)),
            (0, signed(0, own.clone(), 2)),
            (1, signed(1, two.clone(), 1)),
            (1, signed(1, two.clone(), 2)),
            (0, signed(0, core(6, 9), 1)),
            (0, signed(0, epoch, 1)),
            (0, signed(0, generation, 1)),
            // Not its signature; and not the signature of these bytes.
            (0, signed(3, two.clone(), 1)),
            (0, Attestation { data_hash: B256::repeat_byte(9), ..signed(0, two.clone(), 1) }),
        ] {
            assert_eq!(take(&mut witness, member, statement).report, None);
        }
        let stranger = baton_primitives::IdentitySecret::from_bytes([77; 32]).public();
        assert_eq!(witness.take(&stranger, &stranger, signed(0, two.clone(), 1), false), Findings::default());
        // What was refused was not kept: the true one is the first that counts.
        witness.forget(BatchIndex::new(5));
        assert!(take(&mut witness, 0, signed(0, two, 1)).report.is_some());
    }

    #[test]
    fn who_tells_what_was_not_signed_is_not_heard_until_the_anchor_moves() {
        let (mut witness, two) = (witness(5), signed(2, core(5, 9), 1));
        let forged = Attestation { signature: key(0).sign(b"forged"), ..two.clone() };
        assert_eq!(witness.take(&signer(0), &signer(2), forged, false), Findings::default());
        assert_eq!(witness.take(&signer(0), &signer(2), two.clone(), false), Findings::default());
        assert_eq!(witness.core(BatchIndex::new(5), two.core.hash()), None);
        // The one who was slandered is heard.
        assert!(take(&mut witness, 2, two).tell.is_some());
        witness.forget(BatchIndex::new(5));
        witness.take(&signer(0), &signer(0), signed(0, core(5, 0), 1), false);
        assert!(witness.agrees(BatchIndex::new(5), &signer(0)));
    }

    #[test]
    fn the_others_hear_of_each_members_first_foreign_core_and_can_use_it() {
        let mut one = witness(5);
        assert_eq!(take(&mut one, 2, signed(2, core(5, 0), 1)).tell, None, "the common core is no news");
        let mut two = witness(5);
        let told = take(&mut two, 2, signed(2, core(5, 9), 1)).tell.unwrap();
        assert_eq!(told.signer, signer(2));
        assert_eq!(take(&mut two, 2, signed(2, core(5, 9), 3)).tell, None);
        assert_eq!(two.core(BatchIndex::new(5), core(5, 9).hash()), Some(&core(5, 9)));
        let findings = one.take(&signer(0), &told.signer, told.attestation, false);
        assert!(findings.report.is_some() && findings.tell.is_none(), "told once");
    }

    #[test]
    fn batches_long_before_the_anchor_are_forgotten() {
        let mut witness = witness(5);
        witness.forget(BatchIndex::new(5 + REMEMBERED));
        assert!(witness.own(BatchIndex::new(5)).is_some());
        witness.forget(BatchIndex::new(6 + REMEMBERED));
        assert!(witness.own(BatchIndex::new(5)).is_none());
        assert_eq!(take(&mut witness, 2, signed(2, core(5, 9), 1)), Findings::default());
    }
}
