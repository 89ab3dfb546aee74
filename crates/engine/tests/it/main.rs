//! The engine as its callers use it: real blocks over a real database.

mod blocks;
mod calls;
mod crash;
mod differential;
mod history;
mod oracle;
mod world;
