//! The watcher over a real Anvil, through good and bad endpoints and reorganizations.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod world;

use baton_l1::{Config, Error, L1Event, Start};
use baton_primitives::{BatchIndex, Epoch, SnapshotId};
use serde_json::json;
use std::time::Duration;
use world::{Mood, PATIENCE, Proxy, Running, World, anvil, registration, sequencer};

#[tokio::test(flavor = "multi_thread")]
async fn the_view_holds_what_the_contracts_say() {
    let world = World::new().await;
    world.deposit(11).await;
    let (first, _) = world.head().await;
    world.mine(3).await;
    world.deposit(22).await;
    let (head, hash) = world.head().await;

    let mut running = Running::new(world.config(), vec![world.url()]);
    running.until_at(head, hash).await;
    let view = &running.handle.view;

    let snapshot = view.snapshot(SnapshotId::ZERO).unwrap();
    assert_eq!(snapshot.members.len(), 2);
    for member in 1..=2 {
        let registered = registration(member);
        let found = &snapshot.members[snapshot.position(&registered.identity).unwrap()];
        assert_eq!(found.vote_key, registered.vote_key.public());
        assert_eq!((found.operator, &found.endpoint), (registered.operator, &registered.endpoint));
        assert_eq!(view.sequencer_of(&registered.identity), Some(found.id));
    }
    assert_eq!(view.sequencer_of(&registration(9).identity), None);
    assert_eq!(view.sealed(), [(SnapshotId::ZERO, snapshot.seal_block)]);
    assert_eq!(view.epoch(Epoch::ZERO).unwrap().snapshot, SnapshotId::ZERO);
    assert_eq!(view.anchor().unwrap().index, BatchIndex::ZERO);
    assert_eq!(view.anchor().unwrap().last_block, world.deployment.genesis.block_hash);
    assert!(!view.left_by_owner(sequencer(1)));

    assert_eq!(view.deposits(first).unwrap().len(), 1);
    assert_eq!(view.deposits(first).unwrap()[0].mint, 11);
    assert_eq!(view.deposits(first + 1).unwrap().len(), 0);
    assert_eq!(view.deposits(head).unwrap()[0].index, 1);
    assert_eq!((view.deposits_up_to(first), view.deposits_up_to(head)), (Some(1), Some(2)));
    assert_eq!(view.deposits(head + 1), None);
    let origin = view.origin(head).unwrap();
    assert_eq!((origin.hash, origin.blob_base_fee), (hash, 1));

    // Events are the same story, gapless from the deployment on.
    let mut expected = world.deployment.block;
    let mut parent = None;
    while expected <= head {
        let Some(L1Event::Block(block)) = running.events.recv().await else { panic!("a block must come") };
        assert_eq!(block.number, expected);
        assert!(parent.is_none_or(|p| p == block.parent));
        parent = Some(block.hash);
        expected += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_takes_back_what_it_brought_and_a_finalized_head_follows() {
    let world = World::new().await;
    world.mine(12).await;
    let (before, _) = world.head().await;
    let mut running = Running::new(world.config(), vec![world.url()]);
    running.until("catching up", |h| h.head.number == before && h.synced).await;
    world.deposit(5).await;
    world.mine(3).await;
    let (head, hash) = world.head().await;
    let heads = running.until_at(head, hash).await;
    assert!(heads.finalized.number > 0 && heads.finalized.number < heads.safe.number && heads.safe.number < head);
    let view = running.handle.view.clone();
    assert_eq!(view.deposits(before + 1).unwrap().len(), 1);

    // Four blocks are replaced by empty ones.
    world.rpc("anvil_reorg", (json!(4), json!([]))).await;
    let (head, hash) = world.head().await;
    running.until_at(head, hash).await;
    assert_eq!(view.deposits(before + 1).unwrap().len(), 0);
    assert_eq!(view.deposits_up_to(head), Some(0));

    // The deposit made afterwards has the same index again.
    world.deposit(6).await;
    let (head, hash) = world.head().await;
    running.until_at(head, hash).await;
    assert_eq!(view.deposits(head).unwrap()[0].index, 0);
    running.events.close();
    let mut reverts = Vec::new();
    let mut tip: Option<(u64, alloy::primitives::B256)> = None;
    while let Some(event) = running.events.recv().await {
        match event {
            L1Event::Block(block) => {
                assert!(tip.is_none_or(|(n, h)| n + 1 == block.number && h == block.parent));
                tip = Some((block.number, block.hash));
            }
            L1Event::Revert { to, hash } => {
                reverts.push(to);
                tip = Some((to, hash));
            }
        }
    }
    assert_eq!(reverts, [before]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_a_reverted_block_is_taken_back_first() {
    let world = World::new().await;
    world.mine(6).await;
    let mut running = Running::new(world.config(), vec![world.url()]);
    let (head, hash) = world.head().await;
    running.until_at(head, hash).await;
    running.events.close();
    let mut known = Vec::new();
    while let Some(event) = running.events.recv().await {
        if let L1Event::Block(block) = event {
            known.push((block.number, block.hash));
        }
    }
    drop(running);
    world.rpc("anvil_reorg", (json!(3), json!([]))).await;
    world.mine(1).await;
    let (head, hash) = world.head().await;
    let config = Config { start: Start::After(known.clone()), keep_view: false, ..world.config() };
    let mut running = Running::new(config, vec![world.url()]);
    let mut last = None;
    let mut first = None;
    while last != Some((head, hash)) {
        let event = tokio::time::timeout(PATIENCE, running.events.recv()).await.unwrap().unwrap();
        last = match &event {
            L1Event::Block(block) => Some((block.number, block.hash)),
            L1Event::Revert { to, hash } => Some((*to, *hash)),
        };
        first.get_or_insert(event);
    }
    let common = known[known.len() - 4];
    assert!(matches!(first, Some(L1Event::Revert { to, hash }) if (to, hash) == common), "{first:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_bad_endpoint_is_survived_alone_and_beside_a_good_one() {
    let world = World::new().await;
    let moods =
        [Mood::Refuse, Mood::Hang, Mood::Status(500), Mood::Status(429), Mood::Truncate, Mood::Null, Mood::Pass];
    let proxy = Proxy::new(&world.url(), Mood::Pass).await;
    let alone = Running::new(world.config(), vec![proxy.url.clone()]);
    let beside = Running::new(world.config(), vec![proxy.url.clone(), world.url()]);
    for mood in moods {
        proxy.set(mood.clone());
        world.deposit(1).await;
        let (head, hash) = world.head().await;
        beside.until_at(head, hash).await;
        let mut status = alone.handle.status.clone();
        if mood != Mood::Pass {
            let noticed = tokio::time::timeout(PATIENCE, status.wait_for(|s| !s.connected && s.error.is_some())).await;
            assert!(noticed.is_ok(), "{mood:?} goes unnoticed");
            proxy.set(Mood::Pass);
        }
        alone.until_at(head, hash).await;
        assert!(tokio::time::timeout(PATIENCE, status.wait_for(|s| s.connected)).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_chain_and_missing_contracts_are_named() {
    let world = World::new().await;
    let other = anvil(&["--chain-id", "99"]);
    let mut running = Running::new(world.config(), vec![other.endpoint_url()]);
    let ended = tokio::time::timeout(PATIENCE, &mut running.task).await.unwrap().unwrap();
    assert!(matches!(ended, Err(Error::WrongChain { actual: 99, expected: 31_337, .. })), "{ended:?}");

    let empty = anvil(&[]);
    let mut running = Running::new(world.config(), vec![empty.endpoint_url()]);
    let ended = tokio::time::timeout(PATIENCE, &mut running.task).await.unwrap().unwrap();
    assert!(matches!(ended, Err(Error::NotDeployed { name: "Staking", .. })), "{ended:?}");
    // Beside a good endpoint the wrong one is only left out.
    let running = Running::new(world.config(), vec![other.endpoint_url(), world.url()]);
    let (head, hash) = world.head().await;
    running.until_at(head, hash).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_disagree_stop_the_view_until_they_agree() {
    let world = World::new().await;
    let state = world.rpc("anvil_dumpState", ()).await;
    let other = anvil(&[]);
    let twin = alloy::providers::ProviderBuilder::new().connect_http(other.endpoint_url());
    let loaded: bool = alloy::providers::Provider::client(&twin).request("anvil_loadState", (state,)).await.unwrap();
    assert!(loaded);
    // The same contracts and height, another block.
    let _: serde_json::Value =
        alloy::providers::Provider::client(&twin).request("anvil_mine", (json!("0x1"),)).await.unwrap();
    world.deposit(1).await;
    let (head, hash) = world.head().await;
    let running = Running::new(world.config(), vec![world.url(), other.endpoint_url()]);
    let mut status = running.handle.status.clone();
    let told = status.wait_for(|s| s.error.as_ref().is_some_and(|e| e.contains("disagree")));
    assert!(tokio::time::timeout(PATIENCE, told).await.is_ok(), "{:?}", running.handle.status.borrow());
    assert_ne!(running.handle.view.heads().head.hash, hash);
    drop(other);
    running.until_at(head, hash).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_endpoint_tells_of_new_heads_by_itself() {
    let world = World::new().await;
    let mut url = world.url();
    url.set_scheme("ws").unwrap();
    // Polling alone would take too long.
    let config = Config { poll_interval: Duration::from_secs(600), ..world.config() };
    let running = Running::new(config, vec![url]);
    let (head, hash) = world.head().await;
    running.until_at(head, hash).await;
    for _ in 0..3 {
        world.deposit(1).await;
        let (head, hash) = world.head().await;
        running.until_at(head, hash).await;
    }
}
