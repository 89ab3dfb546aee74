//! Brings a Baton to life: `deploy`, then `bond` and `register` for every founder, then `start`.
//!
//! The contracts name each other as immutables, so their addresses are computed from the deployer's nonces first.

use crate::{
    Addresses, ChainParameters, Deployment, Genesis,
    contracts::{
        BatchInbox, BatonToken, Commitments, Governance, IBatchInbox, IParameters, ISequencerPool, Lens, Parameters,
        Portal, Profiles, Recovery, RevenueShare, SequencerPool, Slasher, Staking,
    },
    explain,
    revert::explain_transport,
};
use alloy::{
    network::{Ethereum, TransactionBuilder},
    primitives::{Address, B256, Bytes, U256, keccak256},
    providers::{PendingTransactionError, Provider},
    rpc::types::{TransactionReceipt, TransactionRequest},
    sol_types::{SolCall, SolConstructor},
    transports::TransportError,
};
use baton_primitives::{IdentityKey, SequencerId, bls, possession_message};
use std::collections::BTreeMap;

/// What is to be deployed.
#[derive(Clone, Debug)]
pub struct DeployConfig {
    /// Sends the transactions, holds the token supply, and alone may start the chain. The provider must be able to sign for it.
    pub deployer: Address,
    /// Receives the treasury's share.
    pub treasury: Address,
    /// Who may change parameters and pause entry.
    pub powers: Powers,
    /// Supply of the stake token, token wei.
    pub token_supply: U256,
    /// The chain parameters.
    pub parameters: ChainParameters,
    /// The L2 genesis; its origin must be an L1 block that exists already.
    pub genesis: Genesis,
}

/// The only powers over a running chain (`Governance.sol`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Powers {
    /// Changes parameters, after the delay.
    pub governor: Address,
    /// Pauses entry, at once.
    pub guardian: Address,
    /// Seconds between the announcement of a change and its execution.
    pub delay: u32,
}

impl Powers {
    /// All in one hand, with the unbonding time as delay: who dislikes a change can leave before it counts.
    pub fn of(account: Address, parameters: &ChainParameters) -> Self {
        const LEAST: u64 = 60;
        const MOST: u64 = 90 * 24 * 3_600;
        let delay = u32::try_from(parameters.unbonding.clamp(LEAST, MOST)).unwrap_or(u32::MAX);
        Self { governor: account, guardian: account, delay }
    }
}

/// The keys and address of one node, to be registered.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Network identity.
    pub identity: IdentityKey,
    /// Poster account.
    pub operator: Address,
    /// Vote key; proves possession.
    pub vote_key: bls::SecretKey,
    /// `host:port`.
    pub endpoint: String,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// L1 did not answer, or refused.
    #[error("{step}: {reason}")]
    Refused {
        /// What was being done.
        step: &'static str,
        /// The contract's or the endpoint's words.
        reason: String,
    },
    /// The transaction was mined and failed.
    #[error("{step}: transaction {hash} failed on L1")]
    Failed {
        /// What was being done.
        step: &'static str,
        /// Its hash.
        hash: alloy::primitives::TxHash,
    },
    /// A contract came to lie elsewhere than computed: the deployer's account was used by someone else meanwhile.
    #[error(
        "{contract} was deployed to {actual}, not to {expected}: the deployer sent other transactions meanwhile; deploy again"
    )]
    Displaced {
        /// The contract.
        contract: &'static str,
        /// Where it is.
        actual: Address,
        /// Where it should be.
        expected: Address,
    },
    /// A log that must be there is not.
    #[error("{step}: the expected event is missing from the receipt")]
    MissingEvent {
        /// What was being done.
        step: &'static str,
    },
}

/// Deploys the thirteen contracts in one go (all transactions are sent before the first receipt is awaited).
///
/// # Errors
/// If L1 refuses a transaction or one fails.
pub async fn deploy<P: Provider<Ethereum>>(provider: &P, config: &DeployConfig) -> Result<Deployment, DeployError> {
    let step = "deploy";
    let l1_chain_id = provider.get_chain_id().await.map_err(|e| refused(step, &e))?;
    let nonce = provider.get_transaction_count(config.deployer).await.map_err(|e| refused(step, &e))?;
    let at = |offset: u64| config.deployer.create(nonce + offset);
    let addresses = Addresses {
        token: at(0),
        parameters: at(1),
        staking: at(2),
        pool: at(3),
        portal: at(4),
        revenue: at(5),
        inbox: at(6),
        slasher: at(7),
        governance: at(8),
        recovery: at(9),
        profiles: at(10),
        lens: at(11),
        commitments: at(12),
    };
    let contracts = creations(config, &addresses);

    let mut pending = Vec::with_capacity(contracts.len());
    for ((name, code, arguments, expected), offset) in contracts.iter().zip(0u64..) {
        let input: Bytes = [code.as_ref(), arguments.as_ref()].concat().into();
        let request =
            TransactionRequest::default().with_from(config.deployer).with_nonce(nonce + offset).with_deploy_code(input);
        let sent = provider.send_transaction(request).await.map_err(|e| refused(name, &e))?;
        pending.push((*name, sent, *expected));
    }
    let mut block = u64::MAX;
    for (contract, sent, expected) in pending {
        let receipt = mined(contract, sent.get_receipt().await)?;
        let actual = receipt.contract_address.unwrap_or_default();
        if actual != expected {
            return Err(DeployError::Displaced { contract, actual, expected });
        }
        block = block.min(receipt.block_number.unwrap_or(u64::MAX));
    }
    let constructor_arguments: BTreeMap<_, _> =
        contracts.into_iter().map(|(name, _, arguments, _)| (name.to_owned(), arguments)).collect();
    Ok(Deployment {
        l1_chain_id,
        block,
        deployer: config.deployer,
        addresses,
        constructor_arguments,
        parameters: config.parameters.clone(),
        genesis: config.genesis,
    })
}

/// Name, creation code, constructor arguments and address of every contract, in the order of the deployer's nonces.
fn creations(config: &DeployConfig, a: &Addresses) -> [(&'static str, Bytes, Bytes, Address); 13] {
    let token = BatonToken::constructorCall { holder: config.deployer, supply: config.token_supply };
    let parameters = Parameters::constructorCall {
        initial: IParameters::Values::from(&config.parameters),
        manager: a.governance,
        stakingContract: a.staking,
        batchInbox: a.inbox,
    };
    let staking = Staking::constructorCall {
        chainParameters: a.parameters,
        stakeToken: a.token,
        sequencerPool: a.pool,
        slasherContract: a.slasher,
        revenueShare: a.revenue,
    };
    let pool = SequencerPool::constructorCall {
        chainParameters: a.parameters,
        stakingContract: a.staking,
        batchInbox: a.inbox,
        slasherContract: a.slasher,
        commitmentsContract: a.commitments,
    };
    let portal = Portal::constructorCall {
        parameters: a.parameters,
        batchInbox: a.inbox,
        revenueShare: a.revenue,
        forbidden: [a.staking, a.pool, a.token],
    };
    let revenue = RevenueShare::constructorCall {
        chainParameters: a.parameters,
        stakingContract: a.staking,
        sequencerPool: a.pool,
        batchInbox: a.inbox,
        portalContract: a.portal,
        treasuryAccount: config.treasury,
    };
    let inbox = BatchInbox::constructorCall {
        chainParameters: a.parameters,
        sequencerPool: a.pool,
        portalContract: a.portal,
        revenueShare: a.revenue,
        recoveryContract: a.recovery,
    };
    let slasher = Slasher::constructorCall {
        chainParameters: a.parameters,
        stakingContract: a.staking,
        sequencerPool: a.pool,
        batchInbox: a.inbox,
    };
    let governance = Governance::constructorCall {
        parameters: a.parameters,
        governor: config.powers.governor,
        guardian: config.powers.guardian,
        delay: config.powers.delay,
    };
    let recovery = Recovery::constructorCall {
        chainParameters: a.parameters,
        stakingContract: a.staking,
        sequencerPool: a.pool,
        batchInbox: a.inbox,
    };
    let profiles = Profiles::constructorCall { stakingContract: a.staking };
    let lens = Lens::constructorCall { stakingContract: a.staking, sequencerPool: a.pool, batchInbox: a.inbox };
    [
        ("BatonToken", BatonToken::BYTECODE.clone(), token.abi_encode().into(), a.token),
        ("Parameters", Parameters::BYTECODE.clone(), parameters.abi_encode().into(), a.parameters),
        ("Staking", Staking::BYTECODE.clone(), staking.abi_encode().into(), a.staking),
        ("SequencerPool", SequencerPool::BYTECODE.clone(), pool.abi_encode().into(), a.pool),
        ("Portal", Portal::BYTECODE.clone(), portal.abi_encode().into(), a.portal),
        ("RevenueShare", RevenueShare::BYTECODE.clone(), revenue.abi_encode().into(), a.revenue),
        ("BatchInbox", BatchInbox::BYTECODE.clone(), inbox.abi_encode().into(), a.inbox),
        ("Slasher", Slasher::BYTECODE.clone(), slasher.abi_encode().into(), a.slasher),
        ("Governance", Governance::BYTECODE.clone(), governance.abi_encode().into(), a.governance),
        ("Recovery", Recovery::BYTECODE.clone(), recovery.abi_encode().into(), a.recovery),
        ("Profiles", Profiles::BYTECODE.clone(), profiles.abi_encode().into(), a.profiles),
        ("Lens", Lens::BYTECODE.clone(), lens.abi_encode().into(), a.lens),
        ("Commitments", Commitments::BYTECODE.clone(), Bytes::new(), a.commitments),
    ]
}

/// Creates a sequencer owned by `owner` with `amount` of self-stake and `commission` basis points (also its maximum).
/// `owner` must hold the tokens, and the provider must be able to sign for it.
///
/// # Errors
/// If the contracts refuse, or L1 does.
pub async fn bond<P: Provider<Ethereum>>(
    provider: &P,
    deployment: &Deployment,
    owner: Address,
    amount: u128,
    commission: u16,
) -> Result<SequencerId, DeployError> {
    let token = BatonToken::new(deployment.addresses.token, provider);
    let staking = Staking::new(deployment.addresses.staking, provider);
    let approve = token.approve(deployment.addresses.staking, U256::from(amount)).from(owner).send().await;
    mined("approve", called("approve", approve)?.get_receipt().await)?;
    let bonded = staking.bond(amount, commission, commission).from(owner).send().await;
    let receipt = mined("bond", called("bond", bonded)?.get_receipt().await)?;
    let created = receipt.decoded_log::<Staking::SequencerCreated>();
    created.map(|log| SequencerId::new(log.id)).ok_or(DeployError::MissingEvent { step: "bond" })
}

/// Announces a registration, by the hash of the call that `register` makes with the same arguments; answers the first L1 block in which the pool
/// accepts it. Not needed before the chain has started.
///
/// # Errors
/// If L1 refuses.
pub async fn commit<P: Provider<Ethereum>>(
    provider: &P,
    deployment: &Deployment,
    owner: Address,
    sequencer: SequencerId,
    registration: &Registration,
    salt: B256,
) -> Result<u64, DeployError> {
    let call = registering(deployment, owner, sequencer, registration, salt);
    let commitments = Commitments::new(deployment.addresses.commitments, provider);
    let sent = commitments.commit(keccak256(call.abi_encode())).from(owner).send().await;
    let receipt = mined("commit", called("commit", sent)?.get_receipt().await)?;
    let block = receipt.block_number.ok_or(DeployError::MissingEvent { step: "commit" })?;
    let age = called("commit", commitments.EARLIEST().call().await)?;
    Ok(block.saturating_add(age.saturating_to()))
}

/// Registers a node's keys for a sequencer of `owner`, with a proof of possession of the vote key. Once the chain has started, `commit` comes
/// before, with the same salt; founders may give any.
///
/// # Errors
/// If the pool refuses, or L1 does.
pub async fn register<P: Provider<Ethereum>>(
    provider: &P,
    deployment: &Deployment,
    owner: Address,
    sequencer: SequencerId,
    registration: &Registration,
    salt: B256,
) -> Result<TransactionReceipt, DeployError> {
    let pool = SequencerPool::new(deployment.addresses.pool, provider);
    let call = registering(deployment, owner, sequencer, registration, salt);
    let sent = pool.call_builder(&call).from(owner).send().await;
    mined("register", called("register", sent)?.get_receipt().await)
}

/// The call that registers, to the byte: its hash is what is committed to.
fn registering(
    deployment: &Deployment,
    owner: Address,
    sequencer: SequencerId,
    registration: &Registration,
    salt: B256,
) -> SequencerPool::registerCall {
    let key = registration.vote_key.public();
    let message = possession_message(deployment.l1_chain_id, deployment.addresses.pool, owner, &key);
    let keys = ISequencerPool::Keys {
        identity: registration.identity.0,
        operator: registration.operator,
        blsKey: key.to_eip2537().into(),
        endpoint: registration.endpoint.clone(),
    };
    let possession = registration.vote_key.prove_possession(&message).to_eip2537().into();
    SequencerPool::registerCall { id: sequencer.get(), keys, possession, _3: salt }
}

/// Starts the chain with its genesis and the founding set, and pays the genesis supply into the Portal.
///
/// # Errors
/// If the inbox refuses (not the deployer, started already, origin too old, a founder without keys or stake), or L1 does.
pub async fn start<P: Provider<Ethereum>>(
    provider: &P,
    deployment: &Deployment,
    members: &[SequencerId],
) -> Result<TransactionReceipt, DeployError> {
    let g = deployment.genesis;
    let genesis = IBatchInbox::Genesis {
        blockHash: g.block_hash,
        stateRoot: g.state_root,
        timestamp: g.timestamp,
        originNumber: g.origin_number,
        originHash: g.origin_hash,
        supply: g.supply,
    };
    let inbox = BatchInbox::new(deployment.addresses.inbox, provider);
    let ids = members.iter().map(|id| id.get()).collect();
    let sent = inbox.start(genesis, ids).from(deployment.deployer).value(g.supply).send().await;
    mined("start", called("start", sent)?.get_receipt().await)
}

pub(crate) fn refused(step: &'static str, error: &TransportError) -> DeployError {
    DeployError::Refused { step, reason: explain_transport(error) }
}

pub(crate) fn called<T>(step: &'static str, result: Result<T, alloy::contract::Error>) -> Result<T, DeployError> {
    result.map_err(|error| DeployError::Refused { step, reason: explain(&error) })
}

pub(crate) fn mined(
    step: &'static str,
    result: Result<TransactionReceipt, PendingTransactionError>,
) -> Result<TransactionReceipt, DeployError> {
    let receipt = result.map_err(|error| DeployError::Refused { step, reason: error.to_string() })?;
    if !receipt.status() {
        return Err(DeployError::Failed { step, hash: receipt.transaction_hash });
    }
    Ok(receipt)
}
