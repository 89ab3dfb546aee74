//! The L1 block that an L2 block builds its L1 view on, and the system transaction that tells L2 about it.

use crate::{Height, Transaction, predeploys};
use alloy::{
    consensus::Sealable,
    primitives::{B256, TxKind, U256, keccak256},
    sol,
    sol_types::{SolCall, SolValue},
};
use op_alloy_consensus::TxDeposit;
use serde::{Deserialize, Serialize};

/// Gas limit of the system transaction.
const SYSTEM_GAS: u64 = 1_000_000;

sol! {
    /// The one call that the system depositor makes, to the `L1Block` predeploy.
    function setL1Block(uint64 number, bytes32 hash, uint64 timestamp, uint256 baseFee, uint256 blobBaseFee, uint64 deposits);
}

/// An L1 block as L2 sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct L1Origin {
    /// L1 block number.
    pub number: u64,
    /// L1 block hash.
    pub hash: B256,
    /// L1 block time, seconds.
    pub timestamp: u64,
    /// L1 base fee, wei per gas.
    pub base_fee: u128,
    /// L1 blob base fee, wei per blob gas.
    pub blob_base_fee: u128,
}

/// What the first transaction of a block says: its origin, and how many deposits L2 has executed after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemCall {
    /// The block's origin.
    pub origin: L1Origin,
    /// Deposits executed in total, this block's included.
    pub deposits: u64,
}

/// Why a transaction is not a system transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// A block without transactions has no origin.
    #[error("the block has no transactions, so no origin")]
    Empty,
    /// The first transaction is something else.
    #[error("the first transaction is not a call of the system depositor to L1Block")]
    NotSystem,
    /// The call data does not decode.
    #[error("the system transaction's call data is malformed")]
    Malformed,
}

impl SystemCall {
    /// Reads the origin out of a block's first transaction.
    ///
    /// # Errors
    /// If the transaction is not exactly a system transaction's form (sender, receiver, call data). The caller who must
    /// check every field compares with [`system_transaction`] instead.
    pub fn of(transactions: &[Transaction]) -> Result<Self, OriginError> {
        let first = transactions.first().ok_or(OriginError::Empty)?;
        let deposit = first.as_deposit().ok_or(OriginError::NotSystem)?;
        if deposit.from != predeploys::SYSTEM_DEPOSITOR || deposit.to != TxKind::Call(predeploys::L1_BLOCK) {
            return Err(OriginError::NotSystem);
        }
        let call = setL1BlockCall::abi_decode_validate(&deposit.input).map_err(|_| OriginError::Malformed)?;
        Ok(Self {
            origin: L1Origin {
                number: call.number,
                hash: call.hash,
                timestamp: call.timestamp,
                base_fee: u128::try_from(call.baseFee).map_err(|_| OriginError::Malformed)?,
                blob_base_fee: u128::try_from(call.blobBaseFee).map_err(|_| OriginError::Malformed)?,
            },
            deposits: call.deposits,
        })
    }
}

/// The first transaction of the block at `height`.
pub fn system_transaction(height: Height, call: &SystemCall) -> Transaction {
    let input = setL1BlockCall {
        number: call.origin.number,
        hash: call.origin.hash,
        timestamp: call.origin.timestamp,
        baseFee: U256::from(call.origin.base_fee),
        blobBaseFee: U256::from(call.origin.blob_base_fee),
        deposits: call.deposits,
    };
    let source = (U256::from(1), keccak256(U256::from(height.get()).abi_encode()));
    Transaction::Deposit(
        TxDeposit {
            source_hash: keccak256(source.abi_encode()),
            from: predeploys::SYSTEM_DEPOSITOR,
            to: TxKind::Call(predeploys::L1_BLOCK),
            mint: 0,
            value: U256::ZERO,
            gas_limit: SYSTEM_GAS,
            is_system_transaction: false,
            input: input.abi_encode().into(),
        }
        .seal_slow(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_transaction_tells_its_origin_back() {
        let call = SystemCall {
            origin: L1Origin { number: 7, hash: B256::repeat_byte(3), timestamp: 99, base_fee: 5, blob_base_fee: 1 },
            deposits: 12,
        };
        let transaction = system_transaction(Height::new(4), &call);
        assert_eq!(SystemCall::of(&[transaction]).unwrap(), call);
    }

    #[test]
    fn a_block_without_system_transaction_has_no_origin() {
        assert_eq!(SystemCall::of(&[]), Err(OriginError::Empty));
    }
}
