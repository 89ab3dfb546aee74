//! An L2 of hand-made final blocks, consistent down to every root, over HTTP.

use alloy::{
    consensus::{
        Eip658Value, Receipt as PlainReceipt, ReceiptWithBloom, Sealed, SignableTransaction as _, Transaction as _,
        TxEip1559, TxReceipt as _, proofs, transaction::Recovered,
    },
    primitives::{Address, B256, Bytes, Log, LogData, TxKind, U256},
    rpc::types::{Block as RpcBlock, BlockTransactions, Log as RpcLog, TransactionInfo, TransactionReceipt},
    signers::{SignerSync as _, local::PrivateKeySigner},
};
use axum::{Json, Router, extract::State, routing::post};
use baton_bindings::{Deployment, Genesis};
use baton_primitives::{
    Block, Deposit, ExtraData, Header, Height, L1Origin, RecoveredBlock, SystemCall, Transaction, View, block_body,
    system_transaction,
};
use eyre::Result;
use op_alloy_consensus::{
    OpDepositReceipt, OpReceipt,
    transaction::{OpDepositInfo, OpTransactionInfo},
};
use op_alloy_rpc_types::{L1BlockInfo, OpTransactionReceipt, Transaction as RpcTransaction};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use url::Url;

const BASE_FEE: u64 = 1_000_000_000;
const GAS_LIMIT: u64 = 60_000_000;

type Receipt = ReceiptWithBloom<OpReceipt>;
type Stored = (RecoveredBlock, Vec<Receipt>);

/// What a block shall hold.
#[derive(Clone, Debug, Default)]
pub struct PlannedBlock {
    /// Its L1 origin.
    pub origin: L1Origin,
    /// Its view; 0 takes the one after the parent's.
    pub view: u64,
    /// Deposits due in it.
    pub deposits: Vec<Deposit>,
    /// Transfers, each with one log.
    pub transfers: usize,
    /// Makes two blocks at one height differ.
    pub salt: u8,
}

/// A served chain; the server ends with the runtime.
#[derive(Clone, Debug)]
pub struct L2 {
    blocks: Arc<Mutex<Vec<Stored>>>,
    chain_id: u64,
    epoch_blocks: u64,
    signer: PrivateKeySigner,
    url: Url,
}

impl L2 {
    /// The genesis over an origin, as the deployment names it.
    pub fn genesis(timestamp: u64, origin_number: u64, origin_hash: B256) -> Genesis {
        let block = genesis_block(timestamp);
        Genesis {
            block_hash: block.hash(),
            state_root: block.header().state_root,
            timestamp,
            origin_number,
            origin_hash,
            supply: U256::from(10).pow(U256::from(20)),
        }
    }

    /// Serves a chain that holds only the genesis of `deployment`.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn serve(deployment: &Deployment) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let chain = Self {
            blocks: Arc::new(Mutex::new(vec![(genesis_block(deployment.genesis.timestamp), Vec::new())])),
            chain_id: deployment.parameters.l2_chain_id,
            epoch_blocks: deployment.parameters.epoch_blocks,
            signer: PrivateKeySigner::from_bytes(&B256::repeat_byte(7))?,
            url: Url::parse(&format!("http://{}", listener.local_addr()?))?,
        };
        let router = Router::new().route("/", post(answer)).with_state(chain.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(chain)
    }

    /// Its HTTP endpoint.
    pub fn url(&self) -> Url {
        self.url.clone()
    }

    /// The sender of the transfers.
    pub fn sender(&self) -> Address {
        self.signer.address()
    }

    /// The newest block.
    pub fn head(&self) -> RecoveredBlock {
        self.lock().last().map_or_else(|| genesis_block(0), |(block, _)| block.clone())
    }

    /// A block by height.
    pub fn block(&self, height: u64) -> Option<RecoveredBlock> {
        self.lock().iter().map(|(block, _)| block).find(|b| b.height() == Height::new(height)).cloned()
    }

    /// Drops the blocks above `height`.
    pub fn rewind(&self, height: u64) {
        self.lock().retain(|(block, _)| block.height() <= Height::new(height));
    }

    /// Changes a stored receipt, so that the block no longer fits its header.
    pub fn corrupt(&self, height: u64) {
        for (_, receipts) in self.lock().iter_mut().filter(|(block, _)| block.height() == Height::new(height)) {
            for receipt in receipts {
                receipt.receipt.as_receipt_mut().cumulative_gas_used += 1;
            }
        }
    }

    /// Appends a block.
    pub fn push(&self, plan: &PlannedBlock) -> RecoveredBlock {
        let mut blocks = self.lock();
        let parent = blocks.last().map_or_else(|| genesis_block(0), |(block, _)| block.clone());
        let nonce = blocks.iter().flat_map(|(b, _)| b.senders()).filter(|s| **s == self.signer.address()).count();
        let stored = self.build(&parent, plan, nonce as u64);
        let block = stored.0.clone();
        blocks.push(stored);
        block
    }

    fn build(&self, parent: &RecoveredBlock, plan: &PlannedBlock, mut nonce: u64) -> Stored {
        let number = parent.header().number + 1;
        let before = parent.system_call().map_or(0, |c| c.deposits);
        let call = SystemCall { origin: plan.origin, deposits: before + plan.deposits.len() as u64 };
        let mut transactions = vec![system_transaction(Height::new(number), &call)];
        transactions.extend(plan.deposits.iter().map(Deposit::transaction));
        for i in 0..plan.transfers {
            let creates = i == 0 && number.is_multiple_of(10);
            transactions.push(self.transfer(nonce, plan.salt, creates));
            nonce += 1;
        }
        let receipts = receipts(&transactions);
        let starts_epoch = number.is_multiple_of(self.epoch_blocks);
        let parent_view = if starts_epoch { 0 } else { parent.extra().map_or(0, |e| e.view.get()) };
        let view = if plan.view == 0 { parent_view + 1 } else { plan.view };
        let time = (parent.time_millis() + 150).max(plan.origin.timestamp * 1000);
        let extra = ExtraData {
            view: View::new(view),
            parent_view: View::new(parent_view),
            millis: u16::try_from(time % 1000).unwrap_or_default(),
        };
        let header = Header {
            parent_hash: parent.hash(),
            number,
            timestamp: time / 1000,
            extra_data: extra.to_bytes(),
            gas_limit: GAS_LIMIT,
            gas_used: receipts.last().map_or(0, |r| r.cumulative_gas_used()),
            base_fee_per_gas: Some(BASE_FEE),
            state_root: B256::from(U256::from(number) + (U256::from(plan.salt) << 64)),
            transactions_root: proofs::calculate_transaction_root(&transactions),
            receipts_root: proofs::calculate_receipt_root(&receipts),
            ..genesis_block(0).header().clone()
        };
        let senders = transactions.iter().map(|t| t.as_deposit().map_or(self.signer.address(), |d| d.from)).collect();
        let block = Block { header, body: block_body(transactions) };
        (RecoveredBlock::new_unchecked(block.header.hash_slow(), block, senders), receipts)
    }

    fn transfer(&self, nonce: u64, salt: u8, creates: bool) -> Transaction {
        let transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce,
            gas_limit: 100_000,
            max_fee_per_gas: u128::from(BASE_FEE) * 2,
            max_priority_fee_per_gas: 1_000,
            to: if creates { TxKind::Create } else { TxKind::Call(Address::repeat_byte(salt)) },
            value: U256::from(nonce),
            access_list: Default::default(),
            input: if creates { Bytes::from_static(&[0x60, 0x00]) } else { Bytes::new() },
        };
        let hash = transaction.signature_hash();
        // Signing a hash with a key in memory cannot fail.
        let signature = self.signer.sign_hash_sync(&hash).unwrap_or_else(|_| unreachable!("a key in memory signs"));
        transaction.into_signed(signature).into()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Stored>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn genesis_block(timestamp: u64) -> RecoveredBlock {
    let header = Header {
        timestamp,
        gas_limit: GAS_LIMIT,
        base_fee_per_gas: Some(BASE_FEE),
        extra_data: ExtraData::default().to_bytes(),
        withdrawals_root: Some(alloy::consensus::EMPTY_ROOT_HASH),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(B256::repeat_byte(0xe3)),
        ..Header::default()
    };
    let block = Block { header, body: block_body(Vec::new()) };
    RecoveredBlock::new_unchecked(block.header.hash_slow(), block, Vec::new())
}

fn receipts(transactions: &[Transaction]) -> Vec<Receipt> {
    let mut cumulative_gas_used = 0;
    let mut all = Vec::with_capacity(transactions.len());
    for (index, transaction) in transactions.iter().enumerate() {
        cumulative_gas_used += 21_000;
        // Every fifth transaction fails.
        let status = Eip658Value::Eip658(index % 5 != 4);
        let log = Log {
            address: Address::repeat_byte(0xaa),
            data: LogData::new_unchecked(vec![B256::repeat_byte(1), B256::repeat_byte(2)], Bytes::from_static(b"log")),
        };
        let logs = if transaction.is_deposit() { Vec::new() } else { vec![log] };
        let inner = PlainReceipt { status, cumulative_gas_used, logs };
        let receipt = if transaction.is_deposit() {
            OpReceipt::Deposit(OpDepositReceipt { inner, deposit_nonce: Some(3), deposit_receipt_version: Some(1) })
        } else {
            OpReceipt::Eip1559(inner)
        };
        all.push(ReceiptWithBloom { logs_bloom: receipt.bloom(), receipt });
    }
    all
}

/// The four methods an indexer asks.
async fn answer(State(chain): State<L2>, Json(request): Json<Value>) -> Json<Value> {
    let first = request["params"][0].clone();
    let full = request["params"][1].as_bool().unwrap_or_default();
    let result = match request["method"].as_str().unwrap_or_default() {
        "eth_chainId" => json!(format!("{:#x}", chain.chain_id)),
        "eth_blockNumber" => json!(format!("{:#x}", chain.head().header().number)),
        "eth_getBlockByNumber" => chain.find(&first).map_or(Value::Null, |(b, _)| json!(rpc_block(&b, full))),
        "eth_getBlockReceipts" => chain.find(&first).map_or(Value::Null, |(b, r)| json!(rpc_receipts(&b, &r))),
        other => {
            let error = json!({ "code": -32601, "message": format!("the method {other} does not exist") });
            return Json(json!({ "jsonrpc": "2.0", "id": request["id"], "error": error }));
        }
    };
    Json(json!({ "jsonrpc": "2.0", "id": request["id"], "result": result }))
}

impl L2 {
    /// By number, tag, hash, or an object that names one of them.
    fn find(&self, id: &Value) -> Option<Stored> {
        let id = id.get("blockHash").or_else(|| id.get("blockNumber")).unwrap_or(id).as_str()?.to_owned();
        let blocks = self.lock();
        let found = match id.as_str() {
            "latest" => blocks.last(),
            "finalized" | "safe" | "earliest" => blocks.first(),
            hash if hash.len() == 66 => blocks.iter().find(|(b, _)| format!("{:#x}", b.hash()) == hash),
            number => {
                let number = u64::from_str_radix(number.trim_start_matches("0x"), 16).ok()?;
                blocks.iter().find(|(b, _)| b.header().number == number)
            }
        };
        found.cloned()
    }
}

fn rpc_block(block: &RecoveredBlock, full: bool) -> RpcBlock<RpcTransaction> {
    let hashes = || BlockTransactions::Hashes(block.transactions().iter().map(Transaction::tx_hash).collect());
    let transaction = |(index, (transaction, sender)): (usize, (&Transaction, &Address))| {
        let inner = TransactionInfo {
            hash: Some(transaction.tx_hash()),
            index: Some(index as u64),
            block_hash: Some(block.hash()),
            block_number: Some(block.header().number),
            base_fee: Some(BASE_FEE),
            block_timestamp: Some(block.header().timestamp),
        };
        let info = OpTransactionInfo { inner, deposit_meta: OpDepositInfo::default() };
        RpcTransaction::from_transaction(Recovered::new_unchecked(transaction.clone(), *sender), info)
    };
    let all = block.transactions().iter().zip(block.senders()).enumerate();
    RpcBlock {
        header: alloy::rpc::types::Header::from_consensus(
            Sealed::new_unchecked(block.header().clone(), block.hash()),
            None,
            None,
        ),
        uncles: Vec::new(),
        transactions: if full { BlockTransactions::Full(all.map(transaction).collect()) } else { hashes() },
        withdrawals: Some(Default::default()),
    }
}

fn rpc_receipts(block: &RecoveredBlock, receipts: &[Receipt]) -> Vec<OpTransactionReceipt> {
    let parts = block.transactions().iter().zip(block.senders()).zip(receipts);
    let mut all = Vec::with_capacity(receipts.len());
    for (index, ((transaction, from), receipt)) in parts.enumerate() {
        let log = |log: Log| RpcLog {
            inner: log,
            block_hash: Some(block.hash()),
            block_number: Some(block.header().number),
            block_timestamp: None,
            transaction_hash: Some(transaction.tx_hash()),
            transaction_index: Some(index as u64),
            log_index: Some(0),
            removed: false,
        };
        let ReceiptWithBloom { receipt, logs_bloom } = receipt.clone();
        all.push(OpTransactionReceipt {
            inner: TransactionReceipt {
                inner: ReceiptWithBloom { receipt: receipt.map_logs(log), logs_bloom },
                transaction_hash: transaction.tx_hash(),
                transaction_index: Some(index as u64),
                block_hash: Some(block.hash()),
                block_number: Some(block.header().number),
                gas_used: 21_000,
                effective_gas_price: transaction.effective_gas_price(Some(BASE_FEE)),
                blob_gas_used: None,
                blob_gas_price: None,
                from: *from,
                to: transaction.to(),
                contract_address: None,
            },
            l1_block_info: L1BlockInfo::default(),
            op_gas_refund: None,
        });
    }
    all
}
