//! JSON-RPC over HTTP POST.

use crate::{
    envelope::write_answer,
    error::{RpcError, code},
    ports::Backend,
    server::{App, Place},
};
use axum::{
    body::{Body, to_bytes},
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::LengthLimitError;
use std::error::Error;
use tokio::time::timeout;

pub(crate) async fn post<B: Backend>(State(app): State<App<B>>, request: Request<Body>) -> Response {
    let config = &app.context.config;
    let limit = config.max_request_bytes;
    let (parts, body) = request.into_parts();
    if !is_json(&parts.headers) {
        let error = RpcError::new(code::INVALID_REQUEST, "invalid content type, only application/json is supported");
        return failure(StatusCode::UNSUPPORTED_MEDIA_TYPE, error);
    }
    if content_length(&parts.headers).is_some_and(|length| length > limit as u64) {
        return too_large(limit);
    }
    let body = match timeout(config.read_timeout, to_bytes(body, limit)).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) if error.source().is_some_and(|e| e.is::<LengthLimitError>()) => return too_large(limit),
        Ok(Err(error)) => {
            let error = RpcError::new(code::PARSE, format!("the request body could not be read: {error}"));
            return failure(StatusCode::BAD_REQUEST, error);
        }
        Err(_) => {
            let seconds = config.read_timeout.as_secs();
            let error = RpcError::new(code::UNAVAILABLE, format!("the request body did not arrive within {seconds} s"));
            return failure(StatusCode::REQUEST_TIMEOUT, error);
        }
    };
    let Some(Place { account, .. }) = parts.extensions.get() else {
        return failure(StatusCode::INTERNAL_SERVER_ERROR, RpcError::internal(&"a request without a connection"));
    };
    match app.context.answer_within(account, &body).await {
        Some(Ok(answer)) => respond(StatusCode::OK, Bytes::from(answer)),
        Some(Err(busy)) => respond(StatusCode::SERVICE_UNAVAILABLE, busy),
        // Only notifications: there is nothing to say.
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

fn respond(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn failure(status: StatusCode, error: RpcError) -> Response {
    let mut body = Vec::new();
    write_answer(&mut body, None, &Err(error));
    respond(status, body)
}

fn too_large(limit: usize) -> Response {
    let error = RpcError::limit(format!("request body too large: limit {limit} bytes; split the request"));
    let mut response = failure(StatusCode::PAYLOAD_TOO_LARGE, error);
    // The rest of the body is not read.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A page of another origin can post other types without asking first (CORS), so they are refused.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return true };
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    ["application/json", "application/json-rpc", "application/jsonrequest"].iter().any(|k| kind.eq_ignore_ascii_case(k))
}
