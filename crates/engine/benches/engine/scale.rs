//! Whole blocks on states, chains and blocks of every size, as Markdown tables.

use crate::{
    bare::{self, Keep},
    probe,
    world::{self, Dice, HASHES, Nonces, STORAGE, SWAP, account, call},
};
use alloy::{
    primitives::{Address, U256},
    rpc::types::Filter,
};
use baton_engine::{BlockRef, Candidate, Config, Engine};
use redb::{ReadableDatabase, TableHandle};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// Transfers of the block that the goals speak of.
const TRANSFERS: usize = 2_000;

/// What a block cost, each list ascending, seconds.
struct Costs {
    /// From the first to the last, until all are on disk, by their number.
    mean: f64,
    /// Until it is final: readers see it, and the next one can be built.
    total: Vec<f64>,
    run: Vec<f64>,
    seal: Vec<f64>,
    /// Writing, beside what follows; several blocks are written together.
    write: f64,
    /// Processor time of one block, seconds.
    cpu: f64,
    /// Bytes written to disk for one block.
    written: f64,
}

/// As a node writes: several blocks together.
fn config(directory: &Path) -> Config {
    Config { sync_interval: Duration::from_millis(500), ..world::config(directory) }
}

/// A new chain in `directory` with so many accounts.
fn chain(directory: &Path, accounts: u64) -> (Engine, Nonces) {
    let engine = Engine::open(config(directory)).unwrap();
    let mut nonces = Nonces::default();
    world::seed(&engine, &mut nonces, 0, accounts);
    (engine, nonces)
}

/// Executes, seals and commits `rounds` blocks of transfers among random accounts, after half as many that do not count.
fn blocks(engine: &Engine, nonces: &mut Nonces, accounts: u64, transfers: usize, rounds: usize) -> Costs {
    let mut dice = Dice(7);
    let blocks: Vec<_> =
        (0..rounds + rounds / 2).map(|_| world::transfers(nonces, &mut dice, accounts, transfers)).collect();
    let mut blocks = blocks.into_iter();
    for transactions in blocks.by_ref().take(rounds / 2) {
        world::build(engine, transactions);
        world::finalize(engine);
    }
    measured(engine, blocks)
}

/// Executes, seals and commits these blocks.
fn measured(engine: &Engine, blocks: impl ExactSizeIterator<Item = Vec<Candidate>>) -> Costs {
    let rounds = blocks.len() as f64;
    engine.sync().unwrap();
    for name in ["run", "seal", "write"] {
        probe::take(&format!("baton_engine_{name}_seconds"));
    }
    let mut total = Vec::with_capacity(blocks.len());
    let (start, spent, before) = (Instant::now(), probe::cpu(), probe::written());
    for transactions in blocks {
        let start = Instant::now();
        world::build(engine, transactions);
        world::finalize(engine);
        total.push(start.elapsed().as_secs_f64());
    }
    engine.sync().unwrap();
    let mean = start.elapsed().as_secs_f64() / rounds;
    let (cpu, written) = ((probe::cpu() - spent) / rounds, (probe::written() - before) as f64 / rounds);
    total.sort_unstable_by(f64::total_cmp);
    let [run, seal, write] = ["run", "seal", "write"].map(|name| probe::take(&format!("baton_engine_{name}_seconds")));
    Costs { mean, total, run, seal, write: write.iter().sum::<f64>() / rounds, cpu, written }
}

fn row(name: &str, costs: &Costs) -> String {
    let p50 = |times: &[f64]| probe::percentile(times, 50);
    format!(
        "| {name} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
        costs.mean * 1_000.0,
        p50(&costs.total),
        probe::percentile(&costs.total, 90),
        p50(&costs.run),
        p50(&costs.seal),
        costs.write * 1_000.0,
        costs.cpu * 1_000.0,
        costs.written / 1e6
    )
}

const COSTS: &str = "mean ms | p50 ms | p90 ms | execute | roots | write (mean) | CPU | MB written |";

/// Blocks of 2,000 transfers on states of these sizes.
pub(crate) fn block(sizes: &[u64]) {
    probe::install();
    println!(
        "| accounts | {COSTS} MB resident | MB on disk |\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    );
    for accounts in sizes {
        let directory = tempfile::tempdir().unwrap();
        let (engine, mut nonces) = chain(directory.path(), *accounts);
        let costs = blocks(&engine, &mut nonces, *accounts, TRANSFERS, 40);
        let (resident, _) = probe::memory();
        println!("{} {resident} | {} |", row(&accounts.to_string(), &costs), probe::disk(directory.path()) / 1_000_000);
    }
}

/// The time of the transactions of a block, per transaction, against revm alone on the same ones.
pub(crate) fn mix(accounts: u64, rounds: u64) {
    const EACH: u64 = 2_000;
    probe::install();
    let directory = tempfile::tempdir().unwrap();
    let (engine, mut nonces) = chain(directory.path(), accounts);
    let token = world::token(&engine, &mut nonces, accounts.min(20_000));
    let mut dice = Dice(11);
    let mut one = |kind: usize, nonces: &mut Nonces| -> Candidate {
        let holders = accounts.min(20_000);
        let (from, to) = (account(dice.below(holders)), account(dice.below(holders)));
        let nonce = nonces.next(from);
        match kind {
            0 => world::transfer(from, nonce, to),
            1 => world::token_transfer(token, from, nonce, to),
            2 => call(from, nonce, SWAP, U256::from(1_000_000).to_be_bytes_vec().into()),
            3 => call(from, nonce, HASHES, Default::default()),
            _ => call(from, nonce, STORAGE, Default::default()),
        }
    };
    println!("| transactions | Baton us | revm, one journal us | revm, commit each us | Baton / better revm |");
    println!("|---|---:|---:|---:|---:|");
    let kinds: [(&str, &[usize]); 6] = [
        ("transfers", &[0]),
        ("ERC-20", &[1]),
        ("swaps", &[2]),
        ("hashes", &[3]),
        ("storage", &[4]),
        ("all of them", &[0, 1, 2, 3, 4]),
    ];
    for (name, kinds) in kinds {
        let (mut ours, mut journal, mut each) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..rounds + 3 {
            let transactions: Vec<_> =
                (0..EACH).map(|i| one(kinds[usize::try_from(i).unwrap() % kinds.len()], &mut nonces)).collect();
            let view = engine.state(BlockRef::Final).unwrap();
            let everybody = || (0..accounts).map(account);
            let bare = |keep| {
                let mut memory = bare::load(&view, everybody(), &transactions);
                bare::run(&mut memory, view.header(), &transactions, keep)
            };
            let times = (bare(Keep::Last), bare(Keep::Each));
            probe::take("baton_engine_run_seconds");
            world::block(&engine, transactions.clone());
            // The first ones warm caches.
            if round >= 3 {
                ours.extend(probe::take("baton_engine_run_seconds"));
                journal.push(times.0.as_secs_f64());
                each.push(times.1.as_secs_f64());
            }
        }
        let mut medians = [ours, journal, each].map(|mut times| {
            times.sort_unstable_by(f64::total_cmp);
            probe::percentile(&times, 50) * 1_000.0 / EACH as f64
        });
        let [ours, journal, each] = &mut medians;
        println!("| {name} | {ours:.2} | {journal:.2} | {each:.2} | {:.2} |", *ours / journal.min(*each));
    }
}

/// Resident memory and disk while `transactions` transfers, of ether or of a token, pass over `accounts` accounts.
pub(crate) fn memory(accounts: u64, transactions: u64, tokens: bool) {
    probe::install();
    let directory = tempfile::tempdir().unwrap();
    let (engine, mut nonces) = chain(directory.path(), accounts);
    let token = tokens.then(|| world::token(&engine, &mut nonces, accounts));
    let before = content(engine, directory.path());
    let engine = Engine::open(config(directory.path())).unwrap();
    println!("| transactions | MB resident | MB at most | MB on disk |\n|---:|---:|---:|---:|");
    let tell = |done: u64| {
        let (now, most) = probe::memory();
        println!("| {done} | {now} | {most} | {} |", probe::disk(directory.path()) / 1_000_000);
    };
    tell(0);
    probe::take("baton_engine_write_seconds");
    let each = TRANSFERS as u64;
    for block in 0..transactions / each {
        let transfers = (block * each..(block + 1) * each).map(|number| {
            // Every account in turn, but neighbours far apart.
            let from = account(number.wrapping_mul(7_368_787) % accounts);
            let to = account(number.wrapping_mul(2_750_159) % accounts);
            match token {
                Some(token) => world::token_transfer(token, from, number / accounts, to),
                None => world::transfer(from, number / accounts, to),
            }
        });
        world::build(&engine, transfers.collect());
        world::finalize(&engine);
        if (block + 1) % (transactions / each / 10).max(1) == 0 {
            tell((block + 1) * each);
        }
    }
    let writes = probe::take("baton_engine_write_seconds");
    println!("\nwriting what is final: p50 {:.1} ms", probe::percentile(&writes, 50));
    let after = content(engine, directory.path());
    println!("\n| table | bytes a transaction |\n|---|---:|");
    let mut sum = 0.0;
    for ((name, now), (_, then)) in after.iter().zip(&before) {
        let each = (*now as f64 - *then as f64) / transactions as f64;
        sum += each;
        println!("| {name} | {each:.1} |");
    }
    println!("| all | {sum:.1} |");
}

/// Closes the engine; the bytes of each table of its database, free space inside its pages included, and of the state's log.
fn content(engine: Engine, directory: &Path) -> Vec<(String, u64)> {
    engine.sync().unwrap();
    drop(engine);
    let database = redb::Database::open(directory.join("state.redb")).unwrap();
    let transaction = database.begin_read().unwrap();
    let mut sizes: Vec<_> = transaction
        .list_tables()
        .unwrap()
        .map(|table| {
            let name = table.name().to_owned();
            let stats = redb::ReadableTableMetadata::stats(&transaction.open_untyped_table(table).unwrap()).unwrap();
            (name, stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes())
        })
        .collect();
    let segments = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let log = segments.filter(|entry| entry.path().extension().is_some_and(|end| end == "log"));
    sizes.push(("the state trie's log".to_owned(), log.map(|entry| entry.metadata().unwrap().len()).sum()));
    sizes.sort();
    sizes
}

/// Adds blocks of two transfers up to `height`, many at a commit. `number` counts the transfers: accounts send in turn.
fn extend(engine: &Engine, accounts: u64, height: u64, number: &mut u64) {
    while engine.tip().0 < height {
        let transfers =
            [*number, *number + 1].map(|n| world::transfer(account(n % accounts), n / accounts, Address::ZERO));
        world::build(engine, transfers.into());
        *number += 2;
        if engine.tip().0.is_multiple_of(500) {
            world::finalize(engine);
        }
    }
    world::finalize(engine);
}

/// Closes the engine and opens it again; until a balance and a block are read.
fn reopen(engine: Engine, config: Config) -> (Engine, Duration) {
    engine.sync().unwrap();
    drop(engine);
    let start = Instant::now();
    let engine = Engine::open(config).unwrap();
    let state = engine.state(BlockRef::Final).unwrap();
    assert!(state.balance(account(0)).unwrap() > U256::ZERO);
    assert!(engine.block_at(state.header().number).unwrap().is_some());
    (engine, start.elapsed())
}

const FEW: u64 = 1_000;

/// The time to open a chain of `blocks` blocks.
pub(crate) fn restart(blocks: u64) {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let engine = Engine::open(config.clone()).unwrap();
    world::seed(&engine, &mut Nonces::default(), 0, FEW);
    extend(&engine, FEW, blocks, &mut 0);
    let (_, time) = reopen(engine, config);
    println!("{blocks} blocks: open and read in {:.1} ms", probe::seconds(time) * 1_000.0);
}

/// How costs grow.
pub(crate) fn growth() {
    probe::install();
    println!("\nBlocks of {TRANSFERS} transfers by accounts in the state:\n");
    println!("| accounts | {COSTS}\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for accounts in [1_000, 10_000, 100_000, 1_000_000] {
        let directory = tempfile::tempdir().unwrap();
        let (engine, mut nonces) = chain(directory.path(), accounts);
        println!("{}", row(&accounts.to_string(), &blocks(&engine, &mut nonces, accounts, TRANSFERS, 40)));
    }

    println!("\nBlocks by their transfers (100,000 accounts):\n");
    println!("| transfers | {COSTS} us a transfer |\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    let directory = tempfile::tempdir().unwrap();
    let (engine, mut nonces) = chain(directory.path(), 100_000);
    for transfers in [1, 10, 100, 1_000, 10_000, 100_000] {
        let costs = blocks(&engine, &mut nonces, 100_000, transfers, if transfers > 1_000 { 6 } else { 40 });
        let each = probe::percentile(&costs.total, 50) * 1_000.0 / transfers as f64;
        println!("{} {each:.1} |", row(&transfers.to_string(), &costs));
    }
    engine.sync().unwrap();
    drop(engine);

    println!("\nBy height of the chain (blocks of two transfers; the block measured has {TRANSFERS}):\n");
    println!("| height | {COSTS} ms to open | MB resident |\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let mut engine = Engine::open(config.clone()).unwrap();
    // Those who send in the measured blocks have sent nothing before.
    world::seed(&engine, &mut Nonces::default(), 0, FEW + 2 * FEW);
    let (mut nonces, mut number) = (Nonces::default(), 0);
    for height in [100, 1_000, 10_000, 100_000] {
        extend(&engine, FEW, height, &mut number);
        let (reopened, time) = reopen(engine, config.clone());
        engine = reopened;
        let costs = sent_by_others(&engine, &mut nonces);
        let opened = probe::seconds(time) * 1_000.0;
        println!("{} {opened:.1} | {} |", row(&height.to_string(), &costs), probe::memory().0);
    }
    drop(engine);

    logs(100_000);
}

/// What finding logs costs by the range that is asked for, on a chain of so many blocks with two logs each.
pub(crate) fn logs(blocks: u64) {
    const MATCHES: u64 = 20;
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(world::config(directory.path())).unwrap();
    let mut nonces = Nonces::default();
    world::seed(&engine, &mut nonces, 0, FEW + 1);
    let mut dice = Dice(17);
    // The rare one swaps in some of the last 1,000 blocks, so that every range holds as many matches.
    let (rare, first) = (account(FEW), blocks - 1_000);
    while engine.tip().0 < blocks {
        let height = engine.tip().0 + 1;
        let now = height > first && (height - first).is_multiple_of(1_000 / MATCHES);
        let others = [account(dice.below(FEW)), if now { rare } else { account(dice.below(FEW)) }];
        let swap = |from| call(from, nonces.next(from), SWAP, U256::from(1_000_000).to_be_bytes_vec().into());
        world::build(&engine, others.map(swap).into());
        if height.is_multiple_of(500) {
            world::finalize(&engine);
        }
    }
    world::finalize(&engine);
    let of = |account: Address| Filter::new().event_signature(account.into_word());
    let queries: [(&str, Filter); 4] = [
        ("rare topic", of(rare)),
        ("rare topic, busy address", of(rare).address(SWAP)),
        ("one of 1,000 accounts", of(account(1)).address(SWAP)),
        ("busy address", Filter::new().address(SWAP)),
    ];
    println!("\nFinding blocks with logs, by range (a chain of {blocks} blocks, two logs each):\n");
    println!("| query | range | blocks found | index us | blooms of headers us |\n|---|---:|---:|---:|---:|");
    for (name, filter) in &queries {
        for range in [1_000, 10_000, 100_000].into_iter().filter(|range| *range <= blocks) {
            let heights = blocks - range + 1..=blocks;
            let median = |search: &dyn Fn() -> usize| {
                let mut times = Vec::new();
                let found = (0..11).map(|_| {
                    let start = Instant::now();
                    let found = search();
                    times.push(start.elapsed().as_secs_f64());
                    found
                });
                let found = found.last().unwrap_or_default();
                times.sort_unstable_by(f64::total_cmp);
                (found, probe::percentile(&times, 50) * 1_000.0)
            };
            let (found, index) = median(&|| engine.log_heights(filter, heights.clone()).unwrap().count());
            let blooms: Vec<_> = std::iter::once(filter.address_bloom_filter())
                .chain(filter.topics_bloom_filter())
                .map(|bloom| bloom.into_owned())
                .collect();
            let (_, scan) = median(&|| {
                let headers = heights.clone().map(|height| engine.header_at(height).unwrap().unwrap().1);
                headers.filter(|header| blooms.iter().all(|bloom| bloom.matches(header.logs_bloom))).count()
            });
            println!("| {name} | {range} | {found} | {index:.0} | {scan:.0} |");
        }
    }
    println!("\nFinding the newest 25 blocks with transactions of an address (the same chain):\n");
    println!("| address | range | blocks found | index us |\n|---|---:|---:|---:|");
    let addresses =
        [("rare", rare), ("one of 1,000 accounts", account(1)), ("nobody's", account(1 << 40)), ("busy", SWAP)];
    for (name, address) in addresses {
        for range in [1_000, 10_000, 100_000].into_iter().filter(|range| *range <= blocks) {
            let heights = blocks - range + 1..=blocks;
            let mut times = Vec::new();
            let found = (0..11).map(|_| {
                let start = Instant::now();
                let found = engine.address_heights(&address, heights.clone(), true).unwrap().take(25).count();
                times.push(start.elapsed().as_secs_f64());
                found
            });
            let found = found.last().unwrap_or_default();
            times.sort_unstable_by(f64::total_cmp);
            println!("| {name} | {range} | {found} | {:.0} |", probe::percentile(&times, 50) * 1_000.0);
        }
    }
}

/// As [`blocks`], by the accounts from [`FEW`] on.
fn sent_by_others(engine: &Engine, nonces: &mut Nonces) -> Costs {
    let mut dice = Dice(13);
    let mut one = || {
        let from = account(FEW + dice.below(2 * FEW));
        world::transfer(from, nonces.next(from), account(dice.below(3 * FEW)))
    };
    let blocks: Vec<Vec<_>> = (0..20).map(|_| (0..TRANSFERS).map(|_| one()).collect()).collect();
    measured(engine, blocks.into_iter())
}
