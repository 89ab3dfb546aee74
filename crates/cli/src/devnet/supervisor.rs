//! Starts the devnet's parts, tells what happens, keeps nodes running, stops everything in order.

use super::{
    DevnetFlags,
    cluster::{Cluster, ClusterPlan, DELEGATORS, OWNERS, USERS},
    control::Lock,
    nodes::Node,
    report::{Account, Description, NodeEntry},
    services::{self, Database},
    traffic,
};
use crate::{
    anvil::{self, AnvilOptions, loopback},
    chain,
    output::out,
    process::{self, Process},
};
use alloy::{primitives::utils::parse_ether, signers::local::PrivateKeySigner};
use baton_node::keys::write_secret;
use eyre::{Result, WrapErr};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

const USER_ACCOUNTS: u32 = 10;
const FIRST_BLOCK_WITHIN: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(6);
const RESTART_AFTER: Duration = Duration::from_secs(2);

/// The devnet's directory: a temporary one goes with it.
enum Home {
    Temporary(tempfile::TempDir),
    Kept(PathBuf),
}

impl Home {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Kept(dir) => dir,
        }
    }
}

/// The running parts beside the cluster.
struct Services {
    database: Database,
    indexer: Process,
    api: Process,
}

/// Runs a devnet until Ctrl-C, SIGTERM or, if asked for, the end of standard input.
pub(super) async fn run(flags: &DevnetFlags) -> Result<()> {
    let began = Instant::now();
    let say = |line: &str| {
        if !flags.format.json {
            out(&format!("{:>6.1} s  {line}", began.elapsed().as_secs_f64()));
        }
    };
    let lock = Lock::take(&flags.file)?;
    let home = match &flags.data_dir {
        // To be entered, not listed, by the unprivileged user that Postgres runs as; secrets have modes of their own.
        None => {
            let permissions = fs::Permissions::from_mode(0o711);
            Home::Temporary(tempfile::Builder::new().prefix("baton-devnet-").permissions(permissions).tempdir()?)
        }
        Some(dir) => {
            fs::create_dir_all(dir).wrap_err_with(|| format!("cannot make {}", dir.display()))?;
            Home::Kept(dir.canonicalize()?)
        }
    };
    let stop = CancellationToken::new();
    let ended = process::end_of_life(flags.exit_on_stdin_close);
    tokio::pin!(ended);

    let (cluster, services) = tokio::select! {
        started = start(flags, home.path(), &say) => started?,
        () = &mut ended => {
            say("interrupted while starting");
            return Ok(());
        }
    };
    let mut services = services;
    let mut cluster = cluster;
    let description = describe(flags, home.path(), &cluster, services.as_ref(), began)?;
    description.save(&flags.file)?;
    flags.format.print(&description, |d| format!("\n{}\n", d.table(&flags.file)))?;
    say(&format!("described in {}; Ctrl-C stops everything", flags.file.display()));

    let users = accounts(USERS, USER_ACCOUNTS)?;
    let rpc = cluster.follower.as_ref().map_or_else(|| cluster.nodes[0].plan.http(), |f| f.plan.http());
    let traffic = tokio::spawn(traffic::run(rpc, users, flags.traffic, stop.clone()));
    tokio::select! {
        () = keep_running(&mut cluster, services.as_mut(), flags, description, &say) => {}
        () = ended => {}
    }

    say("stopping");
    stop.cancel();
    traffic.abort();
    let _ = fs::remove_file(&flags.file);
    match services {
        Some(mut services) => {
            tokio::join!(services.api.stop(GRACE), services.indexer.stop(GRACE), cluster.stop(GRACE));
            services.database.stop().await?;
        }
        None => cluster.stop(GRACE).await,
    }
    if let Home::Temporary(dir) = home {
        dir.close().wrap_err("cannot remove the temporary directory")?;
    }
    drop(lock);
    say("stopped; nothing is left behind");
    Ok(())
}

/// Starts cluster, deposits and services; the database comes up beside the chain.
async fn start(flags: &DevnetFlags, home: &Path, say: &impl Fn(&str)) -> Result<(Cluster, Option<Services>)> {
    say(&format!("writing to {}", home.display()));
    let database = async {
        if flags.no_index {
            return Ok(None);
        }
        let database = Database::start(home).await.wrap_err("Postgres")?;
        say("Postgres is up");
        eyre::Ok(Some(database))
    };
    let chain = async {
        let plan = ClusterPlan {
            sequencers: flags.sequencers,
            follower: true,
            anvil: AnvilOptions { port: Some(8545), ..AnvilOptions::default() },
            first_port: Some(9545),
            metrics: true,
            log_filter: flags.nodes_log.clone(),
            ..ClusterPlan::new(home)
        };
        let cluster = Cluster::start(plan, |line| say(&line)).await?;
        let users = accounts(USERS, USER_ACCOUNTS)?;
        let ws = cluster.nodes[0].plan.ws();
        let first = async {
            chain::wait_height(&ws, 1, FIRST_BLOCK_WITHIN).await.wrap_err("no final block")?;
            say("first final block");
            eyre::Ok(())
        };
        let deposits = async {
            cluster.deposit(&users, parse_ether("1000")?).await?;
            say("deposits for ten users are on L1");
            eyre::Ok(())
        };
        tokio::try_join!(first, deposits)?;
        eyre::Ok(cluster)
    };
    let (database, cluster) = tokio::try_join!(database, chain)?;
    let services = match database {
        None => None,
        Some(database) => {
            let indexer = services::start_indexer(home, &cluster, &database.url)?;
            let (api, _) = services::start_api(home, &database.url, Some(API_PORT)).await?;
            say("indexer and API are up");
            Some(Services { database, indexer, api })
        }
    };
    let follower = cluster.follower.as_ref().map_or_else(|| cluster.nodes[0].plan.ws(), |f| f.plan.ws());
    let last = anvil::account(USERS + USER_ACCOUNTS - 1)?.address();
    chain::wait_balance(&follower, last, parse_ether("1")?, FIRST_BLOCK_WITHIN).await.wrap_err("deposits")?;
    say("users are funded on L2");
    Ok((cluster, services))
}

const API_PORT: u16 = 8080;

/// Starts ended nodes again, and tells of it. Never returns.
async fn keep_running(
    cluster: &mut Cluster,
    mut services: Option<&mut Services>,
    flags: &DevnetFlags,
    mut description: Description,
    say: &impl Fn(&str),
) {
    let mut told = false;
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        for node in cluster.nodes.iter_mut().chain(cluster.follower.as_mut()) {
            if node.process.check().is_ok() {
                continue;
            }
            say(&format!(
                "{} ended; starting it again in {RESTART_AFTER:?} (log: {})",
                node.plan.name,
                node.plan.log().display()
            ));
            tokio::time::sleep(RESTART_AFTER).await;
            restart(node, flags, &mut description, say);
        }
        if let Some(services) = services.as_mut().filter(|_| !told) {
            for process in [&mut services.indexer, &mut services.api] {
                if let Err(error) = process.check() {
                    say(&error.to_string());
                    told = true;
                }
            }
        }
    }
}

fn restart(node: &mut Node, flags: &DevnetFlags, description: &mut Description, say: &impl Fn(&str)) {
    match node.respawn() {
        Ok(()) => {
            say(&format!("{} runs again as process {}", node.plan.name, node.process.id()));
            for entry in description.nodes.iter_mut().filter(|e| e.name == node.plan.name) {
                entry.pid = node.process.id();
            }
            if let Err(error) = description.save(&flags.file) {
                say(&format!("{error:#}"));
            }
        }
        Err(error) => say(&error.to_string()),
    }
}

fn accounts(first: u32, count: u32) -> Result<Vec<PrivateKeySigner>> {
    (first..first + count).map(|i| Ok(anvil::account(i)?)).collect()
}

/// Writes the account files and gathers what `devnet.json` tells.
fn describe(
    flags: &DevnetFlags,
    home: &Path,
    cluster: &Cluster,
    services: Option<&Services>,
    began: Instant,
) -> Result<Description> {
    let mut endpoints = BTreeMap::new();
    endpoints.insert("l1".into(), cluster.anvil.url().to_string());
    endpoints.insert("l1Ws".into(), cluster.anvil.ws_url().to_string());
    let entry = cluster.follower.as_ref().unwrap_or(&cluster.nodes[0]);
    endpoints.insert("rpc".into(), entry.plan.http().to_string());
    endpoints.insert("ws".into(), entry.plan.ws().to_string());
    if let Some(services) = services {
        let api = services.api.spec().args.iter().position(|a| a == "--api.addr");
        let address = api.and_then(|i| services.api.spec().args.get(i + 1)).map(|a| a.to_string_lossy().into_owned());
        let port =
            address.as_deref().and_then(|a| a.rsplit(':').next()).and_then(|p| p.parse().ok()).unwrap_or(API_PORT);
        let base = loopback("http", port);
        endpoints.insert("page".into(), base.to_string());
        endpoints.insert("api".into(), base.join("v1/")?.to_string());
        endpoints.insert("database".into(), services.database.url.clone());
    }
    let nodes = cluster
        .nodes
        .iter()
        .zip(cluster.sequencers.iter().map(|id| Some(id.get())))
        .chain(cluster.follower.iter().map(|f| (f, None)))
        .map(|(node, sequencer)| NodeEntry {
            name: node.plan.name.clone(),
            sequencer,
            rpc: node.plan.http(),
            ws: node.plan.ws(),
            metrics: node.plan.metrics_port.map(|p| loopback("http", p)),
            pid: node.process.id(),
            keys: node.plan.keys.clone(),
            log: node.plan.log(),
        })
        .collect();
    let mut roles = vec![("deployer".to_owned(), 0)];
    roles.extend((0..flags.sequencers).map(|i| (format!("owner {}", i + 1), OWNERS + i)));
    roles.extend((0..2).map(|i| (format!("delegator {}", i + 1), DELEGATORS + i)));
    roles.extend((0..3).map(|i| (format!("user {}", i + 1), USERS + i)));
    let keys = home.join("accounts");
    fs::create_dir_all(&keys)?;
    let account = |(role, index): (String, u32)| {
        let signer = anvil::account(index)?;
        let key_file = keys.join(format!("{}.key", role.replace(' ', "")));
        if !key_file.exists() {
            write_secret(&key_file, &signer.to_bytes().0)?;
        }
        eyre::Ok(Account { role, address: signer.address(), key_file })
    };
    Ok(Description {
        pid: std::process::id(),
        lock: std::path::absolute(Lock::path_for(&flags.file))?,
        data_dir: home.into(),
        deployment: cluster.deployment_path.clone(),
        l1_chain_id: cluster.deployment.l1_chain_id,
        l2_chain_id: cluster.deployment.parameters.l2_chain_id,
        endpoints,
        nodes,
        contracts: cluster.deployment.addresses.named().into_iter().map(|(n, a)| (n.to_owned(), a)).collect(),
        accounts: roles.into_iter().map(account).collect::<Result<_>>()?,
        first_block_ms: u64::try_from(began.elapsed().as_millis())?,
    })
}
