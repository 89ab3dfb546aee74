//! The actor: its own thread with its own runtime; queues and ports in between.

use crate::{
    ConfigError, Error,
    config::Config,
    core::{self, Inbox},
    epochs::Drained,
    ingress::{self, Mailbox, Streams},
    network,
    ports::{Chain, Sets},
    status::Status,
    storage::Names,
};
use commonware_runtime::{Runner as _, Spawner as _, Supervisor as _, tokio as runtime};
use std::{net::TcpListener, panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use tracing::{error, info};

/// Longest time that engines may take to flush their journals at the end.
const FLUSH: Duration = Duration::from_secs(5);

/// Consensus, made but not started.
pub struct Actor<C, T> {
    config: Arc<Config>,
    chain: Arc<C>,
    sets: Arc<T>,
    inbox: Inbox,
}

impl<C: Chain, T: Sets> Actor<C, T> {
    /// Checks the configuration and makes the queues. Starts nothing.
    ///
    /// # Errors
    /// If the configuration is refused.
    pub fn new(config: Config, chain: Arc<C>, sets: Arc<T>) -> Result<(Self, Mailbox, Streams), ConfigError> {
        config.validate()?;
        let (inbox, mailbox, streams) = queues();
        Ok((Self { config: Arc::new(config), chain, sets, inbox }, mailbox, streams))
    }

    /// Starts the thread. The handle ends with `Ok` after a drain, else with the reason; the process should end with it.
    /// Must be called inside a tokio runtime, which only carries the handle.
    pub fn start(self) -> JoinHandle<Result<(), Error>> {
        let (report, outcome) = oneshot::channel();
        let spawned = std::thread::Builder::new().name("consensus".into()).spawn(move || {
            let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| self.run()))
                .unwrap_or_else(|panic| Err(Error::Panicked(text_of(panic.as_ref()))));
            if let Err(fault) = &outcome {
                error!(%fault, "consensus ended");
            }
            let _ = report.send(outcome);
        });
        tokio::spawn(async move {
            if let Err(fault) = spawned {
                return Err(Error::Panicked(format!("cannot start its thread: {fault}")));
            }
            outcome.await.unwrap_or(Err(Error::Ended("the consensus thread")))
        })
    }

    fn run(self) -> Result<(), Error> {
        let Self { config, chain, sets, inbox } = self;
        // The network panics where it cannot bind: find out before, with a name.
        let address = config.listen;
        drop(TcpListener::bind(address).map_err(|source| Error::Listen { address, source })?);
        let settings = runtime::Config::new()
            .with_worker_threads(config.worker_threads.max(1))
            .with_storage_directory(config.directory.clone());
        runtime::Runner::new(settings).start(|context| async move {
            let (network, wire) = network::authenticated(context.child("network"), &config);
            let mut network = network.start();
            let names = Names { owner: String::new(), generation: config.domain.generation };
            let outcome = tokio::select! {
                biased;
                _ = &mut network => Err(Error::Ended("the peer network")),
                outcome = core::run(context.child("core"), config, names, chain, sets, wire, inbox) => outcome,
            };
            let flushed = context.stop(0, Some(FLUSH)).await;
            let Drained(done) = outcome?;
            if let Err(fault) = flushed {
                error!(%fault, "journals were not flushed in time");
            }
            if let Some(done) = done {
                let _ = done.send(());
            }
            info!("consensus drained");
            Ok(())
        })
    }
}

/// The queues between consensus and the rest: inner ends, outer ends.
pub(crate) fn queues() -> (Inbox, Mailbox, Streams) {
    let (outgoing, outgoing_receiver) = mpsc::channel(ingress::OUTGOING);
    let (requests, requests_receiver) = mpsc::channel(ingress::REQUESTS);
    let (status, status_receiver) = watch::channel(Status::default());
    let (attest, attest_receiver) = mpsc::channel(ingress::INCOMING);
    let (transactions, transactions_receiver) = mpsc::channel(ingress::INCOMING);
    let (evidence, evidence_receiver) = mpsc::channel(ingress::EVIDENCE);
    let inbox =
        Inbox { outgoing: outgoing_receiver, requests: requests_receiver, status, attest, transactions, evidence };
    let mailbox = Mailbox { outgoing, requests, status: status_receiver };
    let streams = Streams { attest: attest_receiver, transactions: transactions_receiver, evidence: evidence_receiver };
    (inbox, mailbox, streams)
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
        .unwrap_or_else(|| "no message".to_owned())
}
