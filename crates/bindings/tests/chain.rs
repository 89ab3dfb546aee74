//! The contracts on a real Anvil: deployed, founded, started; a snapshot is sealed with a real header, batches are posted in
//! blobs and closed, and income is claimed. Needs `npm ci` in `anvil/`.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use alloy::{
    primitives::{Address, B256, U256, keccak256},
    providers::{Provider, ext::AnvilApi},
};
use baton_bindings::{
    ChainParameters, Deployment, Genesis, Kept, Registration, SEAL_DELAY, activate, bond, commit,
    contracts::{BatchInbox, BatonToken, Parameters, Portal, RevenueShare, SequencerPool, Staking},
    decode_revert, explain, keep_snapshots, predeploys, register,
};
use baton_primitives::{Core, IdentitySecret, MemberPerformance, Performance, SequencerId, SnapshotId, bls};
use baton_testkit::chains::{L1, STAKE};

async fn chain() -> L1 {
    let genesis = |origin: &alloy::rpc::types::Header| Genesis {
        block_hash: keccak256("genesis"),
        state_root: keccak256("state"),
        timestamp: origin.timestamp,
        origin_number: origin.number,
        origin_hash: origin.hash,
        supply: U256::from(10).pow(U256::from(20)),
    };
    L1::start(ChainParameters::devnet(), genesis).await.unwrap()
}

/// Posts the batch up to `last`, and compares the event with what was posted.
async fn post(chain: &L1, last: u64, fees: U256) {
    let performance = Performance(vec![MemberPerformance { blocks_led: 60, terms_missed: 0 }; 4]);
    let core = chain.next_core(last, fees, &performance).await.unwrap();
    let receipt = chain.post(&core, &performance).await.unwrap();
    let posted = receipt.decoded_log::<BatchInbox::BatchPosted>().unwrap();
    assert_eq!(Core::from(&posted.core), core);
    assert_eq!(posted.coreHash, core.hash());
    assert_eq!(posted.blobHashes.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_founded_chain_posts_closes_and_pays() {
    let chain = chain().await;
    let (provider, addresses) = (&chain.provider, chain.deployment.addresses);
    let genesis = chain.snapshot(0).await.unwrap();
    assert_eq!(genesis.members.len(), 4);
    assert!(genesis.members.is_sorted_by_key(|m| m.identity));
    let staking = Staking::new(addresses.staking, provider);
    assert_eq!(genesis.total_stake(), U256::from(staking.totalStake().call().await.unwrap()));

    let portal = Portal::new(addresses.portal, provider);
    let fee = portal.depositFee(100_000).call().await.unwrap();
    let deposit = portal.deposit(Address::repeat_byte(7), U256::from(5), 100_000, false, Default::default(), fee);
    let sent = deposit.value(U256::from(10) + fee).from(chain.owners[0]).send().await.unwrap();
    let receipt = sent.get_receipt().await.unwrap();
    let event = receipt.decoded_log::<Portal::Deposited>().unwrap();
    assert_eq!((event.fee, portal.proceeds().call().await.unwrap()), (fee, fee));
    let deposited = event.data.deposit(receipt.block_hash.unwrap());
    assert_eq!((deposited.index, deposited.mint, deposited.value), (0, 10, U256::from(5)));
    assert_eq!(deposited.from, chain.owners[0]);
    provider.anvil_mine(Some(3), None).await.unwrap();

    post(&chain, 100, U256::ZERO).await;
    provider.anvil_mine(Some(3), None).await.unwrap();
    let fees = U256::from(10).pow(U256::from(18));
    post(&chain, 239, fees).await;

    let revenue = RevenueShare::new(addresses.revenue, provider);
    let totals = revenue.totals().call().await.unwrap();
    assert_eq!(totals.received, (fees + fee).to::<u128>(), "the epoch's fees and what the deposit paid for its gas");
    assert_eq!(portal.proceeds().call().await.unwrap(), U256::ZERO);
    assert_eq!(totals.received, totals.debtsPaid + totals.treasury + totals.income + totals.carry);
    assert!(totals.debtsPaid > 0, "the posters' debts come first");
    let due = revenue.claimableOwner(1).call().await.unwrap();
    assert!(due > U256::ZERO);
    let before = provider.get_balance(Address::repeat_byte(9)).await.unwrap();
    revenue
        .claimOwner(1, Address::repeat_byte(9))
        .from(chain.owners[0])
        .send()
        .await
        .unwrap()
        .get_receipt()
        .await
        .unwrap();
    assert_eq!(provider.get_balance(Address::repeat_byte(9)).await.unwrap() - before, due);
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_taken_and_sealed_with_the_headers_of_real_blocks() {
    let chain = chain().await;
    let (provider, addresses) = (&chain.provider, chain.deployment.addresses);
    let keep = || keep_snapshots(provider, &addresses, chain.owners[0]);
    assert_eq!(keep().await.unwrap(), None, "the interval has not passed");
    provider.anvil_mine(Some(5), None).await.unwrap();
    assert_eq!(keep().await.unwrap(), Some(Kept::Taken(SnapshotId::new(1))));
    assert_eq!(keep().await.unwrap(), None, "the sealing block is not there yet");
    let number = provider.get_block_number().await.unwrap() + SEAL_DELAY;
    // More than 256 blocks later only the history contract of EIP-2935 knows the hash.
    provider.anvil_mine(Some(600), None).await.unwrap();
    assert_eq!(keep().await.unwrap(), Some(Kept::Sealed(SnapshotId::new(1))));
    let sealed = chain.snapshot(1).await.unwrap();
    let block = provider.get_block_by_number(number.into()).await.unwrap().unwrap();
    let randao = block.header.inner.mix_hash;
    assert_eq!(sealed.seed, keccak256([randao.as_slice(), &1u64.to_be_bytes()].concat()));
    assert_eq!(sealed.members, chain.snapshot(0).await.unwrap().members);
    assert_eq!(keep().await.unwrap(), Some(Kept::Taken(SnapshotId::new(2))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_enters_by_readiness_and_errors_name_their_figures() {
    let chain = chain().await;
    let (provider, addresses) = (&chain.provider, chain.deployment.addresses);
    let owner = chain.owners[0];
    let token = BatonToken::new(addresses.token, provider);
    let deployer = chain.deployment.deployer;
    token.transfer(owner, U256::from(STAKE)).from(deployer).send().await.unwrap().get_receipt().await.unwrap();
    let id = bond(provider, &chain.deployment, owner, STAKE, 0).await.unwrap();
    assert_eq!(id, SequencerId::new(5));
    let key = bls::SecretKey::from_seed(&[41; 32]);
    let registration = Registration {
        identity: IdentitySecret::from_bytes([141; 32]).public(),
        operator: Address::repeat_byte(40),
        vote_key: key.clone(),
        endpoint: "[::1]:9".to_owned(),
    };
    let salt = B256::repeat_byte(5);
    let unannounced =
        register(provider, &chain.deployment, owner, id, &registration, salt).await.unwrap_err().to_string();
    assert!(unannounced.contains("Commitments_Unknown"), "{unannounced}");
    let first = commit(provider, &chain.deployment, owner, id, &registration, salt).await.unwrap();
    let early = register(provider, &chain.deployment, owner, id, &registration, salt).await.unwrap_err().to_string();
    assert!(early.contains("Commitments_OutOfTime") && early.contains(&first.to_string()), "{early}");
    let head = provider.get_block_number().await.unwrap();
    provider.anvil_mine(Some(first - head), None).await.unwrap();
    register(provider, &chain.deployment, owner, id, &registration, salt).await.unwrap();

    let other = bls::SecretKey::from_seed(&[42; 32]);
    let wrong = activate(provider, &chain.deployment, id, &other, deployer).await.unwrap_err().to_string();
    assert!(wrong.contains("SequencerPool_BadReadiness"), "{wrong}");
    activate(provider, &chain.deployment, id, &key, deployer).await.unwrap();
    let pool = SequencerPool::new(addresses.pool, provider);
    assert_eq!(pool.active().call().await.unwrap(), [1, 2, 3, 4, 5]);
    let again = activate(provider, &chain.deployment, id, &key, deployer).await.unwrap_err().to_string();
    assert!(again.contains("SequencerPool_WrongStatus"), "{again}");
    let staking = Staking::new(addresses.staking, provider);
    let low = staking.bond(1, 0, 0).from(owner).call().await.err().unwrap();
    let text = explain(&low);
    assert!(text.starts_with("Staking_BelowMinimum") && text.contains("20000000000000000000000"), "{text}");
    assert!(decode_revert(&low.as_revert_data().unwrap()).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_file_round_trips_and_matches_the_chain() {
    let chain = chain().await;
    let folder = tempfile::tempdir().unwrap();
    let path = Deployment::path_in(folder.path(), chain.deployment.l1_chain_id);
    chain.deployment.save(&path).unwrap();
    assert_eq!(Deployment::load(&path).unwrap(), chain.deployment);
    assert!(Deployment::load(&folder.path().join("none.json")).unwrap_err().to_string().contains("deploy first"));
    let parameters = Parameters::new(chain.deployment.addresses.parameters, &chain.provider);
    let values = parameters.values().call().await.unwrap();
    assert_eq!(ChainParameters::from(&values), chain.deployment.parameters);
    assert!(predeploys::all().iter().all(|(_, code)| !code.is_empty()));
}
