//! Errors: of the process, and of one request (RFC 9457 problems).

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::{io, net::SocketAddr};
use utoipa::ToSchema;

/// Why the API does not run.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another port (0 takes a free one) or stop what uses it")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The database URL is malformed.
    #[error("the database URL is malformed: {0}; it must look like postgres://user:password@host:port/database")]
    DatabaseUrl(sqlx::Error),
    /// The listener failed.
    #[error("serving failed: {0}")]
    Serve(#[from] io::Error),
}

/// What a request gets instead of an answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Names the kind of problem.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The kind in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What happened this time.
    detail: String,
    /// What to do about it.
    action: &'static str,
}

impl Problem {
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self {
            kind: "/problems/invalid-parameter",
            title: "A parameter is invalid",
            status: 400,
            detail: detail.into(),
            action: "Correct the parameter; /v1/openapi.json says what each may be.",
        }
    }

    pub(crate) fn missing(detail: impl Into<String>, action: &'static str) -> Self {
        Self { kind: "/problems/not-found", title: "Not in the index", status: 404, detail: detail.into(), action }
    }

    pub(crate) fn busy(what: &'static str) -> Self {
        Self {
            kind: "/problems/busy",
            title: "Too many requests at once",
            status: 503,
            detail: format!("The limit of {what} is reached."),
            action: "Try again in a second; keep fewer open.",
        }
    }

    pub(crate) fn empty() -> Self {
        Self {
            kind: "/problems/no-index",
            title: "There is no index yet",
            status: 503,
            detail: "The database has no Baton tables, or no block yet.".into(),
            action: "Start `baton indexer` with the same database; it fills the index from chain.",
        }
    }

    fn database(detail: &'static str) -> Self {
        Self {
            kind: "/problems/database",
            title: "The database does not answer",
            status: 503,
            detail: detail.into(),
            action: "Try again; if it stays, check that Postgres runs. Block production does not depend on it.",
        }
    }

    fn slow() -> Self {
        Self {
            kind: "/problems/slow-query",
            title: "The query took too long",
            status: 503,
            detail: "Postgres cut the query off.".into(),
            action: "Ask for less: a smaller limit, or a narrower list.",
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        // The text of Postgres' errors stays in the log: it may tell about the database's insides.
        let code = error.as_database_error().and_then(|e| e.code()).unwrap_or_default().into_owned();
        match code.as_str() {
            // undefined_table, invalid_schema_name, undefined_function, undefined_column
            "42P01" | "3F000" | "42883" | "42703" => Self::empty(),
            "57014" => Self::slow(),
            _ => {
                tracing::warn!(%error, "a query failed");
                Self::database(if code.is_empty() { "No connection." } else { "A query failed." })
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}
