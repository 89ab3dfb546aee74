//! A real Anvil with the contracts deployed, and a proxy in front of it that misbehaves on demand.
#![allow(dead_code, missing_docs, unreachable_pub)] // Each test file uses its part.

use alloy::{
    node_bindings::{Anvil, AnvilInstance},
    primitives::{Address, B256, U256},
    providers::{DynProvider, Provider, ProviderBuilder},
};
use baton_bindings::{
    ChainParameters, DeployConfig, Deployment, Genesis, Powers, Registration, bond, deploy, register, start,
};
use baton_l1::{Config, Endpoints, EndpointsConfig, Error, Heads, L1Event, Watcher, WatcherHandle};
use baton_primitives::{IdentitySecret, SequencerId, bls};
use std::{path::PathBuf, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use url::Url;

pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct World {
    pub anvil: AnvilInstance,
    pub provider: DynProvider,
    pub deployment: Deployment,
}

pub fn anvil(arguments: &[&str]) -> AnvilInstance {
    let installed = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../anvil/node_modules/.bin/anvil");
    let path = std::env::var_os("BATON_ANVIL").map_or(installed, PathBuf::from);
    assert!(path.exists(), "{} is missing: run `npm ci` in anvil/", path.display());
    let usual = ["--hardfork", "osaka", "--slots-in-an-epoch", "4"];
    Anvil::at(path).args(usual).args(arguments).try_spawn().expect("anvil starts")
}

impl World {
    /// Contracts deployed and started with two founders. Every transaction mines its block.
    pub async fn new() -> Self {
        let anvil = anvil(&[]);
        let provider =
            ProviderBuilder::new().with_simple_nonce_management().connect_http(anvil.endpoint_url()).erased();
        let accounts = provider.get_accounts().await.unwrap();
        let head = provider.get_block_by_number(Default::default()).await.unwrap().unwrap().header;
        let genesis = Genesis {
            block_hash: B256::repeat_byte(1),
            state_root: B256::repeat_byte(2),
            timestamp: head.inner.timestamp,
            origin_number: head.inner.number,
            origin_hash: head.hash,
            supply: U256::ZERO,
        };
        let config = DeployConfig {
            deployer: accounts[0],
            treasury: accounts[9],
            powers: Powers::of(accounts[0], &ChainParameters::devnet()),
            token_supply: U256::from(10u64).pow(U256::from(26)),
            parameters: ChainParameters::devnet(),
            genesis,
        };
        let deployment = deploy(&provider, &config).await.unwrap();
        let stake = deployment.parameters.min_stake;
        let mut founders = Vec::new();
        for member in 1..=2u8 {
            let owner = accounts[usize::from(member)];
            let token = baton_bindings::contracts::BatonToken::new(deployment.addresses.token, &provider);
            token
                .transfer(owner, U256::from(stake))
                .from(accounts[0])
                .send()
                .await
                .unwrap()
                .get_receipt()
                .await
                .unwrap();
            let id = bond(&provider, &deployment, owner, stake, 500).await.unwrap();
            register(&provider, &deployment, owner, id, &registration(member), B256::ZERO).await.unwrap();
            founders.push(id);
        }
        start(&provider, &deployment, &founders).await.unwrap();
        Self { anvil, provider, deployment }
    }

    pub fn url(&self) -> Url {
        self.anvil.endpoint_url()
    }

    pub fn config(&self) -> Config {
        Config {
            poll_interval: Duration::from_millis(20),
            ..Config::new(self.deployment.addresses, self.deployment.block)
        }
    }

    pub async fn deposit(&self, value: u64) {
        let portal = baton_bindings::contracts::Portal::new(self.deployment.addresses.portal, &self.provider);
        let from = self.provider.get_accounts().await.unwrap()[5];
        let (value, fee) = (U256::from(value), portal.depositFee(100_000).call().await.unwrap());
        let call = portal.deposit(Address::repeat_byte(7), value, 100_000, false, Default::default(), fee);
        call.from(from).value(value + fee).send().await.unwrap().get_receipt().await.unwrap();
    }

    pub async fn mine(&self, blocks: u64) {
        self.rpc("anvil_mine", (U256::from(blocks),)).await;
    }

    pub async fn rpc(&self, method: &'static str, params: impl alloy::rpc::json_rpc::RpcSend) -> serde_json::Value {
        self.provider.client().request(method, params).await.unwrap()
    }

    pub async fn head(&self) -> (u64, B256) {
        let block = self.provider.get_block_by_number(Default::default()).await.unwrap().unwrap();
        (block.header.inner.number, block.header.hash)
    }
}

pub fn registration(member: u8) -> Registration {
    Registration {
        identity: IdentitySecret::from_bytes([member; 32]).public(),
        operator: Address::repeat_byte(member),
        vote_key: bls::SecretKey::from_seed(&[member; 32]),
        endpoint: format!("127.0.0.1:{}", 9_000 + u16::from(member)),
    }
}

pub fn endpoints(urls: Vec<Url>) -> Endpoints {
    let config = EndpointsConfig {
        timeout: Duration::from_millis(1_500),
        backoff: Duration::from_millis(20),
        max_backoff: Duration::from_millis(200),
        ..EndpointsConfig::new(urls, 31_337)
    };
    Endpoints::new(config).unwrap()
}

/// A running watcher that ends with the test.
pub struct Running {
    pub handle: WatcherHandle,
    pub events: mpsc::Receiver<L1Event>,
    pub task: JoinHandle<Result<(), Error>>,
    shutdown: CancellationToken,
}

impl Running {
    pub fn new(config: Config, urls: Vec<Url>) -> Self {
        let (mut watcher, handle) = Watcher::new(config, endpoints(urls));
        let events = watcher.subscribe(10_000);
        let shutdown = CancellationToken::new();
        let task = watcher.start(shutdown.clone());
        Self { handle, events, task, shutdown }
    }

    /// Waits until the view's heads fulfil the condition.
    pub async fn until(&self, what: &str, condition: impl FnMut(&Heads) -> bool) -> Heads {
        let mut heads = self.handle.view.subscribe();
        let reached = tokio::time::timeout(PATIENCE, heads.wait_for(condition)).await;
        *reached.unwrap_or_else(|_| panic!("not reached: {what}; status {:?}", *self.handle.status.borrow())).unwrap()
    }

    pub async fn until_at(&self, number: u64, hash: B256) -> Heads {
        self.until("the head", |h| h.head.number == number && h.head.hash == hash && h.synced).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// How a [`Proxy`] treats its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Passes everything on.
    Pass,
    /// Closes connections at once.
    Refuse,
    /// Accepts and never answers.
    Hang,
    /// Answers with this HTTP status.
    Status(u16),
    /// Cuts every answer in the middle.
    Truncate,
    /// Answers every JSON-RPC request with a null result.
    Null,
}

/// A TCP proxy in front of an HTTP server.
pub struct Proxy {
    pub url: Url,
    mood: watch::Sender<Mood>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub async fn new(upstream: &Url, mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let upstream = format!("{}:{}", upstream.host_str().unwrap(), upstream.port().unwrap());
        let mood = watch::Sender::new(mood);
        let moods = mood.subscribe();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (upstream, mut moods) = (upstream.clone(), moods.clone());
                tokio::spawn(async move {
                    let mood = moods.borrow_and_update().clone();
                    // A change of mood ends every connection.
                    tokio::select! {
                        () = serve(client, &upstream, &mood) => {}
                        _ = moods.changed() => {}
                    }
                });
            }
        });
        Self { url, mood, task }
    }

    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut client: TcpStream, upstream: &str, mood: &Mood) {
    match mood {
        Mood::Refuse => {}
        Mood::Hang => std::future::pending().await,
        Mood::Pass => {
            if let Ok(mut server) = TcpStream::connect(upstream).await {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
        }
        Mood::Status(status) => {
            let _ = request(&mut client).await;
            let answer = format!("HTTP/1.1 {status} Bad\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = client.write_all(answer.as_bytes()).await;
        }
        Mood::Truncate => {
            let _ = request(&mut client).await;
            let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":0,\"resu";
            let _ = client.write_all(answer.as_bytes()).await;
        }
        Mood::Null => {
            let Some(body) = request(&mut client).await else { return };
            let asked: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            let null = |r: &serde_json::Value| serde_json::json!({ "jsonrpc": "2.0", "id": r["id"], "result": null });
            let body = match asked.as_array() {
                Some(batch) => serde_json::Value::from(batch.iter().map(null).collect::<Vec<_>>()),
                None => null(&asked),
            };
            let body = body.to_string();
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            let _ = client.write_all(answer.as_bytes()).await;
        }
    }
}

/// Reads one HTTP request and returns its body.
async fn request(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length =
                head.lines().find_map(|l| l.strip_prefix("content-length:")).map_or(0, |l| l.trim().parse().unwrap());
            if bytes.len() >= end + 4 + length {
                return Some(bytes[end + 4..end + 4 + length].to_vec());
            }
        }
        if client.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

pub fn sequencer(id: u64) -> SequencerId {
    SequencerId::new(id)
}
