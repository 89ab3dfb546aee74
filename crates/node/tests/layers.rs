//! The layer rule of ARCHITECTURE.md: a crate depends only on lower layers, never on a sibling.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::{collections::BTreeMap, process::Command};

/// Layer of each crate; within layers 0 and 1 the order of this table counts.
const LAYERS: &[(&str, u8)] = &[
    ("baton-primitives", 0),
    ("baton-bindings", 1),
    ("baton-schedule", 10),
    ("baton-batch", 11),
    ("baton-derive", 12),
    ("baton-revenue", 12),
    ("baton-engine", 20),
    ("baton-pool", 20),
    ("baton-consensus", 20),
    ("baton-l1", 20),
    ("baton-poster", 20),
    ("baton-rpc", 20),
    ("baton-indexer", 20),
    ("baton-api", 20),
    ("baton-node", 30),
    ("baton-cli", 40),
    ("baton-testkit", 50),
    ("baton-tests", 60),
];

fn violations(metadata: &serde_json::Value) -> Vec<String> {
    let layers: BTreeMap<_, _> = LAYERS.iter().copied().collect();
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let Some(layer) = layers.get(name) else {
            found.push(format!("{name} is in no layer: add it to ARCHITECTURE.md and to this table"));
            continue;
        };
        for dependency in package["dependencies"].as_array().unwrap() {
            let other = dependency["name"].as_str().unwrap();
            let is_test_only = dependency["kind"].as_str() == Some("dev");
            if let Some(below) = layers.get(other)
                && below >= layer
                && !is_test_only
            {
                found.push(format!("{name} (layer {layer}) depends on {other} (layer {below})"));
            }
            if other.starts_with("commonware") && name != "baton-consensus" {
                found.push(format!("{name} depends on {other}: only baton-consensus may see commonware"));
            }
        }
    }
    found
}

#[test]
fn no_crate_depends_on_its_own_layer_or_a_higher_one() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(metadata["packages"].as_array().unwrap().len(), LAYERS.len());
    assert_eq!(violations(&metadata), Vec::<String>::new());
}

#[test]
fn a_dependency_on_a_sibling_is_found() {
    let metadata = serde_json::json!({ "packages": [
        { "name": "baton-pool", "dependencies": [{ "name": "baton-engine", "kind": null }] },
        { "name": "baton-rpc", "dependencies": [{ "name": "commonware-runtime", "kind": null }] },
    ]});
    assert_eq!(violations(&metadata).len(), 2);
}
