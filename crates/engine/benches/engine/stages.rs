//! One benchmark a stage: a regression has an address.

use crate::{
    probe,
    world::{self, Dice, Nonces, account},
};
use alloy::primitives::Address;
use baton_engine::{BlockRef, Candidate, Engine, Expectation, next_base_fee};
use baton_primitives::RecoveredBlock;
use criterion::{Criterion, Throughput};
use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

const ACCOUNTS: u64 = 20_000;
const TRANSACTIONS: usize = 1_000;

struct World {
    engine: Engine,
    nonces: Nonces,
    dice: Dice,
    token: Address,
    _directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::open(world::config(directory.path())).unwrap();
        let mut nonces = Nonces::default();
        world::seed(&engine, &mut nonces, 0, ACCOUNTS);
        let token = world::token(&engine, &mut nonces, 2_000);
        Self { engine, nonces, dice: Dice(3), token, _directory: directory }
    }

    fn transfers(&mut self) -> Vec<Candidate> {
        world::transfers(&mut self.nonces, &mut self.dice, ACCOUNTS, TRANSACTIONS)
    }

    /// Executes a block of another node and makes it final; the time of the execution.
    fn follow(&self, block: &Arc<RecoveredBlock>) -> Duration {
        let parent = self.engine.header(&block.parent()).unwrap().unwrap();
        let expectation = Expectation { base_fee: next_base_fee(&parent), sweep: false };
        let start = Instant::now();
        self.engine.execute(block, expectation).unwrap();
        let time = start.elapsed();
        world::finalize(&self.engine);
        time
    }

    fn token_transfers(&mut self) -> Vec<Candidate> {
        let mut one = || {
            let (from, to) = (account(self.dice.below(2_000)), account(self.dice.below(2_000)));
            world::token_transfer(self.token, from, self.nonces.next(from), to)
        };
        (0..TRANSACTIONS).map(|_| one()).collect()
    }
}

/// The sum of what the engine itself measured under this name.
fn measured(name: &str) -> Duration {
    Duration::from_secs_f64(probe::take(name).iter().sum())
}

/// Runs every benchmark that the command line does not leave out.
pub(crate) fn run() {
    probe::install();
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut world = World::new();
    execution(&mut criterion, &mut world);
    reads(&mut criterion, &mut world);
    criterion.final_summary();
}

fn execution(criterion: &mut Criterion, world: &mut World) {
    let mut group = criterion.benchmark_group("engine");
    group.throughput(Throughput::Elements(TRANSACTIONS as u64));
    for (name, transactions) in [("transfers", world.transfers()), ("erc20", world.token_transfers())] {
        // A block that is built twice on one parent is one block in the tree.
        for (stage, measure) in [("execute", "baton_engine_run_seconds"), ("roots", "baton_engine_seal_seconds")] {
            let engine = world.engine.clone();
            group.bench_function(format!("{stage}/{name}"), |bencher| {
                bencher.iter_custom(|rounds| {
                    measured(measure);
                    (0..rounds).for_each(|_| drop(world::build_on_final(&engine, transactions.clone())));
                    measured(measure)
                });
            });
        }
        world::build_on_final(&world.engine, transactions);
        world::finalize(&world.engine);
    }
    group.bench_function("commit/transfers", |bencher| {
        bencher.iter_custom(|rounds| {
            measured("baton_engine_finalize_seconds");
            (0..rounds).for_each(|_| {
                let transactions = world.transfers();
                world::block(&world.engine, transactions);
            });
            measured("baton_engine_finalize_seconds")
        });
    });
    // Another node of the same chain, which has not executed what this one builds.
    let other = World::new();
    for height in other.engine.head().0 + 1..=world.engine.head().0 {
        other.follow(&world.engine.block_at(height).unwrap().unwrap());
    }
    group.bench_function("verify/transfers", |bencher| {
        bencher.iter_custom(|rounds| {
            let mut time = Duration::ZERO;
            for _ in 0..rounds {
                let transactions = world.transfers();
                let block = world::build(&world.engine, transactions).block.clone();
                world::finalize(&world.engine);
                time += other.follow(&block);
            }
            time
        });
    });
    group.finish();
}

fn reads(criterion: &mut Criterion, world: &mut World) {
    for _ in 0..8 {
        let transactions = world.token_transfers();
        world::block(&world.engine, transactions);
    }
    let engine = &world.engine;
    let head = engine.head().0;
    let hash = engine.block_at(head - 3).unwrap().unwrap().transactions()[7].tx_hash();
    let mut group = criterion.benchmark_group("engine-read");
    group.bench_function("receipts", |bencher| bencher.iter(|| engine.receipts_at(black_box(head - 3)).unwrap()));
    group.bench_function("block", |bencher| bencher.iter(|| engine.block_at(black_box(head - 3)).unwrap()));
    group.bench_function("transaction", |bencher| bencher.iter(|| engine.transaction(black_box(&hash)).unwrap()));
    let mut dice = Dice(5);
    group.bench_function("balance", |bencher| {
        bencher.iter(|| engine.state(BlockRef::Final).unwrap().balance(account(dice.below(ACCOUNTS))).unwrap());
    });
    group.bench_function("balance/past", |bencher| {
        bencher
            .iter(|| engine.state(BlockRef::Height(head - 5)).unwrap().balance(account(dice.below(ACCOUNTS))).unwrap());
    });
    group.finish();
}
