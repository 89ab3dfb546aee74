//! Whatever comes over the wire, the node answers it by name or drops it: no panic, no fault of its own, memory bounded.
//!
//! ```text
//! seeds (examples of rpc.discover, torture, signed transactions) -mutate-> { body -> dispatcher | raw -> pool | frame -> socket }
//! ```
//!
//! `BATON_FUZZ_INPUTS` says how many inputs (a few thousand without it), `BATON_FUZZ_SEED` which ones: the same seed gives the
//! same inputs.
#![allow(clippy::print_stdout, reason = "what was done is the proof")]

use super::*;
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxEnvelope, TxLegacy},
    eips::{eip2718::Encodable2718, eip7702::Authorization},
    network::TxSignerSync,
    primitives::TxKind,
    rpc::types::{AccessList, AccessListItem},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde::de::IgnoredAny;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, tcp::OwnedWriteHalf},
};

/// Inputs without `BATON_FUZZ_INPUTS`: seconds.
const FEW: usize = 4_000;
/// Of ten inputs so many are bodies.
const BODIES: usize = 5;
/// Of ten inputs so many are raw transactions; the rest are frames.
const RAW: usize = 4;
/// Longest input, bytes.
const LONGEST: usize = 20_000;
/// What the process may grow by after the first tenth: caches, pools and filters that fill up to their limits.
const MOST_GROWTH: u64 = 256 << 20;
/// Frames over one connection.
const FRAMES: usize = 100;

/// Panics anywhere in the process since the hook is in.
static PANICS: AtomicUsize = AtomicUsize::new(0);

fn count_panics() {
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let show = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            show(panic);
        }));
    });
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1_024
}

/// Counts inputs, and looks at memory and panics now and then.
struct Watch {
    what: &'static str,
    seed: u64,
    count: usize,
    done: usize,
    before: Option<u64>,
}

impl Watch {
    fn new(what: &'static str, share: usize) -> (Self, StdRng) {
        count_panics();
        let inputs = setting("BATON_FUZZ_INPUTS").map_or(FEW, |n| usize::try_from(n).unwrap());
        let seed = setting("BATON_FUZZ_SEED").unwrap_or(1);
        let watch = Self { what, seed, count: (inputs * share).div_ceil(10), done: 0, before: None };
        (watch, StdRng::seed_from_u64(seed))
    }

    fn goes_on(&self) -> bool {
        self.done < self.count
    }

    fn step(&mut self, input: &[u8]) {
        self.done += 1;
        self.check(PANICS.load(Ordering::SeqCst) == 0, "a task panicked", input);
        if self.done == self.count.div_ceil(10) {
            self.before = Some(resident());
        }
        if self.done.is_multiple_of(1_000)
            && let Some(before) = self.before
        {
            let grown = resident().saturating_sub(before);
            self.check(grown <= MOST_GROWTH, &format!("{} MB more memory", grown >> 20), input);
        }
    }

    /// Fails with what is needed to see it again.
    fn check(&self, good: bool, wrong: &str, input: &[u8]) {
        let (what, seed, done) = (self.what, self.seed, self.done);
        assert!(
            good,
            "{what}, seed {seed}, input {done}: {wrong}\n{}",
            String::from_utf8_lossy(&input[..input.len().min(2_000)])
        );
    }

    fn end(self) {
        let grown = self.before.map_or(0, |before| resident().saturating_sub(before));
        println!("{}: {} inputs of seed {}, {} MB more memory", self.what, self.done, self.seed, grown >> 20);
        assert_eq!(self.done, self.count);
    }
}

/// Pieces that parsers and handlers stumble over.
const PIECES: &[&str] = &[
    "null",
    "true",
    "-1",
    "1e309",
    "1e-400",
    "18446744073709551616",
    "\"\"",
    "\"0x\"",
    "\"0x0\"",
    "\"latest\"",
    "\"pending\"",
    "\"0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\"",
    "\"0xFFFFFFFFFFFFFFFF\"",
    "\"0x8000000000000000\"",
    "{}",
    "[]",
    "[[[[[[[[",
    "]]]]]]]]",
    "{\"a\":",
    "\\u0000",
    "\\ud800",
    "\u{feff}",
    ",",
    ":",
    "\"",
    "}",
    "]",
    " ",
    "\n",
    "\"blockHash\":",
    "\"fromBlock\":\"0x0\",",
    "\"gas\":\"0xffffffffffffffff\",",
    "\"id\":",
    "\"jsonrpc\":\"2.0\",",
    "\"params\":",
    "\"topics\":[[]],",
    "\"stateOverrides\":{},",
    "\"tracer\":\"callTracer\",",
    "\"tracerConfig\":{\"onlyTopCall\":1},",
];

/// Changes some bytes, at random places: one, a stretch, a piece put in, or a stretch of another seed.
fn mutate(rng: &mut StdRng, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    for _ in 0..rng.random_range(1..=4) {
        let at = rng.random_range(0..=bytes.len());
        let end = (at + rng.random_range(0..=32)).min(bytes.len());
        match rng.random_range(0..6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = rng.random(),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let stretch = bytes[at..end].repeat(rng.random_range(1..=8));
                bytes.splice(at..at, stretch);
            }
            4 => {
                let piece = PIECES.choose(rng).unwrap();
                bytes.splice(at..at, piece.bytes());
            }
            _ => {
                let other = seeds.choose(rng).unwrap();
                let from = rng.random_range(0..=other.len());
                let to = (from + rng.random_range(0..=200)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
        }
    }
    bytes.truncate(LONGEST);
}

/// Replaces one value somewhere in a document.
fn mutate_value(rng: &mut StdRng, value: &mut Value) {
    let inner: Vec<&mut Value> = match value {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(members) => members.values_mut().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    let count = inner.len();
    if count > 0 && rng.random_ratio(4, 5) {
        let chosen = rng.random_range(0..count);
        return mutate_value(rng, inner.into_iter().nth(chosen).unwrap());
    }
    let piece = PIECES.choose(rng).unwrap();
    *value = match serde_json::from_str(piece) {
        Ok(new) => new,
        Err(_) if rng.random() => json!([value.clone(), value.clone()]),
        Err(_) => json!("0x".to_owned() + &"ab".repeat(rng.random_range(0..600))),
    };
}

/// A request for every method, with the examples of `rpc.discover`; several at once; and what is no request.
async fn bodies(world: &World) -> (Vec<Value>, Vec<Vec<u8>>) {
    let document = world.result("rpc.discover", json!([])).await;
    let schema = |schema: &Value| match schema["$ref"].as_str() {
        Some(path) => document["components"]["schemas"][path.rsplit('/').next().unwrap()]["examples"][0].clone(),
        None => json!([]),
    };
    let request = |(id, method): (usize, &Value)| {
        let params: Vec<Value> = method["params"].as_array().unwrap().iter().map(|p| schema(&p["schema"])).collect();
        json!({ "jsonrpc": "2.0", "id": id, "method": method["name"], "params": params })
    };
    let mut requests: Vec<Value> = document["methods"].as_array().unwrap().iter().enumerate().map(request).collect();
    let code = json!({ NOBODY.to_string(): { "code": "0x365f5f375f5f365f345af1", "stateDiff": { B256::ZERO.to_string(): B256::ZERO } } });
    let call = json!({ "from": NOBODY, "to": NOBODY, "data": "0xdeadbeef", "gas": "0x30d40" });
    for (method, params) in [
        ("eth_call", json!([call, "latest", code, { "number": "0x5", "time": "0x5" }])),
        ("debug_traceCall", json!([call, "latest", { "tracer": "callTracer", "stateOverrides": code }])),
        ("debug_traceCall", json!([call, "0x1", { "stateOverrides": code, "disableStack": true }])),
        (
            "eth_simulateV1",
            json!([{ "blockStateCalls": [{ "stateOverrides": code, "calls": [call, call] }, {}] }, "latest"]),
        ),
        (
            "eth_getLogs",
            json!([{ "fromBlock": "0x0", "toBlock": "0x2", "address": [NOBODY], "topics": [null, [B256::ZERO]] }]),
        ),
        ("eth_getProof", json!([NOBODY, [B256::ZERO, "0x1"], { "blockNumber": "0x1" }])),
        ("eth_sendRawTransaction", json!([Bytes::from(transactions()[0].clone())])),
    ] {
        requests.push(json!({ "jsonrpc": "2.0", "id": "x", "method": method, "params": params }));
    }
    let mut seeds: Vec<Vec<u8>> = requests.iter().map(|request| request.to_string().into_bytes()).collect();
    seeds.push(json!(requests[..20]).to_string().into_bytes());
    seeds.extend(
        ["[]", "[1,2]", "{}", "\"x\"", "[[]]", "nul", "{\"jsonrpc\":\"2.0\",\"method\":\"eth_chainId\"}"]
            .map(Into::into),
    );
    (requests, seeds)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_body_makes_the_dispatcher_fail() {
    let world = World::paused().await;
    world.seal(Vec::new()).await;
    let config = Config {
        sync_timeout: Duration::from_millis(1),
        max_sync_timeout: Duration::from_millis(1),
        max_filters: 100,
        ..Config::default()
    };
    let server = Server::new(config, Arc::clone(&world.backend));
    let (requests, seeds) = bodies(&world).await;
    let (mut watch, mut rng) = Watch::new("bodies", BODIES);
    let mut named = 0;
    while watch.goes_on() {
        let mut body = if rng.random() {
            let mut request = requests.choose(&mut rng).unwrap().clone();
            for _ in 0..rng.random_range(1..=3) {
                mutate_value(&mut rng, &mut request);
            }
            request.to_string().into_bytes()
        } else {
            seeds.choose(&mut rng).unwrap().clone()
        };
        if rng.random() {
            mutate(&mut rng, &mut body, &seeds);
        }
        watch.step(&body);
        if let Some(answer) = server.answer(&body).await {
            let text = String::from_utf8(answer).unwrap_or_default();
            watch.check(serde_json::from_str::<IgnoredAny>(&text).is_ok(), "the answer is not JSON", &body);
            watch.check(!text.contains("\"code\":-32603"), "the node's own fault", &body);
            named += usize::from(text.contains("\"error\""));
        }
    }
    // Both kinds come up: what is refused, and what gets through.
    assert!(named > watch.done / 4 && named < watch.done, "{named} errors");
    watch.end();
}

/// One of every type that the pool takes, and some that it does not.
fn transactions() -> Vec<Vec<u8>> {
    let (chain_id, to, gas_limit) = (Parameters::devnet().l2_chain_id, TxKind::Call(NOBODY), 200_000);
    let access_list = AccessList(vec![AccessListItem { address: NOBODY, storage_keys: vec![B256::ZERO; 2] }]);
    let authorization = Authorization { chain_id: U256::ZERO, address: NOBODY, nonce: 0 };
    let signature = alloy::signers::SignerSync::sign_hash_sync(&signer(2), &authorization.signature_hash()).unwrap();
    let authorization_list = vec![authorization.into_signed(signature)];
    let (max_fee_per_gas, max_priority_fee_per_gas) = (2_000_000_000, 1_000);
    fn sign<T: SignableTransaction<alloy::primitives::Signature>>(mut transaction: T) -> Vec<u8>
    where
        TxEnvelope: From<alloy::consensus::Signed<T>>,
    {
        let signature = signer(RICH).sign_transaction_sync(&mut transaction).unwrap();
        TxEnvelope::from(transaction.into_signed(signature)).encoded_2718()
    }
    vec![
        sign(TxEip1559 { chain_id, gas_limit, to, max_fee_per_gas, max_priority_fee_per_gas, ..TxEip1559::default() }),
        sign(TxLegacy { chain_id: Some(chain_id), gas_price: max_fee_per_gas, gas_limit, to, ..TxLegacy::default() }),
        sign(TxLegacy { gas_price: max_fee_per_gas, gas_limit, to, ..TxLegacy::default() }),
        sign(TxEip2930 {
            chain_id,
            gas_price: max_fee_per_gas,
            gas_limit,
            to,
            access_list: access_list.clone(),
            ..TxEip2930::default()
        }),
        sign(TxEip1559 {
            chain_id,
            gas_limit,
            to: TxKind::Create,
            input: vec![0x5f; 300].into(),
            max_fee_per_gas,
            max_priority_fee_per_gas,
            access_list,
            ..TxEip1559::default()
        }),
        sign(TxEip7702 {
            chain_id,
            gas_limit,
            to: NOBODY,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            authorization_list,
            ..TxEip7702::default()
        }),
        vec![0x7e, 0xf8, 0x4f],
        vec![0x03, 0xc0],
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_raw_transaction_makes_the_pool_fail() {
    let world = World::paused().await;
    let (mut watch, mut rng) = Watch::new("raw transactions", RAW);
    let seeds = transactions();
    for (index, raw) in seeds.iter().enumerate() {
        let taken = world.ledger.pool.admit(raw);
        // All are of one nonce at about one price: the first stays, unless it is replaced.
        assert!(index > 0 || taken.is_ok(), "{taken:?}");
    }
    let (mut taken, mut refused) = (0usize, 0usize);
    while watch.goes_on() {
        let mut raw = seeds.choose(&mut rng).unwrap().clone();
        if rng.random_ratio(1, 50) {
            // Well-formed, with random values, so that some get through.
            let most = 1u128 << rng.random_range(1..100);
            let mut transaction = TxEip1559 {
                chain_id: Parameters::devnet().l2_chain_id,
                nonce: rng.random_range(0..20),
                gas_limit: rng.random_range(0..400_000),
                max_fee_per_gas: rng.random_range(0..most),
                max_priority_fee_per_gas: rng.random_range(0..3_000_000),
                to: TxKind::Call(NOBODY),
                value: U256::from(rng.random::<u64>()),
                input: vec![rng.random(); rng.random_range(0..5_000)].into(),
                ..TxEip1559::default()
            };
            let signature = signer(rng.random_range(1..=4)).sign_transaction_sync(&mut transaction).unwrap();
            raw = TxEnvelope::from(transaction.into_signed(signature)).encoded_2718();
        } else {
            mutate(&mut rng, &mut raw, &seeds);
        }
        watch.step(&raw);
        match world.ledger.pool.admit(&raw) {
            Ok(_) => taken += 1,
            Err(refusal) => {
                watch.check(!refusal.to_string().is_empty(), "refused without a word", &raw);
                refused += 1;
            }
        }
        if watch.done.is_multiple_of(2_000) {
            // A block takes some and rejects what cannot pay.
            world.seal(Vec::new()).await;
        }
    }
    let counts = world.ledger.pool.counts();
    assert!(counts.ready + counts.queued <= 4 * 16, "{counts:?}: four accounts have sixteen places each");
    assert!(taken > 0 && refused > taken, "{taken} taken, {refused} refused");
    watch.end();
}

/// A frame as a client sends it, rightly or not.
fn frame(rng: &mut StdRng, payload: &[u8]) -> Vec<u8> {
    let is_wrong = rng.random_ratio(1, 8);
    // Text, binary, ping, pong, a continuation; or any.
    let first = if is_wrong { rng.random() } else { *[0x81u8, 0x82, 0x89, 0x8a, 0x01, 0x80].choose(rng).unwrap() };
    let is_control = first & 0x08 != 0;
    let payload = if is_control && !is_wrong { &payload[..payload.len().min(125)] } else { payload };
    let mut out = vec![first];
    let length = payload.len();
    let masked = if rng.random_ratio(1, 50) { 0 } else { 0x80 };
    match length {
        0..=125 => out.push(masked | u8::try_from(length).unwrap()),
        126..=65_535 => {
            out.push(masked | 126);
            out.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    if rng.random_ratio(1, 100) {
        // A length that is not so: up to 2^63 bytes that never come.
        out.truncate(1);
        out.push(masked | 127);
        out.extend(rng.random::<u64>().to_be_bytes());
    }
    let mask: [u8; 4] = rng.random();
    if masked > 0 {
        out.extend(mask);
    }
    out.extend(
        payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| if masked > 0 { byte ^ mask } else { *byte }),
    );
    out
}

/// A WebSocket by hand: what it is sent is read and dropped.
async fn open(world: &World) -> OwnedWriteHalf {
    let mut socket = TcpStream::connect(world.address).await.unwrap();
    let head = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
    let (mut reader, writer) = socket.into_split();
    tokio::spawn(async move {
        let mut sink = [0; 16_384];
        while reader.read(&mut sink).await.is_ok_and(|read| read > 0) {}
    });
    writer
}

#[tokio::test(flavor = "multi_thread")]
async fn no_frame_makes_the_server_fail() {
    let world = World::paused().await;
    world.seal(Vec::new()).await;
    let (mut watch, mut rng) = Watch::new("frames", 10 - BODIES - RAW);
    let (_, mut seeds) = bodies(&world).await;
    for kind in ["newHeads", "logs", "newPendingTransactions", "syncing"] {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": [kind] });
        seeds.push(request.to_string().into_bytes());
    }
    while watch.goes_on() {
        let mut socket = open(&world).await;
        for _ in 0..FRAMES {
            if !watch.goes_on() {
                break;
            }
            let mut payload = seeds.choose(&mut rng).unwrap().clone();
            if rng.random_ratio(3, 4) {
                mutate(&mut rng, &mut payload, &seeds);
            }
            let frame = frame(&mut rng, &payload);
            watch.step(&frame);
            if socket.write_all(&frame).await.is_err() {
                break;
            }
        }
        drop(socket);
        // It still serves others.
        assert_eq!(world.result("eth_blockNumber", json!([])).await, "0x1");
    }
    watch.end();
}
