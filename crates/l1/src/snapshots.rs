//! Reads a sealed snapshot through the contract.

use crate::{
    Error,
    contracts::ISequencerPool::{self, snapshotCall},
    endpoint::Endpoint,
};
use alloy::{
    eips::{BlockId, RpcBlockHash},
    primitives::{Address, B256, Bytes},
    rpc::types::TransactionRequest,
    sol_types::SolCall,
};
use baton_primitives::{IdentityKey, Member, SequencerId, Snapshot, SnapshotId, bls};

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
    convert(words).map_err(|what| malformed(format!("snapshot {id}: {what}")))
}

/// The contract's words as the protocol's.
fn convert(words: ISequencerPool::Snapshot) -> Result<Snapshot, String> {
    if words.sealBlock == 0 {
        return Err("it is not sealed".into());
    }
    let mut members = Vec::with_capacity(words.members.len());
    for member in words.members {
        let vote_key = bls::PublicKey::from_eip2537(&member.blsKey)
            .map_err(|e| format!("the vote key of sequencer {}: {e}", member.id))?;
        members.push(Member {
            id: SequencerId::new(member.id),
            owner: member.owner,
            operator: member.operator,
            stake: member.stake,
            identity: IdentityKey(member.identity),
            vote_key,
            endpoint: member.endpoint,
        });
    }
    if !members.is_sorted_by(|a, b| a.identity < b.identity) {
        return Err("its members do not ascend by identity".into());
    }
    Ok(Snapshot { id: SnapshotId::new(words.id), seal_block: words.sealBlock, seed: words.seed, members })
}
