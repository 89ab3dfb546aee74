//! The feed of final blocks for followers: binary WebSocket messages from a height on, first out of the store, then as
//! they become final. A message is u32 BE length of the certificate ‖ certificate (or nothing) ‖ RLP of the block.

use crate::{
    ports::{Backend, Chain},
    server::{App, Place},
};
use axum::{
    Extension,
    extract::{
        Query, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket, close_code},
    },
    response::{IntoResponse, Response},
};
use baton_primitives::{FinalBlock, Height};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{SinkExt, StreamExt, stream::SplitSink};
use http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;
use tokio::{
    sync::broadcast::error::RecvError,
    time::{interval, timeout},
};

/// Blocks that are sent before the socket is flushed.
const BURST: u64 = 16;
/// A follower has nothing to say but pongs.
const MAX_INCOMING: usize = 4_096;

/// Where a follower wants to begin.
#[derive(Deserialize)]
pub(crate) struct From {
    from: u64,
}

pub(crate) async fn upgrade<B: Backend>(
    State(app): State<App<B>>,
    Extension(place): Extension<Place>,
    Query(From { from }): Query<From>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let Ok(permit) = Arc::clone(&app.feeds).try_acquire_owned() else {
        let limit = app.context.config.max_feeds;
        return (StatusCode::SERVICE_UNAVAILABLE, format!("too many feeds: limit {limit}; try another node\n"))
            .into_response();
    };
    upgrade.max_message_size(MAX_INCOMING).max_frame_size(MAX_INCOMING).on_upgrade(move |socket| async move {
        let tracker = app.tracker.clone();
        // In a task of its own, so that the server's drain waits for it.
        let _ = tracker
            .spawn(async move {
                serve(&app, socket, Height::new(from)).await;
                drop((permit, place));
            })
            .await;
    })
}

/// One message.
pub fn encode(block: &FinalBlock) -> Bytes {
    let certificate = block.certificate.as_ref().map_or(&[][..], |c| c);
    let body = block.block.encode();
    let mut out = BytesMut::with_capacity(4 + certificate.len() + body.len());
    // Certificates are some hundred bytes; consensus bounds them.
    out.put_u32(u32::try_from(certificate.len()).unwrap_or(u32::MAX));
    out.put_slice(certificate);
    out.put_slice(&body);
    out.freeze()
}

/// Splits one message into the certificate (`None` if it is empty) and the RLP of the block; `None` if it is too short.
pub fn decode(message: &Bytes) -> Option<(Option<Bytes>, Bytes)> {
    let length = usize::try_from(u32::from_be_bytes(*message.first_chunk()?)).ok()?;
    let end = length.checked_add(4).filter(|end| *end <= message.len())?;
    let certificate = message.slice(4..end);
    Some(((!certificate.is_empty()).then_some(certificate), message.slice(end..)))
}

type Sink = SplitSink<WebSocket, Message>;

async fn serve<B: Backend>(app: &App<B>, socket: WebSocket, from: Height) {
    let (mut sink, mut stream) = socket.split();
    let end = tokio::select! {
        end = push(app, &mut sink, from) => end,
        // Reading answers pings and notices the end.
        () = async { while let Some(Ok(_)) = stream.next().await {} } => None,
        () = app.stop.cancelled() => Some((close_code::AWAY, "the node is stopping".to_owned())),
    };
    if let Some((code, reason)) = end {
        tracing::debug!(code, reason, "a feed ended");
        let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        let _ = timeout(app.context.config.write_timeout, sink.send(close)).await;
    }
}

/// Sends blocks until something ends it: a close code and reason, or nothing if the follower is gone.
async fn push<B: Backend>(app: &App<B>, sink: &mut Sink, from: Height) -> Option<(u16, String)> {
    let context = &app.context;
    let backend = context.backend.as_ref();
    // Subscribed before the store is read, so that no block falls between.
    let mut heads = context.hub.subscribe();
    let mut pings = interval(context.config.ping_interval);
    let mut next = from;
    loop {
        while next <= Chain::heads(backend).latest {
            match backend.final_block(next) {
                Ok(Some(block)) => sink.feed(Message::Binary(encode(&block))).await.ok()?,
                Ok(None) => break,
                Err(error) => return Some((close_code::UNSUPPORTED, error.to_string())),
            }
            next = next.next();
            if next.get().is_multiple_of(BURST) {
                sink.flush().await.ok()?;
            }
        }
        sink.flush().await.ok()?;
        tokio::select! {
            head = heads.recv() => match head {
                // Which head it is does not matter, nor whether some were missed: the store has them.
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Some((close_code::AWAY, "the node is stopping".into())),
            },
            _ = pings.tick() => sink.send(Message::Ping(Bytes::new())).await.ok()?,
        }
    }
}
