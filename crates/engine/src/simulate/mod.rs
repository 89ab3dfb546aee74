//! `eth_simulateV1`: calls in blocks that follow one another on top of a state. Nothing of them is kept.
//!
//! ```text
//! state -> overrides -> history contract -> call -> ... -> call -> root, header -> overrides of the next block -> ...
//! ```
//!
//! The rules are those of execution-apis (`src/eth/execute.yaml`, `ethsimulatev1-notes`) where the chain has none of its
//! own: the fee recipient gets the whole fee, and a validated block's base fee has the floor that its caller names.

mod error;
mod root;
mod watch;

use crate::{
    call::{self, CallOutcome, Deadline, Ran, World, message, override_state},
    engine::{BlockRef, Engine},
    error::InvalidTransaction,
    evm::{self, Mode, Precompiles},
    executed::Receipt,
    fee::next_base_fee,
    state::StateView,
    trace::record_parent,
};
use alloy::{
    consensus::{
        EMPTY_OMMER_ROOT_HASH, Eip658Value, Eip2718EncodableReceipt, Receipt as Body, TxReceipt,
        constants::EMPTY_WITHDRAWALS, proofs::calculate_transaction_root,
    },
    eips::eip7685::EMPTY_REQUESTS_HASH,
    primitives::{Address, B256, Bloom, Log, U256, logs_bloom},
    rpc::types::{BlockOverrides, TransactionRequest, simulate::SimBlock},
};
use alloy_trie::root::ordered_trie_root_encoded;
use baton_primitives::{Block, Fields, FieldsError, Header, RecoveredBlock, Transaction, block_body};
pub use error::SimulateError;
use revm::{
    Database, DatabaseCommit,
    context::{BlockEnv, TxEnv},
    context_interface::block::BlobExcessGasAndPrice,
    database::CacheDB,
    primitives::eip3860,
};
use root::Roots;
use std::time::Instant;
use watch::{LogWatch, TRANSFER_LOGGER};

/// Most heights between the state and the last simulated block (geth's limit, and execution-apis').
const MOST_BLOCKS: u64 = 256;
/// Most heights between the last final block and the state: the trie there is rebuilt by undoing what changed since.
const MOST_DEPTH: u64 = 1_024;
/// Seconds from a block to the next one that names no time of its own: the least step that a timestamp can make.
const TIME_STEP: u64 = 1;

/// What to simulate.
#[derive(Clone, Debug, Default)]
pub struct Simulated {
    /// Blocks, each with its overrides and calls. Heights that they skip are filled with empty blocks.
    pub blocks: Vec<SimBlock<TransactionRequest>>,
    /// Whether nonces and prices are checked as in a block.
    pub validation: bool,
    /// Whether transfers of ether are logged, as if a token at address 0xeeee… told of them.
    pub trace_transfers: bool,
    /// Least base fee of a validated block that names none, wei per gas.
    pub least_base_fee: u64,
}

/// A simulated block.
#[derive(Clone, Debug)]
pub struct SimulatedBlock {
    /// The block, its transactions unsigned (the signature is zero).
    pub block: RecoveredBlock,
    /// Its receipts.
    pub receipts: Vec<Receipt>,
    /// What each call did.
    pub calls: Vec<SimulatedCall>,
}

/// What a simulated call did.
#[derive(Clone, Debug)]
pub struct SimulatedCall {
    /// Its end, gas and logs; transfers of ether are among these if they were asked for.
    pub outcome: CallOutcome,
    /// The most gas it held before refunds.
    pub max_used_gas: u64,
}

impl Engine {
    /// Simulates blocks on the state after `at`.
    ///
    /// # Errors
    /// If the state is not there, blocks are out of order, or a call could not be in its block: nothing is answered then.
    pub fn simulate(&self, at: BlockRef, what: &Simulated) -> Result<Vec<SimulatedBlock>, SimulateError> {
        let view = self.state(at)?;
        let config = &self.shared.config;
        let parent = (view.hash(), view.header().clone());
        if view.base.height.saturating_sub(parent.1.number) > MOST_DEPTH {
            return Err(SimulateError::Request("the state is too old: at most 1024 blocks below the last final one"));
        }
        let plan = sequence(&what.blocks, &parent.1)?;
        let mut run = Run {
            what,
            chain_id: config.genesis.parameters.l2_chain_id,
            gas_left: config.call_gas_cap,
            timeout: config.call_timeout.as_millis(),
            deadline: Instant::now() + config.call_timeout,
            roots: Roots::new(&view, config.call_timeout)?,
            database: Some(CacheDB::new(view)),
            parent,
        };
        plan.iter().map(|block| run.block(block)).collect()
    }
}

/// The blocks with a number and a time each, those that were left out among them.
fn sequence(
    blocks: &[SimBlock<TransactionRequest>],
    base: &Header,
) -> Result<Vec<SimBlock<TransactionRequest>>, SimulateError> {
    let (mut number, mut time) = (base.number, base.timestamp);
    let mut plan = Vec::with_capacity(blocks.len());
    for block in blocks {
        let mut overrides = block.block_overrides.clone().unwrap_or_default();
        let found = overrides.number.unwrap_or_else(|| U256::from(number + 1));
        if found <= U256::from(number) {
            return Err(SimulateError::BlockNumber { found, before: number });
        }
        let found = u64::try_from(found).unwrap_or(u64::MAX);
        if found - base.number > MOST_BLOCKS {
            return Err(SimulateError::TooManyBlocks);
        }
        for skipped in number + 1..found {
            time = time.saturating_add(TIME_STEP);
            let overrides =
                BlockOverrides { number: Some(U256::from(skipped)), time: Some(time), ..Default::default() };
            plan.push(SimBlock { block_overrides: Some(overrides), ..SimBlock::default() });
        }
        let at = overrides.time.unwrap_or(time.saturating_add(TIME_STEP));
        if at <= time {
            return Err(SimulateError::Timestamp { found: at, before: time });
        }
        (number, time) = (found, at);
        (overrides.number, overrides.time) = (Some(U256::from(number)), Some(time));
        plan.push(SimBlock { block_overrides: Some(overrides), ..block.clone() });
    }
    Ok(plan)
}

/// A simulation under way.
struct Run<'a> {
    what: &'a Simulated,
    chain_id: u64,
    /// Gas that is left for all calls together.
    gas_left: u64,
    timeout: u128,
    deadline: Instant,
    roots: Roots,
    /// The state so far; it is away while something executes on it.
    database: Option<CacheDB<StateView>>,
    parent: (B256, Header),
}

/// What the calls of a block have done so far.
#[derive(Default)]
struct Progress {
    transactions: Vec<Transaction>,
    senders: Vec<Address>,
    receipts: Vec<Receipt>,
    calls: Vec<SimulatedCall>,
    gas_used: u64,
    bloom: Bloom,
}

impl Run<'_> {
    fn block(&mut self, block: &SimBlock<TransactionRequest>) -> Result<SimulatedBlock, SimulateError> {
        if Instant::now() >= self.deadline {
            return Err(SimulateError::Timeout(self.timeout));
        }
        let overrides = block.block_overrides.clone().unwrap_or_default();
        let mut header = self.header(&overrides);
        let mut env = evm::block_env(&header);
        if let Some(price) = overrides.blob_base_fee {
            let price = u128::try_from(price).unwrap_or(u128::MAX);
            env.blob_excess_gas_and_price = Some(BlobExcessGasAndPrice { excess_blob_gas: 0, blob_gasprice: price });
        }
        let mut precompiles = Precompiles::default();
        let mut database = self.take()?;
        if let Some(overrides) = &block.state_overrides {
            override_state(&mut database, &mut precompiles, overrides)?;
            self.roots.overridden(overrides);
        }
        for (number, hash) in overrides.block_hash.iter().flatten() {
            database.cache.block_hashes.insert(U256::from(*number), *hash);
        }
        let (database, changes) = record_parent(database, self.parent.0, self.chain_id, &env)?;
        self.roots.executed(&changes);
        self.database = Some(database);

        let mut done = Progress::default();
        for request in &block.calls {
            self.call(request, &env, &precompiles, &mut done)?;
        }
        let mut database = self.take()?;
        header.state_root = self.roots.root(&database, header.number)?;
        header.gas_used = done.gas_used;
        header.logs_bloom = done.bloom;
        header.transactions_root = calculate_transaction_root(&done.transactions);
        header.receipts_root = ordered_trie_root_encoded(&encoded(&done.receipts));
        let hash = header.hash_slow();
        self.parent = (hash, header.clone());
        database.cache.block_hashes.insert(U256::from(header.number), hash);
        self.database = Some(database);
        let block = Block { header, body: block_body(done.transactions) };
        let block = RecoveredBlock::new_unchecked(hash, block, done.senders);
        Ok(SimulatedBlock { block, receipts: done.receipts, calls: done.calls })
    }

    fn take(&mut self) -> Result<CacheDB<StateView>, SimulateError> {
        self.database.take().ok_or(SimulateError::Request("the simulation has ended"))
    }

    /// The header before anything is executed.
    fn header(&self, overrides: &BlockOverrides) -> Header {
        let (parent_hash, parent) = &self.parent;
        let base_fee = match overrides.base_fee {
            Some(base_fee) => u64::try_from(base_fee).unwrap_or(u64::MAX),
            None if self.what.validation => next_base_fee(parent).max(self.what.least_base_fee),
            // A call without a price could not be in the block otherwise.
            None => 0,
        };
        Header {
            parent_hash: *parent_hash,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: overrides.coinbase.unwrap_or(parent.beneficiary),
            number: overrides.number.map_or(parent.number + 1, |number| number.saturating_to()),
            gas_limit: overrides.gas_limit.unwrap_or(parent.gas_limit),
            timestamp: overrides.time.unwrap_or(parent.timestamp),
            mix_hash: overrides.random.unwrap_or_default(),
            base_fee_per_gas: Some(base_fee),
            withdrawals_root: Some(EMPTY_WITHDRAWALS),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(overrides.beacon_root.unwrap_or_default()),
            requests_hash: Some(EMPTY_REQUESTS_HASH),
            ..Header::default()
        }
    }

    /// Runs the next call of a block.
    fn call(
        &mut self,
        request: &TransactionRequest,
        block: &BlockEnv,
        precompiles: &Precompiles,
        done: &mut Progress,
    ) -> Result<(), SimulateError> {
        if Instant::now() >= self.deadline {
            return Err(SimulateError::Timeout(self.timeout));
        }
        let mut database = self.take()?;
        let room = block.gas_limit.saturating_sub(done.gas_used);
        let asked = request.gas.unwrap_or(room);
        if asked > room {
            let (used, limit) = (done.gas_used, block.gas_limit);
            return Err(SimulateError::BlockGas { used, asked, limit });
        }
        let gas_limit = asked.min(self.gas_left);
        let mut env = message(request, gas_limit)?;
        if let Some(have) = request.chain_id
            && have != self.chain_id
        {
            return Err(SimulateError::ChainId { have, want: self.chain_id });
        }
        env.chain_id = Some(self.chain_id);
        if env.kind.is_create() && env.data.len() > eip3860::MAX_INITCODE_SIZE {
            return Err(SimulateError::InitCode { size: env.data.len(), most: eip3860::MAX_INITCODE_SIZE });
        }
        let account = database.basic(env.caller)?.unwrap_or_default().nonce;
        match request.nonce {
            None => env.nonce = account,
            // Before the price, as geth checks them.
            Some(nonce) if self.what.validation && nonce != account => {
                let why = if nonce < account {
                    InvalidTransaction::NonceTooLow { transaction: nonce, account }
                } else {
                    InvalidTransaction::NonceTooHigh { transaction: nonce, account }
                };
                let (caller, max_fee) = (env.caller, env.gas_price);
                return Err(SimulateError::Transaction { why, caller, max_fee, gas: gas_limit });
            }
            Some(_) => {}
        }
        let transaction = unsigned(&env, request, self.chain_id)?;
        let mode = Mode::Simulated { validated: self.what.validation };
        let watch = Deadline::new(self.deadline, u64::MAX);
        let logs = LogWatch::new(self.what.trace_transfers);
        let world = World { database, precompiles: precompiles.clone(), chain_id: self.chain_id };
        let caller = env.caller;
        let max_fee = env.gas_price;
        let Ran { result, mut database, inspector } = call::run(world, block.clone(), env, mode, watch, logs);
        let result =
            result.map_err(|unfinished| SimulateError::of(unfinished, caller, max_fee, gas_limit, self.timeout))?;
        let max_used_gas = result.result.gas().total_gas_spent().max(result.result.gas().floor_gas());
        self.roots.executed(&result.state);
        database.commit(result.state);
        self.database = Some(database);
        let outcome = CallOutcome { logs: inspector.into_logs(), ..CallOutcome::of(result.result) };
        self.gas_left = self.gas_left.saturating_sub(outcome.gas_used);
        done.gas_used += outcome.gas_used;
        let real: Vec<Log> = outcome.logs.iter().filter(|log| log.address != TRANSFER_LOGGER).cloned().collect();
        let receipt = receipt(&transaction, outcome.is_success(), done.gas_used, real);
        done.bloom |= logs_bloom(receipt.logs());
        done.receipts.push(receipt);
        done.transactions.push(transaction);
        done.senders.push(caller);
        done.calls.push(SimulatedCall { outcome, max_used_gas });
        Ok(())
    }
}

/// The transaction that a call would be, with a zero signature.
fn unsigned(env: &TxEnv, request: &TransactionRequest, chain_id: u64) -> Result<Transaction, SimulateError> {
    let fields = Fields {
        kind: env.tx_type,
        chain_id: (env.tx_type != 0).then_some(chain_id),
        nonce: env.nonce,
        gas_limit: env.gas_limit,
        max_fee_per_gas: env.gas_price,
        max_priority_fee_per_gas: env.gas_priority_fee.unwrap_or(0),
        to: env.kind,
        value: env.value,
        input: env.data.clone(),
        access_list: env.access_list.clone(),
        authorization_list: request.authorization_list.clone().unwrap_or_default(),
    };
    fields.unsigned().map_err(|error| match error {
        FieldsError::Create => SimulateError::Request("EIP-7702 transaction cannot be used to create contract"),
        FieldsError::Type(_) => SimulateError::Request("transaction type not supported"),
    })
}

fn receipt(transaction: &Transaction, success: bool, cumulative_gas_used: u64, logs: Vec<Log>) -> Receipt {
    let body = Body { status: Eip658Value::Eip658(success), cumulative_gas_used, logs };
    #[allow(clippy::wildcard_enum_match_arm, reason = "a simulation makes no other type")]
    match transaction {
        Transaction::Legacy(_) => Receipt::Legacy(body),
        Transaction::Eip2930(_) => Receipt::Eip2930(body),
        Transaction::Eip7702(_) => Receipt::Eip7702(body),
        _ => Receipt::Eip1559(body),
    }
}

fn encoded(receipts: &[Receipt]) -> Vec<Vec<u8>> {
    let encode = |receipt: &Receipt| {
        let mut out = Vec::new();
        receipt.eip2718_encode_with_bloom(&logs_bloom(receipt.logs()), &mut out);
        out
    };
    receipts.iter().map(encode).collect()
}
