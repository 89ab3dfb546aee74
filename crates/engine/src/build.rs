//! Building a block of one's own.

use crate::{
    engine::Engine,
    error::{BlockFault, BuildError, InvalidTransaction, StoreError},
    evm::Failure,
    executed::ExecutedBlock,
    header::{check_fixed, check_system},
    metrics,
    ports::{Candidate, TransactionSource},
    process::Process,
};
use alloy::{
    consensus::{EMPTY_OMMER_ROOT_HASH, constants::EMPTY_WITHDRAWALS},
    eips::{eip2718::Encodable2718, eip7685::EMPTY_REQUESTS_HASH},
    primitives::{Address, B64, B256, Bytes, U256},
};
use baton_primitives::{Block, Header, RecoveredBlock, Transaction, block_body, predeploys};
use std::{collections::VecDeque, sync::Arc, time::Instant};

/// What consensus and derivation fix of a block before its transactions are chosen.
#[derive(Clone, Debug)]
pub struct BlockAttributes {
    /// Hash of the parent, which is executed here.
    pub parent: B256,
    /// Seconds.
    pub timestamp: u64,
    /// Views and milliseconds.
    pub extra_data: Bytes,
    /// The chain parameter.
    pub gas_limit: u64,
    /// By the caller's rule, wei per gas.
    pub base_fee: u64,
    /// PREVRANDAO; see [`crate::prevrandao`].
    pub mix_hash: B256,
    /// The origin's hash.
    pub parent_beacon_block_root: B256,
    /// The system transaction, then the due deposits.
    pub forced: Vec<Transaction>,
    /// Whether the fee vault is emptied after the block.
    pub sweep: bool,
}

/// How much a block may take.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// When to stop adding transactions.
    pub deadline: Instant,
    /// Bytes of the block's RLP; the chain's limit applies all the same.
    pub max_bytes: u64,
}

/// Bytes set aside for the header and the framing of the lists.
const FRAME_BYTES: u64 = 1_024;
/// Least gas of any transaction.
const LEAST_GAS: u64 = 21_000;
/// Transactions whose accounts are read together before the first of them is executed, and from how many on that is worth it.
const AHEAD: usize = 1_024;
const WARM_FROM: usize = 64;
/// Misfits in a row after which a nearly full block is closed.
const MAX_MISFITS: usize = 64;

impl Engine {
    /// Builds a block on `attributes.parent`: the forced transactions, then the source's while they fit. The block counts as
    /// executed.
    ///
    /// # Errors
    /// If the parent is not executed here, the attributes break a rule, or the store fails.
    pub fn build(
        &self,
        attributes: &BlockAttributes,
        source: &mut dyn TransactionSource,
        budget: Budget,
    ) -> Result<Arc<ExecutedBlock>, BuildError> {
        let start = Instant::now();
        self.check_room().map_err(BuildError::TooManyUnfinalized)?;
        let parent = self.live_view(attributes.parent).ok_or(BuildError::UnknownParent(attributes.parent))?;
        let parameters = self.parameters();
        let mut header = draft(attributes, parent.header().number.saturating_add(1));
        let call = check_system(&attributes.forced, header.number, parent.outcome().deposits)
            .map_err(BuildError::Attributes)?;
        check_fixed(&header, &parent, parameters, attributes.base_fee, &call).map_err(BuildError::Attributes)?;

        let running = Instant::now();
        let mut process = Process::start(parent.clone(), parameters.l2_chain_id, &header)?;
        let mut transactions = Vec::with_capacity(attributes.forced.len());
        let mut senders = Vec::with_capacity(attributes.forced.len());
        let mut bytes = FRAME_BYTES;
        for (index, transaction) in attributes.forced.iter().enumerate() {
            let sender = transaction.as_deposit().map_or(Address::ZERO, |deposit| deposit.from);
            process.transaction(transaction, sender).map_err(|failure| match failure {
                Failure::Invalid(why) => BuildError::Forced { index, why },
                Failure::Store(error) => BuildError::Store(error),
            })?;
            bytes += encoded(transaction);
            transactions.push(transaction.clone());
            senders.push(sender);
        }

        let most = budget.max_bytes.min(parameters.max_block_bytes);
        let mut misfits = 0;
        let mut ahead = Ahead { source, drawn: VecDeque::new() };
        while process.gas_left() >= LEAST_GAS && misfits < MAX_MISFITS && Instant::now() < budget.deadline {
            let Some(candidate) = ahead.next(&mut process)? else { break };
            let (transaction, sender) = (candidate.transaction, candidate.sender);
            if transaction.is_deposit() {
                // It would mint. Deposits come from L1 alone, through the attributes.
                ahead.source.invalid(transaction.tx_hash(), sender, &InvalidTransaction::Type(0x7e));
                continue;
            }
            let size = encoded(&transaction);
            if bytes + size > most || alloy::consensus::Transaction::gas_limit(&*transaction) > process.gas_left() {
                ahead.source.skip(transaction.tx_hash(), sender);
                misfits += 1;
                continue;
            }
            match process.transaction(&transaction, sender) {
                Ok(()) => {
                    misfits = 0;
                    bytes += size;
                    transactions.push(Arc::unwrap_or_clone(transaction));
                    senders.push(sender);
                }
                Err(Failure::Invalid(why)) => ahead.source.invalid(transaction.tx_hash(), sender, &why),
                Err(Failure::Store(error)) => return Err(error.into()),
            }
        }

        let processed = process.finish(attributes.sweep)?;
        metrics::since("baton_engine_run_seconds", running);
        let receipts = std::mem::take(&mut process.receipts);
        let sealed = self.seal(&parent, processed, &transactions, header.number)?;
        header.gas_used = process.gas_used;
        header.logs_bloom = process.bloom;
        header.state_root = sealed.state_root;
        header.transactions_root = sealed.transactions_root;
        header.receipts_root = sealed.receipts_root;
        let block = Block { header, body: block_body(transactions) };
        let block = RecoveredBlock::new_unchecked(block.header.hash_slow(), block, senders);
        let executed = Arc::new(sealed.executed(Arc::new(block), receipts, call));
        if executed.size > parameters.max_block_bytes {
            let found = usize::try_from(executed.size).unwrap_or(usize::MAX);
            return Err(BuildError::Attributes(BlockFault::Size { found, most: parameters.max_block_bytes }));
        }
        if !self.shared.tree.write().insert(executed.clone()) {
            return Err(BuildError::UnknownParent(attributes.parent));
        }
        metrics::since("baton_engine_build_seconds", start);
        metrics::executed(&executed);
        Ok(executed)
    }
}

/// A source from which several transactions are drawn at once, so that their accounts can be read side by side.
struct Ahead<'a> {
    source: &'a mut dyn TransactionSource,
    drawn: VecDeque<Candidate>,
}

impl Ahead<'_> {
    fn next(&mut self, process: &mut Process) -> Result<Option<Candidate>, StoreError> {
        loop {
            if self.drawn.is_empty() {
                self.drawn.extend(std::iter::from_fn(|| self.source.next()).take(AHEAD));
                if self.drawn.len() >= WARM_FROM {
                    process.warm(self.drawn.iter().map(|it| (&*it.transaction, it.sender)))?;
                }
            }
            match self.drawn.pop_front() {
                Some(candidate) if self.source.is_closed(&candidate.sender) => {}
                next => return Ok(next),
            }
        }
    }
}

fn encoded(transaction: &Transaction) -> u64 {
    u64::try_from(transaction.network_len()).unwrap_or(u64::MAX)
}

/// The header before anything is executed.
fn draft(attributes: &BlockAttributes, number: u64) -> Header {
    Header {
        parent_hash: attributes.parent,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: predeploys::FEE_VAULT,
        difficulty: U256::ZERO,
        number,
        gas_limit: attributes.gas_limit,
        timestamp: attributes.timestamp,
        extra_data: attributes.extra_data.clone(),
        mix_hash: attributes.mix_hash,
        nonce: B64::ZERO,
        base_fee_per_gas: Some(attributes.base_fee),
        withdrawals_root: Some(EMPTY_WITHDRAWALS),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(attributes.parent_beacon_block_root),
        requests_hash: Some(EMPTY_REQUESTS_HASH),
        ..Header::default()
    }
}
