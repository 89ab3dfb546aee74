//! Cuts the final chain into batches and builds their cores, as every member does.
//!
//! ```text
//! anchor -reset-> Builder -advance(final blocks)-> Built 1, Built 2, .. (a few ahead of the anchor)
//! ```

use crate::{
    Error,
    ports::{Chain, Executed, Settlement},
};
use alloy::primitives::B256;
use baton_batch::{BatchContext, BatchRange, BlockFacts, BlockInput, Closing, Cutter, Outcome};
use baton_primitives::{
    Anchor, BatchIndex, Core, Epoch, Generation, Height, Parameters, Performance, Snapshot, SnapshotId,
};
use baton_revenue::Record;
use baton_schedule::{Schedule, snapshot_for};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// A batch that this node could post or sign.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    pub(crate) core: Core,
    pub(crate) core_hash: B256,
    /// Bytes of the performance; only of a batch that closes its epoch.
    pub(crate) performance: Option<Performance>,
    /// Who certifies it.
    pub(crate) snapshot: Arc<Snapshot>,
}

/// Builds ahead of the anchor.
#[derive(Debug)]
pub(crate) struct Builder {
    parameters: Parameters,
    ahead: usize,
    generation: Generation,
    /// What the next core builds on.
    previous: Anchor,
    cutter: Cutter,
    ranges: VecDeque<BatchRange>,
    built: BTreeMap<BatchIndex, Arc<Built>>,
    base: Anchor,
}

impl Builder {
    pub(crate) fn new(parameters: Parameters, ahead: usize, anchor: Anchor, generation: Generation) -> Self {
        let cutter = Cutter::new(&parameters, anchor.last_height);
        Self {
            parameters,
            ahead,
            generation,
            previous: anchor,
            cutter,
            ranges: VecDeque::new(),
            built: BTreeMap::new(),
            base: anchor,
        }
    }

    pub(crate) fn get(&self, index: BatchIndex) -> Option<&Arc<Built>> {
        self.built.get(&index)
    }

    /// The newest batch built, or the anchor.
    pub(crate) fn newest(&self) -> BatchIndex {
        self.previous.index
    }

    /// L1's anchor is now this one: forgets what is accepted, or starts over where it cannot go on.
    ///
    /// # Errors
    /// [`Error::Diverged`] if L1 accepted another core than this node built.
    pub(crate) fn set_anchor(&mut self, anchor: Anchor, generation: Generation) -> Result<(), Error> {
        if generation != self.generation {
            *self = Self::new(self.parameters.clone(), self.ahead, anchor, generation);
            return Ok(());
        }
        if anchor == self.base {
            return Ok(());
        }
        match self.built.get(&anchor.index) {
            Some(own) if own.core_hash != anchor.core_hash => Err(Error::Diverged {
                index: anchor.index,
                last_height: own.core.last_height,
                accepted: anchor.core_hash,
                own: own.core_hash,
            }),
            Some(_) => {
                self.built = self.built.split_off(&anchor.index.next());
                self.base = anchor;
                Ok(())
            }
            // Further than this node has built, or back after an L1 reorganization.
            None => {
                *self = Self::new(self.parameters.clone(), self.ahead, anchor, generation);
                Ok(())
            }
        }
    }

    /// Builds what the final chain up to `head` allows; `true` if there is a new batch.
    pub(crate) async fn advance<C: Chain, S: Settlement>(
        &mut self,
        head: Height,
        chain: &C,
        settlement: &S,
    ) -> Result<bool, Error> {
        let mut grown = false;
        loop {
            while let Some(range) = self.ranges.front().copied() {
                if self.built.len() >= self.ahead {
                    return Ok(grown);
                }
                let Some(built) = self.build(&range, chain, settlement).await? else { return Ok(grown) };
                tracing::debug!(index = %built.core.index, first = %range.first, last = %range.last, core = %built.core_hash, "batch cut");
                self.previous = built.core.anchor();
                self.built.insert(built.core.index, Arc::new(built));
                self.ranges.pop_front();
                grown = true;
            }
            let next = self.cutter.next();
            if next > head || self.built.len() >= self.ahead {
                return Ok(grown);
            }
            let Some(executed) = chain.executed(next).await else { return Ok(grown) };
            let facts = BlockFacts::of(&executed.block, self.parameters.epoch_blocks);
            let ranges = self.cutter.push(&facts).map_err(|e| self.error(e))?;
            self.ranges.extend(ranges);
        }
    }

    async fn build<C: Chain, S: Settlement>(
        &self,
        range: &BatchRange,
        chain: &C,
        settlement: &S,
    ) -> Result<Option<Built>, Error> {
        let Some(last) = chain.executed(range.last).await else { return Ok(None) };
        let epoch = range.last.epoch(self.parameters.epoch_blocks);
        let Some(snapshot) = self.snapshot_of(epoch, chain, settlement).await else { return Ok(None) };
        let Some(snapshot) = settlement.snapshot(snapshot) else { return Ok(None) };
        let outcome = Outcome {
            system: last.block.system_call().map_err(|e| self.error(e))?,
            withdrawals_root: last.withdrawals_root,
            swept: last.swept,
        };
        let context = BatchContext { generation: self.generation, epoch, snapshot: snapshot.id };
        let mut closing = None;
        if range.closing {
            let Some(next) = self.snapshot_of(epoch.next(), chain, settlement).await else { return Ok(None) };
            let Some(performance) = self.performance(epoch, &snapshot, chain).await? else { return Ok(None) };
            closing = Some((performance, next));
        }
        let parts = closing.as_ref().map(|(performance, next)| Closing { performance, next_snapshot: *next });
        let core = baton_batch::core(&self.previous, &context, range, last.block.header(), &outcome, parts)
            .map_err(|e| self.error(e))?;
        let core_hash = core.hash();
        Ok(Some(Built { core, core_hash, performance: closing.map(|(p, _)| p), snapshot }))
    }

    /// The snapshot of an epoch: by the origin of the last block two epochs before, or, where that block is no longer kept,
    /// by L1's epoch table. `None` while L1 has not been seen far enough.
    async fn snapshot_of<C: Chain, S: Settlement>(
        &self,
        epoch: Epoch,
        chain: &C,
        settlement: &S,
    ) -> Option<SnapshotId> {
        if epoch.get() < 2 {
            return Some(SnapshotId::ZERO);
        }
        let decided = epoch.previous()?.previous()?.last_height(self.parameters.epoch_blocks);
        let Some(executed) = chain.executed(decided).await else { return settlement.epoch_snapshot(epoch) };
        let origin = executed.block.system_call().ok()?.origin.number;
        let seen = settlement.standing().borrow().map(|s| s.l1_head)?;
        (origin <= seen).then(|| snapshot_for(epoch, origin, &settlement.sealed()))
    }

    async fn performance<C: Chain>(
        &self,
        epoch: Epoch,
        snapshot: &Arc<Snapshot>,
        chain: &C,
    ) -> Result<Option<Performance>, Error> {
        let blocks = self.parameters.epoch_blocks;
        let schedule =
            Schedule::new(Arc::clone(snapshot), epoch, self.parameters.term_views).map_err(|e| self.error(e))?;
        let mut record = Record::default();
        let mut height = epoch.first_height(blocks).max(Height::new(1));
        while height <= epoch.last_height(blocks) {
            let Some(executed) = chain.executed(height).await else { return Ok(None) };
            let view = executed.block.extra().map_err(|e| self.error(e))?.view;
            record.push(view, self.parameters.term_views);
            height = height.next();
        }
        Ok(Some(record.performance(snapshot.members.len(), |term| schedule.leader_of_term(term))))
    }

    fn error(&self, error: impl std::fmt::Display) -> Error {
        Error::Build { after: self.previous.last_height, reason: error.to_string() }
    }
}

/// What a batch's blocks need beyond L1, for its encoding; `None` if a block is not there.
pub(crate) async fn inputs<C: Chain>(core: &Core, chain: &C) -> Option<Vec<BlockInput>> {
    let mut inputs = Vec::new();
    let mut height = core.first_height;
    while height <= core.last_height {
        let Executed { block, .. } = chain.executed(height).await?;
        inputs.push(BlockInput::of(&block).ok()?);
        height = height.next();
    }
    Some(inputs)
}
