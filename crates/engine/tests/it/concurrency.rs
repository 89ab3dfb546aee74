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
};

#[test]
fn a_reader_never_sees_half_a_block() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { cached_accounts: 64, cached_slots: 64, ..config(dir.path(), 4) };
    let engine = Engine::open(config).unwrap();
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
    engine.check_state().unwrap();
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
