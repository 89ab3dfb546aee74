//! What the pool asks of the engine.

use alloy::primitives::{Address, B256, U256};

/// An account in the last final state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Its next nonce.
    pub nonce: u64,
    /// Wei it holds.
    pub balance: U256,
    /// Whether it has code other than an EIP-7702 delegation, so that it cannot sign transactions (EIP-3607).
    pub is_contract: bool,
}

/// The state cannot be read now.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the state cannot be read: {0}")]
pub struct StateError(pub String);

/// The final chain.
pub trait State: Send + Sync + 'static {
    /// An account; the default one if it does not exist.
    ///
    /// # Errors
    /// If the store fails.
    fn account(&self, address: Address) -> Result<Account, StateError>;
    /// Whether a transaction is in a final block.
    ///
    /// # Errors
    /// If the store fails.
    fn is_final(&self, transaction: &B256) -> Result<bool, StateError>;
}
