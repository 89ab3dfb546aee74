//! The files of the state trie: what is not needed goes, what is damaged is noticed, what was not committed is cut off.

use crate::world::{Plain, STORE, block_on, config, signer, transfer};
use alloy::primitives::{Address, U256, keccak256};
use baton_engine::{BlockRef, Config, Engine, OpenError, StoreError};
use std::{
    fs::OpenOptions,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Segments so small that a block fills several.
fn small(path: &Path) -> Config {
    Config { trie_segment_bytes: 2_048, ..config(path, 4) }
}

/// The segments, ascending.
fn segments(path: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
    segments.sort();
    segments
}

fn number(segment: &Path) -> usize {
    let name = segment.file_stem().unwrap().to_str().unwrap();
    name.strip_prefix("trie-").unwrap().parse().unwrap()
}

/// Final blocks up to `height`; each sets a slot and sends to a new account, whose number is the height.
fn extend(engine: &Engine, height: u64) {
    while engine.head().0 < height {
        let (now, parent) = engine.head();
        let write = Plain::store(now * 2, now % 100, now + 1).sign(&signer(0), 2, None);
        let block = block_on(engine, parent, vec![write, transfer(0, now * 2 + 1, receiver(now + 1), 1)]);
        engine.finalize(block.hash()).unwrap();
    }
}

fn receiver(number: u64) -> Address {
    Address::from_word(keccak256(number.to_be_bytes()))
}

#[test]
fn old_segments_are_freed_while_older_states_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(small(dir.path())).unwrap();
    extend(&engine, 50);
    let old = engine.state(BlockRef::Final).unwrap();
    let first = segments(dir.path())[0].clone();
    let mut most = 0;
    for height in 51..=600 {
        extend(&engine, height);
        most = most.max(segments(dir.path()).len());
    }
    assert!(!segments(dir.path()).contains(&first), "nothing was freed");
    let appended = number(segments(dir.path()).last().unwrap());
    assert!(most * 3 < appended, "up to {most} segments, of {appended} in all");
    for number in 1..=50 {
        assert_eq!(old.balance(receiver(number)).unwrap(), U256::from(1));
        assert_eq!(old.storage_at(STORE, U256::from(number - 1)).unwrap(), U256::from(number));
    }
    assert_eq!(old.balance(receiver(51)).unwrap(), U256::ZERO);
    engine.check_state().unwrap();

    drop((engine, old));
    let engine = Engine::open(small(dir.path())).unwrap();
    engine.check_state().unwrap();
    let state = engine.state(BlockRef::Final).unwrap();
    assert!((1..=600).all(|number| state.balance(receiver(number)).unwrap() == U256::from(1)));
    extend(&engine, 620);
    engine.check_state().unwrap();
}

#[test]
fn what_was_appended_and_not_committed_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(small(dir.path())).unwrap();
    extend(&engine, 20);
    drop(engine);
    // A commit that did not happen: the rest of a segment, and more of them.
    let last = segments(dir.path()).pop().unwrap();
    let file = OpenOptions::new().write(true).open(&last).unwrap();
    file.write_all_at(&[7; 100], file.metadata().unwrap().len()).unwrap();
    let later = dir.path().join("trie-00090000.log");
    std::fs::write(&later, [9; 5_000]).unwrap();

    let engine = Engine::open(small(dir.path())).unwrap();
    assert!(!later.exists());
    engine.check_state().unwrap();
    extend(&engine, 40);
    engine.check_state().unwrap();
    drop(engine);
    Engine::open(small(dir.path())).unwrap().check_state().unwrap();
}

#[test]
fn a_damaged_log_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(config(dir.path(), 4)).unwrap();
    extend(&engine, 20);
    drop(engine);
    let segment = segments(dir.path()).pop().unwrap();
    let whole = std::fs::read(&segment).unwrap();

    let mut flipped = whole.clone();
    let root = flipped.len() - 40;
    flipped[root] ^= 1;
    std::fs::write(&segment, &flipped).unwrap();
    let found = Engine::open(config(dir.path(), 4)).unwrap().check_state();
    assert!(matches!(found, Err(StoreError::NodeHash { .. } | StoreError::Record { .. })), "{found:?}");

    std::fs::write(&segment, &whole[..whole.len() - 1]).unwrap();
    let refused = Engine::open(config(dir.path(), 4)).map(drop);
    assert!(matches!(refused, Err(OpenError::Store(StoreError::Record { .. }))), "{refused:?}");
    std::fs::remove_file(&segment).unwrap();
    let refused = Engine::open(config(dir.path(), 4)).map(drop);
    assert!(matches!(refused, Err(OpenError::Store(StoreError::Record { .. }))), "{refused:?}");

    std::fs::write(&segment, &whole).unwrap();
    Engine::open(config(dir.path(), 4)).unwrap().check_state().unwrap();
}
