//! Final blocks, transactions and receipts in the JSON forms that Ethereum's clients read. Deposits have the OP form.
#![allow(clippy::wildcard_enum_match_arm, reason = "wide enums of other crates, all others alike")]

use crate::ports::Receipt;
use alloy::{
    consensus::{
        BlockHeader, Eip658Value, ReceiptWithBloom, Sealed, Transaction as _, TxReceipt, transaction::Recovered,
    },
    network::primitives::BlockTransactions,
    primitives::{Address, B256, U256},
    rlp::Encodable,
    rpc::types::{Block, Log, TransactionInfo, TransactionReceipt},
};
use baton_primitives::{Header, RecoveredBlock, Transaction};
use op_alloy_consensus::{
    OpDepositReceipt, OpReceipt,
    transaction::{OpDepositInfo, OpTransactionInfo},
};
use op_alloy_rpc_types::{L1BlockInfo, OpTransactionReceipt, Transaction as RpcTransaction};

/// A block as `eth_getBlockBy*` gives it.
pub(crate) type RpcBlock = Block<RpcTransaction>;

/// A header; `size` is the block's RLP length where the answer is a whole block.
pub(crate) fn header(hash: B256, header: Header, size: Option<usize>) -> alloy::rpc::types::Header {
    alloy::rpc::types::Header::from_consensus(Sealed::new_unchecked(header, hash), None, size.map(U256::from))
}

/// A block with hashes, or with whole transactions if receipts (of the same block) are given.
pub(crate) fn block(block: &RecoveredBlock, full: Option<&[Receipt]>) -> RpcBlock {
    let transactions = match full {
        Some(receipts) => BlockTransactions::Full(
            (0..block.transactions().len()).filter_map(|i| transaction(block, i, receipts.get(i))).collect(),
        ),
        None => BlockTransactions::Hashes(block.transactions().iter().map(Transaction::tx_hash).collect()),
    };
    Block {
        header: header(block.hash(), block.header().clone(), Some(block.block().length())),
        uncles: Vec::new(),
        transactions,
        withdrawals: block.block().body.withdrawals.clone(),
    }
}

/// A final transaction; the receipt tells a deposit's nonce.
pub(crate) fn transaction(block: &RecoveredBlock, index: usize, receipt: Option<&Receipt>) -> Option<RpcTransaction> {
    let transaction = block.transactions().get(index)?.clone();
    let sender = *block.senders().get(index)?;
    let header = block.header();
    let deposit = match receipt {
        Some(Receipt::Deposit(r)) => {
            OpDepositInfo { deposit_nonce: r.deposit_nonce, deposit_receipt_version: r.deposit_receipt_version }
        }
        _ => OpDepositInfo::default(),
    };
    let inner = TransactionInfo {
        hash: Some(transaction.tx_hash()),
        index: Some(index as u64),
        block_hash: Some(block.hash()),
        block_number: Some(header.number),
        base_fee: header.base_fee_per_gas,
        block_timestamp: Some(header.timestamp),
    };
    let info = OpTransactionInfo { inner, deposit_meta: deposit };
    Some(RpcTransaction::from_transaction(Recovered::new_unchecked(transaction, sender), info))
}

/// A transaction that waits.
pub(crate) fn waiting(transaction: Transaction, sender: Address) -> RpcTransaction {
    RpcTransaction::from_transaction(Recovered::new_unchecked(transaction, sender), OpTransactionInfo::default())
}

/// Gas that transaction `index` used: receipts count up.
pub(crate) fn gas_used(receipts: &[Receipt], index: usize) -> u64 {
    let upto = |i: usize| receipts.get(i).map_or(0, TxReceipt::cumulative_gas_used);
    upto(index).saturating_sub(index.checked_sub(1).map_or(0, upto))
}

/// The receipt of transaction `index`, whose first log is number `first_log` of the block.
pub(crate) fn receipt(
    block: &RecoveredBlock,
    receipts: &[Receipt],
    index: usize,
    first_log: usize,
) -> Option<OpTransactionReceipt> {
    let consensus = receipts.get(index)?;
    let transaction = block.transactions().get(index)?;
    let from = *block.senders().get(index)?;
    let header = block.header();
    let hash = transaction.tx_hash();
    let nonce = match consensus {
        Receipt::Deposit(r) => r.deposit_nonce.unwrap_or_default(),
        _ => transaction.nonce(),
    };
    let effective_gas_price =
        if transaction.is_deposit() { 0 } else { transaction.effective_gas_price(header.base_fee_per_gas) };
    let logs = consensus.logs().iter().enumerate();
    let logs = logs.map(|(i, log)| rpc_log(block, hash, index, first_log + i, log.clone())).collect();
    Some(OpTransactionReceipt {
        inner: TransactionReceipt {
            inner: ReceiptWithBloom { receipt: with_logs(consensus, logs), logs_bloom: consensus.bloom() },
            transaction_hash: hash,
            transaction_index: Some(index as u64),
            block_hash: Some(block.hash()),
            block_number: Some(header.number),
            gas_used: gas_used(receipts, index),
            effective_gas_price,
            blob_gas_used: None,
            blob_gas_price: None,
            from,
            to: transaction.to(),
            contract_address: transaction.is_create().then(|| from.create(nonce)),
        },
        l1_block_info: L1BlockInfo::default(),
        op_gas_refund: None,
    })
}

/// Every receipt of a block.
pub(crate) fn block_receipts(block: &RecoveredBlock, receipts: &[Receipt]) -> Vec<OpTransactionReceipt> {
    let mut first_log = 0;
    let mut all = Vec::with_capacity(receipts.len());
    for (index, consensus) in receipts.iter().enumerate() {
        all.extend(receipt(block, receipts, index, first_log));
        first_log += consensus.logs().len();
    }
    all
}

/// How many logs stand in the block before transaction `index`.
pub(crate) fn logs_before(receipts: &[Receipt], index: usize) -> usize {
    receipts.iter().take(index).map(|r| r.logs().len()).sum()
}

/// Every log of a block.
pub(crate) fn block_logs(block: &RecoveredBlock, receipts: &[Receipt]) -> Vec<Log> {
    let mut logs = Vec::new();
    for (index, (receipt, transaction)) in receipts.iter().zip(block.transactions()).enumerate() {
        for log in receipt.logs() {
            logs.push(rpc_log(block, transaction.tx_hash(), index, logs.len(), log.clone()));
        }
    }
    logs
}

pub(crate) fn rpc_log(
    block: &RecoveredBlock,
    transaction: B256,
    index: usize,
    log_index: usize,
    log: alloy::primitives::Log,
) -> Log {
    Log {
        inner: log,
        block_hash: Some(block.hash()),
        block_number: Some(block.header().number()),
        block_timestamp: Some(block.header().timestamp),
        transaction_hash: Some(transaction),
        transaction_index: Some(index as u64),
        log_index: Some(log_index as u64),
        removed: false,
    }
}

fn with_logs(receipt: &Receipt, logs: Vec<Log>) -> OpReceipt<Log> {
    let status = Eip658Value::Eip658(receipt.status());
    let inner = alloy::consensus::Receipt { status, cumulative_gas_used: receipt.cumulative_gas_used(), logs };
    match receipt {
        Receipt::Legacy(_) => OpReceipt::Legacy(inner),
        Receipt::Eip2930(_) => OpReceipt::Eip2930(inner),
        Receipt::Eip1559(_) => OpReceipt::Eip1559(inner),
        Receipt::Eip7702(_) => OpReceipt::Eip7702(inner),
        Receipt::PostExec(_) => OpReceipt::PostExec(inner),
        Receipt::Deposit(r) => OpReceipt::Deposit(OpDepositReceipt {
            inner,
            deposit_nonce: r.deposit_nonce,
            deposit_receipt_version: r.deposit_receipt_version,
        }),
    }
}
