//! Joins actors, supervises, drains. No rules here.

mod certificates;
pub mod config;
pub mod keys;
mod ledger;
mod sequencing;
mod sets;
mod source;

pub use config::Config;
pub use keys::OperatorKeys;
