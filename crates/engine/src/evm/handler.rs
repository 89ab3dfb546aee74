//! Where this chain's rules differ from Ethereum's mainnet: deposits, and who gets the base fee.

use alloy::primitives::U256;
use revm::{
    context::{
        Block, Cfg, ContextTr, JournalTr, Transaction,
        journaled_state::account::JournaledAccountTr,
        result::{EVMError, HaltReason, InvalidTransaction},
    },
    handler::{
        EthFrame, EvmTr, EvmTrError, FrameResult, FrameTr, Handler, pre_execution::validate_account_nonce_and_code,
    },
    interpreter::{InitialAndFloorGas, interpreter::EthInterpreter, interpreter_action::FrameInit},
    primitives::{eip7825, hardfork::SpecId},
    state::EvmState,
};
use std::marker::PhantomData;

/// By whose rules a message executes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A signed transaction: Ethereum's rules, except that the beneficiary (the fee vault) gets the base fee too, unless
    /// `burns`.
    Signed {
        /// Whether the base fee vanishes, as on Ethereum.
        burns: bool,
    },
    /// A deposit: `mint` wei appear first; no nonce, signature or price is checked, no fee is paid.
    Deposit {
        /// Wei created for the sender.
        mint: u128,
    },
    /// A simulated message: the sender may be anyone, with any nonce.
    Call,
    /// A simulated transaction in a simulated block. The sender may be anyone, fees are paid; if `validated` it also has
    /// the nonce and the price that a block asks for.
    Simulated {
        /// Whether the rules for nonce and price hold.
        validated: bool,
    },
}

/// revm's handler with this chain's rules.
#[derive(Debug)]
pub(crate) struct BatonHandler<EVM, ERROR> {
    pub(crate) mode: Mode,
    phantom: PhantomData<fn() -> (EVM, ERROR)>,
}

impl<EVM, ERROR> BatonHandler<EVM, ERROR> {
    pub(crate) const fn new(mode: Mode) -> Self {
        Self { mode, phantom: PhantomData }
    }
}

impl<EVM, ERROR> Handler for BatonHandler<EVM, ERROR>
where
    EVM: EvmTr<
            Context: ContextTr<Journal: JournalTr<State = EvmState>>,
            Frame: FrameTr<FrameResult = FrameResult, FrameInit = FrameInit>,
        >,
    ERROR: EvmTrError<EVM>,
{
    type Evm = EVM;
    type Error = ERROR;
    type HaltReason = HaltReason;

    fn validate_env(&self, evm: &mut EVM) -> Result<(), ERROR> {
        match self.mode {
            Mode::Signed { .. } => {
                let limit = evm.ctx_ref().tx().gas_limit();
                let fork: SpecId = evm.ctx_ref().cfg().spec().into();
                // EIP-7825; checked here because the configuration lifts it for deposits.
                if fork.is_enabled_in(SpecId::OSAKA) && limit > eip7825::TX_GAS_LIMIT_CAP {
                    let cap = eip7825::TX_GAS_LIMIT_CAP;
                    return Err(InvalidTransaction::TxGasLimitGreaterThanCap { gas_limit: limit, cap }.into());
                }
                revm::handler::validation::validate_env(evm.ctx())
            }
            Mode::Simulated { validated: true } => revm::handler::validation::validate_env(evm.ctx()),
            Mode::Deposit { .. } | Mode::Call | Mode::Simulated { validated: false } => Ok(()),
        }
    }

    fn validate_against_state_and_deduct_caller(&self, evm: &mut EVM, _: &mut InitialAndFloorGas) -> Result<(), ERROR> {
        let mint = match self.mode {
            Mode::Signed { .. } => {
                return revm::handler::pre_execution::validate_against_state_and_deduct_caller(evm.ctx());
            }
            Mode::Deposit { mint } => U256::from(mint),
            Mode::Call | Mode::Simulated { .. } => U256::ZERO,
        };
        let (block, tx, cfg, journal, _, _) = evm.ctx().all_mut();
        let mut caller = journal.load_account_with_code_mut(tx.caller())?.data;
        if self.mode == (Mode::Simulated { validated: true }) {
            validate_account_nonce_and_code(&caller.account().info, tx.nonce(), true, false)?;
        }
        if !mint.is_zero() && !caller.incr_balance(mint) {
            return Err(InvalidTransaction::OverflowPaymentInTransaction.into());
        }
        // A deposit's price is zero, so this checks the value alone.
        let balance = revm::handler::pre_execution::calculate_caller_fee(*caller.balance(), tx, block, cfg)?;
        caller.set_balance(balance);
        caller.touch();
        if tx.kind().is_call() {
            caller.bump_nonce();
        }
        Ok(())
    }

    fn reward_beneficiary(&self, evm: &mut EVM, result: &mut FrameResult) -> Result<(), ERROR> {
        let burns = match self.mode {
            Mode::Signed { burns } => burns,
            Mode::Simulated { .. } => false,
            Mode::Deposit { .. } | Mode::Call => return Ok(()),
        };
        let (block, tx, _, journal, _, _) = evm.ctx().all_mut();
        let base_fee = u128::from(block.basefee());
        let burnt = if burns { base_fee } else { 0 };
        let price = tx.effective_gas_price(base_fee).saturating_sub(burnt);
        let fee = U256::from(price) * U256::from(result.gas().used());
        journal.load_account_mut(block.beneficiary())?.incr_balance(fee);
        Ok(())
    }
}

impl<EVM, ERROR> revm::inspector::InspectorHandler for BatonHandler<EVM, ERROR>
where
    EVM: revm::inspector::InspectorEvmTr<
            Context: ContextTr<Journal: JournalTr<State = EvmState>>,
            Frame = EthFrame<EthInterpreter>,
            Inspector: revm::Inspector<<EVM as EvmTr>::Context, EthInterpreter>,
        >,
    ERROR: EvmTrError<EVM>,
{
    type IT = EthInterpreter;
}

/// The error of this chain's EVM over a database.
pub(crate) type EvmError<E> = EVMError<E, InvalidTransaction>;
