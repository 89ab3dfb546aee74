//! What turning final blocks into batch data costs.
#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]
#![allow(missing_docs, reason = "nobody calls it")]

use alloy::{
    consensus::{SignableTransaction, TxEip1559},
    primitives::{Address, Bytes, Signature, TxKind, U256, keccak256},
};
use baton_batch::{BlockFacts, BlockInput, Cutter, decode, encode, pack_blobs, unpack_blobs, versioned_hash};
use baton_primitives::{Height, Parameters, Transaction, View};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::{hint::black_box, time::Duration};

const BLOCKS: u64 = 20;
const EACH: u64 = 150;
const CHAIN: u64 = 13_370;

/// Someone's transaction to one of 500 accounts; ERC-20 transfers have the token's address and 68 bytes of input.
fn transaction(number: u64, erc20: bool) -> Transaction {
    let seed = keccak256(number.to_be_bytes());
    let someone = Address::from_word(keccak256([(seed[0] % 25), seed[1] % 20]));
    let (to, input, value) = if erc20 {
        let amount = U256::from(u64::from(seed[2]) * 1_000_000).to_be_bytes::<32>();
        let input = [&[0xa9, 0x05, 0x9c, 0xbb], someone.into_word().as_slice(), &amount].concat();
        (Address::repeat_byte(0x70), Bytes::from(input), U256::ZERO)
    } else {
        (someone, Bytes::new(), U256::from(u64::from(seed[2]) * 1_000_000_000_000_000))
    };
    let transaction = TxEip1559 {
        chain_id: CHAIN,
        nonce: u64::from(seed[3]),
        gas_limit: if erc20 { 60_000 } else { 21_000 },
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 1_000_000,
        to: TxKind::Call(to),
        value,
        input,
        ..TxEip1559::default()
    };
    let signature = Signature::new(seed.into(), keccak256(seed).into(), seed[4] & 1 == 1);
    transaction.into_signed(signature).into()
}

fn blocks(erc20: bool) -> Vec<BlockInput> {
    let block = |height: u64| BlockInput {
        time_millis: 1_700_000_000_000 + 50 * height,
        view: View::new(height + 1),
        parent_view: View::new(height),
        origin: height / 20,
        transactions: (0..EACH).map(|index| transaction(height * EACH + index, erc20)).collect(),
    };
    (0..BLOCKS).map(block).collect()
}

fn stages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batch");
    group.throughput(Throughput::Elements(BLOCKS * EACH));
    let mut data = Vec::new();
    for (name, erc20) in [("transfers", false), ("erc20", true)] {
        let blocks = blocks(erc20);
        data = encode(&blocks, CHAIN).unwrap();
        group.bench_function(format!("encode/{name}"), |b| b.iter(|| encode(black_box(&blocks), CHAIN).unwrap()));
        group.bench_function(format!("decode/{name}"), |b| b.iter(|| decode(black_box(&data), CHAIN).unwrap()));
    }
    group.finish();

    let mut group = criterion.benchmark_group("batch");
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("cut", |b| {
        let parameters = Parameters::devnet();
        b.iter(|| {
            let mut cutter = Cutter::new(&parameters, Height::ZERO);
            let facts = |height: u64| BlockFacts {
                height: Height::new(height),
                time_millis: 50 * height,
                data_bytes: 20_000,
                closes_epoch: height % 240 == 239,
            };
            (1..=10_000).map(|height| cutter.push(&facts(height)).unwrap().len()).sum::<usize>()
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("blob");
    let blobs = pack_blobs(&data).unwrap();
    group.bench_function("pack", |b| b.iter(|| pack_blobs(black_box(&data)).unwrap()));
    group.bench_function("unpack", |b| b.iter(|| unpack_blobs(black_box(&blobs)).unwrap()));
    group.sample_size(10);
    group.bench_function("commitment", |b| b.iter(|| versioned_hash(black_box(&blobs[0][..])).unwrap()));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    targets = stages
}
criterion_main!(benches);
