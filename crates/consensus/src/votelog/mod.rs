//! Vote journals, each in one file.
//!
//! The engine keeps a section a view and has it on disk before a vote leaves. Left to the runtime each section is a file: three syncs
//! to make it (the file, its directory, the directory above), one or two for what is in it, all before the vote, at every view. Here
//! the sections of a journal are in memory (a few kilobytes each, some hundred views) and their changes in one log: a sync is one
//! write at its end.
//!
//! ```text
//! engine's journal -> sections -> records -> frame, written and synced -> vote
//! ```

mod frame;
mod log;

use crate::storage::Env;
use commonware_runtime::{
    BlobVersion, Clock, Error, Handle, Metrics, Name, Spawner, Storage, Supervisor, signal,
    telemetry::metrics::{Metric, Registered},
};
use futures::lock::Mutex;
use governor::clock::{Clock as GovernorClock, ReasonablyRealtime};
use log::{Log, Section};
use rand_core::{TryCryptoRng, TryRng};
use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    future::Future,
    ops::RangeInclusive,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// The logs of a node that are open.
type Logs<E> = Arc<Mutex<HashMap<String, Arc<Log<E>>>>>;

/// A runtime whose storage is logs, a partition each.
pub(crate) struct Logged<E: Storage> {
    runtime: E,
    logs: Logs<E>,
}

impl<E: Env> Logged<E> {
    /// Over a runtime, with no log open.
    pub(crate) fn new(runtime: E) -> Self {
        Self { runtime, logs: Logs::default() }
    }

    /// The same logs, for what runs on `runtime`.
    pub(crate) fn on(&self, runtime: E) -> Self {
        Self { runtime, logs: self.logs.clone() }
    }

    /// The log of a partition, opened or made if it is not open.
    async fn log(&self, partition: &str) -> Result<Arc<Log<E>>, Error> {
        let mut logs = self.logs.lock().await;
        if let Some(log) = logs.get(partition) {
            return Ok(log.clone());
        }
        let log = Arc::new(Log::open(self.runtime.child("vote_log"), partition).await?);
        logs.insert(partition.into(), log.clone());
        Ok(log)
    }
}

impl<E: Env> Storage for Logged<E> {
    type Blob = Section<E>;

    async fn open_versioned(
        &self,
        partition: &str,
        name: &[u8],
        versions: RangeInclusive<BlobVersion>,
    ) -> Result<(Self::Blob, u64, BlobVersion), Error> {
        self.log(partition).await?.section(name, versions).await
    }

    async fn remove(&self, partition: &str, name: Option<&[u8]>) -> Result<(), Error> {
        let Some(name) = name else {
            if let Some(log) = self.logs.lock().await.remove(partition) {
                log.remove_all();
            }
            return self.runtime.remove(partition, None).await;
        };
        self.log(partition).await?.remove(name)
    }

    async fn scan(&self, partition: &str) -> Result<Vec<Vec<u8>>, Error> {
        // A partition without a file has no log, and gets none by being looked at.
        if self.runtime.scan(partition).await?.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.log(partition).await?.names())
    }
}

// -- The runtime's other parts are the runtime's.

impl<E: Env> Supervisor for Logged<E> {
    fn name(&self) -> Name {
        self.runtime.name()
    }

    fn child(&self, label: &'static str) -> Self {
        self.on(self.runtime.child(label))
    }

    fn with_attribute(self, key: &'static str, value: impl fmt::Display) -> Self {
        Self { runtime: self.runtime.with_attribute(key, value), logs: self.logs }
    }
}

impl<E: Env> Spawner for Logged<E> {
    fn shared(self, blocking: bool) -> Self {
        Self { runtime: self.runtime.shared(blocking), logs: self.logs }
    }

    fn dedicated(self) -> Self {
        Self { runtime: self.runtime.dedicated(), logs: self.logs }
    }

    fn spawn<F, Fut, T>(self, f: F) -> Handle<T>
    where
        F: FnOnce(Self) -> Fut + Send + 'static,
        Fut: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let logs = self.logs;
        self.runtime.spawn(move |runtime| f(Self { runtime, logs }))
    }

    async fn stop(self, value: i32, timeout: Option<Duration>) -> Result<(), Error> {
        self.runtime.stop(value, timeout).await
    }

    fn stopped(&self) -> signal::Signal {
        self.runtime.stopped()
    }
}

impl<E: Env> Metrics for Logged<E> {
    fn register<N: Into<String>, H: Into<String>, M: Metric>(&self, name: N, help: H, metric: M) -> Registered<M> {
        self.runtime.register(name, help, metric)
    }

    fn encode(&self) -> String {
        self.runtime.encode()
    }
}

impl<E: Env> GovernorClock for Logged<E> {
    type Instant = SystemTime;

    fn now(&self) -> SystemTime {
        self.runtime.now()
    }
}

impl<E: Env> ReasonablyRealtime for Logged<E> {}

impl<E: Env> Clock for Logged<E> {
    fn current(&self) -> SystemTime {
        self.runtime.current()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static + use<E> {
        self.runtime.sleep(duration)
    }

    fn sleep_until(&self, deadline: SystemTime) -> impl Future<Output = ()> + Send + 'static + use<E> {
        self.runtime.sleep_until(deadline)
    }
}

impl<E: Env> TryRng for Logged<E> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.runtime.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.runtime.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.runtime.try_fill_bytes(bytes)
    }
}

impl<E: Env> TryCryptoRng for Logged<E> {}
