//! Why a simulation has no answer.

use crate::{
    call::Unfinished,
    error::{CallError, InvalidTransaction, ReadError, StoreError},
    evm::Failure,
};
use alloy::primitives::{Address, U256};

/// Why a simulation has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A block's number is not above the one before.
    #[error("block numbers must be in order: {found} <= {before}")]
    BlockNumber {
        /// Its number.
        found: U256,
        /// The number before.
        before: u64,
    },
    /// A block's time is not after the one before.
    #[error("block timestamps must be in order: {found} <= {before}")]
    Timestamp {
        /// Its time, seconds.
        found: u64,
        /// The time before, seconds.
        before: u64,
    },
    /// More blocks than one simulation may span.
    #[error("too many blocks")]
    TooManyBlocks,
    /// The calls of a block ask for more gas than it has.
    #[error("block gas limit reached: {used} + {asked} > {limit}")]
    BlockGas {
        /// Gas that the calls before used.
        used: u64,
        /// Gas that the call asks for.
        asked: u64,
        /// The block's limit.
        limit: u64,
    },
    /// The code to create a contract is too long.
    #[error("max initcode size exceeded: code size {size} limit {most}")]
    InitCode {
        /// Its length.
        size: usize,
        /// The limit.
        most: usize,
    },
    /// A call names another chain.
    #[error("chainId does not match node's (have={have}, want={want})")]
    ChainId {
        /// The call's.
        have: u64,
        /// This chain's.
        want: u64,
    },
    /// A call could not be in its block.
    #[error("{why}")]
    Transaction {
        /// The rule.
        why: InvalidTransaction,
        /// Its sender.
        caller: Address,
        /// Its fee cap, wei per gas.
        max_fee: u128,
        /// Its gas limit.
        gas: u64,
    },
    /// It ran longer than allowed.
    #[error("execution aborted (timeout = {0} ms)")]
    Timeout(u128),
    /// A request that no block could hold.
    #[error("{0}")]
    Request(&'static str),
    /// An override, or the state itself.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl SimulateError {
    pub(super) fn of(unfinished: Unfinished, caller: Address, max_fee: u128, gas: u64, timeout: u128) -> Self {
        match unfinished {
            // Nothing here counts steps.
            Unfinished::Stopped(_) => Self::Timeout(timeout),
            Unfinished::Failed(Failure::Invalid(why)) => Self::Transaction { why, caller, max_fee, gas },
            Unfinished::Failed(Failure::Store(error)) => error.into(),
        }
    }
}

impl From<StoreError> for SimulateError {
    fn from(error: StoreError) -> Self {
        Self::Call(error.into())
    }
}

impl From<ReadError> for SimulateError {
    fn from(error: ReadError) -> Self {
        Self::Call(error.into())
    }
}
