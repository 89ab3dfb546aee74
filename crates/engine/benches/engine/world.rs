//! A chain for measurements: accounts by the million, transactions whose senders are given instead of signed, and contracts
//! that do what users' contracts do.
#![allow(dead_code, unreachable_pub, reason = "each benchmark uses a part")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark may fail")]

use alloy::{
    consensus::{SignableTransaction, TxEip1559},
    primitives::{Address, B256, Bytes, Signature, TxKind, U256, address, hex, keccak256},
    sol,
    sol_types::{SolCall, SolValue},
};
use baton_engine::{
    BlockAttributes, BlockRef, Budget, Candidate, Config, Engine, ExecutedBlock, Genesis, GenesisAccount,
    InvalidTransaction, TransactionSource, next_base_fee, prevrandao,
};
use baton_primitives::{
    ExtraData, Height, L1Origin, Parameters, SystemCall, Transaction, View, predeploys, system_transaction,
};
use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

sol! {
    function transfer(address to, uint256 value) returns (bool);
}

/// The stake token's contract.
const TOKEN: &str = include_str!("../../../bindings/artifacts/BatonToken.json");

/// Sends value to every account from the first number of its input up to the second, the third each: to its number times [`SPREAD`].
pub(crate) const SEEDER: Address = address!("0x00000000000000000000000000000000000c0001");
/// A pair of a constant product: takes the first word of its input of one token, gives the other, and logs both.
pub(crate) const SWAP: Address = address!("0x00000000000000000000000000000000000c0002");
/// Hashes 32 bytes 200 times.
pub(crate) const HASHES: Address = address!("0x00000000000000000000000000000000000c0003");
/// Adds one to ten slots of the caller.
pub(crate) const STORAGE: Address = address!("0x00000000000000000000000000000000000c0004");
/// Owns the token, and all that pays for the world.
pub(crate) const RICH: Address = address!("0x00000000000000000000000000000000000a0001");

pub(crate) const ETHER: u128 = 1_000_000_000_000_000_000;

/// Makes of numbers addresses that nothing compresses, as real ones.
const SPREAD: Address = address!("0x9e3779b97f4a7c15f39cc0605cedc8341082276b");

/// The account of this number.
pub(crate) fn account(number: u64) -> Address {
    Address::from_word(B256::from(factor(number).wrapping_mul(SPREAD.into_word().into())))
}

/// What [`SPREAD`] is multiplied with.
fn factor(number: u64) -> U256 {
    U256::from(number) + U256::from(0xacc0)
}

fn origin(number: u64) -> L1Origin {
    L1Origin {
        number,
        hash: B256::from(U256::from(number + 1_000_000)),
        timestamp: 1_700_000_000 + number,
        base_fee: 7,
        blob_base_fee: 1,
    }
}

pub(crate) fn genesis() -> Genesis {
    let code =
        |code: &[u8]| GenesisAccount { nonce: 1, code: Bytes::copy_from_slice(code), ..GenesisAccount::default() };
    let mut alloc = BTreeMap::new();
    let seeder = hex!(
        "5f35 5b 602035 81 10 600d57 00 00 5b 5f5f5f5f 604035 85"
        "73 9e3779b97f4a7c15f39cc0605cedc8341082276b 02 5f f1 50 600101 600256"
    );
    let rich = GenesisAccount { balance: U256::from(ETHER) << 60, ..GenesisAccount::default() };
    alloc.insert(SEEDER, GenesisAccount { balance: U256::from(ETHER) << 60, ..code(&seeder) });
    alloc.insert(RICH, rich);
    // in = calldata, a = slot 0, b = slot 1: out = in * b / (a + in); reserves and the caller's two balances move.
    let swap = hex!(
        "5f54 5f35 01" // a + in
        "600154 5f35 02" // in * b, a + in
        "81 90 04" // out, a + in
        "90 5f55" // slot 0 = a + in; out
        "80 600154 03 600155" // slot 1 = b - out; out
        "33 5f52 6002 602052 6040 5f 20" // the caller's slot of the first token; out
        "80 54 5f35 01 90 55" // moves by in; out
        "6003 602052 6040 5f 20" // the caller's slot of the second token; out
        "80 54 82 01 90 55" // moves by out; out
        "5f52 33 6020 5f a1 00"
    );
    let with_reserves = BTreeMap::from([(U256::ZERO, U256::from(ETHER) << 20), (U256::ONE, U256::from(ETHER) << 20)]);
    alloc.insert(SWAP, GenesisAccount { storage: with_reserves, ..code(&swap) });
    alloc.insert(HASHES, code(&hex!("60c8 5b 6020 5f 20 5f52 6001 90 03 80 600257 00")));
    alloc.insert(
        STORAGE,
        code(&hex!("33 5f52 600a 5b 80 602052 6040 5f 20 80 54 6001 01 90 55 6001 90 03 80 600557 00")),
    );
    alloc.insert(predeploys::L1_BLOCK, code(&hex!("600435600055 602435600155 00")));
    alloc.insert(predeploys::MESSAGE_PASSER, code(&hex!("34600054016000 55 00")));
    alloc.insert(predeploys::FEE_VAULT, code(&hex!("00")));
    // Far more gas than any block here uses, so that the base fee stays at its least.
    let parameters =
        Parameters { l2_gas_limit: 60_000_000_000, max_block_bytes: 256 * 1024 * 1024, ..Parameters::devnet() };
    Genesis { parameters, timestamp: 1_700_000_000, origin: origin(0), alloc }
}

pub(crate) fn config(path: &Path) -> Config {
    Config::new(path.to_owned(), genesis())
}

/// A transaction with a signature of the usual size that nobody made: blocks are built from candidates whose senders are known.
pub(crate) fn unsigned(
    sender: Address,
    nonce: u64,
    to: TxKind,
    value: u128,
    gas_limit: u64,
    input: Bytes,
) -> Candidate {
    let transaction = TxEip1559 {
        chain_id: Parameters::devnet().l2_chain_id,
        nonce,
        gas_limit,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 1_000_000,
        to,
        value: U256::from(value),
        access_list: Default::default(),
        input,
    };
    let r = keccak256([sender.as_slice(), &nonce.to_be_bytes()].concat());
    let signature = Signature::new(r.into(), keccak256(r).into(), false);
    Candidate { transaction: Arc::new(Transaction::Eip1559(transaction.into_signed(signature))), sender }
}

pub(crate) fn transfer(sender: Address, nonce: u64, to: Address) -> Candidate {
    unsigned(sender, nonce, TxKind::Call(to), 1, 21_000, Bytes::new())
}

pub(crate) fn call(sender: Address, nonce: u64, to: Address, input: Bytes) -> Candidate {
    unsigned(sender, nonce, TxKind::Call(to), 0, 1_000_000, input)
}

pub(crate) fn token_transfer(token: Address, sender: Address, nonce: u64, to: Address) -> Candidate {
    let input = transferCall { to, value: U256::ONE }.abi_encode();
    unsigned(sender, nonce, TxKind::Call(token), 0, 100_000, input.into())
}

/// Gives candidates in order; none may be refused.
#[derive(Debug, Default)]
pub(crate) struct Script(VecDeque<Candidate>);

impl TransactionSource for Script {
    fn next(&mut self) -> Option<Candidate> {
        self.0.pop_front()
    }

    fn skip(&mut self, _: B256, sender: Address) {
        panic!("a transaction of {sender} does not fit");
    }

    fn invalid(&mut self, hash: B256, sender: Address, why: &InvalidTransaction) {
        panic!("{hash} of {sender} is invalid: {why}");
    }

    fn is_closed(&self, _: &Address) -> bool {
        false
    }
}

/// The attributes of a block on `parent`.
pub(crate) fn attributes(engine: &Engine, parent: B256) -> BlockAttributes {
    let view = engine.state(BlockRef::Hash(parent)).unwrap();
    let header = view.header();
    let height = header.number + 1;
    let call = SystemCall { origin: origin(height), deposits: 0 };
    BlockAttributes {
        parent,
        timestamp: header.timestamp + 1,
        extra_data: ExtraData { view: View::new(height), parent_view: View::new(height - 1), millis: 5 }.to_bytes(),
        gas_limit: header.gas_limit,
        base_fee: next_base_fee(header),
        mix_hash: prevrandao(call.origin.hash, height),
        parent_beacon_block_root: call.origin.hash,
        forced: vec![system_transaction(Height::new(height), &call)],
        sweep: false,
    }
}

/// Builds a block of these transactions on the tip.
pub(crate) fn build(engine: &Engine, transactions: Vec<Candidate>) -> Arc<ExecutedBlock> {
    build_on(engine, engine.tip().1, transactions)
}

/// Builds a block of these transactions on the final head.
pub(crate) fn build_on_final(engine: &Engine, transactions: Vec<Candidate>) -> Arc<ExecutedBlock> {
    build_on(engine, engine.head().1, transactions)
}

fn build_on(engine: &Engine, parent: B256, transactions: Vec<Candidate>) -> Arc<ExecutedBlock> {
    let attributes = attributes(engine, parent);
    let budget = Budget { deadline: Instant::now() + Duration::from_secs(600), max_bytes: u64::MAX };
    engine.build(&attributes, &mut Script(transactions.into()), budget).unwrap()
}

/// Makes the tip final.
pub(crate) fn finalize(engine: &Engine) {
    engine.finalize(engine.tip().1).unwrap();
}

/// A final block of these transactions, all of which succeed.
pub(crate) fn block(engine: &Engine, transactions: Vec<Candidate>) {
    use alloy::consensus::TxReceipt;
    let block = build(engine, transactions);
    if let Some(failed) = block.receipts.iter().position(|receipt| !receipt.status()) {
        panic!("transaction {failed} failed: {:?}", block.receipts[failed]);
    }
    finalize(engine);
}

/// What the world's transactions count from.
#[derive(Debug, Default)]
pub(crate) struct Nonces(BTreeMap<Address, u64>);

impl Nonces {
    pub(crate) fn next(&mut self, account: Address) -> u64 {
        let next = self.0.entry(account).or_default();
        *next += 1;
        *next - 1
    }
}

/// Accounts that the world has, and each has an ether.
pub(crate) fn seed(engine: &Engine, nonces: &mut Nonces, from: u64, upto: u64) {
    // 36,600 gas an account, below the 2^24 that a transaction may have (EIP-7825); 45,000 accounts a block.
    const EACH: u64 = 450;
    const AT_ONCE: usize = 100;
    let starts: Vec<u64> = (from..upto).step_by(usize::try_from(EACH).unwrap()).collect();
    for some in starts.chunks(AT_ONCE) {
        let transactions = some.iter().map(|start| {
            let word = |number: u64| B256::from(factor(number));
            let value = B256::from(U256::from(ETHER));
            let input = [word(*start), word((start + EACH).min(upto)), value].concat();
            unsigned(RICH, nonces.next(RICH), TxKind::Call(SEEDER), 0, 1 << 24, input.into())
        });
        block(engine, transactions.collect());
    }
}

/// The token, of which the first `holders` accounts have some.
pub(crate) fn token(engine: &Engine, nonces: &mut Nonces, holders: u64) -> Address {
    let nonce = nonces.next(RICH);
    let artifact: serde_json::Value = serde_json::from_str(TOKEN).unwrap();
    let bytecode = hex::decode(artifact["bytecode"].as_str().unwrap()).unwrap();
    let code = [bytecode, (RICH, U256::from(ETHER)).abi_encode_params()].concat();
    block(engine, vec![unsigned(RICH, nonce, TxKind::Create, 0, 10_000_000, code.into())]);
    let token = RICH.create(nonce);
    let transfers = (0..holders).map(|to| {
        let input = transferCall { to: account(to), value: U256::from(1_000_000) }.abi_encode();
        unsigned(RICH, nonces.next(RICH), TxKind::Call(token), 0, 100_000, input.into())
    });
    let transfers: Vec<_> = transfers.collect();
    for some in transfers.chunks(10_000) {
        block(engine, some.to_vec());
    }
    token
}

/// Numbers below `bound` without order, always the same.
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Transfers among random accounts of `accounts`.
pub(crate) fn transfers(nonces: &mut Nonces, dice: &mut Dice, accounts: u64, count: usize) -> Vec<Candidate> {
    (0..count)
        .map(|_| {
            let (from, to) = (account(dice.below(accounts)), account(dice.below(accounts)));
            transfer(from, nonces.next(from), to)
        })
        .collect()
}
