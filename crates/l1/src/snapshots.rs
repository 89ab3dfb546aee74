//! Reads a sealed snapshot through the contract.

use crate::{Error, endpoint::Endpoint};
use alloy::{
    eips::{BlockId, RpcBlockHash},
    primitives::{Address, B256, Bytes},
    rpc::types::TransactionRequest,
    sol_types::SolCall,
};
use baton_bindings::contracts::pool::SequencerPool::snapshotCall;
use baton_primitives::Snapshot;

/// The snapshot as it is in the L1 block `hash`. Where the endpoint no longer has that block's state, as it is now: a sealed
/// snapshot does not change.
pub(crate) async fn read(endpoint: &Endpoint, pool: Address, id: u64, hash: B256) -> Result<Snapshot, Error> {
    let at = BlockId::Hash(RpcBlockHash::from_hash(hash, Some(true)));
    let request = TransactionRequest::default().to(pool).input(snapshotCall { id }.abi_encode().into());
    let data: Bytes = match endpoint.call("eth_call", (&request, at)).await {
        Err(Error::Rpc { data: None, .. }) => endpoint.call("eth_call", (&request, BlockId::latest())).await?,
        other => other?,
    };
    let malformed = |what: String| Error::Malformed { endpoint: endpoint.name().to_owned(), what };
    let words = snapshotCall::abi_decode_returns_validate(&data)
        .map_err(|e| malformed(format!("snapshot {id} does not decode: {e}")))?;
    let snapshot = Snapshot::try_from(words).map_err(|e| malformed(e.to_string()))?;
    if !snapshot.members.is_sorted_by(|a, b| a.identity < b.identity) {
        return Err(malformed(format!("the members of snapshot {id} do not ascend by identity")));
    }
    Ok(snapshot)
}
