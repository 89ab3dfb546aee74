use crate::{
    World,
    chain::{LOGGER, transfer},
};
use baton_rpc::{Allow, Config};
use serde_json::{Value, json};
use std::{num::NonZeroUsize, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

fn request(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

#[tokio::test]
async fn an_oversized_body_is_refused_with_its_limit() {
    let world = World::with(Config { max_request_bytes: 1_000, ..Config::default() }).await;
    let response = world.post(vec![b' '; 1_001]).await;
    assert_eq!(response.status(), 413);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["error"]["code"], -32005);
    assert!(answer["error"]["message"].as_str().unwrap().contains("limit 1000 bytes"));
    // Without a content length the limit is met while reading.
    let chunks = futures::stream::iter((0..20).map(|_| Ok::<_, std::io::Error>(vec![b' '; 100])));
    let response = world.post(reqwest::Body::wrap_stream(chunks)).await;
    assert_eq!(response.status(), 413);
}

#[tokio::test]
async fn a_batch_keeps_its_order_answers_no_notification_and_has_a_limit() {
    let world = World::with(Config { max_batch: 5, ..Config::default() }).await;
    let batch = json!([
        { "jsonrpc": "2.0", "id": "a", "method": "eth_call", "params": [{ "to": LOGGER, "input": "0x03" }] },
        { "jsonrpc": "2.0", "method": "eth_chainId" },
        { "jsonrpc": "2.0", "id": "a", "method": "eth_blockNumber" },
        17,
        { "jsonrpc": "2.0", "id": null, "method": "eth_nothing" },
    ]);
    let answer = world.ask(batch.to_string()).await;
    let answers = answer.as_array().unwrap();
    assert_eq!(answers.len(), 4);
    assert_eq!(answers[0], json!({ "jsonrpc": "2.0", "id": "a", "result": "0x03" }));
    assert_eq!(answers[1], json!({ "jsonrpc": "2.0", "id": "a", "result": "0x0" }));
    assert_eq!((&answers[2]["id"], &answers[2]["error"]["code"]), (&Value::Null, &json!(-32600)));
    assert_eq!((&answers[3]["id"], &answers[3]["error"]["code"]), (&Value::Null, &json!(-32601)));
    let answer = world.ask(json!([1, 2, 3, 4, 5, 6]).to_string()).await;
    assert_eq!(answer["error"]["code"], -32005);
    assert_eq!(world.ask("[]").await["error"]["code"], -32600);
    let silent = world.post(r#"[{"jsonrpc":"2.0","method":"eth_chainId"}]"#).await;
    assert_eq!(silent.status(), 204);
}

#[tokio::test]
async fn a_batch_of_transactions_is_answered_one_by_one() {
    let world = World::new().await;
    let send = |id: u64, raw: Value| json!({ "jsonrpc": "2.0", "id": id, "method": "eth_sendRawTransaction", "params": [raw] });
    let batch = json!([
        send(1, json!(transfer(0, LOGGER))),
        send(2, json!("0xzz")),
        send(3, json!(transfer(1, LOGGER))),
        send(4, json!(transfer(0, LOGGER))),
    ]);
    let answers = world.ask(batch.to_string()).await;
    let ids: Vec<_> = answers.as_array().unwrap().iter().map(|a| a["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [1, 2, 3, 4]);
    assert!(answers[0]["result"].is_string() && answers[2]["result"].is_string());
    assert_eq!(answers[1]["error"]["code"], -32602);
    assert_eq!(answers[3]["error"]["message"], "already known");
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_an_error_and_its_neighbours_stay() {
    let world = World::with(Config { max_response_bytes: 10_000, ..Config::default() }).await;
    let blob = json!([alloy::primitives::B256::repeat_byte(1)]);
    assert_eq!(world.error("rollup_blob", blob.clone()).await.0, -32003);
    let batch = json!([request("rollup_blob", blob), request("eth_blockNumber", json!([]))]);
    let answers = world.ask(batch.to_string()).await;
    assert_eq!(answers[0]["error"]["code"], -32003);
    assert_eq!(answers[1]["result"], "0x0");
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let world = World::with(Config { max_connections: 1, ..Config::default() }).await;
    assert_eq!(world.result("eth_blockNumber", json!([])).await, "0x0");
    // The client keeps its connection open.
    let mut second = TcpStream::connect(world.address).await.unwrap();
    second.write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
    let mut answer = String::new();
    second.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("too many connections: limit 1"), "{answer}");
    assert_eq!(world.result("eth_blockNumber", json!([])).await, "0x0");
}

#[tokio::test]
async fn a_caller_that_sends_nothing_is_dropped() {
    let config = Config { read_timeout: Duration::from_millis(100), max_connections: 1, ..Config::default() };
    let world = World::with(config).await;
    let mut idle = TcpStream::connect(world.address).await.unwrap();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    let mut slow = TcpStream::connect(world.address).await.unwrap();
    slow.write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 200\r\n\r\n{").await.unwrap();
    let mut answer = String::new();
    // The body never comes.
    let mut buffer = [0; 1_024];
    let read = slow.read(&mut buffer).await.unwrap();
    answer.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_cut_off() {
    let world = World::with(Config { request_timeout: Duration::from_millis(20), ..Config::default() }).await;
    let (code, message) = world.error("eth_call", json!([{ "to": LOGGER, "input": "0x03" }])).await;
    assert_eq!((code, message.as_str()), (-32002, "request timed out"));
}

#[tokio::test]
async fn long_reads_wait_in_a_bounded_queue() {
    let one = NonZeroUsize::MIN;
    let world = World::with(Config { max_long_reads: one, max_waiting_reads: 1, ..Config::default() }).await;
    let slow = request("eth_call", json!([{ "to": LOGGER, "input": "0x03" }]));
    let answers = world.ask(json!([slow, slow, slow]).to_string()).await;
    assert_eq!(answers[0]["result"], "0x03");
    assert_eq!(answers[1]["result"], "0x03");
    assert_eq!(answers[2]["error"]["code"], -32005);
    assert!(answers[2]["error"]["message"].as_str().unwrap().starts_with("server busy"));
}

#[tokio::test]
async fn log_queries_are_bounded_and_say_what_to_ask_instead() {
    let world = World::with(Config { max_log_blocks: 3, max_logs: 1, ..Config::default() }).await;
    for nonce in 0..3 {
        world.chain.submit_transfer(nonce).await;
        world.chain.seal();
    }
    let (code, message) = world.error("eth_getLogs", json!([{ "fromBlock": "0x0" }])).await;
    assert_eq!(code, -32005);
    assert!(message.starts_with("query exceeds max block range 3"), "{message}");
    let (code, message) = world.error("eth_getLogs", json!([{ "fromBlock": "0x1" }])).await;
    assert_eq!((code, message.as_str()), (-32005, "query exceeds max results 1, retry with the range 1-1"));
    assert_eq!(
        world.result("eth_getLogs", json!([{ "fromBlock": "0x1", "toBlock": "0x1" }])).await.as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn filters_are_bounded() {
    let world = World::with(Config { max_filters: 1, ..Config::default() }).await;
    world.result("eth_newBlockFilter", json!([])).await;
    assert_eq!(world.error("eth_newBlockFilter", json!([])).await.0, -32005);
}

#[tokio::test]
async fn foreign_hosts_types_and_origins_are_refused() {
    let world =
        World::with(Config { cors: Allow::Only(vec!["https://page.example".into()]), ..Config::default() }).await;
    let ask = |header: &'static str, value: &'static str| {
        world
            .client
            .post(world.url("/"))
            .header("content-type", "application/json")
            .header(header, value)
            .body(r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#)
            .send()
    };
    assert_eq!(ask("host", "evil.example").await.unwrap().status(), 403);
    assert_eq!(ask("host", "localhost:1").await.unwrap().status(), 200);
    let good = ask("origin", "https://page.example").await.unwrap();
    assert_eq!(good.headers()["access-control-allow-origin"], "https://page.example");
    let bad = ask("origin", "https://evil.example").await.unwrap();
    assert!(!bad.headers().contains_key("access-control-allow-origin"));
    let text = world.client.post(world.url("/")).header("content-type", "text/plain").body("{}").send().await.unwrap();
    assert_eq!(text.status(), 415);
    let get = world.client.get(world.url("/")).send().await.unwrap();
    assert!(get.text().await.unwrap().starts_with("Baton JSON-RPC"));
    assert_eq!(world.client.put(world.url("/")).send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn large_answers_are_compressed_for_those_who_ask() {
    let world = World::new().await;
    let body = request("rollup_blob", json!([alloy::primitives::B256::repeat_byte(1)])).to_string();
    let post = || world.client.post(world.url("/")).header("content-type", "application/json").body(body.clone());
    let zipped = post().header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(zipped.headers()["content-encoding"], "gzip");
    assert!(zipped.bytes().await.unwrap().len() < 10_000);
    assert!(!post().send().await.unwrap().headers().contains_key("content-encoding"));
}

#[tokio::test]
async fn the_server_stops_when_told_to() {
    let world = World::new().await;
    assert_eq!(world.result("eth_blockNumber", json!([])).await, "0x0");
    let address = world.address;
    let (client, url) = (world.client.clone(), world.url("/"));
    let slow = tokio::spawn(async move {
        let body = request("eth_call", json!([{ "to": LOGGER, "input": "0x03" }])).to_string();
        client
            .post(url)
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    });
    // The request is running once another, sent after it, is answered.
    world.result("eth_blockNumber", json!([])).await;
    world.stop().await;
    let answer = slow.await.unwrap();
    assert!(answer.contains("0x03"), "a running request is finished: {answer}");
    assert!(TcpStream::connect(address).await.is_err());
}

/// An `eth_call` whose answer is as long as its body.
fn echo(bytes: usize) -> String {
    request("eth_call", json!([{ "to": LOGGER, "input": format!("0x{}", "06".repeat(bytes / 2)) }])).to_string()
}

fn posted(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Asks, and reads no more of the answer than its first byte.
async fn deaf(world: &World, bytes: usize) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut socket = socket.connect(world.address).await.unwrap();
    socket.write_all(posted(&echo(bytes)).as_bytes()).await.unwrap();
    assert_eq!(socket.read_u8().await.unwrap(), b'H');
    socket
}

#[tokio::test]
async fn unread_answers_of_all_connections_are_bounded_and_who_leaves_most_unread_goes_first() {
    let limits = Config { max_unread_bytes: 20_000_000, max_response_bytes: 20_000_000, ..Config::default() };
    let world = World::with(limits).await;
    let mut most = deaf(&world, 12_000_000).await;
    let mut less = deaf(&world, 8_000_000).await;
    let mut got = Vec::new();
    let end = most.read_to_end(&mut got).await;
    assert!(got.len() < 11_000_000, "{} bytes, {end:?}", got.len());

    // Who would hold the most is told so, by its id.
    let refused = world.post(echo(14_000_000)).await;
    assert_eq!(refused.status(), 503);
    let answer: Value = refused.json().await.unwrap();
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(1), &json!(-32005)));
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("server busy: answers of 80000") && message.contains("limit 20000000"), "{message}");
    // Others are served meanwhile, and the one that is left gets all of its answer when it reads.
    assert_eq!(world.result("eth_blockNumber", json!([])).await, "0x0");
    let next = posted(&request("eth_chainId", json!([])).to_string());
    less.write_all(next.as_bytes()).await.unwrap();
    let mut got = Vec::new();
    while !got.ends_with(b"\"result\":\"0x343a\"}") {
        assert_ne!(less.read_buf(&mut got).await.unwrap(), 0, "{} bytes", got.len());
    }
    assert!(got.len() > 8_000_000);
    // Its next answer was written after the first was done with: there is room again.
    assert_eq!(world.post(echo(14_000_000)).await.status(), 200);
}
