//! From an empty L1 to a started chain: contracts, stakes, keys, founding set. Deployment verb, devnet and tests share it.
//!
//! ```text
//! L1 head -> genesis -> deploy -> { fund, bond, register } for every founder -> start -> deployment file
//! ```

use alloy::{
    eips::BlockNumberOrTag,
    network::{EthereumWallet, TransactionBuilder},
    primitives::{Address, B256, U256},
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::types::TransactionRequest,
    signers::local::PrivateKeySigner,
};
use baton_bindings::{
    ChainParameters, DeployConfig, Deployment, Genesis, Powers, Registration, bond, contracts::BatonToken, deploy,
    register, start,
};
use baton_engine::genesis_block;
use baton_node::OperatorKeys;
use baton_primitives::{L1Origin, SequencerId};
use eyre::{Result, WrapErr, ensure, eyre};
use futures::future::try_join_all;
use url::Url;

/// One member of the founding set.
#[derive(Clone, Debug)]
pub struct Founder {
    /// Holds the stake and pays for the calls; needs ether on L1.
    pub owner: PrivateKeySigner,
    /// The node's keys.
    pub keys: OperatorKeys,
    /// `host:port` at which peers reach the node.
    pub endpoint: String,
    /// Self-stake, token wei; sent by the deployer.
    pub stake: u128,
    /// Commission, basis points.
    pub commission: u16,
}

/// What is to be founded.
#[derive(Clone, Debug)]
pub struct Founding {
    /// The chain parameters.
    pub parameters: ChainParameters,
    /// Deploys, holds the token supply, starts the chain.
    pub deployer: PrivateKeySigner,
    /// Receives the treasury's share.
    pub treasury: Address,
    /// Who may change parameters and pause entry.
    pub powers: Powers,
    /// The founding set.
    pub founders: Vec<Founder>,
    /// Wei that the deployer sends to each poster account.
    pub poster_funds: U256,
    /// Other accounts to which the deployer sends stake tokens (token wei).
    pub tokens: Vec<(Address, u128)>,
}

/// A started chain.
#[derive(Clone, Debug)]
pub struct Founded {
    /// What was deployed where.
    pub deployment: Deployment,
    /// Sequencer ids in the order of the founders.
    pub sequencers: Vec<SequencerId>,
}

/// Supply of the devnet's stake token, token wei.
pub const TOKEN_SUPPLY: u128 = 1_000_000_000 * 10u128.pow(18);

/// A provider that can sign for all of `signers`; the first one is the default sender.
pub fn wallet(l1: &Url, signers: &[PrivateKeySigner]) -> DynProvider {
    let mut wallet = EthereumWallet::default();
    for signer in signers {
        wallet.register_signer(signer.clone());
    }
    if let Some(first) = signers.first() {
        wallet.register_default_signer(first.clone());
    }
    ProviderBuilder::new().with_simple_nonce_management().wallet(wallet).connect_http(l1.clone()).erased()
}

/// The genesis whose origin is the L1 head: empty but for the predeploys.
///
/// # Errors
/// If L1 does not answer.
pub async fn genesis_at_head(l1: &impl Provider, parameters: &ChainParameters) -> Result<Genesis> {
    let head = l1
        .get_block_by_number(BlockNumberOrTag::Latest)
        .await
        .wrap_err("L1 does not answer")?
        .ok_or_else(|| eyre!("L1 has no latest block"))?;
    let origin = L1Origin {
        number: head.header.number,
        hash: head.header.hash,
        timestamp: head.header.timestamp,
        ..L1Origin::default()
    };
    let (block, state_root) = genesis_block(&baton_node::genesis(parameters.into(), origin.timestamp, origin))?;
    Ok(Genesis {
        block_hash: block.hash(),
        state_root,
        timestamp: origin.timestamp,
        origin_number: origin.number,
        origin_hash: origin.hash,
        supply: U256::ZERO,
    })
}

/// Deploys the contracts only.
///
/// # Errors
/// If a parameter is out of bounds or L1 refuses.
pub async fn deploy_contracts(l1: &Url, founding: &Founding) -> Result<Deployment> {
    baton_primitives::Parameters::from(&founding.parameters).validate()?;
    let provider = wallet(l1, std::slice::from_ref(&founding.deployer));
    let genesis = genesis_at_head(&provider, &founding.parameters).await?;
    let config = DeployConfig {
        deployer: founding.deployer.address(),
        treasury: founding.treasury,
        powers: founding.powers,
        token_supply: U256::from(TOKEN_SUPPLY),
        parameters: founding.parameters.clone(),
        genesis,
    };
    Ok(deploy(&provider, &config).await?)
}

/// Bonds and registers every founder, funds their posters, and starts the chain.
///
/// # Errors
/// If L1 or a contract refuses.
pub async fn found(l1: &Url, founding: &Founding, deployment: &Deployment) -> Result<Vec<SequencerId>> {
    ensure!(!founding.founders.is_empty(), "a chain needs at least one founder");
    let mut signers = vec![founding.deployer.clone()];
    signers.extend(founding.founders.iter().map(|f| f.owner.clone()));
    let provider = wallet(l1, &signers);
    fund(&provider, founding, deployment).await?;
    let sequencers =
        try_join_all(founding.founders.iter().map(|founder| enter(&provider, deployment, founder))).await?;
    start(&provider, deployment, &sequencers).await?;
    Ok(sequencers)
}

/// Sends tokens to owners and ether to posters, all in one L1 block where it fits.
async fn fund(provider: &DynProvider, founding: &Founding, deployment: &Deployment) -> Result<()> {
    let token = BatonToken::new(deployment.addresses.token, provider);
    let from = founding.deployer.address();
    let mut nonce = provider.get_transaction_count(from).await?;
    let mut pending = Vec::new();
    for founder in &founding.founders {
        let tokens = token.transfer(founder.owner.address(), U256::from(founder.stake)).from(from).nonce(nonce);
        pending.push(tokens.send().await.wrap_err("sending stake to a founder")?);
        let ether = TransactionRequest::default()
            .with_from(from)
            .with_nonce(nonce + 1)
            .with_to(founder.keys.poster.address())
            .with_value(founding.poster_funds);
        pending.push(provider.send_transaction(ether).await.wrap_err("sending ether to a poster")?);
        nonce += 2;
    }
    for (account, amount) in &founding.tokens {
        let tokens = token.transfer(*account, U256::from(*amount)).from(from).nonce(nonce);
        pending.push(tokens.send().await.wrap_err("sending tokens")?);
        nonce += 1;
    }
    for sent in pending {
        let receipt = sent.get_receipt().await?;
        ensure!(receipt.status(), "transfer {} to a founder failed on L1", receipt.transaction_hash);
    }
    Ok(())
}

/// Bonds and registers one sequencer whose owner holds the tokens.
///
/// # Errors
/// If L1 or a contract refuses.
pub async fn enter(provider: &DynProvider, deployment: &Deployment, founder: &Founder) -> Result<SequencerId> {
    let owner = founder.owner.address();
    let id = bond(provider, deployment, owner, founder.stake, founder.commission).await?;
    let registration = Registration {
        identity: founder.keys.identity.public(),
        operator: founder.keys.poster.address(),
        vote_key: founder.keys.vote.clone(),
        endpoint: founder.endpoint.clone(),
    };
    // Before the start nothing has to be announced.
    register(provider, deployment, owner, id, &registration, B256::ZERO).await?;
    Ok(id)
}
