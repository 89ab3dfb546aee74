//! `eth_simulateV1` over the real engine. Codes and texts: execution-apis `src/eth/execute.yaml` and its vectors.

use super::*;
use alloy::primitives::keccak256;

const FROM: &str = "0xc000000000000000000000000000000000000000";
const TO: &str = "0xc100000000000000000000000000000000000000";
const ETHER_LOGGER: &str = "0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";

fn rich() -> Value {
    json!({ FROM: { "balance": "0xde0b6b3a7640000" } })
}

async fn simulate(world: &World, payload: Value) -> Value {
    world.result("eth_simulateV1", json!([payload, "latest"])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_build_on_one_another_and_leave_nothing() {
    let world = World::paused().await;
    world.seal(Vec::new()).await;
    let blocks = simulate(
        &world,
        json!({ "blockStateCalls": [
            { "stateOverrides": rich(), "calls": [{ "from": FROM, "to": TO, "value": "0x3e8" }] },
            { "blockOverrides": { "number": "0x4" }, "calls": [{ "from": TO, "to": FROM, "value": "0x7" }] },
        ] }),
    )
    .await;
    let blocks = blocks.as_array().unwrap();
    // The height that was left out is an empty block; each names the one before as its parent.
    assert_eq!(blocks.iter().map(|b| b["number"].as_str().unwrap()).collect::<Vec<_>>(), ["0x2", "0x3", "0x4"]);
    let head = world.result("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(blocks[0]["parentHash"], head["hash"]);
    assert!(blocks.windows(2).all(|pair| pair[0]["hash"] == pair[1]["parentHash"]));
    assert!(blocks.windows(2).all(|pair| quantity(&pair[0]["timestamp"]) < quantity(&pair[1]["timestamp"])));
    assert_eq!(blocks[1]["calls"], json!([]));
    for block in [&blocks[0], &blocks[2]] {
        let call = &block["calls"][0];
        assert_eq!((&call["status"], &call["gasUsed"]), (&json!("0x1"), &json!("0x5208")), "{block}");
        assert_eq!((&block["gasUsed"], &block["baseFeePerGas"]), (&json!("0x5208"), &json!("0x0")));
        assert_eq!(block["transactions"].as_array().unwrap().len(), 1);
        assert_eq!(call["logs"], json!([]), "transfers are told only if asked for");
    }
    assert_eq!(world.result("eth_getBalance", json!([TO])).await, "0x0");
    assert_eq!(world.result("eth_blockNumber", json!([])).await, "0x1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_root_is_that_of_a_block_that_does_the_same() {
    let world = World::paused().await;
    // A block without calls changes what the history contract holds; the real one also what the system transaction does,
    // so the roots are compared over an override that is made and taken back.
    let twice = |value: &str| json!({ "blockStateCalls": [{ "stateOverrides": { TO: { "balance": value } } }] });
    let (one, two) = (simulate(&world, twice("0x1")).await, simulate(&world, twice("0x2")).await);
    assert_ne!(one[0]["stateRoot"], two[0]["stateRoot"]);
    let back = json!({ "blockStateCalls": [
        { "blockOverrides": { "number": "0x1" }, "stateOverrides": { TO: { "balance": "0x1", "stateDiff": {
            B256::ZERO.to_string(): B256::with_last_byte(1).to_string() } } } },
        { "blockOverrides": { "number": "0x2" }, "stateOverrides": { TO: { "balance": "0x0", "state": {} } } },
    ] });
    let plain = json!({ "blockStateCalls": [{}, { "blockOverrides": { "number": "0x2" } }] });
    let (back, plain) = (simulate(&world, back).await, simulate(&world, plain).await);
    assert_ne!(back[0]["stateRoot"], plain[0]["stateRoot"]);
    assert_eq!(back[1]["parentHash"], back[0]["hash"]);
    // The second block's history differs by the parent's hash alone.
    assert_ne!(back[1]["stateRoot"], plain[1]["stateRoot"]);
    let empty = json!({ "blockStateCalls": [{ "stateOverrides": { TO: { "balance": "0x0" } } }] });
    let (empty, nothing) = (simulate(&world, empty).await, simulate(&world, json!({ "blockStateCalls": [{}] })).await);
    assert_eq!(empty[0]["hash"], nothing[0]["hash"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_are_logged_unless_their_frame_fails() {
    let world = World::paused().await;
    // Forwards its value to TO, then reverts if its input is not empty: CALLVALUE to TO, CALLDATASIZE, jump.
    let to = &TO[2..];
    let code = format!("0x5f5f5f5f3473{to}5af15036602257005b5f5ffd");
    let contract = "0xc200000000000000000000000000000000000000";
    let payload = |input: &str| {
        json!({ "traceTransfers": true, "blockStateCalls": [{
            "stateOverrides": { FROM: { "balance": "0x7d0" }, contract: { "code": code } },
            "calls": [{ "from": FROM, "to": contract, "value": "0x5", "input": input }],
        }] })
    };
    let told = simulate(&world, payload("0x")).await;
    let call = &told[0]["calls"][0];
    assert_eq!(call["status"], "0x1", "{call}");
    let logs = call["logs"].as_array().unwrap();
    assert_eq!(logs.len(), 2, "{call}");
    for (log, (from, to)) in logs.iter().zip([(FROM, contract), (contract, TO)]) {
        assert_eq!(log["address"], ETHER_LOGGER);
        assert_eq!(log["topics"][0], json!(keccak256("Transfer(address,address,uint256)")));
        assert!(log["topics"][1].as_str().unwrap().ends_with(&from[2..]), "{log}");
        assert!(log["topics"][2].as_str().unwrap().ends_with(&to[2..]), "{log}");
        assert_eq!((&log["blockHash"], &log["blockNumber"]), (&told[0]["hash"], &told[0]["number"]));
    }
    assert_eq!((&logs[0]["logIndex"], &logs[1]["logIndex"]), (&json!("0x0"), &json!("0x1")));
    // They are no logs of the block.
    assert_eq!(told[0]["logsBloom"], format!("0x{}", "0".repeat(512)));
    let failed = simulate(&world, payload("0x01")).await;
    assert_eq!((&failed[0]["calls"][0]["status"], &failed[0]["calls"][0]["logs"]), (&json!("0x0"), &json!([])));
    assert_eq!(failed[0]["calls"][0]["error"]["code"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_has_its_code() {
    let world = World::paused().await;
    let call = |fields: Value| {
        let mut call = json!({ "from": FROM, "to": TO });
        call.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({ "stateOverrides": rich(), "calls": [call] })
    };
    let numbers = |a: &str, b: &str| json!({ "blockStateCalls": [{ "blockOverrides": { "number": a } }, { "blockOverrides": { "number": b } }] });
    let time = format!("{:#x}", START);
    let long = format!("0x{}", "00".repeat(49_153));
    let broke = json!({ "from": TO, "to": FROM, "value": "0x1" });
    for (payload, code, text) in [
        (numbers("0x9a", "0x90"), -38020, "block numbers must be in order: 144 <= 154"),
        (json!({ "blockStateCalls": [{ "blockOverrides": { "number": "0x101" } }] }), -38026, "too many blocks"),
        (json!({ "blockStateCalls": vec![json!({}); 257] }), -38026, "too many blocks"),
        (
            json!({ "blockStateCalls": [{ "blockOverrides": { "time": time } }] }),
            -38021,
            "block timestamps must be in order",
        ),
        (
            json!({ "validation": true, "blockStateCalls": [call(json!({ "nonce": "0x5", "maxFeePerGas": "0x77359400" }))] }),
            -38011,
            "err: nonce too high: address 0x",
        ),
        (
            json!({ "validation": true, "blockStateCalls": [{
                "stateOverrides": { FROM: { "balance": "0xde0b6b3a7640000", "nonce": "0x9" } },
                "calls": [{ "from": FROM, "to": TO, "nonce": "0x5", "maxFeePerGas": "0x77359400" }] }] }),
            -38010,
            "err: nonce too low: address 0x",
        ),
        (
            json!({ "validation": true, "blockStateCalls": [call(json!({}))] }),
            -38012,
            "err: max fee per gas less than block",
        ),
        (
            json!({ "blockStateCalls": [call(json!({ "gas": "0x0" }))] }),
            -38013,
            "err: intrinsic gas too low: have 0, want 21000",
        ),
        (
            json!({ "blockStateCalls": [{ "calls": [broke] }] }),
            -38014,
            "err: insufficient funds for gas * price + value: address 0x",
        ),
        (json!({ "blockStateCalls": [call(json!({ "gas": "0xffffffff" }))] }), -38015, "block gas limit reached"),
        (
            json!({ "blockStateCalls": [{ "calls": [{ "from": FROM, "input": long }] }] }),
            -38025,
            "max initcode size exceeded",
        ),
        (
            json!({ "blockStateCalls": [{ "stateOverrides": {
                TO: { "movePrecompileToAddress": FROM } } }] }),
            -32000,
            "account 0x",
        ),
    ] {
        let (found, message) = world.error("eth_simulateV1", json!([payload, "latest"])).await;
        assert_eq!(found, code, "{message}");
        assert!(message.starts_with(text), "{message} begins with {text}");
    }
    let (code, message) = world.error("eth_simulateV1", json!([{ "blockStateCalls": [{}] }, "0x99"])).await;
    assert_eq!((code, message.as_str()), (-32001, "header not found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validated_block_has_the_chains_base_fee_and_pays_it() {
    let world = World::paused().await;
    let payload = json!({ "validation": true, "returnFullTransactions": true, "blockStateCalls": [{
        "stateOverrides": rich(), "calls": [{ "from": FROM, "to": TO, "maxFeePerGas": "0x77359400" }] }] });
    let blocks = simulate(&world, payload).await;
    let base_fee = quantity(&blocks[0]["baseFeePerGas"]);
    assert!(base_fee >= baton_derive::MIN_BASE_FEE, "{base_fee}");
    let transaction = &blocks[0]["transactions"][0];
    assert_eq!(
        (&transaction["from"], &transaction["nonce"], &transaction["r"]),
        (&json!(FROM), &json!("0x0"), &json!("0x0"))
    );
    assert_eq!(quantity(&transaction["gasPrice"]), base_fee);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_precompiled_contract_moves_or_goes() {
    let world = World::paused().await;
    let identity = "0x0000000000000000000000000000000000000004";
    let moved = json!({ "blockStateCalls": [
        { "stateOverrides": { identity: { "movePrecompileToAddress": "0x0000000000000000000000000000000000123456" } },
          "calls": [{ "to": "0x0000000000000000000000000000000000123456", "input": "0xc0ffee" },
                    { "to": identity, "input": "0xc0ffee" }] },
        { "calls": [{ "to": identity, "input": "0xc0ffee" }] },
    ] });
    let blocks = simulate(&world, moved).await;
    assert_eq!(
        (&blocks[0]["calls"][0]["returnData"], &blocks[0]["calls"][1]["returnData"]),
        (&json!("0xc0ffee"), &json!("0x"))
    );
    assert_eq!(blocks[1]["calls"][0]["returnData"], "0xc0ffee", "it is back in the next block");
    // A call moves it too, and code in its place is run.
    let overrides = json!({ identity: { "code": "0x60425f5260205ff3" } });
    let answer = world.result("eth_call", json!([{ "to": identity, "input": "0xc0ffee" }, "latest", overrides])).await;
    assert_eq!(answer, json!(B256::with_last_byte(0x42)));
    let both = json!({ "blockStateCalls": [{ "stateOverrides": {
        identity: { "movePrecompileToAddress": TO }, "0x0000000000000000000000000000000000000002": { "movePrecompileToAddress": TO } } }] });
    assert_eq!(world.error("eth_simulateV1", json!([both])).await.0, -38023);
    let itself =
        json!({ "blockStateCalls": [{ "stateOverrides": { identity: { "movePrecompileToAddress": identity } } }] });
    assert_eq!(world.error("eth_simulateV1", json!([itself])).await.0, -38022);
}

/// Plays the vectors of execution-apis for this method: `BATON_EXECUTION_APIS` names a directory of `.io` files. What
/// belongs to their chain (hashes, fees, heights) is not compared.
#[tokio::test(flavor = "multi_thread")]
async fn vectors_of_execution_apis_agree() {
    let Ok(directory) = std::env::var("BATON_EXECUTION_APIS") else { return };
    let world = World::paused().await;
    for _ in 0..0x36 {
        world.seal(Vec::new()).await;
    }
    let (mut agreed, mut differ) = (0, Vec::new());
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let line = |sign: &str| {
            text.lines().find_map(|l| l.strip_prefix(sign)).map(|l| serde_json::from_str::<Value>(l).unwrap())
        };
        let (Some(request), Some(expected)) = (line(">> "), line("<< ")) else { continue };
        let answer = world.call("eth_simulateV1", request["params"].clone()).await;
        let (ours, theirs) = (essence(&answer), essence(&expected));
        if ours == theirs {
            agreed += 1;
        } else {
            differ
                .push(format!("{}\n  ours   {ours:.600}\n  theirs {theirs:.600}", file.file_name().unwrap().display()));
        }
    }
    let report = format!("{agreed} of {} agree\n{}", files.len(), differ.join("\n"));
    assert!(agreed * 10 >= files.len() * 7, "{report}");
    tracing::info!("{report}");
    std::fs::write(std::env::temp_dir().join("simulate-vectors.txt"), report).unwrap();
}

fn essence(answer: &Value) -> String {
    if let Some(error) = answer.get("error") {
        return format!("error {}", error["code"]);
    }
    let mut all = Vec::new();
    for block in answer["result"].as_array().into_iter().flatten() {
        let mut calls = block["calls"].clone();
        for log in calls.as_array_mut().into_iter().flatten().flat_map(|call| call["logs"].as_array_mut().unwrap()) {
            let log = log.as_object_mut().unwrap();
            log.retain(|field, _| matches!(field.as_str(), "address" | "topics" | "data" | "logIndex"));
        }
        all.push(json!([block["number"], block["gasUsed"], calls]));
    }
    json!(all).to_string()
}

fn quantity(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}
