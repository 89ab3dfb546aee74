//! The engine's payload digest: an Ethereum block hash.

use alloy::primitives::B256;
use bytes::BufMut;
use commonware_codec::{Buf, Error, FixedArray, FixedSize, Read, ReadExt, Write};
use commonware_math::algebra::Random;
use commonware_utils::{Array, Span};
use rand_core::CryptoRng;
use std::{fmt, ops::Deref};

/// A block hash in the engine's clothes. Encodes as its 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FixedArray)]
#[repr(transparent)]
pub(crate) struct Digest([u8; 32]);

impl From<B256> for Digest {
    fn from(hash: B256) -> Self {
        Self(hash.0)
    }
}

impl From<Digest> for B256 {
    fn from(digest: Digest) -> Self {
        Self(digest.0)
    }
}

impl Write for Digest {
    fn write(&self, buf: &mut impl BufMut) {
        self.0.write(buf);
    }
}

impl Read for Digest {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, Error> {
        Ok(Self(<[u8; 32]>::read(buf)?))
    }
}

impl FixedSize for Digest {
    const SIZE: usize = 32;
}

impl Span for Digest {}
impl Array for Digest {}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Deref for Digest {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        B256::from(*self).fmt(f)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        B256::from(*self).fmt(f)
    }
}

impl commonware_cryptography::Digest for Digest {
    const EMPTY: Self = Self([0; 32]);
}

impl Random for Digest {
    fn random(mut rng: impl CryptoRng) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }
}
