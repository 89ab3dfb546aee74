//! Turns L1 data into the one L2 chain.
//!
//! ```text
//! parent, view and time, origin, deposits -> attributes() -> forced transactions, base fee, header fields -> execution
//! proposer: choose() -> origin and time       voter: check_block() -> Valid | Invalid | Wait
//! accepted batches + OriginView -> Derivation -> Plan -> execution -> confirm() -> Anchor
//! ```
//!
//! Pure functions of their arguments: the clock and L1 are handed in, so that every node comes to the same answer.

mod attributes;
mod check;
mod choose;
mod derivation;
mod fee;
mod view;

pub use attributes::{Attributes, AttributesError, Parent, Position, attributes, prevrandao};
pub use check::{Context, Fault, MAX_DRIFT_MS, Verdict, Wait, check_block};
pub use choose::{Choice, Declined, choose};
pub use derivation::{Class, Derivation, DeriveError, Plan};
pub use fee::{MIN_BASE_FEE, base_fee, base_fee_floor};
pub use view::{OriginBlock, OriginView, ViewError};
