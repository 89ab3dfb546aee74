//! Accepted batches into blocks to execute, and the check that they are the blocks that were certified.

use crate::{
    Attributes, AttributesError, Fault, OriginView, Parent, Position, attributes,
    check::{check_advance, check_times},
};
use alloy::primitives::{B256, U256};
use baton_batch::{BlockInput, DecodeError, decode};
use baton_primitives::{Anchor, BatchIndex, Core, Header, Parameters, SystemCall, Transaction};
use std::collections::VecDeque;

/// A block to execute: its attributes, then its pool transactions. Every transaction must be included; if one cannot,
/// derivation has met a batch that does not execute and must stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What L1, the parent and the batch fix of the header, and the forced transactions.
    pub attributes: Attributes,
    /// The transactions after the forced ones.
    pub transactions: Vec<Transaction>,
}

/// What the caller must do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Feed more of L1 and ask again.
    Retry,
    /// L1 has been replaced: [`Derivation::rewind`] to the last anchor still on it.
    Reset,
    /// Stop and tell the operator: what two thirds of stake certified cannot be derived here.
    Fatal,
}

/// Why derivation cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeriveError {
    /// L1 is not seen far enough, or not the L1 that was built on.
    #[error("batch {batch}: {error}")]
    L1 {
        /// The batch.
        batch: BatchIndex,
        /// What is missing or contradicts.
        error: AttributesError,
    },
    /// The batch does not follow the anchor: batches were skipped, repeated, or replaced by an L1 reorg.
    #[error("batch {batch} (heights from {first}) does not follow anchor {anchor} (up to height {last})")]
    OutOfOrder {
        /// The batch.
        batch: BatchIndex,
        /// Its first height.
        first: u64,
        /// The anchor.
        anchor: BatchIndex,
        /// The anchor's last height.
        last: u64,
    },
    /// The data of an accepted batch does not decode.
    #[error("batch {batch} was accepted, but its data does not decode: {error}")]
    Undecodable {
        /// The batch.
        batch: BatchIndex,
        /// Why.
        error: DecodeError,
    },
    /// The core contradicts itself or its data.
    #[error("batch {batch} was accepted, but its core is impossible: {what}")]
    Core {
        /// The batch.
        batch: BatchIndex,
        /// The contradiction.
        what: &'static str,
    },
    /// A block of an accepted batch breaks a rule.
    #[error("batch {batch} was accepted, but height {height} breaks a rule: {fault}")]
    Rule {
        /// The batch.
        batch: BatchIndex,
        /// The block.
        height: u64,
        /// The rule.
        fault: Fault,
    },
    /// Executing the batch gave something else than its core says.
    #[error("batch {batch} was accepted, but executes to another {field}: {found}, its core says {expected}")]
    Mismatch {
        /// The batch.
        batch: BatchIndex,
        /// The field of the core.
        field: &'static str,
        /// The core's value.
        expected: String,
        /// The executed value.
        found: String,
    },
    /// The caller broke the order begin, next, executed, confirm.
    #[error("derivation was asked to {asked} while it {state}")]
    Order {
        /// What was asked.
        asked: &'static str,
        /// The state.
        state: &'static str,
    },
}

impl DeriveError {
    /// What to do about it.
    pub const fn class(&self) -> Class {
        match self {
            Self::L1 { error: AttributesError::Unseen { .. }, .. } => Class::Retry,
            Self::L1 { error: AttributesError::OtherL1 { .. } | AttributesError::Deposits { .. }, .. }
            | Self::OutOfOrder { .. } => Class::Reset,
            Self::L1 { error: AttributesError::Backwards { .. }, .. }
            | Self::Undecodable { .. }
            | Self::Core { .. }
            | Self::Rule { .. }
            | Self::Mismatch { .. }
            | Self::Order { .. } => Class::Fatal,
        }
    }
}

/// Derives the chain batch by batch:
/// `begin(core, data)`, then `next` -> execute -> `executed` for each block, then `confirm`.
///
/// It holds no more than one batch. Everything it does is a function of the batches and L1 blocks it was given.
#[derive(Clone, Debug)]
pub struct Derivation {
    parameters: Parameters,
    anchor: Anchor,
    tip: Parent,
    batch: Option<Batch>,
}

#[derive(Clone, Debug)]
struct Batch {
    core: Core,
    inputs: VecDeque<BlockInput>,
    /// The system call of the block that was handed out by `next`.
    planned: Option<SystemCall>,
}

impl Derivation {
    /// Begins after `anchor`, whose last block is `tip` (the genesis at first).
    pub const fn new(parameters: Parameters, anchor: Anchor, tip: Parent) -> Self {
        Self { parameters, anchor, tip, batch: None }
    }

    /// The last batch confirmed.
    pub const fn anchor(&self) -> &Anchor {
        &self.anchor
    }

    /// The last block executed.
    pub const fn tip(&self) -> &Parent {
        &self.tip
    }

    /// Goes back (or on) to an anchor, whose last block is `tip`, after L1 replaced what was derived.
    pub fn rewind(&mut self, anchor: Anchor, tip: Parent) {
        (self.anchor, self.tip, self.batch) = (anchor, tip, None);
    }

    /// Takes the next batch that L1 accepted, with its data out of blobs or call data. A batch begun before and not
    /// confirmed must be rewound first.
    ///
    /// # Errors
    /// If it does not follow the anchor or does not decode to the blocks that its core names.
    pub fn begin(&mut self, core: &Core, data: &[u8]) -> Result<(), DeriveError> {
        if self.batch.is_some() {
            return Err(DeriveError::Order { asked: "begin a batch", state: "is within another" });
        }
        let batch = core.index;
        let follows = batch == self.anchor.index.next()
            && core.previous == self.anchor.core_hash
            && core.first_height == self.anchor.last_height.next();
        if !follows {
            return Err(DeriveError::OutOfOrder {
                batch,
                first: core.first_height.get(),
                anchor: self.anchor.index,
                last: self.anchor.last_height.get(),
            });
        }
        let impossible = |what| Err(DeriveError::Core { batch, what });
        let blocks = self.parameters.epoch_blocks;
        if core.version != Core::VERSION {
            return impossible("unknown version");
        }
        if core.last_height < core.first_height {
            return impossible("it ends before it begins");
        }
        if core.first_height.epoch(blocks) != core.epoch || core.last_height.epoch(blocks) != core.epoch {
            return impossible("its heights are not all in its epoch");
        }
        if core.closing != core.last_height.closes_epoch(blocks) {
            return impossible("it closes its epoch at another height than the last");
        }
        let inputs =
            decode(data, self.parameters.l2_chain_id).map_err(|error| DeriveError::Undecodable { batch, error })?;
        let expected = core.last_height.saturating_since(core.first_height).saturating_add(1);
        if inputs.len() as u64 != expected {
            return impossible("its data has another number of blocks");
        }
        self.batch = Some(Batch { core: core.clone(), inputs: inputs.into(), planned: None });
        Ok(())
    }

    /// The next block of the batch to execute; `None` when all are executed and [`Self::confirm`] is due. Asking again
    /// without [`Self::executed`] gives the same block.
    ///
    /// # Errors
    /// If L1 is not seen far enough (ask again later), or the block breaks a rule.
    pub fn next(&mut self, view: &OriginView) -> Result<Option<Plan>, DeriveError> {
        let Some(batch) = &mut self.batch else {
            return Err(DeriveError::Order { asked: "give a block", state: "is within no batch" });
        };
        let Some(input) = batch.inputs.front() else { return Ok(None) };
        let index = batch.core.index;
        let position = Position { time_millis: input.time_millis, view: input.view, parent_view: input.parent_view };
        let attributes = attributes(&self.tip, &position, input.origin, view, &self.parameters)
            .map_err(|error| DeriveError::L1 { batch: index, error })?;
        let height = attributes.height.get();
        let rule = |fault| DeriveError::Rule { batch: index, height, fault };
        check_times(&self.tip, input.time_millis, &attributes.call.origin, &self.parameters).map_err(rule)?;
        // `attributes` has just walked the same range.
        let advance = view.range(self.tip.call.origin.number, input.origin).unwrap_or_default();
        check_advance(&advance, &self.parameters).map_err(rule)?;
        batch.planned = Some(attributes.call);
        Ok(Some(Plan { attributes, transactions: input.transactions.clone() }))
    }

    /// Notes that the block given by [`Self::next`] was executed into this header, whose hash is `hash`.
    ///
    /// # Errors
    /// If no block was given out, or the header is not on the tip.
    pub fn executed(&mut self, hash: B256, header: &Header) -> Result<(), DeriveError> {
        let Some(batch) = &mut self.batch else {
            return Err(DeriveError::Order { asked: "note a block", state: "is within no batch" });
        };
        if header.parent_hash != self.tip.hash || header.number != self.tip.height().next().get() {
            return Err(DeriveError::Order { asked: "note a block on another parent", state: "is at its tip" });
        }
        let Some(call) = batch.planned.take() else {
            return Err(DeriveError::Order { asked: "note a block", state: "has given none out" });
        };
        batch.inputs.pop_front();
        self.tip = Parent { hash, header: header.clone(), call };
        Ok(())
    }

    /// Ends the batch: what was executed must be what its core says. `withdrawals_root` and `swept` are those of the last
    /// block (`swept` zero unless it ends its epoch). On success the batch is the new anchor.
    ///
    /// # Errors
    /// The first field that differs.
    pub fn confirm(&mut self, withdrawals_root: B256, swept: U256) -> Result<Anchor, DeriveError> {
        let Some(batch) = self.batch.as_ref().filter(|b| b.inputs.is_empty()) else {
            return Err(DeriveError::Order { asked: "confirm", state: "has blocks left to execute, or no batch" });
        };
        let core = &batch.core;
        let (header, call) = (&self.tip.header, &self.tip.call);
        let same = |field, expected: &dyn ToString, found: &dyn ToString| {
            let (expected, found) = (expected.to_string(), found.to_string());
            if expected == found {
                Ok(())
            } else {
                Err(DeriveError::Mismatch { batch: core.index, field, expected, found })
            }
        };
        same("state root", &core.state_root, &header.state_root)?;
        same("origin number", &core.origin_number, &call.origin.number)?;
        same("origin hash", &core.origin_hash, &call.origin.hash)?;
        same("deposits", &core.deposits, &call.deposits)?;
        same("withdrawals root", &core.withdrawals_root, &withdrawals_root)?;
        same("fees", &core.fees, &swept)?;
        same("last view", &core.last_view, &self.tip.extra().view)?;
        same("last timestamp", &core.last_timestamp, &header.timestamp)?;
        same("last block", &core.last_block, &self.tip.hash)?;
        self.anchor = core.anchor();
        self.batch = None;
        Ok(self.anchor)
    }
}

#[cfg(test)]
mod tests;
