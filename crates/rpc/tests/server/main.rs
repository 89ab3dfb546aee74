//! The server over real sockets: HTTP and WebSocket clients against a small chain kept in memory.
#![allow(clippy::unwrap_used, missing_docs)]

mod admin;
mod chain;
mod discover;
mod explorer;
mod feed;
mod http;
mod json;
mod limits;
mod subscriptions;
mod torture;

use baton_rpc::{Config, Server};
use chain::TestChain;
use serde_json::{Value, json};
use std::{net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A running server.
pub(crate) struct World {
    pub(crate) chain: Arc<TestChain>,
    pub(crate) address: SocketAddr,
    pub(crate) client: reqwest::Client,
    stop: CancellationToken,
    task: JoinHandle<()>,
    _guard: DropGuard,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let chain = Arc::new(TestChain::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(Server::new(config, Arc::clone(&chain)).serve(listener, stop.clone()));
        let guard = stop.clone().drop_guard();
        Self { chain, address, client: reqwest::Client::new(), stop, task, _guard: guard }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn ws_url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// Posts bytes as they are.
    pub(crate) async fn post(&self, body: impl Into<reqwest::Body>) -> reqwest::Response {
        let request = self.client.post(self.url("/")).header("content-type", "application/json");
        request.body(body).send().await.unwrap()
    }

    /// Posts bytes and reads the answer as JSON.
    pub(crate) async fn ask(&self, body: impl Into<reqwest::Body>) -> Value {
        self.post(body).await.json().await.unwrap()
    }

    /// Calls a method and gives the whole answer.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer = self.ask(request.to_string()).await;
        assert_eq!(answer["jsonrpc"], "2.0");
        assert_eq!(answer["id"], 1);
        answer
    }

    /// The result of a call that must succeed.
    pub(crate) async fn result(&self, method: &str, params: Value) -> Value {
        let answer = self.call(method, params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Code and message of a call that must fail.
    pub(crate) async fn error(&self, method: &str, params: Value) -> (i64, String) {
        let answer = self.call(method, params).await;
        assert!(answer.get("result").is_none(), "{method}: {answer}");
        (answer["error"]["code"].as_i64().unwrap(), answer["error"]["message"].as_str().unwrap().to_owned())
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}
