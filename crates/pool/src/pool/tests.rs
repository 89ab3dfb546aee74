use super::{waiting::Worth, *};
use crate::StateError;
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxLegacy},
    eips::Encodable2718,
    network::TxSignerSync,
    primitives::{Signature, TxKind, U256},
    signers::local::PrivateKeySigner,
};
use baton_primitives::{Block, Header, Transaction, block_body};
use proptest::prelude::*;

const CHAIN: u64 = 13_370;

#[derive(Clone, Default)]
struct Accounts(Arc<Mutex<HashMap<Address, Account>>>, Arc<Mutex<HashSet<B256>>>);

impl State for Accounts {
    fn account(&self, address: Address) -> Result<Account, StateError> {
        Ok(self.0.lock().get(&address).copied().unwrap_or_default())
    }

    fn is_final(&self, transaction: &B256) -> Result<bool, StateError> {
        Ok(self.1.lock().contains(transaction))
    }
}

struct World {
    pool: Pool,
    accounts: Accounts,
    signers: Vec<PrivateKeySigner>,
}

fn world(change: impl FnOnce(&mut Config)) -> World {
    let accounts = Accounts::default();
    let signers: Vec<_> = (1..=4u8).map(|i| PrivateKeySigner::from_bytes(&B256::repeat_byte(i)).unwrap()).collect();
    for signer in &signers {
        let rich = Account { balance: U256::from(10u128.pow(18)), ..Account::default() };
        accounts.0.lock().insert(signer.address(), rich);
    }
    let mut config = Config::new(CHAIN, 30_000_000);
    change(&mut config);
    World { pool: Pool::open(config, accounts.clone()).unwrap(), accounts, signers }
}

fn signed(signer: &PrivateKeySigner, mut transaction: TxEip1559) -> Transaction {
    let signature: Signature = signer.sign_transaction_sync(&mut transaction).unwrap();
    Transaction::Eip1559(transaction.into_signed(signature))
}

fn transfer(nonce: u64, tip: u128) -> TxEip1559 {
    TxEip1559 {
        chain_id: CHAIN,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 1_000 + tip,
        max_priority_fee_per_gas: tip,
        to: TxKind::Call(Address::ZERO),
        value: U256::from(1),
        ..TxEip1559::default()
    }
}

impl World {
    fn send(&self, signer: usize, transaction: TxEip1559) -> Result<B256, Refusal> {
        self.pool.admit_local(&signed(&self.signers[signer], transaction).encoded_2718())
    }

    fn order(&self) -> Vec<(usize, u64)> {
        let position = |sender| self.signers.iter().position(|s| s.address() == sender).unwrap();
        self.pool.best(100).map(|t| (position(t.sender), t.nonce)).collect()
    }

    fn include(&self, transactions: Vec<Transaction>) {
        let block = Block { header: Header::default(), body: block_body(transactions) };
        let block = RecoveredBlock::recover(block).unwrap();
        for sender in block.senders() {
            self.accounts.0.lock().get_mut(sender).unwrap().nonce += 1;
        }
        self.accounts.1.lock().extend(block.transactions().iter().map(|t| t.tx_hash()));
        self.pool.on_final(&block);
    }
}

#[test]
fn higher_tips_come_first_and_a_senders_nonces_in_order() {
    let world = world(|_| {});
    world.send(0, transfer(0, 5)).unwrap();
    world.send(0, transfer(1, 90)).unwrap();
    world.send(1, transfer(0, 10)).unwrap();
    world.send(2, transfer(0, 10)).unwrap();
    assert_eq!(world.order(), vec![(1, 0), (2, 0), (0, 0), (0, 1)]);
}

#[test]
fn a_transaction_behind_a_gap_waits_until_the_gap_is_filled() {
    let world = world(|_| {});
    world.send(0, transfer(1, 5)).unwrap();
    assert_eq!((world.order(), world.pool.counts().queued), (vec![], 1));
    let mut pending = world.pool.subscribe();
    world.send(0, transfer(0, 5)).unwrap();
    assert_eq!(world.order(), vec![(0, 0), (0, 1)]);
    assert_eq!(world.pool.next_nonce(&world.signers[0].address()), Some(2));
    assert!(pending.try_recv().is_ok() && pending.try_recv().is_ok() && pending.try_recv().is_err());
}

#[test]
fn a_fee_cap_below_the_base_fee_blocks_the_senders_later_transactions() {
    let world = world(|_| {});
    world.send(0, TxEip1559 { max_fee_per_gas: 50, max_priority_fee_per_gas: 50, ..transfer(0, 0) }).unwrap();
    world.send(0, transfer(1, 5)).unwrap();
    assert_eq!(world.order(), vec![]);
}

#[test]
fn own_ready_transactions_are_overdue_until_they_leave_and_each_only_now_and_then() {
    let world = world(|_| {});
    let (first, second) = (world.send(0, transfer(0, 5)).unwrap(), world.send(0, transfer(1, 5)).unwrap());
    world.send(1, transfer(3, 5)).unwrap();
    world.pool.admit(&signed(&world.signers[2], transfer(0, 5)).encoded_2718()).unwrap();
    let overdue = |age, limit| world.pool.overdue(age, limit).iter().map(|t| t.hash).collect::<Vec<_>>();
    assert!(overdue(Duration::from_secs(60), 10).is_empty());
    // Not the one behind a gap, and not the one that another node forwarded.
    assert_eq!(overdue(Duration::ZERO, 10), vec![first, second]);
    assert_eq!(overdue(Duration::ZERO, 1).len(), 1);
    assert!(overdue(Duration::from_secs(60), 10).is_empty());
    world.pool.reject(second, "test".into());
    assert_eq!(overdue(Duration::ZERO, 10), vec![first]);
}

#[test]
fn a_fee_cap_that_no_block_can_take_is_refused() {
    let world = world(|config| config.least_fee = 60);
    let cheap = TxEip1559 { max_fee_per_gas: 59, max_priority_fee_per_gas: 50, ..transfer(0, 0) };
    assert_eq!(world.send(0, cheap), Err(Refusal::FeeTooLow { fee: 59, least: 60 }));
    let least = TxEip1559 { max_fee_per_gas: 60, max_priority_fee_per_gas: 50, ..transfer(0, 0) };
    assert!(world.send(0, least).is_ok());
}

#[test]
fn only_transactions_that_pay_and_are_not_included_yet_call_for_a_block() {
    let world = world(|_| {});
    let none = HashSet::new();
    assert!(!world.pool.has_payable(100, &none));
    let cheap = TxEip1559 { max_fee_per_gas: 50, max_priority_fee_per_gas: 50, ..transfer(0, 0) };
    world.send(0, cheap).unwrap();
    world.send(0, transfer(1, 5)).unwrap();
    world.send(1, transfer(1, 5)).unwrap();
    assert!(!world.pool.has_payable(100, &none), "behind a cheap one, or behind a gap");
    assert!(world.pool.has_payable(50, &none));
    let first = world.send(2, transfer(0, 5)).unwrap();
    assert!(world.pool.has_payable(100, &none));
    let included = HashSet::from([first]);
    assert!(!world.pool.has_payable(100, &included));
    world.send(2, transfer(1, 5)).unwrap();
    assert!(world.pool.has_payable(100, &included));
}

#[test]
fn a_replacement_must_pay_ten_percent_more_on_both_caps() {
    let world = world(|_| {});
    let first = world.send(0, transfer(0, 100)).unwrap();
    assert_eq!(world.send(0, transfer(0, 105)), Err(Refusal::Underpriced { bump: 10 }));
    let better = TxEip1559 { max_fee_per_gas: 1_210, max_priority_fee_per_gas: 110, ..transfer(0, 0) };
    let second = world.send(0, better).unwrap();
    assert_eq!(world.pool.counts().ready, 1);
    assert_eq!(world.pool.fate(&first), Some(Fate::Dropped(format!("replaced by {second}"))));
}

#[test]
fn what_a_final_block_holds_leaves_and_what_it_overtook_has_a_fate() {
    let world = world(|_| {});
    let mine = signed(&world.signers[0], transfer(0, 5));
    let hash = world.send(0, transfer(0, 5)).unwrap();
    let overtaken = world.send(1, transfer(0, 5)).unwrap();
    world.send(1, transfer(1, 5)).unwrap();
    let other = signed(&world.signers[1], transfer(0, 77));
    world.include(vec![mine, other]);
    assert_eq!(world.order(), vec![(1, 1)]);
    assert_eq!(world.pool.fate(&hash), None);
    assert!(matches!(world.pool.fate(&overtaken), Some(Fate::Dropped(_))));
    assert_eq!(world.send(0, transfer(0, 5)), Err(Refusal::NonceTooLow { next: 1, nonce: 0 }));
}

#[test]
fn every_refusal_has_its_name() {
    let world = world(|_| {});
    let send = |t| world.send(3, t).unwrap_err();
    assert!(matches!(send(TxEip1559 { chain_id: 1, ..transfer(0, 0) }), Refusal::ChainId { have: 1, want: CHAIN }));
    assert!(matches!(
        send(TxEip1559 { gas_limit: 20_999, ..transfer(0, 0) }),
        Refusal::IntrinsicGas { need: 21_000, .. }
    ));
    assert!(matches!(send(TxEip1559 { gas_limit: 30_000_001, ..transfer(0, 0) }), Refusal::GasLimit { .. }));
    assert!(matches!(send(TxEip1559 { gas_limit: 20_000_000, ..transfer(0, 0) }), Refusal::TransactionGas { .. }));
    assert!(matches!(
        send(TxEip1559 { max_priority_fee_per_gas: 2_000, ..transfer(0, 0) }),
        Refusal::TipAboveFee { .. }
    ));
    assert!(matches!(send(TxEip1559 { value: U256::MAX, ..transfer(0, 0) }), Refusal::Funds { .. }));
    assert!(matches!(
        send(TxEip1559 { input: vec![0; 131_100].into(), gas_limit: 10_000_000, ..transfer(0, 0) }),
        Refusal::Size { .. }
    ));
    assert_eq!(world.pool.admit(&[]), Err(Refusal::Decode("empty transaction bytes".into())));
    assert_eq!(world.pool.admit(&[3, 1, 2]), Err(Refusal::Type(3)));
    assert_eq!(world.pool.admit(&[0x7e, 1, 2]), Err(Refusal::Type(0x7e)));
    let mut unprotected = TxLegacy { gas_limit: 21_000, to: TxKind::Call(Address::ZERO), ..TxLegacy::default() };
    let signature = world.signers[0].sign_transaction_sync(&mut unprotected).unwrap();
    let unprotected = Transaction::Legacy(unprotected.into_signed(signature));
    assert_eq!(world.pool.admit(&unprotected.encoded_2718()), Err(Refusal::Unprotected));
    world.accounts.0.lock().get_mut(&world.signers[2].address()).unwrap().is_contract = true;
    assert_eq!(world.send(2, transfer(0, 1)), Err(Refusal::NotEoa));
    world.send(0, transfer(0, 1)).unwrap();
    assert_eq!(world.send(0, transfer(0, 1)), Err(Refusal::AlreadyKnown));
}

#[test]
fn a_sender_may_fill_its_slots_and_no_more() {
    let world = world(|config| config.limits.max_per_sender = 3);
    for nonce in [0, 1, 3] {
        world.send(0, transfer(nonce, 1)).unwrap();
    }
    assert_eq!(world.send(0, transfer(4, 1)), Err(Refusal::SenderLimit { count: 3, limit: 3 }));
    world.send(0, transfer(2, 1)).unwrap();
    assert_eq!(world.order(), vec![(0, 0), (0, 1), (0, 2)]);
}

#[test]
fn a_full_pool_lets_the_worst_paid_go_for_a_better_one_only() {
    let world = world(|config| config.limits.max_transactions = 2);
    let worst = world.send(0, transfer(0, 1)).unwrap();
    world.send(1, transfer(0, 5)).unwrap();
    assert_eq!(world.send(2, transfer(0, 1)), Err(Refusal::Full { least: 1 }));
    assert_eq!(world.send(0, transfer(0, 1)), Err(Refusal::AlreadyKnown), "the same again is no newcomer");
    world.send(2, transfer(0, 2)).unwrap();
    assert_eq!(world.order(), vec![(1, 0), (2, 0)]);
    assert!(matches!(world.pool.fate(&worst), Some(Fate::Dropped(_))));
}

#[test]
fn what_waits_behind_a_gap_cannot_keep_out_what_can_be_included() {
    let world = world(|config| {
        config.limits.max_transactions = 4;
        config.limits.queued_share = 2.try_into().unwrap();
    });
    // Offers nobody has to keep, as high as one likes.
    world.send(0, transfer(7, 900)).unwrap();
    world.send(0, transfer(8, 900)).unwrap();
    assert_eq!(world.send(1, transfer(9, 900)), Err(Refusal::QueueFull { limit: 2 }), "half is their share");
    world.send(1, transfer(9, 901)).unwrap();
    assert_eq!(world.pool.counts().queued, 2, "the better offer took the place of a worse one");
    for nonce in 0..4 {
        world.send(2, transfer(nonce, 1 + u128::from(nonce))).unwrap();
    }
    assert_eq!(world.order(), vec![(2, 0), (2, 1), (2, 2), (2, 3)]);
    // And none of them takes a place back.
    assert_eq!(world.send(3, transfer(5, 900)), Err(Refusal::Full { least: 1 }));
    assert_eq!(world.pool.counts(), Counts { ready: 4, queued: 0, bytes: world.pool.counts().bytes });
}

#[test]
fn a_replacement_cannot_grow_beyond_the_bytes_of_the_pool() {
    let world = world(|config| config.limits.max_bytes = 1_000);
    world.send(0, transfer(0, 1)).unwrap();
    let long = |bytes: usize| TxEip1559 {
        input: vec![0; bytes].into(),
        gas_limit: 100_000,
        max_fee_per_gas: 9_000,
        ..transfer(0, 900)
    };
    assert_eq!(world.send(0, long(1_000)), Err(Refusal::Full { least: 1 }));
    world.send(0, long(700)).unwrap();
    assert!(world.pool.counts().bytes <= 1_000);
    assert_eq!(world.pool.counts().ready, 1);
}

#[test]
fn local_transactions_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("transactions");
    let world = world(|config| config.journal = Some(journal.clone()));
    let hash = world.send(0, transfer(0, 1)).unwrap();
    let config = Config { journal: Some(journal), ..Config::new(CHAIN, 30_000_000) };
    drop(world.pool);
    let reopened = Pool::open(config, world.accounts.clone()).unwrap();
    assert_eq!(reopened.fate(&hash), Some(Fate::Waiting));
}

#[test]
fn what_another_node_forwarded_survives_a_restart_and_is_not_forwarded_by_this_one() {
    let (mut world, reopen) = journalled(|_| {});
    let raw = |signer: usize, nonce| signed(&world.signers[signer], transfer(nonce, 5)).encoded_2718();
    let one = world.pool.admit(&raw(0, 0)).unwrap();
    let others = world.pool.admit_all(&[raw(0, 1).into(), raw(1, 0).into()]);
    let others: Vec<B256> = others.into_iter().map(Result::unwrap).collect();
    let own = world.pool.admit_all_local(&[raw(2, 0).into()]).remove(0).unwrap();
    // A second restart begins with what the first one wrote anew.
    for _ in 0..3 {
        for hash in others.iter().chain([&one, &own]) {
            assert_eq!(world.pool.fate(hash), Some(Fate::Waiting));
        }
        let overdue: Vec<_> = world.pool.overdue(Duration::ZERO, 10).iter().map(|t| t.hash).collect();
        assert_eq!(overdue, [own]);
        world.pool = reopen(&world);
    }
}

#[test]
fn a_transaction_that_is_taken_again_while_its_fate_is_written_survives_a_restart() {
    let (world, reopen) = journalled(|_| {});
    let raw = signed(&world.signers[0], transfer(0, 5)).encoded_2718();
    let hash = world.pool.admit_local(&raw).unwrap();
    let waiting_on_disk = || {
        let copy = tempfile::tempdir().unwrap();
        let path = copy.path().join("transactions");
        std::fs::copy(world.pool.shared.config.journal.as_ref().unwrap(), &path).unwrap();
        Journal::open(&path).unwrap().1.waiting.iter().map(|it| it.hash).collect::<Vec<_>>()
    };
    // It has left, and whoever made it leave is about to write that down.
    {
        let mut waiting = world.pool.shared.waiting.lock();
        waiting.remove(world.signers[0].address(), 0).unwrap();
        waiting.left(hash, "test".into());
    }
    assert_eq!(world.pool.admit_local(&raw), Ok(hash));
    world.pool.write_down();
    assert_eq!(waiting_on_disk(), [hash]);
    // The same by chance.
    for round in 0..50 {
        std::thread::scope(|scope| {
            scope.spawn(|| world.pool.reject(hash, format!("round {round}")));
            while world.pool.admit_local(&raw) == Err(Refusal::AlreadyKnown) {
                std::thread::yield_now();
            }
        });
        assert_eq!(waiting_on_disk(), [hash], "round {round}");
    }
    assert_eq!(reopen(&world).fate(&hash), Some(Fate::Waiting));
}

/// A pool with a journal, and what opens it again as a node does that was killed.
fn journalled(change: impl Fn(&mut Config)) -> (World, impl Fn(&World) -> Pool) {
    let directory = tempfile::tempdir().unwrap();
    let mut config = Config::new(CHAIN, 30_000_000);
    config.journal = Some(directory.path().join("transactions"));
    change(&mut config);
    let world = world(|plain| *plain = config.clone());
    (world, move |world| {
        assert!(directory.path().exists());
        Pool::open(config.clone(), world.accounts.clone()).unwrap()
    })
}

fn dropped(why: impl Into<String>) -> Option<Fate> {
    Some(Fate::Dropped(why.into()))
}

#[test]
fn why_a_transaction_left_survives_restarts() {
    let (mut world, reopen) = journalled(|config| config.limits.max_transactions = 4);
    let replaced = world.send(0, transfer(0, 100)).unwrap();
    let better = TxEip1559 { max_fee_per_gas: 1_210, max_priority_fee_per_gas: 110, ..transfer(0, 0) };
    let better = world.send(0, better).unwrap();
    let rejected = world.send(1, transfer(0, 5)).unwrap();
    world.pool.reject(rejected, "it costs too much".into());
    // Another node's has a fate too.
    let overtaken = world.pool.admit(&signed(&world.signers[2], transfer(0, 5)).encoded_2718()).unwrap();
    world.include(vec![signed(&world.signers[2], transfer(0, 77))]);
    let evicted = world.send(1, transfer(0, 1)).unwrap();
    for nonce in 1..4 {
        world.send(2, transfer(nonce, 50)).unwrap();
    }
    world.pool.admit_all(&[signed(&world.signers[3], transfer(0, 60)).encoded_2718().into()])[0].as_ref().unwrap();

    let fates = [
        (replaced, format!("replaced by {better}")),
        (rejected, "it costs too much".into()),
        (overtaken, "nonce 0 was used by another transaction".into()),
        (evicted, "evicted: the pool is full of better paid transactions".into()),
    ];
    // Also over a second restart, before which nothing happened.
    for _ in 0..3 {
        for (hash, why) in &fates {
            assert_eq!(world.pool.fate(hash), dropped(why));
        }
        assert_eq!(world.pool.fate(&better), Some(Fate::Waiting));
        world.pool = reopen(&world);
    }
    // It may be taken again, and then waits again.
    world.include(vec![signed(&world.signers[2], transfer(1, 50))]);
    assert_eq!(world.send(1, transfer(0, 5)), Ok(rejected));
    assert_eq!(reopen(&world).fate(&rejected), Some(Fate::Waiting));
}

#[test]
fn what_cannot_wait_again_after_a_restart_is_told_and_what_is_final_is_no_rejection() {
    let (world, reopen) = journalled(|_| {});
    let included = world.send(0, transfer(0, 5)).unwrap();
    let overtaken = world.send(1, transfer(0, 5)).unwrap();
    let poor = world.send(2, transfer(0, 5)).unwrap();
    // All of this happens while the node is away.
    world.accounts.1.lock().insert(included);
    for (signer, account) in [(0, (1, 10u128.pow(18))), (1, (1, 10u128.pow(18))), (2, (0, 1))] {
        let (nonce, balance) = (account.0, U256::from(account.1));
        let changed = Account { nonce, balance, is_contract: false };
        world.accounts.0.lock().insert(world.signers[signer].address(), changed);
    }
    for _ in 0..2 {
        let pool = reopen(&world);
        assert_eq!(pool.fate(&included), None);
        assert_eq!(pool.fate(&overtaken), dropped("nonce too low: next nonce 1, tx nonce 0"));
        let Some(Fate::Dropped(why)) = pool.fate(&poor) else { panic!() };
        assert!(why.starts_with("insufficient funds"), "{why}");
    }
}

#[test]
fn a_flood_of_replacements_leaves_as_many_fates_as_are_remembered() {
    let (world, reopen) = journalled(|config| config.limits.remembered_fates = 20);
    let mut fee = 1_000_000u128;
    let mut sent = Vec::new();
    for _ in 0..100 {
        let offer = TxEip1559 { max_fee_per_gas: fee, max_priority_fee_per_gas: fee, ..transfer(0, 0) };
        sent.push(world.send(0, offer).unwrap());
        fee += fee / 10 + 1;
    }
    let pool = reopen(&world);
    let fates: Vec<_> = sent.iter().map(|hash| pool.fate(hash)).collect();
    assert!(fates[..79].iter().all(Option::is_none));
    assert!((79..99).all(|n| fates[n] == dropped(format!("replaced by {}", sent[n + 1]))));
    assert_eq!(fates[99], Some(Fate::Waiting));
    // The file holds no more than that when it has been rewritten.
    let length = std::fs::metadata(pool.shared.config.journal.as_ref().unwrap()).unwrap().len();
    assert!(length < 20 * (4 + 33 + 80) + 200, "{length}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// After any sequence of admissions and inclusions the totals equal a recount, and the order holds.
    #[test]
    fn totals_equal_a_recount(steps in prop::collection::vec((0..4usize, 0..6u64, 1..40u128, prop::bool::weighted(0.2)), 1..80)) {
        let world = world(|config| { config.limits.max_transactions = 12; config.limits.max_per_sender = 5; });
        for (signer, nonce, tip, include) in steps {
            if include {
                let first = world.pool.best(100).next();
                if let Some(first) = first {
                    world.include(vec![first.transaction.as_ref().clone()]);
                }
            } else {
                let _ = world.send(signer, transfer(nonce, tip));
            }
            let waiting = world.pool.shared.waiting.lock();
            let entries: usize = waiting.senders.values().map(|s| s.entries.len()).sum();
            prop_assert_eq!(entries, waiting.by_hash.len());
            prop_assert_eq!(entries, waiting.by_worth.len());
            prop_assert!(entries <= 12);
            prop_assert_eq!(waiting.ready, waiting.senders.values().map(|s| s.count_from(s.nonce)).sum::<usize>());
            prop_assert_eq!(waiting.bytes, waiting.by_hash.values().map(|t| t.size).sum::<usize>());
            let all = || waiting.senders.values().flat_map(|s| s.entries.values().enumerate().map(|(i, e)| (i < s.ready, e)));
            prop_assert!(all().all(|(ready, entry)| ready == entry.ready && waiting.by_worth.contains(&Worth::of(entry))));
            let queued: usize = all().filter(|(ready, _)| !ready).map(|(_, entry)| entry.transaction.size).sum();
            prop_assert_eq!(waiting.queued_bytes, queued);
            drop(waiting);
            let mut last: HashMap<usize, u64> = HashMap::new();
            for (sender, nonce) in world.order() {
                prop_assert!(last.insert(sender, nonce).is_none_or(|before| before + 1 == nonce));
            }
        }
    }
}

#[test]
fn the_other_form_of_a_signature_is_refused() {
    let world = world(|_| {});
    let Transaction::Eip1559(good) = signed(&world.signers[0], transfer(0, 5)) else { panic!() };
    // Same signer, same fields, another hash: s in the upper half (EIP-2).
    let order: U256 = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141".parse().unwrap();
    let signature = *good.signature();
    let other = Signature::new(signature.r(), order - signature.s(), !signature.v());
    let other = Transaction::Eip1559(good.tx().clone().into_signed(other));
    assert!(matches!(world.pool.admit_local(&other.encoded_2718()), Err(Refusal::Sender)));
    assert!(world.pool.admit_local(&Transaction::Eip1559(good).encoded_2718()).is_ok());
}
