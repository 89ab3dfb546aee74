//! One attempt to post one batch: what it waits for and what comes next. No I/O.

use crate::{
    attest::Encoding,
    builder::Built,
    collect::{Certificate, Collector},
};
use baton_primitives::{BatchIndex, bls};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// An attempt to post a batch.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) built: Arc<Built>,
    pub(crate) stage: Stage,
}

/// How far it is.
#[derive(Debug)]
pub(crate) enum Stage {
    /// The batch is being encoded.
    Encoding,
    /// Members are asked to sign.
    Collecting(Box<Collecting>),
    /// The transaction is on its way.
    Sending,
    /// The transaction is on L1; the anchor has not moved yet in this node's view.
    Settling {
        /// L1 head at which to doubt it.
        until: u64,
    },
}

/// Members are asked to sign.
#[derive(Debug)]
pub(crate) struct Collecting {
    pub(crate) collector: Collector,
    pub(crate) encoding: Encoding,
    /// This node's own.
    pub(crate) signature: bls::Signature,
    /// Until when all are waited for.
    wait_until: Instant,
    /// When to ask again.
    ask_at: Instant,
    ask_every: Duration,
}

/// What a collecting round does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait for signatures.
    Wait,
    /// Ask the members (again).
    Ask,
    /// Send it with this certificate.
    Send(Certificate),
}

/// Least time between two rounds of asking.
const LEAST_ASK: Duration = Duration::from_millis(500);

impl Collecting {
    /// Begins now.
    pub(crate) fn new(
        collector: Collector,
        encoding: Encoding,
        signature: bls::Signature,
        now: Instant,
        sign_wait: Duration,
    ) -> Self {
        let ask_every = (sign_wait * 4).max(LEAST_ASK);
        Self { collector, encoding, signature, wait_until: now + sign_wait, ask_at: now, ask_every }
    }

    /// What to do now. All signatures, or two thirds after the wait, end it; members that did not answer are asked again.
    pub(crate) fn next(&mut self, now: Instant) -> Next {
        if (self.collector.is_complete() || now >= self.wait_until)
            && let Some(certificate) = self.collector.certificate()
        {
            return Next::Send(certificate);
        }
        if now >= self.ask_at {
            self.ask_at = now + self.ask_every;
            return Next::Ask;
        }
        Next::Wait
    }

    /// When [`Self::next`] may answer differently without a new signature.
    pub(crate) fn deadline(&self, now: Instant) -> Instant {
        if now < self.wait_until { self.wait_until.min(self.ask_at) } else { self.ask_at }
    }
}

impl Round {
    pub(crate) fn index(&self) -> BatchIndex {
        self.built.core.index
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{key, snapshot};
    use alloy::primitives::{Address, B256, Bytes};
    use baton_primitives::batch_message;

    const WAIT: Duration = Duration::from_secs(2);

    fn collecting(now: Instant) -> Collecting {
        let hash = B256::repeat_byte(1);
        let collector = Collector::new(Arc::new(snapshot(4)), 1, Address::ZERO, hash, hash);
        let encoding = Encoding { data: Bytes::new(), blobs: Vec::new(), openings: Vec::new(), data_hash: hash };
        Collecting::new(collector, encoding, key(0).sign(b"own"), now, WAIT)
    }

    fn sign(collecting: &mut Collecting, member: u8) {
        let hash = B256::repeat_byte(1);
        let signature = key(member).sign(&batch_message(1, Address::ZERO, hash, hash));
        let identity = snapshot(4).members[usize::from(member)].identity;
        collecting.collector.take(&identity, &signature);
    }

    #[test]
    fn it_asks_at_once_and_again_and_sends_when_all_signed() {
        let start = Instant::now();
        let mut round = collecting(start);
        assert_eq!(round.next(start), Next::Ask);
        assert_eq!(round.next(start), Next::Wait);
        (0..3).for_each(|member| sign(&mut round, member));
        assert_eq!(round.next(start), Next::Wait, "two thirds, but the wait is not over");
        sign(&mut round, 3);
        assert!(matches!(round.next(start), Next::Send(_)));
    }

    #[test]
    fn two_thirds_suffice_after_the_wait_and_less_never_does() {
        let start = Instant::now();
        let mut round = collecting(start);
        assert_eq!(round.next(start), Next::Ask);
        (0..2).for_each(|member| sign(&mut round, member));
        let late = start + WAIT * 100;
        assert_eq!(round.next(late), Next::Ask);
        assert_eq!(round.next(late), Next::Wait);
        assert!(round.deadline(late) > late);
        sign(&mut round, 2);
        assert!(matches!(round.next(late), Next::Send(_)));
    }
}
