//! The engine as its callers use it: real blocks over a real database.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod addresses;
mod blocks;
mod calls;
mod concurrency;
mod crash;
mod differential;
mod history;
mod logs;
mod oracle;
mod programs;
mod segments;
mod witness;
mod world;
