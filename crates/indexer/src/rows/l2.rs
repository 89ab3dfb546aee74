//! A final L2 block with its receipts, as rows. Everything that the block's hash commits to is checked against that hash.

use super::*;
use crate::{
    IndexerError,
    table::{Cell, Rows},
};
use alloy::{
    consensus::{ReceiptWithBloom, Transaction as _, TxReceipt as _, Typed2718 as _, proofs},
    primitives::{Address, B256, Log},
};
use baton_primitives::{ExtraData, Header, Height, Parameters, RecoveredBlock, SystemCall, Transaction, block_body};
use op_alloy_consensus::OpReceipt;
use op_alloy_network::{Network, Optimism};

/// A block as a node serves it, transactions in full.
pub(crate) type RpcBlock = <Optimism as Network>::BlockResponse;
/// A receipt as a node serves it.
pub(crate) type RpcReceipt = <Optimism as Network>::ReceiptResponse;

type Receipt = ReceiptWithBloom<OpReceipt>;

/// A final block that is consistent with its own hash, as rows.
#[derive(Debug)]
pub(crate) struct L2Block {
    pub(crate) number: u64,
    pub(crate) hash: B256,
    pub(crate) parent: B256,
    pub(crate) time_millis: u64,
    pub(crate) rows: Rows,
}

/// Checks that header, transactions, senders and receipts are what `block`'s hash commits to, and makes the rows.
///
/// `wrong` turns a description of a contradiction into an error that names the endpoint.
pub(crate) fn block(
    block: RpcBlock,
    receipts: Vec<RpcReceipt>,
    parameters: &Parameters,
    wrong: impl Fn(String) -> IndexerError,
) -> Result<L2Block, IndexerError> {
    let claimed = block.header.hash;
    let header: Header = block.header.inner;
    let transactions: Vec<Transaction> =
        block.transactions.into_transactions_vec().into_iter().map(|t| t.inner.inner.into_inner()).collect();
    let block = baton_primitives::Block { header, body: block_body(transactions) };
    let block = RecoveredBlock::recover(block).map_err(|e| wrong(e.to_string()))?;
    if block.hash() != claimed {
        return Err(wrong(format!("the header hashes to {}, not to {claimed}", block.hash())));
    }
    let header = block.header();
    if proofs::calculate_transaction_root(block.transactions()) != header.transactions_root {
        return Err(wrong("the transactions are not those of the header".into()));
    }
    let receipts: Vec<Receipt> = receipts.into_iter().map(receipt).collect();
    if receipts.len() != block.transactions().len() {
        let (found, expected) = (receipts.len(), block.transactions().len());
        return Err(wrong(format!("{found} receipts for {expected} transactions")));
    }
    if proofs::calculate_receipt_root(&receipts) != header.receipts_root {
        return Err(wrong("the receipts are not those of the header".into()));
    }
    rows(&block, &receipts, parameters)
}

fn rows(block: &RecoveredBlock, receipts: &[Receipt], parameters: &Parameters) -> Result<L2Block, IndexerError> {
    let header = block.header();
    let number = header.number;
    let extra = block.extra().unwrap_or_else(|error| {
        tracing::error!(number, %error, "a final block with malformed extra data");
        ExtraData::default()
    });
    let call = block.system_call().ok();
    let epoch = Height::new(number).epoch(parameters.epoch_blocks);
    let (key, base_fee) = (Cell::int(number)?, header.base_fee_per_gas.unwrap_or_default());
    let mut rows = Rows::default();
    rows.push(
        &BLOCKS,
        [
            key.clone(),
            block.hash().into(),
            header.parent_hash.into(),
            Cell::millis(block.time_millis())?,
            Cell::int(epoch.get())?,
            Cell::int(extra.view.term(parameters.term_views).get())?,
            Cell::int(extra.view.get())?,
            Cell::int(extra.parent_view.get())?,
            call.map(|c: SystemCall| Cell::int(c.origin.number)).transpose()?.unwrap_or(Cell::Null),
            call.map(|c| c.origin.hash).into(),
            Cell::int(call.map_or(0, |c| c.deposits))?,
            header.state_root.into(),
            header.transactions_root.into(),
            header.receipts_root.into(),
            Cell::int(header.gas_used)?,
            Cell::int(header.gas_limit)?,
            u128::from(base_fee).into(),
            Cell::int(receipts.len() as u64)?,
        ],
    );
    let (mut used_before, mut log_index) = (0, 0);
    let transactions = block.transactions().iter().zip(block.senders()).zip(receipts);
    for (position, ((transaction, sender), receipt)) in (0..).zip(transactions) {
        let position = Cell::Int(position);
        let place = [key.clone(), position];
        transaction_row(&place, transaction, *sender, receipt, &mut rows)?;
        receipt_row(&place, transaction, *sender, receipt, (&mut used_before, base_fee), &mut rows)?;
        for log in receipt.receipt.as_receipt().logs() {
            log_row(&place, log_index, log, &mut rows)?;
            log_index += 1;
        }
    }
    Ok(L2Block { number, hash: block.hash(), parent: header.parent_hash, time_millis: block.time_millis(), rows })
}

fn transaction_row(
    [block, position]: &[Cell; 2],
    transaction: &Transaction,
    sender: Address,
    receipt: &Receipt,
    rows: &mut Rows,
) -> Result<(), IndexerError> {
    let deposit = transaction.as_deposit();
    rows.push(
        &TRANSACTIONS,
        [
            block.clone(),
            position.clone(),
            transaction.tx_hash().into(),
            u16::from(transaction.ty()).into(),
            sender.into(),
            transaction.to().into(),
            Cell::int(nonce(transaction, receipt))?,
            transaction.value().into(),
            Cell::int(transaction.gas_limit())?,
            transaction.max_fee_per_gas().into(),
            if deposit.is_some() { Cell::Null } else { transaction.max_priority_fee_per_gas().into() },
            transaction.input().into(),
            deposit.map(|d| d.mint).into(),
            deposit.map(|d| d.source_hash).into(),
        ],
    );
    Ok(())
}

fn receipt_row(
    [block, position]: &[Cell; 2],
    transaction: &Transaction,
    sender: Address,
    receipt: &Receipt,
    (used_before, base_fee): (&mut u64, u64),
    rows: &mut Rows,
) -> Result<(), IndexerError> {
    let cumulative = receipt.cumulative_gas_used();
    let price = if transaction.is_deposit() { 0 } else { transaction.effective_gas_price(Some(base_fee)) };
    let created =
        transaction.to().is_none().then(|| sender.create(nonce(transaction, receipt))).filter(|_| receipt.status());
    rows.push(
        &RECEIPTS,
        [
            block.clone(),
            position.clone(),
            receipt.status().into(),
            Cell::int(cumulative.saturating_sub(*used_before))?,
            Cell::int(cumulative)?,
            price.into(),
            created.into(),
        ],
    );
    *used_before = cumulative;
    Ok(())
}

fn log_row([block, position]: &[Cell; 2], index: u64, log: &Log, rows: &mut Rows) -> Result<(), IndexerError> {
    let topic = |i: usize| Cell::from(log.topics().get(i).copied());
    rows.push(
        &LOGS,
        [
            block.clone(),
            Cell::int(index)?,
            position.clone(),
            log.address.into(),
            topic(0),
            topic(1),
            topic(2),
            topic(3),
            (&log.data.data).into(),
        ],
    );
    Ok(())
}

/// A deposit carries no nonce; its receipt tells the one it was executed with.
fn nonce(transaction: &Transaction, receipt: &Receipt) -> u64 {
    match &receipt.receipt {
        OpReceipt::Deposit(deposit) => deposit.deposit_nonce.unwrap_or_default(),
        OpReceipt::Legacy(_)
        | OpReceipt::Eip2930(_)
        | OpReceipt::Eip1559(_)
        | OpReceipt::Eip7702(_)
        | OpReceipt::PostExec(_) => transaction.nonce(),
    }
}

/// Drops what the RPC adds to logs.
fn receipt(receipt: RpcReceipt) -> Receipt {
    let ReceiptWithBloom { receipt, logs_bloom } = receipt.inner.inner;
    ReceiptWithBloom { receipt: receipt.map_logs(|log| log.inner), logs_bloom }
}
