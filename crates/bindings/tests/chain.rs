//! The contracts on a real Anvil: deployed, founded, started; a snapshot is sealed with a real header, batches are posted in
//! blobs and closed, and income is claimed. Needs `npm ci` in `anvil/`.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use alloy::{
    consensus::{BlobTransactionSidecarEip7594, SidecarBuilder, SimpleCoder},
    eips::BlockNumberOrTag,
    network::{EthereumWallet, TransactionBuilder, TransactionBuilder4844},
    node_bindings::{Anvil, AnvilInstance},
    primitives::{Address, B256, U256, keccak256},
    providers::{DynProvider, Provider, ProviderBuilder, ext::AnvilApi},
    rpc::types::TransactionRequest,
    signers::local::PrivateKeySigner,
    sol_types::SolCall,
};
use baton_bindings::{
    ChainParameters, DeployConfig, Deployment, Genesis, Kept, Registration, SEAL_DELAY, activate, bond,
    contracts::{BatchInbox, BatonToken, IBatchInbox, Portal, RevenueShare, SequencerPool, Staking},
    decode_revert, deploy, explain, keep_snapshots, predeploys, register, start,
};
use baton_primitives::{
    BatchIndex, Core, Epoch, Generation, Height, IdentitySecret, MemberPerformance, Performance, SequencerId, Snapshot,
    SnapshotId, View, batch_message, bls, data_hash_blobs,
};
use std::path::Path;

const STAKE: u128 = 40_000 * 10u128.pow(18);

/// Anvil with a Baton of four founders on it.
struct Chain {
    _anvil: AnvilInstance,
    provider: DynProvider,
    deployment: Deployment,
    owners: Vec<Address>,
    secrets: Vec<bls::SecretKey>,
}

fn secret(i: u8) -> bls::SecretKey {
    bls::SecretKey::from_seed(&[i + 1; 32])
}

fn identity(i: u8) -> IdentitySecret {
    IdentitySecret::from_bytes([i + 101; 32])
}

async fn chain() -> Chain {
    let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../anvil/node_modules/.bin/anvil");
    assert!(binary.exists(), "{} is missing; run `npm ci` in anvil/", binary.display());
    let anvil = Anvil::at(binary).args(["--hardfork", "osaka", "--slots-in-an-epoch", "2"]).spawn();
    let mut wallet = EthereumWallet::default();
    for key in anvil.keys() {
        wallet.register_signer(PrivateKeySigner::from(key.clone()));
    }
    let provider = ProviderBuilder::new()
        .with_simple_nonce_management()
        .wallet(wallet)
        .connect_http(anvil.endpoint_url())
        .erased();
    provider.anvil_mine(Some(20), None).await.unwrap();
    let accounts = anvil.addresses().to_vec();
    let origin = provider.get_block_by_number(BlockNumberOrTag::Latest).await.unwrap().unwrap();
    let config = DeployConfig {
        deployer: accounts[0],
        treasury: accounts[9],
        token_supply: U256::from(STAKE) * U256::from(1_000),
        parameters: ChainParameters::devnet(),
        genesis: Genesis {
            block_hash: keccak256("genesis"),
            state_root: keccak256("state"),
            timestamp: origin.header.timestamp,
            origin_number: origin.header.number,
            origin_hash: origin.header.hash,
            supply: U256::from(10).pow(U256::from(20)),
        },
    };
    let deployment = deploy(&provider, &config).await.unwrap();
    let owners: Vec<_> = accounts[1..5].to_vec();
    let token = BatonToken::new(deployment.addresses.token, &provider);
    let mut members = Vec::new();
    for (i, owner) in (0u8..).zip(&owners) {
        let transfer = token.transfer(*owner, U256::from(STAKE)).from(config.deployer).send().await.unwrap();
        transfer.get_receipt().await.unwrap();
        let id = bond(&provider, &deployment, *owner, STAKE, 1_000).await.unwrap();
        let registration = Registration {
            identity: identity(i).public(),
            operator: *owner,
            vote_key: secret(i),
            endpoint: format!("127.0.0.1:{}", 9_000 + u16::from(i)),
        };
        register(&provider, &deployment, *owner, id, &registration).await.unwrap();
        members.push(id);
    }
    start(&provider, &deployment, &members).await.unwrap();
    Chain { _anvil: anvil, provider, deployment, owners, secrets: (0..4).map(secret).collect() }
}

impl Chain {
    async fn snapshot(&self, id: u64) -> Snapshot {
        let pool = SequencerPool::new(self.deployment.addresses.pool, &self.provider);
        pool.snapshot(id).call().await.unwrap().try_into().unwrap()
    }

    fn secret_of(&self, key: &bls::PublicKey) -> &bls::SecretKey {
        self.secrets.iter().find(|s| s.public() == *key).unwrap()
    }

    /// Posts `core` in one blob, signed by all members, by the member on duty.
    async fn post(&self, core: &Core, performance: &Performance) -> u64 {
        let snapshot = self.snapshot(core.snapshot.get()).await;
        let sidecar: BlobTransactionSidecarEip7594 =
            SidecarBuilder::<SimpleCoder>::from_slice(format!("batch {}", core.index).as_bytes()).build_7594().unwrap();
        let hashes: Vec<B256> = sidecar.versioned_hashes().collect();
        let message = batch_message(
            self.deployment.l1_chain_id,
            self.deployment.addresses.inbox,
            core.hash(),
            data_hash_blobs(&hashes),
        );
        let signatures: Vec<_> = snapshot.members.iter().map(|m| self.secret_of(&m.vote_key).sign(&message)).collect();
        let signature = bls::Signature::aggregate(&signatures).unwrap();
        let signers = (U256::from(1) << snapshot.members.len()) - U256::from(1);
        let call = BatchInbox::postCall {
            core: core.into(),
            certificate: IBatchInbox::Certificate::new(signers, &signature),
            performance: if core.closing { performance.to_bytes() } else { Default::default() },
            data: Default::default(),
        };
        let pool = SequencerPool::new(self.deployment.addresses.pool, &self.provider);
        let term = core.last_view.term(self.deployment.parameters.term_views);
        let leader = pool.leaderOf(core.snapshot.get(), core.epoch.get(), term.get()).call().await.unwrap().member;
        let poster = snapshot.members[leader.to::<usize>()].operator;
        let request = TransactionRequest::default()
            .with_from(poster)
            .with_to(self.deployment.addresses.inbox)
            .with_input(call.abi_encode())
            .with_blob_sidecar_7594(sidecar)
            .with_max_fee_per_blob_gas(10_000_000_000);
        let sent = self.provider.send_transaction(request).await;
        let sent = sent.unwrap_or_else(|e| panic!("{}", baton_bindings::explain_transport(&e)));
        let receipt = sent.get_receipt().await.unwrap();
        assert!(receipt.status());
        let posted = receipt.decoded_log::<BatchInbox::BatchPosted>().unwrap();
        assert_eq!(Core::from(&posted.core), *core);
        assert_eq!(posted.coreHash, core.hash());
        assert_eq!(posted.blobHashes, hashes);
        receipt.gas_used
    }

    /// The batch after the anchor, up to height `last`.
    async fn next(&self, last: u64, fees: U256, performance: &Performance) -> Core {
        let inbox = BatchInbox::new(self.deployment.addresses.inbox, &self.provider);
        let anchor = inbox.anchor().call().await.unwrap();
        let head = self.provider.get_block_number().await.unwrap();
        let origin = self.provider.get_block_by_number((head - 2).into()).await.unwrap().unwrap().header;
        let closing = Height::new(last).closes_epoch(self.deployment.parameters.epoch_blocks);
        Core {
            version: Core::VERSION,
            generation: Generation::ZERO,
            index: BatchIndex::new(anchor.index + 1),
            previous: anchor.coreHash,
            epoch: Epoch::new(anchor.epoch),
            snapshot: SnapshotId::new(anchor.snapshot),
            first_height: Height::new(anchor.lastHeight + 1),
            last_height: Height::new(last),
            last_view: View::new(last % self.deployment.parameters.epoch_blocks + 1),
            last_block: keccak256(last.to_be_bytes()),
            last_timestamp: origin.timestamp + 2,
            state_root: keccak256("state"),
            origin_number: origin.number,
            origin_hash: origin.hash,
            deposits: Portal::new(self.deployment.addresses.portal, &self.provider)
                .depositCount()
                .call()
                .await
                .unwrap(),
            withdrawals_root: B256::ZERO,
            closing,
            fees,
            performance: if closing { performance.hash() } else { B256::ZERO },
            next_snapshot: SnapshotId::ZERO,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_founded_chain_posts_closes_and_pays() {
    let chain = chain().await;
    let (provider, addresses) = (&chain.provider, chain.deployment.addresses);
    let genesis = chain.snapshot(0).await;
    assert_eq!(genesis.members.len(), 4);
    assert!(genesis.members.is_sorted_by_key(|m| m.identity));
    assert_eq!(genesis.total_stake(), U256::from(4 * STAKE));

    let portal = Portal::new(addresses.portal, provider);
    let deposit = portal.deposit(Address::repeat_byte(7), U256::from(5), 100_000, false, Default::default());
    let receipt =
        deposit.value(U256::from(10)).from(chain.owners[0]).send().await.unwrap().get_receipt().await.unwrap();
    let event = receipt.decoded_log::<Portal::Deposited>().unwrap();
    let deposited = event.data.deposit(receipt.block_hash.unwrap());
    assert_eq!((deposited.index, deposited.mint, deposited.value), (0, 10, U256::from(5)));
    assert_eq!(deposited.from, chain.owners[0]);
    provider.anvil_mine(Some(3), None).await.unwrap();

    let led = Performance(vec![MemberPerformance { blocks_led: 60, terms_missed: 0 }; 4]);
    let first = chain.next(100, U256::ZERO, &led).await;
    chain.post(&first, &led).await;
    provider.anvil_mine(Some(3), None).await.unwrap();
    let fees = U256::from(10).pow(U256::from(18));
    let closing = chain.next(239, fees, &led).await;
    chain.post(&closing, &led).await;

    let revenue = RevenueShare::new(addresses.revenue, provider);
    let totals = revenue.totals().call().await.unwrap();
    assert_eq!(totals.received, fees.to::<u128>());
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
    let sealed = chain.snapshot(1).await;
    let block = provider.get_block_by_number(number.into()).await.unwrap().unwrap();
    let randao = block.header.inner.mix_hash;
    assert_eq!(sealed.seed, keccak256([randao.as_slice(), &1u64.to_be_bytes()].concat()));
    assert_eq!(sealed.members, chain.snapshot(0).await.members);
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
    let key = secret(40);
    let registration = Registration {
        identity: identity(40).public(),
        operator: Address::repeat_byte(40),
        vote_key: key.clone(),
        endpoint: "[::1]:9".to_owned(),
    };
    register(provider, &chain.deployment, owner, id, &registration).await.unwrap();

    let wrong = activate(provider, &chain.deployment, id, &secret(41), deployer).await.unwrap_err().to_string();
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
    let parameters = baton_bindings::contracts::Parameters::new(chain.deployment.addresses.parameters, &chain.provider);
    let values = parameters.values().call().await.unwrap();
    assert_eq!(ChainParameters::from(&values), chain.deployment.parameters);
    assert!(predeploys::all().iter().all(|(_, code)| !code.is_empty()));
}
