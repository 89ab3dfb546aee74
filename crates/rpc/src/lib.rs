//! Answers JSON-RPC.

pub mod config;
pub mod ports;
pub mod types;
pub use config::{Allow, Config};
