//! Final blocks on their way to the chain, in height order, each acknowledged only after a crash of the chain cannot lose it.

use crate::{
    Error,
    block::Block,
    certificate,
    lazy::Barrier,
    ports::Chain,
    status::{self, StatusSender},
    types::Marshal,
};
use alloy::primitives::B256;
use baton_primitives::{Epoch, FinalBlock, Height};
use commonware_actor::Feedback;
use commonware_consensus::{Reporter, marshal::Update, types};
use commonware_utils::{Acknowledgement as _, acknowledgement::Exact};
use std::{collections::VecDeque, num::NonZeroUsize, sync::Arc};
use tokio::sync::mpsc;

/// Blocks handed over and not yet acknowledged: twice as many as a chain keeps before it makes them survive a crash.
pub(crate) const PENDING: NonZeroUsize = commonware_utils::NZUsize!(64);

type Delivered = (Block, Exact);

/// The marshal's reporter.
#[derive(Clone)]
pub(crate) struct Inlet {
    blocks: mpsc::Sender<Delivered>,
    status: StatusSender,
}

/// The queue between the marshal and the chain. The marshal never has more than [`PENDING`] blocks unacknowledged, twice
/// that around an installed floor, so the queue is never full.
pub(crate) fn queue(status: StatusSender) -> (Inlet, mpsc::Receiver<Delivered>) {
    let (blocks, receiver) = mpsc::channel(2 * PENDING.get());
    (Inlet { blocks, status }, receiver)
}

impl Reporter for Inlet {
    type Activity = Update<Block>;

    fn report(&mut self, update: Update<Block>) -> Feedback {
        match update {
            Update::Tip(_, height, _) => {
                status::update(&self.status, |s| s.tip = s.tip.max(Height::new(height.get())));
                Feedback::Ok
            }
            Update::Block(block, ack) => match self.blocks.try_send((block.inner().clone(), ack)) {
                Ok(()) => Feedback::Ok,
                Err(_) => Feedback::Closed,
            },
        }
    }
}

/// The last block of an epoch has been taken over.
pub(crate) struct Boundary {
    pub(crate) epoch: Epoch,
    pub(crate) hash: B256,
    /// Acknowledged once the next epoch runs.
    pub(crate) ack: Exact,
}

/// Hands final blocks to the chain until the marshal ends. `barriers` are those of the marshal's stores.
///
/// # Errors
/// If the chain refuses a block; the process cannot go on.
pub(crate) async fn run<C: Chain>(
    chain: Arc<C>,
    marshal: Marshal,
    status: StatusSender,
    epoch_blocks: u64,
    barriers: [Barrier; 2],
    mut blocks: mpsc::Receiver<Delivered>,
    boundaries: mpsc::Sender<Boundary>,
) -> Error {
    // Taken over, but a crash may take them from the chain or from the marshal's stores. Others follow, with whose acknowledgement
    // theirs comes: all make blocks survive long before `PENDING` of them wait here.
    let mut volatile = VecDeque::new();
    while let Some((block, ack)) = blocks.recv().await {
        let (height, hash) = (block.height(), block.hash());
        let fault = |reason: String| Error::Chain { height: height.get(), reason };
        let recovered = match block.recovered(chain.as_ref()) {
            Ok(recovered) => recovered,
            Err(e) => return fault(e.to_string()),
        };
        let finalization = marshal.get_finalization(types::Height::new(height.get())).await;
        let certificate = finalization.as_ref().map(certificate::encode);
        let closes = height.closes_epoch(epoch_blocks);
        let taken = chain.finalized(FinalBlock { block: recovered, certificate }).await;
        let survives = match taken {
            Ok(_) if closes => chain.sync().await,
            other => other,
        };
        let survives = match survives {
            Ok(survives) => survives,
            Err(e) => return fault(e.to_string()),
        };
        let barrier = barriers.iter().map(Barrier::height).min().unwrap_or(Height::ZERO);
        status::update(&status, |s| {
            s.last_final = (height, hash);
            s.tip = s.tip.max(height);
        });
        if closes {
            release(&mut volatile, survives, barrier);
            let boundary = Boundary { epoch: height.epoch(epoch_blocks), hash, ack };
            if boundaries.send(boundary).await.is_err() {
                return Error::Ended("the epoch manager");
            }
        } else {
            volatile.push_back((height, ack));
            release(&mut volatile, survives, barrier);
        }
    }
    Error::Ended("the marshal")
}

/// Acknowledges the blocks that survive a crash, in the chain and in the marshal's stores.
fn release(volatile: &mut VecDeque<(Height, Exact)>, survives: Height, barrier: Height) {
    while let Some((_, ack)) = volatile.pop_front_if(|(height, _)| *height <= survives && *height < barrier) {
        ack.acknowledge();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn a_block_is_acknowledged_when_neither_the_chain_nor_the_archives_can_lose_it() {
        let mut waiters = Vec::new();
        let mut volatile = VecDeque::new();
        for height in 1..=5 {
            let (ack, waiter) = Exact::handle();
            volatile.push_back((Height::new(height), ack));
            waiters.push(waiter);
        }
        let mut left = |survives, barrier| {
            release(&mut volatile, Height::new(survives), Height::new(barrier));
            volatile.len()
        };
        assert_eq!(left(4, 3), 3);
        assert_eq!(left(2, u64::MAX), 3);
        assert_eq!(left(4, u64::MAX), 1);
        assert_eq!(left(5, 5), 1);
        let told: Vec<bool> = waiters.into_iter().map(|waiter| waiter.now_or_never().is_some()).collect();
        assert_eq!(told, [true, true, true, true, false]);
    }
}
