//! Turns derived blocks into exact shares, conserving every wei.
//!
//! ```text
//! views of an epoch's final blocks + leaders -> Record -> Performance      (in the core that closes the epoch)
//! fees + debts + performance + certificates -> Books::close -> Closed      (what `RevenueShare.close` credits)
//! ```
//!
//! The arithmetic is that of `contracts/src/RevenueShare.sol`, to the wei; `tests/vectors/revenue.json` holds both to it.

mod performance;
mod share;

pub use performance::Record;
pub use share::{Books, Closed, Credit, Debt, Earner, RevenueError, Shares, income};
