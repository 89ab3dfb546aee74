//! What L1 sends to L2: ETH and forced transactions.

use crate::Transaction;
use alloy::{
    consensus::Sealable,
    primitives::{Address, B256, Bytes, TxKind, U256, keccak256},
    sol_types::SolValue,
};
use op_alloy_consensus::TxDeposit;
use serde::{Deserialize, Serialize};

/// One `Portal.Deposited` event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposit {
    /// Counts all deposits ever made, from 0.
    pub index: u64,
    /// Hash of the L1 block that holds the event.
    pub l1_hash: B256,
    /// Sender on L2 (a contract's address is already aliased).
    pub from: Address,
    /// Receiver; `None` creates a contract.
    pub to: Option<Address>,
    /// Wei created for `from` on L2.
    pub mint: u128,
    /// Wei sent by the call.
    pub value: U256,
    /// Gas limit of the call.
    pub gas: u64,
    /// Call data or init code.
    pub data: Bytes,
}

impl Deposit {
    /// The L2 transaction which executes this deposit.
    pub fn transaction(&self) -> Transaction {
        let inner = keccak256((self.l1_hash, U256::from(self.index)).abi_encode());
        Transaction::Deposit(
            TxDeposit {
                source_hash: keccak256((U256::ZERO, inner).abi_encode()),
                from: self.from,
                to: self.to.map_or(TxKind::Create, TxKind::Call),
                mint: self.mint,
                value: self.value,
                gas_limit: self.gas,
                is_system_transaction: false,
                input: self.data.clone(),
            }
            .seal_slow(),
        )
    }
}
