//! A receiver that can be listened to before its engine runs, without losing what was heard.
//!
//! Votes of the next epoch arrive while this node still waits for the last block of the running one. They must reach the
//! next engine (nobody sends them again), and they tell that their sender is ahead.

use crate::types::PublicKey;
use commonware_p2p::{Message, Receiver};
use std::{collections::VecDeque, num::NonZeroUsize};

#[derive(Debug)]
pub(crate) struct Held<R> {
    heard: VecDeque<Message<PublicKey>>,
    inner: R,
}

impl<R: Receiver<PublicKey = PublicKey>> Held<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { heard: VecDeque::new(), inner }
    }

    /// Listens ahead: who sent the next message. Holds as many messages as the channel itself, then pends. Cancellation-safe.
    pub(crate) async fn listen(&mut self) -> PublicKey {
        if self.heard.len() >= self.inner.capacity().get() {
            return std::future::pending().await;
        }
        match self.inner.recv().await {
            Ok((peer, bytes)) => {
                self.heard.push_back((peer.clone(), bytes));
                peer
            }
            Err(_) => std::future::pending().await,
        }
    }
}

impl<R: Receiver<PublicKey = PublicKey>> Receiver for Held<R> {
    type Error = R::Error;
    type PublicKey = PublicKey;

    async fn recv(&mut self) -> Result<Message<PublicKey>, R::Error> {
        match self.heard.pop_front() {
            Some(message) => Ok(message),
            None => self.inner.recv().await,
        }
    }

    fn capacity(&self) -> NonZeroUsize {
        self.inner.capacity()
    }
}
