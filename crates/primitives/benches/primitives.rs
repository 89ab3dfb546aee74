//! What the words of the protocol cost: a transaction's bytes, its sender, a block's bytes.
#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]
#![allow(missing_docs, reason = "nobody calls it")]

use alloy::{
    consensus::{SignableTransaction, TxEip1559, transaction::SignerRecoverable},
    eips::eip2718::{Decodable2718, Encodable2718},
    primitives::{Address, B256, TxKind, U256},
    signers::{SignerSync, local::PrivateKeySigner},
};
use baton_primitives::{Block, Header, RecoveredBlock, Transaction, block_body};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::{hint::black_box, time::Duration};

const TRANSACTIONS: u64 = 1_000;

fn transfer(signer: &PrivateKeySigner, nonce: u64) -> Transaction {
    let transaction = TxEip1559 {
        chain_id: 13_370,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 1_000_000,
        to: TxKind::Call(Address::from_word(B256::from(U256::from(nonce * 7_919)))),
        value: U256::from(1_000_000_007 * nonce),
        ..TxEip1559::default()
    };
    let signature = signer.sign_hash_sync(&transaction.signature_hash()).unwrap();
    transaction.into_signed(signature).into()
}

fn stages(criterion: &mut Criterion) {
    let signer = PrivateKeySigner::from_bytes(&B256::repeat_byte(7)).unwrap();
    let transactions: Vec<_> = (0..TRANSACTIONS).map(|nonce| transfer(&signer, nonce)).collect();
    let one = transactions[1].clone();
    let raw = one.encoded_2718();
    let mut group = criterion.benchmark_group("transaction");
    group.bench_function("decode", |b| b.iter(|| Transaction::decode_2718_exact(black_box(&raw)).unwrap()));
    group.bench_function("encode", |b| b.iter(|| black_box(&one).encoded_2718()));
    group.bench_function("recover sender", |b| b.iter(|| black_box(&one).recover_signer().unwrap()));
    group.bench_function("sign", |b| b.iter(|| signer.sign_hash_sync(black_box(&B256::repeat_byte(3))).unwrap()));
    group.finish();

    let block = Block { header: Header::default(), body: block_body(transactions) };
    let block = RecoveredBlock::recover(block).unwrap();
    let bytes = block.encode();
    let mut group = criterion.benchmark_group("block");
    group.throughput(Throughput::Elements(TRANSACTIONS));
    group.bench_function("encode", |b| b.iter(|| black_box(&block).encode()));
    group.bench_function("decode, senders known", |b| {
        let known: Vec<_> = block.senders().iter().copied().map(Some).collect();
        b.iter(|| RecoveredBlock::decode_with(black_box(&bytes), |_| known.clone()).unwrap());
    });
    group.bench_function("decode and recover", |b| b.iter(|| RecoveredBlock::decode(black_box(&bytes)).unwrap()));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    targets = stages
}
criterion_main!(benches);
