//! The same over real sockets, threads and files: four nodes in one process, through the public interface alone.

use super::{SmallChain, SmallSets, chain::genesis};
use crate::{Actor, Config, Domain, Error, Mailbox, Role, SendError, Streams, Timing, Topic, testing};
use alloy::primitives::{Address, Bytes};
use baton_primitives::{Generation, Parameters, Snapshot};
use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::timeout};

const EPOCH: u64 = 24;

struct Node {
    chain: Arc<SmallChain>,
    mailbox: Mailbox,
    streams: Streams,
    handle: JoinHandle<Result<(), Error>>,
}

fn free_ports(count: u8) -> Vec<u16> {
    // All bound before any is released, so that they differ.
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|l| l.local_addr().unwrap().port()).collect()
}

fn config(seed: u8, listen: SocketAddr, directory: &TempDir) -> Config {
    let parameters = Parameters { epoch_blocks: EPOCH, term_views: 6, ..Parameters::devnet() };
    let (identity, vote_key) = testing::keys(seed);
    Config {
        domain: Domain { l1_chain_id: 31_337, inbox: Address::repeat_byte(1), generation: Generation::ZERO },
        timing: Timing::of(&parameters),
        parameters,
        genesis: genesis(),
        identity,
        vote_key,
        directory: directory.path().join(seed.to_string()),
        listen,
        allow_private_ips: true,
        bypass_ip_check: false,
        trust_journal: false,
        worker_threads: 1,
    }
}

fn start(seed: u8, set: &Snapshot, chain: Arc<SmallChain>, directory: &TempDir) -> Node {
    let me = testing::keys(seed).0.public();
    let endpoint = &set.members[set.position(&me).unwrap()].endpoint;
    let config = config(seed, endpoint.parse().unwrap(), directory);
    let sets = SmallSets::fixed(chain.clone(), EPOCH, set.clone());
    let (actor, mailbox, streams) = Actor::new(config, chain.clone(), sets).unwrap();
    Node { chain, mailbox, streams, handle: actor.start() }
}

async fn reach(nodes: &[Node], height: u64) {
    let all = futures::future::join_all(nodes.iter().map(|n| n.chain.reaches(height)));
    timeout(Duration::from_secs(60), all).await.unwrap_or_else(|_| {
        let status: Vec<_> = nodes.iter().map(|n| n.mailbox.status().borrow().clone()).collect();
        panic!("height {height} not reached: {status:#?}")
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_nodes_over_sockets_agree_gossip_restart_and_drain() {
    let directory = TempDir::new().unwrap();
    let mut set = testing::snapshot(4);
    for (member, port) in set.members.iter_mut().zip(free_ports(4)) {
        member.endpoint = format!("127.0.0.1:{port}");
    }
    let mut nodes: Vec<_> = (1..=4).map(|seed| start(seed, &set, SmallChain::new(seed), &directory)).collect();
    reach(&nodes, EPOCH + 3).await;
    assert!(nodes.iter().all(|n| n.mailbox.status().borrow().role == Role::Signer));
    assert!(nodes.iter().all(|n| n.mailbox.status().borrow().peers == 3));

    // Bytes of other actors, to all and to one.
    let all = Bytes::from_static(b"to all");
    nodes[0].mailbox.broadcast(Topic::Attest, all.clone()).unwrap();
    let second = testing::keys(2).0.public();
    nodes[0].mailbox.send(Topic::Transactions, second, Bytes::from_static(b"to one")).unwrap();
    for node in &mut nodes[1..] {
        let heard = timeout(Duration::from_secs(10), node.streams.attest.recv()).await.unwrap().unwrap();
        assert_eq!((heard.from, heard.bytes), (testing::keys(1).0.public(), all.clone()));
    }
    let heard = timeout(Duration::from_secs(10), nodes[1].streams.transactions.recv()).await.unwrap().unwrap();
    assert_eq!(&heard.bytes[..], b"to one");
    let long = Bytes::from(vec![0; crate::MESSAGE_LIMIT + 1]);
    assert!(matches!(nodes[0].mailbox.broadcast(Topic::Attest, long), Err(SendError::TooLong { .. })));

    // A port that is taken is named.
    let taken = set.members[0].endpoint.parse().unwrap();
    let sets = SmallSets::fixed(nodes[0].chain.clone(), EPOCH, set.clone());
    let (actor, _mailbox, _streams) = Actor::new(config(9, taken, &directory), nodes[0].chain.clone(), sets).unwrap();
    assert!(matches!(actor.start().await.unwrap(), Err(Error::Listen { address, .. }) if address == taken));

    // Drain one in order, go on without it, start it again from its files.
    let drained = nodes.remove(3);
    drained.mailbox.drain().await;
    drained.handle.await.unwrap().unwrap();
    let height = nodes[0].chain.height();
    reach(&nodes, height + 3).await;
    nodes.push(start(4, &set, drained.chain, &directory));
    let height = nodes[0].chain.height();
    reach(&nodes, height + 5).await;
    assert_eq!(nodes[3].mailbox.status().borrow().role, Role::Signer);

    let last = nodes.iter().map(|n| n.chain.finals().len()).min().unwrap();
    let hashes = |n: &Node| n.chain.finals().iter().take(last).map(|b| b.hash()).collect::<Vec<_>>();
    assert!(nodes.iter().all(|n| hashes(n) == hashes(&nodes[0])));
    for node in nodes {
        node.mailbox.drain().await;
        node.handle.await.unwrap().unwrap();
    }
}
