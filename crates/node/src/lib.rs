//! Joins actors, supervises, drains. No rules here.

pub mod config;
pub mod keys;

pub use config::Config;
pub use keys::OperatorKeys;
