//! The header's rules: `ARCHITECTURE.md`, "Block header" and "Block body".

use crate::{error::BlockFault, state::StateView};
use alloy::{
    consensus::{EMPTY_OMMER_ROOT_HASH, constants::EMPTY_WITHDRAWALS},
    eips::eip7685::EMPTY_REQUESTS_HASH,
    primitives::{B64, B256, U256, keccak256},
};
use baton_primitives::{
    ExtraData, Header, Height, Parameters, SystemCall, Transaction, predeploys, system_transaction,
};

/// PREVRANDAO of the block at `height` with this origin.
pub fn prevrandao(origin: B256, height: u64) -> B256 {
    keccak256([origin.as_slice(), &height.to_be_bytes()].concat())
}

pub(crate) fn same_number(field: &'static str, found: u64, expected: u64) -> Result<(), BlockFault> {
    if found == expected { Ok(()) } else { Err(BlockFault::Number { field, expected, found }) }
}

pub(crate) fn same_hash(field: &'static str, found: B256, expected: B256) -> Result<(), BlockFault> {
    if found == expected { Ok(()) } else { Err(BlockFault::Hash { field, expected, found }) }
}

/// The fields that follow from the parent, the parameters and the origin alone.
pub(crate) fn check_fixed(
    header: &Header,
    parent: &StateView,
    parameters: &Parameters,
    base_fee: u64,
    call: &SystemCall,
) -> Result<(), BlockFault> {
    let above = parent.header();
    same_hash("parent_hash", header.parent_hash, parent.hash())?;
    same_number("number", header.number, above.number.saturating_add(1))?;
    same_hash("ommers_hash", header.ommers_hash, EMPTY_OMMER_ROOT_HASH)?;
    same_hash("beneficiary", header.beneficiary.into_word(), predeploys::FEE_VAULT.into_word())?;
    same_number("gas_limit", header.gas_limit, parameters.l2_gas_limit)?;
    same_number("base_fee_per_gas", header.base_fee_per_gas.unwrap_or(0), base_fee)?;
    same_hash("mix_hash", header.mix_hash, prevrandao(call.origin.hash, header.number))?;
    let beacon = header.parent_beacon_block_root.ok_or(BlockFault::Form("parent_beacon_block_root"))?;
    same_hash("parent_beacon_block_root", beacon, call.origin.hash)?;
    let forms = [
        ("difficulty", header.difficulty == U256::ZERO),
        ("nonce", header.nonce == B64::ZERO),
        ("withdrawals_root", header.withdrawals_root == Some(EMPTY_WITHDRAWALS)),
        ("blob_gas_used", header.blob_gas_used == Some(0)),
        ("excess_blob_gas", header.excess_blob_gas == Some(0)),
        ("requests_hash", header.requests_hash == Some(EMPTY_REQUESTS_HASH)),
        ("extra_data", ExtraData::from_bytes(&header.extra_data).is_ok()),
    ];
    if let Some((field, _)) = forms.into_iter().find(|(_, ok)| !ok) {
        return Err(BlockFault::Form(field));
    }
    if header.timestamp < above.timestamp {
        return Err(BlockFault::Timestamp { parent: above.timestamp, found: header.timestamp });
    }
    Ok(())
}

/// The system call of the block at `height`, checked to be in canonical form and to count the body's deposits.
pub(crate) fn check_system(
    transactions: &[Transaction],
    height: u64,
    deposits_before: u64,
) -> Result<SystemCall, BlockFault> {
    let call = SystemCall::of(transactions).map_err(|error| BlockFault::System(error.to_string()))?;
    if transactions.first() != Some(&system_transaction(Height::new(height), &call)) {
        return Err(BlockFault::System("another form than the canonical one".into()));
    }
    let deposits = transactions.iter().filter(|transaction| transaction.is_deposit()).count() - 1;
    let expected = deposits_before.saturating_add(u64::try_from(deposits).unwrap_or(u64::MAX));
    same_number("deposits", call.deposits, expected)?;
    Ok(call)
}
