//! What a block must be before its transactions are chosen.

use crate::{OriginView, fee::base_fee};
use alloy::primitives::{Address, B256, Bytes, keccak256};
use baton_primitives::{
    ExtraData, Header, Height, L1Origin, OriginError, Parameters, RecoveredBlock, SystemCall, Transaction, View,
    predeploys, system_transaction,
};

/// The block to build on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Hash of the header.
    pub hash: B256,
    /// The header.
    pub header: Header,
    /// Its origin, and the deposits executed in total after it. The genesis has no system transaction: its origin is in
    /// the deployment file, and it has executed no deposits.
    pub call: SystemCall,
}

impl Parent {
    /// Reads a block that is not the genesis.
    ///
    /// # Errors
    /// If its first transaction is not the system transaction.
    pub fn of(block: &RecoveredBlock) -> Result<Self, OriginError> {
        Ok(Self { hash: block.hash(), header: block.header().clone(), call: block.system_call()? })
    }

    /// Its height.
    pub const fn height(&self) -> Height {
        Height::new(self.header.number)
    }

    /// Views and milliseconds; zeros where the extra data is malformed, which no verified block's is.
    pub fn extra(&self) -> ExtraData {
        ExtraData::from_bytes(&self.header.extra_data).unwrap_or_default()
    }

    /// Its time, ms since the Unix epoch.
    pub fn time_millis(&self) -> u64 {
        self.header.timestamp.saturating_mul(1000).saturating_add(self.extra().millis.into())
    }
}

/// When and where in consensus a block is proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Time, ms since the Unix epoch.
    pub time_millis: u64,
    /// View in which it is first proposed.
    pub view: View,
    /// View of its parent, 0 for the first block of an epoch.
    pub parent_view: View,
}

/// What parent, position, origin and parameters fix of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Height.
    pub height: Height,
    /// Hash of the parent.
    pub parent: B256,
    /// Time, seconds.
    pub timestamp: u64,
    /// Views and milliseconds.
    pub extra_data: Bytes,
    /// Receiver of tips and base fee.
    pub beneficiary: Address,
    /// Gas limit.
    pub gas_limit: u64,
    /// Base fee, wei per gas.
    pub base_fee: u64,
    /// PREVRANDAO.
    pub mix_hash: B256,
    /// The origin's hash.
    pub parent_beacon_block_root: B256,
    /// The system transaction, then the due deposits.
    pub forced: Vec<Transaction>,
    /// What the system transaction says.
    pub call: SystemCall,
    /// Whether the block ends its epoch, so that the fee vault is emptied after it.
    pub sweep: bool,
}

/// Why a block with that origin cannot be described yet, or not on this parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributesError {
    /// An L1 block is not in the view (yet, or any more).
    #[error("L1 block {number} has not been seen")]
    Unseen {
        /// Its number.
        number: u64,
    },
    /// The parent builds on an L1 block that the view has replaced.
    #[error("the parent builds on L1 block {number} {cited}, but {seen} was seen")]
    OtherL1 {
        /// The L1 block.
        number: u64,
        /// The hash the parent cites.
        cited: B256,
        /// The hash in the view.
        seen: B256,
    },
    /// The origin is below the parent's.
    #[error("origin {origin} is below the parent's, {parent}")]
    Backwards {
        /// The block's origin.
        origin: u64,
        /// The parent's.
        parent: u64,
    },
    /// The view's deposits do not continue those executed.
    #[error("deposit {actual} is next on L1, but L2 has executed {expected}")]
    Deposits {
        /// Deposits executed.
        expected: u64,
        /// Index of the next on L1.
        actual: u64,
    },
}

/// keccak256(origin hash ‖ height as uint64 BE): PREVRANDAO of a block.
pub fn prevrandao(origin: B256, height: Height) -> B256 {
    let mut bytes = [0; 40];
    bytes[..32].copy_from_slice(origin.as_slice());
    bytes[32..].copy_from_slice(&height.get().to_be_bytes());
    keccak256(bytes)
}

/// The attributes of the child of `parent` whose origin has the number `origin`.
///
/// # Errors
/// If the view lacks a block of the range or contradicts the parent. An unchanged origin needs no view.
pub fn attributes(
    parent: &Parent,
    position: &Position,
    origin: u64,
    view: &OriginView,
    parameters: &Parameters,
) -> Result<Attributes, AttributesError> {
    let before = parent.call.origin;
    if origin < before.number {
        return Err(AttributesError::Backwards { origin, parent: before.number });
    }
    let blocks = view.range(before.number, origin).map_err(|number| AttributesError::Unseen { number })?;
    same_chain(&before, view).map_err(|seen| AttributesError::OtherL1 {
        number: before.number,
        cited: before.hash,
        seen,
    })?;
    let height = parent.height().next();
    let mut call = SystemCall { origin: blocks.last().map_or(before, |b| b.origin), deposits: parent.call.deposits };
    let mut forced = Vec::with_capacity(1 + blocks.iter().map(|b| b.deposits.len()).sum::<usize>());
    for deposit in blocks.iter().flat_map(|b| &b.deposits) {
        if deposit.index != call.deposits {
            return Err(AttributesError::Deposits { expected: call.deposits, actual: deposit.index });
        }
        call.deposits = call.deposits.saturating_add(1);
        forced.push(deposit.transaction());
    }
    forced.insert(0, system_transaction(height, &call));
    // `millis` is below 1000, so it fits.
    let millis = u16::try_from(position.time_millis % 1000).unwrap_or_default();
    let extra = ExtraData { view: position.view, parent_view: position.parent_view, millis };
    Ok(Attributes {
        height,
        parent: parent.hash,
        timestamp: position.time_millis / 1000,
        extra_data: extra.to_bytes(),
        beneficiary: predeploys::FEE_VAULT,
        gas_limit: parameters.l2_gas_limit,
        base_fee: base_fee(&parent.header, &call.origin),
        mix_hash: prevrandao(call.origin.hash, height),
        parent_beacon_block_root: call.origin.hash,
        forced,
        call,
        sweep: height.closes_epoch(parameters.epoch_blocks),
    })
}

/// The hash that the view has instead of `origin`, if it has another one.
pub(crate) fn same_chain(origin: &L1Origin, view: &OriginView) -> Result<(), B256> {
    match view.origin(origin.number) {
        Some(seen) if seen.hash != origin.hash => Err(seen.hash),
        Some(_) | None => Ok(()),
    }
}
