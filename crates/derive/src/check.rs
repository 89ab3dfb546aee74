//! A voter's judgement of a block, up to its execution.

use crate::{
    Attributes, AttributesError, OriginBlock, OriginView, Parent, Position,
    attributes::{attributes, same_chain},
    choose::latest_millis,
};
use alloy::{
    consensus::{EMPTY_OMMER_ROOT_HASH, constants::EMPTY_WITHDRAWALS},
    eips::{eip2718::Encodable2718, eip7685::EMPTY_REQUESTS_HASH},
    primitives::{B64, B256, U256},
    rlp::Encodable,
};
use baton_batch::MAX_BLOCK_DATA;
use baton_primitives::{
    Epoch, ExtraDataError, L1Origin, OriginError, Parameters, RecoveredBlock, SystemCall, Transaction, View,
};

/// How far a block's time may be ahead of the voter's clock, ms. Beyond it the voter waits.
pub const MAX_DRIFT_MS: u64 = 100;

/// Where consensus stands, and what else a voter knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// Epoch of the engine.
    pub epoch: Epoch,
    /// View of the proposal.
    pub view: View,
    /// View of its parent.
    pub parent_view: View,
    /// Whether the proposer leads the view (the engine's own check, or the schedule's).
    pub leader_ok: bool,
    /// Whether this is a block proposed again because it ends its epoch: its extra data names an earlier view then.
    pub again: bool,
    /// The voter's clock, ms since the Unix epoch.
    pub now_millis: u64,
    /// Time of the oldest final block that no accepted batch holds, ms; `None` if there is none.
    pub unposted_since_millis: Option<u64>,
}

/// What a voter does with a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Execute it; if the results match its header, vote for it.
    Valid,
    /// It can never become valid.
    Invalid(Fault),
    /// It may become valid: ask again when L1, the clock or the anchor has moved.
    Wait(Wait),
}

/// Why a block can never be valid on this parent and in this context.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The proposer does not lead the view.
    #[error("the proposer does not lead view {0}")]
    Leader(View),
    /// A height of another epoch.
    #[error("height {height} is not in epoch {epoch}")]
    Epoch {
        /// The block's height.
        height: u64,
        /// The engine's epoch.
        epoch: Epoch,
    },
    /// A block proposed again that does not end its epoch, or from a view that is not before this one.
    #[error("height {height}, first proposed in view {first}, may not be proposed again in view {view}")]
    Again {
        /// The block's height.
        height: u64,
        /// View in its extra data.
        first: View,
        /// View of the proposal.
        view: View,
    },
    /// A header field with another number than the rules give.
    #[error("header field {field} is {found}, expected {expected}")]
    Number {
        /// The field.
        field: &'static str,
        /// The rules' value.
        expected: u64,
        /// The block's.
        found: u64,
    },
    /// A header field with another hash or address than the rules give.
    #[error("header field {field} is {found}, expected {expected}")]
    Hash {
        /// The field.
        field: &'static str,
        /// The rules' value.
        expected: B256,
        /// The block's.
        found: B256,
    },
    /// A header field or body part that must have one fixed form.
    #[error("{0} does not have its fixed form")]
    Form(&'static str),
    /// Malformed extra data.
    #[error(transparent)]
    Extra(#[from] ExtraDataError),
    /// No system transaction.
    #[error(transparent)]
    System(#[from] OriginError),
    /// Too early after the parent.
    #[error("time {found} ms is before {earliest} ms, the earliest after the parent")]
    Early {
        /// Earliest time allowed, ms.
        earliest: u64,
        /// The block's, ms.
        found: u64,
    },
    /// Before its own origin.
    #[error("time {found} s is before that of the origin, {origin} s")]
    BeforeOrigin {
        /// The origin's time, s.
        origin: u64,
        /// The block's, s.
        found: u64,
    },
    /// Too far ahead of its origin.
    #[error("time {found} ms is after {latest} ms, the latest with this origin")]
    Lag {
        /// Latest time allowed, ms.
        latest: u64,
        /// The block's, ms.
        found: u64,
    },
    /// The origin falls back.
    #[error("origin {found} is below the parent's, {parent}")]
    Backwards {
        /// The parent's origin.
        parent: u64,
        /// The block's.
        found: u64,
    },
    /// The origin has the hash of an L1 block but other facts.
    #[error("the system transaction misstates L1 block {0}")]
    Misstated(u64),
    /// Several L1 blocks at once whose deposits exceed half the gas limit.
    #[error("deposits of {blocks} L1 blocks need {gas} gas, more than {most}")]
    DepositGas {
        /// L1 blocks by which the origin advances.
        blocks: u64,
        /// Gas of their deposits.
        gas: u64,
        /// Half the gas limit.
        most: u64,
    },
    /// The forced transactions differ from those that L1 gives.
    #[error("forced transaction {index} is not the one that L1 gives")]
    Forced {
        /// Position in the block.
        index: usize,
    },
    /// A deposit behind a pool transaction, or one too many.
    #[error("transaction {index} is of type {kind:#x}, not allowed there")]
    Type {
        /// Position in the block.
        index: usize,
        /// EIP-2718 type.
        kind: u8,
    },
    /// Too many bytes.
    #[error("{what} takes {found} bytes, more than {most}")]
    Bytes {
        /// The whole block, or its pool transactions.
        what: &'static str,
        /// Size.
        found: u64,
        /// Limit.
        most: u64,
    },
}

/// Why a block cannot be judged yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wait {
    /// An L1 block is unseen, or has another hash here.
    #[error(transparent)]
    L1(#[from] AttributesError),
    /// The origin is not deep enough below the L1 head.
    #[error("origin {origin} needs an L1 head of {needed}, seen {head}")]
    Shallow {
        /// The origin's number.
        origin: u64,
        /// Head that makes it deep enough.
        needed: u64,
        /// The head seen.
        head: u64,
    },
    /// The origin has another hash here.
    #[error("origin {number} is cited with hash {cited}, but {seen} was seen")]
    OtherOrigin {
        /// The origin's number.
        number: u64,
        /// The hash cited.
        cited: B256,
        /// The hash in the view.
        seen: B256,
    },
    /// The block's time is in the future.
    #[error("the block's time is in the future: ask again at {at_millis} ms")]
    Future {
        /// When to ask again, ms.
        at_millis: u64,
    },
    /// Finality would run away from L1: pool transactions have to wait for batches.
    #[error("final blocks since {since_millis} ms are not posted: no pool transactions until they are")]
    Unposted {
        /// Time of the oldest unposted final block, ms.
        since_millis: u64,
    },
}

/// Gas limits of an L1 block's deposits.
pub(crate) fn deposit_gas(block: &OriginBlock) -> u64 {
    block.deposits.iter().fold(0, |sum, d| sum.saturating_add(d.gas))
}

/// Judges everything about a block that needs no execution. The block's hash, body root and the roots and sums that
/// execution yields are the engine's to check.
pub fn check_block(
    parent: &Parent,
    block: &RecoveredBlock,
    context: &Context,
    view: &OriginView,
    parameters: &Parameters,
) -> Verdict {
    match check(parent, block, context, view, parameters) {
        Ok(None) => Verdict::Valid,
        Ok(Some(wait)) => Verdict::Wait(wait),
        Err(fault) => Verdict::Invalid(fault),
    }
}

fn check(
    parent: &Parent,
    block: &RecoveredBlock,
    context: &Context,
    view: &OriginView,
    parameters: &Parameters,
) -> Result<Option<Wait>, Fault> {
    // Faults first, so that a block that can never be valid is not waited for.
    check_position(parent, block, context, parameters)?;
    check_size(block, parameters)?;
    let call = block.system_call()?;
    let position = check_time(parent, block, &call.origin, parameters)?;
    if let Some(wait) = check_view(parent, &call, view, parameters)? {
        return Ok(Some(wait));
    }
    let attributes = match attributes(parent, &position, call.origin.number, view, parameters) {
        Ok(attributes) => attributes,
        Err(error) => return Ok(Some(error.into())),
    };
    check_forced(&attributes, block.transactions())?;
    check_header(&attributes, block)?;
    Ok(check_clock(block, context, &attributes, parameters))
}

fn check_position(
    parent: &Parent,
    block: &RecoveredBlock,
    context: &Context,
    parameters: &Parameters,
) -> Result<(), Fault> {
    let height = block.height();
    let same = |field, found: u64, expected: u64| {
        if found == expected { Ok(()) } else { Err(Fault::Number { field, expected, found }) }
    };
    if !context.leader_ok {
        return Err(Fault::Leader(context.view));
    }
    same("number", height.get(), parent.height().next().get())?;
    if block.parent() != parent.hash {
        return Err(Fault::Hash { field: "parent_hash", expected: parent.hash, found: block.parent() });
    }
    if height.epoch(parameters.epoch_blocks) != context.epoch {
        return Err(Fault::Epoch { height: height.get(), epoch: context.epoch });
    }
    let extra = block.extra()?;
    if context.again {
        if !height.closes_epoch(parameters.epoch_blocks) || extra.view >= context.view {
            return Err(Fault::Again { height: height.get(), first: extra.view, view: context.view });
        }
        return Ok(());
    }
    same("extra_data.view", extra.view.get(), context.view.get())?;
    same("extra_data.parent_view", extra.parent_view.get(), context.parent_view.get())
}

fn check_size(block: &RecoveredBlock, parameters: &Parameters) -> Result<(), Fault> {
    let pool = block.transactions().iter().filter(|t| !t.is_deposit());
    let data = pool.map(|t| t.encode_2718_len() as u64).sum();
    let limits = [
        ("the block", block.block().length() as u64, parameters.max_block_bytes),
        ("its pool transactions", data, MAX_BLOCK_DATA),
    ];
    match limits.into_iter().find(|(_, found, most)| found > most) {
        Some((what, found, most)) => Err(Fault::Bytes { what, found, most }),
        None => Ok(()),
    }
}

/// The time rules that need no view of L1: what the block says of its origin is checked later.
fn check_time(
    parent: &Parent,
    block: &RecoveredBlock,
    origin: &L1Origin,
    parameters: &Parameters,
) -> Result<Position, Fault> {
    let extra = block.extra()?;
    let found = block.time_millis();
    check_times(parent, found, origin, parameters)?;
    Ok(Position { time_millis: found, view: extra.view, parent_view: extra.parent_view })
}

/// The rules between a block's time, its parent's and its origin's.
pub(crate) fn check_times(
    parent: &Parent,
    time_millis: u64,
    origin: &L1Origin,
    parameters: &Parameters,
) -> Result<(), Fault> {
    let earliest = parent.time_millis().saturating_add(parameters.block_time_ms);
    if time_millis < earliest {
        return Err(Fault::Early { earliest, found: time_millis });
    }
    if time_millis / 1000 < origin.timestamp {
        return Err(Fault::BeforeOrigin { origin: origin.timestamp, found: time_millis / 1000 });
    }
    let latest = latest_millis(origin, parameters);
    if time_millis > latest {
        return Err(Fault::Lag { latest, found: time_millis });
    }
    Ok(())
}

fn check_view(
    parent: &Parent,
    call: &SystemCall,
    view: &OriginView,
    parameters: &Parameters,
) -> Result<Option<Wait>, Fault> {
    let (before, cited) = (parent.call.origin, call.origin);
    if cited.number < before.number {
        return Err(Fault::Backwards { parent: before.number, found: cited.number });
    }
    if cited.number == before.number {
        // The parent was checked: nothing new of L1 is claimed, so nothing has to be seen.
        return if cited == before { Ok(None) } else { Err(Fault::Misstated(cited.number)) };
    }
    if let Err(seen) = same_chain(&cited, view) {
        return Ok(Some(Wait::OtherOrigin { number: cited.number, cited: cited.hash, seen }));
    }
    let needed = cited.number.saturating_add(parameters.origin_depth);
    if needed > view.head() {
        return Ok(Some(Wait::Shallow { origin: cited.number, needed, head: view.head() }));
    }
    match view.origin(cited.number) {
        Some(seen) if seen != cited => return Err(Fault::Misstated(cited.number)),
        Some(_) => {}
        None => return Ok(Some(AttributesError::Unseen { number: cited.number }.into())),
    }
    match view.range(before.number, cited.number) {
        Ok(blocks) => check_advance(&blocks, parameters).map(|()| None),
        Err(number) => Ok(Some(AttributesError::Unseen { number }.into())),
    }
}

/// Several L1 blocks at once only if their deposits fit half the gas limit; one always.
pub(crate) fn check_advance(blocks: &[&OriginBlock], parameters: &Parameters) -> Result<(), Fault> {
    let gas = blocks.iter().fold(0, |sum: u64, b| sum.saturating_add(deposit_gas(b)));
    let most = parameters.l2_gas_limit / 2;
    if blocks.len() > 1 && gas > most {
        return Err(Fault::DepositGas { blocks: blocks.len() as u64, gas, most });
    }
    Ok(())
}

fn check_forced(attributes: &Attributes, transactions: &[Transaction]) -> Result<(), Fault> {
    let forced = &attributes.forced;
    if let Some(index) = (0..forced.len()).find(|i| transactions.get(*i) != forced.get(*i)) {
        return Err(Fault::Forced { index });
    }
    let mut pool = transactions.iter().enumerate().skip(forced.len());
    match pool.find(|(_, t)| matches!(t, Transaction::Deposit(_) | Transaction::PostExec(_))) {
        Some((index, t)) => Err(Fault::Type { index, kind: t.tx_type().into() }),
        None => Ok(()),
    }
}

fn check_header(attributes: &Attributes, block: &RecoveredBlock) -> Result<(), Fault> {
    let header = block.header();
    let numbers = [
        ("timestamp", header.timestamp, attributes.timestamp),
        ("gas_limit", header.gas_limit, attributes.gas_limit),
        ("base_fee_per_gas", header.base_fee_per_gas.unwrap_or_default(), attributes.base_fee),
    ];
    if let Some((field, found, expected)) = numbers.into_iter().find(|(_, found, expected)| found != expected) {
        return Err(Fault::Number { field, expected, found });
    }
    let hashes = [
        ("beneficiary", header.beneficiary.into_word(), attributes.beneficiary.into_word()),
        ("mix_hash", header.mix_hash, attributes.mix_hash),
        (
            "parent_beacon_block_root",
            header.parent_beacon_block_root.unwrap_or_default(),
            attributes.parent_beacon_block_root,
        ),
        ("ommers_hash", header.ommers_hash, EMPTY_OMMER_ROOT_HASH),
    ];
    if let Some((field, found, expected)) = hashes.into_iter().find(|(_, found, expected)| found != expected) {
        return Err(Fault::Hash { field, expected, found });
    }
    let forms = [
        ("extra_data", header.extra_data == attributes.extra_data),
        ("difficulty", header.difficulty == U256::ZERO),
        ("nonce", header.nonce == B64::ZERO),
        ("withdrawals_root", header.withdrawals_root == Some(EMPTY_WITHDRAWALS)),
        ("blob_gas_used", header.blob_gas_used == Some(0)),
        ("excess_blob_gas", header.excess_blob_gas == Some(0)),
        ("requests_hash", header.requests_hash == Some(EMPTY_REQUESTS_HASH)),
        ("block_access_list_hash", header.block_access_list_hash.is_none()),
        ("slot_number", header.slot_number.is_none()),
        ("base_fee_per_gas", header.base_fee_per_gas.is_some()),
        ("gas_used", header.gas_used <= header.gas_limit),
    ];
    match forms.into_iter().find(|(_, ok)| !ok) {
        Some((what, _)) => Err(Fault::Form(what)),
        None => Ok(()),
    }
}

fn check_clock(
    block: &RecoveredBlock,
    context: &Context,
    attributes: &Attributes,
    parameters: &Parameters,
) -> Option<Wait> {
    let at_millis = block.time_millis().saturating_sub(MAX_DRIFT_MS);
    if at_millis > context.now_millis {
        return Some(Wait::Future { at_millis });
    }
    let since_millis = context.unposted_since_millis?;
    let age = context.now_millis.saturating_sub(since_millis);
    let has_pool = block.transactions().len() > attributes.forced.len();
    (has_pool && age > parameters.unposted_limit_s.saturating_mul(1000)).then_some(Wait::Unposted { since_millis })
}

#[cfg(test)]
pub(crate) mod tests;
