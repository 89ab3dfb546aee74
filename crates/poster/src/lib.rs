//! Certifies batches and puts them on L1 exactly once.

mod ports;

pub use ports::{Call, Chain, Executed, Ledger, Network, Recipients, Sent, Settlement, Standing};
