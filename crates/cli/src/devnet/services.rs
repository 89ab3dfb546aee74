//! Postgres, indexer and API of a devnet.

use super::cluster::Cluster;
use crate::{
    anvil::loopback,
    process::{Process, Spec},
    tools,
};
use baton_indexer::embedded::{EmbeddedConfig, EmbeddedPostgres};
use eyre::{Result, WrapErr, ensure, eyre};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::{
    ffi::OsString,
    path::Path,
    time::{Duration, Instant},
};
use url::Url;

const READY: Duration = Duration::from_secs(20);

/// The devnet's database: in the server of `DATABASE_URL`, or a cluster of its own.
#[derive(Debug)]
pub(super) struct Database {
    /// `postgres://…`, the database included.
    pub(super) url: String,
    embedded: Option<EmbeddedPostgres>,
    /// A database made in a foreign server, to be dropped at the end.
    made: Option<(Url, String)>,
}

impl Database {
    /// `home` is where a cluster of its own lives.
    pub(super) async fn start(home: &Path) -> Result<Self> {
        if let Ok(given) = std::env::var("DATABASE_URL") {
            let server: Url = given
                .parse()
                .wrap_err("DATABASE_URL is not a URL: expected postgres://user:password@host:port/database")?;
            let name = format!("baton_devnet_{:08x}", rand::random::<u32>());
            administer(&server, format!("CREATE DATABASE {name}"))
                .await
                .wrap_err("the server of DATABASE_URL refuses to create a database")?;
            let mut url = server.clone();
            url.set_path(&name);
            return Ok(Self { url: url.to_string(), embedded: None, made: Some((server, name)) });
        }
        let config = EmbeddedConfig { directory: Some(home.join("postgres")), ..EmbeddedConfig::default() };
        let embedded = EmbeddedPostgres::start(config).await?;
        Ok(Self { url: embedded.url("postgres"), embedded: Some(embedded), made: None })
    }

    pub(super) async fn stop(self) -> Result<()> {
        if let Some((server, name)) = self.made {
            administer(&server, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        }
        if let Some(embedded) = self.embedded {
            embedded.stop().await?;
        }
        Ok(())
    }
}

async fn administer(server: &Url, statement: String) -> Result<()> {
    let mut connection = PgConnection::connect(server.as_str()).await?;
    connection.execute(AssertSqlSafe(statement)).await?;
    connection.close().await?;
    Ok(())
}

/// Starts `baton indexer` over the cluster's follower (or first node).
pub(super) fn start_indexer(dir: &Path, cluster: &Cluster, database: &str) -> Result<Process> {
    let mut args: Vec<OsString> = vec!["indexer".into(), "--exit-on-stdin-close".into()];
    args.extend(["--l1.url".into(), cluster.anvil.ws_url().as_str().into()]);
    args.extend(["--deployment".into(), cluster.deployment_path.clone().into()]);
    let nodes = cluster.follower.iter().chain(&cluster.nodes);
    for node in nodes {
        args.extend(["--node.url".into(), node.plan.ws().as_str().into()]);
    }
    start("indexer", dir, args, database)
}

/// Starts `baton api`; answers its base URL too.
pub(super) async fn start_api(dir: &Path, database: &str, port: Option<u16>) -> Result<(Process, Url)> {
    let port = tools::free_port(port);
    let mut args: Vec<OsString> = vec!["api".into(), "--exit-on-stdin-close".into()];
    args.extend(["--api.addr".into(), format!("127.0.0.1:{port}").into()]);
    let mut process = start("api", dir, args, database)?;
    let url = loopback("http", port);
    let client = reqwest::Client::new();
    let began = Instant::now();
    loop {
        process.check()?;
        if client.get(url.clone()).send().await.is_ok_and(|answer| answer.status().is_success()) {
            return Ok((process, url));
        }
        ensure!(
            began.elapsed() < READY,
            "the API does not answer at {url} after {READY:?}; see {}",
            process.log().display()
        );
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

fn start(name: &str, dir: &Path, args: Vec<OsString>, database: &str) -> Result<Process> {
    let program = tools::baton()?;
    // The URL holds a password: it goes by environment, so that it shows in no list of processes.
    let env = vec![("BATON_DATABASE_URL".into(), database.into())];
    Process::spawn(Spec { name: name.into(), program, args, env, log: dir.join(format!("{name}.log")) })
        .map_err(|error| eyre!(error))
}
