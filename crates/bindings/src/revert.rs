//! Reverts as text.

use crate::contracts;
use alloy::{
    contract::Error as ContractError,
    primitives::Bytes,
    sol_types::{Revert, SolError, SolInterface},
    transports::TransportError,
};

/// Names the error in a revert's data with its figures, if it is one of the contracts' or a plain reason.
pub fn decode_revert(data: &[u8]) -> Option<String> {
    macro_rules! try_all {
        ($($module:ident :: $contract:ident :: $errors:ident),+ $(,)?) => {
            $(if let Ok(error) = contracts::$module::$contract::$errors::abi_decode(data) {
                let text = format!("{error:?}");
                // The enum's name for the variant repeats the error's own: `Staking_X(Staking_X { .. })`.
                let inner = text.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
                return Some(inner.unwrap_or(&text).to_owned());
            })+
        };
    }
    try_all!(
        staking::Staking::StakingErrors,
        pool::SequencerPool::SequencerPoolErrors,
        inbox::BatchInbox::BatchInboxErrors,
        portal::Portal::PortalErrors,
        revenue::RevenueShare::RevenueShareErrors,
        slasher::Slasher::SlasherErrors,
        recovery::Recovery::RecoveryErrors,
        profiles::Profiles::ProfilesErrors,
        commitments::Commitments::CommitmentsErrors,
        governance::Governance::GovernanceErrors,
        parameters::Parameters::ParametersErrors,
        token::BatonToken::BatonTokenErrors,
    );
    Revert::abi_decode(data).ok().map(|revert| revert.reason)
}

/// A contract call's failure as text: the contract's named error where there is one, else the transport's words.
pub fn explain(error: &ContractError) -> String {
    error.as_revert_data().and_then(|data| decode_revert(&data)).unwrap_or_else(|| error.to_string())
}

/// The same for a failed request.
pub fn explain_transport(error: &TransportError) -> String {
    let data: Option<Bytes> = error.as_error_resp().and_then(|payload| payload.as_revert_data());
    data.and_then(|data| decode_revert(&data)).unwrap_or_else(|| error.to_string())
}

/// The name alone of the error a call failed with.
pub(crate) fn error_name(error: &ContractError) -> Option<String> {
    let text = decode_revert(&error.as_revert_data()?)?;
    text.split([' ', '(', '{']).next().map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revert_tells_its_name_and_figures() {
        let error = contracts::Staking::Staking_ExitNotReady { readyAt: 9, nowAt: alloy::primitives::U256::from(4) };
        let text = decode_revert(&error.abi_encode()).unwrap();
        assert!(
            text.starts_with("Staking_ExitNotReady") && text.contains("readyAt: 9") && text.contains("nowAt: 4"),
            "{text}"
        );
    }

    #[test]
    fn unknown_data_is_not_named() {
        assert_eq!(decode_revert(&[1, 2, 3, 4, 5]), None);
    }
}
