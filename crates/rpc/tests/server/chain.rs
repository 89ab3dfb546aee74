//! A chain in memory: blocks are final as soon as they are made. Calls answer by the first byte of their data.

use alloy::{
    consensus::{Eip658Value, Receipt as Plain, SignableTransaction, Transaction as _, TxEip1559},
    eips::eip2718::{Decodable2718, Encodable2718},
    network::TxSignerSync,
    primitives::{Address, B256, Bytes, Log, TxKind, U256, logs_bloom},
    rpc::types::{
        AccessList, EIP1186AccountProofResponse, Filter,
        trace::geth::{GethDebugTracingOptions, GethTrace, TraceResult},
    },
    signers::local::PrivateKeySigner,
    sol_types::{Revert, SolError},
};
use baton_primitives::{
    Block, Epoch, FinalBlock, Header, Height, L1Origin, RecoveredBlock, SystemCall, Transaction, block_body,
    system_transaction,
};
use baton_rpc::{
    ports::{
        Account, Call, CallError, Chain, Estimate, Execute, ExecutedBlock, Heads, Outcome, ReadError, Receipt, Rollup,
        SimulatedBlock, Simulation, Submit, SubmitError, Waiting,
    },
    types::{BatchInfo, LeaderSchedule, SyncStatus},
};
use op_alloy_consensus::OpDepositReceipt;
use parking_lot::Mutex;
use std::{
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::broadcast;

pub(crate) const CHAIN_ID: u64 = 13_370;
/// Emits a log whenever a transaction goes there.
pub(crate) const LOGGER: Address = Address::repeat_byte(0x1f);

pub(crate) struct TestChain {
    blocks: Mutex<Vec<ExecutedBlock>>,
    waiting: Mutex<Vec<Waiting>>,
    /// Makes everything that waits final just before the next question whether something waits.
    pub(crate) seals_before_waiting: AtomicBool,
    safe: Mutex<Height>,
    heads: broadcast::Sender<ExecutedBlock>,
    pending: broadcast::Sender<B256>,
    pub(crate) status: Mutex<SyncStatus>,
}

pub(crate) fn signer() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(7)).unwrap()
}

/// A signed transfer.
pub(crate) fn transfer(nonce: u64, to: Address) -> Bytes {
    let mut transaction = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 1_000,
        max_priority_fee_per_gas: 3,
        to: TxKind::Call(to),
        value: U256::from(5),
        ..TxEip1559::default()
    };
    let signature = signer().sign_transaction_sync(&mut transaction).unwrap();
    Transaction::from(transaction.into_signed(signature)).encoded_2718().into()
}

impl TestChain {
    pub(crate) fn new() -> Self {
        let chain = Self {
            blocks: Mutex::default(),
            waiting: Mutex::default(),
            seals_before_waiting: AtomicBool::default(),
            safe: Mutex::default(),
            heads: broadcast::Sender::new(64),
            pending: broadcast::Sender::new(64),
            status: Mutex::new(SyncStatus { synced: true, role: "sequencer".into(), ..SyncStatus::default() }),
        };
        let block =
            Block { header: Header { base_fee_per_gas: Some(7), ..Header::default() }, body: block_body(Vec::new()) };
        let block = Arc::new(RecoveredBlock::recover(block).unwrap());
        chain.blocks.lock().push(ExecutedBlock { block, receipts: Arc::default() });
        chain
    }

    /// Makes everything that waits final.
    pub(crate) fn seal(&self) -> ExecutedBlock {
        let ready = std::mem::take(&mut *self.waiting.lock());
        let mut blocks = self.blocks.lock();
        let parent = blocks.last().unwrap().block.clone();
        let height = parent.height().next();
        let origin = L1Origin { number: height.get(), ..L1Origin::default() };
        let mut transactions = vec![system_transaction(height, &SystemCall { origin, deposits: 0 })];
        transactions.extend(ready.into_iter().map(|w| w.transaction));
        let mut receipts = Vec::new();
        let mut bloom = alloy::primitives::Bloom::ZERO;
        for (index, transaction) in transactions.iter().enumerate() {
            let to = transaction.to().unwrap_or_default();
            let logs = if to == LOGGER {
                vec![Log::new_unchecked(LOGGER, vec![B256::repeat_byte(9)], Bytes::from_static(b"log"))]
            } else {
                Vec::new()
            };
            let logs_bloom = logs_bloom(&logs);
            bloom |= logs_bloom;
            let cumulative_gas_used = 21_000 * (index as u64 + 1);
            let inner = Plain { status: Eip658Value::Eip658(true), cumulative_gas_used, logs };
            receipts.push(if transaction.is_deposit() {
                let receipt =
                    OpDepositReceipt { inner, deposit_nonce: Some(height.get() - 1), deposit_receipt_version: Some(1) };
                Receipt::Deposit(receipt)
            } else {
                Receipt::Eip1559(inner)
            });
        }
        let header = Header {
            number: height.get(),
            parent_hash: parent.hash(),
            timestamp: 1_000 + height.get(),
            gas_limit: 30_000_000,
            gas_used: 21_000 * transactions.len() as u64,
            base_fee_per_gas: Some(7),
            logs_bloom: bloom,
            ..Header::default()
        };
        let block = Arc::new(RecoveredBlock::recover(Block { header, body: block_body(transactions) }).unwrap());
        let executed = ExecutedBlock { block, receipts: Arc::new(receipts) };
        blocks.push(executed.clone());
        drop(blocks);
        let _ = self.heads.send(executed.clone());
        executed
    }

    pub(crate) fn post(&self, height: u64) {
        *self.safe.lock() = Height::new(height);
    }

    fn at(&self, height: Height) -> Option<ExecutedBlock> {
        self.blocks.lock().get(usize::try_from(height.get()).unwrap()).cloned()
    }
}

impl Chain for TestChain {
    fn chain_id(&self) -> u64 {
        CHAIN_ID
    }

    fn heads(&self) -> Heads {
        let latest = self.blocks.lock().last().unwrap().block.height();
        Heads { latest, safe: *self.safe.lock(), finalized: Height::ZERO }
    }

    fn height_of(&self, hash: B256) -> Result<Option<Height>, ReadError> {
        Ok(self.blocks.lock().iter().find(|b| b.block.hash() == hash).map(|b| b.block.height()))
    }

    fn header(&self, height: Height) -> Result<Option<(B256, Header)>, ReadError> {
        Ok(self.at(height).map(|b| (b.block.hash(), b.block.header().clone())))
    }

    fn block(&self, height: Height) -> Result<Option<Arc<RecoveredBlock>>, ReadError> {
        Ok(self.at(height).map(|b| b.block))
    }

    fn executed(&self, height: Height) -> Result<Option<ExecutedBlock>, ReadError> {
        Ok(self.at(height))
    }

    fn log_heights(
        &self,
        _: &Filter,
        heights: RangeInclusive<u64>,
    ) -> Result<impl Iterator<Item = Result<Height, ReadError>>, ReadError> {
        Ok(heights.map(|height| Ok(Height::new(height))))
    }

    fn address_heights(
        &self,
        _: Address,
        heights: RangeInclusive<u64>,
        newest_first: bool,
    ) -> Result<impl Iterator<Item = Result<Height, ReadError>>, ReadError> {
        let mut heights: Vec<_> = heights.map(|height| Ok(Height::new(height))).collect();
        if newest_first {
            heights.reverse();
        }
        Ok(heights.into_iter())
    }

    fn locate(&self, transaction: B256) -> Result<Option<(Height, usize)>, ReadError> {
        let blocks = self.blocks.lock();
        Ok(blocks.iter().find_map(|b| {
            let index = b.block.transactions().iter().position(|t| t.tx_hash() == transaction)?;
            Some((b.block.height(), index))
        }))
    }

    fn account(&self, at: Height, address: Address) -> Result<Account, ReadError> {
        if address == Address::repeat_byte(0xdd) {
            return Err(ReadError::Pruned { height: at.get(), oldest: 100 });
        }
        let blocks = self.blocks.lock();
        let upto = blocks.iter().take_while(|b| b.block.height() <= at);
        let nonce = upto.flat_map(|b| b.block.senders().iter()).filter(|s| **s == address).count() as u64;
        Ok(Account { balance: U256::from(1_000_000), nonce })
    }

    fn code(&self, _: Height, address: Address) -> Result<Bytes, ReadError> {
        Ok(if address == LOGGER { Bytes::from_static(&[0xfe]) } else { Bytes::new() })
    }

    fn storage(&self, at: Height, _: Address, slot: U256) -> Result<B256, ReadError> {
        Ok(B256::from(slot + U256::from(at.get())))
    }

    fn state_history(&self) -> (Height, Option<u64>) {
        (Height::ZERO, None)
    }

    fn next_base_fee(&self) -> u64 {
        7
    }

    fn subscribe(&self) -> broadcast::Receiver<ExecutedBlock> {
        self.heads.subscribe()
    }

    fn final_block(&self, height: Height) -> Result<Option<FinalBlock>, ReadError> {
        let certificate = height.get().is_multiple_of(2).then(|| Bytes::from_static(b"certificate"));
        Ok(self.at(height).map(|b| FinalBlock { block: b.block, certificate }))
    }
}

impl Execute for TestChain {
    fn call(&self, call: &Call) -> Result<Outcome, CallError> {
        let input = call.request.input.input().cloned().unwrap_or_default();
        let gas = call.request.gas.unwrap();
        Ok(match input.first() {
            None if gas < 21_000 => return Err(CallError::IntrinsicGas { have: gas, want: 21_000 }),
            None => Outcome::Success { output: Bytes::new(), gas_used: 21_000, gas_refunded: 0 },
            Some(1) => Outcome::Revert { output: Revert { reason: "no".into() }.abi_encode().into(), gas_used: 22_000 },
            Some(2) => Outcome::Halt { out_of_gas: false, reason: "invalid opcode: INVALID".into(), gas_used: gas },
            Some(3) => {
                std::thread::sleep(Duration::from_millis(300));
                Outcome::Success { output: input, gas_used: 30_000, gas_refunded: 0 }
            }
            // Needs more gas than it uses.
            Some(4) if gas < 80_000 => Outcome::Halt { out_of_gas: true, reason: "out of gas".into(), gas_used: gas },
            Some(5) => panic!("a bug in the executor"),
            _ => Outcome::Success { output: input, gas_used: 50_000, gas_refunded: 0 },
        })
    }

    fn estimate_gas(&self, call: &Call) -> Result<Estimate, CallError> {
        let allowance = call.request.gas.unwrap();
        Ok(match self.call(call) {
            Ok(Outcome::Success { gas_used, .. }) => Estimate::Enough(gas_used),
            Ok(outcome) => Estimate::Fails { allowance, outcome },
            Err(CallError::IntrinsicGas { .. }) => Estimate::Never { allowance },
            Err(error) => return Err(error),
        })
    }

    fn simulate(&self, simulation: &Simulation) -> Result<Vec<SimulatedBlock>, CallError> {
        let Some(block) = simulation.blocks.first().filter(|b| b.calls.is_empty()) else {
            return Err(CallError::Coded { code: -38_010, message: "this chain simulates no calls".into() });
        };
        assert!(block.state_overrides.is_none());
        let block = self.at(simulation.at).unwrap().block;
        Ok(vec![SimulatedBlock { block: RecoveredBlock::clone(&block), receipts: Vec::new(), calls: Vec::new() }])
    }

    fn access_list(&self, call: &Call) -> Result<(AccessList, Outcome), CallError> {
        Ok((AccessList::default(), self.call(call)?))
    }

    fn trace_call(&self, _: &Call, _: &GethDebugTracingOptions) -> Result<GethTrace, CallError> {
        Err(CallError::Refused("this chain traces nothing".into()))
    }

    fn trace_block(
        &self,
        _: &RecoveredBlock,
        _: Option<usize>,
        _: &GethDebugTracingOptions,
    ) -> Result<Vec<TraceResult>, CallError> {
        Err(CallError::Refused("this chain traces nothing".into()))
    }

    fn proof(&self, _: Height, address: Address, _: &[U256]) -> Result<EIP1186AccountProofResponse, ReadError> {
        Ok(EIP1186AccountProofResponse { address, ..EIP1186AccountProofResponse::default() })
    }
}

impl Submit for TestChain {
    async fn submit(&self, raw: Bytes) -> Result<B256, SubmitError> {
        let transaction = Transaction::decode_2718_exact(&raw).map_err(|e| SubmitError::Invalid(e.to_string()))?;
        let hash = transaction.tx_hash();
        let sender = signer().address();
        let next = self.account(self.heads().latest, sender).unwrap().nonce;
        let mut waiting = self.waiting.lock();
        if waiting.iter().any(|w| w.transaction.tx_hash() == hash) {
            return Err(SubmitError::Invalid("already known".into()));
        }
        if transaction.nonce() < next {
            return Err(SubmitError::Invalid(format!(
                "nonce too low: next nonce {next}, tx nonce {}",
                transaction.nonce()
            )));
        }
        let ready = transaction.nonce() == next + waiting.len() as u64;
        waiting.push(Waiting { transaction, sender, ready });
        drop(waiting);
        let _ = self.pending.send(hash);
        Ok(hash)
    }

    async fn submit_batch(&self, raw: Vec<Bytes>) -> Vec<Result<B256, SubmitError>> {
        let mut results = Vec::new();
        for raw in raw {
            results.push(self.submit(raw).await);
        }
        results
    }

    fn next_nonce(&self, sender: Address) -> Option<u64> {
        let ready = self.waiting.lock().iter().filter(|w| w.ready && w.sender == sender).count() as u64;
        (ready > 0).then(|| self.account(self.heads().latest, sender).unwrap().nonce + ready)
    }

    fn waiting(&self, hash: B256) -> Option<Waiting> {
        if self.seals_before_waiting.swap(false, Ordering::Relaxed) {
            self.seal();
        }
        self.waiting.lock().iter().find(|w| w.transaction.tx_hash() == hash).cloned()
    }

    fn counts(&self) -> (usize, usize) {
        let waiting = self.waiting.lock();
        let ready = waiting.iter().filter(|w| w.ready).count();
        (ready, waiting.len() - ready)
    }

    fn content(&self, of: Option<Address>) -> Vec<Waiting> {
        self.waiting.lock().iter().filter(|w| of.is_none_or(|of| of == w.sender)).cloned().collect()
    }

    fn subscribe_pending(&self) -> broadcast::Receiver<B256> {
        self.pending.subscribe()
    }

    fn suggested_tip(&self) -> u128 {
        2
    }

    fn rejection(&self, hash: B256) -> Option<String> {
        (hash == B256::repeat_byte(0xbb)).then(|| "replaced".to_owned())
    }
}

impl Rollup for TestChain {
    fn sync_status(&self) -> SyncStatus {
        self.status.lock().clone()
    }

    fn leaders(&self, _: Option<Epoch>) -> Result<Option<LeaderSchedule>, ReadError> {
        Ok(None)
    }

    fn batch_of(&self, _: Height) -> Result<Option<BatchInfo>, ReadError> {
        Ok(None)
    }

    fn blob(&self, versioned_hash: B256) -> Result<Option<Bytes>, ReadError> {
        Ok((versioned_hash == B256::repeat_byte(1)).then(|| Bytes::from(vec![0; 131_072])))
    }

    fn peers(&self) -> usize {
        3
    }
}

impl TestChain {
    pub(crate) async fn submit_transfer(&self, nonce: u64) {
        self.submit(transfer(nonce, LOGGER)).await.unwrap();
    }

    pub(crate) fn subscribe_to_pending(&self) -> broadcast::Receiver<B256> {
        self.pending.subscribe()
    }
}
