use super::*;
use alloy::{network::TransactionBuilder, primitives::hex, rpc::types::TransactionRequest};
use baton_bindings::contracts::MessagePasser;
use baton_primitives::predeploys;

fn quantity(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// A block with a deposit that works, one that cannot start, a message, and a call that fails inside and goes on.
async fn eventful(world: &World) -> u64 {
    let provider = world.provider(RICH);
    // CALLs the message passer with data that it has no function for, which reverts, then stores a word and returns.
    let target = hex::encode(predeploys::MESSAGE_PASSER);
    let code = hex::decode(format!("5f5f60045f5f73{target}5af160015500")).unwrap();
    let create = TransactionRequest::default().with_deploy_code(deploying(&code));
    let create = provider.send_transaction(create).await.unwrap();
    world.seal(Vec::new()).await;
    let contract = create.get_receipt().await.unwrap().contract_address.unwrap();

    let deposit = |index, gas, value| Deposit {
        index,
        l1_hash: B256::repeat_byte(4),
        from: NOBODY,
        to: Some(NOBODY),
        mint: 10,
        value: U256::from(value),
        gas,
        data: Bytes::new(),
    };
    let passer = MessagePasser::new(predeploys::MESSAGE_PASSER, &provider);
    let message = passer.send(NOBODY, U256::ZERO, Bytes::new()).value(U256::from(5)).send().await.unwrap();
    let call = TransactionRequest::default().with_to(contract).with_gas_limit(200_000);
    let call = provider.send_transaction(call).await.unwrap();
    // The second deposit moves more than there is.
    let block = world.seal(vec![deposit(0, 100_000, 3), deposit(1, 100_000, 1_000)]).await;
    assert!(message.get_receipt().await.unwrap().status() && call.get_receipt().await.unwrap().status());
    block.header().number
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_of_a_block_tell_what_its_receipts_say() {
    let world = World::paused().await;
    let number = format!("{:#x}", eventful(&world).await);
    let receipts = world.result("eth_getBlockReceipts", json!([number])).await;
    let options = json!({ "tracer": "callTracer", "tracerConfig": { "withLog": true } });
    let traces = world.result("debug_traceBlockByNumber", json!([number, options])).await;
    let (receipts, traces) = (receipts.as_array().unwrap(), traces.as_array().unwrap());
    assert_eq!((receipts.len(), traces.len()), (5, 5));
    let mut told = 0;
    for (receipt, trace) in receipts.iter().zip(traces) {
        assert_eq!(receipt["transactionHash"], trace["txHash"]);
        if trace.get("error").is_some() {
            assert_eq!((&receipt["type"], &receipt["status"]), (&json!("0x7e"), &json!("0x0")), "{trace}");
            continue;
        }
        told += 1;
        let result = &trace["result"];
        assert_eq!(result["gasUsed"], receipt["gasUsed"], "{result}");
        assert_eq!(result.get("error").is_none(), receipt["status"] == "0x1", "{result}");
        assert_eq!(result["from"], receipt["from"]);
        let logs = result["logs"].as_array().map_or(0, Vec::len);
        assert_eq!(logs, receipt["logs"].as_array().unwrap().len(), "{result}");
        let alone = world.result("debug_traceTransaction", json!([receipt["transactionHash"], options])).await;
        assert_eq!(alone, *result);
    }
    assert!(told >= 4, "{traces:?}");

    // The inner call failed, the transaction did not.
    let last = &traces[4]["result"];
    assert_eq!(last["calls"][0]["error"], "execution reverted", "{last}");
    let flat = world.result("trace_block", json!([number])).await;
    let flat = flat.as_array().unwrap();
    assert!(
        flat.len() > told && flat.iter().all(|call| quantity(&json!(number)) == call["blockNumber"].as_u64().unwrap())
    );
    let hash = &receipts[4]["transactionHash"];
    let own = world.result("trace_transaction", json!([hash])).await;
    let own: Vec<_> = own.as_array().unwrap().clone();
    assert_eq!(own, flat.iter().filter(|call| call["transactionHash"] == *hash).cloned().collect::<Vec<_>>());
    assert_eq!(own.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn tracers_see_the_state_before_and_after_and_every_instruction() {
    let world = World::paused().await;
    let number = eventful(&world).await;
    let block = world.result("eth_getBlockByNumber", json!([format!("{number:#x}"), false])).await;
    let hash = &block["transactions"][3];
    let options = json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } });
    let diff = world.result("debug_traceTransaction", json!([hash, options])).await;
    let sender = signer(RICH).address().to_string().to_lowercase();
    let (before, after) = (&diff["pre"][&sender], &diff["post"][&sender]);
    assert_eq!(after["nonce"].as_u64().unwrap(), before["nonce"].as_u64().unwrap_or(0) + 1, "{diff}");
    let passer = predeploys::MESSAGE_PASSER.to_string().to_lowercase();
    assert_eq!(diff["post"][&passer]["balance"], "0x5", "{diff}");

    let steps = world.result("debug_traceTransaction", json!([hash])).await;
    assert!(steps["structLogs"].as_array().unwrap().len() > 50 && steps["failed"] == false);
    let selectors = world.result("debug_traceTransaction", json!([hash, { "tracer": "4byteTracer" }])).await;
    assert_eq!(selectors.as_object().unwrap().len(), 1, "{selectors}");

    // A call is traced as eth_call runs it, overrides included.
    let call = json!([
        { "to": NOBODY },
        "latest",
        { "tracer": "callTracer", "stateOverrides": { NOBODY.to_string(): { "code": "0x5f5ffd" } } }
    ]);
    let traced = world.result("debug_traceCall", call).await;
    assert_eq!(traced["error"], "execution reverted", "{traced}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_traced_is_named_and_endless_recording_is_stopped() {
    let world = World::paused().await;
    let (code, message) = world.error("debug_traceTransaction", json!([B256::repeat_byte(7)])).await;
    assert_eq!((code, message.as_str()), (-32000, "transaction not found"));
    assert_eq!(world.result("trace_transaction", json!([B256::repeat_byte(7)])).await, Value::Null);
    let (_, message) = world.error("debug_traceCall", json!([{ "to": NOBODY }, "latest", { "tracer": "{}" }])).await;
    assert!(message.contains("give tracer callTracer"), "{message}");
    let (_, message) = world.error("debug_traceBlockByNumber", json!(["0x99"])).await;
    assert!(message.contains("not found"), "{message}");
    assert_eq!(world.result("debug_traceBlockByNumber", json!(["0x0"])).await, json!([]));
    // JUMPDEST, PUSH0, JUMP: for ever.
    let overrides = json!({ "stateOverrides": { NOBODY.to_string(): { "code": "0x5b5f56" } } });
    let (_, message) = world.error("debug_traceCall", json!([{ "to": NOBODY }, "latest", overrides])).await;
    assert!(message.starts_with("execution aborted (more than 500000 steps"), "{message}");
    assert!(message.contains("callTracer") && !message.contains("timeout"), "{message}");
    // Calls that hand on a megabyte each, some hundred of them: PUSH0 PUSH0 PUSH3 2^20 PUSH0 PUSH0 PUSH1 0x99 GAS CALL POP, again.
    let code = json!({ NOBODY.to_string(): { "code": "0x5b5f5f621000005f5f60995af1505f56" } });
    let call = json!({ "to": NOBODY, "gas": format!("{:#x}", 2_300_000) });
    let options = json!({ "tracer": "callTracer", "stateOverrides": code });
    let (_, message) = world.error("debug_traceCall", json!([call, "latest", options])).await;
    assert!(message.contains("holds more than 67108864 bytes"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tracer_that_the_node_names_works() {
    let world = World::paused().await;
    let number = eventful(&world).await;
    let block = world.result("eth_getBlockByNumber", json!([format!("{number:#x}"), false])).await;
    let hash = &block["transactions"][3];
    let trace = async |options: Value| world.result("debug_traceTransaction", json!([hash, options])).await;
    assert_eq!(trace(json!({ "tracer": "noopTracer" })).await, json!({}));
    let calls = trace(json!({ "tracer": "callTracer" })).await;
    let selectors = trace(json!({ "tracer": "4byteTracer" })).await;
    assert_eq!(selectors.as_object().unwrap().len(), 1, "{selectors}");
    let flat = trace(json!({ "tracer": "flatCallTracer" })).await;
    assert_eq!(flat[0]["action"]["from"], calls["from"]);
    let before = trace(json!({ "tracer": "prestateTracer" })).await;
    assert!(before[calls["from"].as_str().unwrap()]["balance"].is_string(), "{before}");
}

#[tokio::test(flavor = "multi_thread")]
async fn flat_traces_of_ranges_and_calls_agree_with_those_of_blocks() {
    let world = World::paused().await;
    let number = eventful(&world).await;
    let at = format!("{number:#x}");
    let block = world.result("trace_block", json!([at])).await;
    let all = world.result("trace_filter", json!([{ "fromBlock": at, "toBlock": at }])).await;
    assert_eq!(all, block);
    let passer = predeploys::MESSAGE_PASSER.to_string().to_lowercase();
    let filter = json!({ "fromBlock": "0x1", "toAddress": [passer], "after": 1, "count": 1 });
    let some = world.result("trace_filter", json!([filter])).await;
    assert_eq!(some.as_array().unwrap().len(), 1, "{some}");
    assert_eq!(some[0]["action"]["to"], passer);
    // Pages put together are the whole, whatever their length.
    let mut paged = Vec::new();
    for after in 0..all.as_array().unwrap().len() + 1 {
        let page = json!({ "fromBlock": at, "toBlock": at, "after": after, "count": 1 });
        paged.extend(world.result("trace_filter", json!([page])).await.as_array().unwrap().clone());
    }
    assert_eq!(json!(paged), all);
    assert_eq!(world.result("trace_filter", json!([{ "fromBlock": at, "count": 0 }])).await, json!([]));
    let (code, message) = world.error("trace_filter", json!([{ "fromBlock": "0x9", "toBlock": "0x1" }])).await;
    assert_eq!(code, -32602, "{message}");
    let replayed = world.result("trace_replayBlockTransactions", json!([at, ["trace"]])).await;
    let frames: usize = replayed.as_array().unwrap().iter().map(|t| t["trace"].as_array().unwrap().len()).sum();
    assert_eq!(frames, block.as_array().unwrap().len());
    // One a transaction: the deposit that could not start is told too.
    assert_eq!(replayed.as_array().unwrap().len(), 5, "{replayed}");
    let unstarted = &replayed[2]["trace"][0];
    assert!(unstarted["error"].as_str().unwrap().contains("could not start"), "{replayed}");
    assert_eq!((&unstarted["action"]["to"], &unstarted["action"]["value"]), (&json!(NOBODY), &json!("0x3e8")));
    let (code, message) = world.error("trace_replayBlockTransactions", json!([at, ["vmTrace"]])).await;
    assert!(code == -32602 && message.contains("debug_traceTransaction"), "{message}");
    let called = world.result("trace_call", json!([{ "to": predeploys::MESSAGE_PASSER }, ["trace"]])).await;
    assert_eq!(called["trace"][0]["error"], "Reverted", "{called}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explorer_sees_inside_of_transactions_and_who_made_contracts() {
    let world = World::paused().await;
    let number = eventful(&world).await;
    let provider = world.provider(RICH);
    let receipts = world.result("eth_getBlockReceipts", json!([format!("{number:#x}")])).await;
    let call = &receipts[4];
    let entries = world.result("ots_traceTransaction", json!([call["transactionHash"]])).await;
    assert_eq!((&entries[0]["type"], &entries[0]["depth"]), (&json!("CALL"), &json!(0)));
    assert_eq!((&entries[1]["depth"], &entries[1]["to"]), (&json!(1), &json!(predeploys::MESSAGE_PASSER)));
    assert_eq!(world.result("ots_getTransactionError", json!([call["transactionHash"]])).await, "0x");
    assert_eq!(world.result("ots_getInternalOperations", json!([call["transactionHash"]])).await, json!([]));
    // The contract that the call went to was made in the block before, by the first transaction of the rich account.
    let creator = world.result("ots_getContractCreator", json!([call["to"]])).await;
    let first = world.result("ots_getTransactionBySenderAndNonce", json!([signer(RICH).address(), 0])).await;
    assert_eq!((&creator["hash"], &creator["creator"]), (&first, &json!(signer(RICH).address())));
    assert_eq!(world.result("ots_getContractCreator", json!([predeploys::MESSAGE_PASSER])).await, Value::Null);

    // A contract that another one makes, with a wei: PUSH0 PUSH0 PUSH1 1 CREATE, SSTORE its address.
    let maker = hex::decode("5f5f6001f05f5500").unwrap();
    let create = TransactionRequest::default().with_deploy_code(deploying(&maker));
    let create = provider.send_transaction(create).await.unwrap();
    world.seal(Vec::new()).await;
    let maker = create.get_receipt().await.unwrap().contract_address.unwrap();
    let request = TransactionRequest::default().with_to(maker).with_value(U256::from(1)).with_gas_limit(200_000);
    let made = provider.send_transaction(request).await.unwrap();
    world.seal(Vec::new()).await;
    let made = made.get_receipt().await.unwrap();
    assert!(made.status());
    let operations = world.result("ots_getInternalOperations", json!([made.transaction_hash])).await;
    assert_eq!((&operations[0]["type"], &operations[0]["value"]), (&json!(2), &json!("0x1")), "{operations}");
    assert_eq!(operations[0]["from"], json!(maker));
}
