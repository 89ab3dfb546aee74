//! The events of the contracts.

pub(crate) use baton_bindings::contracts::{
    inbox::BatchInbox, pool::SequencerPool, portal::Portal, revenue::RevenueShare, staking::Staking,
};
