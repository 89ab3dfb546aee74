//! Joins actors, supervises, drains. No rules here.

mod certificates;
pub mod config;
mod follow;
mod forward;
mod genesis;
pub mod keys;
mod ledger;
mod rpc;
mod sequencing;
mod sets;
mod source;

pub use config::Config;
pub use genesis::{DeploymentMismatch, genesis, genesis_of};
pub use keys::OperatorKeys;
