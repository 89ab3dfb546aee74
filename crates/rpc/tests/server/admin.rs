//! The operator's listener, and that the public one knows nothing of it.

use crate::World;
use baton_rpc::{
    Admin, serve_admin,
    types::{NodeInfo, Peers},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::{CancellationToken, DropGuard};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const METHODS: [&str; 4] = ["admin_nodeInfo", "admin_peers", "admin_setLogFilter", "admin_stop"];

#[derive(Default)]
struct Node {
    filter: Mutex<String>,
    stopped: CancellationToken,
}

impl Admin for Node {
    fn node_info(&self) -> NodeInfo {
        NodeInfo { version: "1".into(), chain_id: 13_370, ..NodeInfo::default() }
    }

    fn peers(&self) -> Peers {
        Peers { connected: 2, members: Vec::new() }
    }

    fn set_log_filter(&self, filter: &str) -> Result<(), String> {
        if filter.contains('=') {
            return Err("this is no filter".into());
        }
        *self.filter.lock() = filter.into();
        Ok(())
    }

    fn stop(&self) {
        self.stopped.cancel();
    }
}

async fn start() -> (Arc<Node>, SocketAddr, DropGuard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (node, stop) = (Arc::new(Node::default()), CancellationToken::new());
    let serving = Arc::clone(&node);
    let ends = stop.clone();
    tokio::spawn(async move { serve_admin(listener, TOKEN, serving, ends).await });
    (node, address, stop.drop_guard())
}

async fn post(address: SocketAddr, token: Option<&str>, body: Value) -> reqwest::Response {
    let request = reqwest::Client::new().post(format!("http://{address}/")).body(body.to_string());
    match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    }
    .send()
    .await
    .unwrap()
}

fn request(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

#[tokio::test]
async fn the_operator_asks_and_acts() {
    let (node, address, _stop) = start().await;
    let ask = async |method: &str, params: Value| -> Value {
        post(address, Some(TOKEN), request(method, params)).await.json().await.unwrap()
    };
    let info = ask("admin_nodeInfo", json!([])).await;
    assert_eq!((&info["result"]["version"], &info["result"]["chainId"]), (&json!("1"), &json!("0x343a")));
    assert_eq!(ask("admin_peers", json!([])).await["result"]["connected"], "0x2");
    assert_eq!(ask("admin_setLogFilter", json!(["debug"])).await["result"], true);
    assert_eq!(*node.filter.lock(), "debug");
    let refused = ask("admin_setLogFilter", json!(["="])).await;
    assert_eq!(refused["error"], json!({ "code": -32602, "message": "this is no filter" }));
    assert_eq!(ask("admin_nodeInfo", json!([1])).await["error"]["code"], -32602);
    assert_eq!(ask("eth_chainId", json!([])).await["error"]["code"], -32601);
    let batch = json!([request("admin_peers", json!([])), 7]);
    let answers: Value = post(address, Some(TOKEN), batch).await.json().await.unwrap();
    assert_eq!((&answers[0]["result"]["connected"], &answers[1]["error"]["code"]), (&json!("0x2"), &json!(-32600)));
    assert!(!node.stopped.is_cancelled());
    assert_eq!(ask("admin_stop", json!([])).await["result"], true);
    assert!(node.stopped.is_cancelled());
}

#[tokio::test]
async fn without_the_token_nothing_is_answered_or_done() {
    let (node, address, _stop) = start().await;
    let longer = format!("{TOKEN}0");
    for token in
        [None, Some(""), Some("0123456789abcdef"), Some(longer.as_str()), Some("0123456789ABCDEF0123456789ABCDEF")]
    {
        for method in METHODS {
            let answer = post(address, token, request(method, json!(["debug"]))).await;
            assert_eq!(answer.status(), 401, "{token:?} {method}");
        }
    }
    assert!(!node.stopped.is_cancelled() && node.filter.lock().is_empty());
}

#[tokio::test]
async fn the_public_listener_has_no_method_of_the_operator() {
    let world = World::new().await;
    for method in METHODS {
        assert_eq!(world.error(method, json!([])).await.0, -32601, "{method}");
    }
}

#[tokio::test]
async fn callers_that_only_hold_connections_are_refused_and_dropped() {
    let (_, address, _stop) = start().await;
    let mut held = Vec::new();
    for _ in 0..16 {
        let mut socket = TcpStream::connect(address).await.unwrap();
        // A head that never ends.
        socket.write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\n").await.unwrap();
        held.push(socket);
    }
    let mut refused = String::new();
    TcpStream::connect(address).await.unwrap().read_to_string(&mut refused).await.unwrap();
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("too many connections: limit 16"), "{refused}");
    // They are dropped when their time is over, and the operator gets through.
    for mut socket in held {
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
    }
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "admin_peers" });
    assert_eq!(post(address, Some(TOKEN), request).await.status(), 200);
    // Nor does a body that never comes hold one.
    let mut slow = TcpStream::connect(address).await.unwrap();
    let head =
        format!("POST / HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 9\r\n\r\n{{");
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}
