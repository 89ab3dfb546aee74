//! `baton evm`: the chain's executor driven as other implementations of the EVM are, for comparisons with them.
//!
//! ```text
//! t8n:       accounts, environment, transactions -> engine::Transitions -> accounts, roots, receipts, refusals
//! statetest: ethereum/tests' GeneralStateTests   -> engine::Transitions -> root and logs, compared with the file's
//! ```

pub mod json;
pub mod statetest;
pub mod t8n;
pub mod transaction;

use clap::Subcommand;
use eyre::Result;
use std::process::ExitCode;

/// Which interface.
#[derive(Debug, Subcommand)]
pub enum EvmVerb {
    /// Execute a block on given accounts: the interface of geth's `evm t8n`.
    T8n(t8n::T8n),
    /// Execute ethereum/tests' state tests and compare: the interface of geth's `evm statetest`.
    Statetest(statetest::StateTest),
}

/// Runs the verb.
///
/// # Errors
/// If a file cannot be read or written, or is not of its form.
pub fn run(verb: &EvmVerb) -> Result<ExitCode> {
    match verb {
        EvmVerb::T8n(verb) => t8n::run(verb).map(|()| ExitCode::SUCCESS),
        EvmVerb::Statetest(verb) => statetest::run(verb),
    }
}
