//! Runs the epochs one after the other: learns sets, opens channels early, starts engines, stops the old after the new.
//!
//! ```text
//! enter e: set known -> [standing cleared, if the key has a seat] -> engine e runs
//!          set of e+1 known (its origin is final) -> peers, schemes and sub-channels of e+1 registered, votes heard ahead
//! last block of e taken over by the chain -> engine e+1 from its hash -> engine e stopped -> acknowledged
//! vote of a later epoch heard -> its sender is asked for the certificate of this epoch's last block
//! ```

use crate::{
    Error,
    delivery::Boundary,
    engine::{self, EpochChannels, Shared},
    held::Held,
    ingress::Message,
    ports::{Chain, Sets},
    schemes::Schemes,
    set::{self, Members},
    standing::{self, Answered, Clearance, Question},
    status::{self, Role},
    storage::{self, Env},
    types::{PublicKey, Scheme},
    votelog::Logged,
};
use alloy::primitives::B256;
use baton_primitives::{Epoch, Height, Snapshot};
use commonware_consensus::types;
use commonware_cryptography::bls12381::primitives::group::Private;
use commonware_p2p::{
    AddressableManager, AddressableTrackedPeers, Blocker, CheckedSender as _, Message as NetworkMessage, Recipients,
    Sender, utils::mux::MuxHandle,
};
use commonware_runtime::Handle;
use commonware_utils::{Acknowledgement as _, vec::NonEmptyVec};
use futures::future::BoxFuture;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, info, warn};

/// How often connected peers are counted.
const COUNT_PEERS: Duration = Duration::from_secs(1);
/// Longest drain.
const DRAIN: Duration = Duration::from_secs(2);
/// How many heights above a block its certificate is looked for.
const CERTIFICATE_REACH: u64 = 256;

/// The muxers of the engine's channels.
pub(crate) struct Muxes<S: Sender<PublicKey = PublicKey>> {
    pub(crate) votes: MuxHandle<S>,
    pub(crate) certificates: MuxHandle<S>,
    pub(crate) resolver: MuxHandle<S>,
    /// Votes of epochs that are not open here.
    pub(crate) strange: mpsc::Receiver<(u64, NetworkMessage<PublicKey>)>,
}

/// What the epochs need.
pub(crate) struct Parts<E: Env, C, T, S: Sender<PublicKey = PublicKey>, M, B> {
    pub(crate) context: E,
    /// The vote journals.
    pub(crate) journals: Logged<E>,
    pub(crate) shared: Shared<C, B>,
    pub(crate) sets: Arc<T>,
    pub(crate) schemes: Schemes,
    pub(crate) manager: M,
    pub(crate) muxes: Muxes<S>,
    pub(crate) me: PublicKey,
    pub(crate) vote_key: Private,
    pub(crate) standing_sender: S,
    pub(crate) answers: Arc<tokio::sync::Mutex<mpsc::Receiver<Answered>>>,
    pub(crate) boundaries: mpsc::Receiver<Boundary>,
    pub(crate) requests: mpsc::Receiver<Message>,
}

/// An epoch whose set is known.
struct Ready<S: Sender<PublicKey = PublicKey>> {
    epoch: Epoch,
    members: Members,
    channels: EpochChannels<S>,
}

/// The running epoch.
struct Running {
    epoch: Epoch,
    members: Members,
    /// `None` while the standing of this node's key is being asked for.
    engine: Option<Handle<()>>,
    /// Peers that were asked for the certificate of this epoch's last block.
    hinted: BTreeSet<PublicKey>,
}

/// What ends the epochs without an error.
pub(crate) struct Drained(pub(crate) Option<oneshot::Sender<()>>);

pub(crate) struct Epochs<E: Env, C, T, S: Sender<PublicKey = PublicKey>, M, B> {
    parts: Parts<E, C, T, S, M, B>,
    drain: tokio::sync::watch::Sender<bool>,
    clearance: Option<Clearance>,
    /// The question whether the key may sign, while it is out.
    asking: Option<BoxFuture<'static, Clearance>>,
    /// The epoch that waits for clearance, with its starting block.
    waiting: Option<(Ready<S>, B256)>,
    upcoming: BoxFuture<'static, Arc<Snapshot>>,
    next: Option<Ready<S>>,
    draining: Option<(oneshot::Sender<()>, BoxFuture<'static, ()>)>,
}

impl<E, C, T, S, M, B> Epochs<E, C, T, S, M, B>
where
    E: Env,
    C: Chain,
    T: Sets,
    S: Sender<PublicKey = PublicKey>,
    M: AddressableManager<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    pub(crate) fn new(parts: Parts<E, C, T, S, M, B>, drain: tokio::sync::watch::Sender<bool>) -> Self {
        let clearance = parts.shared.config.trust_journal.then_some(Clearance::TRUSTED);
        Self {
            parts,
            drain,
            clearance,
            asking: None,
            waiting: None,
            upcoming: Box::pin(std::future::pending()),
            next: None,
            draining: None,
        }
    }

    /// Runs from an epoch and the block before it until a drain or an error.
    pub(crate) async fn run(mut self, first: Epoch, genesis: B256) -> Result<Drained, Error> {
        let ready = self.ready(first).await?;
        let mut running = self.enter(ready, genesis).await?;
        let mut count = self.parts.context.current();
        loop {
            tokio::select! {
                biased;
                () = ended(&mut running.engine) => return Err(Error::Ended("the engine of an epoch")),
                boundary = self.parts.boundaries.recv() => match boundary {
                    Some(boundary) => running = self.cross(running, boundary).await?,
                    None => return Err(Error::Ended("the delivery of final blocks")),
                },
                clearance = pending_or(&mut self.asking) => {
                    self.asking = None;
                    self.clearance = Some(clearance);
                    self.resume(&mut running).await?;
                }
                snapshot = &mut self.upcoming => {
                    self.upcoming = Box::pin(std::future::pending());
                    let epoch = running.epoch.next();
                    let members = members(snapshot)?;
                    self.next = Some(self.open(epoch, members, &running.members).await?);
                }
                message = self.parts.requests.recv() => match message {
                    Some(message) => if let Some(drained) = self.request(message, &running) { return Ok(drained) },
                    None => return Ok(Drained(None)),
                },
                () = drained(&mut self.draining) => {
                    return Ok(Drained(self.draining.take().map(|(done, _)| done)));
                }
                ahead = heard_ahead(&mut self.next) => self.hint(&mut running, ahead),
                strange = self.parts.muxes.strange.recv() => if let Some((epoch, (peer, _))) = strange
                    && epoch > running.epoch.get()
                {
                    self.hint(&mut running, peer);
                },
                () = self.parts.context.sleep_until(count) => {
                    self.count_peers();
                    count = self.parts.context.current() + COUNT_PEERS;
                }
            }
        }
    }

    /// Waits for the set of an epoch and opens its channels.
    async fn ready(&mut self, epoch: Epoch) -> Result<Ready<S>, Error> {
        let members = members(self.parts.sets.set_of(epoch).await)?;
        self.open(epoch, members.clone(), &members).await
    }

    /// Registers peers, verification and channels of an epoch.
    async fn open(&mut self, epoch: Epoch, members: Members, before: &Members) -> Result<Ready<S>, Error> {
        let parts = &mut self.parts;
        let domain = &parts.shared.config.domain;
        parts.schemes.register(epoch, members.anonymous(domain));
        let peers = set::peers([before, &members]);
        info!(%epoch, members = members.keys().len(), peers = peers.len(), "set known");
        let _ = parts.manager.overwrite(peers.clone());
        let _ = parts.manager.track(epoch.get(), AddressableTrackedPeers::primary(peers));
        let taken = |_| Error::Ended("a multiplexer of peer channels");
        let votes = parts.muxes.votes.register(epoch.get()).await.map_err(taken)?;
        let certificates = parts.muxes.certificates.register(epoch.get()).await.map_err(taken)?;
        let resolver = parts.muxes.resolver.register(epoch.get()).await.map_err(taken)?;
        let channels = EpochChannels { votes: (votes.0, Held::new(votes.1)), certificates, resolver };
        Ok(Ready { epoch, members, channels })
    }

    /// Makes an epoch the running one.
    async fn enter(&mut self, ready: Ready<S>, genesis: B256) -> Result<Running, Error> {
        let (epoch, members) = (ready.epoch, ready.members.clone());
        let snapshot = members.snapshot().id;
        status::update(&self.parts.shared.status, |s| {
            s.epoch = epoch;
            s.snapshot = snapshot;
            s.view = baton_primitives::View::ZERO;
            s.role = Role::Observer;
        });
        let sets = self.parts.sets.clone();
        self.upcoming = Box::pin(async move { sets.set_of(epoch.next()).await });
        let mut running = Running { epoch, members, engine: None, hinted: BTreeSet::new() };
        self.waiting = Some((ready, genesis));
        self.resume(&mut running).await?;
        Ok(running)
    }

    /// Starts the engine of the running epoch, as signer or not; or begins to ask whether the key may sign.
    async fn resume(&mut self, running: &mut Running) -> Result<(), Error> {
        let Some((ready, genesis)) = self.waiting.take() else { return Ok(()) };
        let parts = &self.parts;
        let config = parts.shared.config.clone();
        let signer = ready.members.signer(&config.domain, &parts.me, &parts.vote_key);
        let Some(signer) = signer else {
            if ready.members.position(&parts.me).is_some() {
                warn!(epoch = %ready.epoch, "the vote key is not that of this node's seat; it follows without voting");
            }
            let verifier = ready.members.verifier(&config.domain, &parts.me);
            self.start(running, ready, genesis, verifier, Role::Observer);
            return Ok(());
        };
        let Some(clearance) = self.clearance else {
            self.ask(&ready).await?;
            self.waiting = Some((ready, genesis));
            return Ok(());
        };
        if clearance.admits(ready.epoch) {
            self.start(running, ready, genesis, signer, Role::Signer);
        } else {
            warn!(epoch = %ready.epoch, "this key does not vote in this epoch: it may have voted before the restart");
            let verifier = ready.members.verifier(&config.domain, &parts.me);
            self.start(running, ready, genesis, verifier, Role::Silent);
        }
        Ok(())
    }

    /// Begins to ask the peers.
    async fn ask(&mut self, ready: &Ready<S>) -> Result<(), Error> {
        let parts = &self.parts;
        let mut journal = None;
        for epoch in [Some(ready.epoch), ready.epoch.previous()].into_iter().flatten() {
            let newest = storage::newest_vote(&parts.journals, &parts.shared.names, epoch, &parts.shared.cache).await?;
            journal = journal.max(newest.map(|view| (epoch, view)));
        }
        if journal.is_none() && parts.shared.status.borrow().last_final.0 == Height::ZERO {
            parts.shared.standing.begin_blank();
        }
        let context = parts.context.child("standing");
        let question = Question {
            members: ready.members.clone(),
            me: parts.me.clone(),
            here: ready.epoch,
            journal,
            scheme: ready.members.anonymous(&parts.shared.config.domain),
        };
        let sender = parts.standing_sender.clone();
        let answers = parts.answers.clone();
        self.asking = Some(Box::pin(async move {
            let mut answers = answers.lock().await;
            standing::clear(context, question, sender, &mut answers).await
        }));
        Ok(())
    }

    fn start(&mut self, running: &mut Running, ready: Ready<S>, genesis: B256, scheme: Scheme, role: Role) {
        let Ready { epoch, members, channels } = ready;
        let parts = &self.parts;
        let witnessed = self.clearance.is_some_and(|c| c.witnesses(epoch));
        parts.shared.standing.enter(epoch, witnessed);
        let context = parts.journals.on(parts.context.child("engine").with_attribute("epoch", epoch));
        let votes = role == Role::Signer;
        let engine = engine::start(context, &parts.shared, epoch, genesis, &members, (scheme, votes), channels);
        running.engine = Some(engine);
        status::update(&parts.shared.status, |s| s.role = role);
        info!(%epoch, ?role, %genesis, "epoch runs");
    }

    /// The last block of an epoch is final and executed: the next epoch begins.
    async fn cross(&mut self, running: Running, boundary: Boundary) -> Result<Running, Error> {
        if boundary.epoch < running.epoch {
            boundary.ack.acknowledge();
            return Ok(running);
        }
        let epoch = boundary.epoch.next();
        let ready = match self.next.take() {
            Some(ready) => ready,
            None => {
                let members = members(self.parts.sets.set_of(epoch).await)?;
                self.open(epoch, members, &running.members).await?
            }
        };
        // A question about the old epoch, asked of its set, is void.
        self.waiting = None;
        self.asking = None;
        let old = running.engine;
        let next = self.enter(ready, boundary.hash).await?;
        if let Some(old) = old {
            old.abort();
            let _ = old.await;
        }
        boundary.ack.acknowledge();
        self.parts.schemes.retire(epoch);
        if let Some(gone) = boundary.epoch.previous() {
            storage::forget(&self.parts.journals, &self.parts.shared.names, gone).await;
        }
        Ok(next)
    }

    /// Asks a peer that is ahead for the certificate of this epoch's last block.
    fn hint(&self, running: &mut Running, peer: PublicKey) {
        if running.hinted.insert(peer.clone()) {
            let last = running.epoch.last_height(self.parts.shared.config.parameters.epoch_blocks);
            debug!(%peer, %last, "peer is ahead");
            self.parts.shared.marshal.hint_finalized(types::Height::new(last.get()), NonEmptyVec::new(peer));
        }
    }

    fn request(&mut self, message: Message, running: &Running) -> Option<Drained> {
        match message {
            Message::Certificate { height, answer } => {
                let marshal = self.parts.shared.marshal.clone();
                self.parts.context.child("certificate").spawn(move |_| async move {
                    let mut found = None;
                    for height in height.get()..height.get().saturating_add(CERTIFICATE_REACH) {
                        if let Some(finalization) = marshal.get_finalization(types::Height::new(height)).await {
                            found = Some((Height::new(height), crate::certificate::encode(&finalization)));
                            break;
                        }
                    }
                    let _ = answer.send(found);
                });
                None
            }
            Message::Drain(done) => {
                info!("draining");
                let _ = self.drain.send(true);
                let role = self.parts.shared.status.borrow().role;
                if running.members.keys().len() == 1 || role != Role::Signer {
                    return Some(Drained(Some(done)));
                }
                let relieved = relieved(self.parts.shared.status.subscribe(), set::identity_key(&self.parts.me));
                let timeout = self.parts.context.sleep(DRAIN);
                let over = async move {
                    tokio::select! {
                        biased;
                        () = relieved => {}
                        () = timeout => warn!("drain timed out: no other leader's block became final"),
                    }
                };
                self.draining = Some((done, Box::pin(over)));
                None
            }
        }
    }

    fn count_peers(&mut self) {
        // The senders know who is connected; the check costs a message of the quota, hence the rare count.
        let peers = self.parts.standing_sender.check(Recipients::All).map_or(0, |c| c.recipients().len());
        status::update(&self.parts.shared.status, |s| s.peers = peers);
    }
}

/// Resolves when a block of another leader became final after this call.
async fn relieved(mut status: tokio::sync::watch::Receiver<status::Status>, me: baton_primitives::IdentityKey) {
    let mut since = None;
    loop {
        {
            let now = status.borrow_and_update();
            let other = now.leader.is_some_and(|l| l.identity != me);
            match since {
                None if other => since = Some(now.last_final.0),
                Some(height) if now.last_final.0 > height => return,
                None | Some(_) => {}
            }
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}

fn members(snapshot: Arc<Snapshot>) -> Result<Members, Error> {
    let id = snapshot.id;
    Members::new(snapshot).map_err(|reason| Error::Set { snapshot: id, reason })
}

async fn ended(engine: &mut Option<Handle<()>>) {
    match engine {
        Some(engine) => {
            let _ = engine.await;
        }
        None => std::future::pending().await,
    }
}

async fn pending_or<O>(future: &mut Option<BoxFuture<'static, O>>) -> O {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn drained(draining: &mut Option<(oneshot::Sender<()>, BoxFuture<'static, ()>)>) {
    match draining {
        Some((_, over)) => over.await,
        None => std::future::pending().await,
    }
}

async fn heard_ahead<S: Sender<PublicKey = PublicKey>>(next: &mut Option<Ready<S>>) -> PublicKey {
    match next {
        Some(ready) => ready.channels.votes.1.listen().await,
        None => std::future::pending().await,
    }
}
