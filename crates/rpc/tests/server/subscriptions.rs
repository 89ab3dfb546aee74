#![allow(clippy::wildcard_enum_match_arm, reason = "wide enums of other crates, all others alike")]
use crate::{
    World,
    chain::{LOGGER, transfer},
};
use alloy::{
    network::AnyNetwork,
    primitives::B256,
    providers::{Provider, ProviderBuilder, WsConnect},
    rpc::types::Filter,
};
use baton_rpc::Config;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, Message, client::IntoClientRequest},
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(world: &World) -> Socket {
    connect_async(world.ws_url("/")).await.unwrap().0
}

async fn next(socket: &mut Socket) -> Value {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn ask(socket: &mut Socket, body: Value) -> Value {
    socket.send(Message::text(body.to_string())).await.unwrap();
    next(socket).await
}

fn call(id: u64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// The close frame's reason, past whatever comes before it.
async fn closed(socket: &mut Socket) -> String {
    loop {
        match socket.next().await {
            Some(Ok(Message::Close(Some(frame)))) => return frame.reason.to_string(),
            Some(Ok(_)) => {}
            Some(Err(error)) => return error.to_string(),
            None => return String::new(),
        }
    }
}

#[tokio::test]
async fn requests_batches_and_errors_work_as_over_http() {
    let world = World::new().await;
    let mut socket = connect(&world).await;
    assert_eq!(ask(&mut socket, call(1, "eth_blockNumber", json!([]))).await["result"], "0x0");
    let answers = ask(&mut socket, json!([call(1, "eth_chainId", json!([])), call(2, "eth_nothing", json!([]))])).await;
    assert_eq!(answers[1]["error"]["code"], -32601);
    socket.send(Message::text("{")).await.unwrap();
    assert_eq!(next(&mut socket).await["error"]["code"], -32700);
    socket.send(Message::binary(b"[]".to_vec())).await.unwrap();
    assert_eq!(next(&mut socket).await["error"]["code"], -32600);
}

#[tokio::test]
async fn alloy_subscribes_to_heads_logs_and_pending_transactions() {
    let world = World::new().await;
    let provider =
        ProviderBuilder::new().network::<AnyNetwork>().connect_ws(WsConnect::new(world.ws_url("/"))).await.unwrap();
    let mut heads = provider.subscribe_blocks().await.unwrap();
    let mut logs = provider.subscribe_logs(&Filter::new().address(LOGGER)).await.unwrap();
    let mut pending = provider.subscribe_pending_transactions().await.unwrap();
    let sent = provider.send_raw_transaction(&transfer(0, LOGGER)).await.unwrap();
    assert_eq!(pending.recv().await.unwrap(), *sent.tx_hash());
    let block = world.chain.seal().block;
    assert_eq!(heads.recv().await.unwrap().hash, block.hash());
    let log = logs.recv().await.unwrap();
    assert_eq!((log.transaction_hash, log.block_hash), (Some(*sent.tx_hash()), Some(block.hash())));
    let receipt = sent.get_receipt().await.unwrap();
    assert_eq!(receipt.block_number, Some(1));
}

#[tokio::test]
async fn a_subscription_with_more_positions_than_a_log_has_topics_does_not_hear_of_it() {
    let world = World::new().await;
    let mut socket = connect(&world).await;
    let signature = B256::repeat_byte(9);
    let mut id = Value::Null;
    for topics in [json!([signature, null]), json!([null, null]), json!([signature])] {
        let answer = ask(&mut socket, call(1, "eth_subscribe", json!(["logs", { "topics": topics }]))).await;
        id = answer["result"].clone();
    }
    world.chain.submit_transfer(0).await;
    world.chain.seal();
    assert_eq!(next(&mut socket).await["params"]["subscription"], id);
    // Nothing else was told before this answer.
    assert_eq!(ask(&mut socket, call(2, "eth_blockNumber", json!([]))).await["result"], "0x1");
}

#[tokio::test]
async fn a_subscription_ends_when_asked() {
    let world = World::new().await;
    let mut socket = connect(&world).await;
    let id = ask(&mut socket, call(1, "eth_subscribe", json!(["newHeads"]))).await["result"].clone();
    world.chain.seal();
    let told = next(&mut socket).await;
    assert_eq!(told["method"], "eth_subscription");
    assert_eq!(told["params"]["subscription"], id);
    assert_eq!(told["params"]["result"]["number"], "0x1");
    assert_eq!(ask(&mut socket, call(2, "eth_unsubscribe", json!([id]))).await["result"], true);
    world.chain.seal();
    assert_eq!(ask(&mut socket, call(3, "eth_blockNumber", json!([]))).await["result"], "0x2");
    let again = ask(&mut socket, call(4, "eth_unsubscribe", json!([id]))).await;
    assert_eq!(again["error"]["message"], "subscription not found");
    assert_eq!(ask(&mut socket, call(5, "eth_subscribe", json!(["moons"]))).await["error"]["code"], -32601);
    assert_eq!(
        ask(&mut socket, call(6, "eth_subscribe", json!(["logs", { "address": 1 }]))).await["error"]["code"],
        -32602
    );
}

#[tokio::test]
async fn subscriptions_of_a_connection_are_bounded() {
    let world = World::with(Config { max_subscriptions: 2, ..Config::default() }).await;
    let mut socket = connect(&world).await;
    for id in 0..2 {
        assert!(ask(&mut socket, call(id, "eth_subscribe", json!(["newHeads"]))).await["result"].is_string());
    }
    let refused = ask(&mut socket, call(3, "eth_subscribe", json!(["newHeads"]))).await;
    assert_eq!(refused["error"]["code"], -32005);
}

#[tokio::test]
async fn a_reader_that_never_reads_is_dropped_and_others_are_served() {
    let config = Config { write_timeout: Duration::from_millis(200), max_connections: 2, ..Config::default() };
    let world = World::with(config).await;
    let mut slow = connect(&world).await;
    // Answers of 262 KB that nobody reads fill the socket's buffers.
    for id in 0..400 {
        let request = call(id, "rollup_blob", json!([B256::repeat_byte(1)])).to_string();
        if slow.send(Message::text(request)).await.is_err() {
            break;
        }
    }
    assert_eq!(world.result("eth_blockNumber", json!([])).await, "0x0");
    // The slow one loses its place to another.
    let mut other = loop {
        match connect_async(world.ws_url("/")).await {
            Ok((socket, _)) => break socket,
            Err(tungstenite::Error::Http(response)) => assert_eq!(response.status(), 503),
            Err(tungstenite::Error::Io(_) | tungstenite::Error::Protocol(_)) => {}
            Err(error) => panic!("{error}"),
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(ask(&mut other, call(1, "eth_blockNumber", json!([]))).await["result"], "0x0");
}

#[tokio::test]
async fn a_message_beyond_the_limit_closes_the_connection() {
    let world = World::with(Config { max_request_bytes: 1_000, ..Config::default() }).await;
    let mut socket = connect(&world).await;
    socket.send(Message::text(" ".repeat(2_000))).await.unwrap();
    let reason = closed(&mut socket).await;
    assert!(reason.contains("unreadable message"), "{reason}");
}

#[tokio::test]
async fn a_page_of_another_origin_opens_no_socket() {
    let world = World::new().await;
    let mut request = world.ws_url("/").into_client_request().unwrap();
    request.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
    let Err(tungstenite::Error::Http(response)) = connect_async(request).await else { panic!("it was let in") };
    assert_eq!(response.status(), 403);
}

#[tokio::test]
async fn a_stopping_server_says_so() {
    let world = World::new().await;
    let mut socket = connect(&world).await;
    assert_eq!(ask(&mut socket, call(1, "eth_blockNumber", json!([]))).await["result"], "0x0");
    let (reason, ()) = tokio::join!(closed(&mut socket), world.stop());
    assert_eq!(reason, "the node is stopping");
}
