//! Executes blocks and keeps the state.
//!
//! ```text
//!  attributes, pool -> build ---\                       /-> reads, calls, proofs (views: layers over a snapshot)
//!                                +-> ExecutedBlock tree +
//!  proposed block  -> execute --/                       \-> finalize -> store (blocks, receipts, state, trie, history)
//! ```
//!
//! Everything is synchronous and thread-safe. A view never blocks the block path: it holds the layers of the unfinalized
//! blocks and a snapshot of the store. What is final is on disk; what is not is in memory and bounded.

mod build;
mod cache;
mod call;
mod changes;
mod check;
mod config;
mod engine;
mod error;
mod evm;
mod executed;
mod fee;
mod genesis;
mod header;
mod metrics;
mod ports;
mod process;
mod proof;
mod simulate;
mod state;
mod store;
mod trace;
mod transition;
mod tree;
mod trie;
mod verify;

pub use build::{BlockAttributes, Budget};
pub use call::{Call, CallContext, CallEnd, CallOutcome, Estimate};
pub use config::Config;
pub use engine::{BlockRef, Engine, TransactionLocation};
pub use error::{
    BlockFault, BuildError, CallError, ExecuteError, FinalizeError, GenesisError, InvalidTransaction, OpenError,
    ReadError, StoreError,
};
pub use evm::MAX_TRANSACTION_GAS;
pub use executed::{ExecutedBlock, Receipt};
pub use fee::{GENESIS_BASE_FEE, next_base_fee};
pub use genesis::{Genesis, GenesisAccount, genesis_block};
pub use header::prevrandao;
pub use ports::{Candidate, NoTransactions, TransactionSource};
pub use simulate::{SimulateError, Simulated, SimulatedBlock, SimulatedCall};
pub use state::StateView;
pub use store::{AddressHeights, LogHeights, Outcome};
pub use trace::Traces;
pub use transition::{Environment, Rules, Transition, Transitions, UnknownRules, state_root};
pub use verify::Expectation;
