//! What BLS vote keys sign outside of the engine. Each message opens with its own namespace, so that a signature made in
//! one context verifies in no other.

use crate::{Generation, SequencerId, bls};
use alloy::{
    primitives::{Address, B256, U256, keccak256},
    sol_types::SolValue,
};

fn message(namespace: &[u8], body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(namespace.len()).unwrap_or(u8::MAX);
    let mut bytes = Vec::with_capacity(1 + namespace.len() + body.len());
    bytes.push(length);
    bytes.extend_from_slice(namespace);
    bytes.extend_from_slice(body);
    bytes
}

/// What a member signs to certify one encoding of a batch.
pub fn batch_message(l1_chain_id: u64, inbox: Address, core_hash: B256, data_hash: B256) -> Vec<u8> {
    message(b"BATON_BATCH", &(U256::from(l1_chain_id), inbox, core_hash, data_hash).abi_encode())
}

/// What an operator signs to prove that its node is ready to serve.
#[allow(clippy::too_many_arguments)]
pub fn readiness_message(
    l1_chain_id: u64,
    pool: Address,
    generation: Generation,
    sequencer: SequencerId,
    nonce: u64,
    l1_number: u64,
    l1_hash: B256,
    anchor_core_hash: B256,
) -> Vec<u8> {
    let body = (
        U256::from(l1_chain_id),
        pool,
        U256::from(generation.get()),
        U256::from(sequencer.get()),
        U256::from(nonce),
        U256::from(l1_number),
        l1_hash,
        anchor_core_hash,
    );
    message(b"BATON_READY", &body.abi_encode())
}

/// What a key signs, under the possession tag, to prove at registration that its holder knows it.
pub fn possession_message(l1_chain_id: u64, pool: Address, owner: Address, key: &bls::PublicKey) -> Vec<u8> {
    let key_hash = keccak256(key.to_eip2537());
    message(b"BATON_POP", &(U256::from(l1_chain_id), pool, owner, key_hash).abi_encode())
}

/// The base namespace of consensus votes and of the peer handshake.
pub fn consensus_namespace(l1_chain_id: u64, inbox: Address, generation: Generation) -> B256 {
    let body = (String::from("BATON_CONSENSUS"), U256::from(l1_chain_id), inbox, U256::from(generation.get()));
    keccak256(body.abi_encode_params())
}
