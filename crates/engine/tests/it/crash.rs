//! A process that is killed at any moment loses no final block and opens again.

use crate::world::{Plain, block_on, config, signer, transfer};
use alloy::primitives::{Address, B256};
use baton_engine::{Config, Engine};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

const DIRECTORY: &str = "BATON_CRASH_DIRECTORY";

/// Many small segments of the trie's log, so that a kill is often near the making or freeing of one.
fn small(directory: &Path) -> Config {
    Config { trie_segment_bytes: 2_048, ..config(directory, 4) }
}

/// Not a test of its own: the process that [`a_killed_process_keeps_every_final_block`] kills. Without the variable that
/// names its directory it does nothing.
#[test]
fn a_child_that_finalizes_blocks_until_it_is_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let engine = Engine::open(small(directory.as_ref())).unwrap();
    let mut out = std::io::stdout();
    let (mut height, mut parent) = engine.head();
    loop {
        let nonce = height * 2;
        let write = Plain::store(nonce, height % 50, height).sign(&signer(0), 2, None);
        let block = block_on(&engine, parent, vec![write, transfer(0, nonce + 1, Address::with_last_byte(99), 1)]);
        (height, parent) = (block.height(), block.hash());
        engine.finalize(parent).unwrap();
        writeln!(out, "final {height} {parent}").unwrap();
        out.flush().unwrap();
    }
}

/// Not a test of its own, like the one above: a process whose final blocks are seldom written.
#[test]
fn a_child_that_seldom_syncs_until_it_is_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let interval = Duration::from_secs(3_600);
    let engine = Engine::open(Config { sync_interval: interval, ..config(directory.as_ref(), 4) }).unwrap();
    let mut out = std::io::stdout();
    let mut parent = engine.head().1;
    for nonce in 0..21 {
        let block = block_on(&engine, parent, vec![transfer(0, nonce, Address::with_last_byte(99), 1)]);
        parent = block.hash();
        engine.finalize(parent).unwrap();
        assert_eq!(engine.head().0, block.height(), "readers see what is not written");
        writeln!(out, "final {} {parent}", engine.synced()).unwrap();
    }
    writeln!(out, "final {} {parent}", engine.sync().unwrap()).unwrap();
    let block = block_on(&engine, parent, vec![transfer(0, 21, Address::with_last_byte(99), 1)]);
    engine.finalize(block.hash()).unwrap();
    writeln!(out, "final {} {}", engine.synced(), block.hash()).unwrap();
    out.flush().unwrap();
    std::process::abort();
}

#[test]
fn a_killed_process_keeps_what_it_synced_and_takes_the_rest_again() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::a_child_that_seldom_syncs_until_it_is_killed", "--nocapture"])
        .env(DIRECTORY, dir.path())
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let told = told.lines().filter_map(|line| line.split("final ").nth(1)?.split_once(' '));
    let told: Vec<(u64, B256)> = told.map(|(synced, hash)| (synced.parse().unwrap(), hash.parse().unwrap())).collect();
    let synced: Vec<u64> = told.iter().map(|(synced, _)| *synced).collect();
    // Sixteen are written, beside those that follow: how many of these come along is up to the machine.
    assert!(synced.is_sorted() && synced.iter().all(|synced| matches!(synced, 0 | 16..=21)), "{synced:?}");
    assert_eq!((&synced[..15], &synced[21..]), ([0; 15].as_slice(), [21, 21].as_slice()));

    let engine = Engine::open(config(dir.path(), 4)).unwrap();
    assert_eq!(engine.head(), (21, told[20].1), "the last block was not written");
    assert_eq!(engine.synced(), 21);
    engine.check_state().unwrap();
    let again = block_on(&engine, engine.head().1, vec![transfer(0, 21, Address::with_last_byte(99), 1)]);
    assert_eq!(again.hash(), told[22].1);
    engine.finalize(again.hash()).unwrap();
    assert_eq!((engine.head().0, engine.synced()), (22, 22));
}

#[test]
fn a_killed_process_keeps_every_final_block() {
    let dir = tempfile::tempdir().unwrap();
    let name = "crash::a_child_that_finalizes_blocks_until_it_is_killed";
    let mut last = (0, B256::ZERO);
    for round in 0..6u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(DIRECTORY, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told = Vec::new();
        // Kill it while it is busy with one of the next blocks; where in it is up to the machine.
        for line in lines {
            let line = line.unwrap();
            let Some(rest) = line.split("final ").nth(1) else { continue };
            let (height, hash) = rest.split_once(' ').unwrap();
            told.push((height.parse::<u64>().unwrap(), hash.parse::<B256>().unwrap()));
            if u64::try_from(told.len()).unwrap() == 3 + round * 5 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let (height, hash) = *told.last().unwrap();
        assert!(height > last.0);

        let engine = Engine::open(small(dir.path())).unwrap();
        let head = engine.head();
        assert!(head.0 >= height && head.0 <= height + 1, "told {height}, found {}", head.0);
        assert_eq!(engine.header_at(height).unwrap().unwrap().0, hash);
        engine.check_state().unwrap();
        for height in 1..=head.0 {
            let block = engine.block_at(height).unwrap().unwrap();
            assert_eq!(block.parent(), engine.header_at(height - 1).unwrap().unwrap().0);
            assert_eq!(engine.receipts_at(height).unwrap().unwrap().len(), block.transactions().len());
            let found = engine.transaction(&block.transactions()[1].tx_hash()).unwrap().unwrap();
            assert_eq!((found.height, found.index), (height, 1));
        }
        last = head;
    }
}
