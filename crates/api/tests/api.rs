//! Every route over a real Postgres that the indexer filled from two chains. Needs `npm ci` in `anvil/`.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use baton_api::{Config, Server, document};
use baton_testkit::{chains::Pair, postgres::TestDatabase};
use futures::StreamExt as _;
use reqwest::{Client, Response, header};
use serde_json::Value;
use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Api {
    base: String,
    client: Client,
    cancellation: CancellationToken,
    task: JoinHandle<Result<(), baton_api::ApiError>>,
}

impl Api {
    async fn start(config: Config) -> Self {
        let server = Server::bind(config).await.unwrap();
        let base = format!("http://{}", server.address());
        let cancellation = CancellationToken::new();
        let task = tokio::spawn(server.run(cancellation.clone()));
        Self { base, client: Client::new(), cancellation, task }
    }

    async fn raw(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.base)).send().await.unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        let response = self.raw(path).await;
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn problem(&self, path: &str, status: u16) -> Value {
        let response = self.raw(path).await;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json", "{path}");
        let problem: Value = response.json().await.unwrap();
        assert!(!problem["action"].as_str().unwrap().is_empty(), "{path}: a problem says what to do");
        problem
    }

    async fn stop(self) {
        self.cancellation.cancel();
        self.task.await.unwrap().unwrap();
    }
}

fn config(database: &str) -> Config {
    Config::new(database.to_owned(), SocketAddr::from(([127, 0, 0, 1], 0)))
}

struct World {
    pair: Pair,
    database: TestDatabase,
    indexer: JoinHandle<Result<(), baton_indexer::IndexerError>>,
    cancellation: CancellationToken,
}

impl World {
    async fn new() -> Self {
        let pair = Pair::start().await.unwrap();
        let database = TestDatabase::create().await.unwrap();
        let config = pair.indexer(&database);
        let cancellation = CancellationToken::new();
        let indexer = tokio::spawn(baton_indexer::run(config, cancellation.clone()));
        Self { pair, database, indexer, cancellation }
    }

    /// Waits until the API tells the chains' heads.
    async fn told_by(&self, api: &Api) -> Value {
        let begin = std::time::Instant::now();
        loop {
            let (l1, l2) = (self.pair.l1.head().await.unwrap().number, self.pair.l2.head().header().number);
            let answer: Value = api.raw("/v1/overview").await.json().await.unwrap();
            if answer["data"]["l1Block"] == l1
                && answer["data"]["height"] == l2
                && !answer["data"]["leader"]["now"].is_null()
            {
                return answer;
            }
            assert!(begin.elapsed() < Duration::from_secs(60), "the API does not catch up: {answer}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn stop(self) {
        self.cancellation.cancel();
        self.indexer.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_answers_from_the_index() {
    let world = World::new().await;
    let api = Api::start(config(world.database.url())).await;
    let delegator = world.pair.l1.others()[0];
    world.pair.delegate(delegator, 1, 5_000).await.unwrap();
    world.pair.l1.mine(3).await.unwrap();
    world.pair.grow(300).await.unwrap();
    world.pair.post(100, 0).await.unwrap();
    world.pair.post(239, 1_000_000_000_000_007).await.unwrap();
    let overview = world.told_by(&api).await;
    let data = &overview["data"];
    assert_eq!(data["height"], 300);
    assert_eq!(data["postedHeight"], 239);
    assert_eq!((&data["epoch"], &data["epochDone"], &data["members"]), (&1.into(), &61.into(), &4.into()));
    assert_eq!(data["lastBatch"]["batch"], 2);
    assert_eq!(data["fees"], "1000000000000007");
    assert_eq!(overview["meta"]["l2Lag"], 0);

    let leader = api.get("/v1/leader").await;
    assert_eq!(leader["data"]["now"]["sequencer"], data["leader"]["now"]["sequencer"]);
    assert!(!leader["data"]["next"].as_array().unwrap().is_empty());

    let sequencers = api.get("/v1/sequencers").await;
    let first = sequencers["data"].as_array().unwrap().iter().find(|s| s["sequencer"] == 1).unwrap();
    assert_eq!(first["delegated"], format!("{}", 5_000 * 10u128.pow(18)));
    let weights: f64 = sequencers["data"].as_array().unwrap().iter().map(|s| s["weight"].as_f64().unwrap()).sum();
    assert!((weights - 1.0).abs() < 1e-9, "{weights}");
    assert_eq!(api.get("/v1/sequencers/1").await["data"]["status"], "active");
    assert_eq!(api.get("/v1/sequencers/1/incomes").await["data"][0]["epoch"], 0);

    assert_eq!(api.get("/v1/epochs").await["data"][1]["status"], "closed");
    let epoch = api.get("/v1/epochs/0").await;
    assert_eq!(epoch["data"]["members"].as_array().unwrap().len(), 4);
    assert_eq!(epoch["data"]["fees"], "1000000000000007");
    let batch = api.get("/v1/batches/2").await["data"].clone();
    assert_eq!((&batch["closing"], &batch["signerCount"], &batch["lane"]), (&true.into(), &4.into(), &"blobs".into()));
    assert_eq!(batch["postedBy"], batch["onDuty"]);

    let block = api.get("/v1/blocks/5").await["data"].clone();
    assert_eq!(block["transactions"], 7);
    assert_eq!(api.get(&format!("/v1/blocks/{}", block["hash"].as_str().unwrap())).await["data"], block);
    let transactions = api.get("/v1/transactions?limit=3").await;
    let hash = transactions["data"][0]["hash"].as_str().unwrap();
    assert_eq!(api.get(&format!("/v1/transactions/{hash}")).await["data"]["finality"], "final");
    let posted = world.pair.l2.block(5).unwrap().transactions()[1].tx_hash();
    let fate = api.get(&format!("/v1/transactions/{posted}")).await["data"].clone();
    assert_eq!((&fate["finality"], &fate["batch"]), (&"posted".into(), &1.into()));
    assert_eq!(fate["l1Transaction"], api.get("/v1/batches/1").await["data"]["l1Transaction"]);

    let stake = api.get(&format!("/v1/accounts/{delegator}/stake")).await;
    assert_eq!(stake["data"]["total"], format!("{}", 5_000 * 10u128.pow(18)));
    let owner = world.pair.l1.owners[0];
    let income = api.get(&format!("/v1/accounts/{owner}/income")).await;
    assert!(income["data"]["claimable"].as_str().unwrap().parse::<u128>().unwrap() > 0, "{income}");
    api.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_cut_by_keys_and_never_repeat_or_skip() {
    let world = World::new().await;
    let api = Api::start(config(world.database.url())).await;
    world.pair.grow(57).await.unwrap();
    world.told_by(&api).await;
    for (path, key, all) in [("/v1/blocks", "number", 58), ("/v1/transactions", "hash", 66)] {
        let (mut seen, mut before) = (Vec::new(), String::new());
        loop {
            let page = api.get(&format!("{path}?limit=13{before}")).await;
            seen.extend(page["data"].as_array().unwrap().iter().map(|item| item[key].to_string()));
            let Some(next) = page["next"].as_str() else { break };
            before = format!("&before={next}");
        }
        assert_eq!(seen.len(), all, "{path}");
        let count = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), count, "{path} repeats");
    }
    api.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_tell_new_blocks() {
    let world = World::new().await;
    let api = Api::start(config(world.database.url())).await;
    world.told_by(&api).await;
    let response = api.raw("/v1/events").await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut stream = response.bytes_stream();
    world.pair.grow(7).await.unwrap();
    let mut text = String::new();
    let heard = tokio::time::timeout(Duration::from_secs(30), async {
        while !text.contains(r#""height":7"#) {
            text.push_str(&String::from_utf8_lossy(&stream.next().await.unwrap().unwrap()));
        }
    });
    heard.await.expect("an event with height 7");
    assert!(text.contains("event: overview"));
    api.stop().await;
    world.stop().await;
}

#[tokio::test]
async fn without_an_index_it_says_what_to_do() {
    let database = TestDatabase::create().await.unwrap();
    let api = Api::start(config(database.url())).await;
    let problem = api.problem("/v1/overview", 503).await;
    assert_eq!(problem["type"], "/problems/no-index");
    assert!(problem["action"].as_str().unwrap().contains("baton indexer"));
    api.stop().await;
    let api = Api::start(config("postgres://nobody@127.0.0.1:1/none")).await;
    assert_eq!(api.problem("/v1/blocks", 503).await["type"], "/problems/database");
    api.stop().await;
}

#[tokio::test]
async fn bad_parameters_are_named() {
    let database = TestDatabase::create().await.unwrap();
    let pool = baton_indexer::migrate(database.url()).await.unwrap();
    let api = Api::start(config(database.url())).await;
    for (path, word) in [
        ("/v1/blocks?limit=0", "limit"),
        ("/v1/blocks?limit=101", "limit"),
        ("/v1/blocks?before=x", "before"),
        ("/v1/transactions?before=7", "before"),
        ("/v1/transactions/0x12", "hash"),
        ("/v1/accounts/0xzz/stake", "address"),
        ("/v1/batches/-1", "batch"),
    ] {
        let problem = api.problem(path, 400).await;
        assert!(problem["detail"].as_str().unwrap().contains(word), "{path}: {problem}");
    }
    api.problem("/v1/blocks/7", 404).await;
    api.problem(&format!("/v1/transactions/0x{}", "00".repeat(32)), 404).await;
    api.problem("/v2", 404).await;
    let response = api.client.post(format!("{}/v1/blocks", api.base)).send().await.unwrap();
    assert_eq!(response.status(), 405);
    api.stop().await;
    pool.close().await;
}

#[tokio::test]
async fn more_requests_than_the_limit_are_turned_away() {
    let database = TestDatabase::create().await.unwrap();
    let pool = baton_indexer::migrate(database.url()).await.unwrap();
    let one = NonZeroUsize::new(1).unwrap();
    let api = Api::start(Config { max_streams: one, ..config(database.url()) }).await;
    let first = api.raw("/v1/events").await;
    assert_eq!(first.status(), 200);
    assert_eq!(api.problem("/v1/events", 503).await["type"], "/problems/busy");
    drop(first);
    api.stop().await;
    pool.close().await;
}

#[tokio::test]
async fn the_page_needs_nothing_but_its_own_files() {
    let database = TestDatabase::create().await.unwrap();
    let api = Api::start(config(database.url())).await;
    for (path, kind) in
        [("/", "text/html"), ("/style.css", "text/css"), ("/app.js", "text/javascript"), ("/icon.svg", "image/svg+xml")]
    {
        let response = api.raw(path).await;
        assert!(response.headers()[header::CONTENT_TYPE].to_str().unwrap().starts_with(kind), "{path}");
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"), "{policy}");
        let text = response.text().await.unwrap();
        assert!(!text.is_empty());
        if path == "/" {
            assert!(!text.contains("style=") && !text.contains("onclick"), "the policy forbids what is inline");
            assert!(!text.contains("src=\"http") && !text.contains("href=\"http"), "nothing is loaded from elsewhere");
        }
    }
    api.stop().await;
}

#[tokio::test]
async fn the_openapi_document_names_every_route() {
    let database = TestDatabase::create().await.unwrap();
    let api = Api::start(config(database.url())).await;
    let served = api.get("/v1/openapi.json").await;
    assert_eq!(served, serde_json::to_value(document()).unwrap());
    let paths = served["paths"].as_object().unwrap();
    for path in [
        "/v1/overview",
        "/v1/sequencers/{id}",
        "/v1/transactions/{hash}",
        "/v1/accounts/{address}/income",
        "/v1/events",
    ] {
        assert!(paths.contains_key(path), "{path}");
    }
    assert_eq!(paths.len(), 16);
    api.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = Server::bind(Config::new("postgres://a@127.0.0.1/b".into(), address)).await.unwrap_err();
    assert!(error.to_string().contains(&address.to_string()) && error.to_string().contains("another port"), "{error}");
}
