//! A transaction that passed every check which needs no state.

use alloy::{
    consensus::Transaction as _,
    primitives::{Address, B256, U256},
};
use baton_primitives::Transaction;
use std::sync::Arc;

/// A transaction with everything that ordering needs, computed once.
#[derive(Clone, Debug)]
pub struct PoolTransaction {
    /// The transaction.
    pub transaction: Arc<Transaction>,
    /// Its hash.
    pub hash: B256,
    /// Its sender, recovered once.
    pub sender: Address,
    /// Its nonce.
    pub nonce: u64,
    /// Its EIP-2718 length, bytes.
    pub size: usize,
    /// The most it can cost: gas limit times fee cap, plus value.
    pub cost: U256,
}

impl PoolTransaction {
    /// Wei per gas that go to the fee vault above the base fee; `None` if the fee cap is below the base fee.
    pub fn tip(&self, base_fee: u64) -> Option<u128> {
        self.transaction.effective_tip_per_gas(base_fee)
    }

    /// Fee cap, wei per gas.
    pub fn max_fee(&self) -> u128 {
        self.transaction.max_fee_per_gas()
    }

    /// Tip cap, wei per gas.
    pub fn max_tip(&self) -> u128 {
        self.transaction.max_priority_fee_per_gas().unwrap_or_else(|| self.transaction.max_fee_per_gas())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use alloy::{
        consensus::{SignableTransaction, TxEip1559},
        eips::Encodable2718,
        primitives::Signature,
    };

    /// A transaction that differs by its nonce. Nobody signed it.
    pub(crate) fn any(nonce: u64) -> Arc<PoolTransaction> {
        let signed = TxEip1559 { nonce, ..TxEip1559::default() }.into_signed(Signature::test_signature());
        let transaction = Transaction::Eip1559(signed);
        let (hash, size) = (transaction.tx_hash(), transaction.encode_2718_len());
        let transaction = Arc::new(transaction);
        Arc::new(PoolTransaction { transaction, hash, sender: Address::ZERO, nonce, size, cost: U256::ZERO })
    }
}
