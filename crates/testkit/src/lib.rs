//! Worlds for tests: chains, clocks, links, adversaries. Never a normal dependency.
//!
//! ```text
//! WorldPlan -> World { Anvil, contracts, nodes (processes), database } -> actions -> promises (P1..P12 by name)
//! ```
//!
//! A world cleans up after itself: processes end by their id when it is dropped. After a failed test its directory stays,
//! and the ends of the nodes' logs are printed.

pub mod chains;
pub mod postgres;
pub mod promises;
pub mod proxy;
pub mod world;

pub use world::{World, WorldPlan, fast_parameters};
