//! The ed25519 network identity of a node.

use alloy::primitives::B256;
use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The public half: 32 bytes as registered on L1, which does not check that they are a curve point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdentityKey(pub B256);

impl IdentityKey {
    /// Whether the bytes are a curve point, so that a node can hold this identity.
    pub fn is_point(&self) -> bool {
        VerifyingKey::from_bytes(&self.0.0).is_ok()
    }
}

impl fmt::Display for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The secret half. Its `Debug` shows only the public key.
#[derive(Clone)]
pub struct IdentitySecret(SigningKey);

impl IdentitySecret {
    /// Takes 32 secret bytes (any are valid).
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&bytes))
    }

    /// The 32 secret bytes.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The public key.
    pub fn public(&self) -> IdentityKey {
        IdentityKey(B256::from(self.0.verifying_key().to_bytes()))
    }
}

impl fmt::Debug for IdentitySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdentitySecret(public {})", self.public())
    }
}
