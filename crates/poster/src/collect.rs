//! Gathers the members' signatures on one encoding of one batch. No I/O, no clock.

use alloy::primitives::{B256, U256};
use baton_primitives::{IdentityKey, Snapshot, batch_message, bls};
use std::{collections::BTreeMap, sync::Arc};

/// Signatures on one encoding.
#[derive(Debug)]
pub(crate) struct Collector {
    snapshot: Arc<Snapshot>,
    message: Vec<u8>,
    pub(crate) data_hash: B256,
    signatures: BTreeMap<usize, bls::Signature>,
}

/// What became of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It counts.
    Counted,
    /// This member's is known already.
    Again,
    /// The sender is no member.
    Stranger,
    /// It does not verify.
    Invalid,
}

/// Two thirds of the stake or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    pub(crate) signers: U256,
    pub(crate) signature: bls::Signature,
}

impl Collector {
    pub(crate) fn new(
        snapshot: Arc<Snapshot>,
        l1_chain_id: u64,
        inbox: alloy::primitives::Address,
        core_hash: B256,
        data_hash: B256,
    ) -> Self {
        let message = batch_message(l1_chain_id, inbox, core_hash, data_hash);
        Self { snapshot, message, data_hash, signatures: BTreeMap::new() }
    }

    /// Takes a member's signature, which must be its own: it is verified under its key alone, so that one bad signature
    /// cannot spoil the aggregate.
    pub(crate) fn take(&mut self, from: &IdentityKey, signature: &bls::Signature) -> Taken {
        let Some(position) = self.snapshot.position(from) else { return Taken::Stranger };
        if self.signatures.contains_key(&position) {
            return Taken::Again;
        }
        if self.snapshot.members[position].vote_key.verify(&self.message, signature).is_err() {
            return Taken::Invalid;
        }
        self.signatures.insert(position, *signature);
        Taken::Counted
    }

    /// Whether every member signed: nothing is gained by waiting.
    pub(crate) fn is_complete(&self) -> bool {
        self.signatures.len() == self.snapshot.members.len()
    }

    /// Members that have not signed yet.
    pub(crate) fn absent(&self) -> usize {
        self.snapshot.members.len() - self.signatures.len()
    }

    /// The certificate, once two thirds of the stake signed.
    pub(crate) fn certificate(&self) -> Option<Certificate> {
        let mut signers = U256::ZERO;
        for position in self.signatures.keys() {
            signers.set_bit(*position, true);
        }
        if !self.snapshot.is_quorum(signers) {
            return None;
        }
        let signature = bls::Signature::aggregate(self.signatures.values()).ok()?;
        Some(Certificate { signers, signature })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{key, snapshot};
    use alloy::primitives::Address;

    fn collector(members: u8) -> Collector {
        let hash = B256::repeat_byte;
        Collector::new(Arc::new(snapshot(members)), 1, Address::repeat_byte(1), hash(2), hash(3))
    }

    fn sign(collector: &mut Collector, member: u8) -> Taken {
        let identity = collector.snapshot.members[usize::from(member)].identity;
        let signature = key(member).sign(&collector.message);
        collector.take(&identity, &signature)
    }

    #[test]
    fn two_thirds_of_the_stake_make_a_certificate_that_verifies() {
        let mut collector = collector(4);
        assert_eq!(sign(&mut collector, 0), Taken::Counted);
        assert_eq!(sign(&mut collector, 3), Taken::Counted);
        assert_eq!(collector.certificate(), None);
        assert_eq!(sign(&mut collector, 1), Taken::Counted);
        let certificate = collector.certificate().unwrap();
        assert_eq!(certificate.signers, U256::from(0b1011));
        let keys: Vec<_> = [0, 1, 3].map(|i| key(i).public()).to_vec();
        let sum = bls::PublicKey::aggregate(&keys).unwrap();
        assert_eq!(sum.verify(&collector.message, &certificate.signature), Ok(()));
        assert!(!collector.is_complete());
        sign(&mut collector, 2);
        assert!(collector.is_complete());
    }

    #[test]
    fn strangers_forgeries_and_repetitions_do_not_count() {
        let mut collector = collector(3);
        let stranger = baton_primitives::IdentitySecret::from_bytes([99; 32]).public();
        let good = key(0).sign(&collector.message);
        assert_eq!(collector.take(&stranger, &good), Taken::Stranger);
        let second = collector.snapshot.members[1].identity;
        assert_eq!(collector.take(&second, &good), Taken::Invalid);
        let other = key(1).sign(b"another message");
        assert_eq!(collector.take(&second, &other), Taken::Invalid);
        assert_eq!(sign(&mut collector, 0), Taken::Counted);
        assert_eq!(sign(&mut collector, 0), Taken::Again);
        assert_eq!(collector.absent(), 2);
        assert_eq!(collector.certificate(), None);
    }
}
