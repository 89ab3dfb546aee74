//! Watches one simulated transaction: its logs in order, among them transfers of ether if the caller asked for those.

use alloy::{
    primitives::{Address, B256, Log, LogData, U256, address, b256},
    sol_types::SolValue,
};
use revm::{
    Inspector,
    context::{ContextTr, JournalTr},
    interpreter::{CallInputs, CallOutcome, CallScheme, CreateInputs, CreateOutcome},
};

/// The address under which a transfer of ether is logged (execution-apis, `eth_simulateV1`).
pub(super) const TRANSFER_LOGGER: Address = address!("0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");
/// `Transfer(address,address,uint256)`.
const TRANSFER: B256 = b256!("0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

/// The logs so far. Those of a frame that fails are forgotten, its own transfer included.
#[derive(Debug, Default)]
pub(crate) struct LogWatch {
    transfers: bool,
    logs: Vec<Log>,
    /// How many logs there were when each open frame began.
    frames: Vec<usize>,
}

impl LogWatch {
    pub(crate) fn new(transfers: bool) -> Self {
        Self { transfers, ..Self::default() }
    }

    pub(crate) fn into_logs(self) -> Vec<Log> {
        self.logs
    }

    fn enter(&mut self) {
        self.frames.push(self.logs.len());
    }

    fn leave(&mut self, succeeded: bool) {
        let before = self.frames.pop().unwrap_or(0);
        if !succeeded {
            self.logs.truncate(before);
        }
    }

    fn transfer(&mut self, from: Address, to: Address, value: U256) {
        if !self.transfers || value.is_zero() {
            return;
        }
        let topics = vec![TRANSFER, from.into_word(), to.into_word()];
        let data = LogData::new_unchecked(topics, value.abi_encode().into());
        self.logs.push(Log { address: TRANSFER_LOGGER, data });
    }
}

impl<CTX: ContextTr> Inspector<CTX> for LogWatch {
    fn log(&mut self, _: &mut CTX, log: Log) {
        self.logs.push(log);
    }

    fn call(&mut self, _: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.enter();
        if inputs.scheme != CallScheme::DelegateCall
            && let Some(value) = inputs.transfer_value()
        {
            self.transfer(inputs.transfer_from(), inputs.transfer_to(), value);
        }
        None
    }

    fn call_end(&mut self, _: &mut CTX, _: &CallInputs, outcome: &mut CallOutcome) {
        self.leave(outcome.result.result.is_ok());
    }

    fn create(&mut self, context: &mut CTX, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.enter();
        if self.transfers
            && !inputs.value().is_zero()
            && let Ok(account) = context.journal_mut().load_account(inputs.caller())
        {
            let nonce = account.data.info.nonce;
            self.transfer(inputs.caller(), inputs.created_address(nonce), inputs.value());
        }
        None
    }

    fn create_end(&mut self, _: &mut CTX, _: &CreateInputs, outcome: &mut CreateOutcome) {
        self.leave(outcome.result.result.is_ok());
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.transfer(contract, target, value);
    }
}
