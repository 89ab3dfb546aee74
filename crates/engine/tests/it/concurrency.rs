//! Readers, executors and the final head at the same time.

use crate::world::{Plain, STORE, block_on, config, expectation, signer};
use alloy::primitives::U256;
use baton_engine::{BlockRef, Config, Engine};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

#[test]
fn a_reader_never_sees_half_a_block() {
    readers_and_a_builder(Duration::ZERO);
}

#[test]
fn blocks_become_final_and_are_read_while_others_are_written() {
    readers_and_a_builder(Duration::from_nanos(1));
}

/// The engine writes final blocks with the first one that is final after so long.
fn readers_and_a_builder(sync_interval: Duration) {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { cached_accounts: 64, cached_slots: 64, sync_interval, ..config(dir.path(), 4) };
    let engine = Engine::open(config.clone()).unwrap();
    let (done, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for at in [BlockRef::Final, BlockRef::Pending] {
            let (engine, done, reads) = (engine.clone(), &done, &reads);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let view = engine.state(at).unwrap();
                    let height = view.header().number;
                    // Every block sets three slots to its height and sends three transactions.
                    for slot in 0..3 {
                        assert_eq!(view.storage_at(STORE, U256::from(slot)).unwrap(), U256::from(height));
                    }
                    assert_eq!(view.nonce(signer(0).address()).unwrap(), height * 3);
                    let written = engine.synced();
                    let (head, hash) = engine.head();
                    for known in [head, written, written.saturating_sub(1), head.min(written + 1)] {
                        let block = engine.block_at(known).unwrap().unwrap();
                        assert_eq!(block.height().get(), known);
                        assert!(known < head || block.hash() == hash);
                        assert_eq!(engine.state(BlockRef::Height(known)).unwrap().hash(), block.hash());
                        for transaction in block.transactions() {
                            assert_eq!(engine.transaction(&transaction.tx_hash()).unwrap().unwrap().height, known);
                        }
                    }
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut parent = engine.genesis_hash();
        let mut height = 0;
        while height < 100 || reads.load(Ordering::Relaxed) < 100 {
            height += 1;
            let write = |slot| Plain::store((height - 1) * 3 + slot, slot, height).sign(&signer(0), 2, None);
            let block = block_on(&engine, parent, (0..3).map(write).collect());
            parent = block.hash();
            if height % 3 == 0 {
                engine.finalize(parent).unwrap();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    let (head, synced) = (engine.head(), engine.synced());
    assert!(if sync_interval.is_zero() { synced == head.0 } else { synced > 0 }, "{synced} of {}", head.0);
    engine.check_state().unwrap();
    assert_eq!(engine.synced(), head.0);
    // Nobody holds the directory any more.
    drop(engine);
    assert_eq!(Engine::open(config).unwrap().head(), head);
}

#[test]
fn a_block_that_many_ask_for_is_executed_once() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [builder, engine] = dirs.each_ref().map(|dir| Engine::open(config(dir.path(), 4)).unwrap());
    let writes = (0..20).map(|nonce| Plain::store(nonce, nonce, 7).sign(&signer(0), 2, None));
    let block = block_on(&builder, builder.genesis_hash(), writes.collect());
    let expectation = expectation(&engine, &block, false);
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| engine.execute(&block.block, expectation).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(results.iter().all(|result| Arc::ptr_eq(result, &results[0])));
}
