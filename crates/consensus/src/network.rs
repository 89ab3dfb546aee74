//! Channels, limits and the peer network.
//!
//! ```text
//! votes, certificates, resolver   one sub-channel per epoch: a wrong-epoch message would cost its sender the connection
//! blocks, backfill                whole blocks: pushed by the leader, asked for by whoever misses one
//! standing                        "which of my votes have you seen?" (see `standing`)
//! attest, transactions            bytes of other actors
//! ```
//!
//! An outgoing message above the network's limit panics, so the limit is derived from the largest of each part, and every
//! message of another actor is measured before it is taken. A full inbound queue drops the arriving message.

use crate::{
    block::BlockLimit,
    config::{Config, MAX_MEMBERS, PROTOCOL_VERSION},
    digest::Digest,
    set,
    types::{PublicKey, Scheme, Variant},
};
use commonware_consensus::{marshal, simplex};
use commonware_cryptography::{ChaCha20Poly1305, Signer as _, ed25519};
use commonware_p2p::{
    AddressableManager, Blocker, Channel, Receiver, Sender, authenticated::lookup, max_message_size,
    utils::mux::prefixed,
};
use commonware_runtime::{Clock, Metrics, Network, Quota, Resolver, Spawner};
use commonware_stream::{
    SakeCups,
    cups::{self, Cups},
    sake::{self, Sake},
};
use commonware_utils::{NZU32, NZUsize};
use rand_core::CryptoRng;
use std::{num::NonZeroUsize, time::Duration};

/// Longest message that other actors may send, bytes. Holds any batch (six blobs) with room.
pub const MESSAGE_LIMIT: usize = 1024 * 1024;

/// Peer sets kept. Each is the members of an epoch and of the one before it, so two know the epochs before, now and next.
pub(crate) const TRACKED_SETS: NonZeroUsize = NZUsize!(2);
/// Most identities of one tracked set: the members of two epochs and this node.
pub(crate) const MOST_PEERS: NonZeroUsize = NZUsize!(2 * MAX_MEMBERS + 1);

/// One channel of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Votes,
    Certificates,
    Resolver,
    Blocks,
    Backfill,
    Standing,
    Attest,
    Transactions,
}

impl Lane {
    /// All of them, in the order of [`Channels`].
    #[cfg(test)]
    pub(crate) const ALL: [Self; 8] = [
        Self::Votes,
        Self::Certificates,
        Self::Resolver,
        Self::Blocks,
        Self::Backfill,
        Self::Standing,
        Self::Attest,
        Self::Transactions,
    ];

    pub(crate) const fn channel(self) -> Channel {
        match self {
            Self::Votes => 0,
            Self::Certificates => 1,
            Self::Resolver => 2,
            Self::Blocks => 3,
            Self::Backfill => 4,
            Self::Standing => 5,
            Self::Attest => 6,
            Self::Transactions => 7,
        }
    }

    /// Messages per second from and to each peer, and how many of them at once. The queues of a channel hold one burst of every
    /// peer that may connect, and are allocated at the start: bursts, not rates, are what a node's memory pays for.
    pub(crate) const fn quota(self) -> Quota {
        let (rate, burst) = match self {
            Self::Votes | Self::Certificates | Self::Transactions => (NZU32!(1024), NZU32!(128)),
            Self::Resolver | Self::Attest | Self::Backfill => (NZU32!(256), NZU32!(64)),
            Self::Blocks => (NZU32!(64), NZU32!(16)),
            Self::Standing => (NZU32!(16), NZU32!(16)),
        };
        Quota::per_second(rate).allow_burst(burst)
    }
}

/// Both ends of every channel.
pub(crate) struct Channels<S, R> {
    pub(crate) votes: (S, R),
    pub(crate) certificates: (S, R),
    pub(crate) resolver: (S, R),
    pub(crate) blocks: (S, R),
    pub(crate) backfill: (S, R),
    pub(crate) standing: (S, R),
    pub(crate) attest: (S, R),
    pub(crate) transactions: (S, R),
}

/// A network that is ready to run.
pub(crate) struct Wire<S, R, M, B>
where
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
    M: AddressableManager<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    pub(crate) channels: Channels<S, R>,
    pub(crate) manager: M,
    pub(crate) blocker: B,
}

/// The limit of the network: the largest message of any part.
pub(crate) fn message_limit(block: BlockLimit) -> u32 {
    let members = u32::try_from(MAX_MEMBERS).expect("invariant: the set bound is small");
    max_message_size(&[
        prefixed(simplex::max_payload_size::<Scheme, Digest>(members)),
        marshal::max_payload_size::<Variant, Scheme>(members, &block),
        crate::standing::Message::SIZE,
        MESSAGE_LIMIT,
    ])
}

type Lookup<E> = lookup::Network<E, SakeCups<ed25519::PrivateKey, ChaCha20Poly1305>>;
type LookupOracle = lookup::Oracle<PublicKey>;
type LookupWire<E> = Wire<lookup::Sender<PublicKey, E>, lookup::Receiver<PublicKey>, LookupOracle, LookupOracle>;

/// Makes the real network: authenticated TCP between the members, addresses from the snapshots.
pub(crate) fn authenticated<E>(context: E, config: &Config) -> (Lookup<E>, LookupWire<E>)
where
    E: Spawner + Clock + CryptoRng + Network + Resolver + Metrics,
{
    let signer = set::identity(&config.identity);
    let me = signer.public_key();
    let handshake = Cups::<_, ChaCha20Poly1305>::new(
        Sake {
            signer,
            synchrony_bound: Duration::from_secs(5),
            max_handshake_age: Duration::from_secs(10),
            version: sake::Version::V1,
        },
        cups::Version::V1,
    );
    let mut namespace = set::namespace(&config.domain).to_vec();
    namespace.extend_from_slice(&PROTOCOL_VERSION.to_be_bytes());
    let limit = message_limit(BlockLimit::of(&config.parameters));
    let network = lookup::Config {
        handshake,
        namespace,
        listen: config.listen,
        allow_private_ips: config.allow_private_ips,
        allow_dns: true,
        bypass_ip_check: config.bypass_ip_check,
        max_message_size: limit,
        max_peers_per_set: MOST_PEERS,
        mailbox_size: NZUsize!(1024),
        send_batch_size: NZUsize!(8),
        handshake_timeout: Duration::from_secs(5),
        dial_timeout: Duration::from_secs(5),
        // Short, because a member that restarts must be back within a second or two; members are few and known.
        peer_connection_cooldown: Duration::from_millis(250),
        max_concurrent_handshakes: NZU32!(512),
        allowed_handshake_rate_per_ip: Quota::per_second(NZU32!(128)),
        allowed_handshake_rate_per_subnet: Quota::per_second(NZU32!(256)),
        ping_frequency: Duration::from_secs(5),
        dial_frequency: Duration::from_millis(200),
        tracked_peer_sets: TRACKED_SETS,
        // Long enough to stop a flood, short enough that a peer wrongly blocked costs one epoch at most.
        block_duration: Duration::from_secs(60),
    };
    let (mut network, oracle) = Lookup::new(context, network);
    let mut lane = |lane: Lane| network.register(lane.channel(), lane.quota());
    let channels = Channels {
        votes: lane(Lane::Votes),
        certificates: lane(Lane::Certificates),
        resolver: lane(Lane::Resolver),
        blocks: lane(Lane::Blocks),
        backfill: lane(Lane::Backfill),
        standing: lane(Lane::Standing),
        attest: lane(Lane::Attest),
        transactions: lane(Lane::Transactions),
    };
    tracing::debug!(%me, listen = %config.listen, limit, "peer network made");
    (network, Wire { channels, manager: oracle.clone(), blocker: oracle })
}
