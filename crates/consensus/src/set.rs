//! A snapshot as the engine sees it: keys in engine order, addresses to dial, schemes to sign and verify with.

use crate::{
    config::{Domain, MAX_MEMBERS},
    types::{PublicKey, Scheme},
};
use baton_primitives::{IdentityKey, IdentitySecret, Member, Snapshot, bls, consensus_namespace};
use commonware_codec::{Copying, DecodeExt};
use commonware_cryptography::{
    bls12381::primitives::{
        group::Private,
        variant::{MinSig, Variant},
    },
    ed25519,
};
use commonware_p2p::{Address, Ingress};
use commonware_utils::{
    Hostname,
    ordered::{BiMap, Map},
};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

/// An unroutable address (TEST-NET-1): the seat of a member whose endpoint does not parse stays, offline.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);

/// A set that can run an epoch.
#[derive(Clone, Debug)]
pub(crate) struct Members {
    snapshot: Arc<Snapshot>,
    keys: Arc<[PublicKey]>,
    votes: BiMap<PublicKey, <MinSig as Variant>::Public>,
}

impl Members {
    /// Reads the keys of a snapshot.
    ///
    /// # Errors
    /// Text that says why the snapshot cannot serve as a set.
    pub(crate) fn new(snapshot: Arc<Snapshot>) -> Result<Self, String> {
        let count = snapshot.members.len();
        if count == 0 || count > MAX_MEMBERS {
            return Err(format!("{count} members, between 1 and {MAX_MEMBERS} possible"));
        }
        if snapshot.total_stake().is_zero() {
            return Err("its stake is zero".into());
        }
        let keys = engine_keys(&snapshot.members)?;
        let mut votes = Vec::with_capacity(count);
        for (key, member) in keys.iter().zip(&snapshot.members) {
            votes.push((key.clone(), vote_key(&member.vote_key)?));
        }
        let votes = BiMap::try_from(votes).map_err(|e| format!("a key occurs twice: {e:?}"))?;
        Ok(Self { snapshot, keys: keys.into(), votes })
    }

    pub(crate) fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The members' keys, in the order of the snapshot and of the engine.
    pub(crate) fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    pub(crate) fn position(&self, key: &PublicKey) -> Option<usize> {
        self.keys.binary_search(key).ok()
    }

    /// Members that must sign, of `self.keys().len()`.
    pub(crate) fn quorum(&self) -> usize {
        let count = self.keys.len();
        count - (count - 1) / 3
    }

    /// Where to reach the members.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (PublicKey, Address)> + '_ {
        self.keys.iter().cloned().zip(self.snapshot.members.iter().map(|m| address(&m.endpoint)))
    }

    /// A scheme that only verifies; it knows its seat if `me` has one.
    pub(crate) fn verifier(&self, domain: &Domain, me: &PublicKey) -> Scheme {
        let namespace = namespace(domain);
        Scheme::member(&namespace, self.votes.clone(), me)
            .unwrap_or_else(|| Scheme::verifier(&namespace, self.votes.clone()))
    }

    /// A scheme that verifies, of a node without a seat.
    pub(crate) fn anonymous(&self, domain: &Domain) -> Scheme {
        Scheme::verifier(&namespace(domain), self.votes.clone())
    }

    /// A scheme that signs; `None` if the key has no seat, or not that of `me`.
    pub(crate) fn signer(&self, domain: &Domain, me: &PublicKey, key: &Private) -> Option<Scheme> {
        let seat = self.position(me)?;
        let scheme = Scheme::signer(&namespace(domain), self.votes.clone(), key.clone())?;
        let signs_at = commonware_cryptography::certificate::Scheme::me(&scheme)?.index();
        (usize::from(signs_at) == seat).then_some(scheme)
    }
}

/// The peers of a set, with later sets overriding the addresses of earlier ones.
pub(crate) fn peers<'a>(sets: impl IntoIterator<Item = &'a Members>) -> Map<PublicKey, Address> {
    let mut newest_first: Vec<_> = sets.into_iter().collect();
    newest_first.reverse();
    Map::from_iter_dedup(newest_first.into_iter().flat_map(Members::addresses))
}

/// The base namespace of votes.
pub(crate) fn namespace(domain: &Domain) -> [u8; 32] {
    consensus_namespace(domain.l1_chain_id, domain.inbox, domain.generation).0
}

/// This node's network key.
pub(crate) fn identity(secret: &IdentitySecret) -> ed25519::PrivateKey {
    ed25519::PrivateKey::decode(Copying(&secret.to_bytes())).expect("invariant: every 32 bytes are an ed25519 secret")
}

/// This node's vote key.
pub(crate) fn vote_secret(secret: &bls::SecretKey) -> Private {
    Private::decode(Copying(&secret.to_bytes())).expect("invariant: a vote key is a scalar in range")
}

/// The registered form of a network key.
pub(crate) fn identity_key(key: &PublicKey) -> IdentityKey {
    IdentityKey(alloy::primitives::B256::from_slice(key))
}

/// The engine's form of a registered network key; `None` if it is no curve point.
pub(crate) fn public_key(key: &IdentityKey) -> Option<PublicKey> {
    PublicKey::decode(Copying(key.0.as_slice())).ok()
}

fn vote_key(key: &bls::PublicKey) -> Result<<MinSig as Variant>::Public, String> {
    <MinSig as Variant>::Public::decode(Copying(&key.to_bytes())).map_err(|e| format!("vote key {key}: {e}"))
}

/// L1 does not check that an identity is a curve point. Such a member keeps its seat, offline: it gets the nearest key above
/// (else below) that is a point and keeps the order, so that every node derives the same set.
fn engine_keys(members: &[Member]) -> Result<Vec<PublicKey>, String> {
    let mut keys: Vec<PublicKey> = Vec::with_capacity(members.len());
    for (position, member) in members.iter().enumerate() {
        let above = members.get(position + 1).map(|m| m.identity);
        let below = position.checked_sub(1).map(|p| members[p].identity);
        if above.is_some_and(|next| next <= member.identity) {
            return Err(format!("its members do not ascend at {}", member.identity));
        }
        let key = public_key(&member.identity)
            .or_else(|| nearest(&member.identity, |c| above.is_none_or(|next| *c < next), true))
            .or_else(|| nearest(&member.identity, |c| below.is_none_or(|last| *c > last), false))
            .filter(|key| keys.last().is_none_or(|last| last < key))
            .ok_or_else(|| format!("identity {} is no curve point and has no free neighbour", member.identity))?;
        keys.push(key);
    }
    Ok(keys)
}

/// About every second value is a point; 256 steps fail with a chance of 2^-256.
fn nearest(from: &IdentityKey, fits: impl Fn(&IdentityKey) -> bool, up: bool) -> Option<PublicKey> {
    let mut value = alloy::primitives::U256::from_be_bytes(from.0.0);
    for _ in 0..256 {
        let one = alloy::primitives::U256::from(1);
        value = if up { value.checked_add(one)? } else { value.checked_sub(one)? };
        let candidate = IdentityKey(value.into());
        if !fits(&candidate) {
            return None;
        }
        if let Some(key) = public_key(&candidate) {
            return Some(key);
        }
    }
    None
}

fn address(endpoint: &str) -> Address {
    if let Ok(socket) = endpoint.parse::<SocketAddr>() {
        return Address::Symmetric(socket);
    }
    let dns = endpoint.rsplit_once(':').and_then(|(host, port)| {
        let host = Hostname::new(host).ok()?;
        let port = port.parse().ok()?;
        Some(Ingress::Dns { host, port })
    });
    dns.map_or(Address::Symmetric(NOWHERE), |ingress| Address::Asymmetric { ingress, egress: NOWHERE })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use commonware_cryptography::Signer as _;

    #[test]
    fn both_libraries_derive_the_same_public_keys() {
        let (identity_secret, vote) = testing::keys(3);
        assert_eq!(identity_key(&identity(&identity_secret).public_key()), identity_secret.public());
        let public = commonware_cryptography::bls12381::primitives::ops::compute_public::<MinSig>(&vote_secret(&vote));
        assert_eq!(public, vote_key(&vote.public()).unwrap());
    }

    #[test]
    fn a_member_whose_identity_is_no_point_keeps_its_seat() {
        let mut snapshot = testing::snapshot(4);
        let mut broken = snapshot.members[1].identity;
        while public_key(&broken).is_some() {
            broken.0.0[31] = broken.0.0[31].wrapping_add(1);
        }
        snapshot.members[1].identity = broken;
        let members = Members::new(Arc::new(snapshot.clone())).unwrap();
        assert_eq!(members.keys().len(), 4);
        for (position, member) in snapshot.members.iter().enumerate() {
            assert_eq!(public_key(&member.identity) == Some(members.keys()[position].clone()), position != 1);
        }
        assert!(members.keys().is_sorted());
    }

    #[test]
    fn a_set_without_stake_or_members_is_refused() {
        let mut snapshot = testing::snapshot(1);
        snapshot.members[0].stake = 0;
        assert!(Members::new(Arc::new(snapshot.clone())).is_err());
        snapshot.members.clear();
        assert!(Members::new(Arc::new(snapshot)).is_err());
    }

    #[test]
    fn endpoints_may_be_addresses_or_names_and_rubbish_is_nowhere() {
        assert_eq!(address("127.0.0.1:80"), Address::Symmetric("127.0.0.1:80".parse().unwrap()));
        assert!(matches!(
            address("node.example:80"),
            Address::Asymmetric { ingress: Ingress::Dns { port: 80, .. }, .. }
        ));
        assert_eq!(address("rubbish"), Address::Symmetric(NOWHERE));
    }
}
