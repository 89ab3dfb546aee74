//! Starts the actors in order, waits for the first that ends or for the signal, and stops them in order.
//!
//! ```text
//! L1 watcher -> engine, pool -> ledger -> consensus | follower -> poster, keeper -> rpc
//! stop:  consensus drains (gives the baton on) -> rpc -> the rest
//! ```

use crate::{
    admin::{self, Operator},
    batches::{self, Batches},
    certificates::Certificates,
    config::Config,
    error::NodeError,
    follow,
    forward::{self, Outbox, Submitter},
    genesis::genesis_of,
    keys::OperatorKeys,
    ledger::{FinalState, Ledger},
    metrics as node_metrics,
    parameters::{check_parameters, follow_parameters},
    posting,
    rpc::{Backend, Blobs},
    sequencing::Sequencing,
    sets::LedgerSets,
};
use baton_bindings::Deployment;
use baton_consensus::{Domain, Mailbox, Timing};
use baton_engine::Engine;
use baton_l1::{Endpoints, EndpointsConfig, Watcher, WatcherHandle};
use baton_pool::{Limits, Pool};
use baton_primitives::Generation;
use baton_rpc::Server;
use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, runtime::Handle, sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// Held while a node runs, so that no second one uses its directory.
const LOCK: &str = "lock";
/// Longest time in which final blocks are not yet written to the disk.
const SYNC_INTERVAL: Duration = Duration::from_millis(500);

/// Runs a node until `stop` is cancelled or something fails. An ordered stop gives the baton on first.
///
/// # Errors
/// Why it did not start, or which part failed.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), NodeError> {
    config.validate()?;
    let deployment = Deployment::load(&config.deployment)?;
    let keys = config.keys.as_deref().map(OperatorKeys::load).transpose()?;
    let _lock = lock(&config.data_dir)?;
    let (genesis, genesis_block) = genesis_of(&deployment)?;
    let listener = listen("JSON-RPC", "rpc.addr", config.rpc.addr).await?;
    let mut tasks = Tasks { set: JoinSet::new(), stop: CancellationToken::new() };
    if let (Some(address), Some(recorder)) = (config.metrics.addr, node_metrics::record()) {
        let serving = node_metrics::serve(address, recorder, tasks.stop.clone()).await?;
        tasks.spawn("metrics", async move {
            serving.await;
            Ok(())
        });
    }

    let endpoints = endpoints(&config, &deployment)?;
    let l1 = watch_l1(&mut tasks, &endpoints, &deployment);
    // Nothing has been released yet, so none has gone before it is archived.
    l1.view.hold_batches();
    tasks.spawn("parameter check", check_parameters(endpoints.clone(), deployment.clone()));

    let following = follow_parameters(endpoints.clone(), deployment.clone(), tasks.stop.clone());
    tasks.spawn("governed parameters", following);
    let engine = open_engine(&config, genesis.clone()).await?;
    let pool = open_pool(&config.data_dir, config.pool.clone(), &engine)?;
    let certificates = Certificates::open(&config.data_dir.join("certificates.redb"))?;
    let batches = Batches::open(&config.data_dir.join("batches.redb"));
    let batches = Arc::new(batches.map_err(|error| NodeError::Batches(error.to_string()))?);
    let archiving = batches::archive(Arc::clone(&batches), l1.view.clone(), tasks.stop.clone());
    tasks.spawn("archive of batches", archiving);
    let genesis_block = Arc::new(genesis_block);
    let ledger =
        Arc::new(Ledger::new(engine.clone(), pool, l1.view.clone(), genesis_block, genesis.origin, certificates));
    let (height, hash) = ledger.engine.head();
    tracing::info!(height, %hash, chain = ledger.parameters.l2_chain_id, "chain opened");
    let domain =
        Domain { l1_chain_id: deployment.l1_chain_id, inbox: deployment.addresses.inbox, generation: Generation::ZERO };

    let mut mailbox = None;
    let (submitter, submitted) = Submitter::new(ledger.pool.clone());
    let mut blobs: Blobs = Box::new(|_| None);
    match keys {
        Some(keys) => {
            let sequencer = Sequencer { config: &config, deployment: &deployment, domain, keys, endpoints: &endpoints };
            let started = sequencer.start(&mut tasks, &ledger, submitted)?;
            blobs = Box::new(move |hash| started.archive.get(&hash).map(|blob| blob.to_vec().into()));
            mailbox = Some(started.mailbox);
        }
        None => {
            let sets = LedgerSets(Arc::clone(&ledger));
            let following = follow::follow(sets, domain, config.follow.clone(), tasks.stop.clone());
            tasks.spawn("follower", async move {
                following.await;
                Ok(())
            });
            let forwarding = forward::to_upstream(Outbox::new(submitted, ledger.pool.clone()), config.follow.clone());
            tasks.spawn("forwarding", async move {
                forwarding.await;
                Ok(())
            });
        }
    }

    let status = mailbox.as_ref().map(Mailbox::status);
    let backend = Arc::new(Backend::new(Arc::clone(&ledger), submitter, status, blobs, batches));
    let address = listener.local_addr().unwrap_or(config.rpc.addr);
    if let Some(admin) = config.admin.addr {
        serve_admin(&mut tasks, admin, address, &config, Arc::clone(&backend), &stop).await?;
    }
    let server = Server::new(config.rpc.server.clone(), backend);
    let served = tasks.stop.clone();
    tasks.spawn("JSON-RPC", async move {
        server.serve(listener, served).await;
        Ok(())
    });
    tracing::info!(%address, role = if mailbox.is_some() { "sequencer" } else { "follower" }, "node serves JSON-RPC");

    let outcome = tasks.first_end_or(&stop).await;
    if let Some(mailbox) = mailbox.filter(|_| outcome.is_ok()) {
        tracing::info!("stopping: giving the baton on");
        mailbox.drain().await;
    }
    tasks.end().await;
    outcome.and(last_write(engine).await)
}

/// Serves the operator's JSON-RPC.
async fn serve_admin(
    tasks: &mut Tasks,
    address: SocketAddr,
    rpc: SocketAddr,
    config: &Config,
    backend: Arc<Backend>,
    stop: &CancellationToken,
) -> Result<(), NodeError> {
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "the operator's JSON-RPC has no TLS: give it a loopback address and a tunnel");
    }
    let token = admin::token(&config.data_dir)?;
    let listener = listen("the operator's JSON-RPC", "admin.addr", address).await?;
    let address = listener.local_addr().unwrap_or(address);
    let operator = Operator {
        backend,
        data_dir: config.data_dir.clone(),
        rpc,
        p2p: config.keys.is_some().then_some(config.p2p.addr),
        started: Instant::now(),
        stop: stop.clone(),
    };
    let served = tasks.stop.clone();
    tasks.spawn("the operator's JSON-RPC", async move {
        baton_rpc::serve_admin(listener, &token, Arc::new(operator), served).await;
        Ok(())
    });
    tracing::info!(%address, "node serves the operator's JSON-RPC");
    Ok(())
}

/// What a sequencer's node has beside a follower's.
struct Sequencer<'a> {
    config: &'a Config,
    deployment: &'a Deployment,
    domain: Domain,
    keys: OperatorKeys,
    endpoints: &'a Endpoints,
}

struct Started {
    mailbox: Mailbox,
    archive: baton_poster::Archive,
}

impl Sequencer<'_> {
    fn start(
        self,
        tasks: &mut Tasks,
        ledger: &Arc<Ledger>,
        submitted: mpsc::Receiver<alloy::primitives::Bytes>,
    ) -> Result<Started, NodeError> {
        let directory = self.config.data_dir.join("consensus");
        let consensus = baton_consensus::Config {
            domain: self.domain,
            parameters: ledger.parameters.clone(),
            timing: Timing::of(&ledger.parameters),
            genesis: Arc::clone(&ledger.genesis),
            identity: self.keys.identity.clone(),
            vote_key: self.keys.vote.clone(),
            directory,
            listen: self.config.p2p.addr,
            allow_private_ips: true,
            bypass_ip_check: true,
            trust_journal: self.config.consensus.trust_journal,
            worker_threads: 2,
        };
        let chain = Arc::new(Sequencing::new(Arc::clone(ledger), Handle::current()));
        let sets = Arc::new(LedgerSets(Arc::clone(ledger)));
        let (actor, mailbox, streams) = baton_consensus::Actor::new(consensus, chain, sets)?;
        let running = actor.start();
        tasks.spawn("consensus", async move { Ok(running.await.map_err(|_| NodeError::Ended("consensus"))??) });

        let (sender, outbox) = (mailbox.clone(), Outbox::new(submitted, ledger.pool.clone()));
        tasks.spawn("forwarding", async move {
            forward::to_members(outbox, sender).await;
            Ok(())
        });
        let pool = ledger.pool.clone();
        tasks.spawn("forwarded transactions", async move {
            forward::from_members(streams.transactions, pool).await;
            Ok(())
        });
        let archive = posting::start(
            tasks,
            &posting::Setup {
                config: self.config,
                deployment: self.deployment,
                keys: &self.keys,
                endpoints: self.endpoints,
                ledger,
                mailbox: &mailbox,
            },
            streams.attest,
            streams.evidence,
        )?;
        Ok(Started { mailbox, archive })
    }
}

/// The node's tasks: the first that ends, ends the node.
pub(crate) struct Tasks {
    pub(crate) set: JoinSet<(&'static str, Result<(), NodeError>)>,
    /// Stops every task that watches it.
    pub(crate) stop: CancellationToken,
}

impl Tasks {
    pub(crate) fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), NodeError>> + Send + 'static,
    ) {
        self.set.spawn(async move { (name, task.await) });
    }

    /// Waits for the stop signal (`Ok`), or for the first task that should not have ended.
    pub(crate) async fn first_end_or(&mut self, stop: &CancellationToken) -> Result<(), NodeError> {
        loop {
            let ended = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                ended = self.set.join_next() => ended,
            };
            match ended {
                // A check that passed is done; everything else should run for ever.
                Some(Ok(("parameter check", Ok(())))) => {}
                Some(Ok((name, Ok(())))) => return Err(NodeError::Ended(name)),
                Some(Ok((name, Err(error)))) => {
                    tracing::error!(task = name, %error, "a part of the node failed: the node stops");
                    return Err(error);
                }
                Some(Err(panic)) => {
                    tracing::error!(%panic, "a part of the node panicked: the node stops");
                    return Err(NodeError::Ended("a task"));
                }
                None => return Err(NodeError::Ended("every task")),
            }
        }
    }

    pub(crate) async fn end(&mut self) {
        self.stop.cancel();
        let all = async { while self.set.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(3), all).await.is_err() {
            self.set.abort_all();
        }
    }
}

/// Holds the data directory until dropped.
pub(crate) fn lock(data_dir: &Path) -> Result<fs::File, NodeError> {
    let failed = |source| NodeError::DataDir { path: data_dir.into(), source };
    fs::create_dir_all(data_dir).map_err(failed)?;
    let file = fs::File::create(data_dir.join(LOCK)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(NodeError::InUse(data_dir.into())),
        Err(fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

pub(crate) async fn listen(
    what: &'static str,
    flag: &'static str,
    address: std::net::SocketAddr,
) -> Result<TcpListener, NodeError> {
    TcpListener::bind(address).await.map_err(|source| NodeError::Listen { what, flag, address, source })
}

pub(crate) fn endpoints(config: &Config, deployment: &Deployment) -> Result<Endpoints, NodeError> {
    Ok(Endpoints::new(EndpointsConfig::new(config.l1.url.clone(), deployment.l1_chain_id))?)
}

/// Starts the watcher of L1.
pub(crate) fn watch_l1(tasks: &mut Tasks, endpoints: &Endpoints, deployment: &Deployment) -> WatcherHandle {
    let start = deployment.block.min(deployment.genesis.origin_number);
    let mut config = baton_l1::Config::new(deployment.addresses, start);
    let block_time = Duration::from_secs(deployment.parameters.l1_block_time);
    config.poll_interval = (block_time / 5).clamp(Duration::from_millis(100), Duration::from_secs(2));
    let (watcher, handle) = Watcher::new(config, endpoints.clone());
    let running = watcher.start(tasks.stop.clone());
    tasks.spawn("L1 watcher", async move { Ok(running.await.map_err(|_| NodeError::Ended("L1 watcher"))??) });
    handle
}

/// Writes what is final and not written yet.
pub(crate) async fn last_write(engine: Engine) -> Result<(), NodeError> {
    let written = tokio::task::spawn_blocking(move || engine.sync()).await;
    let written = written.map_err(|_| NodeError::Ended("the last write"))?;
    written.map(drop).map_err(|error| NodeError::Engine(error.into()))
}

pub(crate) async fn open_engine(node: &Config, genesis: baton_engine::Genesis) -> Result<Engine, NodeError> {
    let mut config = baton_engine::Config::new(node.data_dir.join("state"), genesis);
    config.history_blocks = node.history_blocks;
    config.call_gas_cap = node.rpc.server.gas_cap;
    config.call_timeout = node.rpc.server.long_read_timeout;
    // A killed node is given the last blocks again: by consensus, which has them on disk, by the feed, or by L1.
    config.sync_interval = SYNC_INTERVAL;
    let opened = tokio::task::spawn_blocking(move || Engine::open(config)).await;
    Ok(opened.map_err(|_| NodeError::Ended("opening the state"))??)
}

pub(crate) fn open_pool(data_dir: &Path, limits: Limits, engine: &Engine) -> Result<Pool, NodeError> {
    let parameters = engine.parameters();
    let mut config = baton_pool::Config::new(parameters.l2_chain_id, parameters.l2_gas_limit);
    config.least_fee = u128::from(baton_derive::MIN_BASE_FEE);
    config.journal = Some(data_dir.join("transactions"));
    config.limits = limits;
    Pool::open(config, FinalState(engine.clone())).map_err(NodeError::Pool)
}
