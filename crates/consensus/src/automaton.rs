//! The engine's application: proposes, verifies and certifies blocks of one epoch over the marshal.
//!
//! ```text
//! propose  -> parent (fetched, executed) -> pace -> Chain::propose -> staged -> relayed when the engine says so
//! verify   -> block, parent -> structure -> ancestors executed -> time reached -> Chain::verify -> vote
//!                                                                    beside it: stored durably -> gate
//! certify  -> gate of this node's own verification or proposal, else fetch, verify and store: never blind
//! ```
//!
//! The stock adapters of the engine's library vote before they verify, or certify without having executed; this one does
//! neither. What may still become valid stays pending; the engine's timers end the view.

use crate::{
    block::Block,
    config::Timing,
    digest::Digest,
    gates::{Gates, Verdict},
    pace::Pace,
    ports::{Chain, Position, ProposeContext, VerifyContext},
    types::{Context, Marshal, Plan, PublicKey},
};
use alloy::primitives::B256;
use baton_primitives::{Epoch, Height, View};
use commonware_actor::Feedback;
use commonware_consensus::{
    self as engine, CertifiableAutomaton, Handoff, Relay, Viewable,
    marshal::core::{CommitmentFallback, DigestFallback},
    types::Round,
};
use commonware_p2p::Recipients;
use commonware_runtime::{Clock, Error as RuntimeError, Handle, Spawner};
use commonware_utils::channel::oneshot;
use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use tokio::sync::watch;
use tracing::{debug, error, warn};

/// Unfinalized ancestors that are fetched and verified on behalf of a block. Deeper gaps close by finalization.
const WALK: usize = 32;

/// What an automaton needs.
pub(crate) struct Parts<E, C> {
    pub(crate) context: E,
    pub(crate) chain: Arc<C>,
    pub(crate) marshal: Marshal,
    pub(crate) epoch: Epoch,
    pub(crate) epoch_blocks: u64,
    pub(crate) timing: Timing,
    pub(crate) block_limit: usize,
    pub(crate) pace: Arc<Pace>,
    pub(crate) draining: watch::Receiver<bool>,
}

/// The application of one epoch. Clones share their state.
pub(crate) struct Automaton<E, C>(Arc<Inner<E, C>>);

struct Inner<E, C> {
    parts: Parts<E, C>,
    last: Height,
    gates: Mutex<Gates>,
}

impl<E, C> Clone for Automaton<E, C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: Spawner + Clock, C: Chain> Automaton<E, C> {
    pub(crate) fn new(parts: Parts<E, C>) -> Self {
        let last = parts.epoch.last_height(parts.epoch_blocks);
        Self(Arc::new(Inner { parts, last, gates: Mutex::new(Gates::default()) }))
    }

    /// Forgets everything at or below a final view.
    pub(crate) fn decided(&self, view: View) {
        self.0.gates.lock().prune(view);
    }

    /// Builds and stages a block for a view, unless the engine gives it up meanwhile. Without a block the answer is dropped.
    fn offer<T: Send + 'static>(
        &self,
        name: &'static str,
        context: Context,
        answer_with: fn(Digest) -> T,
    ) -> oneshot::Receiver<T> {
        let (mut answer, receiver) = oneshot::channel();
        self.spawn(name, |inner| async move {
            let view = View::new(context.view().get());
            let (parent_view, parent) = (View::new(context.parent.0.get()), context.parent.1.into());
            tokio::select! {
                biased;
                () = answer.closed() => {}
                built = inner.build(view, parent_view, parent) => if let Some(block) = built {
                    let digest = inner.stage(view, block);
                    let _ = answer.send(answer_with(digest));
                }
            }
        });
        receiver
    }

    fn spawn<F>(&self, name: &'static str, task: impl FnOnce(Arc<Inner<E, C>>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let work = task(self.0.clone());
        self.0.parts.context.child(name).spawn(move |_| work);
    }
}

impl<E: Spawner + Clock, C: Chain> Inner<E, C> {
    fn round(&self, view: View) -> Round {
        Round::new(engine::types::Epoch::new(self.parts.epoch.get()), engine::types::View::new(view.get()))
    }

    fn now_millis(&self) -> u64 {
        let since = self.parts.context.current().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn is_draining(&self) -> bool {
        *self.parts.draining.borrow()
    }

    async fn drain_begins(&self) {
        let mut draining = self.parts.draining.clone();
        if draining.wait_for(|d| *d).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// A block that is known to be notarized at a view, or the epoch's starting block at view 0.
    async fn fetch(&self, view: View, hash: B256) -> Option<Block> {
        let fallback = match view.get() {
            0 => CommitmentFallback::Wait,
            _ => CommitmentFallback::FetchByRound { round: self.round(view) },
        };
        let block = self.parts.marshal.subscribe_by_commitment(hash.into(), fallback).await.ok()?;
        Some(block.inner().clone())
    }

    /// The block to propose on top of a parent; `None` gives up the term.
    async fn build(&self, view: View, parent_view: View, parent_hash: B256) -> Option<Block> {
        let parts = &self.parts;
        if self.is_draining() {
            return None;
        }
        let parent = self.fetch(parent_view, parent_hash).await?;
        let digest = Digest::from(parent_hash);
        if parent.height() == self.last {
            // The epoch's last block is proposed again until it is final.
            parts.pace.block_time(&parts.context, &parts.timing, digest).await;
            return Some(parent);
        }
        if !self.execute(parent.clone()).await {
            warn!(%view, parent = %parent_hash, "cannot build on an invalid parent");
            return None;
        }
        tokio::select! {
            biased;
            () = self.drain_begins() => return None,
            () = async {
                parts.pace.block_time(&parts.context, &parts.timing, digest).await;
                parts.pace.work(&parts.context, &parts.timing, parts.chain.as_ref(), digest).await;
            } => {}
        }
        let position =
            Position { epoch: parts.epoch, view, parent_view, parent: parent_hash, parent_height: parent.height() };
        let budget = parts.timing.leader / 3;
        let now_millis = self.now_millis();
        let Some(block) = parts.chain.propose(ProposeContext { position, now_millis, budget }).await else {
            debug!(%view, "the chain declined to propose");
            return None;
        };
        let block = Block::new(block);
        if let Some(fault) = self.misplaced(&block, &position) {
            error!(%view, hash = %block.hash(), fault, "own block refused");
            return None;
        }
        Some(block)
    }

    /// Why a block cannot stand at a position. What depends on neither state nor clock is checked here, once.
    fn misplaced(&self, block: &Block, position: &Position) -> Option<&'static str> {
        let Some(extra) = block.extra() else { return Some("malformed extra data") };
        let checks = [
            (block.epoch(self.parts.epoch_blocks) == self.parts.epoch, "height of another epoch"),
            (engine::Block::parent(block) == position.parent.into(), "another parent"),
            (block.height() == position.height(), "height is not the parent's plus one"),
            (extra.view == position.view, "extra data names another view"),
            (extra.parent_view == position.parent_view, "extra data names another parent view"),
            (block.length() <= self.parts.block_limit, "longer than max_block_bytes"),
        ];
        checks.into_iter().find(|(holds, _)| !holds).map(|(_, fault)| fault)
    }

    /// Makes sure that a block has been executed, its unfinalized ancestors before it. `false` if one can never be valid.
    async fn execute(&self, block: Block) -> bool {
        let first = self.parts.epoch.first_height(self.parts.epoch_blocks);
        let mut missing = Vec::new();
        let mut cursor = block;
        while !self.parts.chain.is_executed(cursor.hash()).await {
            let Some(extra) = cursor.extra() else { return false };
            let at_start = cursor.height() <= first || extra.parent_view == View::ZERO;
            let parent = engine::Block::parent(&cursor).into();
            missing.push(cursor);
            if at_start || missing.len() == WALK {
                break;
            }
            let Some(next) = self.fetch(extra.parent_view, parent).await else { break };
            cursor = next;
        }
        while let Some(block) = missing.pop() {
            if !self.judge(&block).await {
                return false;
            }
        }
        true
    }

    /// Verifies a block where it says it stands. Its parent's execution is awaited by the chain.
    async fn judge(&self, block: &Block) -> bool {
        let (Some(extra), Some(parent_height)) = (block.extra(), block.height().previous()) else { return false };
        let parent = engine::Block::parent(block).into();
        let position = Position {
            epoch: self.parts.epoch,
            view: extra.view,
            parent_view: extra.parent_view,
            parent,
            parent_height,
        };
        let recovered = match self.recover(block).await {
            Some(Ok(recovered)) => recovered,
            Some(Err(fault)) => {
                warn!(hash = %block.hash(), %fault, "block with invalid transactions");
                return false;
            }
            None => std::future::pending().await,
        };
        let Some(time) = UNIX_EPOCH.checked_add(Duration::from_millis(block.time_millis())) else { return false };
        self.parts.context.sleep_until(time).await;
        let context = VerifyContext { position, now_millis: self.now_millis() };
        self.parts.chain.verify(context, recovered).await
    }

    /// Recovers the senders off the engine's tasks. `None` if the runtime is going down.
    async fn recover(
        &self,
        block: &Block,
    ) -> Option<Result<Arc<baton_primitives::RecoveredBlock>, baton_primitives::RecoverError>> {
        if block.is_recovered() {
            return Some(block.recovered(self.parts.chain.as_ref()));
        }
        let (block, chain) = (block.clone(), Arc::clone(&self.parts.chain));
        let work = move |_| async move { block.recovered(chain.as_ref()) };
        self.parts.context.child("recover").shared(true).spawn(work).await.ok()
    }

    /// The verdict on a proposal that the engine asks about, and the block. `None` if the marshal is going down.
    async fn check(&self, view: View, parent_view: View, parent_hash: B256, block: &Block) -> Option<bool> {
        if block.hash() == parent_hash {
            // Only the epoch's last block may be proposed again. The engine settles its validity at its first view.
            return Some(block.height() == self.last);
        }
        let parent = self.fetch(parent_view, parent_hash).await?;
        let position = Position {
            epoch: self.parts.epoch,
            view,
            parent_view,
            parent: parent_hash,
            parent_height: parent.height(),
        };
        if let Some(fault) = self.misplaced(block, &position) {
            warn!(%view, hash = %block.hash(), fault, "proposal refused");
            return Some(false);
        }
        if !self.execute(parent).await {
            return Some(false);
        }
        Some(self.judge(block).await)
    }

    /// Certification without a verification to rely on: after a restart, or where the engine gave the verification up.
    async fn certify_anew(&self, round: Round, digest: Digest) -> Option<bool> {
        let fallback = DigestFallback::FetchByRound { round };
        let block = self.parts.marshal.subscribe_by_digest(digest, fallback).await.ok()?;
        let inner = block.inner();
        let again = inner.height() == self.last && inner.extra().is_some_and(|e| e.view.get() < round.view().get());
        let valid = if again {
            self.execute(inner.clone()).await
        } else {
            match (inner.extra(), inner.height().previous()) {
                (Some(extra), Some(_)) if extra.view.get() == round.view().get() => {
                    self.check(extra.view, extra.parent_view, engine::Block::parent(inner).into(), inner).await?
                }
                _ => false,
            }
        };
        if valid && !self.parts.marshal.certified(round, block).await {
            return None;
        }
        Some(valid)
    }

    fn stage(&self, view: View, block: Block) -> Digest {
        let digest = Digest::from(block.hash());
        self.parts.pace.met(digest, self.parts.context.current());
        self.gates.lock().stage(view, block.digested());
        digest
    }
}

/// Waits for a write. A failed one is fatal: what this node votes for must be on its disk.
async fn durable(handle: Handle<()>) -> bool {
    match handle.await {
        Ok(()) => true,
        Err(RuntimeError::Closed | RuntimeError::Aborted) => false,
        Err(fault) => panic!("invariant: a block that was voted for is durable, but its write failed: {fault}"),
    }
}

impl<E: Spawner + Clock, C: Chain> engine::Automaton for Automaton<E, C> {
    type Context = Context;
    type Digest = Digest;

    async fn propose(&mut self, context: Context) -> oneshot::Receiver<Digest> {
        self.offer("propose", context, |digest| digest)
    }

    async fn verify(&mut self, context: Context, digest: Digest) -> oneshot::Receiver<bool> {
        let (mut answer, receiver) = oneshot::channel();
        let (gate, verdict) = oneshot::channel();
        let view = View::new(context.view().get());
        // The wait for the block begins before the gate is known, so that a block recovered for certification reaches it.
        let request = self.0.parts.marshal.subscribe_by_digest(digest, DigestFallback::Wait);
        self.0.gates.lock().expect(view, digest, Verdict::Checked(verdict));
        self.spawn("verify", |inner| async move {
            let block = tokio::select! {
                biased;
                () = answer.closed() => return,
                block = request => match block {
                    Ok(block) => block,
                    Err(_) => return,
                },
            };
            inner.parts.pace.met(digest, inner.parts.context.current());
            let (parent_view, parent) = (View::new(context.parent.0.get()), context.parent.1.into());
            // The engine learns the verdict at once; the write runs beside it and only certification waits for it.
            let vote = async {
                let verdict = tokio::select! {
                    biased;
                    () = answer.closed() => None,
                    verdict = inner.check(view, parent_view, parent, block.inner()) => verdict,
                };
                if let Some(valid) = verdict {
                    let _ = answer.send(valid);
                }
                verdict
            };
            let (verdict, stored) = futures::join!(vote, inner.parts.marshal.verified(context.round, block.clone()));
            // A refused re-proposal may be a good proposal under another header: certification looks again.
            if verdict == Some(true) && stored {
                let _ = gate.send(true);
            }
        });
        receiver
    }
}

impl<E: Spawner + Clock, C: Chain> CertifiableAutomaton for Automaton<E, C> {
    /// Builds the first block of a term while the old leader's last one is still being certified. The vote waits for that.
    async fn prepare(&mut self, context: Context) -> oneshot::Receiver<Handoff<Digest>> {
        self.offer("prepare", context, Handoff::Stage)
    }

    async fn certify(&mut self, round: Round, digest: Digest) -> oneshot::Receiver<bool> {
        let (mut answer, receiver) = oneshot::channel();
        let gate = self.0.gates.lock().claim(View::new(round.view().get()), digest);
        if gate.is_some() {
            // A verification may still wait for a block that only its notarization makes available.
            self.0.parts.marshal.hint_notarized(round, digest);
        }
        self.spawn("certify", |inner| async move {
            let work = async {
                match gate {
                    Some(Verdict::Own(write)) => {
                        if let Ok(handle) = write.await {
                            return durable(handle).await.then_some(true);
                        }
                    }
                    Some(Verdict::Checked(verdict)) => {
                        if let Ok(valid) = verdict.await {
                            return Some(valid);
                        }
                    }
                    None => {}
                }
                inner.certify_anew(round, digest).await
            };
            tokio::select! {
                biased;
                () = answer.closed() => {}
                verdict = work => if let Some(valid) = verdict {
                    let _ = answer.send(valid);
                }
            }
        });
        receiver
    }
}

impl<E: Spawner + Clock, C: Chain> Relay for Automaton<E, C> {
    type Digest = Digest;
    type PublicKey = PublicKey;
    type Plan = Plan;

    fn broadcast(&mut self, digest: Digest, plan: Plan) -> Feedback {
        let marshal = &self.0.parts.marshal;
        match plan {
            Plan::Prepare { round } => match self.0.gates.lock().relay_early(View::new(round.view().get()), digest) {
                Some(block) => marshal.prepared(round, block, Recipients::All),
                None => Feedback::Ok,
            },
            Plan::Propose { round } => {
                let mut gates = self.0.gates.lock();
                let view = View::new(round.view().get());
                let Some((block, sent)) = gates.take_staged(view, digest) else { return Feedback::Ok };
                let (ack, write) = oneshot::channel();
                gates.expect(view, digest, Verdict::Own(write));
                if sent {
                    marshal.verified_deferred(round, block, ack);
                    return Feedback::Ok;
                }
                marshal.proposed(round, block, Recipients::All, ack)
            }
            Plan::Forward { round, recipients } => marshal.forward(round, digest, recipients),
        }
    }
}
