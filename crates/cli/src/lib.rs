//! The `baton` binary: flags, keys, verbs.
//!
//! ```text
//! arguments, environment, file -settings-> app -verb-> { node | indexer | api | contract calls | devnet }
//!                                                        devnet = supervisor of child processes (process, anvil)
//! ```
//!
//! The devnet's parts are public, because the tests' worlds are built from the same ones.

pub mod anvil;
pub mod app;
pub mod chain;
pub mod devnet;
pub mod founding;
pub mod keys;
pub mod load;
pub mod output;
pub mod process;
pub mod settings;
pub mod tools;
pub mod verbs;

pub use app::main;
