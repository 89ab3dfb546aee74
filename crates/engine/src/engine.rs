//! The engine: opens the state, hands out views of it, and moves its final head.

use crate::{
    cache::ValueCache,
    config::Config,
    error::{FinalizeError, OpenError, ReadError, StoreError},
    executed::{ExecutedBlock, Receipt},
    genesis::execute_genesis,
    metrics,
    state::{Base, Caches, StateView},
    store::{AddressHeights, LogHeights, Outcome, Store},
    tree::Tree,
};
use alloy::{
    primitives::{Address, B256, U256},
    rpc::types::Filter,
};
use baton_primitives::{Header, Parameters, RecoveredBlock, Transaction};
use lru::LruCache;
use parking_lot::{Condvar, Mutex, RwLock};
use std::{
    collections::HashSet,
    num::NonZeroUsize,
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::AtomicU64,
        mpsc::{self, SyncSender},
    },
    thread::JoinHandle,
    time::Instant,
};

/// Executes blocks and keeps the state. Clones share one state; every method may be called from any thread and blocks it
/// while it works.
///
/// ```text
///   build, execute --ExecutedBlock--> tree of unfinalized blocks --finalize--> final, in memory --sync--> store (one commit)
///                                                 \--- views (calls, proofs, reads) -------------------------/
/// ```
#[derive(Clone, Debug)]
pub struct Engine {
    /// Before `shared`: its thread ends before the store is closed.
    writer: Option<Arc<Writer>>,
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) genesis_hash: B256,
    pub(crate) store: Store,
    pub(crate) caches: Arc<Caches>,
    pub(crate) tree: RwLock<Tree>,
    /// Blocks being executed, so that no two threads execute the same one.
    pub(crate) running: Mutex<HashSet<B256>>,
    pub(crate) ran: Condvar,
    /// Height window of trie nodes that stay in memory.
    pub(crate) node_window: AtomicU64,
    /// Held by who moves the final head.
    finalizing: Mutex<()>,
    /// Held by who writes: when final blocks were written last.
    writing: Mutex<Instant>,
}

/// Written blocks that are kept as they were executed or decoded: who asks for a transaction asks for its block, its receipt and the
/// next one.
const CACHED_BLOCKS: usize = 16;

/// Final blocks from which on they are written, whenever that was done last.
const WRITE_FROM: usize = 16;

/// Most final blocks that are not written: when so many wait, whoever brings another waits too. Consensus must be ready to have so
/// many and more unacknowledged.
const MOST_UNWRITTEN: usize = 32;

/// Which block's state a caller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockRef {
    /// By hash, final or not.
    Hash(B256),
    /// By height, final.
    Height(u64),
    /// The last final block.
    Final,
    /// The highest executed block.
    Pending,
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionLocation {
    /// Hash of its block.
    pub block: B256,
    /// Height of its block.
    pub height: u64,
    /// Its position.
    pub index: usize,
    /// Whether the block is final.
    pub is_final: bool,
}

impl Engine {
    /// Opens the state in the configured directory; creates it from the genesis if it is not there.
    ///
    /// # Errors
    /// If the directory belongs to another chain or layout, is in use, or fails.
    pub fn open(config: Config) -> Result<Self, OpenError> {
        metrics::describe();
        let genesis = execute_genesis(&config.genesis)?;
        let genesis_hash = genesis.hash();
        let (cache, segment) = (config.database_cache_bytes, config.trie_segment_bytes);
        let store = Store::open(&config.path, cache, segment, config.history_blocks, &genesis)?;
        let base = Base::written(store.snapshot()?, None)?;
        let entries = |count: usize| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
        let caches = Caches {
            values: ValueCache::new(config.cached_accounts, config.cached_slots, base.height),
            codes: Mutex::new(LruCache::new(entries(config.cached_codes))),
            blocks: Mutex::new(LruCache::new(entries(CACHED_BLOCKS))),
        };
        tracing::info!(height = base.height, hash = %base.hash, path = %config.path.display(), "state opened");
        let shared = Shared {
            genesis_hash,
            store,
            caches: Arc::new(caches),
            running: Mutex::default(),
            ran: Condvar::new(),
            node_window: AtomicU64::new(1_024),
            finalizing: Mutex::default(),
            writing: Mutex::new(Instant::now()),
            tree: RwLock::new(Tree::new(Arc::new(base))),
            config,
        };
        let shared = Arc::new(shared);
        let later = !shared.config.sync_interval.is_zero();
        let writer = later.then(|| Writer::start(&shared)).transpose().map_err(StoreError::from)?;
        Ok(Self { writer: writer.map(Arc::new), shared })
    }

    /// The chain parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.shared.config.genesis.parameters
    }

    /// Hash of the genesis block.
    pub fn genesis_hash(&self) -> B256 {
        self.shared.genesis_hash
    }

    /// Height and hash of the last final block.
    pub fn head(&self) -> (u64, B256) {
        let tree = self.shared.tree.read();
        (tree.base.height, tree.base.hash)
    }

    /// Height and hash of the highest executed block; the final head if nothing is executed on it.
    pub fn tip(&self) -> (u64, B256) {
        let tree = self.shared.tree.read();
        let tip = tree.tip();
        (tree.get(&tip).map_or(tree.base.height, |block| block.height()), tip)
    }

    /// Oldest height whose state can be read, and how many heights below the head are kept (`None`: all).
    pub fn state_history(&self) -> (u64, Option<u64>) {
        (self.base().oldest, self.shared.config.history_blocks)
    }

    /// An executed block that is not final.
    pub fn unfinalized(&self, hash: &B256) -> Option<Arc<ExecutedBlock>> {
        self.shared.tree.read().get(hash).cloned()
    }

    /// Whether the block can be a parent or become final: it is executed or final.
    ///
    /// # Errors
    /// If the store fails.
    pub fn is_executed(&self, hash: &B256) -> Result<bool, StoreError> {
        Ok(self.unfinalized(hash).is_some() || self.is_final(hash)?)
    }

    /// Whether the block is final.
    ///
    /// # Errors
    /// If the store fails.
    pub fn is_final(&self, hash: &B256) -> Result<bool, StoreError> {
        let base = self.base();
        Ok(base.height_of(hash)?.is_some())
    }

    pub(crate) fn base(&self) -> Arc<Base> {
        self.shared.tree.read().base.clone()
    }

    /// The state after an executed, unfinalized block or the final head.
    pub(crate) fn live_view(&self, hash: B256) -> Option<StateView> {
        let tree = self.shared.tree.read();
        let layers = tree.layers(hash)?.into();
        Some(StateView { layers, base: tree.base.clone(), caches: self.shared.caches.clone(), past: None })
    }

    /// The state after a block: unfinalized, the final head, or one of the final heights whose history is kept.
    ///
    /// # Errors
    /// If the block is unknown or its state is not kept.
    pub fn state(&self, block: BlockRef) -> Result<StateView, ReadError> {
        let hash = match block {
            BlockRef::Hash(hash) => hash,
            BlockRef::Final => return Ok(self.view_over(self.base(), None)),
            BlockRef::Pending => {
                let tree = self.shared.tree.read();
                let (layers, base) = (tree.layers(tree.tip()).unwrap_or_default().into(), tree.base.clone());
                return Ok(StateView { layers, ..self.view_over(base, None) });
            }
            BlockRef::Height(height) => {
                let base = self.base();
                if height > base.height {
                    return Err(ReadError::UnknownHeight { height, highest: base.height });
                }
                return self.final_view(base, height);
            }
        };
        if let Some(view) = self.live_view(hash) {
            return Ok(view);
        }
        let base = self.base();
        let height = base.height_of(&hash)?.ok_or(ReadError::UnknownBlock(hash))?;
        self.final_view(base, height)
    }

    /// The state after a block at or below the final head.
    fn final_view(&self, base: Arc<Base>, height: u64) -> Result<StateView, ReadError> {
        if height == base.height {
            return Ok(self.view_over(base, None));
        }
        if height < base.oldest {
            return Err(ReadError::Pruned { height, oldest: base.oldest });
        }
        let upto: Vec<_> = base.unwritten.iter().skip_while(|block| block.height() > height).cloned().collect();
        match upto.first().cloned() {
            Some(top) => Ok(self.view_over(Arc::new(base.over(&top, upto)), None)),
            None => {
                let (hash, header) = base.header_at(height)?.ok_or(StoreError::Absent { table: "headers" })?;
                Ok(self.view_over(base, Some((hash, Box::new(header)))))
            }
        }
    }

    fn view_over(&self, base: Arc<Base>, past: Option<(B256, Box<Header>)>) -> StateView {
        StateView { layers: Arc::new([]), base, caches: self.shared.caches.clone(), past }
    }

    /// A block, final or executed.
    ///
    /// # Errors
    /// If the store fails.
    pub fn block(&self, hash: &B256) -> Result<Option<Arc<RecoveredBlock>>, StoreError> {
        if let Some(block) = self.unfinalized(hash) {
            return Ok(Some(block.block.clone()));
        }
        let base = self.base();
        let Some(height) = base.height_of(hash)? else { return Ok(None) };
        self.block_of(&base, height)
    }

    /// A final block.
    ///
    /// # Errors
    /// If the store fails.
    pub fn block_at(&self, height: u64) -> Result<Option<Arc<RecoveredBlock>>, StoreError> {
        self.block_of(&self.base(), height)
    }

    /// Hash and header of a final block.
    ///
    /// # Errors
    /// If the store fails.
    pub fn header_at(&self, height: u64) -> Result<Option<(B256, Header)>, StoreError> {
        self.base().header_at(height)
    }

    /// A header, final or executed.
    ///
    /// # Errors
    /// If the store fails.
    pub fn header(&self, hash: &B256) -> Result<Option<Header>, StoreError> {
        if let Some(block) = self.unfinalized(hash) {
            return Ok(Some(block.block.header().clone()));
        }
        let base = self.base();
        let Some(height) = base.height_of(hash)? else { return Ok(None) };
        Ok(base.header_at(height)?.map(|(_, header)| header))
    }

    /// A final block; the written ones that were read last are kept.
    fn block_of(&self, base: &Base, height: u64) -> Result<Option<Arc<RecoveredBlock>>, StoreError> {
        if let Some(block) = base.unwritten(height) {
            return Ok(Some(block.block.clone()));
        }
        if let Some(block) = self.shared.caches.blocks.lock().get(&height) {
            return Ok(Some(block.clone()));
        }
        let Some(block) = base.snapshot.block(height)?.map(Arc::new) else { return Ok(None) };
        self.shared.caches.blocks.lock().put(height, block.clone());
        Ok(Some(block))
    }

    /// The receipts of a block, final or executed.
    ///
    /// # Errors
    /// If the store fails.
    pub fn receipts(&self, hash: &B256) -> Result<Option<Arc<Vec<Receipt>>>, StoreError> {
        if let Some(block) = self.unfinalized(hash) {
            return Ok(Some(block.receipts.clone()));
        }
        let base = self.base();
        let Some(height) = base.height_of(hash)? else { return Ok(None) };
        receipts_of(&base, height)
    }

    /// The receipts of a final block.
    ///
    /// # Errors
    /// If the store fails.
    pub fn receipts_at(&self, height: u64) -> Result<Option<Arc<Vec<Receipt>>>, StoreError> {
        receipts_of(&self.base(), height)
    }

    /// The heights of final blocks among `heights`, ascending, whose blocks may hold logs with the filter's addresses and topics
    /// (its own range counts for nothing). None that holds one is left out; a few that do not may be there. It costs what there
    /// is to find, whatever the range, and sees the chain as it is now.
    ///
    /// # Errors
    /// If the store fails.
    pub fn log_heights(&self, filter: &Filter, heights: RangeInclusive<u64>) -> Result<LogHeights, StoreError> {
        LogHeights::new(self.base(), filter, heights)
    }

    /// The heights of final blocks among `heights`, in the order wanted, that may hold transactions of an address: which it sent
    /// or got, that created it, or in which it emitted a log. None that holds one is left out; a few that do not may be there.
    /// It costs a look at each of the index's segments (of up to 262,144 pairs of block and address), whatever their length.
    ///
    /// # Errors
    /// If the store fails.
    pub fn address_heights(
        &self,
        address: &Address,
        heights: RangeInclusive<u64>,
        newest_first: bool,
    ) -> Result<AddressHeights, StoreError> {
        AddressHeights::new(self.base(), address, heights, newest_first)
    }

    /// What batch cutting needs to know of a final block.
    ///
    /// # Errors
    /// If the store fails.
    pub fn outcome(&self, height: u64) -> Result<Option<Outcome>, StoreError> {
        let base = self.base();
        match base.unwritten(height) {
            Some(block) => Ok(Some(block.outcome())),
            None => base.snapshot.outcome(height),
        }
    }

    /// Where a transaction is: in a final block, or in the executed blocks below the tip.
    ///
    /// # Errors
    /// If the store fails.
    pub fn transaction(&self, hash: &B256) -> Result<Option<TransactionLocation>, StoreError> {
        let (base, layers) = {
            let tree = self.shared.tree.read();
            (tree.base.clone(), tree.layers(tree.tip()).unwrap_or_default())
        };
        let is_it = |height, index| {
            let block = self.block_of(&base, height)?.ok_or(StoreError::Absent { table: "blocks" })?;
            Ok(block.transactions().get(index).map(Transaction::tx_hash) == Some(*hash))
        };
        if let Some((height, index)) = base.snapshot.transaction(hash, is_it)? {
            let block = base.snapshot.hash(height)?.ok_or(StoreError::Absent { table: "headers" })?;
            return Ok(Some(TransactionLocation { block, height, index, is_final: true }));
        }
        Ok(layers.iter().chain(&base.unwritten).find_map(|layer| {
            let index = layer.position(hash)?;
            let (height, is_final) = (layer.height(), layer.height() <= base.height);
            Some(TransactionLocation { block: layer.hash(), height, index, is_final })
        }))
    }

    /// Makes a block and all its ancestors final; every block that does not descend from it is forgotten. Returns the newly final
    /// blocks, ascending; none if it was final. They are written at once or, if the configuration has a `sync_interval`, with
    /// others later, beside whoever executes the next: a crash loses those above [`Self::synced`].
    ///
    /// # Errors
    /// If the block is not executed here, contradicts the final head, or the store fails.
    pub fn finalize(&self, hash: B256) -> Result<Vec<Arc<ExecutedBlock>>, FinalizeError> {
        let finalizing = self.shared.finalizing.lock();
        let (base, layers) = {
            let tree = self.shared.tree.read();
            (tree.base.clone(), tree.layers(hash))
        };
        let Some(mut layers) = layers else {
            if base.height_of(&hash)?.is_some() {
                return Ok(Vec::new());
            }
            let (head, height) = (base.hash, base.height);
            return Err(match self.unfinalized(&hash) {
                Some(_) => FinalizeError::Conflict { hash, head, height },
                None => FinalizeError::NotExecuted(hash),
            });
        };
        let Some(top) = layers.first().cloned() else { return Ok(layers) };
        let start = Instant::now();
        for block in layers.iter().rev() {
            self.shared.caches.values.advance(block.height(), &block.changes);
        }
        let (waiting, unfinalized) = {
            let mut tree = self.shared.tree.write();
            // The writer may have gone on meanwhile, so what is not written is as the tree says now.
            let unwritten: Vec<_> = layers.iter().chain(&tree.base.unwritten).cloned().collect();
            let waiting = unwritten.len();
            let next = tree.base.over(&top, unwritten);
            tree.finalize(Arc::new(next));
            (waiting, tree.len())
        };
        drop(finalizing);
        match &self.writer {
            Some(writer) if waiting < MOST_UNWRITTEN => {
                // Who is writing now is asked again with the next block.
                let last = self.shared.writing.try_lock().map(|last| last.elapsed());
                if last.is_some_and(|last| last >= self.shared.config.sync_interval || waiting >= WRITE_FROM) {
                    writer.wake();
                }
            }
            Some(_) | None => drop(self.sync()?),
        }
        metrics::since("baton_engine_finalize_seconds", start);
        metrics::tree(top.height(), unfinalized);
        layers.reverse();
        Ok(layers)
    }

    /// Height up to which a crash loses nothing.
    pub fn synced(&self) -> u64 {
        self.base().written
    }

    /// Writes all final blocks to the disk; answers the height up to which they are.
    ///
    /// # Errors
    /// If the store fails.
    pub fn sync(&self) -> Result<u64, StoreError> {
        self.shared.sync()
    }

    /// What is written, once everything final is.
    pub(crate) fn all_written(&self) -> Result<Arc<Base>, StoreError> {
        self.sync()?;
        Ok(self.base())
    }

    /// The sum of all balances of the final state, wei: reads every account.
    ///
    /// # Errors
    /// If the store fails.
    pub fn supply(&self) -> Result<U256, StoreError> {
        let base = self.base();
        let mut supply = U256::ZERO;
        base.trie.each(&*base.snapshot, &mut |_, account| {
            supply += account.balance;
            Ok(())
        })?;
        Ok(supply)
    }

    /// How much the history of the state holds (rows of changes, entries of their index), for checks.
    ///
    /// # Errors
    /// If the store fails.
    pub fn history_rows(&self) -> Result<u64, StoreError> {
        self.all_written()?.snapshot.history_rows()
    }
}

fn receipts_of(base: &Base, height: u64) -> Result<Option<Arc<Vec<Receipt>>>, StoreError> {
    match base.unwritten(height) {
        Some(block) => Ok(Some(block.receipts.clone())),
        None => Ok(base.snapshot.receipts(height)?.map(Arc::new)),
    }
}

impl Shared {
    /// Writes what is final and not written in one atomic commit, which is on disk when this returns. What several blocks changed is
    /// written once. Blocks may become final meanwhile.
    fn sync(&self) -> Result<u64, StoreError> {
        let mut last = self.writing.lock();
        let base = self.tree.read().base.clone();
        let Some(top) = base.unwritten.first() else { return Ok(base.written) };
        let start = Instant::now();
        let blocks: Vec<&ExecutedBlock> = base.unwritten.iter().rev().map(AsRef::as_ref).collect();
        self.store.commit(&blocks, base.oldest)?;
        let written = Base::written(self.store.snapshot()?, Some(top))?;
        let height = written.height;
        for block in base.unwritten.iter().rev() {
            self.caches.blocks.lock().put(block.height(), block.block.clone());
        }
        let before = {
            let mut tree = self.tree.write();
            let since: Vec<_> = tree.base.unwritten.iter().filter(|it| it.height() > height).cloned().collect();
            let next = match since.first().cloned() {
                Some(newest) => written.over(&newest, since),
                None => written,
            };
            std::mem::replace(&mut tree.base, Arc::new(next))
        };
        *last = Instant::now();
        metrics::since("baton_engine_write_seconds", start);
        // Freeing what the blocks held takes a while: after the locks.
        drop((last, before));
        Ok(height)
    }
}

/// A thread that writes final blocks. It ends when this is dropped, after what it is writing.
#[derive(Debug)]
struct Writer {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    fn start(shared: &Arc<Shared>) -> std::io::Result<Self> {
        let (wake, woken) = mpsc::sync_channel(1);
        let shared = shared.clone();
        let write = move || {
            while woken.recv().is_ok() {
                if let Err(error) = shared.sync() {
                    // The blocks stay in memory; who brings one too many gets the error.
                    tracing::error!(%error, "final blocks cannot be written");
                }
            }
        };
        let thread = std::thread::Builder::new().name("baton-writer".into()).spawn(write)?;
        Ok(Self { wake: Some(wake), thread: Some(thread) })
    }

    /// Has it write what is final now; nothing more happens if it was told already.
    fn wake(&self) {
        let _ = self.wake.as_ref().map(|wake| wake.try_send(()));
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.wake = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
