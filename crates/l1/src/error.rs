//! What can go wrong with L1, classed by what the caller must do.

use alloy::primitives::{Address, B256, Bytes};
use std::time::Duration;

/// What a caller must do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Try again later: L1 is out of reach, late or contradicts itself for a moment.
    Retry,
    /// Start over from a known state: what was known of L1 no longer holds.
    Reset,
    /// Stop: the configuration is wrong.
    Fatal,
}

/// An error of this crate.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The configuration names no endpoint.
    #[error("no L1 endpoint is configured: name at least one http(s):// or ws(s):// URL")]
    NoEndpoint,
    /// An endpoint's URL has a scheme that is not spoken here.
    #[error("L1 endpoint {endpoint}: scheme {scheme} is not one of http, https, ws, wss")]
    Scheme {
        /// The endpoint, without credentials.
        endpoint: String,
        /// The scheme found.
        scheme: String,
    },
    /// An endpoint serves another chain.
    #[error(
        "L1 endpoint {endpoint} serves chain {actual}, the deployment is on chain {expected}: use an endpoint of that chain"
    )]
    WrongChain {
        /// The endpoint, without credentials.
        endpoint: String,
        /// Its chain id.
        actual: u64,
        /// The chain id of the deployment.
        expected: u64,
    },
    /// No code at the address of a contract.
    #[error("L1 chain {chain} has no contract {name} at {address}: the deployment file does not belong to this chain")]
    NotDeployed {
        /// The chain id.
        chain: u64,
        /// The contract's name.
        name: &'static str,
        /// Its address.
        address: Address,
    },
    /// An endpoint did not answer in time.
    #[error("L1 endpoint {endpoint}: no answer to {method} within {after:?}")]
    Timeout {
        /// The endpoint, without credentials.
        endpoint: String,
        /// The JSON-RPC method.
        method: String,
        /// The time waited.
        after: Duration,
    },
    /// An endpoint could not be reached, refused, or answered with something that is not JSON-RPC.
    #[error("L1 endpoint {endpoint}: {method} failed: {reason}")]
    Transport {
        /// The endpoint, without credentials.
        endpoint: String,
        /// The JSON-RPC method.
        method: String,
        /// What the transport says.
        reason: String,
    },
    /// An endpoint answered with a JSON-RPC error.
    #[error("L1 endpoint {endpoint}: {method} answered with error {code}: {message}")]
    Rpc {
        /// The endpoint, without credentials.
        endpoint: String,
        /// The JSON-RPC method.
        method: String,
        /// The JSON-RPC code.
        code: i64,
        /// Its message.
        message: String,
        /// Revert data, if the call reverted with any.
        data: Option<Bytes>,
    },
    /// An endpoint lacks something it should have.
    #[error("L1 endpoint {endpoint} does not have {what}")]
    Missing {
        /// The endpoint, without credentials.
        endpoint: String,
        /// What was asked for.
        what: String,
    },
    /// An endpoint's answer contradicts itself or what was asked.
    #[error("L1 endpoint {endpoint} answered wrongly: {what}")]
    Malformed {
        /// The endpoint, without credentials.
        endpoint: String,
        /// The contradiction.
        what: String,
    },
    /// Endpoints name different blocks at one number.
    #[error("L1 endpoints disagree about block {number}: {ours} here, {theirs} at {endpoint}")]
    Disagreement {
        /// The block number.
        number: u64,
        /// The hash of the endpoint that is followed.
        ours: B256,
        /// The other hash.
        theirs: B256,
        /// The endpoint that contradicts.
        endpoint: String,
    },
    /// A reorganization below everything kept.
    #[error(
        "L1 reorganized below block {lowest}, the oldest one kept: restart to read it again from the deployment on"
    )]
    ReorgTooDeep {
        /// The oldest block kept.
        lowest: u64,
    },
    /// A contract's events do not follow from one another.
    #[error("L1 block {number}: {what}")]
    Inconsistent {
        /// The block.
        number: u64,
        /// What does not follow.
        what: String,
    },
    /// The blob fee schedule of the chain is unknown.
    #[error(
        "L1 block {number} is priced {actual} wei per blob gas, the fee schedule says {expected}: this release does not know the chain's fork"
    )]
    BlobSchedule {
        /// The block.
        number: u64,
        /// What the endpoint reports.
        actual: u128,
        /// What the schedule gives.
        expected: u128,
    },
    /// The actor behind a handle has ended.
    #[error("the L1 actor has stopped")]
    Stopped,
}

impl Error {
    /// What to do about it.
    pub const fn class(&self) -> Class {
        match self {
            Self::NoEndpoint
            | Self::Scheme { .. }
            | Self::WrongChain { .. }
            | Self::NotDeployed { .. }
            | Self::BlobSchedule { .. }
            | Self::Stopped => Class::Fatal,
            Self::ReorgTooDeep { .. } => Class::Reset,
            Self::Timeout { .. }
            | Self::Transport { .. }
            | Self::Rpc { .. }
            | Self::Missing { .. }
            | Self::Malformed { .. }
            | Self::Disagreement { .. }
            | Self::Inconsistent { .. } => Class::Retry,
        }
    }

    /// The revert data, if this is a call that the chain executed and that reverted.
    pub fn revert_data(&self) -> Option<&Bytes> {
        if let Self::Rpc { data, .. } = self { data.as_ref() } else { None }
    }

    /// In words: the contracts' named error with its figures where a call reverted with one, else the whole error.
    pub fn reason(&self) -> String {
        self.revert_data().and_then(|data| baton_bindings::decode_revert(data)).unwrap_or_else(|| self.to_string())
    }
}
