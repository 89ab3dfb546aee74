//! Reads JSON-RPC 2.0 requests out of bytes and writes the answers, without a JSON tree: parameters and ids stay slices
//! of the body until a handler wants them typed.

use crate::error::{RpcError, code};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::{error::Category, value::RawValue};
use std::borrow::Cow;

/// Longest id that is echoed, bytes of JSON.
const MAX_ID_BYTES: usize = 512;

/// A call: one request object.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// Name of the method.
    pub(crate) method: Cow<'a, str>,
    /// Parameters as they came; `None` where there are none.
    pub(crate) params: Option<&'a RawValue>,
    /// The id as it came; `None` makes the request a notification, which has no answer.
    pub(crate) id: Option<&'a RawValue>,
}

/// A body.
#[derive(Debug)]
pub(crate) enum Body<'a> {
    /// One request object, or what is wrong with it.
    One(Result<Request<'a>, Malformed<'a>>),
    /// An array of anything, not empty and within the limit.
    Batch(Vec<&'a RawValue>),
}

/// A request object that is none, with its id where that could be read.
#[derive(Debug)]
pub(crate) struct Malformed<'a> {
    /// Its id, if it has a usable one.
    pub(crate) id: Option<&'a RawValue>,
    /// What is wrong.
    pub(crate) error: RpcError,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow, default)]
    jsonrpc: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
}

/// Only the id, to answer a request whose other members are wrong.
#[derive(Deserialize)]
struct OnlyId<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
}

/// Keeps `null` apart from absence: `"id": null` is a request, no id is a notification.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads a body.
///
/// # Errors
/// If it is not JSON, or an empty or too long batch: one error with id null answers it.
pub(crate) fn parse(body: &[u8], max_batch: usize) -> Result<Body<'_>, RpcError> {
    let text = std::str::from_utf8(body).map_err(|_| RpcError::new(code::PARSE, "parse error: not UTF-8"))?;
    let is_batch = text.bytes().find(|b| !b.is_ascii_whitespace()) == Some(b'[');
    if !is_batch {
        return parse_one(text).map(Body::One);
    }
    let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|e| not_json(&e))?;
    if items.is_empty() {
        return Err(RpcError::new(code::INVALID_REQUEST, "empty batch"));
    }
    if items.len() > max_batch {
        let message = format!("batch too large: {} requests, limit {max_batch}; split it", items.len());
        return Err(RpcError::limit(message));
    }
    Ok(Body::Batch(items))
}

/// Reads one element of a batch.
pub(crate) fn parse_element(element: &RawValue) -> Result<Request<'_>, Malformed<'_>> {
    // A raw value is JSON already, so that a parse error cannot come back.
    parse_one(element.get()).unwrap_or_else(|error| Err(Malformed { id: None, error }))
}

fn not_json(error: &serde_json::Error) -> RpcError {
    RpcError::new(code::PARSE, format!("parse error: {error}"))
}

fn parse_one(text: &str) -> Result<Result<Request<'_>, Malformed<'_>>, RpcError> {
    let wrong = |id, message: Cow<'static, str>| {
        Ok(Err(Malformed { id, error: RpcError::new(code::INVALID_REQUEST, message) }))
    };
    let raw: Raw<'_> = match serde_json::from_str(text) {
        Ok(raw) => raw,
        Err(error) if error.classify() == Category::Data => {
            // The wrong member may stand before text that is not JSON at all.
            serde_json::from_str::<IgnoredAny>(text).map_err(|e| not_json(&e))?;
            let id = serde_json::from_str::<OnlyId<'_>>(text).ok().and_then(|o| o.id).filter(|id| is_id(id));
            return wrong(id, format!("invalid request: {error}").into());
        }
        Err(error) => return Err(not_json(&error)),
    };
    if raw.id.is_some_and(|id| !is_id(id)) {
        return wrong(None, "invalid request: the id must be a short string, a number or null".into());
    }
    if raw.jsonrpc.as_deref() != Some("2.0") {
        return wrong(raw.id, "invalid request: jsonrpc must be \"2.0\"".into());
    }
    let Some(method) = raw.method else { return wrong(raw.id, "invalid request: no method".into()) };
    if raw.params.is_some_and(|p| !p.get().starts_with(['[', '{'])) {
        return wrong(raw.id, "invalid request: params must be an array".into());
    }
    Ok(Ok(Request { method, params: raw.params, id: raw.id }))
}

fn is_id(id: &RawValue) -> bool {
    let text = id.get();
    text.len() <= MAX_ID_BYTES && !text.starts_with(['{', '[', 't', 'f'])
}

/// A serialized result.
pub(crate) type Json = Vec<u8>;

/// Serializes a result.
///
/// # Errors
/// If it does not serialize, which none of ours does.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<Json, RpcError> {
    serde_json::to_vec(value).map_err(|e| RpcError::internal(&e))
}

/// Appends the answer to `out`.
pub(crate) fn write_answer(out: &mut Vec<u8>, id: Option<&RawValue>, result: &Result<Json, RpcError>) {
    let id = id.map_or("null", RawValue::get);
    out.reserve(40 + id.len() + result.as_ref().map_or(128, Vec::len));
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    out.extend_from_slice(id.as_bytes());
    match result {
        Ok(value) => {
            out.extend_from_slice(b",\"result\":");
            out.extend_from_slice(value);
        }
        Err(error) => {
            out.extend_from_slice(b",\"error\":");
            // An error is a number, a string and raw JSON: writing it into memory cannot fail.
            if serde_json::to_writer(&mut *out, error).is_err() {
                out.extend_from_slice(b"{\"code\":-32603,\"message\":\"internal error\"}");
            }
        }
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests;
