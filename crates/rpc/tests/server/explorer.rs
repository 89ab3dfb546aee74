//! What explorers and wallets ask beyond the basics: `ots_*`, filled transactions, many slots at once.

use crate::{
    World,
    chain::{CHAIN_ID, LOGGER, signer},
};
use alloy::{
    consensus::Transaction as _,
    eips::eip2718::Decodable2718,
    primitives::{Address, B256, Bytes},
};
use baton_primitives::Transaction;
use baton_rpc::Config;
use serde_json::{Value, json};

/// Three blocks with one transfer each, and an empty one.
async fn history(world: &World) -> Vec<B256> {
    let mut hashes = Vec::new();
    for nonce in 0..3 {
        world.chain.submit_transfer(nonce).await;
        hashes.push(world.chain.seal().block.transactions()[1].tx_hash());
    }
    world.chain.seal();
    hashes
}

#[tokio::test]
async fn an_explorer_reads_blocks_in_pages() {
    let world = World::new().await;
    let hashes = history(&world).await;
    assert_eq!(world.result("ots_getApiLevel", json!([])).await, 8);
    assert_eq!(world.result("ots_hasCode", json!([LOGGER, "latest"])).await, true);
    let details = world.result("ots_getBlockDetails", json!([2])).await;
    assert_eq!((&details["block"]["number"], &details["block"]["transactionCount"]), (&json!("0x2"), &json!(2)));
    assert_eq!(details["block"].get("transactions"), None);
    assert_eq!(details["totalFees"], format!("{:#x}", 21_000 * 10), "a price of base fee 7 and tip 3");
    let same = world.result("ots_getBlockDetailsByHash", json!([details["block"]["hash"]])).await;
    assert_eq!(same, details);
    // Pages count from the end: the transfer, then the deposit.
    let first = world.result("ots_getBlockTransactions", json!([2, 0, 1])).await;
    assert_eq!(first["fullblock"]["transactions"][0]["hash"], json!(hashes[1]));
    assert_eq!((&first["fullblock"]["transactionCount"], &first["receipts"][0]["logs"]), (&json!(2), &Value::Null));
    let second = world.result("ots_getBlockTransactions", json!([2, 1, 1])).await;
    assert_eq!(second["fullblock"]["transactions"][0]["type"], "0x7e");
    assert_eq!(world.error("ots_getBlockTransactions", json!([2, 0, 1_000])).await.0, -32602);
    assert_eq!(world.result("ots_getBlockDetails", json!([99])).await, Value::Null);
    assert_eq!(world.result("erigon_getHeaderByNumber", json!([1])).await["number"], "0x1");
}

#[tokio::test]
async fn an_explorer_finds_the_transactions_of_an_address() {
    let world = World::new().await;
    let hashes = history(&world).await;
    let sender = signer().address();
    let found = |page: &Value| -> Vec<B256> {
        page["txs"].as_array().unwrap().iter().map(|t| t["hash"].as_str().unwrap().parse().unwrap()).collect()
    };
    let all = world.result("ots_searchTransactionsBefore", json!([sender, 0, 25])).await;
    assert_eq!(found(&all), [hashes[2], hashes[1], hashes[0]]);
    assert_eq!((&all["firstPage"], &all["lastPage"]), (&json!(true), &json!(true)));
    assert_eq!(all["receipts"][0]["logs"].as_array().unwrap().len(), 1);
    assert_eq!(all["receipts"][0]["timestamp"], "0x3eb");
    let page = world.result("ots_searchTransactionsBefore", json!([LOGGER, 3, 1])).await;
    assert_eq!(found(&page), [hashes[1]]);
    assert_eq!((&page["firstPage"], &page["lastPage"]), (&json!(false), &json!(false)));
    let after = world.result("ots_searchTransactionsAfter", json!([sender, 1, 1])).await;
    assert_eq!(found(&after), [hashes[1]]);
    assert_eq!((&after["firstPage"], &after["lastPage"]), (&json!(false), &json!(false)));
    let newest = world.result("ots_searchTransactionsAfter", json!([sender, 1, 25])).await;
    assert_eq!(found(&newest), [hashes[2], hashes[1]]);
    assert_eq!(newest["firstPage"], true);
    let nobody = world.result("ots_searchTransactionsBefore", json!([Address::repeat_byte(0xab), 0, 25])).await;
    assert_eq!((found(&nobody), &nobody["lastPage"]), (Vec::new(), &json!(true)));
    // When a nonce was used is found in the state's history.
    for (nonce, hash) in hashes.iter().enumerate() {
        assert_eq!(world.result("ots_getTransactionBySenderAndNonce", json!([sender, nonce])).await, json!(hash));
    }
    assert_eq!(world.result("ots_getTransactionBySenderAndNonce", json!([sender, 3])).await, Value::Null);
    // A contract of the genesis has no creator.
    assert_eq!(world.result("ots_getContractCreator", json!([LOGGER])).await, Value::Null);
}

#[tokio::test]
async fn a_search_that_finds_nothing_in_time_says_where_to_go_on() {
    let world = World::with(Config { max_log_blocks: 2, ..Config::default() }).await;
    history(&world).await;
    let params = json!([Address::repeat_byte(0xab), 0, 25]);
    let (code, message) = world.error("ots_searchTransactionsBefore", params.clone()).await;
    assert_eq!(
        (code, message.as_str()),
        (-32005, "no transaction of this address in 2 blocks: ask again before block 3")
    );
    let (code, message) = world.error("ots_searchTransactionsAfter", params).await;
    assert_eq!(
        (code, message.as_str()),
        (-32005, "no transaction of this address in 2 blocks: ask again after block 1")
    );
    // What is found within the bound is given, and it is not the last page.
    let some = world.result("ots_searchTransactionsBefore", json!([LOGGER, 0, 25])).await;
    assert_eq!((some["txs"].as_array().unwrap().len(), &some["lastPage"]), (1, &json!(false)));
}

#[tokio::test]
async fn a_filled_transaction_has_all_that_its_signature_covers() {
    let world = World::new().await;
    let sender = signer().address();
    let filled = world.result("eth_fillTransaction", json!([{ "from": sender, "to": LOGGER, "value": "0x5" }])).await;
    let tx = &filled["tx"];
    for (field, value) in [("nonce", "0x0"), ("gas", "0x5208"), ("value", "0x5"), ("type", "0x2")] {
        assert_eq!(tx[field], value, "{field} of {tx}");
    }
    assert_eq!(tx["chainId"], format!("{CHAIN_ID:#x}"));
    // Twice the base fee, and the tip.
    assert_eq!((&tx["maxPriorityFeePerGas"], &tx["maxFeePerGas"]), (&json!("0x2"), &json!("0x10")));
    let raw: Bytes = serde_json::from_value(filled["raw"].clone()).unwrap();
    let decoded = Transaction::decode_2718_exact(&raw).unwrap();
    assert_eq!((decoded.to(), decoded.gas_limit()), (Some(LOGGER), 21_000));
    world.chain.submit_transfer(0).await;
    let next = world.result("eth_fillTransaction", json!([{ "from": sender, "to": LOGGER, "gasPrice": "0x9" }])).await;
    assert_eq!((&next["tx"]["nonce"], &next["tx"]["type"]), (&json!("0x1"), &json!("0x0")));
    let (code, _) = world.error("eth_fillTransaction", json!([{ "to": LOGGER, "chainId": "0x1" }])).await;
    assert_eq!(code, -32602);
}

#[tokio::test]
async fn many_slots_are_read_at_once() {
    let world = World::new().await;
    let values = world.result("eth_getStorageValues", json!([{ LOGGER.to_string(): ["0x1", "0x2"] }, "latest"])).await;
    let values = values[LOGGER.to_string().to_lowercase()].as_array().unwrap();
    assert_eq!((&values[0], &values[1]), (&json!(B256::with_last_byte(1)), &json!(B256::with_last_byte(2))));
    let slots: Vec<String> = (0..1_025).map(|i| format!("{i:#x}")).collect();
    let (code, message) = world.error("eth_getStorageValues", json!([{ LOGGER.to_string(): slots }])).await;
    assert_eq!((code, message.as_str()), (-38026, "too many slots (max 1024)"));
    assert_eq!(world.error("eth_getStorageValues", json!([{}])).await.0, -32602);
}
