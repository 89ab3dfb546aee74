//! JSON-RPC over the real engine and the real pool: a chain of one node that makes a block whenever a transaction waits.

mod calls;
mod fuzz;
mod simulate;
mod traces;
mod transactions;

use super::Backend;
use crate::{
    batches::Batches,
    certificates::Certificates,
    forward::Submitter,
    genesis::genesis,
    ledger::{FinalState, Ledger},
    source::Source,
};
use alloy::{
    network::EthereumWallet,
    primitives::{Address, B256, Bytes, U256},
    providers::{DynProvider, Provider, ProviderBuilder},
    signers::local::PrivateKeySigner,
};
use baton_derive::base_fee;
use baton_engine::{BlockAttributes, BlockRef, Budget, Engine, GenesisAccount, genesis_block, prevrandao};
use baton_l1::L1View;
use baton_pool::Pool;
use baton_primitives::{
    Deposit, ExtraData, FinalBlock, Height, L1Origin, Parameters, RecoveredBlock, SystemCall, Transaction, View,
    system_transaction,
};
use baton_rpc::{Config, Server};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

const START: u64 = 1_700_000_000;

/// A running node of which only consensus and L1 are missing.
struct World {
    ledger: Arc<Ledger>,
    backend: Arc<Backend>,
    address: SocketAddr,
    http: reqwest::Client,
    _stop: DropGuard,
    _directory: tempfile::TempDir,
}

fn signer(number: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(number)).unwrap()
}

impl World {
    /// A chain whose accounts 1 to 3 hold 1,000 ether, and which makes blocks by itself.
    async fn new() -> Self {
        let world = Self::paused().await;
        let ledger = Arc::clone(&world.ledger);
        tokio::spawn(async move {
            let mut ready = ledger.pool.ready();
            loop {
                if *ready.borrow_and_update() > 0 {
                    let ledger = Arc::clone(&ledger);
                    tokio::task::spawn_blocking(move || seal(&ledger, &[])).await.unwrap();
                }
                if ready.changed().await.is_err() {
                    return;
                }
            }
        });
        world
    }

    /// The same chain without a block maker: the test calls [`Self::seal`].
    async fn paused() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let origin =
            L1Origin { number: 0, hash: B256::repeat_byte(0x11), timestamp: START, base_fee: 7, blob_base_fee: 1 };
        let mut genesis = genesis(Parameters::devnet(), START, origin);
        for number in 1..=3 {
            let account = GenesisAccount {
                balance: U256::from(1_000u64) * U256::from(10u64).pow(U256::from(18)),
                ..GenesisAccount::default()
            };
            genesis.alloc.insert(signer(number).address(), account);
        }
        let (block, _) = genesis_block(&genesis).unwrap();
        let parameters = genesis.parameters.clone();
        let engine = Engine::open(baton_engine::Config::new(directory.path().join("state"), genesis)).unwrap();
        let pool = baton_pool::Config::new(parameters.l2_chain_id, parameters.l2_gas_limit);
        let pool = Pool::open(pool, FinalState(engine.clone())).unwrap();
        let certificates = Certificates::open(&directory.path().join("certificates.redb")).unwrap();
        let (submitter, mut forwarded) = Submitter::new(pool.clone());
        tokio::spawn(async move { while forwarded.recv().await.is_some() {} });
        let ledger = Arc::new(Ledger::new(engine, pool, L1View::default(), Arc::new(block), origin, certificates));
        let blobs = Box::new(|hash: B256| (hash == B256::repeat_byte(1)).then(|| Bytes::from_static(b"blob")));
        let batches = Arc::new(Batches::open(&directory.path().join("batches.redb")).unwrap());
        let backend = Arc::new(Backend::new(Arc::clone(&ledger), submitter, None, blobs, batches));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(Server::new(Config::default(), Arc::clone(&backend)).serve(listener, stop.clone()));
        Self { ledger, backend, address, http: reqwest::Client::new(), _stop: stop.drop_guard(), _directory: directory }
    }

    /// Makes the next block.
    async fn seal(&self, deposits: Vec<Deposit>) -> Arc<RecoveredBlock> {
        let ledger = Arc::clone(&self.ledger);
        tokio::task::spawn_blocking(move || seal(&ledger, &deposits)).await.unwrap()
    }

    /// alloy's client for plain Ethereum, signing with account `number`.
    fn provider(&self, number: u8) -> DynProvider {
        let wallet = EthereumWallet::from(signer(number));
        ProviderBuilder::new().wallet(wallet).connect_http(self.url().parse().unwrap()).erased()
    }

    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = self.http.post(self.url()).header("content-type", "application/json").body(request.to_string());
        serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap()
    }

    async fn result(&self, method: &str, params: Value) -> Value {
        let answer = self.call(method, params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    async fn error(&self, method: &str, params: Value) -> (i64, String) {
        let answer = self.call(method, params).await;
        assert!(answer.get("result").is_none(), "{method}: {answer}");
        (answer["error"]["code"].as_i64().unwrap(), answer["error"]["message"].as_str().unwrap().to_owned())
    }
}

/// Builds a block on the head from what waits in the pool, and makes it final.
fn seal(ledger: &Ledger, deposits: &[Deposit]) -> Arc<RecoveredBlock> {
    let (height, hash) = ledger.engine.head();
    let parent = ledger.parent(hash).unwrap();
    let height = Height::new(height).next();
    let executed = parent.call.deposits + deposits.len() as u64;
    let call = SystemCall { origin: parent.call.origin, deposits: executed };
    let mut forced: Vec<Transaction> = vec![system_transaction(height, &call)];
    forced.extend(deposits.iter().map(Deposit::transaction));
    let base_fee = base_fee(&parent.header, &call.origin);
    let extra = ExtraData { view: View::new(height.get()), parent_view: View::new(height.get() - 1), millis: 0 };
    let attributes = BlockAttributes {
        parent: hash,
        timestamp: START + height.get(),
        extra_data: extra.to_bytes(),
        gas_limit: ledger.parameters.l2_gas_limit,
        base_fee,
        mix_hash: prevrandao(call.origin.hash, height.get()),
        parent_beacon_block_root: call.origin.hash,
        forced,
        sweep: height.closes_epoch(ledger.parameters.epoch_blocks),
    };
    let mut source = Source::new(&ledger.pool, base_fee, ledger.engine.state(BlockRef::Final).unwrap());
    let budget =
        Budget { deadline: Instant::now() + Duration::from_secs(60), max_bytes: ledger.parameters.max_block_bytes };
    let built = ledger.engine.build(&attributes, &mut source, budget).unwrap();
    ledger.finalize(&FinalBlock { block: Arc::clone(&built.block), certificate: None }).unwrap();
    Arc::clone(&built.block)
}

/// Init code that deploys `runtime`.
fn deploying(runtime: &[u8]) -> Bytes {
    let length = u16::try_from(runtime.len()).unwrap().to_be_bytes();
    // PUSH2 length, DUP1, PUSH1 12, PUSH1 0, CODECOPY, PUSH1 0, RETURN
    let head = [0x61, length[0], length[1], 0x80, 0x60, 0x0c, 0x60, 0x00, 0x39, 0x60, 0x00, 0xf3];
    [&head[..], runtime].concat().into()
}

const RICH: u8 = 1;
const NOBODY: Address = Address::repeat_byte(0x99);
