//! The contract's parameters beside the deployment file's.
//!
//! What blocks and batches obey is fixed on L1 for ever: a file that says otherwise is another chain's, and the node would leave this
//! one. What governance may change (stakes, money, penalties) no rule of the node reads. Contracts are asked when it matters, by simulation
//! or by a view, so a change is followed the moment it is in force; it is told here, to the operator.

use crate::error::NodeError;
use baton_bindings::{ChainParameters, Deployment, Difference, contracts::parameters::Parameters::valuesCall};
use baton_l1::{Endpoints, Error};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often governed values are looked at. They change after a delay of an unbonding time at least.
const LOOK: Duration = Duration::from_secs(30);

/// Whether the file is of this chain; waits for L1.
pub(crate) async fn check_parameters(endpoints: Endpoints, deployment: Deployment) -> Result<(), NodeError> {
    loop {
        match read(&endpoints, &deployment).await {
            Ok(contract) => return check(&deployment, &contract),
            Err(error @ (Error::WrongChain { .. } | Error::Malformed { .. })) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "parameters not checked yet: L1 does not answer");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Tells of every change of a governed value, until `stop`.
pub(crate) async fn follow_parameters(
    endpoints: Endpoints,
    deployment: Deployment,
    stop: CancellationToken,
) -> Result<(), NodeError> {
    let mut known = deployment.parameters.clone();
    loop {
        // L1 out of reach is told by others.
        if let Ok(contract) = read(&endpoints, &deployment).await {
            for Difference { name, was, is, .. } in known.differences(&contract) {
                metrics::counter!("baton_governed_changes_total", "parameter" => name).increment(1);
                tracing::warn!(parameter = name, %was, %is, "governance changed a parameter: it is followed, nothing has to be done");
            }
            known = contract;
        }
        if stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
            return Ok(());
        }
    }
}

async fn read(endpoints: &Endpoints, deployment: &Deployment) -> Result<ChainParameters, Error> {
    let latest = alloy::eips::BlockId::latest();
    let values = endpoints.call_contract(deployment.addresses.parameters, &valuesCall {}, latest).await?;
    Ok(ChainParameters::from(&values))
}

fn check(deployment: &Deployment, contract: &ChainParameters) -> Result<(), NodeError> {
    let differences = deployment.parameters.differences(contract);
    let differing: Vec<String> = differences.iter().filter(|d| !d.governed).map(Difference::to_string).collect();
    if differing.is_empty() {
        return Ok(());
    }
    Err(NodeError::Parameters { contract: deployment.addresses.parameters, differing: differing.join(", ") })
}
