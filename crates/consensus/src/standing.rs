//! May this key sign? A key that signs twice in one view is slashed, so a restarted node must know what it signed before.
//!
//! ```text
//! restart -> ask every peer -> each answers: its epoch, whether it saw that epoch begin, the newest vote of mine it holds
//!         -> a quorum of answers (this node counted in) -> clearance
//! ```
//!
//! A key whose journal is at least as new as any vote that a peer shows signs at once. Without a journal (a first start, or a
//! lost disk) it does so only if the peers that answer saw the running epoch begin and hold no vote of it, or have no history
//! themselves. Any other key signs first in an epoch that begins after the restart. A vote that a peer shows is checked to be
//! this key's.

use crate::{
    digest::Digest,
    set::Members,
    types::{PublicKey, Scheme},
};
use baton_primitives::{Epoch, View};
use bytes::BufMut;
use commonware_codec::{Buf, Decode, Encode, EncodeSize, Error, MaxEncodeSize, Read, ReadExt, Write};
use commonware_consensus::{
    Epochable as _, Viewable as _,
    simplex::types::{Attributable as _, Vote},
};
use commonware_p2p::{Receiver, Recipients, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::{Clock, Spawner};
use parking_lot::Mutex;
use rand_core::CryptoRng;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc;
use tracing::{debug, info};

type SignedVote = Vote<Scheme, Digest>;
/// Who answered what.
pub(crate) type Answered = (PublicKey, Answer);

/// How often the question is repeated until enough peers have answered.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// Answers held between two readings. Overflow: the answer is dropped, the question is asked again.
const ANSWERS: usize = 256;

/// What is said on the standing channel.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    Ask,
    Answer(Box<Answer>),
}

/// What a peer knows.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    epoch: Epoch,
    witnessed: bool,
    blank: bool,
    vote: Option<SignedVote>,
}

impl Message {
    /// The greatest encoded size.
    pub(crate) const SIZE: usize = 1 + 8 + 1 + 1 + 1 + SignedVote::MAX_ENCODE_SIZE;
}

impl Write for Message {
    fn write(&self, buf: &mut impl BufMut) {
        match self {
            Self::Ask => 0u8.write(buf),
            Self::Answer(answer) => {
                1u8.write(buf);
                answer.epoch.get().write(buf);
                answer.witnessed.write(buf);
                answer.blank.write(buf);
                answer.vote.write(buf);
            }
        }
    }
}

impl EncodeSize for Message {
    fn encode_size(&self) -> usize {
        match self {
            Self::Ask => 1,
            Self::Answer(answer) => 1 + 8 + 1 + 1 + answer.vote.encode_size(),
        }
    }
}

impl Read for Message {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
        match u8::read(buf)? {
            0 => Ok(Self::Ask),
            1 => Ok(Self::Answer(Box::new(Answer {
                epoch: Epoch::new(u64::read(buf)?),
                witnessed: bool::read(buf)?,
                blank: bool::read(buf)?,
                vote: Option::<SignedVote>::read_cfg(buf, &())?,
            }))),
            other => Err(Error::InvalidEnum(other)),
        }
    }
}

/// What this node knows of others' votes, and of its own standing.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// The newest vote of each signer. Bounded by the members of the epochs run.
    votes: Mutex<BTreeMap<PublicKey, SignedVote>>,
    epoch: AtomicU64,
    witnessed: AtomicBool,
    blank: AtomicBool,
}

impl Standing {
    /// Notes a vote. Its sender is its signer (the engine blocks anyone else), so a false one harms only its own key.
    pub(crate) fn record(&self, signer: &PublicKey, vote: SignedVote) {
        let mut votes = self.votes.lock();
        let newer = |old: &SignedVote| (vote.epoch(), vote.view()) >= (old.epoch(), old.view());
        if votes.get(signer).is_none_or(newer) {
            votes.insert(signer.clone(), vote);
        }
    }

    /// Notes that an epoch runs here, and whether this node saw it begin.
    pub(crate) fn enter(&self, epoch: Epoch, witnessed: bool) {
        self.epoch.store(epoch.get(), Ordering::Release);
        self.witnessed.store(witnessed, Ordering::Release);
        self.blank.store(false, Ordering::Release);
    }

    /// Notes that this node has no history at all: no journal, no block above the genesis.
    pub(crate) fn begin_blank(&self) {
        self.blank.store(true, Ordering::Release);
    }

    fn answer(&self, asker: &PublicKey) -> Answer {
        Answer {
            epoch: Epoch::new(self.epoch.load(Ordering::Acquire)),
            witnessed: self.witnessed.load(Ordering::Acquire),
            blank: self.blank.load(Ordering::Acquire),
            vote: self.votes.lock().get(asker).cloned(),
        }
    }
}

/// What a restarted key may do. Decided once, when enough peers have answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clearance {
    /// The first epoch in which the key signs.
    signs_from: Epoch,
    /// The first epoch that this node sees from its beginning.
    sees_from: Epoch,
}

impl Clearance {
    /// For a restart of the whole set with intact journals.
    pub(crate) const TRUSTED: Self = Self { signs_from: Epoch::ZERO, sees_from: Epoch::ZERO };

    /// Whether the key may sign in an epoch.
    pub(crate) fn admits(&self, epoch: Epoch) -> bool {
        epoch >= self.signs_from
    }

    /// Whether this node sees an epoch from its beginning.
    pub(crate) fn witnesses(&self, epoch: Epoch) -> bool {
        epoch >= self.sees_from
    }
}

/// Judges a quorum of answers, beside the newest vote in the journals of the running epoch and the one before it. `faulty`
/// answers may lie about the epoch: one honest answer bounds what is believed.
fn judge(
    answers: &BTreeMap<PublicKey, Answer>,
    here: Epoch,
    faulty: usize,
    journal: Option<(Epoch, View)>,
) -> Clearance {
    let mut epochs: Vec<_> = answers.values().map(|a| a.epoch).collect();
    epochs.sort_unstable();
    epochs.reverse();
    // At least one honest peer is that far; another may be one epoch ahead at a boundary.
    let credible = epochs.get(faulty).copied().unwrap_or(here);
    let network = epochs.first().copied().unwrap_or(here).min(credible.next()).max(here);
    let shown = answers
        .values()
        .filter_map(|a| a.vote.as_ref())
        .map(|v| (Epoch::new(v.epoch().get()), View::new(v.view().get())))
        .max();
    let unseen = answers.values().all(|a| a.blank || (a.witnessed && a.epoch == network));
    let signs_from = match (journal, shown) {
        // The disk holds all that any peer has seen: what it does not hold has not been signed.
        (Some(own), shown) if shown.is_none_or(|shown| own >= shown) => here,
        // A first start, or a lost disk of which nobody has seen a vote.
        (None, None) if unseen => network,
        (Some(_) | None, _) => network.next(),
    };
    // Whoever starts without history among such peers counts as one who saw the epoch begin: a block needs a quorum of nodes
    // that did, so that of any quorum of answers one is theirs.
    let sees_from = if journal.is_none() { signs_from } else { network.next() };
    Clearance { signs_from, sees_from }
}

/// Answers peers, and collects their answers.
pub(crate) async fn serve<S, R>(
    standing: Arc<Standing>,
    mut sender: S,
    mut receiver: R,
    answers: mpsc::Sender<Answered>,
) where
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    while let Ok((peer, bytes)) = receiver.recv().await {
        match Message::decode_cfg(bytes, &()) {
            Ok(Message::Ask) => {
                let answer = Message::Answer(Box::new(standing.answer(&peer)));
                sender.send(Recipients::One(peer), answer.encode(), true);
            }
            Ok(Message::Answer(answer)) => {
                let _ = answers.try_send((peer, *answer));
            }
            Err(fault) => debug!(%peer, %fault, "undecodable standing message"),
        }
    }
}

/// The channel between [`serve`] and [`clear`].
pub(crate) fn answers() -> (mpsc::Sender<Answered>, mpsc::Receiver<Answered>) {
    mpsc::channel(ANSWERS)
}

/// What is asked, by whom, of whom.
pub(crate) struct Question {
    /// The set of the epoch that this node is in.
    pub(crate) members: Members,
    pub(crate) me: PublicKey,
    pub(crate) here: Epoch,
    /// The newest vote in the journals of that epoch and the one before it.
    pub(crate) journal: Option<(Epoch, View)>,
    /// Verifies votes of the set.
    pub(crate) scheme: Scheme,
}

/// Asks until a quorum of the set, this node counted in, has answered.
pub(crate) async fn clear<E, S>(
    mut context: E,
    question: Question,
    mut sender: S,
    answers: &mut mpsc::Receiver<Answered>,
) -> Clearance
where
    E: Spawner + Clock + CryptoRng,
    S: Sender<PublicKey = PublicKey>,
{
    let members = &question.members;
    let needed = members.quorum().saturating_sub(usize::from(members.position(&question.me).is_some()));
    let mut heard = BTreeMap::new();
    while heard.len() < needed {
        sender.send(Recipients::All, Message::Ask.encode(), true);
        let pause = context.sleep(ASK_AGAIN);
        futures::pin_mut!(pause);
        while heard.len() < needed {
            let (peer, mut answer) = tokio::select! {
                biased;
                answer = answers.recv() => match answer {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                },
                () = &mut pause => break,
            };
            if members.position(&peer).is_some() {
                answer.vote = answer.vote.filter(|vote| question.is_mine(vote, &mut context));
                heard.insert(peer, answer);
            }
        }
    }
    let faulty = (members.keys().len() - 1) / 3;
    let clearance = judge(&heard, question.here, faulty, question.journal);
    info!(?clearance, answers = heard.len(), "standing of this key is known");
    clearance
}

impl Question {
    /// Whether a vote that a peer shows was signed by this node's key. Votes of other sets than the present one prove nothing
    /// here: their epochs are over.
    fn is_mine<E: CryptoRng>(&self, vote: &SignedVote, rng: &mut E) -> bool {
        let signer = match vote {
            Vote::Notarize(v) => v.signer(),
            Vote::Nullify(v) => v.signer(),
            Vote::Finalize(v) => v.signer(),
        };
        if self.members.position(&self.me) != Some(usize::from(signer)) {
            return false;
        }
        match vote {
            Vote::Notarize(v) => v.verify(rng, &self.scheme, &Sequential),
            Vote::Nullify(v) => v.verify::<_, Digest>(rng, &self.scheme, &Sequential),
            Vote::Finalize(v) => v.verify(rng, &self.scheme, &Sequential),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use commonware_consensus::{simplex::types::Nullify, types};

    fn answer(epoch: u64, witnessed: bool, blank: bool) -> Answer {
        Answer { epoch: Epoch::new(epoch), witnessed, blank, vote: None }
    }

    fn heard(answers: impl IntoIterator<Item = Answer>) -> BTreeMap<PublicKey, Answer> {
        testing::members(4).keys().iter().cloned().zip(answers).collect()
    }

    const NO_JOURNAL: Option<(Epoch, View)> = None;

    #[test]
    fn a_first_start_beside_blank_peers_may_sign_at_once() {
        let clearance = judge(&heard([answer(0, false, true), answer(0, false, true)]), Epoch::ZERO, 1, NO_JOURNAL);
        assert!(clearance.admits(Epoch::ZERO) && clearance.witnesses(Epoch::ZERO));
    }

    #[test]
    fn a_late_first_start_may_sign_if_the_others_saw_the_epoch_begin_and_no_vote() {
        let clearance = judge(&heard([answer(0, true, false), answer(0, true, false)]), Epoch::ZERO, 1, NO_JOURNAL);
        assert!(clearance.admits(Epoch::ZERO));
    }

    #[test]
    fn without_a_journal_and_beside_restarted_peers_the_next_epoch_is_the_first() {
        let three = Epoch::new(3);
        let restarted = heard([answer(3, false, false), answer(3, true, false)]);
        let clearance = judge(&restarted, three, 1, NO_JOURNAL);
        assert!(!clearance.admits(three) && clearance.admits(three.next()));
        let clearance = judge(&restarted, three, 1, Some((three, View::new(9))));
        assert!(clearance.admits(three), "an intact journal is enough");
        let clearance = judge(&restarted, three, 1, Some((Epoch::new(2), View::new(70))));
        assert!(clearance.admits(three), "an intact journal of the epoch before is enough: nothing was signed since");
    }

    #[test]
    fn a_vote_above_the_journal_forbids_the_epoch() {
        let scheme = testing::signer(4, 2);
        let round = types::Round::new(types::Epoch::new(3), types::View::new(20));
        let vote = Vote::Nullify(Nullify::sign::<Digest>(&scheme, round).unwrap());
        let answers = heard([Answer { vote: Some(vote), ..answer(3, true, false) }, answer(3, true, false)]);
        let three = Epoch::new(3);
        for (journal, admitted) in [
            (Some((three, View::new(19))), false),
            (Some((three, View::new(20))), true),
            (Some((Epoch::new(2), View::new(90))), false),
            (None, false),
        ] {
            let clearance = judge(&answers, three, 1, journal);
            assert_eq!(clearance.admits(three), admitted, "{journal:?}");
            assert!(clearance.admits(three.next()));
        }
    }

    #[test]
    fn one_lying_peer_cannot_silence_a_key_for_longer_than_an_epoch() {
        let lie = heard([answer(u64::MAX, true, false), answer(3, true, false), answer(3, true, false)]);
        assert!(judge(&lie, Epoch::new(3), 1, NO_JOURNAL).admits(Epoch::new(5)));
    }

    #[test]
    fn messages_survive_the_wire_within_their_limit() {
        let scheme = testing::signer(4, 2);
        let round = types::Round::new(types::Epoch::new(u64::MAX), types::View::new(u64::MAX));
        let vote = Vote::Nullify(Nullify::sign::<Digest>(&scheme, round).unwrap());
        let message = Message::Answer(Box::new(Answer { vote: Some(vote), ..answer(u64::MAX, true, true) }));
        let bytes = message.encode();
        assert!(bytes.len() <= Message::SIZE);
        let Ok(Message::Answer(read)) = Message::decode_cfg(bytes, &()) else { panic!("an answer") };
        assert_eq!((read.epoch.get(), read.witnessed, read.blank), (u64::MAX, true, true));
        assert!(Message::decode_cfg(vec![9], &()).is_err());
    }
}
