//! The transaction manager over a real Anvil: inclusion, refusal, drops, raises, lost nonces, reorganizations, blobs.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod world;

use alloy::{
    eips::eip4844::Blob,
    network::TransactionBuilder,
    primitives::{Address, U256, bytes},
    providers::Provider,
    rpc::types::TransactionRequest,
    signers::local::PrivateKeySigner,
};
use baton_batch::{commit, versioned_hash};
use baton_l1::{BlobConfig, BlobError, BlobSource, TxConfig, TxManager, TxOutcome, TxRequest, TxSender};
use serde_json::json;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use world::{Mood, PATIENCE, Proxy, World, endpoints};

fn signer(world: &World, index: usize) -> PrivateKeySigner {
    world.anvil.keys()[index].clone().into()
}

fn config() -> TxConfig {
    TxConfig {
        poll_interval: Duration::from_millis(20),
        resubmit_after: Duration::from_millis(400),
        give_up_after: Duration::from_secs(20),
        ..TxConfig::default()
    }
}

fn manager(world: &World, config: TxConfig, account: usize) -> (TxSender, CancellationToken) {
    let (manager, sender) = TxManager::new(config, endpoints(vec![world.url()]), signer(world, account));
    let shutdown = CancellationToken::new();
    manager.start(shutdown.clone());
    (sender, shutdown)
}

fn transfer(to: u8) -> TxRequest {
    TxRequest {
        label: "test",
        to: Address::repeat_byte(to),
        input: Default::default(),
        value: U256::from(1),
        blobs: Vec::new(),
    }
}

async fn sent(sender: &TxSender, request: TxRequest) -> TxOutcome {
    tokio::time::timeout(PATIENCE, sender.send(request)).await.expect("an outcome in time").unwrap()
}

fn included(outcome: &TxOutcome) -> bool {
    matches!(outcome, TxOutcome::Included { .. })
}

async fn balance(world: &World, to: u8) -> U256 {
    world.provider.get_balance(Address::repeat_byte(to)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_a_row_are_included_and_a_revert_is_refused_by_name() {
    let world = World::new().await;
    let (sender, _guard) = manager(&world, config(), 7);
    let (one, two) = tokio::join!(sent(&sender, transfer(0xa1)), sent(&sender, transfer(0xa1)));
    assert!(included(&one) && included(&two), "{one:?} {two:?}");
    assert_eq!(balance(&world, 0xa1).await, U256::from(2));

    let take = baton_bindings::contracts::pool::SequencerPool::takeSnapshotCall {};
    let input = alloy::sol_types::SolCall::abi_encode(&take).into();
    let early = TxRequest { to: world.deployment.addresses.pool, input, value: U256::ZERO, ..transfer(0) };
    let before = world.head().await;
    let outcome = sent(&sender, early).await;
    let TxOutcome::Refused(revert) = &outcome else { panic!("{outcome:?}") };
    assert!(revert.reason.contains("SequencerPool_TooEarly"), "{}", revert.reason);
    assert_eq!(world.head().await, before, "nothing was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_transaction_is_sent_again() {
    let world = World::new().await;
    world.rpc("evm_setAutomine", (false,)).await;
    let (sender, _guard) = manager(&world, TxConfig { resubmit_after: PATIENCE, ..config() }, 7);
    let task = tokio::spawn(async move { sent(&sender, transfer(0xa2)).await });
    for _ in 0..3 {
        until_pooled(&world, 7).await;
        world.rpc("anvil_dropAllTransactions", ()).await;
    }
    until_pooled(&world, 7).await;
    world.mine(1).await;
    assert!(included(&task.await.unwrap()));
    assert_eq!(balance(&world, 0xa2).await, U256::from(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_has_become_too_cheap_is_raised_until_it_fits_and_never_above_the_limit() {
    let world = World::new().await;
    world.rpc("evm_setAutomine", (false,)).await;
    let gwei = 1_000_000_000u128;
    let limits = TxConfig { max_fee: 60 * gwei, ..config() };
    let (sender, _guard) = manager(&world, limits.clone(), 7);
    let task = tokio::spawn(async move { sent(&sender, transfer(0xa3)).await });
    let first = until_pooled(&world, 7).await;
    // The next block asks for far more than was offered.
    world.rpc("anvil_setNextBlockBaseFeePerGas", (U256::from(50 * gwei),)).await;
    world.mine(1).await;
    let raised = until(&world, 7, |fee| fee > 40 * gwei).await;
    assert!(first < raised && raised <= limits.max_fee, "{first} {raised}");
    world.mine(1).await;
    assert!(included(&task.await.unwrap()));

    world.rpc("anvil_setNextBlockBaseFeePerGas", (U256::from(70 * gwei),)).await;
    world.mine(1).await;
    let (sender, _guard) = manager(&world, TxConfig { give_up_after: Duration::from_secs(1), ..limits }, 8);
    let outcome = sent(&sender, transfer(0xa3)).await;
    assert!(matches!(outcome, TxOutcome::CapReached { what: "gas", .. }), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_spent_elsewhere_leads_to_a_new_one() {
    let world = World::new().await;
    world.rpc("evm_setAutomine", (false,)).await;
    let (sender, _guard) = manager(&world, TxConfig { resubmit_after: PATIENCE, ..config() }, 7);
    let task = tokio::spawn(async move { sent(&sender, transfer(0xa4)).await });
    until_pooled(&world, 7).await;
    // Another process with the same key replaces it.
    let from = world.anvil.addresses()[7];
    let other = TransactionRequest::default()
        .with_from(from)
        .with_to(Address::repeat_byte(0xb4))
        .with_value(U256::from(1))
        .with_nonce(world.provider.get_transaction_count(from).await.unwrap())
        .with_max_priority_fee_per_gas(50_000_000_000)
        .with_max_fee_per_gas(100_000_000_000);
    let _ = world.provider.send_transaction(other).await.unwrap();
    world.mine(1).await;
    assert_eq!(balance(&world, 0xb4).await, U256::from(1));
    until_pooled(&world, 7).await;
    world.mine(1).await;
    assert!(included(&task.await.unwrap()));
    assert_eq!(balance(&world, 0xa4).await, U256::from(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_manager_waits_for_what_its_earlier_life_sent() {
    let world = World::new().await;
    world.rpc("evm_setAutomine", (false,)).await;
    let patient = TxConfig { resubmit_after: PATIENCE, ..config() };
    let (sender, guard) = manager(&world, patient.clone(), 7);
    let task = tokio::spawn(async move { sender.send(transfer(0xa5)).await });
    until_pooled(&world, 7).await;
    guard.cancel();
    assert!(task.await.unwrap().is_err());
    let (sender, _guard) = manager(&world, patient, 7);
    let task = tokio::spawn(async move { sent(&sender, transfer(0xa6)).await });
    world.mine(1).await;
    until_pooled(&world, 7).await;
    world.mine(1).await;
    assert!(included(&task.await.unwrap()));
    assert_eq!(balance(&world, 0xa5).await, U256::from(1));
    assert_eq!(balance(&world, 0xa6).await, U256::from(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorganized_inclusion_counts_only_when_it_is_deep_again() {
    let world = World::new().await;
    world.mine(5).await;
    world.rpc("evm_setAutomine", (false,)).await;
    let (sender, _guard) = manager(&world, TxConfig { confirmations: 3, resubmit_after: PATIENCE, ..config() }, 7);
    let mut task = tokio::spawn(async move { sent(&sender, transfer(0xa7)).await });
    until_pooled(&world, 7).await;
    world.mine(1).await;
    assert_eq!(balance(&world, 0xa7).await, U256::from(1));
    world.rpc("anvil_reorg", (json!(1), json!([]))).await;
    assert_eq!(balance(&world, 0xa7).await, U256::ZERO);
    until_pooled(&world, 7).await;
    world.mine(2).await;
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut task).await.is_err(), "two blocks are not three");
    world.mine(1).await;
    assert!(included(&task.await.unwrap()));
    assert_eq!(balance(&world, 0xa7).await, U256::from(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_travel_to_l1_and_back_and_only_true_ones_are_taken() {
    let world = World::new().await;
    // A contract that succeeds only in a transaction with a blob.
    let to = Address::repeat_byte(0xcc);
    world.rpc("anvil_setCode", (to, bytes!("5f4915600757005b5f5ffd"))).await;
    let (sender, _guard) = manager(&world, config(), 7);
    let mut blobs = vec![Blob::ZERO; 2];
    blobs[0][5] = 7;
    blobs[1][9] = 8;
    let committed = blobs.iter().map(|blob| commit(*blob).unwrap()).collect();
    let request = TxRequest { to, value: U256::ZERO, blobs: committed, ..transfer(0) };
    let none = sent(&sender, TxRequest { blobs: Vec::new(), ..request.clone() }).await;
    assert!(matches!(none, TxOutcome::Refused(_)), "{none:?}");
    let outcome = sent(&sender, request).await;
    let TxOutcome::Included { receipt } = &outcome else { panic!("{outcome:?}") };
    assert_eq!(receipt.blob_gas_used, Some(2 * 131_072));
    let number = receipt.block_number.unwrap();

    let hashes: Vec<_> = blobs.iter().map(|b| versioned_hash(b.as_slice()).unwrap()).collect();
    let beacon = |url: url::Url| {
        BlobSource::new(BlobConfig { beacons: vec![url], members: vec![], timeout: Duration::from_secs(5) }).unwrap()
    };
    let source = beacon(world.url());
    assert_eq!(source.fetch(&hashes, number, 0).await.unwrap(), blobs);
    let turned: Vec<_> = hashes.iter().rev().copied().collect();
    assert_eq!(source.fetch(&turned, number, 0).await.unwrap()[0], blobs[1]);
    let unknown = alloy::primitives::B256::repeat_byte(1);
    let lacking = source.fetch(&[hashes[0], unknown], number, 0).await.unwrap_err();
    assert!(matches!(lacking, BlobError::NotFound { missing: 1, wanted: 2, first, .. } if first == unknown));
    let proxy = Proxy::new(&world.url(), Mood::Truncate).await;
    assert!(beacon(proxy.url.clone()).fetch(&hashes, number, 0).await.is_err());
}

async fn until_pooled(world: &World, account: usize) -> u128 {
    until(world, account, |_| true).await
}

/// Waits until a transaction of the account with such a fee cap waits in the pool, and returns the cap.
async fn until(world: &World, account: usize, fits: impl Fn(u128) -> bool) -> u128 {
    let address = world.anvil.addresses()[account];
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let content = world.rpc("txpool_content", ()).await;
        let pending = content["pending"].as_object().unwrap();
        let own = pending.iter().find(|(a, _)| a.parse() == Ok(address)).map(|(_, t)| t.as_object().unwrap());
        let caps = own.into_iter().flatten().filter_map(|(_, t)| t["maxFeePerGas"].as_str());
        let caps: Vec<_> = caps.map(|c| u128::from_str_radix(&c[2..], 16).unwrap()).filter(|c| fits(*c)).collect();
        if let Some(cap) = caps.first() {
            return *cap;
        }
        assert!(tokio::time::Instant::now() < deadline, "nothing fitting in the pool");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
