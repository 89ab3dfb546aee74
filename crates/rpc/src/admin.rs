//! JSON-RPC for the operator alone: `admin_*`, on a listener of its own that asks for a token.
//!
//! The token is a fixed secret, not a JWT: operator and node share a machine or a tunnel, so that a signature with a clock
//! in it would protect nothing that the secret itself does not, and would fail when clocks differ.

use crate::{
    context::Array,
    envelope::{Body as Parsed, Json, Request as Call, json, parse, parse_element, write_answer},
    error::{RpcError, code},
    io::Stream,
    params::Params,
    server::refuse,
    types::{NodeInfo, Peers},
};
use alloy::primitives::keccak256;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use http::{HeaderMap, Request, StatusCode, header};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::value::RawValue;
use std::{sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

/// Largest request, bytes: nothing here is long.
const MAX_REQUEST_BYTES: usize = 65_536;
/// Requests in one batch.
const MAX_BATCH: usize = 16;
/// Open connections. One more is answered 503 and closed.
const MAX_CONNECTIONS: usize = 16;
/// Time in which headers, and then the body, must arrive, and for which a caller may take nothing of its answer; also how long an
/// idle connection is kept.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the operator may ask of the node and do to it.
pub trait Admin: Send + Sync + 'static {
    /// What this node is.
    fn node_info(&self) -> NodeInfo;
    /// Whom it should be connected to, and to how many it is.
    fn peers(&self) -> Peers;
    /// Changes which log lines are written (`info,baton_consensus=debug`).
    ///
    /// # Errors
    /// If the filter does not read, or this process cannot change it.
    fn set_log_filter(&self, filter: &str) -> Result<(), String>;
    /// Begins an orderly stop: a leader gives the baton on first.
    fn stop(&self);
}

/// Serves `admin_*` until `stop`, to callers with `Authorization: Bearer <token>`.
pub async fn serve_admin<A: Admin>(listener: TcpListener, token: &str, admin: Arc<A>, stop: CancellationToken) {
    // Hashes are compared: how long that takes says nothing of the token.
    let state = Shared { token: keccak256(token), admin };
    let router = Router::new().route("/", post(answer::<A>)).with_state(Arc::new(state));
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let refusals = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let tracker = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let socket = match accepted {
            Ok((socket, _)) => socket,
            Err(error) => {
                tracing::warn!(%error, "a connection of the operator could not be accepted");
                sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let (router, stop) = (router.clone(), stop.clone());
            tracker.spawn(async move {
                connection(socket, router, stop).await;
                drop(place);
            });
        } else if let Ok(place) = Arc::clone(&refusals).try_acquire_owned() {
            tracker.spawn(async move {
                let _ = timeout(Duration::from_secs(1), refuse(socket, MAX_CONNECTIONS)).await;
                drop(place);
            });
        }
    }
    tracker.close();
    // The answer to `admin_stop` itself may be on its way.
    let _ = timeout(PATIENCE, tracker.wait()).await;
}

async fn connection(socket: TcpStream, router: Router, stop: CancellationToken) {
    let service = service_fn(|request: Request<hyper::body::Incoming>| router.clone().oneshot(request.map(Body::new)));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    let io = TokioIo::new(Stream::new(socket, PATIENCE));
    let mut connection = std::pin::pin!(builder.serve_connection(io, service));
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::trace!(%error, "a connection of the operator ended badly");
    }
}

struct Shared<A> {
    token: alloy::primitives::B256,
    admin: Arc<A>,
}

impl<A: Admin> Shared<A> {
    fn allows(&self, headers: &HeaderMap) -> bool {
        let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        value.and_then(|value| value.strip_prefix("Bearer ")).is_some_and(|given| keccak256(given.trim()) == self.token)
    }

    fn call(&self, request: &Call<'_>) -> Result<Json, RpcError> {
        let mut params = Params::new(request.params)?;
        match request.method.as_ref() {
            "admin_nodeInfo" => params.end().and_then(|()| json(&self.admin.node_info())),
            "admin_peers" => params.end().and_then(|()| json(&self.admin.peers())),
            "admin_setLogFilter" => {
                let filter: String = params.required()?;
                params.end()?;
                self.admin.set_log_filter(&filter).map_err(RpcError::params)?;
                tracing::info!(filter, "the operator changed the log filter");
                json(&true)
            }
            "admin_stop" => {
                params.end()?;
                tracing::info!("the operator stops the node");
                self.admin.stop();
                json(&true)
            }
            other => {
                let message = format!("the method {other:.80} does not exist/is not available");
                Err(RpcError::new(code::METHOD_NOT_FOUND, message))
            }
        }
    }

    fn add(&self, answers: &mut Array, element: &RawValue) {
        match parse_element(element) {
            Ok(request) if request.id.is_none() => drop(self.call(&request)),
            Ok(request) => answers.push(request.id, &self.call(&request)),
            Err(malformed) => answers.push(malformed.id, &Err(malformed.error)),
        }
    }
}

async fn answer<A: Admin>(State(shared): State<Arc<Shared<A>>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    if !shared.allows(&parts.headers) {
        let text = "the operator's token is wanted: Authorization: Bearer <contents of admin.token>\n";
        return (StatusCode::UNAUTHORIZED, text).into_response();
    }
    let body = match timeout(PATIENCE, to_bytes(body, MAX_REQUEST_BYTES)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return (StatusCode::PAYLOAD_TOO_LARGE, "request too large\n").into_response(),
        Err(_) => return (StatusCode::REQUEST_TIMEOUT, "the request body did not arrive in time\n").into_response(),
    };
    let mut out = Vec::new();
    match parse(&body, MAX_BATCH) {
        Ok(Parsed::One(Ok(request))) => {
            let result = shared.call(&request);
            if request.id.is_none() {
                return StatusCode::NO_CONTENT.into_response();
            }
            write_answer(&mut out, request.id, &result);
        }
        Ok(Parsed::One(Err(malformed))) => write_answer(&mut out, malformed.id, &Err(malformed.error)),
        Ok(Parsed::Batch(elements)) => {
            // Few and short: nothing here needs a limit of its own.
            let mut answers = Array::new(usize::MAX);
            for element in elements {
                shared.add(&mut answers, element);
            }
            match answers.finish() {
                Some(answers) => out = answers,
                None => return StatusCode::NO_CONTENT.into_response(),
            }
        }
        Err(error) => write_answer(&mut out, None, &Err(error)),
    }
    ([(header::CONTENT_TYPE, "application/json")], out).into_response()
}
