//! The committed artifacts are what the pinned compiler makes of `contracts/src`. Needs `npm ci` in `anvil/`.
//! `BATON_WRITE_ARTIFACTS=1` writes them instead of comparing.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use foundry_compilers::{
    ProjectBuilder, ProjectPathsConfig,
    artifacts::{BytecodeHash, EvmVersion, Optimizer, Settings, SettingsMetadata, remappings::Remapping},
    solc::{Solc, SolcCompiler, SolcSettings},
};
use serde_json::{Value, json};
use std::{env, fs, path::PathBuf, str::FromStr};

const CONTRACTS: [&str; 16] = [
    "BatonToken",
    "Parameters",
    "Staking",
    "SequencerPool",
    "BatchInbox",
    "Portal",
    "RevenueShare",
    "Slasher",
    "Governance",
    "Recovery",
    "Profiles",
    "Lens",
    "Commitments",
    "L1Block",
    "MessagePasser",
    "FeeVault",
];

fn root() -> PathBuf {
    fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).unwrap()
}

/// Compiles `contracts/src` as `contracts/foundry.toml` says.
fn compile() -> Vec<(&'static str, Value)> {
    let root = root();
    let solc = root.join("anvil/solc.mjs");
    let solc = Solc::new(&solc).unwrap_or_else(|e| panic!("{}: {e}; run `npm ci` in anvil/", solc.display()));
    let folder = root.join("contracts");
    let scratch = tempfile::tempdir().unwrap();
    let remapping = |text: &str| Remapping::from_str(text).unwrap();
    let paths = ProjectPathsConfig::builder()
        .sources(folder.join("src"))
        .tests(scratch.path().join("test"))
        .scripts(scratch.path().join("script"))
        .lib(folder.join("lib"))
        .remapping(remapping(&format!("@openzeppelin/={}/lib/@openzeppelin/", folder.display())))
        .artifacts(scratch.path().join("out"))
        .cache(scratch.path().join("cache.json"))
        .allowed_path(root.join("anvil"))
        .build_with_root(&folder);
    let settings = Settings {
        optimizer: Optimizer { enabled: Some(true), runs: Some(200), details: None },
        metadata: Some(SettingsMetadata::new(BytecodeHash::None, true)),
        evm_version: Some(EvmVersion::Osaka),
        ..Settings::default()
    };
    let project = ProjectBuilder::<SolcCompiler>::new(Default::default())
        .paths(paths)
        .settings(SolcSettings { settings, ..SolcSettings::default() })
        .ephemeral()
        .no_artifacts()
        .build(SolcCompiler::Specific(solc))
        .unwrap();
    let output = project.compile().unwrap();
    assert!(!output.has_compiler_errors(), "{output}");
    CONTRACTS
        .into_iter()
        .map(|name| {
            let artifact = output.find_first(name).unwrap_or_else(|| panic!("{name} is not in contracts/src"));
            let bytes = |b: Option<&alloy::primitives::Bytes>| b.map(ToString::to_string).unwrap_or_default();
            let value = json!({
                "contractName": name,
                "abi": serde_json::to_value(artifact.abi.as_ref().unwrap()).unwrap(),
                "bytecode": bytes(artifact.bytecode.as_ref().and_then(|b| b.object.as_bytes())),
                "deployedBytecode": bytes(artifact.deployed_bytecode.as_ref().and_then(|b| b.bytecode.as_ref()).and_then(|b| b.object.as_bytes())),
            });
            (name, value)
        })
        .collect()
}

#[test]
fn artifacts_are_compiled_from_the_sources() {
    let write = env::var_os("BATON_WRITE_ARTIFACTS").is_some();
    for (name, value) in compile() {
        let path = root().join(format!("crates/bindings/artifacts/{name}.json"));
        let text = serde_json::to_string_pretty(&value).unwrap() + "\n";
        if write {
            fs::write(&path, text).unwrap();
        } else {
            let committed = fs::read_to_string(&path).unwrap();
            assert!(
                committed == text,
                "{} is not what contracts/src compiles to; run BATON_WRITE_ARTIFACTS=1 cargo test --workspace --test artifacts",
                path.display()
            );
        }
    }
}
