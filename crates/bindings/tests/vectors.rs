//! Vectors that the Solidity tests read: signatures by `blst`, hashes and messages by `baton-primitives`.
//! `BATON_WRITE_VECTORS=1` writes them instead of comparing.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use alloy::primitives::{Address, B256, U256, hex, keccak256};
use baton_bindings::contracts::{IBatchInbox, slasher};
use baton_primitives::{
    BatchIndex, Core, Epoch, Generation, Height, SequencerId, SnapshotId, View, batch_message,
    bls::{PublicKey, SecretKey, Signature},
    data_hash_blobs, data_hash_calldata, possession_message, readiness_message,
};
use serde_json::{Value, json};
use std::{env, fs, path::PathBuf};

fn pin(name: &str, value: &Value) {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors")).join(name);
    let text = serde_json::to_string_pretty(value).unwrap() + "\n";
    if env::var_os("BATON_WRITE_VECTORS").is_some() {
        fs::write(&path, text).unwrap();
    } else {
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "{} has drifted", path.display());
    }
}

fn bytes(data: impl AsRef<[u8]>) -> String {
    hex::encode_prefixed(data)
}

#[test]
fn signatures_of_blst_are_pinned() {
    let secrets: Vec<_> = (1..=8u8).map(|i| SecretKey::from_seed(&[i; 32])).collect();
    let message = |i: usize| keccak256(i.to_string()).to_vec().repeat(i);
    let single: Vec<Value> = secrets
        .iter()
        .enumerate()
        .map(|(i, secret)| {
            json!({
                "key": bytes(secret.public().to_eip2537()),
                "message": bytes(message(i)),
                "possession": bytes(secret.prove_possession(&message(i)).to_eip2537()),
                "secret": bytes(secret.to_bytes()),
                "signature": bytes(secret.sign(&message(i)).to_eip2537()),
            })
        })
        .collect();
    let common = b"one message";
    let signatures: Vec<_> = secrets.iter().map(|s| s.sign(common)).collect();
    let keys: Vec<_> = secrets.iter().map(SecretKey::public).collect();
    let aggregate = json!({
        "key": bytes(PublicKey::aggregate(&keys).unwrap().to_eip2537()),
        "message": bytes(common),
        "signature": bytes(Signature::aggregate(&signatures).unwrap().to_eip2537()),
    });
    pin("bls.json", &json!({ "aggregate": aggregate, "single": single }));
}

#[test]
fn hashes_and_messages_are_pinned() {
    let word = |i: u64| keccak256(i.to_be_bytes());
    let core = Core {
        version: 1,
        generation: Generation::new(2),
        index: BatchIndex::new(3),
        previous: word(4),
        epoch: Epoch::new(5),
        snapshot: SnapshotId::new(6),
        first_height: Height::new(7),
        last_height: Height::new(8),
        last_view: View::new(9),
        last_block: word(10),
        last_timestamp: 11,
        state_root: word(12),
        origin_number: 13,
        origin_hash: word(14),
        deposits: 15,
        withdrawals_root: word(16),
        closing: true,
        fees: U256::from(18),
        performance: word(19),
        next_snapshot: SnapshotId::new(20),
    };
    assert_eq!(Core::from(&IBatchInbox::Core::from(&core)), core);
    assert_eq!(Core::from(&slasher::IBatchInbox::Core::from(&core)), core);
    let (inbox, pool, owner) = (Address::repeat_byte(1), Address::repeat_byte(2), Address::repeat_byte(3));
    let blobs: Vec<B256> = (0..3).map(word).collect();
    let key = SecretKey::from_seed(&[1; 32]).public();
    let ready = readiness_message(31_337, pool, Generation::new(2), SequencerId::new(4), 5, 6, word(7), word(8));
    pin(
        "messages.json",
        &json!({
            "batchMessage": bytes(batch_message(31_337, inbox, core.hash(), data_hash_blobs(&blobs))),
            "blobs": blobs.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "coreHash": core.hash().to_string(),
            "dataHashBlobs": data_hash_blobs(&blobs).to_string(),
            "dataHashCalldata": data_hash_calldata(b"some data").to_string(),
            "key": bytes(key.to_eip2537()),
            "possessionMessage": bytes(possession_message(31_337, pool, owner, &key)),
            "readinessMessage": bytes(ready),
        }),
    );
}
