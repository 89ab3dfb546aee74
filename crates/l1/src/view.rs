//! What is known of L1 now, shared and cheap to read.
//!
//! ```text
//! watcher -L1Block (+ sealed snapshots) | Revert-> L1View -> anyone: origins, deposits, snapshots, batches, epochs
//!                                                         -> watch::Receiver<Heads>: something changed
//! ```
//!
//! A reorganization takes back exactly what the reverted blocks brought. Origins and deposits are kept from the lowest
//! number that [`L1View::release`] leaves, and always as deep as the deepest reorganization followed. The newest batches are kept
//! too; older ones go, but not before who asked for them ([`L1View::hold_batches`]) has them.

use crate::{AcceptedBatch, ContractEvent, L1Block};
use alloy::{eips::BlockNumHash, primitives::B256};
use baton_bindings::contracts::{inbox::BatchInbox::BatchInboxEvents, pool::SequencerPool::SequencerPoolEvents};
use baton_primitives::{
    Anchor, BatchIndex, Deposit, Epoch, Height, IdentityKey, L1Origin, SequencerId, Snapshot, SnapshotId,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};
use tokio::sync::watch;

/// The three heads of L1, and a count of changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    /// The newest block.
    pub head: BlockNumHash,
    /// Time of the newest block, seconds.
    pub timestamp: u64,
    /// The newest block that L1 calls safe; number 0 if it tells none.
    pub safe: BlockNumHash,
    /// The newest block that L1 calls finalized; number 0 if it tells none.
    pub finalized: BlockNumHash,
    /// Grows with every change of the view.
    pub version: u64,
    /// Whether the view has caught up with the head at least once.
    pub synced: bool,
}

/// A row of the epoch table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochRow {
    /// The epoch.
    pub epoch: Epoch,
    /// Its snapshot.
    pub snapshot: SnapshotId,
    /// Its first height.
    pub first_height: Height,
}

/// The genesis as `BatchInbox` was started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// The anchor of index 0.
    pub anchor: Anchor,
    /// Time of the L2 genesis, seconds.
    pub timestamp: u64,
    /// Its origin's number.
    pub origin_number: u64,
    /// Its origin's hash.
    pub origin_hash: B256,
    /// L1 block of the start.
    pub l1_number: u64,
}

/// Shared view of L1. Clones are handles to the same view.
#[derive(Clone, Debug)]
pub struct L1View {
    state: Arc<parking_lot::RwLock<State>>,
    heads: watch::Sender<Heads>,
}

#[derive(Debug)]
struct State {
    max_reorg: u64,
    released: u64,
    blocks: VecDeque<Kept>,
    snapshots: BTreeMap<SnapshotId, Arc<Snapshot>>,
    batches: BTreeMap<BatchIndex, Arc<AcceptedBatch>>,
    /// The last batch that is kept elsewhere, if one that is not must stay here.
    archived: Option<BatchIndex>,
    /// The batches that closed the newest epochs.
    closings: BTreeMap<Epoch, Arc<AcceptedBatch>>,
    epochs: BTreeMap<Epoch, (EpochRow, u64)>,
    started: Option<Started>,
    /// Every registration of keys: L1 block, identity, sequencer; in order.
    registered: Vec<(u64, IdentityKey, SequencerId)>,
    /// Every entry to and exit from the active set: L1 block, sequencer, whether it left by its owner's wish; in order.
    moves: Vec<(u64, SequencerId, bool)>,
}

/// One block as kept.
#[derive(Debug)]
struct Kept {
    origin: L1Origin,
    deposits: Arc<[Deposit]>,
    /// Deposits in all blocks up to this one.
    deposits_total: u64,
}

/// `ISequencerPool.DeactivationReason.Owner`.
const LEFT_BY_OWNER: u8 = 0;
/// How many accepted batches are kept below the oldest block kept.
const KEPT_BATCHES: usize = 1_024;
/// How many closing batches are kept: more epochs than a reorganization takes back and the contracts judge.
const KEPT_CLOSINGS: usize = 64;

impl Default for L1View {
    /// What is known before a watcher has said anything.
    fn default() -> Self {
        Self::new(0)
    }
}

impl L1View {
    /// An empty view.
    pub(crate) fn new(max_reorg: u64) -> Self {
        let state = State {
            max_reorg,
            released: 0,
            blocks: VecDeque::new(),
            snapshots: BTreeMap::new(),
            batches: BTreeMap::new(),
            archived: None,
            closings: BTreeMap::new(),
            epochs: BTreeMap::new(),
            started: None,
            registered: Vec::new(),
            moves: Vec::new(),
        };
        Self { state: Arc::new(parking_lot::RwLock::new(state)), heads: watch::Sender::new(Heads::default()) }
    }

    /// Changes of the view; the value tells the heads after the change.
    pub fn subscribe(&self) -> watch::Receiver<Heads> {
        self.heads.subscribe()
    }

    /// The heads now.
    pub fn heads(&self) -> Heads {
        *self.heads.borrow()
    }

    /// An L1 block as L2 sees it, if it is on the chain and kept.
    pub fn origin(&self, number: u64) -> Option<L1Origin> {
        self.state.read().kept(number).map(|k| k.origin)
    }

    /// The deposits of an L1 block, in order, if the block is on the chain and kept. Empty if it has none.
    pub fn deposits(&self, number: u64) -> Option<Arc<[Deposit]>> {
        self.state.read().kept(number).map(|k| Arc::clone(&k.deposits))
    }

    /// How many deposits there are in all L1 blocks up to this one, if it is on the chain and kept.
    pub fn deposits_up_to(&self, number: u64) -> Option<u64> {
        self.state.read().kept(number).map(|k| k.deposits_total)
    }

    /// A sealed snapshot.
    pub fn snapshot(&self, id: SnapshotId) -> Option<Arc<Snapshot>> {
        self.state.read().snapshots.get(&id).cloned()
    }

    /// All sealed snapshots, oldest first.
    pub fn snapshots(&self) -> Vec<Arc<Snapshot>> {
        self.state.read().snapshots.values().cloned().collect()
    }

    /// Id and seal block of every sealed snapshot, oldest first: what `schedule::snapshot_for` takes.
    pub fn sealed(&self) -> Vec<(SnapshotId, u64)> {
        self.state.read().snapshots.values().map(|s| (s.id, s.seal_block)).collect()
    }

    /// An accepted batch, if it is among those kept.
    pub fn batch(&self, index: BatchIndex) -> Option<Arc<AcceptedBatch>> {
        self.state.read().batches.get(&index).cloned()
    }

    /// The newest accepted batch.
    pub fn last_batch(&self) -> Option<Arc<AcceptedBatch>> {
        self.state.read().batches.values().next_back().cloned()
    }

    /// The newest batch accepted in this L1 block or before, of those kept.
    pub fn last_batch_at(&self, l1_number: u64) -> Option<Arc<AcceptedBatch>> {
        self.state.read().batches.values().rev().find(|b| b.l1_number <= l1_number).cloned()
    }

    /// The accepted batch that holds a height, if it is among those kept.
    pub fn batch_holding(&self, height: Height) -> Option<Arc<AcceptedBatch>> {
        let state = self.state.read();
        let (mut low, mut high) = (state.batches.first_key_value()?.0.get(), state.batches.last_key_value()?.0.get());
        // Batches tile the heights.
        while low < high {
            let middle = low.midpoint(high);
            if state.batches.get(&BatchIndex::new(middle))?.core.last_height < height {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        let found = state.batches.get(&BatchIndex::new(low))?;
        (found.core.first_height <= height && height <= found.core.last_height).then(|| Arc::clone(found))
    }

    /// From now on batches are kept until [`Self::archived`] is told of them.
    pub fn hold_batches(&self) {
        self.state.write().archived.get_or_insert(BatchIndex::ZERO);
    }

    /// The oldest batches, in order, that leave as soon as they are archived: no reorganization reaches them. At most `limit`.
    pub fn held_batches(&self, limit: usize) -> Vec<Arc<AcceptedBatch>> {
        let state = self.state.read();
        let (Some(archived), Some(lowest)) = (state.archived, state.lowest()) else { return Vec::new() };
        let spare = state.batches.len().saturating_sub(KEPT_BATCHES);
        let held = state.batches.values().take(spare).take_while(|b| b.l1_number < lowest);
        held.filter(|b| b.core.index > archived).take(limit).map(Arc::clone).collect()
    }

    /// All batches up to this one are kept elsewhere.
    pub fn archived(&self, index: BatchIndex) {
        let mut state = self.state.write();
        state.archived = Some(index);
        state.prune();
    }

    /// The anchor: the newest accepted batch, or the genesis; `None` before the chain began.
    pub fn anchor(&self) -> Option<Anchor> {
        let state = self.state.read();
        state.batches.values().next_back().map(|b| b.core.anchor()).or_else(|| state.started.map(|s| s.anchor))
    }

    /// The genesis; `None` before the chain began.
    pub fn started(&self) -> Option<Started> {
        self.state.read().started
    }

    /// A row of the epoch table.
    pub fn epoch(&self, epoch: Epoch) -> Option<EpochRow> {
        self.state.read().epochs.get(&epoch).map(|(row, _)| *row)
    }

    /// The newest epoch of the table, which runs.
    pub fn running_epoch(&self) -> Option<Epoch> {
        self.state.read().epochs.keys().next_back().copied()
    }

    /// The batch that closed an epoch, if a batch did and it is among those kept.
    pub fn closing(&self, epoch: Epoch) -> Option<Arc<AcceptedBatch>> {
        self.state.read().closings.get(&epoch).cloned()
    }

    /// The sequencer that registered this network identity last.
    pub fn sequencer_of(&self, identity: &IdentityKey) -> Option<SequencerId> {
        self.state.read().registered.iter().rev().find(|(_, i, _)| i == identity).map(|(_, _, id)| *id)
    }

    /// Whether this sequencer last left the active set because its owner wanted it.
    pub fn left_by_owner(&self, id: SequencerId) -> bool {
        self.state.read().moves.iter().rev().find(|(_, moved, _)| *moved == id).is_some_and(|(_, _, left)| *left)
    }

    /// Tells that nobody will ask for origins and deposits below this L1 block again.
    pub fn release(&self, below: u64) {
        self.state.write().release(below);
    }

    pub(crate) fn extend(&self, block: &L1Block, sealed: Vec<Arc<Snapshot>>) -> Result<(), String> {
        self.state.write().extend(block, sealed)?;
        self.heads.send_modify(|heads| {
            heads.head = BlockNumHash::new(block.number, block.hash);
            heads.timestamp = block.timestamp;
            heads.version += 1;
        });
        Ok(())
    }

    pub(crate) fn revert(&self, to: u64, hash: B256) {
        let timestamp = self.state.write().revert(to);
        self.heads.send_modify(|heads| {
            heads.head = BlockNumHash::new(to, hash);
            heads.timestamp = timestamp.unwrap_or(heads.timestamp);
            for marker in [&mut heads.safe, &mut heads.finalized] {
                if marker.number > to {
                    *marker = heads.head;
                }
            }
            heads.version += 1;
        });
    }

    pub(crate) fn mark(&self, safe: Option<BlockNumHash>, finalized: Option<BlockNumHash>, synced: bool) {
        self.heads.send_if_modified(|heads| {
            let mut next = *heads;
            next.safe = safe.unwrap_or(next.safe);
            next.finalized = finalized.unwrap_or(next.finalized);
            next.synced |= synced;
            if next == *heads {
                return false;
            }
            next.version += 1;
            *heads = next;
            true
        });
    }
}

impl State {
    fn kept(&self, number: u64) -> Option<&Kept> {
        let first = self.blocks.front()?.origin.number;
        let offset = usize::try_from(number.checked_sub(first)?).ok()?;
        self.blocks.get(offset)
    }

    fn extend(&mut self, block: &L1Block, sealed: Vec<Arc<Snapshot>>) -> Result<(), String> {
        if let Some(tip) = self.blocks.back()
            && (tip.origin.number + 1 != block.number || tip.origin.hash != block.parent)
        {
            return Err(format!("it does not follow block {} {}", tip.origin.number, tip.origin.hash));
        }
        let deposits = block.deposits();
        let before = self.blocks.back().map_or(0, |b| b.deposits_total);
        if let Some((expected, deposit)) = (before..).zip(&deposits).find(|(n, d)| *n != d.index) {
            return Err(format!("it has deposit {} where deposit {expected} is next", deposit.index));
        }
        let batches = block.batches()?;
        let next = self.batches.keys().next_back().copied().unwrap_or_default().next();
        if let Some((expected, batch)) = (next.get()..).zip(&batches).find(|(n, b)| *n != b.core.index.get()) {
            return Err(format!("batch {} was accepted where {expected} is next", batch.core.index));
        }
        for batch in batches.into_iter().map(Arc::new) {
            if batch.core.closing {
                self.closings.insert(batch.core.epoch, Arc::clone(&batch));
            }
            self.batches.insert(batch.core.index, batch);
        }
        while self.closings.len() > KEPT_CLOSINGS {
            self.closings.pop_first();
        }
        for log in &block.logs {
            if let ContractEvent::SequencerPool(event) = &log.event {
                self.note_pool(block.number, event);
            }
            let ContractEvent::BatchInbox(event) = &log.event else { continue };
            if let BatchInboxEvents::EpochOpened(e) = event {
                let row = EpochRow {
                    epoch: Epoch::new(e.epoch),
                    snapshot: SnapshotId::new(e.snapshot),
                    first_height: Height::new(e.firstHeight),
                };
                self.epochs.insert(row.epoch, (row, block.number));
            } else if let BatchInboxEvents::Started(e) = event {
                let anchor = Anchor {
                    index: BatchIndex::ZERO,
                    core_hash: B256::ZERO,
                    last_height: Height::ZERO,
                    last_block: e.blockHash,
                    state_root: e.stateRoot,
                };
                self.started = Some(Started {
                    anchor,
                    timestamp: e.timestamp,
                    origin_number: e.originNumber,
                    origin_hash: e.originHash,
                    l1_number: block.number,
                });
            }
        }
        for snapshot in sealed {
            self.snapshots.insert(snapshot.id, snapshot);
        }
        let deposits_total = before + deposits.len() as u64;
        self.blocks.push_back(Kept { origin: block.origin(), deposits: deposits.into(), deposits_total });
        self.prune();
        Ok(())
    }

    fn note_pool(&mut self, number: u64, event: &SequencerPoolEvents) {
        if let SequencerPoolEvents::Registered(e) = event {
            self.registered.push((number, IdentityKey(e.identity), SequencerId::new(e.id)));
        } else if let SequencerPoolEvents::Activated(e) = event {
            self.moves.push((number, SequencerId::new(e.id), false));
        } else if let SequencerPoolEvents::Deactivated(e) = event {
            let owner = e.reason == LEFT_BY_OWNER;
            self.moves.push((number, SequencerId::new(e.id), owner));
        }
    }

    fn revert(&mut self, to: u64) -> Option<u64> {
        while self.blocks.back().is_some_and(|b| b.origin.number > to) {
            self.blocks.pop_back();
        }
        self.batches.retain(|_, b| b.l1_number <= to);
        self.closings.retain(|_, b| b.l1_number <= to);
        self.epochs.retain(|_, (_, l1)| *l1 <= to);
        self.snapshots.retain(|_, s| s.seal_block <= to);
        self.registered.retain(|(l1, _, _)| *l1 <= to);
        self.moves.retain(|(l1, _, _)| *l1 <= to);
        self.started = self.started.filter(|s| s.l1_number <= to);
        self.blocks.back().map(|b| b.origin.timestamp)
    }

    fn release(&mut self, below: u64) {
        self.released = self.released.max(below);
        self.prune();
    }

    /// The lowest block that is still needed.
    fn lowest(&self) -> Option<u64> {
        let head = self.blocks.back()?.origin.number;
        Some(self.released.min(head.saturating_sub(self.max_reorg)))
    }

    fn prune(&mut self) {
        let Some(lowest) = self.lowest() else { return };
        while self.blocks.front().is_some_and(|b| b.origin.number < lowest) {
            self.blocks.pop_front();
        }
        let archived = self.archived;
        let may_go =
            |b: &AcceptedBatch| b.l1_number < lowest && archived.is_none_or(|archived| b.core.index <= archived);
        while self.batches.len() > KEPT_BATCHES && self.batches.first_key_value().is_some_and(|(_, b)| may_go(b)) {
            self.batches.pop_first();
        }
    }
}

#[cfg(test)]
mod tests;
