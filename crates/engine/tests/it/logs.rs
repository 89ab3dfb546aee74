//! The index of logs finds what a search through all receipts finds.

use crate::world::{Plain, block_on, config, seldom, signer};
use alloy::{
    consensus::TxReceipt,
    primitives::{Address, B256, U256},
    rpc::types::Filter,
};
use baton_engine::{Config, Engine, ExecutedBlock, GenesisAccount};
use proptest::prelude::*;
use std::{path::Path, sync::Arc};

/// Contracts that log, by number: this one with `number % 5` topics, which are the words of its input.
fn emitter(number: u8) -> Address {
    Address::with_last_byte(0xe0 + number)
}

const EMITTERS: u8 = 7;

fn topic(value: u8) -> B256 {
    B256::from(U256::from(value))
}

fn open(path: &Path, history: Option<u64>, is_seldom: bool) -> Engine {
    let config = if is_seldom { seldom(path, 2) } else { config(path, 2) };
    let mut config = Config { history_blocks: history, ..config };
    for number in 0..EMITTERS {
        let topics = number % 5;
        let mut code: Vec<u8> = (0..topics).rev().flat_map(|topic| [0x60, 32 * topic, 0x35]).collect();
        code.extend([0x5f, 0x5f, 0xa0 + topics, 0]);
        let account = GenesisAccount { nonce: 1, code: code.into(), ..GenesisAccount::default() };
        config.genesis.alloc.insert(emitter(number), account);
    }
    Engine::open(config).unwrap()
}

/// What a block logs: for each log a contract and the topics.
type Logs = Vec<(u8, [u8; 4])>;

fn extend(engine: &Engine, parent: B256, nonce: &mut u64, logs: &Logs) -> Arc<ExecutedBlock> {
    let transactions = logs.iter().map(|(number, topics)| {
        let input: Vec<u8> = topics.iter().flat_map(|value| topic(*value).0).collect();
        let plain = Plain { input: input.into(), ..Plain::to(*nonce, emitter(*number)) };
        *nonce += 1;
        plain.sign(&signer(0), 2, None)
    });
    let transactions = transactions.collect();
    block_on(engine, parent, transactions)
}

/// What happens to the chain after a block.
#[derive(Clone, Copy, Debug)]
enum Then {
    Nothing,
    Finalize,
    Reopen,
}

fn logs(most: usize) -> impl Strategy<Value = Logs> {
    prop::collection::vec((0..EMITTERS, prop::array::uniform4(0..3u8)), 0..=most)
}

fn step() -> impl Strategy<Value = (Logs, Then)> {
    let then = prop_oneof![3 => Just(Then::Nothing), 2 => Just(Then::Finalize), 1 => Just(Then::Reopen)];
    (prop_oneof![4 => Just(Logs::new()), 8 => logs(5), 1 => logs(60)], then)
}

fn filter() -> impl Strategy<Value = Filter> {
    let addresses = prop::collection::vec(0..=EMITTERS, 0..3);
    let topics = prop::array::uniform4(prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(0..4u8, 1..3)]);
    (addresses, topics).prop_map(|(addresses, topics)| {
        let filter = Filter::new().address(addresses.into_iter().map(emitter).collect::<Vec<_>>());
        let [a, b, c, d] = topics.map(|values| values.into_iter().map(topic).collect::<Vec<_>>());
        filter.event_signature(a).topic1(b).topic2(c).topic3(d)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_index_finds_what_a_search_through_all_receipts_finds(
        steps in prop::collection::vec(step(), 1..40),
        history in prop_oneof![Just(None), Just(Some(2))],
        is_seldom: bool,
        queries in prop::collection::vec((filter(), 0..40u64, 0..50u64), 40),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut engine = open(directory.path(), history, is_seldom);
        let (mut parent, mut nonce, mut final_nonce) = (engine.genesis_hash(), 0, 0);
        for (logs, then) in &steps {
            // A fork that never becomes final leaves nothing.
            extend(&engine, parent, &mut nonce.clone(), &vec![(1, [3; 4])]);
            parent = extend(&engine, parent, &mut nonce, logs).hash();
            if !matches!(then, Then::Nothing) {
                engine.finalize(parent).unwrap();
                final_nonce = nonce;
            }
            if matches!(then, Then::Reopen) {
                engine.sync().unwrap();
                drop(engine);
                engine = open(directory.path(), history, is_seldom);
            }
        }
        // What is not final is not told, whatever it logs.
        extend(&engine, engine.head().1, &mut final_nonce, &vec![(1, [0; 4]), (4, [1; 4])]);
        let (head, _) = engine.head();
        for (filter, from, span) in queries {
            let to = from + span;
            // More may be written meanwhile.
            let written = engine.synced();
            let found: Vec<u64> = engine.log_heights(&filter, from..=to).unwrap().map(Result::unwrap).collect();
            for height in from..=to {
                let receipts = engine.receipts_at(height).unwrap().unwrap_or_default();
                let logs: Vec<_> = receipts.iter().flat_map(|receipt| receipt.logs()).collect();
                let matches = logs.iter().any(|log| filter.matches(log));
                let told = found.contains(&height);
                prop_assert!(told || !matches, "block {height} of {head} is missing in {found:?}: {filter:?}");
                // More logs than there are bits share them; of what is not written every block is told.
                prop_assert!(matches || !told || logs.len() > 32 || height > written, "block {height} has no such log: {filter:?}");
            }
            prop_assert!(found.is_sorted_by(|one, next| one < next) && found.iter().all(|h| (from..=to).contains(h)));
        }
    }
}
