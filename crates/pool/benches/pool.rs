//! What the pool's work costs, and how that grows with its backlog.
//!
//! Without a verb: criterion (`just bench-stages`). `growth` prints a Markdown table.
#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]
#![allow(clippy::print_stdout, reason = "tables go to standard output")]
#![allow(missing_docs, reason = "nobody calls it")]

use alloy::{
    consensus::{SignableTransaction, TxEip1559, transaction::SignerRecoverable},
    eips::eip2718::Encodable2718,
    primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256},
};
use baton_pool::{Account, Config, Pool, State, StateError};
use baton_primitives::{Block, Header, RecoveredBlock, Transaction, block_body};
use criterion::{BatchSize, Criterion, Throughput};
use rayon::prelude::*;
use std::{
    collections::HashSet,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

const CHAIN: u64 = 13_370;
const BASE_FEE: u64 = 1_000_000;

/// Everybody is rich and has sent so many transactions.
#[derive(Clone, Default)]
struct Everybody(Arc<AtomicU64>);

impl State for Everybody {
    fn account(&self, _: Address) -> Result<Account, StateError> {
        let nonce = self.0.load(Ordering::Relaxed);
        Ok(Account { balance: U256::from(u128::MAX), nonce, ..Account::default() })
    }

    fn is_final(&self, _: &B256) -> Result<bool, StateError> {
        Ok(false)
    }
}

/// Those of some signatures that nobody made from which a sender can be recovered (every second one): a transaction each, from as
/// many accounts.
fn transactions(from: u64, count: u64) -> Vec<Transaction> {
    let one = |number: u64| {
        let seed = keccak256(number.to_be_bytes());
        let transaction = TxEip1559 {
            chain_id: CHAIN,
            nonce: 0,
            gas_limit: 21_000,
            max_fee_per_gas: 2_000_000_000,
            max_priority_fee_per_gas: u128::from(u16::from_be_bytes([seed[0], seed[1]])),
            to: TxKind::Call(Address::from_word(seed)),
            value: U256::from(1),
            ..TxEip1559::default()
        };
        let half = U256::from_be_bytes(keccak256(seed).0) >> 1;
        let signed: Transaction = transaction.into_signed(Signature::new(seed.into(), half, seed[2] & 1 == 1)).into();
        signed.recover_signer().is_ok().then_some(signed)
    };
    let mut found: Vec<_> = (from..from + 2 * count + 200).into_par_iter().filter_map(one).collect();
    assert!(found.len() >= usize::try_from(count).unwrap());
    found.truncate(usize::try_from(count).unwrap());
    found
}

fn raw(transactions: &[Transaction]) -> Vec<Bytes> {
    transactions.iter().map(|transaction| transaction.encoded_2718().into()).collect()
}

fn pool(limit: usize) -> Pool {
    pool_over(limit, Everybody::default())
}

fn pool_over(limit: usize, state: Everybody) -> Pool {
    let mut config = Config::new(CHAIN, 60_000_000);
    config.limits.max_transactions = limit;
    config.limits.max_bytes = usize::MAX;
    Pool::open(config, state).unwrap()
}

fn main() {
    if std::env::args().any(|argument| argument == "growth") {
        return growth();
    }
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    stages(&mut criterion);
    criterion.final_summary();
}

fn stages(criterion: &mut Criterion) {
    let full = pool(20_000);
    full.admit_all(&raw(&transactions(1 << 40, 10_000)));
    let some = transactions(0, 1_000);
    let bytes = raw(&some);
    let empty = || {
        let pool = pool(20_000);
        (pool, bytes.clone())
    };
    let mut group = criterion.benchmark_group("pool");
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("admit", |b| {
        let admit = |(pool, raw): (Pool, Vec<Bytes>)| {
            assert!(raw.iter().all(|raw| pool.admit(raw).is_ok()));
            pool
        };
        b.iter_batched(empty, admit, BatchSize::PerIteration);
    });
    group.bench_function("admit/batch", |b| {
        let admit = |(pool, raw): (Pool, Vec<Bytes>)| {
            assert!(pool.admit_all(&raw).iter().all(Result::is_ok));
            pool
        };
        b.iter_batched(empty, admit, BatchSize::PerIteration);
    });
    group.bench_function("refuse known", |b| {
        let known = pool(20_000);
        known.admit_all(&bytes);
        b.iter(|| bytes.iter().filter(|raw| known.admit(raw).is_ok()).count());
    });
    group.bench_function("best 1000 of 10000", |b| b.iter(|| full.best(BASE_FEE).take(1_000).count()));
    group.bench_function("on_final", |b| {
        let block = block(some.clone());
        let filled = || {
            let state = Everybody::default();
            let pool = pool_over(20_000, state.clone());
            pool.admit_all(&bytes);
            state.0.store(1, Ordering::Relaxed);
            pool
        };
        let include = |pool: Pool| {
            pool.on_final(&block);
            pool
        };
        b.iter_batched(filled, include, BatchSize::PerIteration);
    });
    group.finish();
    let mut group = criterion.benchmark_group("pool");
    group.bench_function("has_payable", |b| b.iter(|| full.has_payable(BASE_FEE, black_box(&HashSet::new()))));
    group.finish();
}

fn block(transactions: Vec<Transaction>) -> RecoveredBlock {
    RecoveredBlock::recover(Block { header: Header::default(), body: block_body(transactions) }).unwrap()
}

/// The best of some runs: the machine does other things too.
fn least<T>(mut run: impl FnMut() -> T) -> Duration {
    let times = (0..5).map(|_| {
        let start = Instant::now();
        black_box(run());
        start.elapsed()
    });
    times.min().unwrap_or_default()
}

fn growth() {
    const PROBE: u64 = 2_000;
    println!("\nThe pool by its backlog, each of another account; admission recovers the sender:\n");
    println!(
        "| waiting | admit one by one, us | in batches of 100, us | best 2,000, ms | payable? us | finalize 2,000, ms |"
    );
    println!("|---:|---:|---:|---:|---:|---:|");
    for backlog in [0, 1_000, 10_000, 100_000, 1_000_000] {
        let state = Everybody::default();
        let pool = pool_over(2_000_000, state.clone());
        for some in raw(&transactions(1 << 40, backlog)).chunks(10_000) {
            pool.admit_all(some);
        }
        let singles = transactions(1 << 41, PROBE);
        let start = Instant::now();
        assert!(raw(&singles).iter().all(|raw| pool.admit(raw).is_ok()));
        let one = start.elapsed();
        let batches = raw(&transactions(1 << 42, PROBE));
        let start = Instant::now();
        assert!(batches.chunks(100).all(|some| pool.admit_all(some).iter().all(Result::is_ok)));
        let batch = start.elapsed();
        let best = least(|| pool.best(BASE_FEE).take(2_000).count());
        let nothing: HashSet<B256> = HashSet::new();
        let payable = least(|| pool.has_payable(BASE_FEE, &nothing));
        let block = block(singles);
        state.0.store(1, Ordering::Relaxed);
        let start = Instant::now();
        pool.on_final(&block);
        let included = start.elapsed();
        let us = |time: Duration| time.as_secs_f64() * 1e6 / PROBE as f64;
        println!(
            "| {backlog} | {:.1} | {:.1} | {:.2} | {:.1} | {:.2} |",
            us(one),
            us(batch),
            best.as_secs_f64() * 1e3,
            payable.as_secs_f64() * 1e6,
            included.as_secs_f64() * 1e3
        );
    }
}
