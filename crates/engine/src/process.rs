//! Executing one block: transaction after transaction in one journal, then its changes.

use crate::{
    changes::{Account, AccountChange, Changes, SlotChange, hash_slot},
    error::{InvalidTransaction, StoreError},
    evm::{self, Evm, Failure, Mode},
    executed::Receipt,
    state::{Recorder, StateView},
    trie::{AccountLeaf, Trie},
};
use alloy::{
    consensus::{Eip658Value, Eip2718EncodableReceipt, Receipt as Body, Transaction as _, TxReceipt},
    eips::eip2935,
    primitives::{Address, B256, Bloom, Bytes, Log, U256, keccak256, logs_bloom, map::HashMap},
};
use baton_primitives::{Header, Transaction, predeploys};
use op_alloy_consensus::OpDepositReceipt;
use revm::{
    SystemCallEvm,
    context::{JournalTr, journaled_state::account::JournaledAccountTr},
    primitives::KECCAK_EMPTY,
};

/// A block in the making: what its transactions have done so far.
pub(crate) struct Process {
    evm: Evm<Recorder>,
    /// Whether the base fee of signed transactions vanishes; never on this chain.
    burns: bool,
    base_fee: u64,
    gas_limit: u64,
    pub(crate) gas_used: u64,
    pub(crate) receipts: Vec<Receipt>,
    encoded_receipts: Vec<Vec<u8>>,
    pub(crate) bloom: Bloom,
}

/// What all transactions of a block changed.
pub(crate) struct Processed {
    pub(crate) changes: Changes,
    pub(crate) swept: U256,
    pub(crate) withdrawals_root: B256,
    /// The state's trie before the block.
    pub(crate) trie: Trie<AccountLeaf>,
    /// The receipts as the receipts trie holds them.
    pub(crate) encoded_receipts: Vec<Vec<u8>>,
}

impl Process {
    /// Starts the block with `header`'s environment on top of `parent`; the history contract records the parent first.
    pub(crate) fn start(parent: StateView, chain_id: u64, header: &Header) -> Result<Self, StoreError> {
        let parent_hash = parent.hash();
        let evm = evm::evm(Recorder::new(parent), chain_id, evm::block_env(header));
        let mut process = Self::over(evm, header, false);
        // EIP-2935. Without the contract this does nothing.
        process.system(eip2935::HISTORY_STORAGE_ADDRESS, parent_hash.0.into())?;
        Ok(process)
    }

    /// A block in this EVM before anything is executed.
    pub(crate) fn over(evm: Evm<Recorder>, header: &Header, burns: bool) -> Self {
        Self {
            evm,
            burns,
            base_fee: header.base_fee_per_gas.unwrap_or(0),
            gas_limit: header.gas_limit,
            gas_used: 0,
            receipts: Vec::new(),
            encoded_receipts: Vec::new(),
            bloom: Bloom::ZERO,
        }
    }

    /// A call by the system to a contract; it does nothing where there is none. It pays nothing and may fail.
    pub(crate) fn system(&mut self, contract: Address, input: Bytes) -> Result<(), StoreError> {
        match self.evm.system_call_one(contract, input).map_err(|error| evm::failure(error, 0)) {
            Ok(_) | Err(Failure::Invalid(_)) => Ok(()),
            Err(Failure::Store(error)) => Err(error),
        }
    }

    /// Credits an account outside any transaction.
    pub(crate) fn credit(&mut self, address: Address, wei: U256) -> Result<(), StoreError> {
        let journal = &mut self.evm.ctx.journaled_state;
        let mut account = journal.load_account_mut(address)?;
        account.incr_balance(wei);
        account.touch();
        journal.commit_tx();
        Ok(())
    }

    /// Reads the accounts that these transactions name, so that their execution does not wait for one after the other.
    pub(crate) fn warm<'a>(
        &mut self,
        transactions: impl Iterator<Item = (&'a Transaction, Address)>,
    ) -> Result<(), StoreError> {
        let named = transactions.flat_map(|(transaction, sender)| [Some(sender), transaction.to()]).flatten();
        let height = self.evm.ctx.block.number.saturating_to();
        self.evm.ctx.journaled_state.database.warm(named, height)
    }

    /// Gas that is left for further transactions.
    pub(crate) const fn gas_left(&self) -> u64 {
        self.gas_limit - self.gas_used
    }

    /// Executes the next transaction. An invalid one leaves no trace.
    pub(crate) fn transaction(&mut self, transaction: &Transaction, sender: Address) -> Result<(), Failure> {
        let (limit, most) = (transaction.gas_limit(), self.gas_left());
        if limit > most {
            return Err(Failure::Invalid(InvalidTransaction::GasLimit { limit, most }));
        }
        let (env, mode) = evm::transaction_env(transaction, sender).map_err(Failure::Invalid)?;
        let Mode::Deposit { mint } = mode else {
            let mode = Mode::Signed { burns: self.burns };
            let result = evm::run(&mut self.evm, env, mode).map_err(|error| evm::failure(error, self.base_fee))?;
            self.receipt(transaction, result.is_success(), result.tx_gas_used(), result.into_logs(), None);
            return Ok(());
        };
        let nonce = self.nonce(sender).map_err(Failure::Store)?;
        match evm::run(&mut self.evm, env, mode).map_err(|error| evm::failure(error, self.base_fee)) {
            Ok(result) => {
                let (success, gas) = (result.is_success(), result.tx_gas_used());
                self.receipt(transaction, success, gas, result.into_logs(), Some(nonce));
            }
            // A deposit cannot be left out: it mints, counts its nonce and uses all its gas.
            Err(Failure::Invalid(_)) => {
                self.failed_deposit(sender, mint).map_err(Failure::Store)?;
                self.receipt(transaction, false, limit, Vec::new(), Some(nonce));
            }
            Err(Failure::Store(error)) => return Err(Failure::Store(error)),
        }
        Ok(())
    }

    fn nonce(&mut self, address: Address) -> Result<u64, StoreError> {
        let journal = &mut self.evm.ctx.journaled_state;
        let nonce = journal.load_account(address)?.info.nonce;
        // Forgets that the account was touched: the transaction itself must find it cold.
        journal.discard_tx();
        Ok(nonce)
    }

    fn failed_deposit(&mut self, sender: Address, mint: u128) -> Result<(), StoreError> {
        let journal = &mut self.evm.ctx.journaled_state;
        let mut account = journal.load_account_mut(sender)?;
        account.incr_balance(U256::from(mint));
        account.touch();
        account.bump_nonce();
        journal.commit_tx();
        Ok(())
    }

    fn receipt(&mut self, transaction: &Transaction, success: bool, gas: u64, logs: Vec<Log>, nonce: Option<u64>) {
        self.gas_used += gas;
        let body = Body { status: Eip658Value::Eip658(success), cumulative_gas_used: self.gas_used, logs };
        let receipt = match transaction {
            Transaction::Legacy(_) => Receipt::Legacy(body),
            Transaction::Eip2930(_) => Receipt::Eip2930(body),
            Transaction::Eip1559(_) => Receipt::Eip1559(body),
            Transaction::Eip7702(_) => Receipt::Eip7702(body),
            Transaction::PostExec(_) => Receipt::PostExec(body),
            Transaction::Deposit(_) => Receipt::Deposit(OpDepositReceipt {
                inner: body,
                deposit_nonce: nonce,
                deposit_receipt_version: Some(1),
            }),
        };
        let bloom = logs_bloom(receipt.logs());
        self.bloom |= bloom;
        let mut encoded = Vec::with_capacity(receipt.eip2718_encoded_length_with_bloom(&bloom));
        receipt.eip2718_encode_with_bloom(&bloom, &mut encoded);
        self.encoded_receipts.push(encoded);
        self.receipts.push(receipt);
    }

    /// Ends the block: empties the fee vault if `sweep`, and collects the changes.
    pub(crate) fn finish(&mut self, sweep: bool) -> Result<Processed, StoreError> {
        let swept = if sweep { self.sweep()? } else { U256::ZERO };
        let state = self.evm.ctx.journaled_state.finalize();
        let recorder = &self.evm.ctx.journaled_state.database;
        let mut changes = Changes::default();
        changes.accounts.reserve(state.len());
        for (address, account) in state {
            if !account.is_touched() {
                continue;
            }
            let (hashed, before) = match recorder.accounts.get(&address) {
                Some(known) => (known.hashed, known.before),
                None => (keccak256(address), None),
            };
            // An account destroyed in the last transaction that touched it keeps its old contents until it is loaded again.
            let gone = account.is_selfdestructed_locally() || account.info.is_empty();
            let after = (!gone).then(|| Account::of(&account.info));
            let mut slots = HashMap::default();
            if !gone {
                for (slot, value) in account.storage {
                    let before = recorder.slots.get(&(address, slot)).copied().unwrap_or_default();
                    let after = value.present_value;
                    if before != after {
                        slots.insert(slot, SlotChange { hashed: hash_slot(slot), before, after });
                    }
                }
            }
            if before == after && slots.is_empty() {
                continue;
            }
            if let (Some(account_after), Some(code)) = (after, account.info.code)
                && before.is_none_or(|before| before.code_hash != account_after.code_hash)
                && account_after.code_hash != KECCAK_EMPTY
            {
                changes.codes.insert(account_after.code_hash, code);
            }
            changes.accounts.insert(address, AccountChange { hashed, before, after, slots });
        }
        let root_before = recorder.view.outcome().withdrawals_root;
        let withdrawals_root = changes
            .accounts
            .get(&predeploys::MESSAGE_PASSER)
            .and_then(|change| change.slots.get(&U256::ZERO))
            .map_or(root_before, |change| B256::from(change.after));
        let encoded_receipts = std::mem::take(&mut self.encoded_receipts);
        let trie = recorder.trie.clone();
        Ok(Processed { changes, swept, withdrawals_root, trie, encoded_receipts })
    }

    fn sweep(&mut self) -> Result<U256, StoreError> {
        let journal = &mut self.evm.ctx.journaled_state;
        let mut vault = journal.load_account_mut(predeploys::FEE_VAULT)?;
        let swept = *vault.balance();
        if !swept.is_zero() {
            vault.set_balance(U256::ZERO);
            vault.touch();
        }
        journal.commit_tx();
        Ok(swept)
    }
}
