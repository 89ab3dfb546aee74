//! Random blocks, against an independent execution. `BATON_RANDOM_BLOCKS` sets how many (the property is on 10,000).

use crate::{
    oracle::Oracle,
    world::{
        ETHER, LOOP, MIRROR, PHOENIX, Plain, REVERT, STORE, Script, Verdict, attributes, budget, deposit, expectation,
        genesis, phoenix_child, seldom, signer,
    },
};
use alloy::{
    consensus::TxReceipt,
    primitives::{Address, Bytes, TxKind, U256, hex},
};
use baton_engine::Engine;
use baton_primitives::{Deposit, RecoveredBlock, Transaction, predeploys};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::sync::Arc;

pub(crate) const ACCOUNTS: u64 = 8;

/// A random transaction, valid or not, that succeeds or not. `nonces` are the next nonces if all before were valid.
pub(crate) fn random(rng: &mut StdRng, nonces: &mut [u64]) -> (Transaction, Address) {
    let from = rng.random_range(0..nonces.len());
    let from_u64 = u64::try_from(from).unwrap();
    let nonce = nonces[from];
    let mut plain = match rng.random_range(0..16) {
        0..=3 => Plain::store(nonce, rng.random_range(0..12), rng.random_range(0..4)),
        4 => Plain::to(nonce, REVERT),
        5 => Plain::to(nonce, LOOP),
        6 => Plain::to(nonce, PHOENIX).value(rng.random_range(0..5)),
        7 => Plain::to(nonce, phoenix_child()).value(rng.random_range(0..5)),
        8 => Plain { gas: 200_000, ..Plain::to(nonce, MIRROR) },
        9 => Plain::to(nonce, predeploys::MESSAGE_PASSER).value(rng.random_range(1..9)),
        10 => {
            // Creations: of STOP, of a contract that stores and then fails, of nothing.
            let code = [&hex!("600160005560016000f3")[..], &hex!("600160005560006000fd"), &hex!("")]
                [rng.random_range(0..3usize)];
            Plain { to: TxKind::Create, input: Bytes::copy_from_slice(code), ..Plain::to(nonce, STORE) }
        }
        11 => Plain::to(nonce, Address::with_last_byte(rng.random_range(1..0x12))),
        12 => Plain::to(nonce, Address::random_with(rng)).value(rng.random_range(0..3)),
        _ => Plain::to(nonce, signer(rng.random_range(0..ACCOUNTS)).address()).value(rng.random_range(0..ETHER)),
    };
    let mut good = true;
    match rng.random_range(0..24) {
        0 => (plain.nonce, good) = (nonce + 1 + rng.random_range(0..2), false),
        1 if nonce > 0 => (plain.nonce, good) = (nonce - 1, false),
        2 => (plain.value, good) = (U256::from(5_000 * ETHER), false),
        3 => (plain.gas, good) = (20_999, false),
        4 => (plain.price, good) = (3, false),
        5 => (plain.gas, good) = (17_000_000, false),
        6 => plain.gas = 21_000 + rng.random_range(0..30_000),
        7 => (plain.gas, good) = (61_000_000, false),
        _ => {}
    }
    let kind = [0, 1, 2, 2, 4][rng.random_range(0..5usize)];
    let kind = if plain.to == TxKind::Create && kind == 4 { 2 } else { kind };
    // A delegation by an account of its own, right or wrong, to a contract, to nothing, or to a precompile.
    let authority = signer(rng.random_range(100..104));
    let target = [STORE, REVERT, Address::ZERO, MIRROR, Address::with_last_byte(4)][rng.random_range(0..5usize)];
    let delegate = Some((&authority, rng.random_range(0..4), target));
    if good {
        // Not exactly right (a lower gas limit may make it invalid), but the next nonces then show it.
        nonces[from] += 1;
    }
    plain.sign(&signer(from_u64), kind, delegate)
}

pub(crate) fn random_deposits(rng: &mut StdRng, next: &mut u64) -> Vec<Deposit> {
    let count = if rng.random_bool(0.4) { rng.random_range(1..4) } else { 0 };
    (0..count)
        .map(|_| {
            let from = match rng.random_range(0..3) {
                0 => signer(rng.random_range(0..ACCOUNTS)).address(),
                1 => signer(100).address(),
                _ => Address::random_with(rng),
            };
            let to = match rng.random_range(0..6) {
                0 => Some(STORE),
                1 => Some(REVERT),
                2 => Some(LOOP),
                3 => None,
                4 => Some(PHOENIX),
                _ => Some(Address::random_with(rng)),
            };
            let mint = [0, 1, ETHER][rng.random_range(0..3usize)];
            let value = [0, 1, ETHER, 10_000 * ETHER][rng.random_range(0..4usize)];
            let gas = [20_000, 21_000, 100_000, 17_000_000][rng.random_range(0..4usize)];
            let deposit = deposit(*next, from, to, mint, value, gas);
            *next += 1;
            deposit
        })
        .collect()
}

#[test]
fn random_blocks_equal_an_independent_execution() {
    let blocks: u64 = std::env::var("BATON_RANDOM_BLOCKS").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let mut rng = StdRng::seed_from_u64(0xba70);
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let builder = Engine::open(seldom(dirs[0].path(), ACCOUNTS)).unwrap();
    let mut small = seldom(dirs[1].path(), ACCOUNTS);
    // The follower has next to no caches: everything is read back from disk all the time.
    (small.cached_accounts, small.cached_slots, small.cached_nodes) = (1, 1, 1);
    let mut follower = Engine::open(small.clone()).unwrap();
    let mut oracle = Oracle::new(&genesis(ACCOUNTS));
    let (mut minted, mut swept, mut deposits) = (U256::ZERO, U256::ZERO, 0);
    let supply = oracle.balances();
    let (mut included, mut refused) = (0, 0);
    let mut parent = builder.genesis_hash();

    for height in 1..=blocks {
        let view = builder.state(baton_engine::BlockRef::Hash(parent)).unwrap();
        let mut nonces: Vec<u64> = (0..ACCOUNTS).map(|number| view.nonce(signer(number).address()).unwrap()).collect();
        let due = random_deposits(&mut rng, &mut deposits);
        minted += due.iter().map(|deposit| U256::from(deposit.mint)).sum::<U256>();
        let count = rng.random_range(0..24);
        let mut script = Script::of((0..count).map(|_| random(&mut rng, &mut nonces)).collect::<Vec<_>>());
        let sweep = height % 7 == 0;
        let attributes = attributes(&builder, parent, &due, sweep);
        let built = builder.build(&attributes, &mut script, budget()).unwrap();

        // The builder chose exactly what may be in the block.
        oracle.begin(built.block.header());
        let mut gas = 0;
        let mut receipts = built.receipts.iter().enumerate();
        let mut check = |effect: (bool, u64, Vec<alloy::primitives::Log>), what: &str| {
            let (index, receipt) = receipts.next().expect("a receipt for every included transaction");
            gas += effect.1;
            assert_eq!(receipt.status(), effect.0, "block {height} transaction {index} {what}");
            assert_eq!(receipt.cumulative_gas_used(), gas, "block {height} transaction {index} {what}");
            assert_eq!(receipt.logs(), effect.2, "block {height} transaction {index} {what}");
        };
        for transaction in &attributes.forced {
            let sender = transaction.as_deposit().unwrap().from;
            check(oracle.execute(transaction, sender).unwrap(), "forced");
        }
        for (candidate, verdict) in &script.log {
            let effect = oracle.execute(&candidate.transaction, candidate.sender);
            match (effect, verdict) {
                (Some(effect), Verdict::Given) => {
                    included += 1;
                    check(effect, &format!("{:?}", candidate.transaction));
                }
                (None, Verdict::Invalid(_) | Verdict::Skipped) => refused += 1,
                (effect, verdict) => panic!("{effect:?} but {verdict:?}: {:?}", candidate.transaction),
            }
        }
        assert!(receipts.next().is_none());
        if sweep {
            let amount = oracle.sweep();
            assert_eq!(built.swept, amount);
            swept += amount;
        }
        assert_eq!(built.block.header().state_root, oracle.state_root(), "block {height}");

        // Another node gets to the same block from its bytes alone.
        let received = Arc::new(RecoveredBlock::decode(&built.block.encode()).unwrap());
        assert_eq!(received.senders(), built.block.senders());
        let executed = follower.execute(&received, expectation(&follower, &built, sweep)).unwrap();
        assert_eq!((executed.hash(), executed.outcome()), (built.hash(), built.outcome()));
        assert_eq!(executed.receipts, built.receipts);

        parent = built.hash();
        if rng.random_bool(0.5) {
            builder.finalize(parent).unwrap();
        }
        if rng.random_bool(0.5) {
            follower.finalize(parent).unwrap();
            if rng.random_bool(0.2) {
                follower.sync().unwrap();
                drop(follower);
                follower = Engine::open(small.clone()).unwrap();
            }
        }
    }
    for engine in [&builder, &follower] {
        engine.finalize(parent).unwrap();
        engine.check_state().unwrap();
        // To the wei: nothing is created but by deposits, nothing vanishes but into the sweep.
        assert_eq!(engine.supply().unwrap(), supply + minted - swept);
    }
    assert!(included > blocks * 3 && refused > blocks / 2, "{included} included, {refused} refused");
}
