//! What ends the poster.

use baton_primitives::{BatchIndex, Height};
use std::{io, path::PathBuf};

/// Why the poster cannot start or go on. Everything else is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal or the blobs cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The journal has a damaged record that is not its last.
    #[error("the journal {path} is damaged at byte {at}: restore it, or move it away and start with a new vote key")]
    Journal {
        /// The file.
        path: PathBuf,
        /// Where.
        at: u64,
    },
    /// L1 accepted another batch than this node's final blocks give.
    #[error(
        "L1 accepted batch {index} with core {accepted}, this node's final blocks up to {last_height} give {own}: this node or two thirds of the stake are wrong"
    )]
    Diverged {
        /// The batch.
        index: BatchIndex,
        /// Last height of this node's batch.
        last_height: Height,
        /// The core hash that L1 accepted.
        accepted: alloy::primitives::B256,
        /// This node's core hash.
        own: alloy::primitives::B256,
    },
    /// The final chain cannot be cut or cored: a broken invariant.
    #[error("batch after height {after} cannot be built: {reason}")]
    Build {
        /// Last height of the batch before.
        after: Height,
        /// Why.
        reason: String,
    },
}
