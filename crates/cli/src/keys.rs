//! What the verbs need of keys beyond [`OperatorKeys`]: their public halves, proofs of possession, and single accounts.

use alloy::{
    primitives::{Address, B256},
    signers::local::PrivateKeySigner,
};
use baton_node::{
    OperatorKeys,
    keys::{KeyError, read_secret},
};
use baton_primitives::{IdentityKey, bls, possession_message};
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

/// The proof, for the pool at `pool`, that the node of `owner` holds its vote key.
pub fn possession(keys: &OperatorKeys, l1_chain_id: u64, pool: Address, owner: Address) -> bls::Signature {
    keys.vote.prove_possession(&possession_message(l1_chain_id, pool, owner, &keys.vote.public()))
}

/// Reads a secp256k1 account from a file that only its owner may read.
///
/// # Errors
/// If the file is missing, malformed or readable by others.
pub fn read_account(path: &Path) -> Result<PrivateKeySigner, KeyError> {
    PrivateKeySigner::from_bytes(&B256::from(read_secret(path)?)).map_err(|_| KeyError::Invalid { path: path.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_possession_proof_verifies_for_its_owner_only() {
        let keys = OperatorKeys::random();
        let (pool, owner) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let proof = possession(&keys, 31_337, pool, owner);
        let key = keys.vote.public();
        assert!(key.verify_possession(&possession_message(31_337, pool, owner, &key), &proof).is_ok());
        assert!(key.verify_possession(&possession_message(31_337, pool, pool, &key), &proof).is_err());
    }
}
