//! One reader of the chain's heads for all connections: what a head looks like in JSON is computed once, and
//! transactions that somebody waits for are announced.

use crate::{
    convert,
    envelope::{Json, json},
    error::RpcError,
    ports::{Backend, ExecutedBlock},
};
use alloy::{primitives::B256, rpc::types::Log};
use baton_primitives::Height;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    sync::{broadcast, broadcast::error::RecvError, oneshot},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

/// Heads that a slow connection may lag behind; beyond, it is dropped.
const BACKLOG: usize = 512;
/// Transactions that may be waited for at a time.
const MAX_WAITERS: usize = 10_000;
/// How often expired filters and abandoned waiters are swept.
const SWEEP: Duration = Duration::from_secs(15);

/// A new head.
pub(crate) struct Head {
    pub(crate) executed: ExecutedBlock,
    header: OnceLock<Json>,
    logs: OnceLock<Vec<Log>>,
}

impl Head {
    pub(crate) const fn new(executed: ExecutedBlock) -> Self {
        Self { executed, header: OnceLock::new(), logs: OnceLock::new() }
    }

    /// The header as `newHeads` shows it.
    pub(crate) fn header(&self) -> &Json {
        self.header.get_or_init(|| {
            let block = &self.executed.block;
            json(&convert::header(block.hash(), block.header().clone(), None)).unwrap_or_default()
        })
    }

    /// All logs of the block.
    pub(crate) fn logs(&self) -> &[Log] {
        self.logs.get_or_init(|| convert::block_logs(&self.executed.block, &self.executed.receipts))
    }
}

/// A waited-for transaction: the head that holds it, and its index there.
pub(crate) type Found = (Arc<Head>, usize);

/// Spreads heads.
pub(crate) struct Hub {
    heads: broadcast::Sender<Arc<Head>>,
    waiters: Mutex<HashMap<B256, Vec<oneshot::Sender<Found>>>>,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self { heads: broadcast::Sender::new(BACKLOG), waiters: Mutex::default() }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<Head>> {
        self.heads.subscribe()
    }

    /// Waits for a transaction. Ask before submitting it, so that its block cannot pass unseen.
    pub(crate) fn wait_for(&self, transaction: B256) -> Result<oneshot::Receiver<Found>, RpcError> {
        let (sender, receiver) = oneshot::channel();
        let mut waiters = self.waiters.lock();
        if waiters.len() >= MAX_WAITERS {
            let message = format!("{MAX_WAITERS} transactions are being waited for; use eth_sendRawTransaction");
            return Err(RpcError::limit(message));
        }
        waiters.entry(transaction).or_default().push(sender);
        Ok(receiver)
    }

    fn publish(&self, executed: ExecutedBlock) {
        let head = Arc::new(Head::new(executed));
        let mut waiters = self.waiters.lock();
        if !waiters.is_empty() {
            for (index, transaction) in head.executed.block.transactions().iter().enumerate() {
                for waiter in waiters.remove(&transaction.tx_hash()).into_iter().flatten() {
                    // A waiter that has given up does not matter.
                    let _ = waiter.send((Arc::clone(&head), index));
                }
            }
        }
        drop(waiters);
        // Without subscribers there is nobody to tell.
        let _ = self.heads.send(head);
    }

    fn sweep(&self) {
        self.waiters.lock().retain(|_, waiting| {
            waiting.retain(|w| !w.is_closed());
            !waiting.is_empty()
        });
    }

    /// Follows the chain until it is told to stop. Heads that this reader itself missed are read from the store.
    pub(crate) async fn run<B: Backend>(
        &self,
        backend: &B,
        mut heads: broadcast::Receiver<ExecutedBlock>,
        mut on_sweep: impl FnMut(),
        stop: CancellationToken,
    ) {
        let mut last: Option<Height> = None;
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                head = heads.recv() => match head {
                    Ok(head) => {
                        let height = head.block.height();
                        self.catch_up(backend, last, height);
                        last = Some(height);
                        self.publish(head);
                    }
                    Err(RecvError::Lagged(count)) => tracing::warn!(count, "heads were missed; reading them from the store"),
                    Err(RecvError::Closed) => return,
                },
                _ = sweep.tick() => {
                    self.sweep();
                    on_sweep();
                }
            }
        }
    }

    fn catch_up<B: Backend>(&self, backend: &B, last: Option<Height>, height: Height) {
        let Some(last) = last else { return };
        let mut next = last.next();
        while next < height {
            match backend.executed(next) {
                Ok(Some(executed)) => self.publish(executed),
                missing => {
                    tracing::warn!(%next, error = ?missing.err(), "a missed head is not in the store");
                    return;
                }
            }
            next = next.next();
        }
    }
}
