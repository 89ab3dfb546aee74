//! Speaks to the contracts: typed calls, events, errors, addresses; drift-tested against the sources.
//!
//! ```text
//! contracts/src --(test `artifacts`, solc)--> artifacts/*.json --sol!--> contracts::* --> deploy --> Deployment (file)
//! ```
//! The committed artifacts carry ABI and bytecode, so that building needs no compiler for Solidity. After a change of the
//! contracts run `BATON_WRITE_ARTIFACTS=1 cargo test --workspace --test artifacts`.

pub mod contracts;
mod convert;
mod deploy;
mod deployment;
mod keeper;
mod parameters;
pub mod predeploys;
mod revert;

pub use convert::SnapshotError;
pub use deploy::{DeployConfig, DeployError, Powers, Registration, bond, commit, deploy, register, start};
pub use deployment::{Addresses, Deployment, DeploymentError, Genesis};
pub use keeper::{Kept, SEAL_DELAY, activate, keep_snapshots};
pub use parameters::{ChainParameters, Difference};
pub use revert::{decode_revert, explain, explain_transport};
