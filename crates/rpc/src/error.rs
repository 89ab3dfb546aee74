//! JSON-RPC errors: codes of the specification and of execution-apis, texts of geth, which wallets match.

use crate::ports::{CallError, Outcome, ReadError, SubmitError};
use alloy::{
    primitives::{B256, Bytes},
    sol_types::{Panic, Revert, SolError},
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Codes, with where they come from.
pub mod code {
    /// Not JSON (JSON-RPC 2.0).
    pub const PARSE: i64 = -32700;
    /// Not a request (JSON-RPC 2.0).
    pub const INVALID_REQUEST: i64 = -32600;
    /// No such method (JSON-RPC 2.0).
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// Wrong parameters (JSON-RPC 2.0).
    pub const INVALID_PARAMS: i64 = -32602;
    /// The node's fault (JSON-RPC 2.0).
    pub const INTERNAL: i64 = -32603;
    /// Invalid input, geth's default (EIP-1474).
    pub const SERVER: i64 = -32000;
    /// A named thing does not exist (EIP-1474).
    pub const NOT_FOUND: i64 = -32001;
    /// Timed out, or not now (geth; EIP-1474 "resource unavailable").
    pub const UNAVAILABLE: i64 = -32002;
    /// Transaction rejected by policy, or response too large (EIP-1474; geth).
    pub const REJECTED: i64 = -32003;
    /// A limit is exceeded (EIP-1474).
    pub const LIMIT: i64 = -32005;
    /// Execution reverted; `data` is the revert data (execution-apis).
    pub const REVERTED: i64 = 3;
    /// The transaction was taken but not final in time; `data` is its hash (EIP-7966).
    pub const SYNC_TIMEOUT: i64 = 4;
    /// The transaction was taken but cannot run yet; `data` is its hash (EIP-7966).
    pub const SYNC_NOT_READY: i64 = 5;
    /// A nonce is missing before the transaction's; `data` is the expected nonce (EIP-7966).
    pub const SYNC_NONCE_GAP: i64 = 6;
    /// More than this node simulates at a time (execution-apis, `eth_simulateV1`).
    pub const CLIENT_LIMIT: i64 = -38026;
    /// History is pruned (EIP-4444).
    pub const PRUNED: i64 = 4444;
}

/// The `error` member of an answer.
#[derive(Clone, Debug, Serialize, thiserror::Error)]
#[error("{message} (code {code})")]
pub struct RpcError {
    /// One of [`code`].
    pub code: i64,
    /// For people, and for wallets that match words.
    pub message: Cow<'static, str>,
    /// For programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
}

impl RpcError {
    /// An error without data.
    pub fn new(code: i64, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// Adds data; data that does not serialize (none of ours) is left out.
    #[must_use]
    pub fn with_data(mut self, data: &impl Serialize) -> Self {
        self.data = serde_json::value::to_raw_value(data).ok();
        self
    }

    /// Invalid parameters.
    pub fn params(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(code::INVALID_PARAMS, message)
    }

    /// A limit, with what to do about it.
    pub fn limit(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(code::LIMIT, message)
    }

    /// The node's fault: the cause is logged, the caller sees only that it happened.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed inside the node");
        Self::new(code::INTERNAL, "internal error")
    }

    /// The request took too long.
    pub fn timed_out() -> Self {
        Self::new(code::UNAVAILABLE, "request timed out")
    }

    /// A reverted call: `execution reverted`, and the reason where it decodes, with the revert data.
    pub fn reverted(output: &Bytes) -> Self {
        let message = match reason(output) {
            Some(reason) => Cow::Owned(format!("execution reverted: {reason}")),
            None => Cow::Borrowed("execution reverted"),
        };
        Self::new(code::REVERTED, message).with_data(output)
    }

    /// The transaction was taken, but is not final in time (EIP-7966).
    pub(crate) fn sync_timeout(hash: B256, millis: u128) -> Self {
        let message = format!("The transaction was added to the mempool but wasn't processed in {millis} ms");
        Self::new(code::SYNC_TIMEOUT, message).with_data(&hash)
    }
}

impl From<ReadError> for RpcError {
    fn from(error: ReadError) -> Self {
        match &error {
            ReadError::Pruned { .. } => Self::new(code::PRUNED, error.to_string()),
            ReadError::Timeout { .. } => Self::limit(error.to_string()),
            ReadError::Internal(cause) => Self::internal(cause),
        }
    }
}

impl From<CallError> for RpcError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Read(error) => error.into(),
            CallError::Coded { code, message } => Self::new(code, message),
            CallError::IntrinsicGas { .. } | CallError::Refused(_) => Self::new(code::SERVER, error.to_string()),
        }
    }
}

impl From<SubmitError> for RpcError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Invalid(text) => Self::new(code::SERVER, text),
            SubmitError::Rejected(text) => Self::new(code::REJECTED, text),
            SubmitError::Limit(text) => Self::limit(text),
            SubmitError::Unavailable(text) => Self::new(code::UNAVAILABLE, text),
            SubmitError::Upstream { code, message } => Self::new(code, message),
            SubmitError::Internal(cause) => Self::internal(&cause),
        }
    }
}

/// The words of `Error(string)` and `Panic(uint256)`; custom errors have none that this node knows.
fn reason(output: &[u8]) -> Option<String> {
    if let Ok(revert) = Revert::abi_decode(output) {
        return Some(revert.reason);
    }
    let panic = Panic::abi_decode(output).ok()?;
    Some(panic.as_geth_str().into_owned())
}

/// The output of a call that succeeded; the error of one that did not.
pub(crate) fn output_of(outcome: Outcome) -> Result<Bytes, RpcError> {
    match outcome {
        Outcome::Success { output, .. } => Ok(output),
        Outcome::Revert { output, .. } => Err(RpcError::reverted(&output)),
        Outcome::Halt { reason, .. } => Err(RpcError::new(code::SERVER, reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::{U256, hex};

    #[test]
    fn a_revert_has_code_three_the_reason_and_the_data() {
        let data: Bytes = Revert { reason: "no".into() }.abi_encode().into();
        let error = RpcError::reverted(&data);
        assert_eq!((error.code, error.message.as_ref()), (3, "execution reverted: no"));
        assert_eq!(error.data.unwrap().get(), format!("\"0x{}\"", hex::encode(&data)));
    }

    #[test]
    fn an_empty_revert_and_a_custom_error_have_no_made_up_reason() {
        assert_eq!(RpcError::reverted(&Bytes::new()).message, "execution reverted");
        assert_eq!(RpcError::reverted(&hex!("64656164").into()).message, "execution reverted");
    }

    #[test]
    fn a_panic_names_its_code() {
        let data: Bytes = Panic { code: U256::from(0x11) }.abi_encode().into();
        assert_eq!(RpcError::reverted(&data).message, "execution reverted: arithmetic underflow or overflow");
    }

    #[test]
    fn internal_causes_are_not_told() {
        let error: RpcError = ReadError::Internal("secret path".into()).into();
        assert_eq!((error.code, error.message.as_ref()), (code::INTERNAL, "internal error"));
    }
}
