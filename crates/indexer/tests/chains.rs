//! The indexer between a real Anvil with a founded Baton, an L2 of hand-made blocks and a real Postgres. Needs `npm ci` in `anvil/`.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use alloy::{
    primitives::{Address, B256, U256},
    providers::{ProviderBuilder, ext::AnvilApi as _},
    rpc::types::anvil::ReorgOptions,
};
use baton_bindings::contracts::{IProfiles, ISlasher, Portal, Profiles, RevenueShare, SequencerPool, Slasher, Staking};
use baton_indexer::{CHANNEL, Config, IndexerError, verify::verify};
use baton_primitives::{Core, Performance, batch_message, bls};
use baton_testkit::{
    chains::{Pair, PlannedBlock, STAKE},
    postgres::TestDatabase,
};
use sqlx::{PgPool, postgres::PgListener};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct World {
    pair: Pair,
    database: TestDatabase,
    config: Config,
}

struct Running {
    cancellation: CancellationToken,
    task: JoinHandle<Result<(), IndexerError>>,
}

impl Running {
    async fn stop(self) {
        self.cancellation.cancel();
        self.task.await.unwrap().unwrap();
    }
}

impl World {
    async fn new() -> Self {
        let pair = Pair::start().await.unwrap();
        let database = TestDatabase::create().await.unwrap();
        let config = Config { l1_range: 7, ..pair.indexer(&database) };
        Self { pair, database, config }
    }

    fn run(&self) -> Running {
        let cancellation = CancellationToken::new();
        let task = tokio::spawn(baton_indexer::run(self.config.clone(), cancellation.clone()));
        Running { cancellation, task }
    }

    /// Waits for the indexer's own word that both cursors are where the chains are.
    async fn caught_up(&self) {
        let database = PgPool::connect(self.database.url()).await.unwrap();
        let mut listener = PgListener::connect_with(&database).await.unwrap();
        listener.listen(CHANNEL).await.unwrap();
        let begin = std::time::Instant::now();
        loop {
            let head = self.pair.l1.head().await.unwrap();
            let expected = (head.hash.to_vec(), self.pair.l2.head().hash().to_vec());
            let found: Option<(Vec<u8>, Vec<u8>)> = sqlx::query_as(
                "SELECT a.hash::bytea, b.hash::bytea FROM chain.cursors a, chain.cursors b WHERE a.chain = 'l1' AND b.chain = 'l2'",
            )
            .fetch_optional(&database)
            .await
            .unwrap_or_default();
            if found == Some(expected) {
                break;
            }
            assert!(begin.elapsed() < Duration::from_secs(60), "the indexer does not catch up");
            let _ = tokio::time::timeout(Duration::from_millis(200), listener.recv()).await;
        }
        // Closing waits for the listener's connection too.
        drop(listener);
        database.close().await;
    }

    async fn equal(&self) -> baton_indexer::verify::Report {
        let report = verify(&self.config).await.unwrap();
        assert!(report.is_equal(), "{:#?}", report.differences);
        report
    }

    async fn value<T>(&self, query: &'static str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        let database = PgPool::connect(self.database.url()).await.unwrap();
        let value = sqlx::query_scalar(query).fetch_one(&database).await.unwrap();
        database.close().await;
        value
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_equals_the_chain_over_epochs_with_delegators_and_claims() {
    let world = World::new().await;
    let running = world.run();
    let (delegator, staking) =
        (world.pair.l1.others()[0], Staking::new(world.pair.l1.deployment.addresses.staking, &world.pair.l1.provider));
    let revenue = RevenueShare::new(world.pair.l1.deployment.addresses.revenue, &world.pair.l1.provider);
    world.pair.delegate(delegator, 1, 5_000).await.unwrap();
    world.pair.l1.take_snapshot().await.unwrap();
    let deposit = world.pair.deposit().await.unwrap();
    // What it paid for its gas is carried to the first close.
    let portal = Portal::new(world.pair.l1.deployment.addresses.portal, &world.pair.l1.provider);
    portal.payProceeds().from(delegator).send().await.unwrap().get_receipt().await.unwrap();
    world.pair.l1.mine(3).await.unwrap();
    let origin = world.pair.origin().await.unwrap();
    world.pair.l2.push(&PlannedBlock { origin, deposits: vec![deposit.clone()], ..PlannedBlock::default() });
    world.pair.grow(100).await.unwrap();
    world.pair.post(100, 0).await.unwrap();
    world.caught_up().await;
    world.equal().await;
    assert_eq!(world.value::<String>("SELECT finality FROM baton.blocks WHERE number = 100").await, "posted");
    assert_eq!(world.value::<i64>("SELECT l2_block FROM baton.deposits WHERE deposit = 0").await, 1);
    assert_eq!(world.value::<String>("SELECT fee::text FROM baton.deposits WHERE deposit = 0").await, "100000000000");
    let waiting = "SELECT amount::text FROM baton.deposit_proceeds WHERE epoch IS NULL";
    assert_eq!(world.value::<String>(waiting).await, "100000000000");

    // Two epochs close; shares change and income is claimed between them.
    world.pair.grow(300).await.unwrap();
    world.pair.post(239, 1_000_000_007).await.unwrap();
    revenue.claimOwner(1, delegator).from(world.pair.l1.owners[0]).send().await.unwrap().get_receipt().await.unwrap();
    world.pair.delegate(delegator, 1, 1_000).await.unwrap();
    staking
        .requestSelfExit(4, STAKE / 4)
        .from(world.pair.l1.owners[3])
        .send()
        .await
        .unwrap()
        .get_receipt()
        .await
        .unwrap();
    staking.setCommission(2, 500).from(world.pair.l1.owners[1]).send().await.unwrap().get_receipt().await.unwrap();
    world.pair.l1.mine(3).await.unwrap();
    world.pair.grow(800).await.unwrap();
    world.pair.post(479, 3_000_000_000_000_011).await.unwrap();
    world.caught_up().await;
    assert_eq!(world.value::<i64>("SELECT epoch FROM baton.deposit_proceeds").await, 0, "shared at the first close");
    let report = world.equal().await;
    assert!(report.rows["chain.incomes"] == 8 && report.rows["chain.exits"] == 1, "{:?}", report.rows);
    assert!(report.rows["chain.terms"] > 24, "{:?}", report.rows);
    assert!(report.states > 60, "{report:?}");
    assert_eq!(world.value::<String>("SELECT status FROM baton.epochs WHERE epoch = 1").await, "closed");
    assert_eq!(world.value::<String>("SELECT finality FROM baton.blocks WHERE number = 480").await, "final");

    // Anvil's finality is two epochs of two blocks behind.
    world.pair.l1.mine(8).await.unwrap();
    world.caught_up().await;
    assert_eq!(
        world.value::<String>("SELECT finality FROM baton.transactions WHERE block = 5 LIMIT 1").await,
        "settled"
    );
    running.stop().await;

    // A lost database is rebuilt from chain alone, over ranges this time.
    world.database.recreate().await.unwrap();
    let running = world.run();
    world.caught_up().await;
    let again = world.equal().await;
    for (table, rows) in &report.rows {
        assert!(matches!(*table, "chain.terms" | "chain.l1_blocks") || again.rows[table] == *rows, "{table}");
    }
    running.stop().await;
}

/// Sends a call and waits until it is mined.
macro_rules! mine {
    ($call:expr, $from:expr) => {
        assert!($call.from($from).send().await.unwrap().get_receipt().await.unwrap().status())
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn slashes_switches_and_new_owners_leave_the_views_equal_to_the_contracts() {
    const TOKENS: u128 = 10u128.pow(18);
    let world = World::new().await;
    let running = world.run();
    let (l1, a) = (&world.pair.l1, world.pair.l1.deployment.addresses);
    let (early, late) = (l1.others()[0], l1.others()[1]);
    let staking = Staking::new(a.staking, &l1.provider);
    // The Slasher's account, to slash without evidence.
    let direct = ProviderBuilder::new().connect_http(l1.url());
    direct.anvil_impersonate_account(a.slasher).await.unwrap();
    direct.anvil_set_balance(a.slasher, U256::from(TOKENS)).await.unwrap();
    let punished = Staking::new(a.staking, &direct);

    // One delegation is in the slashed snapshot, the other and a part of the first are not.
    world.pair.delegate(early, 2, 5_000).await.unwrap();
    l1.take_snapshot().await.unwrap();
    world.pair.delegate(late, 2, 3_000).await.unwrap();
    world.pair.delegate(early, 2, 777).await.unwrap();
    mine!(punished.slash(2, 1, 1_234), a.slasher);
    world.caught_up().await;
    world.equal().await;
    assert_eq!(world.value::<i64>("SELECT count(*) FROM chain.spared_positions()").await, 2);

    // The spared shares are noted when a position moves; a second slash reaches them, and what switched away.
    l1.take_snapshot().await.unwrap();
    mine!(staking.switchSequencer(2, 3, 2_000 * TOKENS, 0), early);
    world.pair.delegate(late, 2, 10).await.unwrap();
    mine!(staking.requestExit(2, 500 * TOKENS), late);
    mine!(punished.slash(2, 2, 2_500), a.slasher);
    mine!(staking.settleSwitch(3, early), late);
    world.caught_up().await;
    world.equal().await;
    assert_eq!(world.value::<i64>("SELECT count(*) FROM chain.switch_slashes").await, 1);

    // Owners, commission, names, jail.
    mine!(staking.proposeOwner(1, early), l1.owners[0]);
    mine!(staking.acceptOwner(1), early);
    mine!(staking.setCommission(3, 500), l1.owners[2]);
    mine!(staking.setCommission(3, 900), l1.owners[2]);
    let profile =
        IProfiles::Profile { name: "Baton\0 three".into(), url: "https://three.example".into(), logoHash: B256::ZERO };
    mine!(Profiles::new(a.profiles, &l1.provider).set(3, profile), l1.owners[2]);
    let until = l1.head().await.unwrap().timestamp + 1_000;
    mine!(SequencerPool::new(a.pool, &direct).jail(4, until), a.slasher);
    world.caught_up().await;
    world.equal().await;
    assert_eq!(world.value::<i32>("SELECT commission FROM baton.sequencers WHERE sequencer = 3").await, 500);
    assert_eq!(world.value::<String>("SELECT name FROM baton.sequencers WHERE sequencer = 3").await, "Baton three");
    assert_eq!(world.value::<String>("SELECT status FROM baton.sequencers WHERE sequencer = 4").await, "jailed");
    l1.take_snapshot().await.unwrap();
    world.caught_up().await;
    assert_eq!(world.value::<i32>("SELECT commission FROM baton.sequencers WHERE sequencer = 3").await, 900);

    // Income of positions that slashes changed, claimed in between.
    world.pair.grow(800).await.unwrap();
    world.pair.post(239, 1_000_000_000_000_007).await.unwrap();
    let revenue = RevenueShare::new(a.revenue, &l1.provider);
    mine!(revenue.claimOwner(1, early), early);
    l1.mine(3).await.unwrap();
    world.pair.post(479, 3_000_000_000_000_011).await.unwrap();
    world.pair.post(719, 5_000_000_000_000_013).await.unwrap();
    direct.anvil_increase_time(l1.deployment.parameters.unbonding + 1).await.unwrap();
    l1.mine(1).await.unwrap();
    mine!(staking.finishExit(1), early);
    world.caught_up().await;
    let report = world.equal().await;
    assert!(report.states > 60, "{report:?}");
    let slashed: String = world.value("SELECT slashed::text FROM baton.exits WHERE exit_id = 1").await;
    assert!(slashed.parse::<u128>().unwrap() > 0, "{slashed}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounty_that_stays_owed_and_its_payment_are_rows_as_the_slasher_has_them() {
    let world = World::new().await;
    let running = world.run();
    let (l1, a) = (&world.pair.l1, world.pair.l1.deployment.addresses);
    let (staking, slasher) = (Staking::new(a.staking, &l1.provider), Slasher::new(a.slasher, &l1.provider));
    let (reporter, receiver) = (l1.others()[0], l1.others()[1]);
    // A quarter of the stake is on its way out when the offence is proven: its part of the bounty is owed.
    mine!(staking.requestSelfExit(2, STAKE / 4), l1.owners[1]);
    let key = bls::SecretKey::from_seed(&[2; 32]);
    let core = l1.next_core(10, U256::ZERO, &Performance::default()).await.unwrap();
    let signed = |core: &Core| {
        let message = batch_message(l1.deployment.l1_chain_id, a.inbox, core.hash(), B256::ZERO);
        let signature = key.sign(&message).to_eip2537().into();
        ISlasher::Attestation { core: core.into(), dataHash: B256::ZERO, signature }
    };
    let (first, second) = (signed(&core), signed(&Core { state_root: B256::repeat_byte(9), ..core.clone() }));
    mine!(slasher.slashBatches(key.public().to_eip2537().into(), first, second, receiver), reporter);
    world.caught_up().await;
    world.equal().await;
    let owed = slasher.bountyOf(receiver).call().await.unwrap();
    assert!(owed > U256::ZERO);
    let row = "SELECT concat_ws(' ', receiver, owed, paid, offences) FROM baton.bounties";
    let of = |owed: U256, paid: U256| format!("{} {owed} {paid} 1", format!("{receiver:?}").to_lowercase());
    assert_eq!(world.value::<String>(row).await, of(owed, U256::ZERO));
    let step = "SELECT concat_ws(' ', step, sequencer, epoch) FROM chain.bounty_steps";
    assert_eq!(world.value::<String>(step).await, "owed 2 0");

    // It is paid in one claim, by whoever sends it; a reorganization takes the payment back, not the debt.
    mine!(slasher.claimBounty(receiver), reporter);
    assert_eq!(slasher.bountyOf(receiver).call().await.unwrap(), U256::ZERO);
    world.caught_up().await;
    let report = world.equal().await;
    assert_eq!(report.rows["chain.bounty_steps"], 2);
    assert_eq!(world.value::<String>(row).await, of(owed, owed));
    l1.provider.anvil_reorg(ReorgOptions { depth: 1, tx_block_pairs: vec![] }).await.unwrap();
    l1.mine(1).await.unwrap();
    world.caught_up().await;
    world.equal().await;
    assert_eq!(world.value::<String>(row).await, of(owed, U256::ZERO));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_l1_reorg_takes_its_rows_back_in_one_transaction() {
    let world = World::new().await;
    let running = world.run();
    world.pair.l1.mine(4).await.unwrap();
    world.pair.grow(20).await.unwrap();
    world.pair.post(20, 0).await.unwrap();
    world.pair.delegate(world.pair.l1.others()[1], 2, 700).await.unwrap();
    world.caught_up().await;
    assert_eq!(world.value::<i64>("SELECT count(*) FROM chain.batches").await, 1);
    assert_eq!(world.value::<i64>("SELECT count(*) FROM baton.positions WHERE NOT self_stake").await, 1);

    // The last four blocks (post, transfer, approve, delegate) never happened.
    world.pair.l1.provider.anvil_reorg(ReorgOptions { depth: 4, tx_block_pairs: vec![] }).await.unwrap();
    world.pair.l1.mine(1).await.unwrap();
    world.caught_up().await;
    assert_eq!(world.value::<i64>("SELECT count(*) FROM chain.batches").await, 0);
    assert_eq!(world.value::<i64>("SELECT count(*) FROM baton.positions WHERE NOT self_stake").await, 0);
    assert_eq!(world.value::<String>("SELECT finality FROM baton.blocks WHERE number = 20").await, "final");
    world.equal().await;

    // The same things happen again, elsewhere.
    world.pair.post(20, 0).await.unwrap();
    world.caught_up().await;
    assert_eq!(world.value::<String>("SELECT finality FROM baton.blocks WHERE number = 20").await, "posted");
    world.equal().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_while_the_indexer_was_down_is_found_at_the_next_start() {
    let world = World::new().await;
    let running = world.run();
    world.pair.l1.mine(4).await.unwrap();
    world.pair.delegate(world.pair.l1.others()[1], 2, 700).await.unwrap();
    world.caught_up().await;
    running.stop().await;
    world.pair.l1.provider.anvil_reorg(ReorgOptions { depth: 3, tx_block_pairs: vec![] }).await.unwrap();
    world.pair.l1.mine(2).await.unwrap();
    let running = world.run();
    world.caught_up().await;
    world.equal().await;
    assert_eq!(world.value::<i64>("SELECT count(*) FROM baton.positions WHERE NOT self_stake").await, 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_dropped_under_the_running_indexer_is_filled_again() {
    let world = World::new().await;
    let running = world.run();
    world.pair.grow(20).await.unwrap();
    world.pair.post(20, 0).await.unwrap();
    world.caught_up().await;
    world.database.recreate().await.unwrap();
    world.pair.grow(40).await.unwrap();
    world.caught_up().await;
    world.equal().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_l2_blocks_are_taken_back() {
    let world = World::new().await;
    let running = world.run();
    world.pair.grow(40).await.unwrap();
    world.caught_up().await;
    running.stop().await;
    world.pair.l2.rewind(30);
    let origin = world.pair.origin().await.unwrap();
    for _ in 0..15 {
        world.pair.l2.push(&PlannedBlock { origin, transfers: 1, salt: 9, ..PlannedBlock::default() });
    }
    let running = world.run();
    world.caught_up().await;
    world.equal().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_does_not_fit_its_header_is_never_written() {
    let world = World::new().await;
    world.pair.grow(10).await.unwrap();
    world.pair.l2.corrupt(7);
    let running = world.run();
    // The first chunk holds a lie: none of it is written, while L1 is.
    let database = PgPool::connect(world.database.url()).await.unwrap();
    let begin = std::time::Instant::now();
    loop {
        let l1: Option<i64> = sqlx::query_scalar("SELECT number FROM chain.cursors WHERE chain = 'l1'")
            .fetch_optional(&database)
            .await
            .unwrap_or_default();
        if l1.is_some_and(|n| n > 0) {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "L1 is not written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let blocks: i64 = sqlx::query_scalar("SELECT count(*) FROM chain.blocks").fetch_one(&database).await.unwrap();
    assert_eq!(blocks, 0);
    database.close().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checker_sees_a_wrong_row_a_missing_one_and_one_too_many() {
    let world = World::new().await;
    let running = world.run();
    world.pair.grow(20).await.unwrap();
    world.pair.delegate(world.pair.l1.others()[1], 2, 700).await.unwrap();
    world.caught_up().await;
    running.stop().await;
    world.equal().await;
    let database = PgPool::connect(world.database.url()).await.unwrap();
    for (damage, table) in [
        ("UPDATE chain.receipts SET gas_used = gas_used + 1 WHERE block = 5 AND position = 1", "chain.receipts"),
        ("DELETE FROM chain.logs WHERE block = 5 AND log_index = 0", "chain.logs"),
        ("UPDATE chain.stake_changes SET amount = amount + 1 WHERE kind = 'delegated'", "chain.stake_changes"),
        ("UPDATE chain.terms SET sequencer = 5 - sequencer WHERE epoch = 0 AND term = 1", "leader of epoch 0"),
        (
            "INSERT INTO chain.periods SELECT l1_block, log_index, 9 FROM chain.l1_events WHERE event = 'Bonded' LIMIT 1",
            "chain.periods",
        ),
    ] {
        sqlx::query(damage).execute(&database).await.unwrap();
        let report = verify(&world.config).await.unwrap();
        assert!(!report.is_equal() && report.differences.iter().any(|d| d.contains(table)), "{table}: {report:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_chain_is_refused_by_name() {
    let world = World::new().await;
    let running = world.run();
    world.caught_up().await;
    running.stop().await;
    let mut config = world.config.clone();
    config.deployment.addresses.inbox = Address::repeat_byte(1);
    let error = baton_indexer::run(config, CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, IndexerError::WrongDatabase { what: "inbox", .. }), "{error}");
    assert!(error.to_string().contains("use another database, or drop this one"), "{error}");
    let mut config = world.config.clone();
    config.deployment.l1_chain_id = 5;
    config.database_url = TestDatabase::create().await.unwrap().url().to_owned();
    let error = baton_indexer::run(config, CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, IndexerError::WrongChain { expected: 5, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_it_waits_and_stops_when_told() {
    let mut world = World::new().await;
    world.config.database_url = "postgres://nobody@127.0.0.1:1/none".into();
    let running = world.run();
    let waiting = tokio::time::timeout(Duration::from_millis(500), async {
        while !running.task.is_finished() {
            tokio::task::yield_now().await;
        }
    });
    assert!(waiting.await.is_err(), "it must go on waiting");
    running.stop().await;
}
