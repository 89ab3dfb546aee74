use crate::{
    World,
    chain::{CHAIN_ID, LOGGER, signer, transfer},
};
use alloy::{
    eips::BlockId,
    network::AnyNetwork,
    primitives::{Address, B256, U256, keccak256},
    providers::{Provider, ProviderBuilder},
    rpc::types::Filter,
};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use tokio::time::{Duration, Instant};

#[tokio::test]
async fn simple_methods_answer_in_their_exact_form() {
    let world = World::new().await;
    assert_eq!(world.result("eth_chainId", json!([])).await, format!("{CHAIN_ID:#x}"));
    assert_eq!(world.result("net_version", json!([])).await, CHAIN_ID.to_string());
    assert_eq!(world.result("net_peerCount", json!([])).await, "0x3");
    assert_eq!(world.result("net_listening", json!([])).await, true);
    assert_eq!(world.result("eth_syncing", json!([])).await, false);
    assert_eq!(world.result("eth_accounts", json!([])).await, json!([]));
    assert_eq!(world.result("eth_blockNumber", json!([])).await, "0x0");
    assert_eq!(world.result("eth_gasPrice", json!([])).await, "0x9");
    assert_eq!(world.result("eth_maxPriorityFeePerGas", json!([])).await, "0x2");
    assert_eq!(world.result("web3_sha3", json!(["0x"])).await, keccak256([]).to_string());
    assert!(world.result("web3_clientVersion", json!([])).await.as_str().unwrap().starts_with("baton/v"));
    let modules = world.result("rpc_modules", json!([])).await;
    for module in ["eth", "net", "web3", "txpool", "debug", "rollup"] {
        assert_eq!(modules[module], "1.0", "{modules}");
    }
    // Left-out params are the same as an empty array.
    assert_eq!(world.ask(r#"{"jsonrpc":"2.0","id":7,"method":"eth_chainId"}"#).await["id"], 7);
}

#[tokio::test]
async fn errors_have_the_codes_of_the_specification() {
    let world = World::new().await;
    assert_eq!(world.error("eth_nothing", json!([])).await.0, -32601);
    assert_eq!(world.error("eth_subscribe", json!(["newHeads"])).await.0, -32601);
    let (code, message) = world.error("eth_getBalance", json!([])).await;
    assert_eq!((code, message.as_str()), (-32602, "missing value for required argument 0"));
    assert_eq!(world.error("eth_getBalance", json!(["0x1"])).await.0, -32602);
    assert_eq!(world.error("eth_getBalance", json!({ "address": Address::ZERO })).await.0, -32602);
    let (code, message) = world.error("eth_chainId", json!([1])).await;
    assert_eq!((code, message.as_str()), (-32602, "too many arguments, want at most 0"));
    let (code, message) = world.error("eth_getBalance", json!([Address::ZERO, "0x10"])).await;
    assert_eq!((code, message.as_str()), (-32001, "header not found"));
    assert_eq!(world.error("eth_getBalance", json!([Address::repeat_byte(0xdd)])).await.0, 4444);
}

#[tokio::test]
async fn a_revert_tells_its_reason_and_its_data() {
    let world = World::new().await;
    for method in ["eth_call", "eth_estimateGas"] {
        let answer = world.call(method, json!([{ "to": LOGGER, "data": "0x01" }, "latest"])).await;
        assert_eq!(answer["error"]["code"], 3);
        assert_eq!(answer["error"]["message"], "execution reverted: no");
        assert!(answer["error"]["data"].as_str().unwrap().starts_with("0x08c379a0"));
    }
    let (code, message) = world.error("eth_call", json!([{ "to": LOGGER, "input": "0x02" }])).await;
    assert_eq!((code, message.as_str()), (-32000, "invalid opcode: INVALID"));
    assert_eq!(world.result("eth_call", json!([{ "to": LOGGER, "input": "0x99" }])).await, "0x99");
}

#[tokio::test]
async fn an_estimate_that_fails_says_so_as_geth_does() {
    let world = World::new().await;
    world.chain.seal();
    assert_eq!(world.result("eth_estimateGas", json!([{ "to": Address::ZERO }])).await, "0x5208");
    // `eth/gasestimator/gasestimator.go`: a failure for want of gas names the most there may be, another its cause.
    let starved = json!([{ "to": LOGGER, "input": "0x04", "gas": "0xea60" }]);
    let (code, message) = world.error("eth_estimateGas", starved).await;
    assert_eq!((code, message.as_str()), (-32000, "gas required exceeds allowance (60000)"));
    let (code, message) = world.error("eth_estimateGas", json!([{ "to": LOGGER, "input": "0x02" }])).await;
    assert_eq!((code, message.as_str()), (-32000, "invalid opcode: INVALID"));
    // Less than a transfer costs is no limit.
    assert_eq!(world.result("eth_estimateGas", json!([{ "to": Address::ZERO, "gas": "0x1" }])).await, "0x5208");
}

#[tokio::test]
async fn a_panic_in_the_node_is_an_internal_error_and_the_server_lives() {
    let world = World::new().await;
    assert_eq!(
        world.error("eth_call", json!([{ "to": LOGGER, "input": "0x05" }])).await,
        (-32603, "internal error".into())
    );
    assert_eq!(world.result("eth_blockNumber", json!([])).await, "0x0");
}

#[tokio::test]
async fn a_transaction_is_sent_found_waiting_and_then_final() {
    let world = World::new().await;
    let provider = ProviderBuilder::new().network::<AnyNetwork>().connect_http(world.url("/").parse().unwrap());
    let pending = provider.send_raw_transaction(&transfer(0, LOGGER)).await.unwrap();
    let hash = *pending.tx_hash();
    let waiting = world.result("eth_getTransactionByHash", json!([hash])).await;
    assert_eq!(waiting["blockHash"], Value::Null);
    assert_eq!(world.result("eth_getTransactionReceipt", json!([hash])).await, Value::Null);
    assert_eq!(world.result("txpool_status", json!([])).await, json!({ "pending": "0x1", "queued": "0x0" }));
    let sender = signer().address();
    let count = |tag: &'static str| world.result("eth_getTransactionCount", json!([sender, tag]));
    assert_eq!((count("pending").await, count("latest").await), (json!("0x1"), json!("0x0")));
    let content = world.result("txpool_content", json!([])).await;
    assert_eq!(content["pending"][sender.to_string()]["0"]["hash"], json!(hash));
    let inspect = world.result("txpool_inspect", json!([])).await;
    assert!(inspect["pending"][sender.to_string()]["0"].as_str().unwrap().contains("5 wei + 21000 gas"));
    let fate = |hash: B256| world.result("rollup_transactionFate", json!([hash]));
    assert_eq!(fate(hash).await["status"], "pending");

    let block = world.chain.seal().block;
    let receipt = pending.get_receipt().await.unwrap();
    assert_eq!(receipt.block_hash, Some(block.hash()));
    assert_eq!(receipt.gas_used, 21_000);
    assert_eq!(receipt.effective_gas_price, 10);
    assert_eq!(receipt.inner.logs()[0].block_timestamp, Some(1_001));
    assert_eq!(receipt.inner.logs()[0].log_index, Some(0));
    let raw = world.result("eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!((&raw["type"], &raw["status"], &raw["transactionIndex"]), (&json!("0x2"), &json!("0x1"), &json!("0x1")));
    assert_eq!(raw["contractAddress"], Value::Null);
    assert_eq!(fate(hash).await["status"], "final");
    world.chain.post(1);
    assert_eq!(fate(hash).await["status"], "posted");
    assert_eq!(fate(B256::repeat_byte(0xbb)).await["reason"], "replaced");
    assert_eq!(fate(B256::repeat_byte(0xcc)).await["status"], "unknown");
    assert_eq!(world.result("debug_getRawTransaction", json!([hash])).await, json!(transfer(0, LOGGER)));

    let (code, message) = world.error("eth_sendRawTransaction", json!([transfer(0, LOGGER)])).await;
    assert_eq!((code, message.as_str()), (-32000, "nonce too low: next nonce 1, tx nonce 0"));
}

#[tokio::test]
async fn a_transaction_that_becomes_final_while_it_is_looked_for_is_found() {
    for method in ["rollup_transactionFate", "eth_getTransactionByHash", "debug_getRawTransaction"] {
        let world = World::new().await;
        let hash = world.result("eth_sendRawTransaction", json!([transfer(0, LOGGER)])).await;
        world.chain.seals_before_waiting.store(true, Ordering::Relaxed);
        let found = world.result(method, json!([hash])).await;
        assert_eq!(found, world.result(method, json!([hash])).await);
        assert!(!found.is_null() && found["status"] != "unknown", "{method}: {found}");
        assert_eq!(world.result("eth_blockNumber", json!([])).await, "0x1", "it was not looked for in the pool");
    }
}

#[tokio::test]
async fn deposits_have_the_op_form_and_blocks_the_ethereum_form() {
    let world = World::new().await;
    world.chain.submit_transfer(0).await;
    let block = world.chain.seal().block;
    let provider = ProviderBuilder::new().network::<AnyNetwork>().connect_http(world.url("/").parse().unwrap());
    let got = provider.get_block(BlockId::latest()).full().await.unwrap().unwrap();
    assert_eq!(got.header.hash, block.hash());
    assert_eq!(got.header.number, 1);
    assert_eq!(got.transactions.len(), 2);
    let raw = world.result("eth_getBlockByNumber", json!(["0x1", true])).await;
    let deposit = &raw["transactions"][0];
    for (field, value) in
        [("type", "0x7e"), ("mint", "0x0"), ("nonce", "0x0"), ("gasPrice", "0x0"), ("blockTimestamp", "0x3e9")]
    {
        assert_eq!(deposit[field], value, "{field} in {deposit}");
    }
    assert!(deposit["sourceHash"].is_string());
    assert_eq!(raw["transactions"][1]["gasPrice"], "0xa");
    assert_eq!(raw["uncles"], json!([]));
    assert_eq!(raw["withdrawals"], json!([]));
    let hashes = world.result("eth_getBlockByHash", json!([block.hash(), false])).await;
    assert_eq!(hashes["transactions"][1], json!(block.transactions()[1].tx_hash()));
    let receipts = provider.get_block_receipts(BlockId::number(1)).await.unwrap().unwrap();
    assert_eq!(receipts.len(), 2);
    let raw = world.result("eth_getBlockReceipts", json!(["latest"])).await;
    assert_eq!((&raw[0]["type"], &raw[0]["depositNonce"]), (&json!("0x7e"), &json!("0x0")));
    assert_eq!((&raw[1]["gasUsed"], &raw[1]["cumulativeGasUsed"]), (&json!("0x5208"), &json!("0xa410")));
    assert_eq!(world.result("eth_getBlockByNumber", json!(["0x2", false])).await, Value::Null);
    assert_eq!(world.result("eth_getUncleCountByBlockNumber", json!(["0x1"])).await, "0x0");
    let first = world.result("eth_getTransactionByBlockNumberAndIndex", json!(["latest", "0x1"])).await;
    assert_eq!(first["hash"], json!(block.transactions()[1].tx_hash()));
    assert_eq!(world.result("eth_getTransactionByBlockNumberAndIndex", json!(["latest", "0x2"])).await, Value::Null);
    let raw = world.result("debug_getRawBlock", json!(["0x1"])).await;
    assert_eq!(raw, json!(block.encode()));
}

#[tokio::test]
async fn state_is_read_at_tags_numbers_and_hashes() {
    let world = World::new().await;
    for _ in 0..3 {
        world.chain.seal();
    }
    world.chain.post(2);
    let hash = world.chain.seal().block.hash();
    let slot = |at: Value| world.result("eth_getStorageAt", json!([LOGGER, "0x1", at]));
    for (at, height) in [
        (json!("latest"), 4u64),
        (json!("pending"), 4),
        (json!("safe"), 2),
        (json!("finalized"), 0),
        (json!("earliest"), 0),
        (json!("0x3"), 3),
        (json!({ "blockNumber": "0x1" }), 1),
        (json!({ "blockHash": hash }), 4),
        (json!({ "blockHash": hash, "requireCanonical": true }), 4),
        (json!(hash), 4),
    ] {
        assert_eq!(slot(at.clone()).await, json!(B256::from(U256::from(height + 1))), "{at}");
    }
}

#[tokio::test]
async fn logs_are_found_by_address_topic_and_range_and_by_filters() {
    let world = World::new().await;
    let provider = ProviderBuilder::new().network::<AnyNetwork>().connect_http(world.url("/").parse().unwrap());
    let filter = world.result("eth_newFilter", json!([{ "address": LOGGER }])).await;
    let blocks = world.result("eth_newBlockFilter", json!([])).await;
    let pending = world.result("eth_newPendingTransactionFilter", json!([])).await;
    for nonce in 0..3 {
        let to = if nonce == 1 { Address::ZERO } else { LOGGER };
        let _ = provider.send_raw_transaction(&transfer(nonce, to)).await.unwrap();
        world.chain.seal();
    }
    let logs = provider.get_logs(&Filter::new().from_block(0).address(LOGGER)).await.unwrap();
    assert_eq!(logs.iter().map(|l| l.block_number.unwrap()).collect::<Vec<_>>(), [1, 3]);
    let none = Filter::new().from_block(0).event_signature(B256::repeat_byte(1));
    assert!(provider.get_logs(&none).await.unwrap().is_empty());
    let by_hash = Filter::new().at_block_hash(logs[1].block_hash.unwrap()).event_signature(B256::repeat_byte(9));
    assert_eq!(provider.get_logs(&by_hash).await.unwrap(), logs[1..]);
    assert_eq!(world.result("eth_getLogs", json!([{ "fromBlock": "0x9" , "toBlock": "0x10"}])).await, json!([]));
    assert_eq!(world.error("eth_getLogs", json!([{ "fromBlock": "0x3", "toBlock": "0x1" }])).await.0, -32602);

    let changes = |id: &Value| world.result("eth_getFilterChanges", json!([id]));
    assert_eq!(changes(&filter).await, json!(logs));
    assert_eq!(changes(&filter).await, json!([]));
    assert_eq!(changes(&blocks).await.as_array().unwrap().len(), 3);
    assert_eq!(changes(&pending).await.as_array().unwrap().len(), 3);
    assert_eq!(
        world.result("eth_getFilterLogs", json!([filter])).await,
        json!(logs[1..]),
        "the latest block by default"
    );
    assert_eq!(world.result("eth_uninstallFilter", json!([filter])).await, true);
    assert_eq!(world.error("eth_getFilterChanges", json!([filter])).await, (-32000, "filter not found".into()));
}

/// As geth has it: the chain's log has one topic.
#[tokio::test]
async fn a_filter_with_more_positions_than_a_log_has_topics_does_not_match_it() {
    let world = World::new().await;
    let signature = B256::repeat_byte(9);
    let other = B256::repeat_byte(1);
    let cases = [
        (json!(null), 1),
        (json!([]), 1),
        (json!([null]), 1),
        (json!([[]]), 1),
        (json!([signature]), 1),
        (json!([[other, signature]]), 1),
        (json!([other]), 0),
        (json!([signature, null]), 0),
        (json!([[signature], []]), 0),
        (json!([null, null]), 0),
        (json!([null, null, null, null]), 0),
    ];
    let count = |logs: Value| logs.as_array().unwrap().len();
    for (nonce, (topics, found)) in (0u64..).zip(cases) {
        let filter = json!({ "fromBlock": "0x0", "topics": topics });
        let id = world.result("eth_newFilter", json!([filter])).await;
        world.chain.submit_transfer(nonce).await;
        let block = world.chain.seal().block;
        let here = json!({ "blockHash": block.hash(), "topics": topics });
        assert_eq!(count(world.result("eth_getLogs", json!([here])).await), found, "{topics}");
        assert_eq!(count(world.result("eth_getFilterChanges", json!([id])).await), found, "{topics}");
        let all = usize::try_from(nonce + 1).unwrap() * found;
        assert_eq!(count(world.result("eth_getFilterLogs", json!([id])).await), all, "{topics}");
    }
    let long = json!({ "topics": [null, null, null, null, null] });
    assert_eq!(world.error("eth_getLogs", json!([long])).await.0, -32602);
}

#[tokio::test]
async fn fee_history_has_one_entry_more_than_blocks() {
    let world = World::new().await;
    world.chain.submit_transfer(0).await;
    world.chain.seal();
    let history = world.result("eth_feeHistory", json!(["0x2", "latest", [0, 50, 100]])).await;
    assert_eq!(history["oldestBlock"], "0x0");
    assert_eq!(history["baseFeePerGas"], json!(["0x7", "0x7", "0x7"]));
    assert_eq!(history["gasUsedRatio"].as_array().unwrap().len(), 2);
    assert_eq!(history["reward"], json!([["0x0", "0x0", "0x0"], ["0x3", "0x3", "0x3"]]));
    assert_eq!(world.error("eth_feeHistory", json!([1, "latest", [50, 10]])).await.0, -32602);
    assert_eq!(world.error("eth_feeHistory", json!([1, "latest", [101]])).await.0, -32602);
    assert_eq!(world.error("eth_feeHistory", json!([1, "0x99", []])).await.0, -32602);
}

#[tokio::test]
async fn a_synchronous_send_returns_with_the_receipt() {
    let world = World::new().await;
    let call = async { world.result("eth_sendRawTransactionSync", json!([transfer(0, LOGGER), 5_000])).await };
    let seal = async {
        let mut pending = world.chain.subscribe_to_pending();
        pending.recv().await.unwrap();
        world.chain.seal();
    };
    let (receipt, ()) = tokio::join!(call, seal);
    assert_eq!(receipt["blockNumber"], "0x1");
    assert_eq!(receipt["logs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_synchronous_send_that_cannot_finish_says_why() {
    let world = World::new().await;
    // viem sends the timeout in hex, others as a number.
    for (nonce, wait) in [(0, json!("0x32")), (1, json!(50))] {
        let started = Instant::now();
        let answer = world.call("eth_sendRawTransactionSync", json!([transfer(nonce, LOGGER), wait])).await;
        assert!(started.elapsed() < Duration::from_secs(2));
        assert_eq!(answer["error"]["code"], 4);
        assert_eq!(answer["error"]["data"], json!(keccak256(transfer(nonce, LOGGER))));
    }
    let answer = world.call("eth_sendRawTransactionSync", json!([transfer(9, LOGGER)])).await;
    assert_eq!((&answer["error"]["code"], &answer["error"]["data"]), (&json!(6), &json!("0x2")));
    assert_eq!(world.error("eth_sendRawTransactionSync", json!(["0x00"])).await.0, -32000);
}

#[tokio::test]
async fn readiness_follows_the_sync_status() {
    let world = World::new().await;
    let ready = world.client.get(world.url("/ready")).send().await.unwrap();
    assert_eq!(ready.status(), 200);
    {
        let mut status = world.chain.status.lock();
        status.synced = false;
        status.reason = Some("reading L1".into());
    }
    let ready = world.client.get(world.url("/ready")).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    assert_eq!(ready.json::<Value>().await.unwrap()["reason"], "reading L1");
    assert_eq!(world.client.get(world.url("/health")).send().await.unwrap().status(), 200);
    assert!(world.result("eth_syncing", json!([])).await.is_object());
}

#[tokio::test]
async fn blobs_are_served_by_their_hash() {
    let world = World::new().await;
    let blob = world.result("rollup_blob", json!([B256::repeat_byte(1)])).await;
    assert_eq!(blob.as_str().unwrap().len(), 2 + 2 * 131_072);
    assert_eq!(world.result("rollup_blob", json!([B256::ZERO])).await, Value::Null);
}
