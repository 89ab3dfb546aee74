//! Two chains for tests of what reads them: a real Anvil with a founded Baton, and an L2 of hand-made final blocks, served as a
//! node serves them.

mod l1;
mod l2;
mod pair;

pub use l1::{L1, STAKE};
pub use l2::{L2, PlannedBlock};
pub use pair::Pair;
