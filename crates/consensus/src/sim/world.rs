//! Nodes, their network and their faults.

use super::{
    SmallChain, SmallSets,
    chain::{genesis, planned},
};
use crate::{
    Config, Domain, Error, Evidence, EvidenceKind, Mailbox, Status, Timing,
    actor::queues,
    core,
    epochs::Drained,
    network::{Channels, Lane, MOST_PEERS, TRACKED_SETS, Wire},
    set,
    storage::Names,
    testing,
    types::PublicKey,
};
use alloy::primitives::{Address, B256};
use baton_primitives::{Epoch, Generation, Parameters, RecoveredBlock, bls};
use commonware_codec::{Write as _, varint::UInt};
use commonware_cryptography::Signer as _;
use commonware_p2p::simulated::{self, Link, Network, Oracle};
use commonware_runtime::{Clock as _, Handle, Runner as _, Spawner as _, Supervisor as _, deterministic};
use commonware_utils::probability;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::sync::mpsc;

/// Heights of an epoch in the simulation.
pub(super) const EPOCH: u64 = 24;
/// Views of a term in the simulation.
pub(super) const TERM: u64 = 6;

type Context = deterministic::Context;

/// Runs a story. The same seed gives the same run; its fingerprint is returned beside the story's result.
pub(super) fn simulate<F, Fut, T>(seed: u64, story: F) -> (T, String)
where
    F: FnOnce(Context) -> Fut,
    Fut: Future<Output = T>,
{
    // RUST_LOG=baton_consensus=debug shows the run.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_test_writer()
        .try_init();
    let config = deterministic::Config::new()
        .with_seed(seed)
        .with_start_time(UNIX_EPOCH + Duration::from_secs(1_790_000_000))
        .with_timeout(Some(Duration::from_secs(600)));
    deterministic::Runner::new(config).start(|context| async move {
        let auditor = context.child("audit");
        let told = story(context).await;
        (told, auditor.auditor().state())
    })
}

pub(super) struct Node {
    pub(super) key: PublicKey,
    pub(super) chain: Arc<SmallChain>,
    pub(super) mailbox: Option<Mailbox>,
    pub(super) handle: Option<Handle<Result<Drained, Error>>>,
    evidence: Vec<mpsc::Receiver<Evidence>>,
    starts: u64,
}

/// Nodes by seed, from 1.
pub(super) struct World {
    pub(super) context: Context,
    pub(super) oracle: Oracle<PublicKey, Context>,
    pub(super) nodes: BTreeMap<u8, Node>,
    plan: BTreeMap<u64, Vec<u8>>,
}

const LINK: Link =
    Link { latency: Duration::from_millis(5), jitter: Duration::from_millis(2), success_rate: probability!(1.0) };

const DOMAIN: Domain = Domain { l1_chain_id: 31_337, inbox: Address::repeat_byte(1), generation: Generation::ZERO };

fn parameters() -> Parameters {
    Parameters { epoch_blocks: EPOCH, term_views: TERM, ..Parameters::devnet() }
}

impl World {
    /// Makes (not starts) every node that the plan names, connected with each other.
    pub(super) async fn new(context: Context, plan: BTreeMap<u64, Vec<u8>>) -> Self {
        let (network, oracle) = Network::new(
            context.child("network"),
            simulated::Config {
                max_size: crate::network::message_limit(crate::block::BlockLimit::of(&parameters())),
                max_peers_per_set: MOST_PEERS,
                disconnect_on_block: true,
                tracked_peer_sets: TRACKED_SETS,
            },
        );
        network.start();
        let seeds: Vec<u8> = plan.values().flatten().copied().collect();
        let nodes: BTreeMap<_, _> = seeds
            .into_iter()
            .map(|seed| {
                let key = set::identity(&testing::keys(seed).0).public_key();
                let chain = SmallChain::new(seed);
                (seed, Node { key, chain, mailbox: None, handle: None, evidence: Vec::new(), starts: 0 })
            })
            .collect();
        let mut world = Self { context, oracle, nodes, plan };
        let all = world.all();
        world.connect(&all, &all).await;
        world
    }

    pub(super) fn domain(&self) -> Domain {
        DOMAIN
    }

    pub(super) fn all(&self) -> Vec<u8> {
        self.nodes.keys().copied().collect()
    }

    /// Connects every one of `some` with every one of `others`, both ways.
    pub(super) async fn connect(&mut self, some: &[u8], others: &[u8]) {
        for (from, to) in self.pairs(some, others) {
            let _ = self.oracle.add_link(from, to, LINK).await;
        }
    }

    pub(super) async fn disconnect(&mut self, some: &[u8], others: &[u8]) {
        for (from, to) in self.pairs(some, others) {
            let _ = self.oracle.remove_link(from, to).await;
        }
    }

    fn pairs(&self, some: &[u8], others: &[u8]) -> Vec<(PublicKey, PublicKey)> {
        let mut pairs = Vec::new();
        for a in some {
            for b in others.iter().filter(|b| *b != a) {
                let (a, b) = (self.nodes[a].key.clone(), self.nodes[b].key.clone());
                pairs.push((a.clone(), b.clone()));
                pairs.push((b, a));
            }
        }
        pairs
    }

    pub(super) async fn start_all(&mut self) {
        for seed in self.all() {
            self.start(seed).await;
        }
    }

    pub(super) async fn start(&mut self, seed: u8) {
        self.start_with(seed, false).await;
    }

    pub(super) async fn start_with(&mut self, seed: u8, trust_journal: bool) {
        let node = self.nodes.get_mut(&seed).unwrap();
        node.starts += 1;
        let (identity, vote_key) = testing::keys(seed);
        let config = Config {
            domain: DOMAIN,
            parameters: parameters(),
            timing: Timing::of(&parameters()),
            genesis: genesis(),
            identity,
            vote_key,
            directory: PathBuf::new(),
            listen: "127.0.0.1:0".parse().unwrap(),
            allow_private_ips: true,
            bypass_ip_check: false,
            trust_journal,
            worker_threads: 1,
        };
        config.validate().unwrap();
        let control = self.oracle.control(node.key.clone());
        let mut ends = Vec::new();
        for lane in Lane::ALL {
            ends.push(control.register(lane.channel(), lane.quota()).await.unwrap());
        }
        let mut ends = ends.into_iter();
        let mut next = || ends.next().unwrap();
        let channels = Channels {
            votes: next(),
            certificates: next(),
            resolver: next(),
            blocks: next(),
            backfill: next(),
            standing: next(),
            attest: next(),
            transactions: next(),
        };
        let wire = Wire { channels, manager: self.oracle.socket_manager(), blocker: control };
        let (inbox, mailbox, streams) = queues();
        let context = self.context.child("node").with_attribute("seed", seed).with_attribute("start", node.starts);
        let names = Names { owner: format!("n{seed}-"), generation: Generation::ZERO };
        let sets = SmallSets::new(node.chain.clone(), EPOCH, self.plan.clone());
        let chain = node.chain.clone();
        node.handle =
            Some(context.spawn(move |context| core::run(context, Arc::new(config), names, chain, sets, wire, inbox)));
        node.mailbox = Some(mailbox);
        node.evidence.push(streams.evidence);
    }

    /// Ends a node at once, as kill -9 does.
    pub(super) async fn kill(&mut self, seed: u8) {
        let node = self.nodes.get_mut(&seed).unwrap();
        let handle = node.handle.take().expect("the node runs");
        handle.abort();
        let _ = handle.await;
        node.mailbox = None;
        node.chain.crash();
        // The tasks below it end a moment later and let their files go.
        self.context.sleep(Duration::from_millis(1)).await;
    }

    /// Removes a node's vote journals, as a lost disk does.
    pub(super) async fn lose_journals(&self, seed: u8) {
        use commonware_runtime::Storage as _;
        for epoch in 0..64 {
            let names = Names { owner: format!("n{seed}-"), generation: Generation::ZERO };
            let _ = self.context.remove(&names.votes(Epoch::new(epoch)), None).await;
        }
    }

    pub(super) fn status(&self, seed: u8) -> Status {
        self.nodes[&seed].mailbox.as_ref().expect("the node runs").status().borrow().clone()
    }

    pub(super) fn chain(&self, seed: u8) -> &Arc<SmallChain> {
        &self.nodes[&seed].chain
    }

    /// Seed of the node that leads now, as a running node sees it.
    pub(super) fn leader(&self) -> u8 {
        let running = self.nodes.values().find(|n| n.handle.is_some()).expect("a node runs");
        let status = running.mailbox.as_ref().unwrap().status().borrow().clone();
        u8::try_from(status.leader.expect("a leader").sequencer.get()).unwrap()
    }

    /// Waits until every running node (or those named) holds a height; the time it took. Panics after `most`.
    pub(super) async fn reach(&mut self, seeds: &[u8], height: u64, most: Duration) -> Duration {
        let began = self.context.current();
        let waits = seeds.iter().map(|seed| self.nodes[seed].chain.reaches(height));
        let all = futures::future::join_all(waits);
        tokio::select! {
            biased;
            _ = all => {}
            () = self.context.sleep(most) => {
                let status = |n: &Node| n.mailbox.as_ref().map(|m| m.status().borrow().clone());
                let nodes: Vec<_> = self.nodes.iter().map(|(s, n)| (*s, n.chain.height(), status(n))).collect();
                panic!("height {height} not reached in {most:?}: {nodes:#?}");
            }
        }
        self.elapsed(began)
    }

    pub(super) fn elapsed(&self, since: SystemTime) -> Duration {
        self.context.current().duration_since(since).unwrap()
    }

    pub(super) async fn sleep(&self, duration: Duration) {
        self.context.sleep(duration).await;
    }

    /// P2 `agreement`: no two final blocks at one height. Each chain checks links and order itself.
    pub(super) fn agree(&self) {
        let mut at: BTreeMap<u64, B256> = BTreeMap::new();
        for (seed, node) in &self.nodes {
            for block in node.chain.finals() {
                let hash = *at.entry(block.height().get()).or_insert(block.hash());
                assert_eq!(hash, block.hash(), "node {seed} disagrees at {}", block.height());
            }
        }
    }

    /// No node that still runs has ended by itself, and no honest key has signed a contradiction (P8).
    pub(super) fn no_evidence(&mut self) {
        assert_eq!(self.evidence(), Vec::new());
    }

    /// The signer's key signed both votes, by the bytes that the `Slasher` verifies.
    pub(super) fn assert_signed(&self, evidence: &Evidence) {
        let snapshot = planned(&self.plan, evidence.epoch.get());
        let member = &snapshot.members[evidence.signer];
        assert_eq!(member.identity, evidence.identity);
        let suffixes: [&[u8]; 2] = match evidence.kind {
            EvidenceKind::Notarize => [b"_NOTARIZE", b"_NOTARIZE"],
            EvidenceKind::Finalize => [b"_FINALIZE", b"_FINALIZE"],
            EvidenceKind::NullifyFinalize => [b"_NULLIFY", b"_FINALIZE"],
        };
        for (vote, suffix) in evidence.votes.iter().zip(suffixes) {
            let mut message = Vec::new();
            UInt((32 + suffix.len()) as u64).write(&mut message);
            message.extend_from_slice(&set::namespace(&DOMAIN));
            message.extend_from_slice(suffix);
            UInt(evidence.epoch.get()).write(&mut message);
            UInt(evidence.view.get()).write(&mut message);
            if suffix != b"_NULLIFY" {
                UInt(vote.parent_view.get()).write(&mut message);
                message.extend_from_slice(vote.block.as_slice());
            }
            let signature = bls::Signature::from_bytes(&vote.signature).unwrap();
            assert_eq!(member.vote_key.verify(&message, &signature), Ok(()), "{evidence:?}");
        }
        assert_ne!(evidence.votes[0], evidence.votes[1]);
    }

    pub(super) fn evidence(&mut self) -> Vec<Evidence> {
        let receivers = self.nodes.values_mut().flat_map(|n| n.evidence.iter_mut());
        receivers.flat_map(|r| std::iter::from_fn(|| r.try_recv().ok())).collect()
    }

    /// P4 `one_leader`: each final block was built by the member that the schedule names for its view.
    pub(super) fn leaders_follow_the_schedule(&self, seed: u8) {
        for block in self.chain(seed).finals().iter().skip(1) {
            let (epoch, view) = place(block);
            let set = planned(&self.plan, epoch.get());
            let seat = baton_schedule::leader(set.seed, epoch, view.term(TERM), &set.stakes()).unwrap();
            assert_eq!(block.header().beneficiary, set.members[seat].operator, "height {}", block.height());
        }
    }
}

fn place(block: &RecoveredBlock) -> (Epoch, baton_primitives::View) {
    (block.height().epoch(EPOCH), block.extra().unwrap().view)
}
