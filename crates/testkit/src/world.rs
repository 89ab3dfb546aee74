//! A chain to be treated badly.

use crate::{postgres::TestDatabase, promises::FinalLog};
use alloy::{
    network::Ethereum,
    primitives::{Address, B256, U256, utils::parse_ether},
    providers::{DynProvider, Provider, ext::AnvilApi},
    rpc::types::{Filter, anvil::ReorgOptions},
    signers::local::PrivateKeySigner,
};
use baton_bindings::{ChainParameters, contracts::BatchInbox};
use baton_cli::{
    anvil, chain,
    devnet::{
        cluster::{Cluster, ClusterPlan, USERS},
        nodes::Node,
    },
    founding,
    process::tail,
    tools,
    verbs::l1::Sender,
};
use eyre::{Result, WrapErr, ensure, eyre};
use futures::StreamExt as _;
use nix::sys::signal::Signal;
use std::{
    future::Future,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};
use tempfile::TempDir;

/// Patience for things that take an L1 block or two.
pub const SOON: Duration = Duration::from_secs(30);
/// Patience for things that take a batch, an epoch or a restart.
pub const LATER: Duration = Duration::from_secs(120);

/// The devnet's parameters, quickened within the contracts' bounds: an epoch of 200 blocks lasts 10 to 20 s.
pub fn fast_parameters() -> ChainParameters {
    ChainParameters {
        epoch_blocks: 200,
        term_views: 20,
        block_time_ms: 50,
        idle_block_time_ms: 100,
        leader_timeout_ms: 300,
        batch_max_age_ms: 2_000,
        unposted_limit: 30,
        stall_time: 40,
        recovery_window: 5,
        snapshot_interval: 5,
        unbonding: 120,
        certificate_life: 100,
        ..ChainParameters::devnet()
    }
}

/// [`fast_parameters`] with epochs of 10 s, the shortest there are, and as many terms: for stories of several epochs, or of an
/// unbonding time.
pub fn short_epochs() -> ChainParameters {
    ChainParameters {
        epoch_blocks: 100,
        term_views: 10,
        block_time_ms: 100,
        unbonding: 80,
        certificate_life: 60,
        ..fast_parameters()
    }
}

/// What a test needs.
#[derive(Clone, Debug)]
pub struct WorldPlan {
    /// Sequencers.
    pub sequencers: u32,
    /// Whether a follower runs.
    pub follower: bool,
    /// Whether there is a database.
    pub database: bool,
    /// Users with 100 ether each on L2.
    pub users: u32,
    /// Chain parameters.
    pub parameters: ChainParameters,
    /// Self-stakes in whole tokens; the last one repeats.
    pub stakes: Vec<u32>,
    /// More flags for every node.
    pub extra: Vec<String>,
    /// What the nodes log.
    pub log_filter: String,
    /// Whether the nodes serve metrics.
    pub metrics: bool,
}

impl Default for WorldPlan {
    fn default() -> Self {
        Self {
            sequencers: 4,
            follower: false,
            database: false,
            users: 2,
            parameters: fast_parameters(),
            stakes: vec![40_000],
            extra: Vec::new(),
            log_filter: "warn,baton=info".into(),
            metrics: false,
        }
    }
}

/// A running chain of real processes.
#[derive(Debug)]
pub struct World {
    /// L1, contracts and nodes.
    pub cluster: Cluster,
    /// Users, funded on L2.
    pub users: Vec<PrivateKeySigner>,
    /// The database.
    pub database: Option<TestDatabase>,
    home: Option<TempDir>,
}

impl World {
    /// Starts the world and waits until users have their ether.
    ///
    /// # Errors
    /// If a part does not start.
    pub async fn start(plan: WorldPlan) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("baton-world-").tempdir()?;
        let database = if plan.database { Some(TestDatabase::create().await?) } else { None };
        let cluster = ClusterPlan {
            sequencers: plan.sequencers,
            follower: plan.follower,
            parameters: plan.parameters,
            stakes: plan.stakes.iter().map(|tokens| u128::from(*tokens) * 10u128.pow(18)).collect(),
            extra: plan.extra,
            log_filter: plan.log_filter,
            metrics: plan.metrics,
            ..ClusterPlan::new(home.path())
        };
        let cluster = match Cluster::start(cluster, |line| tracing::info!("{line}")).await {
            Ok(cluster) => cluster,
            Err(error) => {
                let kept = home.keep();
                return Err(error.wrap_err(format!("the world did not start; it is kept in {}", kept.display())));
            }
        };
        let users = (USERS..USERS + plan.users).map(|i| Ok(anvil::account(i)?)).collect::<Result<Vec<_>>>()?;
        let world = Self { cluster, users, database, home: Some(home) };
        if plan.users > 0 {
            world.deposit(parse_ether("100")?).await?;
        }
        Ok(world)
    }

    /// Deposits to every user and waits until it is on L2.
    ///
    /// # Errors
    /// If a deposit does not arrive.
    pub async fn deposit(&self, wei: U256) -> Result<()> {
        self.cluster.deposit(&self.users, wei).await?;
        for user in &self.users {
            chain::wait_balance(&self.nodes()[0].plan.ws(), user.address(), wei, LATER).await.wrap_err("deposit")?;
        }
        Ok(())
    }

    /// The sequencers' nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.cluster.nodes
    }

    /// A node, to be treated badly.
    pub fn node(&mut self, index: usize) -> &mut Node {
        &mut self.cluster.nodes[index]
    }

    /// L2 through a node over HTTP.
    pub fn l2(&self, index: usize) -> DynProvider {
        chain::http(&self.nodes()[index].plan.http())
    }

    /// L2 through a node, able to sign for every user.
    pub fn l2_wallet(&self, index: usize) -> DynProvider {
        founding::wallet(&self.nodes()[index].plan.http(), &self.users)
    }

    /// L1 over HTTP.
    pub fn l1(&self) -> DynProvider {
        chain::http(&self.cluster.anvil.url())
    }

    /// L1, able to sign for `signers`.
    pub fn l1_wallet(&self, signers: &[PrivateKeySigner]) -> DynProvider {
        founding::wallet(&self.cluster.anvil.url(), signers)
    }

    /// A sender of contract calls for one account.
    pub fn sender(&self, signer: &PrivateKeySigner) -> Sender {
        Sender {
            provider: self.l1_wallet(std::slice::from_ref(signer)),
            deployment: self.cluster.deployment.clone(),
            account: signer.address(),
        }
    }

    /// The inbox on L1.
    pub fn inbox(&self) -> BatchInbox::BatchInboxInstance<DynProvider, Ethereum> {
        BatchInbox::new(self.cluster.deployment.addresses.inbox, self.l1())
    }

    /// The directory of the world.
    pub fn path(&self) -> &Path {
        &self.cluster.plan.dir
    }

    /// Waits until a node's head is at least `height`.
    ///
    /// # Errors
    /// If it is not in time.
    pub async fn wait_height(&self, index: usize, height: u64, within: Duration) -> Result<u64> {
        let node = &self.nodes()[index];
        chain::wait_height(&node.plan.ws(), height, within).await.wrap_err_with(|| node.plan.name.clone())
    }

    /// Waits until the key of a sequencer votes (again).
    ///
    /// # Errors
    /// If it does not in time, or the node is a follower.
    pub async fn wait_voting(&self, index: usize, within: Duration) -> Result<()> {
        let name = &self.nodes()[index].plan.name;
        let votes = async {
            let mut heads = chain::heads(&self.nodes()[index].plan.ws()).await?;
            while heads.next().await.is_some() {
                let status: serde_json::Value = self.l2(index).raw_request("rollup_syncStatus".into(), ()).await?;
                if status.get("voting").and_then(serde_json::Value::as_bool) == Some(true) {
                    return Ok(());
                }
            }
            Err(eyre!("{name} ends its heads"))
        };
        tokio::time::timeout(within, votes).await.wrap_err_with(|| format!("{name} does not vote"))?
    }

    /// Waits until every node that runs is at least at `height`.
    ///
    /// # Errors
    /// If one is not in time.
    pub async fn wait_all(&self, height: u64, within: Duration) -> Result<()> {
        let all = (0..self.nodes().len()).map(|index| self.wait_height(index, height, within));
        futures::future::try_join_all(all).await?;
        Ok(())
    }

    /// Asks `question` until it answers `Some`, paced by the L1 heads.
    ///
    /// # Errors
    /// If it does not in time.
    pub async fn until_l1<T, F>(&self, what: &str, within: Duration, question: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<Option<T>>>,
    {
        chain::wait_for(&self.cluster.anvil.ws_url(), what, within, question).await
    }

    /// Waits until batch `index` is accepted on L1; answers the anchor's last height then.
    ///
    /// # Errors
    /// If it is not in time.
    pub async fn wait_batch(&self, index: u64, within: Duration) -> Result<u64> {
        let inbox = self.inbox();
        self.until_l1(&format!("batch {index}"), within, || async {
            let anchor = inbox.anchor().call().await?;
            Ok((anchor.index >= index).then_some(anchor.lastHeight))
        })
        .await
    }

    /// Waits until L2 height `height` is in an accepted batch; answers the anchor's batch index then.
    ///
    /// # Errors
    /// If it is not in time.
    pub async fn wait_posted(&self, height: u64, within: Duration) -> Result<u64> {
        let inbox = self.inbox();
        self.until_l1(&format!("height {height} posted"), within, || async {
            let anchor = inbox.anchor().call().await?;
            Ok((anchor.lastHeight >= height).then_some(anchor.index))
        })
        .await
    }

    /// Every accepted batch, in L1 order.
    ///
    /// # Errors
    /// If L1 does not answer.
    pub async fn batches(&self) -> Result<Vec<BatchInbox::BatchPosted>> {
        self.batches_up_to(self.l1().get_block_number().await?).await
    }

    /// Every batch accepted up to an L1 block, in L1 order.
    ///
    /// # Errors
    /// If L1 does not answer.
    pub async fn batches_up_to(&self, l1_block: u64) -> Result<Vec<BatchInbox::BatchPosted>> {
        let filter = Filter::new()
            .address(self.cluster.deployment.addresses.inbox)
            .event_signature(<BatchInbox::BatchPosted as alloy::sol_types::SolEvent>::SIGNATURE_HASH)
            .from_block(self.cluster.deployment.block)
            .to_block(l1_block);
        let logs = self.l1().get_logs(&filter).await?;
        logs.iter().map(|log| Ok(log.log_decode::<BatchInbox::BatchPosted>()?.inner.data)).collect()
    }

    /// Index of the node that leads now, as node `asked` says.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn leader(&self, asked: usize) -> Result<usize> {
        let schedule: serde_json::Value = self.l2(asked).raw_request("rollup_leader".into(), ()).await?;
        let id = schedule.pointer("/current/leader/id").and_then(serde_json::Value::as_str);
        let id = id.and_then(|text| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok());
        let id = id.ok_or_else(|| eyre!("rollup_leader answered {schedule}"))?;
        let position = self.cluster.sequencers.iter().position(|s| s.get() == id);
        position.ok_or_else(|| eyre!("sequencer {id} leads but has no node here"))
    }

    /// A node other than `index` whose process runs.
    pub fn other(&mut self, index: usize) -> Result<usize> {
        let count = self.nodes().len();
        for step in 1..count {
            let candidate = (index + step) % count;
            if self.node(candidate).process.check().is_ok() {
                return Ok(candidate);
            }
        }
        Err(eyre!("no other node runs"))
    }

    /// kill -9.
    pub async fn kill(&mut self, index: usize) {
        self.node(index).process.kill().await;
    }

    /// Starts an ended node again and waits until it answers.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn restart(&mut self, index: usize) -> Result<()> {
        self.node(index).respawn()?;
        Ok(self.node(index).ready(SOON).await?)
    }

    /// Stops a node's process without ending it.
    pub fn pause(&mut self, index: usize) {
        self.node(index).process.signal(Signal::SIGSTOP);
    }

    /// Lets a paused process go on.
    pub fn resume(&mut self, index: usize) {
        self.node(index).process.signal(Signal::SIGCONT);
    }

    /// Replaces the last `depth` L1 blocks by empty ones.
    ///
    /// # Errors
    /// If Anvil refuses.
    pub async fn reorg(&self, depth: u64) -> Result<()> {
        Ok(self.l1().anvil_reorg(ReorgOptions { depth, tx_block_pairs: Vec::new() }).await?)
    }

    /// L1 makes a block every so many seconds from now on, or none at all with 0.
    ///
    /// # Errors
    /// If Anvil refuses.
    pub async fn set_l1_block_time(&self, seconds: u64) -> Result<()> {
        Ok(self.l1().anvil_set_interval_mining(seconds).await?)
    }

    /// Runs a verb of the `baton` binary to its end.
    ///
    /// # Errors
    /// If it cannot be started or does not end in time.
    pub async fn baton(arguments: &[&str]) -> Result<Output> {
        run(&tools::baton()?, arguments, &[]).await
    }

    /// Runs a verb against this world's L1 and deployment, signed by `signer`.
    ///
    /// # Errors
    /// If it cannot be started or does not end in time.
    pub async fn verb(&self, arguments: &[&str], signer: &PrivateKeySigner) -> Result<Output> {
        let key = self.key_file(signer)?;
        let deployment = self.cluster.deployment_path.display().to_string();
        let url = self.cluster.anvil.url().to_string();
        let mut all = arguments.to_vec();
        let key = key.display().to_string();
        all.extend(["--l1.url", &url, "--deployment", &deployment, "--account.key-file", &key]);
        Self::baton(&all).await
    }

    /// A file with the signer's key.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn key_file(&self, signer: &PrivateKeySigner) -> Result<PathBuf> {
        let path = self.path().join(format!("{}.key", signer.address()));
        if !path.exists() {
            baton_node::keys::write_secret(&path, &signer.to_bytes().0)?;
        }
        Ok(path)
    }

    /// Final blocks seen by a node from now on, for P1.
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn record(&self, index: usize) -> Result<FinalLog> {
        FinalLog::start(&self.nodes()[index].plan.ws()).await
    }

    /// Ends everything in order.
    pub async fn end(mut self) {
        let all = self.cluster.follower.iter_mut().chain(self.cluster.nodes.iter_mut());
        futures::future::join_all(all.map(|node| node.process.stop(Duration::from_secs(8)))).await;
        self.cluster.anvil.process.stop(Duration::from_secs(5)).await;
        drop(self.home.take());
    }
}

/// A world that was not ended came to an error: what is left of it tells why.
impl Drop for World {
    #[allow(clippy::print_stderr)]
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            for node in self.cluster.nodes.iter().chain(&self.cluster.follower) {
                eprintln!("--- the end of {}\n{}", node.plan.log().display(), tail(&node.plan.log(), 30));
            }
            eprintln!("--- the world is kept in {}", home.keep().display());
        }
    }
}

/// Runs a program to its end, at most two minutes.
///
/// # Errors
/// If it cannot be started or does not end in time.
pub async fn run(program: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Result<Output> {
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).envs(env.iter().copied()).stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(LATER, command.output()).await;
    let output = output.map_err(|_| eyre!("{} {} did not end in {LATER:?}", program.display(), arguments.join(" ")))?;
    output.wrap_err_with(|| format!("cannot run {}", program.display()))
}

/// The output of a verb that must succeed, as JSON.
///
/// # Errors
/// If it failed or printed no JSON.
pub fn json(output: &Output) -> Result<serde_json::Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "failed: {}{text}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).wrap_err_with(|| format!("no JSON: {text}"))
}

/// The message of a verb that must fail.
///
/// # Errors
/// If it succeeded.
pub fn refusal(output: &Output) -> Result<String> {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success(), "succeeded: {}", String::from_utf8_lossy(&output.stdout));
    Ok(text)
}

/// Hash of the block at `height` of an endpoint.
///
/// # Errors
/// If it has none.
pub async fn hash_at(provider: &DynProvider, height: u64) -> Result<B256> {
    let block =
        provider.raw_request::<_, serde_json::Value>("eth_getBlockByNumber".into(), (U256::from(height), false));
    let block = block.await?;
    let hash = block.get("hash").and_then(|h| h.as_str()).ok_or_else(|| eyre!("no block at height {height}"))?;
    Ok(hash.parse()?)
}

/// Nonce of an account, pending transactions included.
///
/// # Errors
/// If the endpoint does not answer.
pub async fn nonce(provider: &DynProvider, account: Address) -> Result<u64> {
    Ok(provider.get_transaction_count(account).pending().await?)
}
