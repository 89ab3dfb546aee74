//! BLS12-381 signatures, MinSig: public keys in G2 (96 bytes compressed), signatures in G1 (48 bytes compressed).
//!
//! The compressed forms go over the wire and into files, the uncompressed EIP-2537 forms into contract calls. Arithmetic is
//! `blst`'s; what is ours are the two domain tags and the padding.
#![allow(clippy::wildcard_enum_match_arm, reason = "wide enums of other crates, all others alike")]

use blst::{
    BLST_ERROR,
    min_sig::{self, AggregatePublicKey, AggregateSignature},
};
use rand::RngCore;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// Tag under which messages are hashed to the curve for signatures.
pub const SIGNATURE_TAG: &[u8] = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
/// Tag under which messages are hashed to the curve for proofs of possession.
pub const POSSESSION_TAG: &[u8] = b"BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";

/// Why bytes are not a key or a signature, or a signature does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not the canonical encoding of a point of the right subgroup, or the point at infinity.
    #[error("not a canonical BLS12-381 point of the right subgroup")]
    Encoding,
    /// Not a scalar between 1 and the group order.
    #[error("not a BLS12-381 secret key")]
    Secret,
    /// The signature does not match message and key.
    #[error("the BLS signature does not verify")]
    Invalid,
    /// Nothing to aggregate.
    #[error("no keys or signatures to aggregate")]
    Empty,
}

/// A secret vote key. Its `Debug` shows only the public key.
#[derive(Clone)]
pub struct SecretKey(min_sig::SecretKey);

impl SecretKey {
    /// A new random key from the operating system's generator.
    pub fn random() -> Self {
        let mut seed = [0u8; 32];
        rand::rng().fill_bytes(&mut seed);
        Self::from_seed(&seed)
    }

    /// A key derived from 32 bytes of secret randomness (the standard's KeyGen).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        // KeyGen fails only for less than 32 bytes of input.
        Self(min_sig::SecretKey::key_gen(seed, &[]).expect("invariant: 32 bytes are enough for KeyGen"))
    }

    /// Takes a big-endian scalar.
    ///
    /// # Errors
    /// If it is zero or not below the group order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, Error> {
        min_sig::SecretKey::from_bytes(bytes).map(Self).map_err(|_| Error::Secret)
    }

    /// The scalar, 32 bytes big-endian.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.sk_to_pk())
    }

    /// Signs a message of [`crate::messages`](crate) under [`SIGNATURE_TAG`].
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message, SIGNATURE_TAG, &[]))
    }

    /// Signs a possession message under [`POSSESSION_TAG`].
    pub fn prove_possession(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message, POSSESSION_TAG, &[]))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(public {:?})", self.public())
    }
}

/// A public vote key, checked to be in the subgroup and not the identity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(min_sig::PublicKey);

impl PublicKey {
    /// Compressed length, bytes.
    pub const LENGTH: usize = 96;

    /// Takes the compressed form.
    ///
    /// # Errors
    /// If it is not canonical, outside the subgroup or the identity.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() != Self::LENGTH {
            return Err(Error::Encoding);
        }
        min_sig::PublicKey::key_validate(bytes).map(Self).map_err(|_| Error::Encoding)
    }

    /// The compressed form.
    pub fn to_bytes(&self) -> [u8; 96] {
        self.0.compress()
    }

    /// The uncompressed EIP-2537 form (x.c0, x.c1, y.c0, y.c1, each 64 bytes).
    pub fn to_eip2537(&self) -> [u8; 256] {
        // blst serializes c1 before c0, EIP-2537 wants c0 first.
        let raw = self.0.serialize();
        let mut out = [0u8; 256];
        for (slot, source) in [(0, 1), (1, 0), (2, 3), (3, 2)] {
            out[slot * 64 + 16..slot * 64 + 64].copy_from_slice(&raw[source * 48..source * 48 + 48]);
        }
        out
    }

    /// Takes the uncompressed EIP-2537 form.
    ///
    /// # Errors
    /// As [`Self::from_bytes`], or if a padding byte is not zero.
    pub fn from_eip2537(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() != 256 {
            return Err(Error::Encoding);
        }
        let mut raw = [0u8; 192];
        for (slot, source) in [(0, 1), (1, 0), (2, 3), (3, 2)] {
            if bytes[slot * 64..slot * 64 + 16].iter().any(|b| *b != 0) {
                return Err(Error::Encoding);
            }
            raw[source * 48..source * 48 + 48].copy_from_slice(&bytes[slot * 64 + 16..slot * 64 + 64]);
        }
        let key = min_sig::PublicKey::deserialize(&raw).map_err(|_| Error::Encoding)?;
        key.validate().map_err(|_| Error::Encoding)?;
        Ok(Self(key))
    }

    /// Checks a signature under [`SIGNATURE_TAG`].
    ///
    /// # Errors
    /// [`Error::Invalid`] if it does not verify.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), Error> {
        self.check(message, SIGNATURE_TAG, signature)
    }

    /// Checks a proof of possession under [`POSSESSION_TAG`].
    ///
    /// # Errors
    /// [`Error::Invalid`] if it does not verify.
    pub fn verify_possession(&self, message: &[u8], signature: &Signature) -> Result<(), Error> {
        self.check(message, POSSESSION_TAG, signature)
    }

    fn check(&self, message: &[u8], tag: &[u8], signature: &Signature) -> Result<(), Error> {
        match signature.0.verify(true, message, tag, &[], &self.0, false) {
            BLST_ERROR::BLST_SUCCESS => Ok(()),
            _ => Err(Error::Invalid),
        }
    }

    /// Sum of public keys.
    ///
    /// # Errors
    /// [`Error::Empty`] for no keys.
    pub fn aggregate<'a>(keys: impl IntoIterator<Item = &'a Self>) -> Result<Self, Error> {
        let keys: Vec<_> = keys.into_iter().map(|k| &k.0).collect();
        let sum = AggregatePublicKey::aggregate(&keys, false).map_err(|_| Error::Empty)?;
        Ok(Self(sum.to_public_key()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.to_bytes()))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = hex::decode(text.trim_start_matches("0x")).map_err(de::Error::custom)?;
        Self::from_bytes(&bytes).map_err(de::Error::custom)
    }
}

/// A signature, checked to be in the subgroup and not the identity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(min_sig::Signature);

impl Signature {
    /// Compressed length, bytes.
    pub const LENGTH: usize = 48;

    /// Takes the compressed form.
    ///
    /// # Errors
    /// If it is not canonical, outside the subgroup or the identity.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() != Self::LENGTH {
            return Err(Error::Encoding);
        }
        min_sig::Signature::sig_validate(bytes, true).map(Self).map_err(|_| Error::Encoding)
    }

    /// The compressed form.
    pub fn to_bytes(&self) -> [u8; 48] {
        self.0.compress()
    }

    /// The uncompressed EIP-2537 form (x, y, each 64 bytes).
    pub fn to_eip2537(&self) -> [u8; 128] {
        let raw = self.0.serialize();
        let mut out = [0u8; 128];
        out[16..64].copy_from_slice(&raw[..48]);
        out[80..128].copy_from_slice(&raw[48..]);
        out
    }

    /// Sum of signatures.
    ///
    /// # Errors
    /// [`Error::Empty`] for no signatures.
    pub fn aggregate<'a>(signatures: impl IntoIterator<Item = &'a Self>) -> Result<Self, Error> {
        let signatures: Vec<_> = signatures.into_iter().map(|s| &s.0).collect();
        let sum = AggregateSignature::aggregate(&signatures, false).map_err(|_| Error::Empty)?;
        Ok(Self(sum.to_signature()))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aggregate_of_signatures_verifies_under_the_aggregate_key() {
        let keys: Vec<_> = (1..5u8).map(|i| SecretKey::from_seed(&[i; 32])).collect();
        let message = b"one message";
        let signature = Signature::aggregate(&keys.iter().map(|k| k.sign(message)).collect::<Vec<_>>()).unwrap();
        let key = PublicKey::aggregate(&keys.iter().map(SecretKey::public).collect::<Vec<_>>()).unwrap();
        assert_eq!(key.verify(message, &signature), Ok(()));
        assert_eq!(key.verify(b"another", &signature), Err(Error::Invalid));
    }

    #[test]
    fn a_signature_is_not_a_proof_of_possession() {
        let key = SecretKey::from_seed(&[9; 32]);
        let signature = key.sign(b"m");
        assert_eq!(key.public().verify_possession(b"m", &signature), Err(Error::Invalid));
    }

    #[test]
    fn keys_round_trip_in_both_forms() {
        let key = SecretKey::from_seed(&[7; 32]).public();
        assert_eq!(PublicKey::from_bytes(&key.to_bytes()), Ok(key));
        assert_eq!(PublicKey::from_eip2537(&key.to_eip2537()), Ok(key));
        let mut padded = key.to_eip2537();
        padded[0] = 1;
        assert_eq!(PublicKey::from_eip2537(&padded), Err(Error::Encoding));
    }

    #[test]
    fn the_identity_and_rubbish_are_no_keys() {
        let mut infinity = [0u8; 96];
        infinity[0] = 0xc0;
        assert_eq!(PublicKey::from_bytes(&infinity), Err(Error::Encoding));
        assert_eq!(PublicKey::from_bytes(&[0xff; 96]), Err(Error::Encoding));
        assert_eq!(Signature::from_bytes(&[0; 48]), Err(Error::Encoding));
    }
}
