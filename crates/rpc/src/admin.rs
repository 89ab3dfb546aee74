//! JSON-RPC for the operator alone: `admin_*`, on a listener of its own that asks for a token.
//!
//! The token is a fixed secret, not a JWT: operator and node share a machine or a tunnel, so that a signature with a clock
//! in it would protect nothing that the secret itself does not, and would fail when clocks differ.

use crate::{
    envelope::{Body as Parsed, Json, Request as Call, json, parse, parse_element, write_answer},
    error::{RpcError, code},
    params::Params,
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
use serde_json::value::RawValue;
use std::{io, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Largest request, bytes: nothing here is long.
const MAX_REQUEST_BYTES: usize = 65_536;
/// Requests in one batch.
const MAX_BATCH: usize = 16;

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
///
/// # Errors
/// If the listener fails.
pub async fn serve_admin<A: Admin>(
    listener: TcpListener,
    token: &str,
    admin: Arc<A>,
    stop: CancellationToken,
) -> io::Result<()> {
    // Hashes are compared: how long that takes says nothing of the token.
    let state = Shared { token: keccak256(token), admin };
    let router = Router::new().route("/", post(answer::<A>)).with_state(Arc::new(state));
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
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

    fn add(&self, out: &mut Vec<u8>, element: &RawValue) {
        match parse_element(element) {
            Ok(request) if request.id.is_none() => drop(self.call(&request)),
            Ok(request) => {
                separate(out);
                write_answer(out, request.id, &self.call(&request));
            }
            Err(malformed) => {
                separate(out);
                write_answer(out, malformed.id, &Err(malformed.error));
            }
        }
    }
}

fn separate(out: &mut Vec<u8>) {
    if out.len() > 1 {
        out.push(b',');
    }
}

async fn answer<A: Admin>(State(shared): State<Arc<Shared<A>>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    if !shared.allows(&parts.headers) {
        let text = "the operator's token is wanted: Authorization: Bearer <contents of admin.token>\n";
        return (StatusCode::UNAUTHORIZED, text).into_response();
    }
    let Ok(body) = to_bytes(body, MAX_REQUEST_BYTES).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "request too large\n").into_response();
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
            out.push(b'[');
            for element in elements {
                shared.add(&mut out, element);
            }
            if out.len() == 1 {
                return StatusCode::NO_CONTENT.into_response();
            }
            out.push(b']');
        }
        Err(error) => write_answer(&mut out, None, &Err(error)),
    }
    ([(header::CONTENT_TYPE, "application/json")], out).into_response()
}
