//! `baton evm`: the executor as other implementations are driven, on their vectors.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use serde_json::{Value, json};
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

fn baton(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
    let pipes = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn vectors(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors").join(name)
}

fn t8n_vectors() -> Vec<Value> {
    serde_json::from_str(&std::fs::read_to_string(vectors("t8n.json")).unwrap()).unwrap()
}

/// Accounts with numbers in one form, and without what is zero.
fn plain(alloc: &Value) -> Value {
    let word = |text: &str| text.trim_start_matches("0x").trim_start_matches('0').to_owned();
    let account = |account: &Value| {
        let field = |name: &str| word(account[name].as_str().unwrap_or_default());
        let slots = account["storage"].as_object().into_iter().flatten();
        let storage: serde_json::Map<String, Value> = slots
            .map(|(slot, value)| (word(slot), json!(word(value.as_str().unwrap()))))
            .filter(|(_, value)| value != "")
            .collect();
        json!([field("balance"), field("nonce"), account["code"].as_str().unwrap_or("0x"), storage])
    };
    let accounts = alloc.as_object().unwrap().iter();
    Value::Object(accounts.map(|(address, value)| (address.to_lowercase(), account(value))).collect())
}

#[test]
fn t8n_gives_what_the_specification_gives() {
    for vector in t8n_vectors() {
        let name = vector["name"].as_str().unwrap();
        let input = json!({ "alloc": vector["alloc"], "env": vector["env"], "txs": vector["txs"] });
        let fork = vector["fork"].as_str().unwrap();
        let output = baton(
            &[
                "evm",
                "t8n",
                "--input.alloc",
                "stdin",
                "--input.env",
                "stdin",
                "--input.txs",
                "stdin",
                "--output.alloc",
                "stdout",
                "--output.result",
                "stdout",
                "--output.body",
                "stdout",
                "--state.fork",
                fork,
            ],
            &input.to_string(),
        );
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
        for (key, expected) in vector["result"].as_object().unwrap() {
            assert_eq!(&printed["result"][key], expected, "{name}: {key}");
        }
        let none = Vec::new();
        let rejected = printed["result"]["rejected"].as_array().unwrap_or(&none);
        let rejected: Vec<&Value> = rejected.iter().map(|rejected| &rejected["index"]).collect();
        assert_eq!(json!(rejected), vector["rejected"], "{name}");
        assert_eq!(plain(&printed["alloc"]), plain(&vector["after"]), "{name}");
    }
}

#[test]
fn t8n_reads_and_writes_files_and_takes_the_body_it_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let vectors = t8n_vectors();
    let vector = vectors.iter().find(|vector| vector["name"] == "transfers of each type (Osaka)").unwrap();
    for name in ["alloc", "env", "txs"] {
        std::fs::write(dir.path().join(format!("{name}.json")), vector[name].to_string()).unwrap();
    }
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let run = |txs: &str, body: &str| {
        let output = baton(
            &[
                "evm",
                "t8n",
                "--input.alloc",
                &path("alloc.json"),
                "--input.env",
                &path("env.json"),
                "--input.txs",
                &path(txs),
                "--output.basedir",
                &path(""),
                "--output.alloc",
                "after.json",
                "--output.body",
                body,
            ],
            "",
        );
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.is_empty());
        let result: Value = serde_json::from_slice(&std::fs::read(path("result.json")).unwrap()).unwrap();
        result
    };
    let first = run("txs.json", "body.rlp");
    assert_eq!(first["txRoot"], vector["result"]["txRoot"]);
    assert_eq!(first["receipts"].as_array().unwrap().len(), 4);
    assert_eq!(run("body.rlp", "again.rlp"), first);
    assert_eq!(std::fs::read(path("body.rlp")).unwrap(), std::fs::read(path("again.rlp")).unwrap());

    let output = baton(&["evm", "t8n", "--input.alloc", &path("none.json")], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot read"), "{output:?}");
}

#[test]
fn state_tests_pass_and_a_wrong_root_fails() {
    let directory = vectors("statetest");
    let output = baton(&["evm", "statetest", "--json", directory.to_str().unwrap()], "");
    let results: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success() && results.len() >= 4, "{output:?}");
    for result in &results {
        assert_eq!(result["pass"], true, "{result}");
    }
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains(&format!("{{\"stateRoot\":{}}}", results[0]["stateRoot"])), "{told}");

    let text = std::fs::read_to_string(directory.join("add11.json")).unwrap();
    let mut test: Value = serde_json::from_str(&text).unwrap();
    test["add11"]["post"]["Cancun"][0]["hash"] = json!(format!("0x{}", "0".repeat(64)));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wrong.json");
    std::fs::write(&file, test.to_string()).unwrap();
    let output = baton(&["evm", "statetest", file.to_str().unwrap()], "");
    assert_eq!(output.status.code(), Some(1));
    let results: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(results[0]["pass"], false);
    assert!(results[0]["error"].as_str().unwrap().contains("post state root mismatch"), "{results}");
}
