//! One module a verb, or a family of verbs: flags, what it does, what it prints.

pub mod api;
pub mod bench;
pub mod config;
pub mod deploy;
pub mod derive;
pub mod doctor;
pub mod evm;
pub mod index;
pub mod keys;
pub mod l1;
pub mod node;
pub mod owner;
pub mod set;
pub mod stake;
