//! One module a verb: its flags, what it does, what it prints.

pub mod config;
pub mod keys;
pub mod node;
