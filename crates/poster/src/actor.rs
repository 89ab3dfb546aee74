//! The poster's loop: receive, change state, act.
//!
//! ```text
//! final head, L1, peers' messages, finished work, deadlines -> Poster -> requests and signatures to peers
//!                                                                     -> transactions to L1, blobs to disk
//! ```
//!
//! The anchor on L1 is the only truth about what is posted: a restart or a lost duty re-reads it, and nothing else is needed.
//! A batch posted twice costs one reverted transaction at most, and usually none, because sending simulates first.

mod evidence;

use crate::{
    Config, Error, Report,
    archive::Archive,
    attest::{self, Encoding, EncodingError},
    builder::{Builder, Built, inputs},
    collect::{Certificate, Collector, Taken},
    duty::Duty,
    journal::{Entry, Journal},
    message::{Message, Request, Signature},
    ports::{Call, Chain, Ledger, Network, Recipients, Sent, Settlement, Standing},
    round::{Collecting, Next, Round, Stage},
    witness::{Place, Witness},
};
use alloy::{
    primitives::{B256, Bytes, keccak256},
    sol_types::SolCall,
};
use baton_batch::in_background;
use baton_bindings::contracts::{IBatchInbox, inbox::BatchInbox::postCall};
use baton_primitives::{BatchIndex, IdentityKey, batch_message};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// L1 blocks after inclusion at which the poster doubts that the anchor will move, and tries again.
const SETTLE_BLOCKS: u64 = 4;
/// Signatures on foreign encodings remembered for each core built ahead.
const ANSWERS_AHEAD: usize = 4;

/// How the poster is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The last batch accepted by L1.
    pub anchor: BatchIndex,
    /// The newest batch cut out of final blocks.
    pub newest: BatchIndex,
    /// The batch being posted by this node, if it is its turn.
    pub posting: Option<BatchIndex>,
    /// Why the last attempt to post failed, until one succeeds.
    pub error: Option<String>,
}

/// The posting and signing actor. Construction opens its files and starts nothing.
#[derive(Debug)]
pub struct Poster<C, S, N, L> {
    config: Config,
    chain: C,
    settlement: S,
    network: N,
    ledger: L,
    inbox: mpsc::Receiver<(IdentityKey, Bytes)>,
    work: mpsc::Receiver<Done>,
    worker: mpsc::Sender<Done>,
    archive: Archive,
    journal: Journal,
    status: watch::Sender<Status>,
    witness: Witness,
    /// For the keeper, and what it had no room for.
    reports: mpsc::Sender<Report>,
    unreported: VecDeque<Report>,
    state: State,
}

#[derive(Debug, Default)]
struct State {
    standing: Option<Standing>,
    builder: Option<Builder>,
    round: Option<Round>,
    encoding: Option<(B256, Encoding)>,
    /// L1 head before which posting is not tried again after a failure.
    not_before: u64,
    failures: u64,
    /// Members whose request is being checked: one at a time each.
    attesting: HashSet<IdentityKey>,
    /// The newest request of each member for a batch that this node has not built yet.
    held: HashMap<IdentityKey, Request>,
    /// Answers given, by batch and hash of the data.
    answers: HashMap<(BatchIndex, B256), Signature>,
}

/// Work that ran beside the loop.
#[derive(Debug)]
enum Done {
    Encoded { core_hash: B256, encoding: Result<Encoding, EncodingError> },
    Checked { from: IdentityKey, request: Box<Request>, encoding: Result<Encoding, EncodingError> },
    Sent { core_hash: B256, sent: Sent },
}

/// How others reach the poster; clones are cheap.
#[derive(Clone, Debug)]
pub struct PosterHandle {
    messages: mpsc::Sender<(IdentityKey, Bytes)>,
    archive: Archive,
    status: watch::Receiver<Status>,
}

impl PosterHandle {
    /// Takes a peer's message. If the queue is full it is dropped and `false` returned: the peer asks again.
    pub fn deliver(&self, from: IdentityKey, message: Bytes) -> bool {
        self.messages.try_send((from, message)).is_ok()
    }

    /// The blobs kept.
    pub const fn blobs(&self) -> &Archive {
        &self.archive
    }

    /// How the poster is doing.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }
}

impl<C: Chain, S: Settlement, N: Network, L: Ledger> Poster<C, S, N, L> {
    /// A poster over these ports; what it can prove of others goes to `reports`.
    ///
    /// # Errors
    /// If the journal or the blobs cannot be opened, or the journal is damaged.
    pub fn new(
        config: Config,
        chain: C,
        settlement: S,
        network: N,
        ledger: L,
        reports: mpsc::Sender<Report>,
    ) -> Result<(Self, PosterHandle), Error> {
        let journal = Journal::open(&config.directory.join("signed-batches"))?;
        let archive = Archive::open(&config.directory.join("blobs"))?;
        let (messages, inbox) = mpsc::channel(config.queue.max(1));
        let (worker, work) = mpsc::channel(16);
        let status = watch::Sender::new(Status::default());
        let handle = PosterHandle { messages, archive: archive.clone(), status: status.subscribe() };
        let place = Place { l1_chain_id: config.l1_chain_id, inbox: config.inbox, receiver: ledger.account() };
        let (witness, unreported) = (Witness::new(place), VecDeque::new());
        let poster = Self {
            config,
            chain,
            settlement,
            network,
            ledger,
            inbox,
            work,
            worker,
            archive,
            journal,
            status,
            witness,
            reports,
            unreported,
            state: State::default(),
        };
        Ok((poster, handle))
    }

    /// Runs until `shutdown` or an error that ends it.
    pub fn start(self, shutdown: CancellationToken) -> JoinHandle<Result<(), Error>> {
        tokio::spawn(async move { shutdown.run_until_cancelled_owned(Box::pin(self.run())).await.unwrap_or(Ok(())) })
    }

    async fn run(mut self) -> Result<(), Error> {
        let mut head = self.chain.head();
        let mut standing = self.settlement.standing();
        head.mark_changed();
        standing.mark_changed();
        loop {
            let deadline = self.deadline();
            tokio::select! {
                changed = standing.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let now = *standing.borrow_and_update();
                    self.on_standing(now)?;
                }
                changed = head.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    head.mark_unchanged();
                }
                Some((from, bytes)) = self.inbox.recv() => self.on_message(from, &bytes)?,
                Some(done) = self.work.recv() => self.on_done(done)?,
                () = tokio::time::sleep_until(deadline) => {}
            }
            let final_head = *head.borrow();
            self.build(final_head).await?;
            self.step()?;
            self.report();
        }
    }

    /// When to look again without an event.
    fn deadline(&self) -> Instant {
        let now = Instant::now();
        match &self.state.round {
            Some(Round { stage: Stage::Collecting(collecting), .. }) => collecting.deadline(now),
            _ => now + std::time::Duration::from_secs(1),
        }
    }

    fn on_standing(&mut self, standing: Option<Standing>) -> Result<(), Error> {
        self.state.standing = standing;
        let Some(standing) = standing else { return Ok(()) };
        let before = self.status.borrow().anchor;
        let anchor = standing.anchor;
        match &mut self.state.builder {
            Some(builder) => builder.set_anchor(anchor, standing.generation)?,
            None => {
                let parameters = self.config.parameters.clone();
                self.state.builder = Some(Builder::new(parameters, self.config.ahead, anchor, standing.generation));
            }
        }
        if self.state.round.as_ref().is_some_and(|r| r.index() != anchor.index.next()) {
            self.state.round = None;
            self.state.encoding = None;
        }
        if before != anchor.index {
            self.state.answers.retain(|(index, _), _| *index > anchor.index);
            self.state.held.retain(|_, request| request.core.index > anchor.index);
            self.witness.forget(anchor.index);
            (self.state.not_before, self.state.failures) = (0, 0);
            self.status.send_modify(|s| (s.anchor, s.error) = (anchor.index, None));
            metrics::gauge!("baton_poster_anchor").set(anchor.index.get() as f64);
            self.tidy(before, anchor.index)?;
        }
        Ok(())
    }

    /// Deletes encodings that were not posted, and batches that are too old.
    fn tidy(&self, before: BatchIndex, anchor: BatchIndex) -> Result<(), Error> {
        let mut index = before.max(BatchIndex::new(anchor.get().saturating_sub(64)));
        while index <= anchor {
            if let Some(hashes) = self.settlement.blob_hashes(index) {
                self.archive.keep_only(index, &hashes)?;
            }
            index = index.next();
        }
        self.archive.forget_below(BatchIndex::new(anchor.get().saturating_sub(self.config.keep_batches)))
    }

    async fn build(&mut self, head: baton_primitives::Height) -> Result<(), Error> {
        let Some(builder) = &mut self.state.builder else { return Ok(()) };
        if !builder.advance(head, &self.chain, &self.settlement).await? {
            return Ok(());
        }
        let newest = builder.newest();
        self.status.send_modify(|s| s.newest = newest);
        metrics::gauge!("baton_poster_newest").set(newest.get() as f64);
        let ready: Vec<IdentityKey> =
            self.state.held.iter().filter(|(_, r)| r.core.index <= newest).map(|(from, _)| *from).collect();
        for from in ready {
            if let Some(request) = self.state.held.remove(&from) {
                self.on_request(from, request);
            }
        }
        Ok(())
    }

    fn on_message(&mut self, from: IdentityKey, bytes: &Bytes) -> Result<(), Error> {
        match Message::decode(bytes) {
            Ok(Message::Request(request)) => self.on_request(from, request),
            Ok(Message::Signature(signature)) => self.on_signature(from, &signature),
            Ok(Message::Statement(statement)) => self.on_statement(&from, statement),
            Err(error) => {
                metrics::counter!("baton_poster_malformed_messages_total").increment(1);
                tracing::debug!(%from, %error, "malformed message");
            }
        }
        Ok(())
    }

    fn on_request(&mut self, from: IdentityKey, request: Request) {
        let Some(standing) = self.state.standing else { return };
        let (index, last) = (request.core.index, standing.anchor.index.saturating_add(self.config.ahead as u64));
        if request.core.generation != standing.generation || index > last {
            return;
        }
        if index <= standing.anchor.index {
            // Nothing to sign, but it may contradict what was signed.
            return self.hear_request(&from, &request);
        }
        let Some(built) = self.state.builder.as_ref().and_then(|b| b.get(index)).cloned() else {
            // Not built yet: this node is a little behind. Held for members only, one each.
            let snapshots = self.settlement.sealed();
            let member = |id| self.settlement.snapshot(id).is_some_and(|s| s.position(&from).is_some());
            if snapshots.iter().rev().take(4).any(|(id, _)| member(*id)) {
                self.state.held.insert(from, request);
            }
            return;
        };
        if built.snapshot.position(&from).is_none() || built.snapshot.position(&self.config.identity).is_none() {
            return;
        }
        self.witness.know(&built);
        self.hear_request(&from, &request);
        if request.core != built.core {
            metrics::counter!("baton_poster_foreign_cores_total").increment(1);
            tracing::warn!(%from, %index, theirs = %request.core.hash(), own = %built.core_hash, "a member asks to sign another core");
            return;
        }
        if !self.has_signed(index, &from) {
            return;
        }
        if let Some(answer) = self.state.answers.get(&(index, keccak256(&request.data))) {
            self.network.send(Recipients::One(from), Message::Signature(*answer).encode());
            return;
        }
        if !self.state.attesting.insert(from) {
            return;
        }
        let (chain, worker) = (self.chain.clone(), self.worker.clone());
        let l2_chain_id = self.config.parameters.l2_chain_id;
        tokio::spawn(async move {
            let (data, openings) = (request.data.clone(), request.openings.clone());
            let encoding = match inputs(&built.core, &chain).await {
                Some(inputs) => blocking(move || attest::check(data, openings, &inputs, l2_chain_id)).await,
                None => Err(EncodingError::Unavailable),
            };
            let _ = worker.send(Done::Checked { from, request: Box::new(request), encoding }).await;
        });
    }

    fn on_signature(&mut self, from: IdentityKey, signature: &Signature) {
        let Some(Round { built, stage: Stage::Collecting(collecting) }) = &mut self.state.round else {
            return self.hear_signature(&from, signature, false);
        };
        let wanted = (built.core.generation, built.core_hash, collecting.collector.data_hash);
        if (signature.generation, signature.core_hash, signature.data_hash) != wanted {
            return self.hear_signature(&from, signature, false);
        }
        match collecting.collector.take(&from, &signature.signature) {
            Taken::Counted => self.hear_signature(&from, signature, true),
            Taken::Again | Taken::Stranger => {}
            Taken::Invalid => {
                metrics::counter!("baton_poster_invalid_signatures_total").increment(1);
                tracing::warn!(%from, index = %signature.index, "a member's batch signature does not verify");
            }
        }
    }

    fn on_done(&mut self, done: Done) -> Result<(), Error> {
        match done {
            Done::Encoded { core_hash, encoding } => match encoding {
                Ok(encoding) => {
                    self.state.encoding = Some((core_hash, encoding));
                    self.collect(core_hash)
                }
                Err(error) => {
                    self.failed(core_hash, &error.to_string());
                    Ok(())
                }
            },
            Done::Checked { from, request, encoding } => self.answer(from, &request, encoding),
            Done::Sent { core_hash, sent } => {
                self.on_sent(core_hash, sent);
                Ok(())
            }
        }
    }

    /// Signs a checked encoding and tells the one who asked.
    fn answer(
        &mut self,
        from: IdentityKey,
        request: &Request,
        encoding: Result<Encoding, EncodingError>,
    ) -> Result<(), Error> {
        self.state.attesting.remove(&from);
        let encoding = match encoding {
            Ok(encoding) => encoding,
            Err(error) => {
                metrics::counter!("baton_poster_refused_requests_total").increment(1);
                tracing::warn!(%from, index = %request.core.index, %error, "refusing to sign a batch");
                return Ok(());
            }
        };
        // The view may have moved on while the encoding was checked.
        let Some(built) = self.state.builder.as_ref().and_then(|b| b.get(request.core.index)).cloned() else {
            return Ok(());
        };
        if built.core != request.core {
            return Ok(());
        }
        let Some(signature) = self.sign(&built, encoding.data_hash)? else { return Ok(()) };
        self.archive.put(request.core.index, &encoding.blobs)?;
        if self.state.answers.len() < ANSWERS_AHEAD * self.config.ahead {
            self.state.answers.insert((request.core.index, keccak256(&request.data)), signature);
        }
        metrics::counter!("baton_poster_signatures_total").increment(1);
        self.network.send(Recipients::One(from), Message::Signature(signature).encode());
        Ok(())
    }

    /// Signs an encoding of a core, if no other core of its index was ever signed.
    fn sign(&mut self, built: &Built, data_hash: B256) -> Result<Option<Signature>, Error> {
        if let Entry::Conflict(before) = self.journal.sign(&built.core, built.core_hash)? {
            tracing::error!(index = %built.core.index, %before, now = %built.core_hash, "another core of this batch was signed before: not signing");
            return Ok(None);
        }
        let message = batch_message(self.config.l1_chain_id, self.config.inbox, built.core_hash, data_hash);
        Ok(Some(Signature {
            generation: built.core.generation,
            index: built.core.index,
            core_hash: built.core_hash,
            data_hash,
            signature: self.config.vote_key.sign(&message),
        }))
    }

    /// Moves the posting round as far as it goes now.
    fn step(&mut self) -> Result<(), Error> {
        let Some(standing) = self.state.standing else { return Ok(()) };
        let now = Instant::now();
        match &mut self.state.round {
            None => self.begin(&standing)?,
            Some(Round { stage: Stage::Settling { until }, .. }) if standing.l1_head >= *until => {
                tracing::warn!("a posted batch did not become the anchor, trying again");
                self.state.round = None;
                self.begin(&standing)?;
            }
            Some(Round { built, stage: Stage::Collecting(collecting) }) => match collecting.next(now) {
                Next::Wait => {}
                Next::Ask => {
                    let request = Request {
                        core: built.core.clone(),
                        signature: collecting.signature,
                        data: collecting.encoding.data.clone(),
                        openings: collecting.encoding.openings.clone(),
                    };
                    let to = Recipients::Members(Arc::clone(&built.snapshot));
                    self.network.send(to, Message::Request(request).encode());
                }
                Next::Send(certificate) => self.send(&certificate),
            },
            Some(_) => {}
        }
        let posting = self.state.round.as_ref().map(Round::index);
        self.status.send_if_modified(|s| std::mem::replace(&mut s.posting, posting) != posting);
        Ok(())
    }

    /// Starts to post the batch after the anchor, if it is this member's turn.
    fn begin(&mut self, standing: &Standing) -> Result<(), Error> {
        if standing.l1_head < self.state.not_before {
            return Ok(());
        }
        let index = standing.anchor.index.next();
        let Some(built) = self.state.builder.as_ref().and_then(|b| b.get(index)).cloned() else { return Ok(()) };
        let Some(position) = built.snapshot.position(&self.config.identity) else { return Ok(()) };
        let duty = Duty::of(&built.core, &built.snapshot, standing.accepted_in, &self.config.parameters)
            .map_err(|e| Error::Build { after: standing.anchor.last_height, reason: e.to_string() })?;
        if standing.l1_head < duty.turn(position) {
            return Ok(());
        }
        tracing::debug!(%index, position, leader = duty.leader, "on duty to post");
        let core_hash = built.core_hash;
        self.state.round = Some(Round { built: Arc::clone(&built), stage: Stage::Encoding });
        if self.state.encoding.as_ref().is_some_and(|(hash, _)| *hash == core_hash) {
            return self.collect(core_hash);
        }
        let (chain, worker) = (self.chain.clone(), self.worker.clone());
        let l2_chain_id = self.config.parameters.l2_chain_id;
        let others = built.snapshot.members.len() > 1;
        tokio::spawn(async move {
            let encoding = match inputs(&built.core, &chain).await {
                Some(inputs) => blocking(move || attest::make(&inputs, l2_chain_id, others)).await,
                None => Err(EncodingError::Unavailable),
            };
            let _ = worker.send(Done::Encoded { core_hash, encoding }).await;
        });
        Ok(())
    }

    /// Signs the own encoding and begins to collect the others' signatures.
    fn collect(&mut self, core_hash: B256) -> Result<(), Error> {
        let Some(round) = &self.state.round else { return Ok(()) };
        let Some((hash, encoding)) = &self.state.encoding else { return Ok(()) };
        if round.built.core_hash != core_hash || *hash != core_hash {
            return Ok(());
        }
        let (built, encoding) = (Arc::clone(&round.built), encoding.clone());
        let Some(own) = self.sign(&built, encoding.data_hash)? else {
            self.failed(core_hash, "another core of this batch was signed before");
            return Ok(());
        };
        let (chain_id, inbox) = (self.config.l1_chain_id, self.config.inbox);
        let mut collector = Collector::new(Arc::clone(&built.snapshot), chain_id, inbox, core_hash, encoding.data_hash);
        collector.take(&self.config.identity, &own.signature);
        self.witness.know(&built);
        let collecting = Collecting::new(collector, encoding, own.signature, Instant::now(), self.config.sign_wait);
        self.state.round = Some(Round { built, stage: Stage::Collecting(Box::new(collecting)) });
        Ok(())
    }

    /// Sends the batch to L1.
    fn send(&mut self, certificate: &Certificate) {
        let Some(round) = self.state.round.take() else { return };
        let Round { built, stage: Stage::Collecting(collecting) } = round else { return };
        let Collecting { encoding, collector, .. } = *collecting;
        let absent = collector.absent();
        tracing::info!(index = %built.core.index, last = %built.core.last_height, bytes = encoding.data.len(), blobs = encoding.blobs.len(), absent, "posting a batch");
        let call = Call {
            label: "post",
            to: self.config.inbox,
            input: post_call(&built, certificate),
            blobs: encoding.blobs.clone(),
        };
        let (ledger, archive, worker) = (self.ledger.clone(), self.archive.clone(), self.worker.clone());
        let (index, core_hash, blobs) = (built.core.index, built.core_hash, encoding.blobs);
        tokio::spawn(async move {
            // Kept before it is public: whoever derives from L1 finds them here.
            let kept = tokio::task::spawn_blocking(move || archive.put(index, &blobs)).await;
            let sent = match kept {
                Ok(Ok(())) => ledger.send(call).await,
                Ok(Err(error)) => Sent::Failed { reason: error.to_string() },
                Err(error) => Sent::Failed { reason: error.to_string() },
            };
            let _ = worker.send(Done::Sent { core_hash, sent }).await;
        });
        self.state.round = Some(Round { built, stage: Stage::Sending });
    }

    fn on_sent(&mut self, core_hash: B256, sent: Sent) {
        let until = self.state.standing.map_or(0, |s| s.l1_head) + SETTLE_BLOCKS;
        let label = match &sent {
            Sent::Included { .. } => "included",
            Sent::Reverted { .. } => "reverted",
            Sent::Refused { .. } => "refused",
            Sent::Failed { .. } => "failed",
        };
        metrics::counter!("baton_poster_posts_total", "outcome" => label).increment(1);
        let Some(round) = self.state.round.as_mut().filter(|r| r.built.core_hash == core_hash) else { return };
        match sent {
            Sent::Included { transaction, l1_number } => {
                tracing::info!(index = %round.index(), %transaction, l1_number, "batch posted");
                round.stage = Stage::Settling { until: until.max(l1_number + SETTLE_BLOCKS) };
            }
            Sent::Reverted { reason, .. } | Sent::Refused { reason } | Sent::Failed { reason } => {
                self.failed(core_hash, &reason);
            }
        }
    }

    /// Ends the round; it is tried again after some L1 blocks, more after each failure.
    fn failed(&mut self, core_hash: B256, reason: &str) {
        if self.state.round.as_ref().is_none_or(|r| r.built.core_hash != core_hash) {
            return;
        }
        self.state.round = None;
        self.state.failures += 1;
        let pause = self.state.failures.min(8);
        self.state.not_before = self.state.standing.map_or(0, |s| s.l1_head) + pause;
        tracing::warn!(reason, failures = self.state.failures, pause, "posting failed, trying again");
        self.status.send_modify(|s| s.error = Some(reason.to_owned()));
    }
}

fn post_call(built: &Built, certificate: &Certificate) -> Bytes {
    let performance = built.performance.as_ref().map(|p| p.to_bytes()).unwrap_or_default();
    postCall {
        core: IBatchInbox::Core::from(&built.core),
        certificate: IBatchInbox::Certificate::new(certificate.signers, &certificate.signature),
        performance,
        data: Bytes::new(),
    }
    .abi_encode()
    .into()
}

async fn blocking(
    work: impl FnOnce() -> Result<Encoding, EncodingError> + Send + 'static,
) -> Result<Encoding, EncodingError> {
    in_background(work).await.unwrap_or(Err(EncodingError::Unavailable))
}
