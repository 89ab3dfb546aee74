//! Bytes of other actors between members: batch signatures and forwarded transactions. Best effort: a message to a member
//! that is offline, or above its quota, is lost.

use crate::{
    ingress::{Outgoing, PeerMessage, Topic},
    set::{identity_key, public_key},
    types::PublicKey,
};
use bytes::Bytes;
use commonware_p2p::{Receiver, Recipients, Sender};
use commonware_runtime::IoBuf;
use tokio::sync::mpsc;
use tracing::{debug, trace};

/// Sends what other actors hand over.
pub(crate) async fn send<S: Sender<PublicKey = PublicKey>>(
    mut outgoing: mpsc::Receiver<Outgoing>,
    mut attest: S,
    mut transactions: S,
) {
    while let Some(Outgoing { topic, to, bytes }) = outgoing.recv().await {
        let recipients = match to {
            None => Recipients::All,
            Some(identity) => match public_key(&identity) {
                Some(key) => Recipients::One(key),
                None => continue,
            },
        };
        let (lane, urgent) = match topic {
            Topic::Attest => (&mut attest, true),
            Topic::Transactions => (&mut transactions, false),
        };
        let sent = lane.send(recipients, IoBuf::from(Bytes::from(bytes)), urgent);
        trace!(?topic, recipients = sent.len(), "sent");
    }
}

/// Receives for one actor. A full queue drops the arriving message.
pub(crate) async fn receive<R: Receiver<PublicKey = PublicKey>>(
    topic: Topic,
    mut lane: R,
    incoming: mpsc::Sender<PeerMessage>,
) {
    while let Ok((peer, bytes)) = lane.recv().await {
        let message = PeerMessage { from: identity_key(&peer), bytes: Bytes::from(bytes).into() };
        if incoming.try_send(message).is_err() {
            metrics::counter!("consensus_incoming_dropped_total", "topic" => topic.name()).increment(1);
            debug!(?topic, %peer, "incoming queue is full, dropped");
        }
    }
}
