//! Building, executing, finalizing.

use crate::world::{
    ETHER, PHOENIX, Plain, REVERT, STORE, Script, Verdict, attributes, block_on, budget, config, deposit, expectation,
    genesis, phoenix_child, signer, transfer,
};
use alloy::{
    consensus::TxReceipt,
    primitives::{Address, B256, Bytes, U256},
};
use baton_engine::{
    BlockFault, BlockRef, Budget, BuildError, Engine, ExecuteError, FinalizeError, GenesisAccount, GenesisError,
    InvalidTransaction, NoTransactions, OpenError, genesis_block,
};
use baton_primitives::{Header, RecoveredBlock, predeploys};
use std::{sync::Arc, time::Instant};

fn engine() -> (tempfile::TempDir, Engine) {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(config(dir.path(), 4)).unwrap();
    (dir, engine)
}

#[test]
fn the_genesis_is_a_pure_function_and_what_a_new_engine_starts_from() {
    let (_dir, engine) = engine();
    let (block, root) = genesis_block(&genesis(4)).unwrap();
    assert_eq!(engine.head(), (0, block.hash()));
    assert_eq!(engine.genesis_hash(), block.hash());
    assert_eq!(engine.block_at(0).unwrap().unwrap().as_ref(), &block);
    assert_eq!(block.header().state_root, root);
    engine.check_state().unwrap();
    assert_ne!(genesis_block(&genesis(5)).unwrap().1, root);
}

/// So no creation ever finds storage at its address (EIP-7610): whatever writes storage has code or a nonce before.
#[test]
fn a_genesis_account_with_storage_has_code_or_a_nonce() {
    let address = Address::repeat_byte(9);
    let with = |nonce, code: &'static [u8]| {
        let mut genesis = genesis(1);
        let storage = [(U256::from(1), U256::from(2))].into();
        let account = GenesisAccount { nonce, code: Bytes::from_static(code), storage, ..GenesisAccount::default() };
        genesis.alloc.insert(address, account);
        genesis_block(&genesis).map(drop)
    };
    assert_eq!(with(0, &[]), Err(GenesisError::StorageOfEmptyAccount(address)));
    assert_eq!((with(1, &[]), with(0, &[0])), (Ok(()), Ok(())));
}

#[test]
fn a_built_block_is_readable_before_and_after_it_is_final() {
    let (_dir, engine) = engine();
    let (sent, _) = transfer(0, 0, Address::repeat_byte(7), 5);
    let block = block_on(&engine, engine.genesis_hash(), vec![(sent.clone(), signer(0).address())]);
    let hash = block.hash();
    assert_eq!((engine.tip(), engine.head().0), ((1, hash), 0));
    let found = engine.transaction(&sent.tx_hash()).unwrap().unwrap();
    assert_eq!((found.block, found.height, found.index, found.is_final), (hash, 1, 1, false));
    assert_eq!(engine.state(BlockRef::Pending).unwrap().balance(Address::repeat_byte(7)).unwrap(), U256::from(5));
    assert_eq!(engine.state(BlockRef::Final).unwrap().balance(Address::repeat_byte(7)).unwrap(), U256::ZERO);

    assert_eq!(engine.finalize(hash).unwrap().len(), 1);
    assert_eq!(engine.head(), (1, hash));
    assert!(engine.transaction(&sent.tx_hash()).unwrap().unwrap().is_final);
    // The index knows the beginnings of hashes.
    let mut alike = sent.tx_hash();
    alike[31] ^= 1;
    assert_eq!(engine.transaction(&alike).unwrap(), None);
    assert_eq!(engine.state(BlockRef::Final).unwrap().balance(Address::repeat_byte(7)).unwrap(), U256::from(5));
    assert_eq!(engine.receipts(&hash).unwrap().unwrap(), block.receipts);
    assert_eq!(engine.block(&hash).unwrap().unwrap(), block.block);
    assert_eq!(engine.header_at(1).unwrap().unwrap(), (hash, block.block.header().clone()));
    assert_eq!(engine.outcome(1).unwrap().unwrap(), block.outcome());
    assert_eq!(engine.finalize(hash).unwrap().len(), 0, "finalizing again does nothing");
    let again = engine.execute(&block.block, expectation(&engine, &block, false)).unwrap();
    assert_eq!((again.outcome(), &again.receipts), (block.outcome(), &block.receipts));
}

#[test]
fn siblings_live_side_by_side_until_one_is_final() {
    let (_dir, engine) = engine();
    let root = engine.genesis_hash();
    let to = Address::repeat_byte(7);
    let left = block_on(&engine, root, vec![transfer(0, 0, to, 5)]);
    let right = block_on(&engine, root, vec![transfer(0, 0, to, 9), transfer(1, 0, to, 1)]);
    let left2 = block_on(&engine, left.hash(), vec![transfer(0, 1, to, 100)]);
    let right2 = block_on(&engine, right.hash(), vec![transfer(0, 1, to, 1000)]);
    let balance = |hash| engine.state(BlockRef::Hash(hash)).unwrap().balance(to).unwrap().to::<u64>();
    assert_eq!([left.hash(), right.hash(), left2.hash(), right2.hash()].map(balance), [5, 10, 105, 1010]);

    engine.finalize(right.hash()).unwrap();
    assert!(engine.unfinalized(&left2.hash()).is_none() && engine.state(BlockRef::Hash(left.hash())).is_err());
    assert_eq!([right.hash(), right2.hash()].map(balance), [10, 1010]);
    assert_eq!(engine.tip(), (2, right2.hash()));
    assert!(matches!(engine.finalize(left2.hash()), Err(FinalizeError::NotExecuted(_))));
    let late = engine.execute(&left2.block, expectation(&engine, &right2, false));
    assert!(matches!(late, Err(ExecuteError::UnknownParent { .. })));
    engine.finalize(right2.hash()).unwrap();
    engine.check_state().unwrap();
}

#[test]
fn several_blocks_become_final_in_one_commit_and_survive_a_reopening() {
    let (dir, engine) = engine();
    let mut parent = engine.genesis_hash();
    for nonce in 0..5 {
        let transactions = vec![Plain::store(nonce, nonce % 2, nonce).sign(&signer(0), 0, None)];
        parent = block_on(&engine, parent, transactions).hash();
    }
    assert_eq!(engine.finalize(parent).unwrap().len(), 5);
    engine.check_state().unwrap();
    drop(engine);
    let engine = Engine::open(config(dir.path(), 4)).unwrap();
    assert_eq!(engine.head(), (5, parent));
    let view = engine.state(BlockRef::Final).unwrap();
    assert_eq!(view.storage_at(STORE, U256::ZERO).unwrap(), U256::from(4));
    assert_eq!(view.nonce(signer(0).address()).unwrap(), 5);
    let next = block_on(&engine, parent, vec![Plain::store(5, 0, 0).sign(&signer(0), 0, None)]);
    engine.finalize(next.hash()).unwrap();
    engine.check_state().unwrap();
}

#[test]
fn a_directory_of_another_chain_or_in_use_is_refused() {
    let (dir, engine) = engine();
    assert!(matches!(Engine::open(config(dir.path(), 4)), Err(OpenError::InUse { .. })));
    let found = engine.genesis_hash();
    drop(engine);
    let refused = Engine::open(config(dir.path(), 5));
    assert!(matches!(refused, Err(OpenError::OtherChain { found: it, .. }) if it == found), "{refused:?}");
    Engine::open(config(dir.path(), 4)).unwrap();
}

#[test]
fn every_wrong_field_of_a_header_is_refused() {
    let (_dir, builder) = engine();
    let (_dir2, engine) = self::engine();
    let block = block_on(&builder, builder.genesis_hash(), vec![transfer(0, 0, Address::repeat_byte(7), 5)]);
    let expectation = expectation(&engine, &block, false);
    type Change = fn(&mut Header);
    let changes: [(&str, Change); 20] = [
        ("number", |h| h.number += 1),
        ("ommers", |h| h.ommers_hash = B256::ZERO),
        ("beneficiary", |h| h.beneficiary = Address::ZERO),
        ("state root", |h| h.state_root = B256::ZERO),
        ("transactions root", |h| h.transactions_root = B256::ZERO),
        ("receipts root", |h| h.receipts_root = B256::ZERO),
        ("bloom", |h| h.logs_bloom.0[0] ^= 1),
        ("difficulty", |h| h.difficulty = U256::from(1)),
        ("gas limit", |h| h.gas_limit += 1),
        ("gas used", |h| h.gas_used += 1),
        ("timestamp", |h| h.timestamp = 1),
        ("extra data", |h| h.extra_data = Bytes::from_static(&[2; 25])),
        ("mix hash", |h| h.mix_hash = B256::ZERO),
        ("nonce", |h| h.nonce = [1; 8].into()),
        ("base fee", |h| h.base_fee_per_gas = Some(1)),
        ("withdrawals root", |h| h.withdrawals_root = None),
        ("blob gas used", |h| h.blob_gas_used = Some(1)),
        ("excess blob gas", |h| h.excess_blob_gas = None),
        ("beacon root", |h| h.parent_beacon_block_root = Some(B256::ZERO)),
        ("requests hash", |h| h.requests_hash = None),
    ];
    for (name, change) in changes {
        let mut wrong = block.block.block().clone();
        change(&mut wrong.header);
        let wrong = Arc::new(RecoveredBlock::recover(wrong).unwrap());
        let refused = engine.execute(&wrong, expectation);
        assert!(matches!(&refused, Err(error) if error.is_invalid()), "{name}: {refused:?}");
    }
    let refused = engine.execute(&block.block, baton_engine::Expectation { sweep: true, ..expectation });
    assert!(matches!(refused, Err(ExecuteError::Invalid { .. })), "the sweep is part of the state");
    assert_eq!(engine.execute(&block.block, expectation).unwrap().hash(), block.hash());
}

#[test]
fn a_block_whose_body_breaks_a_rule_is_refused() {
    let (_dir, builder) = engine();
    let (_dir2, engine) = self::engine();
    let root = builder.genesis_hash();
    let due = [deposit(0, signer(1).address(), Some(STORE), 1, 0, 100_000)];
    let mut script = Script::of([transfer(0, 0, Address::repeat_byte(7), 5)]);
    let block = builder.build(&attributes(&builder, root, &due, false), &mut script, budget()).unwrap();
    let expectation = expectation(&engine, &block, false);
    let refused = |change: fn(&mut baton_primitives::Block)| {
        let mut wrong = block.block.block().clone();
        change(&mut wrong);
        let wrong = Arc::new(RecoveredBlock::recover(wrong).unwrap());
        match engine.execute(&wrong, expectation) {
            Err(ExecuteError::Invalid { fault, .. }) => fault,
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(refused(|b| b.body.transactions.clear()), BlockFault::System(_)));
    assert!(matches!(refused(|b| b.body.transactions.swap(0, 1)), BlockFault::System(_)));
    assert!(
        matches!(refused(|b| drop(b.body.transactions.remove(1))), BlockFault::Number { field: "deposits", .. }),
        "a left out deposit does not go unnoticed"
    );
    assert!(matches!(
        refused(|b| b.body.transactions.swap(1, 2)),
        BlockFault::Transaction { index: 2, why: InvalidTransaction::Type(0x7e) }
    ));
    let twice = refused(|b| b.body.transactions.push(b.body.transactions[2].clone()));
    assert!(
        matches!(twice, BlockFault::Transaction { index: 3, why: InvalidTransaction::NonceTooLow { .. } }),
        "{twice:?}"
    );
    engine.execute(&block.block, expectation).unwrap();
}

#[test]
fn an_invalid_transaction_leaves_no_trace() {
    let (_dir, engine) = engine();
    let root = engine.genesis_hash();
    let good = || [transfer(0, 0, Address::repeat_byte(7), 5), transfer(1, 0, Address::repeat_byte(8), 6)];
    let plain = block_on(&engine, root, good().to_vec());
    let [first, second] = good();
    let poor = Plain::to(0, REVERT).value(5_000 * ETHER).sign(&signer(2), 2, None);
    let stranger = transfer(77, 0, Address::repeat_byte(9), 1);
    let early = transfer(0, 5, Address::repeat_byte(9), 1);
    let mut script = Script::of([poor, first, early, stranger, second]);
    let attributes = attributes(&engine, root, &[], false);
    let mixed = engine.build(&attributes, &mut script, budget()).unwrap();
    assert_eq!(mixed.hash(), plain.hash(), "the block is the same as without the invalid ones");
    let refused = script.log.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Invalid(_))).count();
    assert_eq!(refused, 3, "{:?}", script.log);
}

#[test]
fn a_deposit_from_the_pool_is_refused() {
    let (_dir, engine) = engine();
    let root = engine.genesis_hash();
    let forged = deposit(0, signer(1).address(), Some(STORE), ETHER, 0, 100_000).transaction();
    let mut script = Script::of([(forged, signer(1).address())]);
    let block = engine.build(&attributes(&engine, root, &[], false), &mut script, budget()).unwrap();
    assert_eq!(block.receipts.len(), 1);
    assert_eq!(script.log[0].1, Verdict::Invalid(InvalidTransaction::Type(0x7e)));
}

#[test]
fn a_failed_deposit_mints_and_counts_its_gas() {
    let (_dir, engine) = engine();
    let poor = Address::repeat_byte(0x55);
    let due = [
        deposit(0, poor, Some(REVERT), 7, 0, 90_000),
        deposit(1, poor, Some(STORE), 2, 1_000, 80_000),
        deposit(2, poor, Some(STORE), 1, 0, 10),
        deposit(3, poor, Some(Address::repeat_byte(0x66)), 0, 4, 21_000),
    ];
    let attributes = attributes(&engine, engine.genesis_hash(), &due, false);
    let block = engine.build(&attributes, &mut NoTransactions, budget()).unwrap();
    let status: Vec<bool> = block.receipts.iter().map(TxReceipt::status).collect();
    assert_eq!(status, [true, false, false, false, true]);
    let gas: Vec<u64> =
        block.receipts.windows(2).map(|w| w[1].cumulative_gas_used() - w[0].cumulative_gas_used()).collect();
    assert_eq!(gas[1..], [80_000, 10, 21_000], "a deposit that cannot start uses all its gas");
    let view = engine.state(BlockRef::Hash(block.hash())).unwrap();
    assert_eq!(view.balance(poor).unwrap(), U256::from(6));
    assert_eq!(view.nonce(poor).unwrap(), 4);
    assert_eq!((block.deposits, block.origin.number), (4, 1));
    let vault = view.balance(predeploys::FEE_VAULT).unwrap();
    assert_eq!(vault, U256::ZERO, "deposits pay no fee");
}

#[test]
fn all_fees_go_to_the_vault_and_the_sweep_empties_it() {
    let (_dir, engine) = engine();
    let root = engine.genesis_hash();
    let supply = engine.supply().unwrap();
    let first = block_on(&engine, root, vec![transfer(0, 0, Address::repeat_byte(7), 5)]);
    let base_fee = first.block.header().base_fee_per_gas.unwrap();
    let fee = U256::from(21_000) * U256::from(u128::from(base_fee) + 2_000_000_000);
    let vault = |hash| engine.state(BlockRef::Hash(hash)).unwrap().balance(predeploys::FEE_VAULT).unwrap();
    assert_eq!((vault(first.hash()), first.swept), (fee, U256::ZERO));
    let mut script = Script::of([transfer(1, 0, Address::repeat_byte(7), 5)]);
    let last = engine.build(&attributes(&engine, first.hash(), &[], true), &mut script, budget()).unwrap();
    let base_fee = last.block.header().base_fee_per_gas.unwrap();
    let fees = fee + U256::from(21_000) * U256::from(u128::from(base_fee) + 2_000_000_000);
    assert_eq!((vault(last.hash()), last.swept), (U256::ZERO, fees), "its own block's fees included");
    engine.finalize(last.hash()).unwrap();
    assert_eq!(engine.supply().unwrap(), supply - fees);
    assert_eq!(engine.outcome(2).unwrap().unwrap().swept, fees);
}

#[test]
fn an_address_that_was_destroyed_can_live_again_in_the_same_block() {
    let (_dir, engine) = engine();
    let child = phoenix_child();
    let block = block_on(
        &engine,
        engine.genesis_hash(),
        vec![Plain::to(0, PHOENIX).value(3).sign(&signer(0), 2, None), transfer(0, 1, child, 11)],
    );
    let view = engine.state(BlockRef::Hash(block.hash())).unwrap();
    assert_eq!((view.balance(child).unwrap(), view.balance(PHOENIX).unwrap()), (U256::from(11), U256::from(3)));
    let block = block_on(&engine, block.hash(), vec![Plain::to(2, PHOENIX).sign(&signer(0), 2, None)]);
    let view = engine.state(BlockRef::Hash(block.hash())).unwrap();
    assert_eq!((view.balance(child).unwrap(), view.balance(PHOENIX).unwrap()), (U256::ZERO, U256::from(14)));
    engine.finalize(block.hash()).unwrap();
    engine.check_state().unwrap();
}

#[test]
fn a_block_respects_gas_bytes_and_deadline() {
    let (_dir, engine) = engine();
    let root = engine.genesis_hash();
    let attributes = attributes(&engine, root, &[], false);
    let many = || (0..3).map(|from| transfer(from, 0, Address::repeat_byte(7), 5));
    let mut script = Script::of(many());
    let late = Budget { deadline: Instant::now(), max_bytes: u64::MAX };
    assert_eq!(engine.build(&attributes, &mut script, late).unwrap().receipts.len(), 1);
    assert_eq!(script.queue.len(), 3, "nothing is even looked at");
    let mut script = Script::of(many());
    let tight = Budget { max_bytes: 1_500, ..budget() };
    let block = engine.build(&attributes, &mut script, tight).unwrap();
    assert!(block.size <= 1_500 && block.receipts.len() == 2, "{} bytes", block.size);
    assert!(script.log.iter().any(|(_, verdict)| *verdict == Verdict::Skipped));
}

#[test]
fn the_tree_of_unfinalized_blocks_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(baton_engine::Config { max_unfinalized: 3, ..config(dir.path(), 4) }).unwrap();
    let mut parent = engine.genesis_hash();
    for _ in 0..3 {
        parent = block_on(&engine, parent, vec![]).hash();
    }
    let full = engine.build(&attributes(&engine, parent, &[], false), &mut NoTransactions, budget());
    assert!(matches!(full, Err(BuildError::TooManyUnfinalized(3))));
    engine.finalize(parent).unwrap();
    block_on(&engine, parent, vec![]);
}
