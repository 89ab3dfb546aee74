//! What the explorer Otterscan asks of a node: `ots_*` (its `docs/custom-jsonrpc.md`), and erigon's header.
//!
//! A search by address reads the blocks that an index names, as many as a query for logs may, and says where it stopped. When a
//! contract or a nonce appeared is found by bisecting the history of the state.
#![allow(clippy::wildcard_enum_match_arm, reason = "wide enums of other crates, all others alike")]

use super::{Methods, Reply, blocks::Executed, trace};
use crate::{
    context::Context,
    convert::{self, RpcBlock},
    error::RpcError,
    params::{At, Number, unknown_block},
    ports::{Backend, ReadError, Receipt},
};
use alloy::{
    consensus::{Transaction as _, TxReceipt, Typed2718},
    eips::{BlockId, eip7702::constants::EIP7702_DELEGATION_DESIGNATOR},
    primitives::{Address, B256, Bytes, U256},
    rpc::types::trace::{
        geth::{GethDebugBuiltInTracerType, GethDebugTracingOptions, GethTrace, TraceResult},
        otterscan::{
            BlockDetails, ContractCreator, InternalIssuance, InternalOperation, OperationType, OtsBlock,
            OtsBlockTransactions, OtsReceipt, OtsTransactionReceipt, TraceEntry, TransactionsWithReceipts,
        },
        parity::{Action, CallType, CreationMethod, LocalizedTransactionTrace, TraceOutput},
    },
};
use baton_primitives::{Height, RecoveredBlock};
use op_alloy_rpc_types::Transaction as RpcTransaction;
use std::{sync::Arc, time::Instant};

/// The version of the interface that this is.
const API_LEVEL: u64 = 8;
/// Transactions of one page (Otterscan asks for 25).
const MAX_PAGE: usize = 250;

pub(super) fn register<B: Backend>(table: &mut Methods<B>) {
    table.add("ots_getApiLevel() -> Count", |_, _| Reply::now(&API_LEVEL));
    table.add("erigon_getHeaderByNumber(block: Block) -> Header|null", |c, p| {
        let At(at) = p.required()?;
        let Some(height) = c.find(at)? else { return Reply::now(&()) };
        Reply::now(&c.backend.header(height)?.map(|(hash, header)| convert::header(hash, header, None)))
    });
    table.add("ots_hasCode(address: Address, block?: Block) -> Boolean", |c, p| {
        let address: Address = p.required()?;
        let At(at) = p.optional()?.unwrap_or_default();
        Reply::now(&!c.backend.code(c.resolve(at)?, address)?.is_empty())
    });
    table.add("ots_getBlockDetails(block: Block) -> BlockDetails|null", |c, p| {
        let At(at) = p.required()?;
        Reply::read(c, move |c, _| Ok(c.executed(at)?.map(|executed| details(&executed))))
    });
    table.add("ots_getBlockDetailsByHash(blockHash: Hash) -> BlockDetails|null", |c, p| {
        let hash: B256 = p.required()?;
        Reply::read(c, move |c, _| Ok(c.executed(BlockId::hash(hash))?.map(|executed| details(&executed))))
    });
    table.add("ots_getBlockTransactions(block: Block, page: Count, size: Count) -> BlockTransactions", |c, p| {
        let At(at) = p.required()?;
        let (Number(page), Number(size)) = (p.required()?, p.required()?);
        let size = page_size(size)?;
        Reply::read(c, move |c, _| {
            let executed = c.executed(at)?.ok_or_else(|| unknown_block(at))?;
            Ok(block_page(&executed, usize::try_from(page).unwrap_or(usize::MAX), size))
        })
    });
    let before = "ots_searchTransactionsBefore(address: Address, block: Count, size: Count) -> TransactionPage";
    table.add(before, |c, p| {
        let (address, Number(block), Number(size)) = (p.required()?, p.required()?, p.required()?);
        let size = page_size(size)?;
        Reply::read(c, move |c, deadline| search_before(c, address, block, size, deadline))
    });
    let after = "ots_searchTransactionsAfter(address: Address, block: Count, size: Count) -> TransactionPage";
    table.add(after, |c, p| {
        let (address, Number(block), Number(size)) = (p.required()?, p.required()?, p.required()?);
        let size = page_size(size)?;
        Reply::read(c, move |c, deadline| search_after(c, address, block, size, deadline))
    });
    table.add("ots_getTransactionBySenderAndNonce(sender: Address, nonce: Count) -> Hash|null", |c, p| {
        let (sender, Number(nonce)) = (p.required()?, p.required()?);
        Reply::read(c, move |c, _| by_nonce(c, sender, nonce))
    });
    table.add("ots_getContractCreator(contract: Address) -> Creator|null", |c, p| {
        let contract: Address = p.required()?;
        Reply::read(c, move |c, _| creator(c, contract))
    });
    table.add("ots_getInternalOperations(transactionHash: Hash) -> InternalOperation[]", |c, p| {
        let hash: B256 = p.required()?;
        Reply::read(c, move |c, _| Ok(frames(c, hash)?.iter().filter_map(operation).collect::<Vec<_>>()))
    });
    table.add("ots_traceTransaction(transactionHash: Hash) -> TraceEntry[]|null", |c, p| {
        let hash: B256 = p.required()?;
        Reply::read(c, move |c, _| match c.backend.locate(hash)? {
            Some(_) => Ok(Some(frames(c, hash)?.iter().filter_map(entry).collect::<Vec<_>>())),
            None => Ok(None),
        })
    });
    table.add("ots_getTransactionError(transactionHash: Hash) -> Bytes", |c, p| {
        let hash: B256 = p.required()?;
        Reply::read(c, move |c, _| failure(c, hash))
    });
}

fn page_size(size: u64) -> Result<usize, RpcError> {
    match usize::try_from(size) {
        Ok(size) if (1..=MAX_PAGE).contains(&size) => Ok(size),
        _ => Err(RpcError::params(format!("page size must be from 1 to {MAX_PAGE}"))),
    }
}

/// Nothing is issued on L2: what deposits mint comes from L1.
fn details((block, receipts): &Executed) -> BlockDetails {
    let price = |i: usize| {
        let transaction = &block.transactions()[i];
        let price = transaction.effective_gas_price(block.header().base_fee_per_gas);
        if transaction.is_deposit() { U256::ZERO } else { U256::from(price) }
    };
    let fees = (0..receipts.len()).map(|i| price(i) * U256::from(convert::gas_used(receipts, i))).sum();
    BlockDetails::new(convert::block(block, None), InternalIssuance::default(), fees)
}

/// Pages count from the end of the block; within one, transactions are in order.
fn block_page((block, receipts): &Executed, page: usize, size: usize) -> OtsBlockTransactions<RpcTransaction> {
    let mut full: RpcBlock = convert::block(block, Some(receipts));
    let count = full.transactions.len();
    let end = count.saturating_sub(page.saturating_mul(size));
    let start = end.saturating_sub(size);
    if let alloy::network::primitives::BlockTransactions::Full(all) = &mut full.transactions {
        *all = all.drain(start..end).collect();
    }
    let shown = (start..end).filter_map(|index| receipt(block, receipts, index, false)).collect();
    OtsBlockTransactions { fullblock: OtsBlock { block: full, transaction_count: count }, receipts: shown }
}

fn receipt(block: &RecoveredBlock, receipts: &[Receipt], index: usize, logs: bool) -> Option<OtsTransactionReceipt> {
    let receipt = convert::receipt(block, receipts, index, convert::logs_before(receipts, index))?.inner;
    let receipt = receipt.map_inner(|receipt| OtsReceipt {
        status: receipt.receipt.status(),
        cumulative_gas_used: receipt.receipt.cumulative_gas_used(),
        logs: logs.then(|| receipt.receipt.logs().to_vec()),
        logs_bloom: logs.then_some(receipt.logs_bloom),
        r#type: receipt.receipt.ty(),
    });
    Some(OtsTransactionReceipt { receipt, timestamp: Some(block.header().timestamp) })
}

/// Transactions of an address, newest first.
type Page = TransactionsWithReceipts<RpcTransaction>;

fn search_before<B: Backend>(
    context: &Context<B>,
    address: Address,
    block: u64,
    size: usize,
    deadline: Instant,
) -> Result<Page, RpcError> {
    let latest = context.backend.heads().latest.get();
    // Zero asks for the newest.
    let newest = if block == 0 { latest } else { (block - 1).min(latest) };
    let mut page = empty(block == 0 || block > latest, false);
    for (read, height) in context.backend.address_heights(address, 0..=newest, true)?.enumerate() {
        let height = height?;
        if page.txs.len() >= size {
            return Ok(page);
        }
        if read_enough(context, read, deadline) {
            if page.txs.is_empty() {
                return Err(unfinished(read, format!("ask again before block {}", height.next())));
            }
            return Ok(page);
        }
        if let Some(executed) = context.executed_at(height)? {
            add(&mut page, &executed, address);
        }
    }
    page.last_page = true;
    Ok(page)
}

fn search_after<B: Backend>(
    context: &Context<B>,
    address: Address,
    block: u64,
    size: usize,
    deadline: Instant,
) -> Result<Page, RpcError> {
    let latest = context.backend.heads().latest.get();
    let oldest = if block == 0 { 0 } else { block.saturating_add(1) };
    let mut page = empty(false, block == 0);
    let mut full = false;
    for (read, height) in context.backend.address_heights(address, oldest..=latest, false)?.enumerate() {
        let height = height?;
        let enough = read_enough(context, read, deadline);
        if enough && page.txs.is_empty() {
            return Err(unfinished(read, format!("ask again after block {}", height.get().saturating_sub(1))));
        }
        if enough || page.txs.len() >= size {
            full = true;
            break;
        }
        if let Some(executed) = context.executed_at(height)? {
            let mut found = empty(false, false);
            add(&mut found, &executed, address);
            page.txs.splice(0..0, found.txs);
            page.receipts.splice(0..0, found.receipts);
        }
    }
    page.first_page = !full;
    Ok(page)
}

const fn empty(first_page: bool, last_page: bool) -> Page {
    Page { txs: Vec::new(), receipts: Vec::new(), first_page, last_page }
}

/// Whether a search has read as many blocks, or as long, as it may. It gives what it has found then, or an error that
/// names where to go on if that is nothing.
fn read_enough<B: Backend>(context: &Context<B>, read: usize, deadline: Instant) -> bool {
    read as u64 >= context.config.max_log_blocks || Instant::now() >= deadline
}

fn unfinished(read: usize, next: String) -> RpcError {
    RpcError::limit(format!("no transaction of this address in {read} blocks: {next}"))
}

/// Adds the transactions of a block that an address sent or got, that created it or in which it emitted a log; newest
/// first. Calls inside of transactions are not looked at.
fn add(page: &mut Page, (block, receipts): &Executed, address: Address) {
    for index in (0..block.transactions().len()).rev() {
        let (transaction, sender) = (&block.transactions()[index], block.senders()[index]);
        let emitted = receipts.get(index).is_some_and(|r| r.logs().iter().any(|log| log.address == address));
        let created = transaction.is_create() && created(block, receipts, index) == Some(address);
        if (emitted || created || sender == address || transaction.to() == Some(address))
            && let Some(shown) = convert::transaction(block, index, receipts.get(index))
            && let Some(receipt) = receipt(block, receipts, index, true)
        {
            page.txs.push(shown);
            page.receipts.push(receipt);
        }
    }
}

fn created(block: &RecoveredBlock, receipts: &[Receipt], index: usize) -> Option<Address> {
    convert::receipt(block, receipts, index, 0)?.inner.contract_address
}

/// The first height of the kept history at which something holds that goes on to hold; `None` if it does not hold now, or
/// held from the beginning.
fn first<B: Backend>(
    context: &Context<B>,
    holds: impl Fn(Height) -> Result<bool, ReadError>,
) -> Result<Option<Height>, RpcError> {
    let (oldest, _) = context.backend.state_history();
    let latest = context.backend.heads().latest;
    if !holds(latest)? {
        return Ok(None);
    }
    if holds(oldest)? {
        if oldest == Height::ZERO {
            return Ok(None);
        }
        return Err(ReadError::Pruned { height: oldest.get().saturating_sub(1), oldest: oldest.get() }.into());
    }
    let (mut low, mut high) = (oldest.get(), latest.get());
    while high - low > 1 {
        let middle = low.midpoint(high);
        if holds(Height::new(middle))? {
            high = middle;
        } else {
            low = middle;
        }
    }
    Ok(Some(Height::new(high)))
}

fn by_nonce<B: Backend>(context: &Context<B>, sender: Address, nonce: u64) -> Result<Option<B256>, RpcError> {
    let backend = &context.backend;
    let Some(height) = first(context, |height| Ok(backend.account(height, sender)?.nonce > nonce))? else {
        return Ok(None);
    };
    let Some((block, receipts)) = context.executed_at(height)? else { return Ok(None) };
    let has_nonce = |index: &usize| match &receipts.get(*index) {
        Some(Receipt::Deposit(receipt)) => receipt.deposit_nonce == Some(nonce),
        _ => block.transactions()[*index].nonce() == nonce,
    };
    let index = (0..block.transactions().len()).find(|index| block.senders()[*index] == sender && has_nonce(index));
    // An account that signed an authorization has a nonce without a transaction of its own.
    Ok(index.map(|index| block.transactions()[index].tx_hash()))
}

fn creator<B: Backend>(context: &Context<B>, contract: Address) -> Result<Option<ContractCreator>, RpcError> {
    let backend = &context.backend;
    let is_contract = |code: Bytes| !code.is_empty() && !code.starts_with(&EIP7702_DELEGATION_DESIGNATOR);
    let Some(height) = first(context, |height| Ok(is_contract(backend.code(height, contract)?)))? else {
        return Ok(None);
    };
    let Some((block, receipts)) = context.executed_at(height)? else { return Ok(None) };
    for index in 0..block.transactions().len() {
        if created(&block, &receipts, index) == Some(contract) {
            let (hash, creator) = (block.transactions()[index].tx_hash(), block.senders()[index]);
            return Ok(Some(ContractCreator { hash, creator }));
        }
    }
    let found = trace::flat(context, &block, None)?.into_iter().find_map(|frame| {
        let Action::Create(create) = &frame.trace.action else { return None };
        let made = frame.trace.result.as_ref().and_then(TraceOutput::created_contract);
        let hash = frame.transaction_hash.filter(|_| made == Some(contract))?;
        Some(ContractCreator { hash, creator: create.from })
    });
    Ok(found)
}

fn frames<B: Backend>(context: &Context<B>, hash: B256) -> Result<Vec<LocalizedTransactionTrace>, RpcError> {
    match located(context, hash)? {
        Some((block, index)) => trace::flat(context, &block, Some(index)),
        None => Ok(Vec::new()),
    }
}

fn located<B: Backend>(context: &Context<B>, hash: B256) -> Result<Option<(Arc<RecoveredBlock>, usize)>, RpcError> {
    trace::located(context, hash)
}

/// What moved ether inside of a transaction.
fn operation(frame: &LocalizedTransactionTrace) -> Option<InternalOperation> {
    if frame.trace.trace_address.is_empty() {
        return None;
    }
    match &frame.trace.action {
        Action::Call(call) if call.call_type == CallType::Call && !call.value.is_zero() => Some(InternalOperation {
            r#type: OperationType::OpTransfer,
            from: call.from,
            to: call.to,
            value: call.value,
        }),
        Action::Create(create) => Some(InternalOperation {
            r#type: match create.creation_method {
                CreationMethod::Create2 => OperationType::OpCreate2,
                _ => OperationType::OpCreate,
            },
            from: create.from,
            to: frame.trace.result.as_ref().and_then(TraceOutput::created_contract).unwrap_or_default(),
            value: create.value,
        }),
        Action::Selfdestruct(gone) => Some(InternalOperation {
            r#type: OperationType::OpSelfDestruct,
            from: gone.address,
            to: gone.refund_address,
            value: gone.balance,
        }),
        Action::Call(_) | Action::Reward(_) => None,
    }
}

fn entry(frame: &LocalizedTransactionTrace) -> Option<TraceEntry> {
    let trace = &frame.trace;
    let depth = u32::try_from(trace.trace_address.len()).unwrap_or(u32::MAX);
    let output = trace.result.clone().map(TraceOutput::into_output).unwrap_or_default();
    Some(match &trace.action {
        Action::Call(call) => {
            let (kind, has_value) = match call.call_type {
                CallType::CallCode => ("CALLCODE", true),
                CallType::DelegateCall => ("DELEGATECALL", false),
                CallType::StaticCall => ("STATICCALL", false),
                _ => ("CALL", true),
            };
            TraceEntry {
                r#type: kind.to_owned(),
                depth,
                from: call.from,
                to: call.to,
                value: has_value.then_some(call.value),
                input: call.input.clone(),
                output,
            }
        }
        Action::Create(create) => TraceEntry {
            r#type: if create.creation_method == CreationMethod::Create2 { "CREATE2" } else { "CREATE" }.to_owned(),
            depth,
            from: create.from,
            to: trace.result.as_ref().and_then(TraceOutput::created_contract).unwrap_or_default(),
            value: Some(create.value),
            input: create.init.clone(),
            output,
        },
        Action::Selfdestruct(gone) => TraceEntry {
            r#type: "SELFDESTRUCT".to_owned(),
            depth,
            from: gone.address,
            to: gone.refund_address,
            value: Some(gone.balance),
            input: Bytes::new(),
            output: Bytes::new(),
        },
        Action::Reward(_) => return None,
    })
}

/// What a transaction that failed returned.
fn failure<B: Backend>(context: &Context<B>, hash: B256) -> Result<Bytes, RpcError> {
    let Some((block, index)) = located(context, hash)? else { return Ok(Bytes::new()) };
    let receipts = context.backend.executed(block.height())?.map(|e| e.receipts).unwrap_or_default();
    if receipts.get(index).is_none_or(TxReceipt::status) {
        return Ok(Bytes::new());
    }
    let options = GethDebugTracingOptions::new_tracer(GethDebugBuiltInTracerType::CallTracer);
    Ok(match context.backend.trace_block(&block, Some(index), &options)?.pop() {
        Some(TraceResult::Success { result: GethTrace::CallTracer(frame), .. }) => frame.output.unwrap_or_default(),
        _ => Bytes::new(),
    })
}
