//! `rpc.discover` against the server itself: every method takes what the document says it takes.

use crate::{World, chain::CHAIN_ID};
use serde_json::{Value, json};

async fn document(world: &World) -> Value {
    world.result("rpc.discover", json!([])).await
}

/// An example of a schema: its own, or that of what it refers to or lists.
fn example(document: &Value, schema: &Value) -> Value {
    if let Some(path) = schema["$ref"].as_str() {
        let schema = &document["components"]["schemas"][path.rsplit('/').next().unwrap()];
        return schema["examples"][0].clone();
    }
    if schema["type"] == "array" {
        return json!([example(document, &schema["items"])]);
    }
    panic!("no example in {schema}");
}

#[tokio::test]
async fn every_method_takes_the_parameters_that_the_document_tells() {
    let world = World::new().await;
    world.chain.seal();
    let document = document(&world).await;
    assert_eq!(document["openrpc"], "1.3.2");
    let methods = document["methods"].as_array().unwrap();
    assert!(methods.len() > 90, "{}", methods.len());
    let mut strict = 0;
    for method in methods {
        let name = method["name"].as_str().unwrap();
        let params = method["params"].as_array().unwrap();
        let mut given: Vec<Value> = params.iter().map(|p| example(&document, &p["schema"])).collect();
        assert!(given.iter().all(|g| !g.is_null()), "{name} has no example: {given:?}");
        let answer = world.call(name, json!(given)).await;
        let code = answer["error"]["code"].as_i64();
        assert_ne!(code, Some(-32602), "{name}: {answer}");
        assert_eq!(code == Some(-32601), name.ends_with("subscribe"), "{name}: {answer}");
        // The required ones are enough.
        let required = params.iter().filter(|p| p["required"] == true).count();
        assert!(params[..required].iter().all(|p| p["required"] == true), "{name}: optional ones come last");
        let fewer = world.call(name, json!(given[..required])).await;
        assert_ne!(fewer["error"]["code"], -32602, "{name}: {fewer}");
        if required > 0 && code != Some(-32601) {
            let (code, message) = world.error(name, json!(given[..required - 1])).await;
            assert_eq!(code, -32602, "{name}: {message}");
        }
        given.push(json!("more"));
        let more = world.call(name, json!(given)).await;
        if answer.get("error").is_none() {
            let text = format!("too many arguments, want at most {}", params.len());
            assert_eq!(more["error"]["message"], text, "{name}");
            strict += 1;
        }
    }
    assert!(strict > 70, "{strict}");
}

#[tokio::test]
async fn modules_are_those_of_the_document() {
    let world = World::new().await;
    let document = document(&world).await;
    let modules = world.result("rpc_modules", json!([])).await;
    let methods = document["methods"].as_array().unwrap();
    for method in methods {
        let name = method["name"].as_str().unwrap();
        let module = name.split(['_', '.']).next().unwrap();
        assert_eq!(modules[module], "1.0", "{name}");
    }
    assert_eq!(modules["admin"], Value::Null, "nothing of the operator's on the public port");
}

#[tokio::test]
async fn the_chain_tells_its_rules_and_what_is_kept() {
    let world = World::new().await;
    world.chain.seal();
    // EIP-7910.
    let config = world.result("eth_config", json!([])).await;
    assert_eq!(config["current"]["chainId"], format!("{CHAIN_ID:#x}"));
    assert_eq!((&config["current"]["activationTime"], &config["next"]), (&json!(0), &Value::Null));
    assert_eq!(config["current"]["precompiles"]["P256VERIFY"], "0x0000000000000000000000000000000000000100");
    assert_eq!(config["current"]["precompiles"].as_object().unwrap().len(), 18);
    assert_eq!(config["current"]["forkId"].as_str().unwrap().len(), 10);
    assert_eq!(
        config["current"]["systemContracts"],
        json!({ "HISTORY_STORAGE_ADDRESS": "0x0000f90827f1c53a10cb7a02335b175320002935" })
    );
    // execution-apis, `src/eth/capabilities.yaml`.
    let capabilities = world.result("eth_capabilities", json!([])).await;
    assert_eq!(capabilities["head"]["number"], "0x1");
    for kind in ["state", "stateproofs", "tx", "logs", "receipts", "blocks"] {
        assert_eq!(capabilities[kind], json!({ "disabled": false, "oldestBlock": "0x0" }), "{kind}");
    }
    assert_eq!(world.result("eth_baseFee", json!([])).await, "0x7");
}

#[tokio::test]
async fn a_simulation_has_the_form_and_the_codes_of_execution_apis() {
    let world = World::new().await;
    world.chain.seal();
    let answer = world.result("eth_simulateV1", json!([{ "blockStateCalls": [{}] }, "latest"])).await;
    assert_eq!((&answer[0]["number"], &answer[0]["calls"]), (&json!("0x1"), &json!([])));
    assert!(answer[0]["transactions"][0].is_string());
    let full = json!([{ "blockStateCalls": [{}], "returnFullTransactions": true }]);
    assert_eq!(world.result("eth_simulateV1", full).await[0]["transactions"][0]["type"], "0x7e");
    let (code, message) = world.error("eth_simulateV1", json!([{ "blockStateCalls": [] }])).await;
    assert_eq!((code, message.as_str()), (-32602, "empty input"));
    let call = json!([{ "blockStateCalls": [{ "calls": [{}] }] }]);
    assert_eq!(world.error("eth_simulateV1", call).await.0, -38010);
}
