//! The events of the contracts.

pub(crate) use baton_bindings::contracts::{
    commitments::Commitments, inbox::BatchInbox, parameters::Parameters, pool::SequencerPool, portal::Portal,
    profiles::Profiles, recovery::Recovery, revenue::RevenueShare, slasher::Slasher, staking::Staking,
};
