//! What any account may do for the pool: take and seal snapshots, bring readiness proofs.

use crate::{
    Addresses, DeployError, Deployment,
    contracts::{BatchInbox, SequencerPool},
    deploy::{called, mined, refused},
    revert::error_name,
};
use alloy::{
    eips::BlockNumberOrTag, network::Ethereum, primitives::Address, providers::Provider, rlp::Encodable,
    rpc::types::TransactionReceipt,
};
use baton_primitives::{Generation, SequencerId, SnapshotId, bls, readiness_message};

/// L1 blocks between the taking of a snapshot and the block whose header seals it (`SequencerPool.SEAL_DELAY`).
pub const SEAL_DELAY: u64 = 8;

/// A step that was done for the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// A snapshot was taken.
    Taken(SnapshotId),
    /// A snapshot was sealed and is eligible.
    Sealed(SnapshotId),
}

/// Does the next due step: seals the last snapshot once its header is known, else takes a new one once the interval has passed.
/// `None` if nothing is due, or someone else did it first. Call it with every new L1 block.
///
/// # Errors
/// If L1 does not answer, or refuses for another reason than that the step is done.
pub async fn keep_snapshots<P: Provider<Ethereum>>(
    provider: &P,
    addresses: &Addresses,
    from: Address,
) -> Result<Option<Kept>, DeployError> {
    let pool = SequencerPool::new(addresses.pool, provider);
    let head = provider.get_block_number().await.map_err(|e| refused("keep snapshots", &e))?;
    let count = called("keep snapshots", pool.snapshotCount().call().await)?;
    let Some(last) = count.checked_sub(1) else { return Ok(None) };
    let blocks = called("keep snapshots", pool.snapshotBlocks(last).call().await)?;
    let number = blocks.takenBlock.saturating_add(SEAL_DELAY);
    let (sent, kept) = if blocks.sealBlock == 0 {
        if head < number {
            return Ok(None);
        }
        let block = provider.get_block_by_number(BlockNumberOrTag::Number(number)).await;
        let Some(block) = block.map_err(|e| refused("seal", &e))? else { return Ok(None) };
        let mut header = Vec::new();
        block.header.inner.encode(&mut header);
        (pool.seal(last, header.into()).from(from).send().await, Kept::Sealed(SnapshotId::new(last)))
    } else {
        // The transaction will be in the next block at the earliest.
        let due = called("keep snapshots", pool.nextSnapshotBlock().call().await)?;
        if head.saturating_add(1) < due {
            return Ok(None);
        }
        (pool.takeSnapshot().from(from).send().await, Kept::Taken(SnapshotId::new(count)))
    };
    match sent {
        Ok(pending) => {
            let receipt = pending
                .get_receipt()
                .await
                .map_err(|error| DeployError::Refused { step: "keep snapshots", reason: error.to_string() })?;
            // A failed transaction lost the race after it was sent.
            Ok(receipt.status().then_some(kept))
        }
        Err(error) => {
            let done = ["SequencerPool_AlreadySealed", "SequencerPool_TooEarly", "SequencerPool_Unsealed"];
            match error_name(&error) {
                Some(name) if done.contains(&name.as_str()) => Ok(None),
                _ => called("keep snapshots", Err(error)),
            }
        }
    }
}

/// Brings a registered sequencer into the active set by a readiness proof signed here, citing the L1 head and the last anchor.
///
/// # Errors
/// If the pool refuses, or L1 does.
pub async fn activate<P: Provider<Ethereum>>(
    provider: &P,
    deployment: &Deployment,
    sequencer: SequencerId,
    vote_key: &bls::SecretKey,
    from: Address,
) -> Result<TransactionReceipt, DeployError> {
    let step = "activate";
    let pool = SequencerPool::new(deployment.addresses.pool, provider);
    let inbox = BatchInbox::new(deployment.addresses.inbox, provider);
    let entry = called(step, pool.entry(sequencer.get()).call().await)?;
    let anchor = called(step, inbox.anchor().call().await)?;
    let head = provider.get_block_by_number(BlockNumberOrTag::Latest).await.map_err(|e| refused(step, &e))?;
    let Some(head) = head else {
        return Err(DeployError::Refused { step, reason: "L1 has no latest block".to_owned() });
    };
    let message = readiness_message(
        deployment.l1_chain_id,
        deployment.addresses.pool,
        Generation::new(anchor.generation),
        sequencer,
        entry.nonce,
        head.header.number,
        head.header.hash,
        anchor.coreHash,
    );
    let proof = vote_key.sign(&message).to_eip2537();
    let call = pool.activate(sequencer.get(), head.header.number, anchor.coreHash, proof.into());
    let sent = called(step, call.from(from).send().await)?;
    mined(step, sent.get_receipt().await)
}
