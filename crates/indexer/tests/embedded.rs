//! The embedded cluster: starts, serves, survives a restart, leaves nothing behind.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use baton_indexer::embedded::{EmbeddedConfig, EmbeddedError, EmbeddedPostgres};
use sqlx::{Connection as _, Executor as _, PgConnection};
use std::path::Path;

async fn number(url: &str, query: &'static str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let value = sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    value
}

#[tokio::test]
async fn a_temporary_cluster_serves_and_leaves_nothing_behind() {
    let cluster = EmbeddedPostgres::start(EmbeddedConfig::default()).await.unwrap();
    let home = cluster.home().to_owned();
    assert_eq!(number(&cluster.url("postgres"), "SELECT 41::bigint + 1").await, 42);
    assert!(home.join("data/PG_VERSION").exists());
    // A client that is still connected does not keep the server alive.
    let client = PgConnection::connect(&cluster.url("postgres")).await.unwrap();
    cluster.stop().await.unwrap();
    assert!(!home.exists(), "{} is left behind", home.display());
    drop(client);
}

#[tokio::test]
async fn a_cluster_in_a_directory_keeps_its_rows_over_a_restart() {
    let parent =
        tempfile::Builder::new().permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755)).tempdir().unwrap();
    let config =
        EmbeddedConfig { directory: Some(parent.path().join("postgres")), durable: true, ..EmbeddedConfig::default() };
    let first = EmbeddedPostgres::start(config.clone()).await.unwrap();
    let mut connection = PgConnection::connect(&first.url("postgres")).await.unwrap();
    connection.execute("CREATE TABLE kept AS SELECT 7::bigint AS number").await.unwrap();
    drop(connection);
    match EmbeddedPostgres::start(config.clone()).await {
        Err(EmbeddedError::Running { pid, .. }) => assert!(pid.parse::<u32>().is_ok(), "{pid}"),
        other => panic!("a second server in one directory must be refused, got {other:?}"),
    }
    first.stop().await.unwrap();
    let second = EmbeddedPostgres::start(config).await.unwrap();
    assert_eq!(number(&second.url("postgres"), "SELECT number FROM kept").await, 7);
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let cluster = EmbeddedPostgres::start(EmbeddedConfig::default()).await.unwrap();
    let url = format!("postgres://baton:wrong@127.0.0.1:{}/postgres", cluster.port());
    assert!(PgConnection::connect(&url).await.is_err());
}

#[tokio::test]
async fn missing_binaries_say_how_to_get_them() {
    let config = EmbeddedConfig { binaries: Some("/nowhere".into()), ..EmbeddedConfig::default() };
    let error = EmbeddedPostgres::start(config).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::Missing { .. }));
    let text = error.to_string();
    assert!(text.contains("DATABASE_URL") && text.contains("npm ci --prefix anvil"), "{text}");
}

#[test]
fn a_cluster_whose_owner_is_killed_stops_and_cleans_up() {
    // The owner is this very test binary, run once more and killed in the middle of the other branch.
    if let Ok(report) = std::env::var("BATON_TEST_EMBEDDED_OWNER") {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let cluster = runtime.block_on(EmbeddedPostgres::start(EmbeddedConfig::default())).unwrap();
        std::fs::write(report, cluster.home().to_str().unwrap()).unwrap();
        loop {
            std::thread::park();
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("home");
    let mut owner = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_cluster_whose_owner_is_killed_stops_and_cleans_up", "--nocapture"])
        .env("BATON_TEST_EMBEDDED_OWNER", &report)
        .spawn()
        .unwrap();
    let until = |what: &str, done: &dyn Fn() -> bool| {
        let begin = std::time::Instant::now();
        while !done() {
            assert!(begin.elapsed().as_secs() < 60, "{what}");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    };
    until("the cluster never started", &|| std::fs::read_to_string(&report).is_ok_and(|home| !home.is_empty()));
    let home = std::fs::read_to_string(&report).unwrap();
    assert!(Path::new(&home).exists());
    owner.kill().unwrap();
    owner.wait().unwrap();
    until("the home is left behind", &|| !Path::new(&home).exists());
}
