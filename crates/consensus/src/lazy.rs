//! The archives of final blocks and their certificates, synced for several blocks at once.
//!
//! Left to itself, the marshal hands a block to the chain when the syncs of both archives cover it. Here it does so at once, and
//! only the acknowledgement waits, after which the marshal never delivers the block again: see [`Barrier`]. What a crash takes from
//! the archives comes back: a block was synced before this node voted for it, its certificate follows from the vote journal or from
//! peers.

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
use futures::FutureExt as _;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Writes that share a sync. Far fewer than the marshal delivers without an acknowledgement.
const TOGETHER: u64 = 8;

/// The lowest height that a crash may take from a store; above all heights if there is none.
#[derive(Clone, Debug)]
pub(crate) struct Barrier(Arc<AtomicU64>);

impl Barrier {
    /// The height, as of the store's last write or sync.
    pub(crate) fn height(&self) -> Height {
        Height::new(self.0.load(Ordering::Acquire))
    }
}

impl Default for Barrier {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }
}

/// A store of the marshal that syncs only every [`TOGETHER`] writes, and where an epoch closes: its last block is acknowledged
/// by who starts the next epoch, without a look at the barrier.
pub(crate) struct Lazy<S> {
    store: S,
    syncs: Syncs,
}

impl<S> Lazy<S> {
    pub(crate) fn new(store: S, epoch_blocks: u64) -> Self {
        let syncs = Syncs {
            epoch_blocks,
            barrier: Barrier::default(),
            lowest: None,
            writes: 0,
            closes: false,
            started: VecDeque::new(),
        };
        Self { store, syncs }
    }

    pub(crate) fn barrier(&self) -> Barrier {
        self.syncs.barrier.clone()
    }
}

/// What is to be done when the marshal asks for a sync.
enum Due {
    Nothing,
    Start,
    Complete,
}

/// Which writes no completed sync covers.
struct Syncs {
    epoch_blocks: u64,
    barrier: Barrier,
    /// Lowest height written since the last sync was started.
    lowest: Option<Height>,
    /// Writes since then.
    writes: u64,
    /// Whether one of them closes an epoch.
    closes: bool,
    /// Syncs on their way, oldest first, with the lowest height of each. One that failed stays, without its handle: so the barrier
    /// does, and the store itself fails with its next operation.
    started: VecDeque<(Option<Handle<()>>, Height)>,
}

impl Syncs {
    fn wrote(&mut self, height: types::Height) {
        let height = Height::new(height.get());
        self.lowest = Some(self.lowest.map_or(height, |lowest| lowest.min(height)));
        self.writes += 1;
        self.closes |= height.closes_epoch(self.epoch_blocks);
        self.publish();
    }

    fn due(&self) -> Due {
        match self.writes {
            _ if self.closes => Due::Complete,
            TOGETHER.. => Due::Start,
            0..TOGETHER => Due::Nothing,
        }
    }

    /// A sync of all that was written so far is on its way.
    fn start(&mut self, handle: Handle<()>) {
        if let Some(lowest) = self.lowest.take() {
            self.started.push_back((Some(handle), lowest));
        }
        (self.writes, self.closes) = (0, false);
        self.publish();
    }

    /// All that was written so far survives a crash.
    fn complete(&mut self) {
        (self.lowest, self.writes, self.closes) = (None, 0, false);
        self.started.clear();
        self.publish();
    }

    fn publish(&mut self) {
        while let Some((Some(handle), _)) = self.started.front_mut() {
            match handle.now_or_never() {
                Some(Ok(())) => drop(self.started.pop_front()),
                Some(Err(_)) => self.started[0].0 = None,
                None => break,
            }
        }
        let lowest = self.started.iter().map(|(_, lowest)| *lowest).chain(self.lowest).min();
        self.barrier.0.store(lowest.map_or(u64::MAX, Height::get), Ordering::Release);
    }
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

    async fn sync(mut self) -> Result<Self, S::Error> {
        self.store = self.store.sync().await?;
        self.syncs.complete();
        Ok(self)
    }

    async fn start_sync(mut self) -> Result<(Self, Handle<()>), S::Error> {
        match self.syncs.due() {
            Due::Nothing => {}
            Due::Complete => self = self.sync().await?,
            Due::Start => {
                let (store, handle) = self.store.start_sync().await?;
                self.store = store;
                self.syncs.start(handle);
            }
        }
        Ok((self, Handle::ready(Ok(()))))
    }

    async fn get(
        &self,
        id: Identifier<'_, S::BlockDigest>,
    ) -> Result<Option<Finalization<S::Scheme, S::Commitment>>, S::Error> {
        self.store.get(id).await
    }

    async fn has(&self, height: types::Height) -> Result<bool, S::Error> {
        self.store.has(height).await
    }

    async fn prune(mut self, min: types::Height) -> Result<Self, S::Error> {
        self.store = self.store.prune(min).await?;
        Ok(self)
    }

    fn last_index(&self) -> Option<types::Height> {
        self.store.last_index()
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

    async fn sync(mut self) -> Result<Self, S::Error> {
        self.store = self.store.sync().await?;
        self.syncs.complete();
        Ok(self)
    }

    async fn start_sync(mut self) -> Result<(Self, Handle<()>), S::Error> {
        match self.syncs.due() {
            Due::Nothing => {}
            Due::Complete => self = self.sync().await?,
            Due::Start => {
                let (store, handle) = self.store.start_sync().await?;
                self.store = store;
                self.syncs.start(handle);
            }
        }
        Ok((self, Handle::ready(Ok(()))))
    }

    async fn get(&self, id: Identifier<'_, <S::Block as Digestible>::Digest>) -> Result<Option<S::Block>, S::Error> {
        self.store.get(id).await
    }

    async fn prune(mut self, min: types::Height) -> Result<Self, S::Error> {
        self.store = self.store.prune(min).await?;
        Ok(self)
    }

    fn missing_items(&self, start: types::Height, max: usize) -> Vec<types::Height> {
        self.store.missing_items(start, max)
    }

    fn next_gap(&self, value: types::Height) -> (Option<types::Height>, Option<types::Height>) {
        self.store.next_gap(value)
    }

    fn last_index(&self) -> Option<types::Height> {
        self.store.last_index()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::channel::oneshot;

    const EPOCH: u64 = 100;

    fn syncs() -> Syncs {
        Lazy::new((), EPOCH).syncs
    }

    fn write(syncs: &mut Syncs, heights: impl IntoIterator<Item = u64>) {
        heights.into_iter().for_each(|height| syncs.wrote(types::Height::new(height)));
    }

    /// A sync under way, and what ends it.
    fn sync() -> (Handle<()>, oneshot::Sender<Result<(), commonware_runtime::Error>>) {
        let (sender, receiver) = oneshot::channel();
        (Handle::from_future(async move { receiver.await.unwrap() }), sender)
    }

    #[test]
    fn a_sync_is_due_after_some_writes_and_where_an_epoch_closes() {
        let mut syncs = syncs();
        write(&mut syncs, 1..TOGETHER);
        assert!(matches!(syncs.due(), Due::Nothing));
        write(&mut syncs, [TOGETHER]);
        assert!(matches!(syncs.due(), Due::Start));
        let (handle, _end) = sync();
        syncs.start(handle);
        assert!(matches!(syncs.due(), Due::Nothing));
        write(&mut syncs, [EPOCH - 1]);
        assert!(matches!(syncs.due(), Due::Complete));
        syncs.complete();
        assert!(matches!(syncs.due(), Due::Nothing));
    }

    #[test]
    fn the_barrier_is_the_lowest_height_that_no_completed_sync_covers() {
        let mut syncs = syncs();
        let barrier = syncs.barrier.clone();
        assert_eq!(barrier.height().get(), u64::MAX);
        write(&mut syncs, [5, 6]);
        let (first, end_first) = sync();
        syncs.start(first);
        write(&mut syncs, [7]);
        assert_eq!(barrier.height().get(), 5);
        // A gap below is filled, by a later sync.
        write(&mut syncs, [3]);
        let (second, end_second) = sync();
        syncs.start(second);
        end_first.send(Ok(())).unwrap();
        write(&mut syncs, [8]);
        assert_eq!(barrier.height().get(), 3);
        end_second.send(Ok(())).unwrap();
        write(&mut syncs, [9]);
        assert_eq!(barrier.height().get(), 8);
        syncs.complete();
        assert_eq!(barrier.height().get(), u64::MAX);
    }

    #[test]
    fn a_sync_that_failed_covers_nothing() {
        let mut syncs = syncs();
        write(&mut syncs, [5]);
        let (handle, end) = sync();
        syncs.start(handle);
        end.send(Err(commonware_runtime::Error::WriteFailed)).unwrap();
        write(&mut syncs, [6, 7]);
        assert_eq!(syncs.barrier.height().get(), 5);
    }
}
