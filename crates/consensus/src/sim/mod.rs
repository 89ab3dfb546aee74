//! The deterministic simulation: real engines, marshal, storage and epochs over a simulated network and clock. One seed, one
//! run. Only the chain is small: its blocks are empty, its rules those of structure.

mod chain;
mod faults;
mod progress;
mod sockets;
mod world;

use chain::{SmallChain, SmallSets};
use world::{World, simulate};
