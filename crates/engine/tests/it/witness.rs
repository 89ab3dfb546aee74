//! F20: random blocks of random programs, against an implementation of the EVM that shares nothing with the engine's.
//!
//! ```text
//!  random transactions -> Engine::build -> block -> Engine::execute (another node, hardly any cache)
//!          \                                  \-> compared: verdicts, statuses, gas, bloom, all three roots, sweep
//!           \-> witness process, one JSON line a block -/
//! ```
//!
//! The witness is `tests/witness/ethereumjs.mjs`, or what `BATON_WITNESS` names (`tests/witness/eels.py`). It follows the chain's own
//! rules (fee vault, deposits, sweep), written there a second time, so that the very path of real blocks is compared.
//! `BATON_WITNESS_BLOCKS` and `BATON_WITNESS_SEED` say how many blocks and which.

use crate::{
    differential::{ACCOUNTS, random, random_deposits},
    programs::{Code, end, init, input, program, somebody},
    world::{
        ETHER, LOOP, MIRROR, PHOENIX, REVERT, STORE, Script, Verdict, attributes, budget, expectation, genesis,
        phoenix_child, seldom, signer,
    },
};
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxLegacy, TxReceipt},
    eips::{
        eip2718::Encodable2718,
        eip2930::{AccessList, AccessListItem},
        eip7702::{Authorization, SignedAuthorization},
    },
    hex,
    primitives::{Address, B256, TxKind, U256},
    signers::{SignerSync, local::PrivateKeySigner},
};
use baton_engine::{BlockRef, Engine, ExecutedBlock};
use baton_primitives::{Deposit, Parameters, RecoveredBlock, Transaction, predeploys};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, BufWriter, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
};

/// Blocks that the witness may be behind, so that both work at once.
const LAG: usize = 8;
/// Contracts that transactions call, besides those of the genesis: the newest.
const CONTRACTS: usize = 60;

/// The process that executes the same blocks.
struct Witness {
    child: Child,
    input: BufWriter<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// What it has not answered yet: what the engine says, and what was asked.
    expected: VecDeque<(Value, String)>,
}

impl Witness {
    fn start() -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = match std::env::var("BATON_WITNESS") {
            Ok(line) => {
                let mut words = line.split_whitespace();
                let mut command = Command::new(words.next().expect("BATON_WITNESS names a program"));
                command.args(words);
                command
            }
            Err(_) => {
                let mut command = Command::new("node");
                command.arg(here.join("tests/witness/ethereumjs.mjs")).arg(here.join("../../anvil/node_modules"));
                command
            }
        };
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the witness starts");
        let input = BufWriter::new(child.stdin.take().unwrap());
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output, expected: VecDeque::new() }
    }

    fn ask(&mut self, question: &Value, expected: Value) {
        let line = question.to_string();
        writeln!(self.input, "{line}").and_then(|()| self.input.flush()).expect("the witness reads");
        self.expected.push_back((expected, line));
        if self.expected.len() > LAG {
            self.hear();
        }
    }

    fn hear(&mut self) {
        let (expected, question) = self.expected.pop_front().unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the witness answers");
        let answer: Value = serde_json::from_str(&line).expect("the witness answers in JSON");
        for (key, expected) in expected.as_object().unwrap() {
            assert_eq!(&answer[key], expected, "{key} of the witness (left) and the engine, asked {question}");
        }
    }

    fn finish(mut self) {
        while !self.expected.is_empty() {
            self.hear();
        }
        drop(self.input);
        assert!(self.child.wait().unwrap().success(), "the witness failed");
    }
}

/// What chooses transactions.
struct Chooser {
    rng: StdRng,
    /// Everybody whom transactions and programs speak to.
    known: Vec<Address>,
    /// How many of them are of the genesis.
    fixed: usize,
    /// Next nonces of the accounts, as far as can be told beforehand.
    nonces: Vec<u64>,
}

impl Chooser {
    fn new(seed: u64) -> Self {
        // Without the endless loop: a second of a slow witness' time for each call that gives it all gas.
        let mut known = vec![STORE, REVERT, PHOENIX, MIRROR, phoenix_child(), predeploys::FEE_VAULT];
        known.extend((0..ACCOUNTS).map(|number| signer(number).address()));
        known.push(predeploys::MESSAGE_PASSER);
        let fixed = known.len();
        Self { rng: StdRng::seed_from_u64(seed), known, fixed, nonces: Vec::new() }
    }

    fn meet(&mut self, address: Address) {
        if self.known.len() >= self.fixed + CONTRACTS {
            self.known.remove(self.fixed);
        }
        self.known.push(address);
    }

    fn access_list(&mut self) -> AccessList {
        let items = self.rng.random_range(0..4);
        let item = |chooser: &mut Self| AccessListItem {
            address: somebody(&mut chooser.rng, &chooser.known),
            storage_keys: (0..chooser.rng.random_range(0..4)).map(|slot| B256::from(U256::from(slot))).collect(),
        };
        (0..items).map(|_| item(self)).collect::<Vec<_>>().into()
    }

    /// Authorizations, right and wrong in every way.
    fn authorizations(&mut self, chain_id: u64) -> Vec<SignedAuthorization> {
        let count = if self.rng.random_bool(0.05) { 0 } else { self.rng.random_range(1..4) };
        (0..count)
            .map(|_| {
                let rng = &mut self.rng;
                let who = rng.random_range(0..self.nonces.len());
                let address = match rng.random_range(0..5) {
                    0 => Address::ZERO,
                    1 => signer(rng.random_range(0..ACCOUNTS)).address(),
                    _ => somebody(rng, &self.known),
                };
                let chain = [chain_id, chain_id, 0, chain_id + 1][rng.random_range(0..4usize)];
                let nonce = match rng.random_range(0..5) {
                    0 => rng.random_range(0..3),
                    1 => u64::MAX - rng.random_range(0..2),
                    _ => self.nonces[who],
                };
                let authorization = Authorization { chain_id: U256::from(chain), address, nonce };
                let signature = key(who).sign_hash_sync(&authorization.signature_hash()).unwrap();
                if nonce == self.nonces[who] && chain != chain_id + 1 {
                    self.nonces[who] += 1;
                }
                let signed = authorization.into_signed(signature);
                // A signature of nobody, or one whose s is too large.
                match self.rng.random_range(0..20) {
                    0 => SignedAuthorization::new_unchecked(signed.inner().clone(), 0, U256::from(1), U256::from(1)),
                    1 => SignedAuthorization::new_unchecked(signed.inner().clone(), 5, signed.r(), signed.s()),
                    2 => {
                        let order = U256::from_be_bytes(hex!(
                            "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
                        ));
                        let parity = 1 - signed.y_parity();
                        SignedAuthorization::new_unchecked(
                            signed.inner().clone(),
                            parity,
                            signed.r(),
                            order - signed.s(),
                        )
                    }
                    _ => signed,
                }
            })
            .collect()
    }

    fn transaction(&mut self, base_fee: u64) -> (Transaction, Address) {
        if self.rng.random_bool(0.3) {
            return random(&mut self.rng, &mut self.nonces);
        }
        let chain_id = Parameters::devnet().l2_chain_id;
        let from = self.rng.random_range(0..self.nonces.len());
        let mut nonce = self.nonces[from];
        self.nonces[from] += 1;
        let create = self.rng.random_bool(0.3);
        let rng = &mut self.rng;
        let (to, data) = if create {
            self.known.push(key(from).address().create(nonce));
            let code = match rng.random_range(0..12) {
                // As large as init code may be, or one byte more.
                0 => Code(vec![0; 49_152 + rng.random_range(0..2)]),
                _ => init(rng, &self.known, 12, 2),
            };
            self.known.pop();
            let address = key(from).address().create(nonce);
            self.meet(address);
            (TxKind::Create, code.0)
        } else {
            (TxKind::Call(somebody(rng, &self.known)), input(rng))
        };
        let rng = &mut self.rng;
        let value = match rng.random_range(0..12) {
            0 => U256::from(ETHER),
            1 => U256::from(2_000 * ETHER),
            2..=4 => U256::from(rng.random_range(0..3)),
            _ => U256::ZERO,
        };
        let mut gas_limit = match rng.random_range(0..6) {
            0 => rng.random_range(21_000..100_000),
            1 if rng.random_bool(0.1) => 16_777_216,
            _ => rng.random_range(100_000..2_500_000),
        };
        if create && gas_limit < 300_000 {
            gas_limit *= 8;
        }
        let base_fee = u128::from(base_fee);
        let max_fee_per_gas = base_fee + [0, 1, 1_000_000_000, 30_000_000_000][rng.random_range(0..4usize)];
        let max_priority_fee_per_gas = max_fee_per_gas.min([0, 1, 2_000_000_000][rng.random_range(0..3usize)]);
        let (mut price, mut tip, mut chain) = (max_fee_per_gas, max_priority_fee_per_gas, chain_id);
        // Now and then something that no block may hold.
        match rng.random_range(0..40) {
            0 => nonce += 1,
            1 => nonce = nonce.wrapping_sub(1),
            2 => price = base_fee.saturating_sub(1),
            3 => tip = price + 1,
            4 => chain += 1,
            5 => gas_limit = 16_777_217,
            6 => gas_limit = rng.random_range(20_000..60_000),
            7 => nonce = u64::MAX,
            _ => {}
        }
        let mut kind = rng.random_range(0..5u8);
        if kind >= 3 {
            kind = if create { 2 } else { 4 };
        }
        let signed = match kind {
            0 => {
                let chain_id = (!self.rng.random_bool(0.2)).then_some(chain);
                let input = data.into();
                sign(from, TxLegacy { chain_id, nonce, gas_price: price, gas_limit, to, value, input })
            }
            1 => {
                let access_list = self.access_list();
                let (gas_price, input, chain_id) = (price, data.into(), chain);
                sign(from, TxEip2930 { chain_id, nonce, gas_price, gas_limit, to, value, access_list, input })
            }
            2 => sign(
                from,
                TxEip1559 {
                    chain_id: chain,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: price,
                    max_priority_fee_per_gas: tip,
                    to,
                    value,
                    access_list: self.access_list(),
                    input: data.into(),
                },
            ),
            _ => sign(
                from,
                TxEip7702 {
                    chain_id: chain,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: price,
                    max_priority_fee_per_gas: tip,
                    to: to.to().copied().unwrap_or_default(),
                    value,
                    access_list: self.access_list(),
                    authorization_list: self.authorizations(chain_id),
                    input: data.into(),
                },
            ),
        };
        (signed, key(from).address())
    }

    /// Deposits, some with programs of their own.
    fn deposits(&mut self, next: &mut u64) -> Vec<Deposit> {
        let mut deposits = random_deposits(&mut self.rng, next);
        for deposit in &mut deposits {
            if deposit.to == Some(LOOP) && self.rng.random_bool(0.9) {
                deposit.gas = deposit.gas.min(100_000);
            }
            match self.rng.random_range(0..3) {
                0 => deposit.data = input(&mut self.rng).into(),
                1 => {
                    deposit.to = None;
                    deposit.gas = 1_000_000;
                    deposit.data = init(&mut self.rng, &self.known, 8, 1).0.into();
                }
                _ => deposit.to = deposit.to.map(|_| somebody(&mut self.rng, &self.known)),
            }
        }
        deposits
    }
}

fn key(account: usize) -> PrivateKeySigner {
    signer(u64::try_from(account).unwrap())
}

fn sign<T: SignableTransaction<alloy::primitives::Signature>>(from: usize, transaction: T) -> Transaction
where
    Transaction: From<alloy::consensus::Signed<T>>,
{
    let signature = key(from).sign_hash_sync(&transaction.signature_hash()).unwrap();
    transaction.into_signed(signature).into()
}

fn block_question(block: &ExecutedBlock, forced: &[Transaction], script: &Script, sweep: bool) -> Value {
    let header = block.block.header();
    let raw = |transaction: &Transaction| hex::encode_prefixed(transaction.encoded_2718());
    let deposit = |transaction: &Transaction| {
        let deposit = transaction.as_deposit().unwrap();
        json!({ "raw": raw(transaction), "deposit": {
            "from": deposit.from, "to": deposit.to.to(), "mint": deposit.mint.to_string(), "value": deposit.value.to_string(),
            "gas": deposit.gas_limit, "data": deposit.input,
        } })
    };
    let mut transactions: Vec<Value> = forced.iter().map(deposit).collect();
    transactions.extend(script.log.iter().map(|(candidate, _)| json!({ "raw": raw(&candidate.transaction) })));
    json!({
        "block": {
            "number": header.number, "timestamp": header.timestamp, "gasLimit": header.gas_limit,
            "baseFee": header.base_fee_per_gas, "prevRandao": header.mix_hash, "parentHash": header.parent_hash,
            "parentBeaconBlockRoot": header.parent_beacon_block_root, "sweep": sweep,
        },
        "transactions": transactions,
    })
}

fn block_answer(block: &ExecutedBlock, forced: usize, script: &Script) -> Value {
    let header = block.block.header();
    let verdicts: Vec<bool> = std::iter::repeat_n(true, forced)
        .chain(script.log.iter().map(|(_, verdict)| *verdict == Verdict::Given))
        .collect();
    let receipts: Vec<_> =
        block.receipts.iter().map(|receipt| (receipt.status(), receipt.cumulative_gas_used())).collect();
    json!({
        "verdicts": verdicts, "receipts": receipts, "gasUsed": header.gas_used, "logsBloom": header.logs_bloom,
        "receiptsRoot": header.receipts_root, "transactionsRoot": header.transactions_root,
        "stateRoot": header.state_root, "swept": block.swept.to_string(),
    })
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
#[allow(clippy::print_stdout, reason = "what was drawn, for who asks with --nocapture")]
fn state_root_equals_an_independent_evm() {
    let blocks = variable("BATON_WITNESS_BLOCKS", 100);
    let mut chooser = Chooser::new(variable("BATON_WITNESS_SEED", 0xf20));
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut genesis = genesis(ACCOUNTS);
    for (index, address) in [STORE, MIRROR].into_iter().enumerate() {
        // Contracts of the genesis that do everything, under addresses of their own.
        let mut code = program(&mut chooser.rng, &chooser.known, 40, 2);
        end(&mut code, &mut chooser.rng, &chooser.known);
        let account = baton_engine::GenesisAccount { nonce: 1, code: code.0.into(), ..Default::default() };
        let address =
            Address::from_word(alloy::primitives::keccak256((address, U256::from(index)).1.to_be_bytes::<32>()));
        genesis.alloc.insert(address, account);
        chooser.meet(address);
    }
    let open = |path: &Path| {
        let mut config = seldom(path, ACCOUNTS);
        config.genesis = genesis.clone();
        config
    };
    let builder = Engine::open(open(dirs[0].path())).unwrap();
    let mut small = open(dirs[1].path());
    // The follower has next to no caches: everything is read back from disk all the time.
    (small.cached_accounts, small.cached_slots, small.cached_nodes) = (1, 1, 1);
    let follower = Engine::open(small).unwrap();

    let mut witness = Witness::start();
    let alloc: serde_json::Map<String, Value> = genesis
        .alloc
        .iter()
        .map(|(address, account)| {
            let storage: serde_json::Map<String, Value> =
                account.storage.iter().map(|(slot, value)| (slot.to_string(), json!(value.to_string()))).collect();
            let (balance, nonce, code) = (account.balance.to_string(), account.nonce, &account.code);
            (address.to_string(), json!({ "balance": balance, "nonce": nonce, "code": code, "storage": storage }))
        })
        .chain([(
            alloy::eips::eip2935::HISTORY_STORAGE_ADDRESS.to_string(),
            json!({
                "balance": "0", "nonce": 1, "code": alloy::eips::eip2935::HISTORY_STORAGE_CODE, "storage": {},
            }),
        )])
        .collect();
    let root = builder.header(&builder.genesis_hash()).unwrap().unwrap().state_root;
    let chain_id = genesis.parameters.l2_chain_id;
    let question = json!({ "genesis": { "chainId": chain_id, "vault": predeploys::FEE_VAULT, "alloc": alloc } });
    witness.ask(&question, json!({ "stateRoot": root }));

    let mut parent = builder.genesis_hash();
    let (mut succeeded, mut failed, mut refused, mut next_deposit) = (0, 0, 0, 0);
    for height in 1..=blocks {
        let view = builder.state(BlockRef::Hash(parent)).unwrap();
        chooser.nonces = (0..ACCOUNTS).map(|number| view.nonce(signer(number).address()).unwrap()).collect();
        let due = chooser.deposits(&mut next_deposit);
        let sweep = height % 7 == 0;
        let attributes = attributes(&builder, parent, &due, sweep);
        let count = chooser.rng.random_range(0..16);
        let transactions: Vec<_> = (0..count).map(|_| chooser.transaction(attributes.base_fee)).collect();
        let mut script = Script::of(transactions);
        let built = builder.build(&attributes, &mut script, budget()).unwrap();
        let answer = block_answer(&built, attributes.forced.len(), &script);
        witness.ask(&block_question(&built, &attributes.forced, &script, sweep), answer);

        // Another node gets to the same block from its bytes alone.
        let received = Arc::new(RecoveredBlock::decode(&built.block.encode()).unwrap());
        let executed = follower.execute(&received, expectation(&follower, &built, sweep)).unwrap();
        assert_eq!((executed.hash(), executed.outcome()), (built.hash(), built.outcome()));

        parent = built.hash();
        if chooser.rng.random_bool(0.3) {
            builder.finalize(parent).unwrap();
            follower.finalize(parent).unwrap();
        }
        let good = built.receipts.iter().filter(|receipt| receipt.status()).count();
        succeeded += good;
        failed += built.receipts.len() - good;
        refused += script.log.iter().filter(|(_, verdict)| *verdict != Verdict::Given).count();
    }
    witness.finish();
    println!("{blocks} blocks equal: {succeeded} transactions succeeded, {failed} failed, {refused} refused");
    let least = usize::try_from(blocks).unwrap() / 2;
    assert!(succeeded > least && failed > least && refused > least, "{succeeded}, {failed}, {refused}: not a mixture");
}
