//! The first block of a deployment: the same for the deployer, which writes its hash to L1, and for every node.

use alloy::primitives::B256;
use baton_bindings::{Deployment, predeploys};
use baton_engine::{Genesis, GenesisAccount, GenesisError, genesis_block};
use baton_primitives::{L1Origin, Parameters, RecoveredBlock};

/// The genesis of a chain with these parameters that begins on `origin` at `timestamp` (seconds): the predeploys, and no
/// ether, which comes by deposits.
pub fn genesis(parameters: Parameters, timestamp: u64, origin: L1Origin) -> Genesis {
    let predeploy = |code| GenesisAccount { nonce: 1, code, ..GenesisAccount::default() };
    let alloc = predeploys::all().into_iter().map(|(address, code)| (address, predeploy(code))).collect();
    Genesis { parameters, timestamp, origin, alloc }
}

/// Why a deployment file does not describe a chain that this release can run.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentMismatch {
    /// The genesis cannot be made.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The parameters are out of bounds.
    #[error(transparent)]
    Parameters(#[from] baton_primitives::ParametersError),
    /// Another genesis.
    #[error(
        "the deployment file names genesis {expected}, this release makes {actual}: run the release that deployed it"
    )]
    Hash {
        /// In the file.
        expected: B256,
        /// Computed.
        actual: B256,
    },
}

/// The genesis of a deployment, and its block.
///
/// # Errors
/// If this release makes another genesis than the deployment file names.
pub fn genesis_of(deployment: &Deployment) -> Result<(Genesis, RecoveredBlock), DeploymentMismatch> {
    let parameters = Parameters::from(&deployment.parameters);
    parameters.validate()?;
    let file = &deployment.genesis;
    // Fees of the genesis origin enter no block: the first block's system transaction names its own origin.
    let origin = L1Origin {
        number: file.origin_number,
        hash: file.origin_hash,
        timestamp: file.timestamp,
        ..L1Origin::default()
    };
    let genesis = genesis(parameters, file.timestamp, origin);
    let (block, _) = genesis_block(&genesis)?;
    if block.hash() != file.block_hash {
        return Err(DeploymentMismatch::Hash { expected: file.block_hash, actual: block.hash() });
    }
    Ok((genesis, block))
}
