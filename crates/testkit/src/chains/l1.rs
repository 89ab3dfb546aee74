//! Anvil with a Baton of four founders.

use alloy::{
    consensus::{BlobTransactionSidecarEip7594, SidecarBuilder, SimpleCoder},
    eips::BlockNumberOrTag,
    network::{EthereumWallet, TransactionBuilder as _, TransactionBuilder4844 as _},
    node_bindings::{Anvil, AnvilInstance},
    primitives::{Address, B256, U256, keccak256},
    providers::{DynProvider, Provider as _, ProviderBuilder, ext::AnvilApi as _},
    rlp::Encodable as _,
    rpc::types::{Header, TransactionReceipt, TransactionRequest},
    signers::local::PrivateKeySigner,
    sol_types::SolCall as _,
};
use baton_bindings::{
    Addresses, ChainParameters, DeployConfig, Deployment, Genesis, Powers, Registration, bond,
    contracts::{BatchInbox, BatonToken, IBatchInbox, Portal, SequencerPool},
    deploy, register, start,
};
use baton_primitives::{
    BatchIndex, Core, Epoch, Generation, Height, IdentitySecret, Performance, SequencerId, Snapshot, SnapshotId, View,
    batch_message, bls, data_hash_blobs,
};
use eyre::{ContextCompat as _, Result, ensure, eyre};
use std::path::PathBuf;
use url::Url;

/// Self-stake of each founder, token wei.
pub const STAKE: u128 = 40_000 * 10u128.pow(18);

/// A running Anvil with a started Baton; it ends with the value.
#[derive(Debug)]
pub struct L1 {
    anvil: AnvilInstance,
    /// Signs for every account of Anvil.
    pub provider: DynProvider,
    /// What was deployed.
    pub deployment: Deployment,
    /// The founders' owners, who are their operators too: sequencers 1 to 4.
    pub owners: Vec<Address>,
    secrets: Vec<bls::SecretKey>,
}

impl L1 {
    /// Starts Anvil, deploys with `parameters`, and starts the chain whose genesis `genesis` makes from an origin.
    ///
    /// # Errors
    /// If Anvil is missing or the contracts refuse.
    pub async fn start(parameters: ChainParameters, genesis: impl FnOnce(&Header) -> Genesis) -> Result<Self> {
        let anvil = Anvil::at(anvil_binary()?).args(["--hardfork", "osaka", "--slots-in-an-epoch", "2"]).try_spawn()?;
        let mut wallet = EthereumWallet::default();
        for key in anvil.keys() {
            wallet.register_signer(PrivateKeySigner::from(key.clone()));
        }
        let provider = ProviderBuilder::new()
            .with_simple_nonce_management()
            .wallet(wallet)
            .connect_http(anvil.endpoint_url())
            .erased();
        provider.anvil_mine(Some(20), None).await?;
        let origin = provider.get_block_by_number(BlockNumberOrTag::Latest).await?.wrap_err("Anvil has no block")?;
        let accounts = anvil.addresses().to_vec();
        let config = DeployConfig {
            deployer: accounts[0],
            treasury: accounts[9],
            powers: Powers::of(accounts[0], &parameters),
            token_supply: U256::from(STAKE) * U256::from(1_000),
            parameters,
            genesis: genesis(&origin.header),
        };
        let deployment = deploy(&provider, &config).await?;
        let owners = accounts[1..5].to_vec();
        let secrets: Vec<_> = (1..=4).map(|i| bls::SecretKey::from_seed(&[i; 32])).collect();
        let mut members = Vec::new();
        for ((i, owner), secret) in (1u8..).zip(&owners).zip(&secrets) {
            let token = BatonToken::new(deployment.addresses.token, &provider);
            let sent = token.transfer(*owner, U256::from(STAKE)).from(config.deployer).send().await?;
            sent.get_receipt().await?;
            let id = bond(&provider, &deployment, *owner, STAKE / 2 * u128::from(i), 1_000).await;
            let id = match id {
                Ok(id) => id,
                // Beyond what it was given: as much as it has.
                Err(_) => bond(&provider, &deployment, *owner, STAKE, 1_000).await?,
            };
            let registration = Registration {
                identity: IdentitySecret::from_bytes([i + 100; 32]).public(),
                operator: *owner,
                vote_key: secret.clone(),
                endpoint: format!("127.0.0.1:{}", 9_000 + u16::from(i)),
            };
            register(&provider, &deployment, *owner, id, &registration, B256::ZERO).await?;
            members.push(id);
        }
        start(&provider, &deployment, &members).await?;
        Ok(Self { anvil, provider, deployment, owners, secrets })
    }

    /// Its HTTP endpoint.
    pub fn url(&self) -> Url {
        self.anvil.endpoint_url()
    }

    /// Its WebSocket endpoint.
    pub fn ws_url(&self) -> Url {
        self.anvil.ws_endpoint_url()
    }

    /// Accounts that no founder uses.
    pub fn others(&self) -> &[Address] {
        &self.anvil.addresses()[5..9]
    }

    /// Mines empty blocks.
    ///
    /// # Errors
    /// If Anvil refuses.
    pub async fn mine(&self, blocks: u64) -> Result<()> {
        Ok(self.provider.anvil_mine(Some(blocks), None).await?)
    }

    /// The header of a block.
    ///
    /// # Errors
    /// If there is no such block.
    pub async fn header(&self, number: u64) -> Result<Header> {
        let block = self.provider.get_block_by_number(number.into()).await?;
        Ok(block.wrap_err_with(|| format!("no L1 block {number}"))?.header)
    }

    /// The newest header.
    ///
    /// # Errors
    /// If Anvil does not answer.
    pub async fn head(&self) -> Result<Header> {
        let number = self.provider.get_block_number().await?;
        self.header(number).await
    }

    /// A snapshot.
    ///
    /// # Errors
    /// If it is not sealed.
    pub async fn snapshot(&self, id: u64) -> Result<Snapshot> {
        let pool = SequencerPool::new(self.deployment.addresses.pool, &self.provider);
        Ok(pool.snapshot(id).call().await?.try_into()?)
    }

    /// Takes a snapshot and seals it with the header of 8 blocks later.
    ///
    /// # Errors
    /// If the pool refuses.
    pub async fn take_snapshot(&self) -> Result<()> {
        let pool = SequencerPool::new(self.deployment.addresses.pool, &self.provider);
        let interval = self.deployment.parameters.snapshot_interval;
        self.mine(interval).await?;
        let taken = pool.takeSnapshot().from(self.owners[0]).send().await?.get_receipt().await?;
        let id = pool.snapshotCount().call().await? - 1;
        self.mine(9).await?;
        let header = self.header(taken.block_number.wrap_err("mined")? + 8).await?;
        let mut bytes = Vec::new();
        header.inner.encode(&mut bytes);
        let sealed = pool.seal(id, bytes.into()).from(self.owners[0]).send().await?.get_receipt().await?;
        ensure!(sealed.status(), "seal failed");
        Ok(())
    }

    /// The batch after the anchor up to height `last` of an L2 that nobody runs: its hashes are made up, its origin is two blocks
    /// old. `fees` and `performance` count if it closes the epoch.
    ///
    /// # Errors
    /// If Anvil does not answer.
    pub async fn next_core(&self, last: u64, fees: U256, performance: &Performance) -> Result<Core> {
        let Addresses { inbox, portal, .. } = self.deployment.addresses;
        let parameters = &self.deployment.parameters;
        let anchor = BatchInbox::new(inbox, &self.provider).anchor().call().await?;
        let origin = self.header(self.head().await?.number.saturating_sub(2)).await?;
        let closing = Height::new(last).closes_epoch(parameters.epoch_blocks);
        Ok(Core {
            version: Core::VERSION,
            generation: Generation::ZERO,
            index: BatchIndex::new(anchor.index + 1),
            previous: anchor.coreHash,
            epoch: Epoch::new(anchor.epoch),
            snapshot: SnapshotId::new(anchor.snapshot),
            first_height: Height::new(anchor.lastHeight + 1),
            last_height: Height::new(last),
            last_view: View::new(last % parameters.epoch_blocks + 1),
            last_block: keccak256(last.to_be_bytes()),
            last_timestamp: origin.timestamp + 2,
            state_root: keccak256("state"),
            origin_number: origin.number,
            origin_hash: origin.hash,
            deposits: Portal::new(portal, &self.provider).depositCount().call().await?,
            withdrawals_root: B256::ZERO,
            closing,
            fees: if closing { fees } else { U256::ZERO },
            performance: if closing { performance.hash() } else { B256::ZERO },
            next_snapshot: SnapshotId::ZERO,
        })
    }

    /// Posts `core` in one blob, signed by all members of its snapshot, by the member on duty.
    ///
    /// # Errors
    /// If the inbox refuses.
    pub async fn post(&self, core: &Core, performance: &Performance) -> Result<TransactionReceipt> {
        let snapshot = self.snapshot(core.snapshot.get()).await?;
        let text = format!("batch {}", core.index);
        let sidecar: BlobTransactionSidecarEip7594 =
            SidecarBuilder::<SimpleCoder>::from_slice(text.as_bytes()).build_7594()?;
        let hashes: Vec<B256> = sidecar.versioned_hashes().collect();
        let addresses = self.deployment.addresses;
        let message =
            batch_message(self.deployment.l1_chain_id, addresses.inbox, core.hash(), data_hash_blobs(&hashes));
        let signatures = snapshot.members.iter().map(|m| {
            let secret = self.secrets.iter().find(|s| s.public() == m.vote_key);
            secret.map(|s| s.sign(&message)).ok_or_else(|| eyre!("no key of member {}", m.id))
        });
        let signature = bls::Signature::aggregate(&signatures.collect::<Result<Vec<_>>>()?)
            .map_err(|e| eyre!("no aggregate: {e}"))?;
        let signers = (U256::from(1) << snapshot.members.len()) - U256::from(1);
        let call = BatchInbox::postCall {
            core: core.into(),
            certificate: IBatchInbox::Certificate::new(signers, &signature),
            performance: if core.closing { performance.to_bytes() } else { Default::default() },
            data: Default::default(),
        };
        let pool = SequencerPool::new(addresses.pool, &self.provider);
        let term = core.last_view.term(self.deployment.parameters.term_views);
        let leader = pool.leaderOf(core.snapshot.get(), core.epoch.get(), term.get()).call().await?.id;
        let poster = self.operator(SequencerId::new(leader), &snapshot)?;
        let request = TransactionRequest::default()
            .with_from(poster)
            .with_to(addresses.inbox)
            .with_input(call.abi_encode())
            .with_blob_sidecar(sidecar.into())
            .with_max_fee_per_blob_gas(10_000_000_000);
        let sent = self.provider.send_transaction(request).await;
        let sent = sent.map_err(|e| eyre!("{}", baton_bindings::explain_transport(&e)))?;
        let receipt = sent.get_receipt().await?;
        ensure!(receipt.status(), "post failed");
        Ok(receipt)
    }

    fn operator(&self, id: SequencerId, snapshot: &Snapshot) -> Result<Address> {
        let member = snapshot.members.iter().find(|m| m.id == id);
        Ok(member.wrap_err_with(|| format!("no member {id}"))?.operator)
    }
}

fn anvil_binary() -> Result<PathBuf> {
    let relative = "anvil/node_modules/.bin/anvil";
    let here = std::env::current_dir()?;
    let found = here.ancestors().map(|d| d.join(relative)).find(|p| p.exists());
    found.wrap_err_with(|| format!("{relative} is missing; run `npm ci --prefix anvil`"))
}
