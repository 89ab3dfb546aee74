//! The transaction vectors of ethers (npm `@ethersproject/testcases`) through our types: bytes, hash and sender, and every vector
//! broken in each of several ways is refused.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use alloy::{
    eips::{
        eip2718::{Decodable2718, Encodable2718},
        eip2930::AccessList,
    },
    hex,
    primitives::{Address, B256, Bytes, TxKind, U256, keccak256, uint},
    rlp::Header,
    signers::{SignerSync, local::PrivateKeySigner},
};
use baton_primitives::{Fields, FieldsError, RecoveredBlock, Transaction, block_body};
use serde_json::Value;
use std::{path::Path, process::Command};

/// Order of secp256k1.
const ORDER: U256 = uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);

/// The vectors of a file; Node unpacks it.
fn vectors(name: &str) -> Vec<Value> {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../anvil/node_modules");
    let file = modules.join(format!("@ethersproject/testcases/testcases/{name}.json.gz"));
    let script = "process.stdout.write(require('zlib').gunzipSync(require('fs').readFileSync(process.argv[1])))";
    let output = Command::new("node").args(["-e", script]).arg(&file).output().expect("node starts");
    assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a node takes from anyone: bytes that are exactly one transaction, signed by someone.
fn read(raw: &[u8]) -> Option<(Transaction, Address)> {
    let transaction = Transaction::decode_2718_exact(raw).ok()?;
    let block = baton_primitives::Block { header: Default::default(), body: block_body(vec![transaction]) };
    let block = RecoveredBlock::recover(block).ok()?;
    Some((block.transactions()[0].clone(), block.senders()[0]))
}

fn number(value: &Value) -> U256 {
    match value {
        Value::String(text) if text == "0x" => U256::ZERO,
        Value::String(text) => text.parse().unwrap(),
        Value::Number(number) => U256::from(number.as_u64().unwrap()),
        Value::Null => U256::ZERO,
        other @ (Value::Bool(_) | Value::Array(_) | Value::Object(_)) => panic!("{other} is no number"),
    }
}

/// The vector's fields; none if one does not fit a transaction that our types hold.
fn fields(tx: &Value, kind: u8, chain_id: Option<u64>) -> Option<Fields> {
    let word = |name: &str| number(&tx[name]);
    let access_list: Option<AccessList> = serde_json::from_value(tx["accessList"].clone()).unwrap();
    let access_list = access_list.unwrap_or_default();
    let price = if kind < 2 { "gasPrice" } else { "maxFeePerGas" };
    let to = tx["to"].as_str().filter(|to| *to != "0x");
    let bytes = |name: &str| tx[name].as_str().map(|data| data.parse::<Bytes>().unwrap());
    Some(Fields {
        kind,
        chain_id,
        nonce: word("nonce").try_into().ok()?,
        gas_limit: word("gasLimit").try_into().ok()?,
        max_fee_per_gas: word(price).try_into().ok()?,
        max_priority_fee_per_gas: word("maxPriorityFeePerGas").try_into().ok()?,
        to: to.map_or(TxKind::Create, |to| TxKind::Call(to.parse().unwrap())),
        value: word("value"),
        input: bytes("data").unwrap_or_default(),
        access_list,
        authorization_list: Vec::new(),
    })
}

/// Checks one vector; false if our types cannot hold it, in which case its bytes must be refused.
fn check(name: &str, fields: Option<Fields>, key: &Value, sender: &Value, raw: &Value) -> bool {
    let raw = hex::decode(raw.as_str().unwrap()).unwrap();
    let Some(fields) = fields else {
        assert_eq!(read(&raw), None, "{name}");
        return false;
    };
    let signer = PrivateKeySigner::from_bytes(&key.as_str().unwrap().parse::<B256>().unwrap()).unwrap();
    let made = fields.sign::<FieldsError>(|hash| Ok(signer.sign_hash_sync(&hash).unwrap())).unwrap();
    assert_eq!(hex::encode(made.encoded_2718()), hex::encode(&raw), "{name}: bytes");
    let (found, from) = read(&raw).unwrap_or_else(|| panic!("{name} is refused"));
    assert_eq!(found, made, "{name}");
    assert_eq!(found.tx_hash(), keccak256(&raw), "{name}: hash");
    assert_eq!(from, sender.as_str().unwrap().parse::<Address>().unwrap(), "{name}: sender");
    for (how, broken) in broken(&raw) {
        assert_eq!(read(&broken), None, "{name}: {how}");
    }
    true
}

/// The transaction, malformed in each way.
fn broken(raw: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let typed = usize::from(raw[0] < 0xc0);
    let mut rest = &raw[typed..];
    Header::decode(&mut rest).unwrap();
    let mut items = Vec::new();
    while !rest.is_empty() {
        let mut body = rest;
        let header = Header::decode(&mut body).unwrap();
        let whole = rest.len() - body.len() + header.payload_length;
        items.push(rest[..whole].to_vec());
        rest = &rest[whole..];
    }
    let join = |items: &[Vec<u8>]| {
        let mut out = raw[..typed].to_vec();
        Header { list: true, payload_length: items.iter().map(Vec::len).sum() }.encode(&mut out);
        out.extend(items.concat());
        out
    };
    let with = |from_end: usize, item: Vec<u8>| {
        let mut items = items.clone();
        let at = items.len() - from_end;
        items[at] = item;
        join(&items)
    };
    let encoded = |number: U256| alloy::rlp::encode(number);
    let item = |from_end: usize| {
        let mut slice = items[items.len() - from_end].as_slice();
        Header::decode(&mut slice)
            .map_or_else(|_| U256::ZERO, |header| U256::from_be_slice(&slice[..header.payload_length]))
    };
    // The same signature in its other form: same hash of the fields, same signer, s in the upper half (EIP-2).
    let mut malleable = items.clone();
    let (v, s) = (items.len() - 3, items.len() - 1);
    let parity = item(3);
    let flipped = if typed == 1 {
        U256::from(1) - parity
    } else if parity.bit(0) {
        parity + U256::from(1)
    } else {
        parity - U256::from(1)
    };
    malleable[v] = encoded(flipped);
    malleable[s] = encoded(ORDER - item(1));
    let mut longer = items.clone();
    longer.push(vec![0x80]);
    let mut zeros = items.clone();
    let value: Vec<u8> = encoded(U256::from(7));
    zeros[0] = [&[0x82, 0][..], &value].concat();
    vec![
        ("a byte follows", [raw, &[0]].concat()),
        ("the last byte is missing", raw[..raw.len() - 1].to_vec()),
        ("the first byte is missing", raw[1..].to_vec()),
        ("s in the upper half", join(&malleable)),
        ("r is zero", with(2, vec![0x80])),
        ("s is zero", with(1, vec![0x80])),
        ("r is the order", with(2, encoded(ORDER))),
        ("v is 5", with(3, vec![5])),
        ("a field more", join(&longer)),
        ("a field less", join(&items[..items.len() - 1])),
        ("a leading zero", join(&zeros)),
        ("type 3", [&[3][..], &raw[typed..]].concat()),
        ("type 5", [&[5][..], &raw[typed..]].concat()),
    ]
}

#[test]
fn legacy_transactions_are_those_of_ethers() {
    let vectors = vectors("transactions");
    assert_eq!(vectors.len(), 1_067);
    let mut held = 0;
    for vector in &vectors {
        let name = vector["name"].as_str().unwrap();
        for (chain_id, raw) in [(None, "signedTransaction"), (Some(5), "signedTransactionChainId5")] {
            let fields = fields(vector, 0, chain_id);
            held += usize::from(check(name, fields, &vector["privateKey"], &vector["accountAddress"], &vector[raw]));
        }
    }
    // The other 166 have a nonce, gas limit or price larger than any block can have, and are refused.
    assert_eq!(held, 1_968);
}

#[test]
fn typed_transactions_are_those_of_ethers() {
    let vectors = vectors("typed-transactions");
    assert_eq!(vectors.len(), 1_792);
    let mut held = 0;
    for vector in &vectors {
        let (name, tx) = (vector["name"].as_str().unwrap(), &vector["tx"]);
        let kind = u8::try_from(tx["type"].as_u64().unwrap()).unwrap();
        let chain_id = u64::try_from(number(&tx["chainId"])).unwrap();
        let fields = fields(tx, kind, Some(chain_id));
        held += usize::from(check(name, fields, &vector["key"], &vector["address"], &vector["signed"]));
    }
    assert_eq!(held, vectors.len());
}

#[test]
fn accounts_are_those_of_ethers() {
    let mut keys = 0;
    for vector in vectors("accounts") {
        let address: Address = vector["address"].as_str().unwrap().parse().unwrap();
        assert_eq!(address.to_checksum(None), vector["checksumAddress"].as_str().unwrap());
        if let Some(key) = vector["privateKey"].as_str() {
            let signer = PrivateKeySigner::from_bytes(&key.parse::<B256>().unwrap()).unwrap();
            assert_eq!(signer.address(), address, "{}", vector["name"]);
            keys += 1;
        }
    }
    assert_eq!(keys, 1_031);
}
