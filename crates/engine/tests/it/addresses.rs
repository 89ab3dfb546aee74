//! The index of addresses finds what a search through all blocks finds.

use crate::world::{
    PHOENIX, STORE, Script, attributes, block_on, budget, config, deposit, phoenix_child, seldom, signer,
};
use alloy::{
    consensus::{SignableTransaction, Transaction as _, TxEip1559, TxReceipt},
    primitives::{Address, B256, Bytes, Signature, TxKind, U256},
};
use baton_engine::{Config, Engine, ExecutedBlock};
use baton_primitives::{Parameters, Transaction, predeploys};
use proptest::prelude::*;
use std::{collections::BTreeSet, path::Path, sync::Arc};

const SENDERS: u64 = 3;

/// What a transaction of the chain does.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Sends one wei to an account of few.
    Pay(u8),
    /// Has [`STORE`] log.
    Log,
    /// Creates a contract; if not, it fails at that.
    Create(bool),
    /// Calls a contract that creates another one.
    Inner,
}

#[derive(Clone, Debug)]
enum Step {
    Block(Vec<(u64, Act)>),
    /// So many transfers, each to another account: more than a piece of the index holds.
    Crowd(u16),
    Deposit(u8),
    Finalize,
    Reopen,
}

fn payee(number: u8) -> Address {
    Address::repeat_byte(0xa0 + number)
}

fn guest(number: u16) -> Address {
    Address::left_padding_from(&[1, (number >> 8) as u8, (number & 0xff) as u8])
}

struct Chain {
    engine: Engine,
    nonces: [u64; 3],
    /// Tells transactions of different senders apart, since nobody signs them.
    count: u64,
}

impl Chain {
    fn transaction(&mut self, from: u64, to: TxKind, input: Bytes) -> (Transaction, Address) {
        let nonce = &mut self.nonces[usize::try_from(from).unwrap()];
        self.count += 1;
        let transaction = TxEip1559 {
            chain_id: Parameters::devnet().l2_chain_id,
            nonce: *nonce,
            gas_limit: 100_000 + self.count % 10_000,
            max_fee_per_gas: 50_000_000_000,
            max_priority_fee_per_gas: u128::from(self.count),
            to,
            value: U256::from(u8::from(input.is_empty())),
            input,
            ..TxEip1559::default()
        };
        *nonce += 1;
        (Transaction::Eip1559(transaction.into_signed(Signature::test_signature())), signer(from).address())
    }

    fn act(&mut self, from: u64, act: Act) -> (Transaction, Address) {
        match act {
            Act::Pay(number) => self.transaction(from, TxKind::Call(payee(number)), Bytes::new()),
            Act::Log => self.transaction(from, TxKind::Call(STORE), vec![1; 64].into()),
            Act::Create(true) => self.transaction(from, TxKind::Create, vec![0].into()),
            Act::Create(false) => self.transaction(from, TxKind::Create, vec![0xfe].into()),
            Act::Inner => self.transaction(from, TxKind::Call(PHOENIX), Bytes::new()),
        }
    }

    fn extend(&mut self, parent: B256, step: &Step) -> Arc<ExecutedBlock> {
        let transactions = match step {
            Step::Block(acts) => acts.iter().map(|(from, act)| self.act(*from, *act)).collect(),
            Step::Crowd(size) => {
                (0..*size).map(|n| self.transaction(0, TxKind::Call(guest(n)), Bytes::new())).collect()
            }
            Step::Deposit(number) => {
                let index = self.engine.state(baton_engine::BlockRef::Hash(parent)).unwrap().header().number;
                let to = (*number > 0).then(|| payee(*number));
                let deposits = [deposit(index, payee(9), to, 5, 5, 100_000)];
                let attributes = attributes(&self.engine, parent, &deposits, false);
                return self.engine.build(&attributes, &mut Script::default(), budget()).unwrap();
            }
            Step::Finalize | Step::Reopen => Vec::new(),
        };
        block_on(&self.engine, parent, transactions)
    }
}

fn holds(block: &ExecutedBlock, address: Address) -> bool {
    let sent = block.block.senders().contains(&address);
    let got = block.block.transactions().iter().any(|transaction| transaction.to() == Some(address));
    let logged = block.receipts.iter().flat_map(|receipt| receipt.logs()).any(|log| log.address == address);
    let created = block.block.transactions().iter().zip(block.block.senders()).zip(block.receipts.iter());
    let created = created.into_iter().any(|((transaction, sender), receipt)| {
        let nonce = if let op_alloy_consensus::OpReceipt::Deposit(receipt) = receipt {
            receipt.deposit_nonce.unwrap()
        } else {
            transaction.nonce()
        };
        transaction.is_create() && sender.create(nonce) == address
    });
    sent || got || logged || created
}

fn open(path: &Path, is_seldom: bool) -> Engine {
    let config = if is_seldom { seldom(path, SENDERS) } else { config(path, SENDERS) };
    Engine::open(Config { history_blocks: Some(2), ..config }).unwrap()
}

fn step() -> impl Strategy<Value = Step> {
    let act = prop_oneof![
        6 => (0..4u8).prop_map(Act::Pay),
        1 => Just(Act::Log),
        1 => any::<bool>().prop_map(Act::Create),
        1 => Just(Act::Inner),
    ];
    prop_oneof![
        6 => prop::collection::vec((0..SENDERS, act), 0..4).prop_map(Step::Block),
        1 => (500..1_500u16).prop_map(Step::Crowd),
        2 => (0..3u8).prop_map(Step::Deposit),
        8 => Just(Step::Finalize),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_index_finds_what_a_search_through_all_blocks_finds(
        // Every eighth commit merges segments, and every sixty-fourth segments of merged ones.
        steps in prop::collection::vec(step(), 1..220),
        is_seldom: bool,
        ranges in prop::collection::vec((0..120u64, 0..120u64), 6),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut chain = Chain { engine: open(directory.path(), is_seldom), nonces: [0; 3], count: 0 };
        let mut parent = chain.engine.genesis_hash();
        let mut blocks = Vec::new();
        for step in &steps {
            match step {
                Step::Finalize => drop(chain.engine.finalize(parent).unwrap()),
                Step::Reopen => {
                    chain.engine.finalize(parent).unwrap();
                    chain.engine.sync().unwrap();
                    drop(chain.engine);
                    chain.engine = open(directory.path(), is_seldom);
                }
                other @ (Step::Block(_) | Step::Crowd(_) | Step::Deposit(_)) => {
                    let block = chain.extend(parent, other);
                    parent = block.hash();
                    blocks.push(block);
                }
            }
        }
        let (head, _) = chain.engine.head();
        let created = (0..4).map(|nonce| signer(0).address().create(nonce));
        let fixed = [
            STORE, PHOENIX, phoenix_child(), payee(9), Address::ZERO, guest(0), guest(700), guest(499),
            predeploys::SYSTEM_DEPOSITOR, predeploys::L1_BLOCK,
        ];
        let addresses: Vec<_> = (0..SENDERS).map(|n| signer(n).address()).chain((0..4).map(payee)).chain(created).chain(fixed).collect();
        for (from, span) in ranges.into_iter().chain([(0, u64::MAX)]) {
            let to = from.saturating_add(span);
            for address in &addresses {
                let find = |newest_first| -> Vec<u64> {
                    chain.engine.address_heights(address, from..=to, newest_first).unwrap().map(Result::unwrap).collect()
                };
                // What is written between two looks shows in the second.
                let (written, found, mut reversed) = loop {
                    let looked = (chain.engine.synced(), find(false), find(true));
                    if chain.engine.synced() == looked.0 {
                        break looked;
                    }
                };
                reversed.reverse();
                prop_assert_eq!(&found, &reversed);
                prop_assert!(found.is_sorted_by(|one, next| one < next));
                let expected: BTreeSet<u64> = blocks.iter().map(|block| block.height()).zip(&blocks)
                    .filter(|(height, block)| (from..=to.min(head)).contains(height) && holds(block, *address))
                    .map(|(height, _)| height).collect();
                let told: BTreeSet<u64> = found.into_iter().collect();
                let missing: Vec<_> = expected.difference(&told).collect();
                prop_assert!(missing.is_empty(), "{address}: {missing:?} of {head} are missing in {from}..={to}");
                // Of what is not written every block is told.
                let extra: Vec<_> = told.difference(&expected).filter(|h| **h <= written && **h > 0).collect();
                prop_assert!(extra.is_empty(), "{address}: {extra:?} hold nothing of it");
            }
        }
    }
}
