//! Joins actors, supervises, drains. No rules here.

mod admin;
mod batches;
mod certificates;
pub mod config;
mod derive;
mod error;
mod follow;
mod forward;
mod genesis;
pub mod keys;
mod ledger;
mod metrics;
mod offence;
mod parameters;
mod posting;
mod rpc;
mod run;
mod sequencing;
mod sets;
mod source;

pub use admin::{SetLogFilter, control_log};
pub use config::Config;
pub use derive::{Derived, Until, derive};
pub use error::NodeError;
pub use genesis::{DeploymentMismatch, genesis, genesis_of};
pub use keys::OperatorKeys;
pub use offence::accuse;
pub use run::run;
