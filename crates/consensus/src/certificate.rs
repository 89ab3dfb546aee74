//! Finalization certificates for the outside: followers check them against L1's snapshots, without a network or an engine.
//!
//! A certificate proves one block final and with it all its ancestors.

use crate::{
    CertificateError,
    config::Domain,
    set::Members,
    types::{Finalization, Scheme},
};
use alloy::primitives::{B256, Bytes, U256};
use baton_primitives::{Epoch, Snapshot, View};
use commonware_codec::{Decode, Encode};
use commonware_consensus::{Epochable, Viewable};
use commonware_cryptography::certificate::Verifier as _;
use commonware_parallel::Sequential;
use rand::RngCore;
use std::sync::Arc;

/// What a certificate says, once it has been verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finality {
    /// Epoch of the block.
    pub epoch: Epoch,
    /// View in which it became final. For an epoch's last block this may be later than the view in the block.
    pub view: View,
    /// Hash of the block.
    pub hash: B256,
    /// Who signed: bit i is member i of the set.
    pub signers: U256,
}

/// Verifies certificates of one set. Reading a set's keys costs more than a verification: keep this for the epoch.
#[derive(Clone, Debug)]
pub struct CertificateVerifier {
    scheme: Scheme,
    epoch: Epoch,
    members: usize,
}

impl CertificateVerifier {
    /// A verifier for an epoch and its snapshot.
    ///
    /// # Errors
    /// If the snapshot cannot serve as a set.
    pub fn new(domain: &Domain, epoch: Epoch, snapshot: Arc<Snapshot>) -> Result<Self, CertificateError> {
        let id = snapshot.id;
        let members = Members::new(snapshot).map_err(|reason| CertificateError::Set { snapshot: id, reason })?;
        let scheme = members.anonymous(domain);
        Ok(Self { scheme, epoch, members: members.keys().len() })
    }

    /// Checks that the bytes are a certificate of this epoch by a quorum of its set. The caller compares the hash with its
    /// block or a descendant of it.
    ///
    /// # Errors
    /// Why they are not.
    pub fn verify(&self, certificate: &[u8]) -> Result<Finality, CertificateError> {
        let decoded = Finalization::decode_cfg(certificate.to_vec(), &self.scheme.certificate_codec_config())
            .map_err(|e| CertificateError::Decode(e.to_string()))?;
        let epoch = Epoch::new(decoded.epoch().get());
        if epoch != self.epoch {
            return Err(CertificateError::Epoch { got: epoch, expected: self.epoch });
        }
        let mut rng = SystemRng;
        if !decoded.verify(&mut rng, &self.scheme, &Sequential) {
            return Err(CertificateError::Signature);
        }
        let mut signers = U256::ZERO;
        for signer in decoded.certificate.signers.iter() {
            signers.set_bit(usize::from(signer), true);
        }
        debug_assert!(signers.count_ones() <= self.members);
        Ok(Finality { epoch, view: View::new(decoded.view().get()), hash: decoded.proposal.payload.into(), signers })
    }
}

/// The form in which certificates leave this crate.
pub(crate) fn encode(finalization: &Finalization) -> Bytes {
    finalization.encode().into()
}

/// The operating system's randomness in the form that the engine's interfaces ask for.
struct SystemRng;

impl rand_core::TryRng for SystemRng {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(rand::rng().next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(rand::rng().next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        rand::rng().fill_bytes(bytes);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for SystemRng {}
