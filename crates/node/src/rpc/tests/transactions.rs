use super::*;
use crate::batches::tests::batch;
use alloy::{
    consensus::{SignableTransaction, TxEip4844, TxEnvelope, TxLegacy},
    eips::{BlockId, eip2718::Encodable2718},
    network::{TransactionBuilder, TxSignerSync},
    primitives::{TxKind, keccak256},
    rpc::types::{Filter, TransactionRequest},
};
use baton_bindings::contracts::MessagePasser;
use baton_primitives::predeploys;

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_is_deployed_called_and_its_events_are_read_with_alloy() {
    let world = World::new().await;
    let provider = world.provider(RICH);
    let code = MessagePasser::DEPLOYED_BYTECODE.clone();
    let deployment = TransactionRequest::default().with_deploy_code(deploying(&code));
    let receipt = provider.send_transaction(deployment).await.unwrap().get_receipt().await.unwrap();
    assert!(receipt.status());
    let address = receipt.contract_address.unwrap();
    assert_eq!(address, signer(RICH).address().create(0));
    assert_eq!(provider.get_code_at(address).await.unwrap(), code);

    let passer = MessagePasser::new(address, &provider);
    let pending =
        passer.send(NOBODY, U256::from(9), Bytes::from_static(b"hello")).value(U256::from(3)).send().await.unwrap();
    let receipt = pending.get_receipt().await.unwrap();
    let sent = receipt.decoded_log::<MessagePasser::Sent>().unwrap();
    assert_eq!((sent.target, sent.value), (NOBODY, U256::from(3)));
    assert_eq!(passer.nonce().call().await.unwrap(), U256::from(1));
    assert_eq!(passer.root().call().await.unwrap(), sent.root);
    assert_eq!(provider.get_storage_at(address, U256::ZERO).await.unwrap(), U256::from_be_bytes(sent.root.0));
    assert_eq!(provider.get_balance(address).await.unwrap(), U256::from(3));

    let filter = Filter::new()
        .from_block(0)
        .address(address)
        .event_signature(keccak256("Sent(uint256,address,address,uint256,uint256,bytes,bytes32,bytes32)"));
    let logs = provider.get_logs(&filter).await.unwrap();
    assert_eq!(logs.len(), 1);
    assert_eq!(logs[0].transaction_hash, Some(receipt.transaction_hash));
    assert_eq!(logs[0].block_timestamp, Some(START + receipt.block_number.unwrap()));
    assert_eq!(provider.get_transaction_count(signer(RICH).address()).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_transaction_costs_is_gas_times_price_and_nothing_more() {
    let world = World::new().await;
    let provider = world.provider(RICH);
    let sender = signer(RICH).address();
    let before = provider.get_balance(sender).await.unwrap();
    let request = TransactionRequest::default().with_to(NOBODY).with_value(U256::from(1_000));
    let receipt = provider.send_transaction(request).await.unwrap().get_receipt().await.unwrap();
    let paid = U256::from(receipt.gas_used) * U256::from(receipt.effective_gas_price);
    let after = provider.get_balance(sender).await.unwrap();
    assert_eq!(before - after, paid + U256::from(1_000));
    assert_eq!(provider.get_balance(NOBODY).await.unwrap(), U256::from(1_000));
    assert_eq!(provider.get_balance(predeploys::FEE_VAULT).await.unwrap(), paid);
    let past = provider.get_balance(sender).block_id(BlockId::number(0)).await.unwrap();
    assert_eq!(past, before);

    // A wallet that knows only eth_gasPrice gets in too.
    let price = provider.get_gas_price().await.unwrap();
    let legacy = TransactionRequest::default().with_to(NOBODY).with_gas_price(price);
    assert!(provider.send_transaction(legacy).await.unwrap().get_receipt().await.unwrap().status());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_synchronous_send_returns_with_the_block() {
    let world = World::new().await;
    let raw = legacy(0, 2_000_000_000);
    let receipt = world.result("eth_sendRawTransactionSync", json!([raw, "0x1388"])).await;
    assert_eq!((&receipt["status"], &receipt["type"]), (&json!("0x1"), &json!("0x0")));
    assert_eq!(receipt["transactionHash"], json!(keccak256(&raw)));
    let again = world.error("eth_sendRawTransaction", json!([raw])).await;
    assert_eq!(again, (-32000, "nonce too low: next nonce 1, tx nonce 0".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_transactions_get_the_texts_that_wallets_match() {
    let world = World::paused().await;
    let sent = world.result("eth_sendRawTransaction", json!([legacy(0, 2_000_000_000)])).await;
    assert_eq!(sent, json!(keccak256(legacy(0, 2_000_000_000))));
    for (raw, code, text) in [
        (legacy(0, 2_000_000_000), -32000, "already known"),
        (legacy(0, 2_000_000_001), -32000, "replacement transaction underpriced"),
        (poor(), -32000, "insufficient funds for gas * price + value: balance 0, tx cost "),
        (foreign(), -32000, "invalid chain id for signer: have 1 want 13370"),
        (blob(), -32003, "transaction type not supported: 0x3"),
        (Bytes::from_static(&[0x02, 0xc0]), -32000, ""),
        (Bytes::new(), -32000, ""),
    ] {
        let (found, message) = world.error("eth_sendRawTransaction", json!([raw])).await;
        assert_eq!(found, code, "{message}");
        assert!(message.starts_with(text), "{message} begins with {text}");
    }
    // Behind a gap: taken by the pool, and the synchronous form says what is missing.
    let answer = world.call("eth_sendRawTransactionSync", json!([legacy(5, 2_000_000_000)])).await;
    assert_eq!((&answer["error"]["code"], &answer["error"]["data"]), (&json!(6), &json!("0x1")));
    assert_eq!(world.result("txpool_status", json!([])).await, json!({ "pending": "0x1", "queued": "0x1" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_has_the_op_form_and_pays_no_fee() {
    let world = World::paused().await;
    let deposit = Deposit {
        index: 0,
        l1_hash: B256::repeat_byte(4),
        from: NOBODY,
        to: Some(NOBODY),
        mint: 77,
        value: U256::ZERO,
        gas: 50_000,
        data: Bytes::new(),
    };
    let block = world.seal(vec![deposit.clone()]).await;
    let hash = deposit.transaction().tx_hash();
    assert_eq!(block.transactions()[1].tx_hash(), hash);
    let shown = world.result("eth_getTransactionByHash", json!([hash])).await;
    for (field, value) in
        [("type", "0x7e"), ("mint", "0x4d"), ("nonce", "0x0"), ("gasPrice", "0x0"), ("blockNumber", "0x1")]
    {
        assert_eq!(shown[field], value, "{field} in {shown}");
    }
    let receipt = world.result("eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!((&receipt["effectiveGasPrice"], &receipt["depositNonce"]), (&json!("0x0"), &json!("0x0")));
    assert_eq!(world.result("eth_getBalance", json!([NOBODY])).await, "0x4d");
    let status = world.result("rollup_syncStatus", json!([])).await;
    assert_eq!((&status["latestL2"]["hash"], &status["role"]), (&json!(block.hash()), &json!("follower")));
    assert_eq!(world.result("rollup_batchOf", json!(["0x1"])).await, Value::Null);
    assert_eq!(world.result("rollup_blob", json!([B256::repeat_byte(1)])).await, "0x626c6f62");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_no_longer_in_memory_is_told_all_the_same() {
    let world = World::paused().await;
    world.seal(Vec::new()).await;
    let batch = batch(1, 1);
    world.backend.batches.keep(std::slice::from_ref(&batch)).unwrap();
    let told = world.result("rollup_batchOf", json!(["0x1"])).await;
    assert_eq!((&told["index"], &told["status"]), (&json!("0x1"), &json!("posted")));
    assert_eq!((&told["coreHash"], &told["l1Block"]["number"]), (&json!(batch.core_hash), &json!("0x65")));
    assert_eq!(world.result("rollup_batchOf", json!(["0x0"])).await, Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_transfers_is_final_in_one_block() {
    let world = World::paused().await;
    let batch: Vec<Value> = (0..10)
        .map(|nonce| {
            let raw = legacy(nonce, 2_000_000_000);
            json!({ "jsonrpc": "2.0", "id": nonce, "method": "eth_sendRawTransaction", "params": [raw] })
        })
        .collect();
    let request = world.http.post(world.url()).header("content-type", "application/json");
    let answers = request.body(json!(batch).to_string()).send().await.unwrap().text().await.unwrap();
    let answers: Vec<Value> = serde_json::from_str(&answers).unwrap();
    assert!(answers.iter().all(|a| a["result"].is_string()), "{answers:?}");
    let block = world.seal(Vec::new()).await;
    assert_eq!(block.transactions().len(), 11);
    let receipts = world.result("eth_getBlockReceipts", json!([block.hash()])).await;
    let used: u64 = receipts.as_array().unwrap().iter().map(|r| quantity(&r["gasUsed"])).sum();
    assert_eq!(used, block.header().gas_used);
    assert_eq!(quantity(&receipts[10]["cumulativeGasUsed"]), used);
    let history = world.result("eth_feeHistory", json!([1, "latest", [50]])).await;
    let price = 2_000_000_000 - u128::from(block.header().base_fee_per_gas.unwrap());
    assert_eq!(history["reward"], json!([[format!("{price:#x}")]]));
}

fn quantity(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

fn sign(mut transaction: TxLegacy, number: u8) -> Bytes {
    let signature = signer(number).sign_transaction_sync(&mut transaction).unwrap();
    TxEnvelope::from(transaction.into_signed(signature)).encoded_2718().into()
}

fn legacy(nonce: u64, gas_price: u128) -> Bytes {
    let to = TxKind::Call(NOBODY);
    let chain_id = Some(Parameters::devnet().l2_chain_id);
    sign(TxLegacy { chain_id, nonce, gas_price, gas_limit: 21_000, to, ..TxLegacy::default() }, RICH)
}

fn poor() -> Bytes {
    let chain_id = Some(Parameters::devnet().l2_chain_id);
    let to = TxKind::Call(NOBODY);
    sign(TxLegacy { chain_id, gas_price: 2_000_000_000, gas_limit: 21_000, to, ..TxLegacy::default() }, 9)
}

fn foreign() -> Bytes {
    let to = TxKind::Call(NOBODY);
    sign(TxLegacy { chain_id: Some(1), gas_price: 2_000_000_000, gas_limit: 21_000, to, ..TxLegacy::default() }, RICH)
}

fn blob() -> Bytes {
    let mut transaction = TxEip4844 {
        chain_id: Parameters::devnet().l2_chain_id,
        gas_limit: 21_000,
        blob_versioned_hashes: vec![B256::repeat_byte(1)],
        ..TxEip4844::default()
    };
    let signature = signer(RICH).sign_transaction_sync(&mut transaction).unwrap();
    TxEnvelope::from(transaction.into_signed(signature)).encoded_2718().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_found_by_sender_recipient_contract_and_emitter() {
    let world = World::new().await;
    let provider = world.provider(RICH);
    let from = signer(RICH).address();
    let mut sent = Vec::new();
    let send = async |request: TransactionRequest| {
        provider.send_transaction(request).await.unwrap().get_receipt().await.unwrap()
    };
    // PUSH0 PUSH0 LOG0 STOP: a contract that logs.
    let made = send(TransactionRequest::default().with_deploy_code(deploying(&[0x5f, 0x5f, 0xa0, 0x00]))).await;
    let logger = made.contract_address.unwrap();
    sent.push(made.transaction_hash);
    for _ in 0..3 {
        sent.push(send(TransactionRequest::default().with_to(NOBODY).with_value(U256::from(1))).await.transaction_hash);
    }
    sent.push(send(TransactionRequest::default().with_to(logger)).await.transaction_hash);
    let found = async |method: &str, address: Address, size: u64| -> Vec<B256> {
        let page = world.result(method, json!([address, 0, size])).await;
        page["txs"].as_array().unwrap().iter().map(|t| t["hash"].as_str().unwrap().parse().unwrap()).collect()
    };
    let (before, after) = ("ots_searchTransactionsBefore", "ots_searchTransactionsAfter");
    let newest: Vec<B256> = sent.iter().rev().copied().collect();
    assert_eq!(found(before, from, 25).await, newest);
    assert_eq!(found(after, from, 25).await, newest);
    assert_eq!(found(before, from, 2).await, newest[..2]);
    assert_eq!(found(after, from, 2).await, [sent[1], sent[0]]);
    assert_eq!(found(before, NOBODY, 25).await, [sent[3], sent[2], sent[1]]);
    assert_eq!(found(before, logger, 25).await, [sent[4], sent[0]]);
    assert_eq!(found(before, signer(9).address(), 25).await, Vec::<B256>::new());
    // The sender of every system transaction has one in each block.
    assert_eq!(found(before, predeploys::SYSTEM_DEPOSITOR, 25).await.len(), 5);
}
