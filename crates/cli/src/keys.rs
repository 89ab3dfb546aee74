//! What the verbs need of keys beyond [`OperatorKeys`]: their public halves, and single accounts.

use alloy::{
    primitives::{Address, B256},
    signers::local::PrivateKeySigner,
};
use baton_node::{
    OperatorKeys,
    keys::{KeyError, read_secret},
};
use baton_primitives::{IdentityKey, bls};
use serde::Serialize;
use std::path::Path;

/// What others may know of a node's keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublicKeys {
    /// BLS vote key, 96 bytes compressed.
    pub vote: bls::PublicKey,
    /// ed25519 identity.
    pub identity: IdentityKey,
    /// Account of the poster.
    pub poster: Address,
}

impl From<&OperatorKeys> for PublicKeys {
    fn from(keys: &OperatorKeys) -> Self {
        Self { vote: keys.vote.public(), identity: keys.identity.public(), poster: keys.poster.address() }
    }
}

/// Reads a secp256k1 account from a file that only its owner may read.
///
/// # Errors
/// If the file is missing, malformed or readable by others.
pub fn read_account(path: &Path) -> Result<PrivateKeySigner, KeyError> {
    PrivateKeySigner::from_bytes(&B256::from(read_secret(path)?)).map_err(|_| KeyError::Invalid { path: path.into() })
}
