//! Old states and their proofs.

use crate::world::{Plain, STORE, block_on, config, seldom, signer, transfer};
use alloy::primitives::{Address, B256, U256, keccak256};
use alloy::rpc::types::simulate::SimBlock;
use alloy_trie::{Nibbles, TrieAccount, proof::verify_proof};
use baton_engine::{BlockRef, CallError, Config, Engine, ReadError, SimulateError, Simulated};
use std::time::Duration;

fn check_proof(engine: &Engine, at: BlockRef, root: B256, address: Address, slots: &[U256]) -> (U256, Vec<U256>) {
    let proof = engine.proof(at, address, slots).unwrap();
    let exists = proof.nonce > 0 || !proof.balance.is_zero() || proof.code_hash != alloy::primitives::KECCAK256_EMPTY;
    let account = TrieAccount::new(proof.nonce, proof.balance, proof.storage_hash, proof.code_hash);
    let expected = exists.then(|| alloy::rlp::encode(account));
    verify_proof(root, Nibbles::unpack(keccak256(address)), expected, &proof.account_proof).unwrap();
    let mut values = Vec::new();
    for (slot, storage) in slots.iter().zip(&proof.storage_proof) {
        let expected = (!storage.value.is_zero()).then(|| alloy::rlp::encode(storage.value));
        let key = Nibbles::unpack(keccak256(B256::from(*slot)));
        verify_proof(proof.storage_hash, key, expected, &storage.proof).unwrap();
        values.push(storage.value);
    }
    (proof.balance, values)
}

#[test]
fn every_kept_height_can_be_read_and_proven_and_older_ones_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(Config { history_blocks: Some(6), ..config(dir.path(), 4) }).unwrap();
    let (to, nobody) = (Address::repeat_byte(7), Address::repeat_byte(0xee));
    let mut parent = engine.genesis_hash();
    let mut seen = vec![(engine.genesis_hash(), B256::ZERO, U256::ZERO, vec![U256::ZERO; 3])];
    for height in 1..=12u64 {
        let nonce = (height - 1) * 2;
        // Slots appear, change and vanish; slot 2 is never set.
        let write = Plain::store(nonce, height % 2, (height * 3) % 4).sign(&signer(0), 1, None);
        let block = block_on(&engine, parent, vec![write, transfer(0, nonce + 1, to, 10)]);
        parent = block.hash();
        let view = engine.state(BlockRef::Hash(parent)).unwrap();
        let slots = (0..3).map(|slot| view.storage_at(STORE, U256::from(slot)).unwrap()).collect();
        seen.push((parent, block.block.header().state_root, view.balance(to).unwrap(), slots));
        // A proof against a block that is not final yet.
        check_proof(&engine, BlockRef::Pending, block.block.header().state_root, STORE, &[U256::ZERO]);
        if height % 3 == 0 {
            engine.finalize(parent).unwrap();
        }
    }
    let slots = [U256::ZERO, U256::from(1), U256::from(2)];
    for (height, (hash, root, balance, values)) in (0u64..).zip(&seen) {
        for at in [BlockRef::Height(height), BlockRef::Hash(*hash)] {
            if height < 6 {
                let refused = engine.state(at);
                assert!(matches!(refused, Err(ReadError::Pruned { oldest: 6, .. })), "{height}: {refused:?}");
                continue;
            }
            let view = engine.state(at).unwrap();
            assert_eq!(view.header().number, height);
            assert_eq!(view.balance(to).unwrap(), *balance);
            let read: Vec<U256> = slots.iter().map(|slot| view.storage_at(STORE, *slot).unwrap()).collect();
            assert_eq!(&read, values, "height {height}");
            assert_eq!(check_proof(&engine, at, *root, STORE, &slots).1, *values);
            assert_eq!(check_proof(&engine, at, *root, to, &slots[..1]), (*balance, vec![U256::ZERO]));
            assert_eq!(check_proof(&engine, at, *root, nobody, &[]).0, U256::ZERO);
        }
    }
    assert!(matches!(engine.state(BlockRef::Height(13)), Err(ReadError::UnknownHeight { highest: 12, .. })));
    assert!(matches!(engine.state(BlockRef::Hash(B256::ZERO)), Err(ReadError::UnknownBlock(_))));
}

#[test]
fn what_is_final_but_not_written_reads_like_what_is() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (at_once, later) =
        (Engine::open(config(dirs[0].path(), 4)).unwrap(), Engine::open(seldom(dirs[1].path(), 4)).unwrap());
    let to = Address::repeat_byte(7);
    let slots = [U256::ZERO, U256::from(1), U256::from(2)];
    let mut parent = at_once.genesis_hash();
    let mut hashes = vec![parent];
    let mut most_unwritten = 0;
    for height in 1..=40u64 {
        let nonce = (height - 1) * 2;
        let write = Plain::store(nonce, height % 2, (height * 3) % 4).sign(&signer(0), 1, None);
        let transactions = vec![write, transfer(0, nonce + 1, to, 10)];
        let block = block_on(&at_once, parent, transactions.clone());
        assert_eq!(block_on(&later, parent, transactions).hash(), block.hash());
        parent = block.hash();
        hashes.push(parent);
        if height % 3 != 0 {
            continue;
        }
        for engine in [&at_once, &later] {
            assert_eq!(engine.finalize(parent).unwrap().len(), 3);
            assert!(engine.finalize(parent).unwrap().is_empty() && engine.unfinalized(&parent).is_none());
            assert_eq!(engine.head(), (height, parent));
        }
        assert_eq!(at_once.synced(), height);
        most_unwritten = most_unwritten.max(height - later.synced());
        for (known, hash) in (0..).zip(&hashes) {
            assert!(later.is_final(hash).unwrap());
            assert_eq!(later.header_at(known).unwrap(), at_once.header_at(known).unwrap());
            assert_eq!(later.block(hash).unwrap(), at_once.block_at(known).unwrap());
            assert_eq!(later.block_at(known).unwrap(), at_once.block(hash).unwrap());
            assert_eq!(later.header(hash).unwrap(), at_once.header(hash).unwrap());
            assert_eq!(later.receipts(hash).unwrap(), at_once.receipts_at(known).unwrap());
            assert_eq!(later.receipts_at(known).unwrap(), at_once.receipts(hash).unwrap());
            assert_eq!(later.outcome(known).unwrap(), at_once.outcome(known).unwrap());
            for transaction in later.block_at(known).unwrap().unwrap().transactions() {
                let found = later.transaction(&transaction.tx_hash()).unwrap();
                assert!(found.is_some_and(|found| found.is_final && found.height == known));
                assert_eq!(found, at_once.transaction(&transaction.tx_hash()).unwrap());
            }
            let root = at_once.header_at(known).unwrap().unwrap().1.state_root;
            for at in [BlockRef::Height(known), BlockRef::Hash(*hash)] {
                let (one, other) = (at_once.state(at).unwrap(), later.state(at).unwrap());
                assert_eq!((one.hash(), one.header()), (other.hash(), other.header()));
                assert_eq!(one.balance(to).unwrap(), other.balance(to).unwrap(), "{at:?} below {height}");
                assert_eq!(one.nonce(signer(0).address()).unwrap(), other.nonce(signer(0).address()).unwrap());
                assert_eq!(one.code(STORE).unwrap(), other.code(STORE).unwrap());
                for slot in slots {
                    assert_eq!(one.storage_at(STORE, slot).unwrap(), other.storage_at(STORE, slot).unwrap());
                }
                let proven = check_proof(&later, at, root, STORE, &slots);
                assert_eq!(proven, check_proof(&at_once, at, root, STORE, &slots));
            }
        }
        assert!(matches!(later.state(BlockRef::Height(height + 1)), Err(ReadError::UnknownHeight { .. })));
    }
    assert!(most_unwritten > 12, "at most {most_unwritten} blocks were not written: nothing was tried");
    assert_eq!(later.sync().unwrap(), 39);
    later.check_state().unwrap();
    assert_eq!(later.supply().unwrap(), at_once.supply().unwrap());
    assert_eq!(later.history_rows().unwrap(), at_once.history_rows().unwrap());
}

#[test]
fn a_view_keeps_its_state_while_the_head_moves_on() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(config(dir.path(), 4)).unwrap();
    let to = Address::repeat_byte(7);
    let first = block_on(&engine, engine.genesis_hash(), vec![transfer(0, 0, to, 1)]);
    let (before, after) = (engine.state(BlockRef::Final).unwrap(), engine.state(BlockRef::Pending).unwrap());
    let second = block_on(&engine, first.hash(), vec![transfer(0, 1, to, 1)]);
    engine.finalize(second.hash()).unwrap();
    assert_eq!((before.balance(to).unwrap(), after.balance(to).unwrap()), (U256::ZERO, U256::from(1)));
    assert_eq!(engine.state(BlockRef::Final).unwrap().balance(to).unwrap(), U256::from(2));
}

#[test]
fn pruned_history_leaves_no_rows_behind() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(Config { history_blocks: Some(2), ..config(dir.path(), 4) }).unwrap();
    let mut parent = engine.genesis_hash();
    let mut rows = Vec::new();
    for nonce in 0..40 {
        parent =
            block_on(&engine, parent, vec![Plain::store(nonce, nonce % 3, nonce % 2).sign(&signer(0), 0, None)]).hash();
        engine.finalize(parent).unwrap();
        rows.push(engine.history_rows().unwrap());
    }
    let early = rows[8..14].iter().max().unwrap();
    assert!(rows[34..].iter().all(|count| count <= early), "{rows:?}");
}

#[test]
fn rows_longer_than_a_page_are_read_back_whole_and_pruned_whole() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(Config { history_blocks: Some(2), ..config(dir.path(), 4) }).unwrap();
    let mut parent = engine.genesis_hash();
    let mut rows = Vec::new();
    for height in 0..6u64 {
        // 300 transfers to as many new accounts: three rows of several pages.
        let transfers = (0..300).map(|index| {
            let to = Address::from_word(B256::from(U256::from(1_000_000 + height * 300 + index)));
            transfer(0, height * 300 + index, to, 1)
        });
        let built = block_on(&engine, parent, transfers.collect());
        parent = built.hash();
        engine.finalize(parent).unwrap();
        rows.push(engine.history_rows().unwrap());
        let stored = engine.block_at(height + 1).unwrap().unwrap();
        assert_eq!(*stored, *built.block);
        assert_eq!(engine.receipts_at(height + 1).unwrap().unwrap(), built.receipts);
    }
    assert_eq!(rows[3..], vec![rows[2]; 3], "as many rows go as come");
    let before = engine.state(BlockRef::Height(5)).unwrap();
    assert_eq!(before.nonce(signer(0).address()).unwrap(), 1_500);
}

#[test]
fn old_states_are_rebuilt_within_a_time_and_simulated_on_within_a_depth() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Config { history_blocks: None, ..config(dir.path(), 4) };
    let engine = Engine::open(archive.clone()).unwrap();
    let to = Address::repeat_byte(7);
    let mut parent = engine.genesis_hash();
    // The genesis is 1,025 blocks below the head in the end.
    for height in 1..=1_025u64 {
        let transactions = if height == 1 { vec![transfer(0, 0, to, 10)] } else { Vec::new() };
        parent = block_on(&engine, parent, transactions).hash();
        engine.finalize(parent).unwrap();
    }
    let what = Simulated { blocks: vec![SimBlock::default()], ..Simulated::default() };
    let refused = engine.simulate(BlockRef::Height(0), &what);
    assert!(matches!(refused, Err(SimulateError::Request(text)) if text.contains("too old")));
    assert_eq!(engine.simulate(BlockRef::Height(1), &what).unwrap().len(), 1);
    check_proof(&engine, BlockRef::Height(1), engine.state(BlockRef::Height(1)).unwrap().header().state_root, to, &[]);
    drop(engine);

    let hurried = Engine::open(Config { call_timeout: Duration::ZERO, ..archive }).unwrap();
    let proof = hurried.proof(BlockRef::Height(1), to, &[]);
    assert!(matches!(proof, Err(ReadError::Timeout { height: 1, millis: 0 })), "{proof:?}");
    let simulated = hurried.simulate(BlockRef::Height(1), &what);
    assert!(matches!(simulated, Err(SimulateError::Call(CallError::Read(ReadError::Timeout { .. })))));
    // The newest state needs no rebuilding.
    assert!(hurried.proof(BlockRef::Final, to, &[]).is_ok());
}
