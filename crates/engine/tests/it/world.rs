//! A small chain: funded accounts, contracts that do one thing each, and blocks on demand.

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxLegacy},
    eips::eip7702::Authorization,
    primitives::{Address, B256, Bytes, TxKind, U256, address, hex},
    signers::{SignerSync, local::PrivateKeySigner},
};
use baton_engine::{
    BlockAttributes, BlockRef, Budget, Candidate, Config, Engine, ExecutedBlock, Expectation, Genesis, GenesisAccount,
    InvalidTransaction, TransactionSource, next_base_fee, prevrandao,
};
use baton_primitives::{
    Deposit, ExtraData, Height, L1Origin, Parameters, SystemCall, Transaction, View, predeploys, system_transaction,
};
use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// Stores the second word of its input at the slot the first names, and logs the second.
pub(crate) const STORE: Address = address!("0x00000000000000000000000000000000000c0001");
/// Stores, then reverts.
pub(crate) const REVERT: Address = address!("0x00000000000000000000000000000000000c0002");
/// Never ends.
pub(crate) const LOOP: Address = address!("0x00000000000000000000000000000000000c0003");
/// Creates (at one address, always) a contract that destroys itself at once.
pub(crate) const PHOENIX: Address = address!("0x00000000000000000000000000000000000c0004");
/// Stores what it sees of the block.
pub(crate) const MIRROR: Address = address!("0x00000000000000000000000000000000000c0005");

/// Wei in one ether.
pub(crate) const ETHER: u128 = 1_000_000_000_000_000_000;

/// Where [`PHOENIX`] creates.
pub(crate) fn phoenix_child() -> Address {
    PHOENIX.create2_from_code(B256::ZERO, hex!("33ff"))
}

pub(crate) fn signer(number: u64) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::from(U256::from(number + 1))).unwrap()
}

pub(crate) fn genesis(accounts: u64) -> Genesis {
    let code =
        |code: &[u8]| GenesisAccount { nonce: 1, code: Bytes::copy_from_slice(code), ..GenesisAccount::default() };
    let mut alloc = BTreeMap::new();
    alloc.insert(STORE, code(&hex!("602035600035 55 602035600052 60206000a0 00")));
    alloc.insert(REVERT, code(&hex!("6001600055 60006000fd")));
    alloc.insert(LOOP, code(&hex!("5b600056")));
    alloc.insert(PHOENIX, code(&hex!("6133ff600052 6000 6002 601e 34 f5 50 00")));
    alloc.insert(MIRROR, code(&hex!("6001430340600055 44600155 42600255 41600355 46600455 00")));
    alloc.insert(predeploys::L1_BLOCK, code(&hex!("600435600055 602435600155 00")));
    alloc.insert(predeploys::MESSAGE_PASSER, code(&hex!("34600054016000 55 00")));
    alloc.insert(predeploys::FEE_VAULT, code(&hex!("00")));
    for number in 0..accounts {
        let balance = U256::from(1_000 * ETHER);
        alloc.insert(signer(number).address(), GenesisAccount { balance, ..GenesisAccount::default() });
    }
    Genesis { parameters: Parameters::devnet(), timestamp: 1_700_000_000, origin: origin(0), alloc }
}

pub(crate) fn origin(number: u64) -> L1Origin {
    L1Origin {
        number,
        hash: B256::from(U256::from(number + 1_000_000)),
        timestamp: 1_700_000_000 + number,
        base_fee: 7,
        blob_base_fee: 1,
    }
}

pub(crate) fn config(path: &Path, accounts: u64) -> Config {
    Config::new(path.to_owned(), genesis(accounts))
}

/// As [`config`], of an engine that writes sixteen final blocks together or more, and none because of its age.
pub(crate) fn seldom(path: &Path, accounts: u64) -> Config {
    Config { sync_interval: Duration::from_secs(3_600), ..config(path, accounts) }
}

/// The attributes of a block on `parent` that advances the origin by one and executes `deposits`.
pub(crate) fn attributes(engine: &Engine, parent: B256, deposits: &[Deposit], sweep: bool) -> BlockAttributes {
    let view = engine.state(BlockRef::Hash(parent)).unwrap();
    let header = view.header();
    let height = header.number + 1;
    let before = match engine.unfinalized(&parent) {
        Some(block) => block.outcome(),
        None => engine.outcome(header.number).unwrap().unwrap(),
    };
    let origin = origin(before.origin.number + 1);
    let call = SystemCall { origin, deposits: before.deposits + u64::try_from(deposits.len()).unwrap() };
    let mut forced = vec![system_transaction(Height::new(height), &call)];
    forced.extend(deposits.iter().map(Deposit::transaction));
    BlockAttributes {
        parent,
        timestamp: header.timestamp + 1,
        extra_data: ExtraData { view: View::new(height), parent_view: View::new(height - 1), millis: 5 }.to_bytes(),
        gas_limit: header.gas_limit,
        base_fee: next_base_fee(header),
        mix_hash: prevrandao(origin.hash, height),
        parent_beacon_block_root: origin.hash,
        forced,
        sweep,
    }
}

pub(crate) fn budget() -> Budget {
    Budget { deadline: Instant::now() + Duration::from_secs(60), max_bytes: u64::MAX }
}

/// What became of a candidate.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    Given,
    Skipped,
    Invalid(InvalidTransaction),
}

/// Gives transactions in a fixed order, whatever the verdicts, and keeps those.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) queue: VecDeque<Candidate>,
    pub(crate) log: Vec<(Candidate, Verdict)>,
}

impl Script {
    pub(crate) fn of(transactions: impl IntoIterator<Item = (Transaction, Address)>) -> Self {
        let candidate = |(transaction, sender)| Candidate { transaction: Arc::new(transaction), sender };
        Self { queue: transactions.into_iter().map(candidate).collect(), log: Vec::new() }
    }

    fn judge(&mut self, hash: B256, verdict: Verdict) {
        let mut given = self.log.iter_mut().filter(|(_, verdict)| *verdict == Verdict::Given);
        given.find(|(candidate, _)| candidate.transaction.tx_hash() == hash).unwrap().1 = verdict;
    }
}

impl TransactionSource for Script {
    fn next(&mut self) -> Option<Candidate> {
        let candidate = self.queue.pop_front()?;
        self.log.push((candidate.clone(), Verdict::Given));
        Some(candidate)
    }

    fn skip(&mut self, hash: B256, _: Address) {
        self.judge(hash, Verdict::Skipped);
    }

    fn invalid(&mut self, hash: B256, _: Address, why: &InvalidTransaction) {
        self.judge(hash, Verdict::Invalid(why.clone()));
    }

    fn is_closed(&self, _: &Address) -> bool {
        false
    }
}

/// A block on `parent` with these transactions, all of which must be valid.
pub(crate) fn block_on(engine: &Engine, parent: B256, transactions: Vec<(Transaction, Address)>) -> Arc<ExecutedBlock> {
    let count = transactions.len();
    let mut script = Script::of(transactions);
    let block = engine.build(&attributes(engine, parent, &[], false), &mut script, budget()).unwrap();
    assert_eq!(block.receipts.len(), count + 1, "{:?}", script.log);
    block
}

pub(crate) fn expectation(engine: &Engine, block: &ExecutedBlock, sweep: bool) -> Expectation {
    let parent = engine.state(BlockRef::Hash(block.block.parent())).unwrap();
    Expectation { base_fee: next_base_fee(parent.header()), sweep }
}

/// The fields that all types of transactions have.
#[derive(Clone, Debug)]
pub(crate) struct Plain {
    pub(crate) nonce: u64,
    pub(crate) gas: u64,
    pub(crate) price: u128,
    pub(crate) to: TxKind,
    pub(crate) value: U256,
    pub(crate) input: Bytes,
}

impl Plain {
    pub(crate) fn to(nonce: u64, to: Address) -> Self {
        Self {
            nonce,
            gas: 100_000,
            price: 50_000_000_000,
            to: TxKind::Call(to),
            value: U256::ZERO,
            input: Bytes::new(),
        }
    }

    pub(crate) fn store(nonce: u64, slot: u64, value: u64) -> Self {
        let input = [U256::from(slot).to_be_bytes::<32>(), U256::from(value).to_be_bytes::<32>()].concat();
        Self { input: input.into(), ..Self::to(nonce, STORE) }
    }

    pub(crate) fn value(self, value: u128) -> Self {
        Self { value: U256::from(value), ..self }
    }

    /// Signs as a transaction of type `kind` (0, 1, 2 or 4; a type 4 delegates `delegate`, whose next nonce is given).
    pub(crate) fn sign(
        self,
        signer: &PrivateKeySigner,
        kind: u8,
        delegate: Option<(&PrivateKeySigner, u64, Address)>,
    ) -> (Transaction, Address) {
        let Self { nonce, gas: gas_limit, price, to, value, input } = self;
        let chain_id = Parameters::devnet().l2_chain_id;
        let tip = price.min(2_000_000_000);
        let transaction = match kind {
            0 => {
                let tx = TxLegacy { chain_id: Some(chain_id), nonce, gas_price: price, gas_limit, to, value, input };
                let signature = signer.sign_hash_sync(&tx.signature_hash()).unwrap();
                Transaction::Legacy(tx.into_signed(signature))
            }
            1 => {
                let access_list = vec![alloy::eips::eip2930::AccessListItem {
                    address: STORE,
                    storage_keys: vec![B256::from(U256::from(1))],
                }]
                .into();
                let tx = TxEip2930 { chain_id, nonce, gas_price: price, gas_limit, to, value, access_list, input };
                let signature = signer.sign_hash_sync(&tx.signature_hash()).unwrap();
                Transaction::Eip2930(tx.into_signed(signature))
            }
            2 => {
                let tx = TxEip1559 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: price,
                    max_priority_fee_per_gas: tip,
                    to,
                    value,
                    access_list: Default::default(),
                    input,
                };
                let signature = signer.sign_hash_sync(&tx.signature_hash()).unwrap();
                Transaction::Eip1559(tx.into_signed(signature))
            }
            4 => {
                let (authority, authority_nonce, target) = delegate.unwrap();
                let authorization =
                    Authorization { chain_id: U256::from(chain_id), address: target, nonce: authority_nonce };
                let signature = authority.sign_hash_sync(&authorization.signature_hash()).unwrap();
                let tx = TxEip7702 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: price,
                    max_priority_fee_per_gas: tip,
                    to: to.to().copied().unwrap_or_default(),
                    value,
                    access_list: Default::default(),
                    authorization_list: vec![authorization.into_signed(signature)],
                    input,
                };
                let signature = signer.sign_hash_sync(&tx.signature_hash()).unwrap();
                Transaction::Eip7702(tx.into_signed(signature))
            }
            other => panic!("no such type {other}"),
        };
        (transaction, signer.address())
    }
}

/// An ordinary transfer.
pub(crate) fn transfer(from: u64, nonce: u64, to: Address, value: u128) -> (Transaction, Address) {
    Plain::to(nonce, to).value(value).sign(&signer(from), 2, None)
}

pub(crate) fn deposit(index: u64, from: Address, to: Option<Address>, mint: u128, value: u128, gas: u64) -> Deposit {
    Deposit { index, l1_hash: B256::repeat_byte(9), from, to, mint, value: U256::from(value), gas, data: Bytes::new() }
}
