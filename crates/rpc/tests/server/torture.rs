use crate::{World, chain::LOGGER};
use serde_json::{Value, json};

/// Bodies that a careless or hostile client sends, with the code that answers them.
#[tokio::test]
async fn every_malformed_body_gets_one_named_error_and_the_server_lives() {
    let world = World::new().await;
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let params = |p: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":{p}}}"#);
    let cases: Vec<(Vec<u8>, i64)> = vec![
        (b"".to_vec(), -32700),
        (b"\x00\xff\xfe".to_vec(), -32700),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xc3\x28\"}".to_vec(), -32700),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_chainId\"".to_vec(), -32700),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_chainId\"}}".to_vec(), -32700),
        (b"\xef\xbb\xbf{}".to_vec(), -32700),
        (b"{'jsonrpc':'2.0'}".to_vec(), -32700),
        (b"NaN".to_vec(), -32700),
        (b"[1,]".to_vec(), -32700),
        (deep(100_000).as_bytes()[..150_000].to_vec(), -32700),
        (b"[]".to_vec(), -32600),
        (b"\"x\"".to_vec(), -32600),
        (b"{}".to_vec(), -32600),
        (br#"{"jsonrpc":"2.0","id":1,"id":2,"method":"eth_chainId"}"#.to_vec(), -32600),
        (br#"{"jsonrpc":"2.0","id":[1],"method":"eth_chainId"}"#.to_vec(), -32600),
        (br#"{"jsonrpc":2.0,"id":1,"method":"eth_chainId"}"#.to_vec(), -32600),
        (br#"{"jsonrpc":"2.0","id":1,"method":null}"#.to_vec(), -32600),
        (params("[\"0x1\"").into_bytes(), -32700),
        (params(&deep(100_000)).into_bytes(), -32602),
        (params("[1e400]").into_bytes(), -32602),
        (params("[123456789012345678901234567890]").into_bytes(), -32602),
        (params("[-1]").into_bytes(), -32602),
        (params("[\"0x\"]").into_bytes(), -32602),
        (params("[\"0xffffffffffffffffffffffff\"]").into_bytes(), -32602),
        (params("[\"latest\", \"yes\"]").into_bytes(), -32602),
        (params("[\"latest\", false, 1]").into_bytes(), -32602),
        (params("{\"a\":1}").into_bytes(), -32602),
        (params("\"latest\"").into_bytes(), -32600),
        (format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{}"}}"#, "m".repeat(1_000_000)).into_bytes(), -32601),
        (br#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId\u0000"}"#.to_vec(), -32601),
    ];
    for (body, code) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let answer = world.ask(body).await;
        assert_eq!(answer["error"]["code"], code, "{shown} -> {answer:.200}");
        assert!(answer["error"]["message"].as_str().unwrap().len() < 400, "{shown}");
    }
    assert_eq!(world.result("eth_blockNumber", json!([])).await, "0x0");
}

#[tokio::test]
async fn wrong_parameters_of_every_method_are_an_error_not_a_crash() {
    let world = World::new().await;
    let values = [
        json!(null),
        json!(-1),
        json!(1.5e300),
        json!(true),
        json!(""),
        json!("0x"),
        json!("latest"),
        json!(LOGGER),
        json!({}),
        json!([]),
        json!({ "fromBlock": "latest", "toBlock": 3, "topics": [[[["x"]]]] }),
        json!({ "to": "0x", "gas": "0xffffffffffffffffff" }),
    ];
    let modules = [
        "eth_getBlockByHash",
        "eth_getBlockByNumber",
        "eth_getBlockTransactionCountByHash",
        "eth_getTransactionByHash",
        "eth_getTransactionByBlockNumberAndIndex",
        "eth_getTransactionReceipt",
        "eth_getBlockReceipts",
        "eth_getBalance",
        "eth_getCode",
        "eth_getStorageAt",
        "eth_getTransactionCount",
        "eth_call",
        "eth_estimateGas",
        "eth_createAccessList",
        "eth_getProof",
        "eth_feeHistory",
        "eth_sendRawTransaction",
        "eth_sendRawTransactionSync",
        "eth_getLogs",
        "eth_newFilter",
        "eth_getFilterChanges",
        "eth_getFilterLogs",
        "eth_uninstallFilter",
        "debug_getRawBlock",
        "debug_getRawTransaction",
        "rollup_leader",
        "rollup_batchOf",
        "rollup_transactionFate",
        "rollup_blob",
        "web3_sha3",
        "txpool_contentFrom",
    ];
    for method in modules {
        let batch: Vec<Value> = values
            .iter()
            .flat_map(|a| {
                values.iter().map(move |b| json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": [a, b] }))
            })
            .collect();
        let answers = world.ask(json!(batch).to_string()).await;
        for (request, answer) in batch.iter().zip(answers.as_array().unwrap()) {
            let code = answer["error"]["code"].as_i64();
            assert_ne!(code, Some(-32603), "{request} -> {answer}");
            assert!(code.is_some() || answer.get("result").is_some(), "{request} -> {answer}");
        }
    }
}
