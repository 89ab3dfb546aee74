//! Why a transaction is not taken: geth's texts, which wallets match.

use alloy::primitives::U256;

/// Why a transaction is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bytes are not a transaction.
    #[error("{0}")]
    Decode(String),
    /// A type that L2 does not take.
    #[error("transaction type not supported: {0:#x}")]
    Type(u8),
    /// The signature gives no sender.
    #[error("invalid sender")]
    Sender,
    /// Signed without a chain id, so that it could be replayed on other chains.
    #[error("only replay-protected (EIP-155) transactions allowed over RPC")]
    Unprotected,
    /// Signed for another chain.
    #[error("invalid chain id for signer: have {have} want {want}")]
    ChainId {
        /// In the transaction.
        have: u64,
        /// This chain's.
        want: u64,
    },
    /// It is in the pool already.
    #[error("already known")]
    AlreadyKnown,
    /// Its nonce is used.
    #[error("nonce too low: next nonce {next}, tx nonce {nonce}")]
    NonceTooLow {
        /// The account's next nonce.
        next: u64,
        /// The transaction's.
        nonce: u64,
    },
    /// The account cannot pay.
    #[error("insufficient funds for gas * price + value: balance {balance}, tx cost {cost}")]
    Funds {
        /// Wei held.
        balance: U256,
        /// Wei needed.
        cost: U256,
    },
    /// Less gas than the transaction costs before its first instruction.
    #[error("intrinsic gas too low: gas {have}, minimum needed {need}")]
    IntrinsicGas {
        /// The transaction's limit.
        have: u64,
        /// What it needs.
        need: u64,
    },
    /// More gas than a block may have.
    #[error("exceeds block gas limit: tx {have}, limit {limit}")]
    GasLimit {
        /// The transaction's limit.
        have: u64,
        /// The block's.
        limit: u64,
    },
    /// More gas than one transaction may have (EIP-7825).
    #[error("transaction gas limit too high (cap: {limit}, tx: {have})")]
    TransactionGas {
        /// The transaction's limit.
        have: u64,
        /// The most allowed.
        limit: u64,
    },
    /// The tip cap is above the fee cap.
    #[error("max priority fee per gas higher than max fee per gas: {tip} > {fee}")]
    TipAboveFee {
        /// Tip cap.
        tip: u128,
        /// Fee cap.
        fee: u128,
    },
    /// The fee cap is below what any block asks.
    #[error("transaction underpriced: max fee per gas {fee}, minimum needed {least}")]
    FeeTooLow {
        /// Fee cap.
        fee: u128,
        /// The least base fee that a block can have.
        least: u128,
    },
    /// Too long.
    #[error("oversized data: transaction size {size}, limit {limit}")]
    Size {
        /// Its bytes.
        size: usize,
        /// The most allowed.
        limit: usize,
    },
    /// The init code is too long (EIP-3860).
    #[error("max initcode size exceeded: code size {size}, limit {limit}")]
    InitCode {
        /// Its bytes.
        size: usize,
        /// The most allowed.
        limit: usize,
    },
    /// A type 4 transaction without authorizations or without receiver.
    #[error("EIP-7702 transaction with empty auth list")]
    Authorizations,
    /// The sender has code (EIP-3607).
    #[error("sender not an eoa")]
    NotEoa,
    /// A waiting transaction of the same nonce pays about as much.
    #[error("replacement transaction underpriced: both fee caps must be at least {bump} % higher")]
    Underpriced {
        /// Percent.
        bump: u128,
    },
    /// The sender has too many waiting.
    #[error("account limit exceeded: {count} of {limit} transactions of the sender wait already")]
    SenderLimit {
        /// Those waiting.
        count: usize,
        /// The most allowed.
        limit: usize,
    },
    /// The pool is full of better paid transactions.
    #[error("txpool is full: offer a tip above {least} wei per gas, or try again later")]
    Full {
        /// Lowest tip in the pool.
        least: u128,
    },
    /// Too many wait behind missing nonces.
    #[error(
        "txpool is full of transactions behind a missing nonce (limit {limit}): send the sender's next nonce first"
    )]
    QueueFull {
        /// The most allowed.
        limit: usize,
    },
    /// The state cannot be read now: nothing is wrong with the transaction.
    #[error("{0}")]
    State(String),
}
