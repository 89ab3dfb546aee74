//! Follows L1 block by block.
//!
//! ```text
//! poll | new head over WebSocket -> look: the heads of all endpoints -> follow one of them
//!     its next headers link to the tip  -> logs, checked -> other endpoints agree by hash -> view, subscribers
//!     they do not                       -> walk back to the common block -> Revert -> again
//! ```
//!
//! An endpoint that fails pauses and another is followed; nothing is emitted twice or out of order, whichever one answers.

use crate::{
    BlobSchedule, Config, ContractEvent, Endpoints, Error, L1Event, L1View, Status,
    endpoint::{self, Endpoint},
    error::Class,
    event::L1Block,
    fetch::{self, Scope},
    snapshots,
    tail::Tail,
};
use alloy::{
    eips::BlockNumHash,
    primitives::{Bytes, U64},
    rpc::types::Header,
};
use baton_bindings::contracts::pool::SequencerPool::SequencerPoolEvents;
use futures::{StreamExt, future::join_all, stream::FuturesUnordered};
use serde_json::json;
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// How far an endpoint may be behind the best one and still be followed or asked to confirm, blocks.
const STALE: u64 = 2;
/// How long other endpoints are waited for once one has answered.
const GRACE: Duration = Duration::from_millis(500);
/// Longest pause between two attempts to look at L1.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The watching actor. Construction starts nothing.
#[derive(Debug)]
pub struct Watcher {
    config: Config,
    endpoints: Endpoints,
    view: L1View,
    status: watch::Sender<Status>,
    subscribers: Vec<mpsc::Sender<L1Event>>,
    tail: Tail,
    scope: Option<Scope>,
    chunk: usize,
    marked: Option<BlockNumHash>,
}

/// Handles of a [`Watcher`]; clones are cheap.
#[derive(Clone, Debug)]
pub struct WatcherHandle {
    /// What is known of L1 now.
    pub view: L1View,
    /// How the watcher is doing.
    pub status: watch::Receiver<Status>,
}

/// What one look at L1 led to.
#[derive(Debug)]
enum Progress {
    /// There is more to read right away.
    More,
    /// The tip is the head.
    CaughtUp,
}

impl Watcher {
    /// A watcher of the contracts over these endpoints.
    pub fn new(config: Config, endpoints: Endpoints) -> (Self, WatcherHandle) {
        let view = L1View::new(config.max_reorg);
        let status = watch::Sender::new(Status::starting());
        let handle = WatcherHandle { view: view.clone(), status: status.subscribe() };
        let tail = Tail::new(&config.start, config.max_reorg);
        let chunk = config.chunk.get();
        let watcher =
            Self { config, endpoints, view, status, subscribers: Vec::new(), tail, scope: None, chunk, marked: None };
        (watcher, handle)
    }

    /// A stream of all events from the start on. If it is full the watcher waits: a consumer that may be slow must not
    /// share a watcher with one that may not wait. The view is always updated before the event is sent.
    pub fn subscribe(&mut self, capacity: usize) -> mpsc::Receiver<L1Event> {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        self.subscribers.push(sender);
        receiver
    }

    /// Runs until `shutdown` or a fatal error.
    pub fn start(self, shutdown: CancellationToken) -> JoinHandle<Result<(), Error>> {
        tokio::spawn(async move { shutdown.run_until_cancelled_owned(self.run()).await.unwrap_or(Ok(())) })
    }

    async fn run(mut self) -> Result<(), Error> {
        let nudge = Arc::new(Notify::new());
        let mut listeners = JoinSet::new();
        for (index, _) in self.endpoints.all().iter().enumerate().filter(|(_, e)| e.is_websocket()) {
            listeners.spawn(listen(self.endpoints.clone(), index, Arc::clone(&nudge)));
        }
        let mut failures = 0;
        loop {
            match Box::pin(self.look()).await {
                Ok(Progress::More) => failures = 0,
                Ok(Progress::CaughtUp) => {
                    failures = 0;
                    let _ = tokio::time::timeout(self.config.poll_interval, nudge.notified()).await;
                }
                Err(error) if error.class() != Class::Retry => {
                    tracing::error!(%error, "L1 watcher stops");
                    self.note(None, Some(&error));
                    return Err(error);
                }
                Err(error) => {
                    self.note(None, Some(&error));
                    self.chunk = (self.chunk / 2).max(1);
                    let pause = endpoint::backoff(Duration::from_millis(50), MAX_PAUSE, failures);
                    if failures % 10 == 0 {
                        tracing::warn!(%error, failures, ?pause, "cannot follow L1, trying again");
                    }
                    failures += 1;
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// One look at the heads of all endpoints, then one step along the best.
    async fn look(&mut self) -> Result<Progress, Error> {
        let endpoints = self.endpoints.clone();
        let (mut heads, last) = heads(&endpoints).await;
        let best = heads.iter().map(|(_, h)| h.inner.number).max();
        let Some(best) = best else {
            return match last {
                Some(error) => Err(error),
                // All are excluded: the call reports why.
                None => Err(endpoints.call::<_, U64>("eth_chainId", ()).await.err().unwrap_or(Error::NoEndpoint)),
            };
        };
        heads.retain(|(_, h)| h.inner.number + STALE >= best);
        let mut last = Error::NoEndpoint;
        for (index, (endpoint, head)) in heads.iter().enumerate() {
            let others: Vec<_> = heads.iter().enumerate().filter(|(i, _)| *i != index).map(|(_, (e, _))| *e).collect();
            let me = &mut *self;
            match me.follow(endpoint, head, &others).await {
                Ok(progress) => {
                    self.note(Some((endpoint, head)), None);
                    return Ok(progress);
                }
                Err(error) if error.class() == Class::Retry => {
                    endpoint.failed_with(&endpoints, &error);
                    last = error;
                }
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// One step towards `head` along `endpoint`.
    async fn follow(&mut self, endpoint: &Endpoint, head: &Header, others: &[&Endpoint]) -> Result<Progress, Error> {
        let scope = self.scope(endpoint, head).await?;
        let number = head.inner.number;
        if self.tail.hash(number) == Some(head.hash) || number < self.tail.next() && self.tail.hash(number).is_none() {
            self.mark(endpoint, head).await?;
            return Ok(Progress::CaughtUp);
        }
        if number < self.tail.next() {
            self.revert(endpoint, number).await?;
            return Ok(Progress::More);
        }
        let first = self.tail.next();
        let count = usize::try_from(number - first + 1).unwrap_or(usize::MAX).min(self.chunk);
        let headers = fetch::headers(endpoint, first, count).await?;
        let Some(next) = headers.first() else {
            return Err(Error::Missing { endpoint: endpoint.name().into(), what: format!("block {first}") });
        };
        if self.tail.tip().is_some_and(|tip| tip.hash != next.inner.parent_hash) {
            self.revert(endpoint, first - 1).await?;
            return Ok(Progress::More);
        }
        let blocks = fetch::blocks(endpoint, &scope, headers).await?;
        if let Some(last) = blocks.last() {
            confirm(last, endpoint, others).await?;
        }
        for block in blocks {
            self.accept(endpoint, block).await?;
        }
        self.chunk = (self.chunk * 2).min(self.config.chunk.get());
        Ok(Progress::More)
    }

    async fn accept(&mut self, endpoint: &Endpoint, block: L1Block) -> Result<(), Error> {
        if self.config.keep_view {
            let mut sealed = Vec::new();
            for log in &block.logs {
                let ContractEvent::SequencerPool(SequencerPoolEvents::SnapshotSealed(event)) = &log.event else {
                    continue;
                };
                let pool = self.config.contracts.pool;
                let snapshot = snapshots::read(endpoint, pool, event.id, block.hash).await?;
                if snapshot.seal_block != event.sealBlock || snapshot.seed != event.seed {
                    let what = format!("snapshot {} differs from its sealing event", event.id);
                    return Err(Error::Malformed { endpoint: endpoint.name().into(), what });
                }
                sealed.push(Arc::new(snapshot));
            }
            self.view.extend(&block, sealed).map_err(|what| Error::Inconsistent { number: block.number, what })?;
        }
        tracing::trace!(number = block.number, hash = %block.hash, logs = block.logs.len(), "L1 block");
        self.tail.push(block.number, block.hash, block.parent);
        metrics::gauge!("baton_l1_head").set(block.number as f64);
        self.emit(L1Event::Block(Arc::new(block))).await;
        Ok(())
    }

    /// Finds the newest own block that the endpoint has too, at `from` or below, and drops what is above.
    async fn revert(&mut self, endpoint: &Endpoint, from: u64) -> Result<(), Error> {
        let mut common = None;
        for ours in self.tail.descending(from) {
            if fetch::hash_at(endpoint, ours.number).await? == Some(ours.hash) {
                common = Some(ours);
                break;
            }
        }
        let Some(BlockNumHash { number, hash }) = common else {
            return Err(Error::ReorgTooDeep { lowest: self.tail.lowest() });
        };
        let depth = self.tail.next().saturating_sub(number + 1);
        tracing::info!(to = number, depth, %hash, "L1 reorganized");
        metrics::counter!("baton_l1_reorgs_total").increment(1);
        metrics::histogram!("baton_l1_reorg_blocks").record(depth as f64);
        self.tail.truncate(number);
        if self.config.keep_view {
            self.view.revert(number, hash);
        }
        self.marked = None;
        self.emit(L1Event::Revert { to: number, hash }).await;
        Ok(())
    }

    /// What L1 calls safe and finalized, as far as it lies on the followed chain.
    async fn mark(&mut self, endpoint: &Endpoint, head: &Header) -> Result<(), Error> {
        let head = BlockNumHash::new(head.inner.number, head.hash);
        if self.marked == Some(head) {
            return Ok(());
        }
        let mut marks = [None, None];
        for (mark, tag) in marks.iter_mut().zip(["safe", "finalized"]) {
            // Endpoints without these tags answer with an error, which is no reason to pause them.
            if let Ok(Some(header)) = fetch::header(endpoint, &json!(tag)).await {
                let number = header.inner.number;
                *mark = (self.tail.hash(number) == Some(header.hash)).then_some(BlockNumHash::new(number, header.hash));
            }
        }
        self.view.mark(marks[0], marks[1], true);
        self.marked = Some(head);
        Ok(())
    }

    /// What is read, once the deployment has been found on the chain.
    async fn scope(&mut self, endpoint: &Endpoint, head: &Header) -> Result<Scope, Error> {
        if let Some(scope) = &self.scope {
            return Ok(scope.clone());
        }
        let chain = self.endpoints.chain_id();
        let names = ["Staking", "SequencerPool", "BatchInbox", "Portal", "RevenueShare"];
        for (name, address) in names.into_iter().zip(fetch::watched(&self.config.contracts)) {
            let code: Bytes = endpoint.call("eth_getCode", (address, "latest")).await?;
            if code.is_empty() {
                return Err(Error::NotDeployed { chain, name, address });
            }
        }
        let schedule = match self.config.blob_schedule.clone() {
            Some(schedule) => schedule,
            None => BlobSchedule::discover(chain, endpoint).await?,
        };
        fetch::check_blob_price(endpoint, &schedule, head).await?;
        let scope = Scope { contracts: self.config.contracts, schedule };
        self.scope = Some(scope.clone());
        Ok(scope)
    }

    async fn emit(&mut self, event: L1Event) {
        let mut closed = false;
        for subscriber in &self.subscribers {
            closed |= subscriber.send(event.clone()).await.is_err();
        }
        if closed {
            self.subscribers.retain(|s| !s.is_closed());
        }
    }

    fn note(&self, followed: Option<(&Endpoint, &Header)>, error: Option<&Error>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.status.send_modify(|status| {
            status.connected = error.is_none();
            status.error = error.map(ToString::to_string);
            status.head = self.tail.next().saturating_sub(1);
            if let Some((endpoint, header)) = followed {
                status.endpoint = Some(endpoint.name().to_owned());
                status.remote_head = header.inner.number;
                status.lag = now.saturating_sub(Duration::from_secs(header.inner.timestamp));
            }
        });
        metrics::gauge!("baton_l1_connected").set(f64::from(u8::from(error.is_none())));
    }
}

/// The heads of the endpoints that are not paused, in order of preference, and the last failure. Once one has answered, the
/// others get only a little more time: a hanging endpoint must not hold up the others.
async fn heads(endpoints: &Endpoints) -> (Vec<(&Endpoint, Header)>, Option<Error>) {
    let latest = json!("latest");
    let order = endpoints.order();
    let latest = &latest;
    let ask = order.iter().copied().enumerate().map(|(index, endpoint)| async move {
        (index, endpoints.guarded(endpoint, fetch::header(endpoint, latest)).await)
    });
    let mut asked: FuturesUnordered<_> = ask.collect();
    let (mut found, mut last, mut deadline) = (Vec::new(), None, None);
    let mut silent: Vec<usize> = (0..order.len()).collect();
    loop {
        let next = match deadline {
            None => asked.next().await,
            Some(deadline) => tokio::time::timeout_at(deadline, asked.next()).await.unwrap_or_default(),
        };
        let Some((index, answer)) = next else { break };
        silent.retain(|i| *i != index);
        match answer {
            Ok(Some(header)) => {
                deadline.get_or_insert_with(|| Instant::now() + GRACE);
                found.push((index, header));
            }
            Ok(None) => {
                last = Some(Error::Missing { endpoint: order[index].name().into(), what: "the latest block".into() });
            }
            Err(error) => last = Some(error),
        }
    }
    for index in silent {
        let (endpoint, method) = (order[index].name().to_owned(), "eth_getBlockByNumber".to_owned());
        order[index].failed_with(endpoints, &Error::Timeout { endpoint, method, after: GRACE });
    }
    found.sort_by_key(|(index, _)| *index);
    (found.into_iter().map(|(index, header)| (order[index], header)).collect(), last)
}

/// Asks the other endpoints for the block's hash: more must agree than contradict, and with two endpoints none may
/// contradict. Endpoints that fail or do not have the block yet say nothing.
async fn confirm(block: &L1Block, endpoint: &Endpoint, others: &[&Endpoint]) -> Result<(), Error> {
    let ask = others.iter().map(|other| tokio::time::timeout(GRACE, fetch::hash_at(other, block.number)));
    let answers = join_all(ask).await;
    let mut balance = 1i64;
    let mut contradiction = None;
    for (other, answer) in others.iter().zip(answers) {
        match answer {
            Ok(Ok(Some(hash))) if hash == block.hash => balance += 1,
            Ok(Ok(Some(hash))) => {
                balance -= 1;
                contradiction = Some((other.name().to_owned(), hash));
            }
            Ok(Ok(None) | Err(_)) | Err(_) => {}
        }
    }
    match contradiction {
        Some((other, theirs)) if balance <= 0 => {
            tracing::warn!(number = block.number, ours = %block.hash, %theirs, endpoint = endpoint.name(), other, "endpoints disagree");
            Err(Error::Disagreement { number: block.number, ours: block.hash, theirs, endpoint: other })
        }
        _ => Ok(()),
    }
}

/// Wakes the watcher at each new head; subscribes anew when the connection ends.
async fn listen(endpoints: Endpoints, index: usize, nudge: Arc<Notify>) {
    let endpoint = &endpoints.all()[index];
    let mut failures = 0;
    loop {
        if let Ok(mut heads) = endpoint.heads().await {
            failures = 0;
            while heads.recv().await.is_ok() {
                nudge.notify_one();
            }
        }
        tokio::time::sleep(endpoint::backoff(Duration::from_millis(200), MAX_PAUSE, failures)).await;
        failures += 1;
    }
}
