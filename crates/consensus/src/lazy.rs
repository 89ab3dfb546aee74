//! The archives of final blocks and their certificates, synced for several blocks at once.
//!
//! Left to itself, the marshal hands a block to the chain when the syncs of both archives cover it. Here one that merely extends the
//! archives is handed over at once, and only its acknowledgement waits, after which the marshal never delivers it again: see
//! [`Barrier`]. What a crash takes from the archives comes back: a block was synced before this node voted for it, its certificate
//! follows from the vote journal or from peers.

use baton_primitives::Height;
use commonware_consensus::{
    Heightable as _,
    marshal::store::{Blocks, Certificates},
    simplex::types::Finalization,
    types,
};
use commonware_cryptography::Digestible;
use commonware_runtime::Handle;
use commonware_storage::archive::Identifier;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// Writes that share a sync. Few beside what the marshal delivers without an acknowledgement.
const TOGETHER: u64 = 16;

/// The lowest height that a crash may take from a store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Barrier(Arc<Mutex<Unsynced>>);

impl Barrier {
    /// The height; above all heights if a crash takes nothing.
    pub(crate) fn height(&self) -> Height {
        let unsynced = self.0.lock();
        let lowest = unsynced.started.values().copied().chain(unsynced.lowest).min();
        lowest.unwrap_or(Height::new(u64::MAX))
    }
}

/// Writes that no completed sync covers.
#[derive(Debug, Default)]
struct Unsynced {
    /// Lowest height written since the last sync was started.
    lowest: Option<Height>,
    /// Syncs on their way, in the order of their start, with the lowest height of each. One that fails stays.
    started: BTreeMap<u64, Height>,
}

/// A store of the marshal that puts most syncs off: up to [`TOGETHER`] writes have one. A write that does not extend the store by one
/// (a gap is filled, the node catches up) has its own, and so has the last block of an epoch, which is acknowledged by who starts the
/// next; the marshal delivers what those cover after them, as usual. So few blocks wait for their acknowledgement, and the marshal
/// goes on delivering.
pub(crate) struct Lazy<S> {
    store: S,
    syncs: Syncs,
}

impl<S> Lazy<S> {
    /// `newest` is the highest height in `store`.
    fn new(store: S, newest: Option<types::Height>, epoch_blocks: u64) -> Self {
        let newest = newest.map_or(Height::ZERO, |newest| Height::new(newest.get()));
        Self {
            store,
            syncs: Syncs { epoch_blocks, newest, barrier: Barrier::default(), writes: 0, due: false, count: 0 },
        }
    }

    pub(crate) fn barrier(&self) -> Barrier {
        self.syncs.barrier.clone()
    }
}

impl<S: Blocks> Lazy<S> {
    pub(crate) fn blocks(store: S, epoch_blocks: u64) -> Self {
        let newest = store.last_index();
        Self::new(store, newest, epoch_blocks)
    }
}

impl<S: Certificates> Lazy<S> {
    pub(crate) fn certificates(store: S, epoch_blocks: u64) -> Self {
        let newest = store.last_index();
        Self::new(store, newest, epoch_blocks)
    }
}

/// When a store syncs, and what that covers.
struct Syncs {
    epoch_blocks: u64,
    newest: Height,
    barrier: Barrier,
    /// Writes since the last sync was started.
    writes: u64,
    /// Whether they must not wait for others.
    due: bool,
    /// Syncs that were started.
    count: u64,
}

impl Syncs {
    fn wrote(&mut self, height: types::Height) {
        let height = Height::new(height.get());
        let mut unsynced = self.barrier.0.lock();
        unsynced.lowest = Some(unsynced.lowest.map_or(height, |lowest| lowest.min(height)));
        self.writes += 1;
        let extends = height == self.newest.next();
        self.due |= self.writes >= TOGETHER || !extends || height.closes_epoch(self.epoch_blocks);
        self.newest = self.newest.max(height);
    }

    /// A sync of all that was written so far is on its way; the handle notes its end.
    fn start(&mut self, handle: Handle<()>) -> Handle<()> {
        (self.writes, self.due) = (0, false);
        let number = self.count;
        self.count += 1;
        let barrier = self.barrier.clone();
        {
            let mut unsynced = barrier.0.lock();
            if let Some(lowest) = unsynced.lowest.take() {
                unsynced.started.insert(number, lowest);
            }
        }
        Handle::from_future(async move {
            handle.await?;
            // It covers what was written before it, and so do those that were started before.
            let mut unsynced = barrier.0.lock();
            unsynced.started = unsynced.started.split_off(&(number + 1));
            Ok(())
        })
    }

    /// All that was written so far survives a crash.
    fn complete(&mut self) {
        (self.writes, self.due) = (0, false);
        *self.barrier.0.lock() = Unsynced::default();
    }
}

/// What the two kinds of stores have alike, with no trait in common.
macro_rules! synced_lazily {
    () => {
        async fn sync(mut self) -> Result<Self, S::Error> {
            self.store = self.store.sync().await?;
            self.syncs.complete();
            Ok(self)
        }

        async fn start_sync(mut self) -> Result<(Self, Handle<()>), S::Error> {
            if !self.syncs.due {
                return Ok((self, Handle::ready(Ok(()))));
            }
            let (store, handle) = self.store.start_sync().await?;
            self.store = store;
            let handle = self.syncs.start(handle);
            Ok((self, handle))
        }

        async fn prune(mut self, min: types::Height) -> Result<Self, S::Error> {
            self.store = self.store.prune(min).await?;
            Ok(self)
        }

        fn last_index(&self) -> Option<types::Height> {
            self.store.last_index()
        }
    };
}

impl<S: Certificates> Certificates for Lazy<S> {
    type BlockDigest = S::BlockDigest;
    type Commitment = S::Commitment;
    type Scheme = S::Scheme;
    type Error = S::Error;

    async fn put(
        mut self,
        height: types::Height,
        digest: S::BlockDigest,
        finalization: &Finalization<S::Scheme, S::Commitment>,
    ) -> Result<Self, S::Error> {
        self.store = self.store.put(height, digest, finalization).await?;
        self.syncs.wrote(height);
        Ok(self)
    }

    synced_lazily!();

    async fn get(
        &self,
        id: Identifier<'_, S::BlockDigest>,
    ) -> Result<Option<Finalization<S::Scheme, S::Commitment>>, S::Error> {
        self.store.get(id).await
    }

    async fn has(&self, height: types::Height) -> Result<bool, S::Error> {
        self.store.has(height).await
    }

    fn ranges_from(&self, from: types::Height) -> impl Iterator<Item = (types::Height, types::Height)> {
        self.store.ranges_from(from)
    }
}

impl<S: Blocks> Blocks for Lazy<S> {
    type Block = S::Block;
    type Error = S::Error;

    async fn put(mut self, digest: <S::Block as Digestible>::Digest, block: &S::Block) -> Result<Self, S::Error> {
        self.store = self.store.put(digest, block).await?;
        self.syncs.wrote(block.height());
        Ok(self)
    }

    synced_lazily!();

    async fn get(&self, id: Identifier<'_, <S::Block as Digestible>::Digest>) -> Result<Option<S::Block>, S::Error> {
        self.store.get(id).await
    }

    fn missing_items(&self, start: types::Height, max: usize) -> Vec<types::Height> {
        self.store.missing_items(start, max)
    }

    fn next_gap(&self, value: types::Height) -> (Option<types::Height>, Option<types::Height>) {
        self.store.next_gap(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt as _, channel::oneshot};

    const EPOCH: u64 = 100;

    fn syncs(newest: u64) -> Syncs {
        Lazy::new((), Some(types::Height::new(newest)), EPOCH).syncs
    }

    fn write(syncs: &mut Syncs, heights: impl IntoIterator<Item = u64>) {
        heights.into_iter().for_each(|height| syncs.wrote(types::Height::new(height)));
    }

    type End = oneshot::Sender<Result<(), commonware_runtime::Error>>;

    /// A sync under way, and what ends it.
    fn start(syncs: &mut Syncs) -> (Handle<()>, End) {
        let (sender, receiver) = oneshot::channel();
        (syncs.start(Handle::from_future(async move { receiver.await.unwrap() })), sender)
    }

    #[test]
    fn blocks_that_extend_the_store_share_a_sync_all_others_have_their_own() {
        let mut syncs = syncs(0);
        write(&mut syncs, 1..TOGETHER);
        assert!(!syncs.due);
        write(&mut syncs, [TOGETHER]);
        assert!(syncs.due);
        let _started = start(&mut syncs);
        write(&mut syncs, [TOGETHER + 1]);
        assert!(!syncs.due);
        for other in [TOGETHER + 3, TOGETHER + 2, 1, EPOCH - 1] {
            write(&mut syncs, [other]);
            assert!(syncs.due, "{other}");
            let _started = start(&mut syncs);
            assert!(!syncs.due);
        }
        let mut closing = self::syncs(EPOCH - 2);
        write(&mut closing, [EPOCH - 1]);
        assert!(closing.due);
    }

    #[test]
    fn the_barrier_is_the_lowest_height_that_no_completed_sync_covers() {
        let mut syncs = syncs(4);
        let barrier = syncs.barrier.clone();
        assert_eq!(barrier.height().get(), u64::MAX);
        write(&mut syncs, [5, 6]);
        let (first, end_first) = start(&mut syncs);
        write(&mut syncs, [7]);
        assert_eq!(barrier.height().get(), 5);
        // A gap below is filled, by a later sync.
        write(&mut syncs, [3]);
        let (second, end_second) = start(&mut syncs);
        end_first.send(Ok(())).unwrap();
        first.now_or_never().unwrap().unwrap();
        assert_eq!(barrier.height().get(), 3);
        write(&mut syncs, [8]);
        end_second.send(Ok(())).unwrap();
        second.now_or_never().unwrap().unwrap();
        assert_eq!(barrier.height().get(), 8);
        syncs.complete();
        assert_eq!(barrier.height().get(), u64::MAX);
    }

    #[test]
    fn a_sync_that_failed_covers_nothing() {
        let mut syncs = syncs(4);
        write(&mut syncs, [5]);
        let (handle, end) = start(&mut syncs);
        end.send(Err(commonware_runtime::Error::WriteFailed)).unwrap();
        assert!(handle.now_or_never().unwrap().is_err());
        write(&mut syncs, [6, 7]);
        assert_eq!(syncs.barrier.height().get(), 5);
    }
}
