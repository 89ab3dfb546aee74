//! What can go wrong, by who must act.

use alloy::primitives::{Address, B256, U256};
use revm::database_interface::DBErrorMarker;

/// The store cannot be read or written, or holds something it should not: fatal, a node stops.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused.
    #[error("the state database failed: {0}")]
    Database(#[from] Box<redb::Error>),
    /// The state log cannot be read or written.
    #[error("the state log failed: {0}")]
    Log(#[from] std::io::Error),
    /// A row cannot be compressed.
    #[error("a row of the state database cannot be compressed: {0}")]
    Compression(std::io::Error),
    /// The state log could not be written before: only a restart brings it back to what is committed.
    #[error("the state log failed before, nothing more is written")]
    LogFailed,
    /// The state log is shorter than what refers to it.
    #[error("the state log lacks the record at position {at}")]
    Record {
        /// The position.
        at: u64,
    },
    /// A trie node is referred to but absent.
    #[error("the state trie lacks the node at path {path:x?}")]
    NodeMissing {
        /// Its nibbles.
        path: Vec<u8>,
    },
    /// A trie node's row does not decode.
    #[error("the state trie's node at path {path:x?} is malformed")]
    NodeMalformed {
        /// Its nibbles.
        path: Vec<u8>,
    },
    /// A trie node is not the one its parent refers to.
    #[error("the state trie's node at path {path:x?} does not have the hash its parent names")]
    NodeHash {
        /// Its nibbles.
        path: Vec<u8>,
    },
    /// A row of a table does not decode.
    #[error("a row of table {table} is malformed")]
    Row {
        /// The table.
        table: &'static str,
    },
    /// A row that another row promises is absent.
    #[error("table {table} lacks a row that must be there")]
    Absent {
        /// The table.
        table: &'static str,
    },
    /// An account with storage was removed, which the rules of the EVM exclude.
    #[error("account {0} (hashed) was removed although it has storage")]
    RemovedWithStorage(B256),
    /// Code that an account names is absent.
    #[error("code {0} is not stored")]
    Code(B256),
    /// A trie rebuilt from history has another root than its block.
    #[error("the state rebuilt for height {height} has root {found}, its block says {expected}")]
    HistoryRoot {
        /// The height.
        height: u64,
        /// The block's root.
        expected: B256,
        /// The rebuilt root.
        found: B256,
    },
}

impl DBErrorMarker for StoreError {}

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::Database(Box::new(error.into()))
            }
        }
    )*};
}
from_redb!(
    redb::StorageError,
    redb::TableError,
    redb::CommitError,
    redb::TransactionError,
    redb::DatabaseError,
    redb::SetDurabilityError
);

/// Why an engine does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory belongs to another chain.
    #[error("{path} holds the chain with genesis {found}, not {expected}: choose another data directory")]
    OtherChain {
        /// The directory.
        path: String,
        /// The genesis hash it holds.
        found: B256,
        /// The configured genesis hash.
        expected: B256,
    },
    /// The directory was written by a version with another layout.
    #[error("{path} has layout version {found}, this program reads {expected}")]
    Layout {
        /// The directory.
        path: String,
        /// Version found.
        found: u64,
        /// Version known.
        expected: u64,
    },
    /// Another process has the directory open.
    #[error("{path} is in use by another process")]
    InUse {
        /// The directory.
        path: String,
    },
    /// The directory cannot be created.
    #[error("cannot create {path}: {source}")]
    Directory {
        /// The directory.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The genesis is unusable.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a genesis is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// An account that the rules count as empty cannot hold storage.
    #[error("genesis account {0} has storage but neither code nor nonce")]
    StorageOfEmptyAccount(Address),
    /// The sum of all balances does not fit.
    #[error("the genesis balances exceed 2^256 wei")]
    Supply,
}

/// Why a state or a block that a caller names is not there.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No such block is known.
    #[error("block {0} is not known")]
    UnknownBlock(B256),
    /// No block has this height yet.
    #[error("height {height} is not known, the highest is {highest}")]
    UnknownHeight {
        /// The height.
        height: u64,
        /// The highest known.
        highest: u64,
    },
    /// The state is older than the history kept.
    #[error("the state of height {height} is not kept, the oldest is {oldest}")]
    Pruned {
        /// The height.
        height: u64,
        /// The oldest height whose state is kept.
        oldest: u64,
    },
    /// An old trie could not be rebuilt in time.
    #[error("rebuilding the state of height {height} took longer than {millis} ms: ask for a newer one")]
    Timeout {
        /// The height.
        height: u64,
        /// The time allowed.
        millis: u128,
    },
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a transaction may not be in a block. It leaves no trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTransaction {
    /// The nonce was used before.
    #[error("nonce too low: transaction {transaction}, account {account}")]
    NonceTooLow {
        /// The transaction's nonce.
        transaction: u64,
        /// The account's next nonce.
        account: u64,
    },
    /// An earlier nonce is missing.
    #[error("nonce too high: transaction {transaction}, account {account}")]
    NonceTooHigh {
        /// The transaction's nonce.
        transaction: u64,
        /// The account's next nonce.
        account: u64,
    },
    /// The sender cannot pay value and gas.
    #[error("insufficient funds: needs {needed} wei, has {balance}")]
    Funds {
        /// Value and the most its gas can cost.
        needed: U256,
        /// The sender's balance.
        balance: U256,
    },
    /// The fee cap is below the base fee.
    #[error("fee cap below the block's base fee {base_fee}")]
    FeeCap {
        /// The base fee, wei per gas.
        base_fee: u64,
    },
    /// The gas limit exceeds a limit.
    #[error("gas limit {limit} exceeds {most}")]
    GasLimit {
        /// The transaction's.
        limit: u64,
        /// The most allowed.
        most: u64,
    },
    /// The gas limit is below the intrinsic cost.
    #[error("gas limit {limit} is below the intrinsic cost {needed}")]
    IntrinsicGas {
        /// The transaction's.
        limit: u64,
        /// The least needed.
        needed: u64,
    },
    /// A transaction of this type may not be in a block at this position.
    #[error("transaction type {0:#x} is not allowed here")]
    Type(u8),
    /// Any other rule.
    #[error("{0}")]
    Rule(String),
}

impl InvalidTransaction {
    /// Whether the transaction may become valid later without a change of its own.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::NonceTooHigh { .. } | Self::Funds { .. } | Self::FeeCap { .. })
    }
}

/// Why a block is not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The parent is not executed here.
    #[error("parent {0} is not executed")]
    UnknownParent(B256),
    /// Too many blocks are executed and not final.
    #[error("{0} blocks are executed and not final, that is the limit")]
    TooManyUnfinalized(usize),
    /// The attributes break a rule: a bug of the caller.
    #[error("the block attributes are wrong: {0}")]
    Attributes(BlockFault),
    /// A forced transaction does not fit.
    #[error("forced transaction {index} cannot be included: {why}")]
    Forced {
        /// Its position.
        index: usize,
        /// The rule.
        why: InvalidTransaction,
    },
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a block is not executed.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The parent is not executed here: execute it first.
    #[error("parent {parent} of block {block} is not executed")]
    UnknownParent {
        /// The block.
        block: B256,
        /// Its parent.
        parent: B256,
    },
    /// Too many blocks are executed and not final.
    #[error("{0} blocks are executed and not final, that is the limit")]
    TooManyUnfinalized(usize),
    /// The block can never be valid.
    #[error("block {block} is invalid: {fault}")]
    Invalid {
        /// The block.
        block: B256,
        /// The rule it breaks.
        fault: BlockFault,
    },
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ExecuteError {
    /// Whether no node can ever execute the block: it deserves a vote against.
    pub const fn is_invalid(&self) -> bool {
        matches!(self, Self::Invalid { .. })
    }
}

/// A rule that a block breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockFault {
    /// A number in the header is not the one that follows.
    #[error("{field} is {found}, must be {expected}")]
    Number {
        /// Header field.
        field: &'static str,
        /// What it must be.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// A hash or address in the header is not the one that follows.
    #[error("{field} is {found}, must be {expected}")]
    Hash {
        /// Header field.
        field: &'static str,
        /// What it must be.
        expected: B256,
        /// What it is.
        found: B256,
    },
    /// A field has another form than the format allows.
    #[error("{0} does not have the form that the format asks for")]
    Form(&'static str),
    /// The time is before the parent's.
    #[error("timestamp {found} is before the parent's {parent}")]
    Timestamp {
        /// Parent's, seconds.
        parent: u64,
        /// Its own, seconds.
        found: u64,
    },
    /// The block is too large.
    #[error("the block has {found} bytes, at most {most} allowed")]
    Size {
        /// Its RLP length.
        found: usize,
        /// The limit.
        most: u64,
    },
    /// The first transaction is not the system transaction of this height.
    #[error("the first transaction is not the system transaction of this height: {0}")]
    System(String),
    /// A transaction may not be where it is.
    #[error("transaction {index} is invalid: {why}")]
    Transaction {
        /// Its position.
        index: usize,
        /// The rule.
        why: InvalidTransaction,
    },
}

/// Why a block does not become final here.
#[derive(Debug, thiserror::Error)]
pub enum FinalizeError {
    /// The block is not executed here: execute it first.
    #[error("block {0} is not executed")]
    NotExecuted(B256),
    /// Another block is final at the same height or below: an agreement violation.
    #[error("block {hash} does not descend from the final block {head} at height {height}")]
    Conflict {
        /// The block.
        hash: B256,
        /// The final head.
        head: B256,
        /// Its height.
        height: u64,
    },
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a call has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The block or its state is not there.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The call breaks a rule before it starts.
    #[error(transparent)]
    Invalid(#[from] InvalidTransaction),
    /// The call names fields that do not go together.
    #[error("{0}")]
    Request(&'static str),
    /// An override moves what is no precompiled contract.
    #[error("account {0} is not a precompile")]
    NotPrecompile(Address),
    /// An override moves a precompiled contract to where it is.
    #[error("account {0} is moved to itself")]
    MovedToItself(Address),
    /// Two overrides change one address.
    #[error("account {0} is already overridden")]
    MovedTwice(Address),
    /// No such tracer.
    #[error(
        "the trace options are refused: {0}; give tracer callTracer, prestateTracer, 4byteTracer, flatCallTracer, noopTracer or none"
    )]
    Tracer(String),
    /// The call ran longer than allowed.
    #[error("the call took longer than {0} ms")]
    Timeout(u128),
    /// The call has more instructions than are recorded.
    #[error("more than {0} steps: each would be recorded; ask for a tracer that records calls, as callTracer does")]
    Steps(u64),
}

impl From<StoreError> for CallError {
    fn from(error: StoreError) -> Self {
        Self::Read(error.into())
    }
}
