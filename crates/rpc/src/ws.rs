//! JSON-RPC over WebSocket, with subscriptions.
//!
//! One task a connection reads requests, runs a bounded number of them at a time and watches the chain for its
//! subscriptions; a second writes. Nothing is queued without bound: a connection whose peer does not read waits, falls
//! behind the chain and is dropped as a slow consumer.

use crate::{
    context::Context,
    convert,
    envelope::{Body as Parsed, Json, Request, json, parse, write_answer},
    error::{RpcError, code},
    hub::Head,
    io::is_stalled,
    logs::{self, LogFilter},
    params::Params,
    ports::Backend,
    server::{App, Open, Place, origin_allowed},
    unread::{Account, Answer, Share},
};
use alloy::primitives::{B256, U128};
use axum::{
    Extension,
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code, rejection::WebSocketUpgradeRejection},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{
    SinkExt, StreamExt,
    future::{BoxFuture, pending},
    stream::{FuturesUnordered, SplitSink, SplitStream},
};
use http::{HeaderMap, StatusCode};
use std::{borrow::Cow, collections::HashMap, sync::Arc};
use tokio::{
    sync::{broadcast, broadcast::error::RecvError, mpsc},
    time::{Instant, interval, timeout},
};

pub(crate) async fn upgrade<B: Backend>(
    State(app): State<App<B>>,
    Extension(place): Extension<Place>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        return "Baton JSON-RPC: POST requests here, or open a WebSocket.\n".into_response();
    };
    let config = &app.context.config;
    if !origin_allowed(&config.cors, &headers) {
        return (StatusCode::FORBIDDEN, "origin not allowed: add it to the CORS list\n").into_response();
    }
    let limit = config.max_request_bytes;
    upgrade.max_message_size(limit).max_frame_size(limit).on_upgrade(move |socket| async move {
        let tracker = app.tracker.clone();
        // In a task of its own, so that the server's drain waits for it.
        let _ = tracker
            .spawn(async move {
                let _open = Open::count(metrics::gauge!("baton_rpc_websockets"));
                Session::run(app, socket, &place.account).await;
                drop(place);
            })
            .await;
    })
}

/// What a subscription tells.
enum Topic {
    Heads,
    Logs(Box<LogFilter>),
    Pending {
        full: bool,
    },
    /// A node that answers is either synced or says so when asked: this one is silent until that changes.
    Syncing,
}

/// How the reason begins with which those go who read too little.
const SLOW: &str = "slow consumer";
/// The reason for who holds the most of what waits unread.
const LARGEST: &str = "slow consumer: its unread answers are the most of all, and there is no room for more";

/// Why a session ends: close code and reason; `None` if the peer is gone.
type End = Option<(u16, Cow<'static, str>)>;

struct Session<B> {
    context: Arc<Context<B>>,
    topics: HashMap<u128, Topic>,
    heads: Option<broadcast::Receiver<Arc<Head>>>,
    pending: Option<broadcast::Receiver<B256>>,
    account: Arc<Account>,
    out: mpsc::Sender<Queued>,
    synced: bool,
}

/// A message for the writer, with its share of what may wait unread.
struct Queued {
    message: Message,
    share: Option<Share>,
}

impl From<Message> for Queued {
    fn from(message: Message) -> Self {
        Self { message, share: None }
    }
}

/// Whether the peer took what it was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    /// It did, or it is gone.
    Taken,
    /// It does not read.
    Stalled,
}

type InFlight = FuturesUnordered<BoxFuture<'static, Option<Result<Answer, Vec<u8>>>>>;

impl<B: Backend> Session<B> {
    async fn run(app: App<B>, socket: WebSocket, account: &Arc<Account>) {
        let patience = app.context.config.write_timeout;
        let (sink, stream) = socket.split();
        let (out, queue) = mpsc::channel(app.context.config.max_queued_messages.get());
        let mut writer = tokio::spawn(write(sink, queue, patience));
        let (end, is_cut) = tokio::select! {
            end = Self::talk(app, stream, account, out.clone()) => (end, false),
            // Its queue is dropped with the writer: the close would wait behind what the peer does not read.
            () = account.cut.cancelled() => (Some((close_code::POLICY, LARGEST.into())), true),
        };
        let mut is_slow = is_cut;
        if let Some((code, reason)) = end {
            tracing::debug!(code, %reason, "a WebSocket is closed");
            is_slow |= reason.starts_with(SLOW);
            // A full queue means that the peer does not read: it would not read this either.
            let close = CloseFrame { code, reason: Utf8Bytes::from(reason.as_ref()) };
            let _ = out.try_send(Message::Close(Some(close)).into());
        }
        drop(out);
        let written = if is_cut { None } else { timeout(patience, &mut writer).await.ok() };
        match written {
            Some(written) => is_slow |= written.is_ok_and(|written| written == Written::Stalled),
            None => {
                writer.abort();
                is_slow = true;
            }
        }
        if is_slow {
            metrics::counter!("baton_rpc_slow_consumers_total").increment(1);
        }
    }

    /// Answers and notifies until something ends it.
    async fn talk(
        app: App<B>,
        mut stream: SplitStream<WebSocket>,
        account: &Arc<Account>,
        out: mpsc::Sender<Queued>,
    ) -> End {
        let config = &app.context.config;
        let (context, account) = (Arc::clone(&app.context), Arc::clone(account));
        let mut session =
            Self { context, topics: HashMap::new(), heads: None, pending: None, account, out, synced: true };
        let mut in_flight = InFlight::new();
        let mut pings = interval(config.ping_interval);
        let mut heard = Instant::now();
        loop {
            let step = tokio::select! {
                () = app.stop.cancelled() => Err(Some((close_code::AWAY, "the node is stopping".into()))),
                Some(answer) = in_flight.next() => session.say(answer).await,
                head = receive(&mut session.heads) => session.on_head(head).await,
                hash = receive(&mut session.pending) => session.on_pending(hash).await,
                _ = pings.tick() => session.on_ping(heard.elapsed() > 2 * config.ping_interval).await,
                message = stream.next(), if in_flight.len() < config.max_in_flight.get() => {
                    heard = Instant::now();
                    match message {
                        Some(Ok(message)) => session.on_message(message, &mut in_flight).await,
                        // Too large, not UTF-8, or not a WebSocket frame: the library has said so to the peer.
                        Some(Err(error)) => Err(Some((close_code::POLICY, format!("unreadable message: {error}").into()))),
                        None => Err(None),
                    }
                }
                // The writer has ended.
                () = session.out.closed() => Err(None),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Queues an answer; waits while the queue is full.
    async fn say(&self, answer: Option<Result<Answer, Vec<u8>>>) -> Result<(), End> {
        let (bytes, share) = match answer {
            Some(Ok(Answer { bytes, share })) => (bytes, Some(share)),
            Some(Err(busy)) => (busy, None),
            None => return Ok(()),
        };
        // Answers are JSON made by serde, so UTF-8.
        let text = Utf8Bytes::try_from(Bytes::from(bytes)).map_err(|_| None)?;
        self.out.send(Queued { message: Message::Text(text), share }).await.map_err(|_| None)
    }

    /// Queues what nobody has asked for just now. Where there is no room for it, this one reads too little.
    async fn tell(&self, bytes: Vec<u8>) -> Result<(), End> {
        let share = self.account.hold(bytes.len()).map_err(|_| Some((close_code::POLICY, LARGEST.into())))?;
        self.say(Some(Ok(Answer { bytes, share }))).await
    }

    async fn notify(&self, id: u128, result: &[u8]) -> Result<(), End> {
        let mut out = Vec::with_capacity(result.len() + 128);
        out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"method\":\"eth_subscription\",\"params\":{\"subscription\":\"");
        out.extend_from_slice(format!("{id:#x}").as_bytes());
        out.extend_from_slice(b"\",\"result\":");
        out.extend_from_slice(result);
        out.extend_from_slice(b"}}");
        self.tell(out).await
    }

    async fn on_message(&mut self, message: Message, in_flight: &mut InFlight) -> Result<(), End> {
        let body: Bytes = match message {
            Message::Text(text) => text.into(),
            Message::Binary(bytes) => bytes,
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Close(_) => return Err(None),
        };
        if mentions_subscription(&body)
            && let Ok(Parsed::One(Ok(request))) = parse(&body, 1)
            && let Some(result) = self.subscription(&request)
        {
            let Some(id) = request.id else { return Ok(()) };
            let mut answer = Vec::new();
            write_answer(&mut answer, Some(id), &result);
            return self.tell(answer).await;
        }
        let (context, account) = (Arc::clone(&self.context), Arc::clone(&self.account));
        in_flight.push(Box::pin(async move { context.answer_within(&account, &body).await }));
        Ok(())
    }

    /// Subscribes or unsubscribes; `None` if the request is neither.
    fn subscription(&mut self, request: &Request<'_>) -> Option<Result<Json, RpcError>> {
        let params = Params::new(request.params);
        match request.method.as_ref() {
            "eth_subscribe" => Some(params.and_then(|mut p| self.subscribe(&mut p))),
            "eth_unsubscribe" => Some(params.and_then(|mut p| {
                let id: U128 = p.required()?;
                p.end()?;
                self.unsubscribe(id.to())
            })),
            _ => None,
        }
    }

    fn subscribe(&mut self, params: &mut Params<'_>) -> Result<Json, RpcError> {
        let limit = self.context.config.max_subscriptions;
        if self.topics.len() >= limit {
            return Err(RpcError::limit(format!(
                "too many subscriptions: limit {limit} a connection; unsubscribe some"
            )));
        }
        let kind: Cow<'_, str> = params.required()?;
        let topic = match kind.as_ref() {
            "newHeads" => Topic::Heads,
            "logs" => {
                let filter: Box<LogFilter> = params.optional()?.unwrap_or_default();
                logs::check(&filter)?;
                Topic::Logs(filter)
            }
            "newPendingTransactions" => Topic::Pending { full: params.optional()?.unwrap_or(false) },
            "syncing" => Topic::Syncing,
            other => {
                let message = format!("no \"{other:.40}\" subscription in eth namespace");
                return Err(RpcError::new(code::METHOD_NOT_FOUND, message));
            }
        };
        params.end()?;
        match topic {
            Topic::Pending { .. } => {
                self.pending.get_or_insert_with(|| self.context.backend.subscribe_pending());
            }
            Topic::Syncing => {
                self.synced = self.context.backend.sync_status().synced;
                self.heads.get_or_insert_with(|| self.context.hub.subscribe());
            }
            Topic::Heads | Topic::Logs(_) => {
                self.heads.get_or_insert_with(|| self.context.hub.subscribe());
            }
        }
        let id = self.context.filters.fresh_id();
        self.topics.insert(id, topic);
        json(&U128::from(id))
    }

    fn unsubscribe(&mut self, id: u128) -> Result<Json, RpcError> {
        if self.topics.remove(&id).is_none() {
            return Err(RpcError::new(code::SERVER, "subscription not found"));
        }
        if !self.topics.values().any(|t| matches!(t, Topic::Pending { .. })) {
            self.pending = None;
        }
        if !self.topics.values().any(|t| matches!(t, Topic::Heads | Topic::Logs(_) | Topic::Syncing)) {
            self.heads = None;
        }
        json(&true)
    }

    async fn on_head(&mut self, head: Result<Arc<Head>, RecvError>) -> Result<(), End> {
        let head = current(head)?;
        for (id, topic) in &self.topics {
            match topic {
                Topic::Heads => self.notify(*id, head.header()).await?,
                Topic::Logs(filter) => {
                    for log in head.logs().iter().filter(|log| filter.matches(&log.inner)) {
                        self.notify(*id, &json(log).map_err(|_| None)?).await?;
                    }
                }
                Topic::Syncing => {
                    let synced = self.context.backend.sync_status().synced;
                    if synced != self.synced {
                        self.notify(*id, if synced { b"false" } else { b"true" }).await?;
                    }
                }
                Topic::Pending { .. } => {}
            }
        }
        if self.topics.values().any(|t| matches!(t, Topic::Syncing)) {
            self.synced = self.context.backend.sync_status().synced;
        }
        Ok(())
    }

    async fn on_pending(&mut self, hash: Result<B256, RecvError>) -> Result<(), End> {
        let hash = current(hash)?;
        for (id, topic) in &self.topics {
            let Topic::Pending { full } = topic else { continue };
            if !full {
                self.notify(*id, &json(&hash).map_err(|_| None)?).await?;
            } else if let Some(waiting) = self.context.backend.waiting(hash) {
                let shown = convert::waiting(waiting.transaction, waiting.sender);
                self.notify(*id, &json(&shown).map_err(|_| None)?).await?;
            }
        }
        Ok(())
    }

    async fn on_ping(&self, silent: bool) -> Result<(), End> {
        if silent {
            return Err(Some((close_code::AWAY, "no answer to pings".into())));
        }
        self.out.send(Message::Ping(Bytes::new()).into()).await.map_err(|_| None)
    }
}

/// Only a session's own loop can subscribe, and few requests do: this keeps all others from being parsed twice.
fn mentions_subscription(body: &[u8]) -> bool {
    body.len() < 65_536 && body.windows(9).any(|w| w == b"subscribe")
}

async fn receive<T: Clone>(stream: &mut Option<broadcast::Receiver<T>>) -> Result<T, RecvError> {
    match stream {
        Some(stream) => stream.recv().await,
        None => pending().await,
    }
}

/// A subscriber that has missed something is not told half the story: it is dropped, and reads again after reconnecting.
fn current<T>(received: Result<T, RecvError>) -> Result<T, End> {
    received.map_err(|error| match error {
        RecvError::Lagged(count) => Some((close_code::POLICY, format!("{SLOW}: {count} events behind").into())),
        RecvError::Closed => Some((close_code::AWAY, "the node is stopping".into())),
    })
}

/// Writes what is queued; flushes when nothing more is.
async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut queue: mpsc::Receiver<Queued>,
    limit: std::time::Duration,
) -> Written {
    while let Some(Queued { message, share }) = queue.recv().await {
        // What the socket has taken may still be in its buffer: the shares live until that is flushed.
        let mut shares = vec![share];
        let written = timeout(limit, async {
            sink.feed(message).await?;
            while let Ok(Queued { message, share }) = queue.try_recv() {
                shares.push(share);
                sink.feed(message).await?;
            }
            sink.flush().await
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return if is_stalled(&error) { Written::Stalled } else { Written::Taken },
            Err(_) => return Written::Stalled,
        }
    }
    let _ = timeout(limit, sink.close()).await;
    Written::Taken
}
