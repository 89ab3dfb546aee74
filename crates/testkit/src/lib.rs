//! Worlds for tests: chains, clocks, links, adversaries. Never a normal dependency.

pub mod postgres;
