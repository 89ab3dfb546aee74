//! A chain on this machine: Anvil, contracts, founding set, one process a node. Devnet, bench and tests are built on it.

use super::nodes::{Node, NodePlan};
use crate::{
    anvil::{self, Anvil, AnvilOptions},
    app::SERVING,
    founding::{self, Founder, Founding},
    tools,
};
use alloy::{
    network::TransactionBuilder,
    primitives::{U256, utils::parse_ether},
    providers::Provider,
    rpc::types::TransactionRequest,
    signers::local::PrivateKeySigner,
};
use baton_bindings::{ChainParameters, Deployment, Powers, contracts::Portal};
use baton_node::OperatorKeys;
use baton_primitives::SequencerId;
use eyre::{Result, WrapErr, ensure};
use futures::future::try_join_all;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use url::Url;

/// Development accounts: 0 deploys, then the owners, from [`DELEGATORS`] on delegators, from [`USERS`] on users.
pub const OWNERS: u32 = 1;
/// Gas of a plain deposit on L1, with room to spare.
const DEPOSIT_GAS: u64 = 200_000;
/// First account of a delegator.
pub const DELEGATORS: u32 = 14;
/// First account of a user.
pub const USERS: u32 = 20;
/// Token wei that each owner and delegator account holds beside its stake.
const SPARE_TOKENS: u128 = 100_000 * 10u128.pow(18);
const NODE_READY: Duration = Duration::from_secs(30);

/// What is to be started.
#[derive(Clone, Debug)]
pub struct ClusterPlan {
    /// Everything is written below it.
    pub dir: PathBuf,
    /// Founding sequencers, 1 to 12.
    pub sequencers: u32,
    /// Whether a follower runs too.
    pub follower: bool,
    /// Chain parameters.
    pub parameters: ChainParameters,
    /// Self-stake of each founder, token wei; the last one repeats.
    pub stakes: Vec<u128>,
    /// Anvil's port and cadence.
    pub anvil: AnvilOptions,
    /// First of the preferred RPC ports; random ones if not given.
    pub first_port: Option<u16>,
    /// Whether nodes serve metrics.
    pub metrics: bool,
    /// More flags for every node.
    pub extra: Vec<String>,
    /// Log filter of the nodes.
    pub log_filter: String,
    /// L1 endpoint of each node, if not Anvil itself (a proxy in between).
    pub l1_for_nodes: Option<Vec<Url>>,
}

impl ClusterPlan {
    /// Four sequencers with the devnet's parameters on random ports.
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.into(),
            sequencers: 4,
            follower: false,
            parameters: ChainParameters::devnet(),
            stakes: vec![40_000 * 10u128.pow(18)],
            anvil: AnvilOptions::default(),
            first_port: None,
            metrics: false,
            extra: Vec::new(),
            log_filter: SERVING.into(),
            l1_for_nodes: None,
        }
    }

    fn port(&self, offset: u16) -> u16 {
        tools::free_port(self.first_port.and_then(|first| first.checked_add(offset)))
    }
}

/// A running chain. Dropping it kills every process.
#[derive(Debug)]
pub struct Cluster {
    /// L1.
    pub anvil: Anvil,
    /// What was deployed.
    pub deployment: Deployment,
    /// Its file.
    pub deployment_path: PathBuf,
    /// The founders, in the order of the nodes.
    pub founders: Vec<Founder>,
    /// Their sequencer ids.
    pub sequencers: Vec<SequencerId>,
    /// One node a founder.
    pub nodes: Vec<Node>,
    /// The follower.
    pub follower: Option<Node>,
    /// How it was started.
    pub plan: ClusterPlan,
}

impl Cluster {
    /// Starts everything; `step` hears what was done.
    ///
    /// # Errors
    /// If a part does not start, with its name and what to do.
    pub async fn start(plan: ClusterPlan, mut step: impl FnMut(String)) -> Result<Self> {
        ensure!((1..=12).contains(&plan.sequencers), "a devnet has 1 to 12 sequencers, not {}", plan.sequencers);
        ensure!(
            !plan.dir.join("node1").exists(),
            "{} holds a former devnet, whose L1 is gone: remove it or choose another --data-dir",
            plan.dir.display()
        );
        std::fs::create_dir_all(&plan.dir).wrap_err_with(|| format!("cannot make {}", plan.dir.display()))?;
        let anvil = Anvil::start(&plan.dir, &plan.anvil).await?;
        step(format!("L1: anvil at {}", anvil.url()));

        let (founders, plans) = Self::prepare(&plan)?;
        let founding = Founding {
            parameters: plan.parameters.clone(),
            deployer: anvil::account(0)?,
            treasury: anvil::account(0)?.address(),
            powers: Powers::of(anvil::account(0)?.address(), &plan.parameters),
            founders: founders.clone(),
            poster_funds: parse_ether("1000")?,
            tokens: (OWNERS..USERS).map(|i| Ok((anvil::account(i)?.address(), SPARE_TOKENS))).collect::<Result<_>>()?,
        };
        let deployment = founding::deploy_contracts(&anvil.url(), &founding).await?;
        let deployment_path = Deployment::path_in(&plan.dir.join("deployments"), deployment.l1_chain_id);
        deployment.save(&deployment_path)?;
        step(format!("contracts: inbox {}, {}", deployment.addresses.inbox, deployment_path.display()));

        let sequencers = founding::found(&anvil.url(), &founding, &deployment).await?;
        step(format!("{} sequencers staked and registered, chain started", sequencers.len()));

        let mut cluster =
            Self { anvil, deployment, deployment_path, founders, sequencers, nodes: Vec::new(), follower: None, plan };
        cluster.start_nodes(plans).await?;
        step(format!("{} nodes answer", cluster.nodes.len() + usize::from(cluster.follower.is_some())));
        Ok(cluster)
    }

    /// Keys on disk and a plan for every node.
    fn prepare(plan: &ClusterPlan) -> Result<(Vec<Founder>, Vec<NodePlan>)> {
        let mut founders = Vec::new();
        let mut plans = Vec::new();
        for index in 0..plan.sequencers {
            let name = format!("node{}", index + 1);
            let dir = plan.dir.join(&name);
            let keys = OperatorKeys::random();
            keys.save(&dir.join("keys"))?;
            let offset = u16::try_from(index)?;
            let node = plan_node(plan, name, dir.clone(), Some(dir.join("keys")), offset);
            let stake = plan.stakes.get(index as usize).or(plan.stakes.last()).copied().unwrap_or_default();
            founders.push(Founder {
                owner: anvil::account(OWNERS + index)?,
                keys,
                endpoint: format!("127.0.0.1:{}", node.p2p_port),
                stake,
                commission: 1_000,
            });
            plans.push(node);
        }
        Ok((founders, plans))
    }

    async fn start_nodes(&mut self, plans: Vec<NodePlan>) -> Result<()> {
        for mut plan in plans {
            plan.deployment.clone_from(&self.deployment_path);
            plan.l1 = self.plan.l1_for_nodes.clone().unwrap_or_else(|| vec![self.anvil.ws_url(), self.anvil.url()]);
            self.nodes.push(Node::spawn(plan)?);
        }
        if self.plan.follower {
            let plan = self.follower_plan("follower");
            self.follower = Some(Node::spawn(plan)?);
        }
        let all = self.nodes.iter_mut().chain(self.follower.as_mut());
        try_join_all(all.map(|node| node.ready(NODE_READY))).await?;
        Ok(())
    }

    /// A plan for a node that joins later with keys of its own.
    pub fn joiner_plan(&self, name: &str) -> Result<(NodePlan, OperatorKeys)> {
        let dir = self.plan.dir.join(name);
        let keys = OperatorKeys::random();
        keys.save(&dir.join("keys"))?;
        let mut plan = plan_node(&self.plan, name.into(), dir.clone(), Some(dir.join("keys")), 50);
        self.complete(&mut plan);
        Ok((plan, keys))
    }

    /// A plan for a follower of all nodes.
    pub fn follower_plan(&self, name: &str) -> NodePlan {
        let offset = u16::try_from(self.nodes.len()).unwrap_or(u16::MAX);
        let mut plan = plan_node(&self.plan, name.into(), self.plan.dir.join(name), None, offset);
        self.complete(&mut plan);
        plan.follow = self.nodes.iter().map(|n| n.plan.http()).collect();
        plan
    }

    fn complete(&self, plan: &mut NodePlan) {
        plan.deployment.clone_from(&self.deployment_path);
        plan.l1 = self.plan.l1_for_nodes.clone().unwrap_or_else(|| vec![self.anvil.ws_url(), self.anvil.url()]);
    }

    /// Deposits `wei` from each account's L1 balance to the same account on L2, through the Portal. A little more arrives: what is sent for
    /// the gas leaves room for a rise of its price.
    ///
    /// # Errors
    /// If L1 refuses.
    pub async fn deposit(&self, accounts: &[PrivateKeySigner], wei: U256) -> Result<()> {
        let provider = founding::wallet(&self.anvil.url(), accounts);
        let portal = self.deployment.addresses.portal;
        let contract = Portal::new(portal, &provider);
        let gas = contract.RECEIVE_GAS().call().await?;
        let wei = wei + contract.depositFee(gas).call().await? * U256::from(2);
        let sent = try_join_all(accounts.iter().map(|account| {
            // An estimate is made beside deposits of the same block; the first of a block costs twice as much.
            let request = TransactionRequest::default()
                .with_from(account.address())
                .with_to(portal)
                .with_value(wei)
                .with_gas_limit(DEPOSIT_GAS);
            provider.send_transaction(request)
        }))
        .await
        .wrap_err("the Portal refused a deposit")?;
        for pending in sent {
            let receipt = pending.get_receipt().await?;
            ensure!(receipt.status(), "deposit {} failed on L1", receipt.transaction_hash);
        }
        Ok(())
    }

    /// Stops follower, nodes, then L1, each asked to end before it is killed.
    pub async fn stop(mut self, grace: Duration) {
        let all = self.follower.iter_mut().chain(self.nodes.iter_mut());
        futures::future::join_all(all.map(|node| node.process.stop(grace))).await;
        self.anvil.process.stop(grace).await;
    }
}

fn plan_node(plan: &ClusterPlan, name: String, dir: PathBuf, keys: Option<PathBuf>, offset: u16) -> NodePlan {
    NodePlan {
        name,
        dir,
        deployment: PathBuf::new(),
        p2p_port: if keys.is_some() { plan.port(offset.saturating_add(20)) } else { 0 },
        keys,
        l1: Vec::new(),
        rpc_port: plan.port(offset),
        metrics_port: plan.metrics.then(|| plan.port(offset.saturating_add(40))),
        follow: Vec::new(),
        extra: plan.extra.clone(),
        log_filter: plan.log_filter.clone(),
    }
}
