//! How other actors reach consensus.

use crate::{Evidence, SendError, network::MESSAGE_LIMIT, status::Status};
use alloy::primitives::Bytes;
use baton_primitives::{Height, IdentityKey};
use tokio::sync::{mpsc, oneshot, watch};

/// Messages waiting to be sent. Full: [`SendError::Full`].
pub(crate) const OUTGOING: usize = 1024;
/// Messages waiting to be read, per topic. Full: the arriving message is dropped and counted.
pub(crate) const INCOMING: usize = 4096;
/// Evidence waiting to be read.
pub(crate) const EVIDENCE: usize = 64;
/// Requests waiting for an answer.
pub(crate) const REQUESTS: usize = 64;

/// What a message between members is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Batch signatures and requests for them.
    Attest,
    /// Transactions on their way to the leader.
    Transactions,
}

impl Topic {
    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attest => "attest",
            Self::Transactions => "transactions",
        }
    }
}

/// A message from a member. Its sender is authenticated, its content is not checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerMessage {
    /// Who sent it.
    pub from: IdentityKey,
    /// What it says, at most [`MESSAGE_LIMIT`] bytes.
    pub bytes: Bytes,
}

/// What consensus gives to other actors, beside the ports. Each queue is bounded and drops what arrives when full.
#[derive(Debug)]
pub struct Streams {
    /// Messages on [`Topic::Attest`].
    pub attest: mpsc::Receiver<PeerMessage>,
    /// Messages on [`Topic::Transactions`].
    pub transactions: mpsc::Receiver<PeerMessage>,
    /// Contradicting votes of members.
    pub evidence: mpsc::Receiver<Evidence>,
}

#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) topic: Topic,
    pub(crate) to: Option<IdentityKey>,
    pub(crate) bytes: Bytes,
}

#[derive(Debug)]
pub(crate) enum Message {
    Drain(oneshot::Sender<()>),
    Certificate { height: Height, answer: oneshot::Sender<Option<(Height, Bytes)>> },
}

/// Reaches consensus from anywhere. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Mailbox {
    pub(crate) outgoing: mpsc::Sender<Outgoing>,
    pub(crate) requests: mpsc::Sender<Message>,
    pub(crate) status: watch::Receiver<Status>,
}

impl Mailbox {
    /// Sends bytes to every connected member, best effort.
    ///
    /// # Errors
    /// If the queue is full, the message too long, or consensus has ended.
    pub fn broadcast(&self, topic: Topic, bytes: Bytes) -> Result<(), SendError> {
        self.enqueue(Outgoing { topic, to: None, bytes })
    }

    /// Sends bytes to one member, best effort.
    ///
    /// # Errors
    /// As [`Self::broadcast`].
    pub fn send(&self, topic: Topic, to: IdentityKey, bytes: Bytes) -> Result<(), SendError> {
        self.enqueue(Outgoing { topic, to: Some(to), bytes })
    }

    fn enqueue(&self, message: Outgoing) -> Result<(), SendError> {
        let length = message.bytes.len();
        if length > MESSAGE_LIMIT {
            return Err(SendError::TooLong { length, limit: MESSAGE_LIMIT });
        }
        self.outgoing.try_send(message).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => SendError::Full { capacity: OUTGOING },
            mpsc::error::TrySendError::Closed(_) => SendError::Closed,
        })
    }

    /// Where consensus is, now and as it changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// A certificate that proves the block at `height` final: its own, or the nearest descendant's. `None` if there is none yet.
    pub async fn certificate(&self, height: Height) -> Option<(Height, Bytes)> {
        let (answer, receiver) = oneshot::channel();
        self.requests.send(Message::Certificate { height, answer }).await.ok()?;
        receiver.await.ok().flatten()
    }

    /// Ends consensus in order: declines to propose, votes until another leader's block is final or 2 s have passed, flushes.
    /// Returns when that is done; the actor's handle then ends without an error.
    pub async fn drain(&self) {
        let (done, receiver) = oneshot::channel();
        if self.requests.send(Message::Drain(done)).await.is_ok() {
            let _ = receiver.await;
        }
    }
}
