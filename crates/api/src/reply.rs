//! The form of every answer, and how lists are cut.

use crate::{error::Problem, server::App};
use axum::{Json, extract::FromRequestParts, http::request::Parts};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use utoipa::{IntoParams, ToSchema};

/// How far the index was when it answered.
#[derive(Clone, Debug, Serialize, FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Meta {
    /// Last L1 block indexed.
    l1_block: Option<i64>,
    /// L1 blocks between that and the head the indexer saw.
    l1_lag: Option<i64>,
    /// Last final L2 block indexed.
    l2_block: Option<i64>,
    /// L2 blocks between that and the head the indexer saw.
    l2_lag: Option<i64>,
    /// When the index last advanced, ISO 8601.
    updated_at: Option<String>,
}

impl Meta {
    pub(crate) async fn read(app: &App) -> Result<Self, Problem> {
        let meta = sqlx::query_as(
            "SELECT max(number) FILTER (WHERE chain = 'l1') AS l1_block,
                    max(greatest(head - number, 0)) FILTER (WHERE chain = 'l1') AS l1_lag,
                    max(number) FILTER (WHERE chain = 'l2') AS l2_block,
                    max(greatest(head - number, 0)) FILTER (WHERE chain = 'l2') AS l2_lag,
                    baton.iso(max(updated_at)) AS updated_at
             FROM chain.cursors",
        )
        .fetch_one(&app.database)
        .await?;
        Ok(meta)
    }
}

/// An answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Answer<T> {
    /// What was asked for.
    data: T,
    /// For lists: pass it as `before` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// How far the index is.
    meta: Meta,
}

/// What handlers return.
pub(crate) type Reply<T> = Result<Json<Answer<T>>, Problem>;

/// One thing.
pub(crate) async fn one<T>(app: &App, data: T) -> Reply<T> {
    Ok(Json(Answer { data, next: None, meta: Meta::read(app).await? }))
}

/// A page of a list that was queried with [`Page::fetch`] rows: one more than asked for tells that there is a next page.
pub(crate) async fn page<T>(app: &App, page: &Page, mut data: Vec<T>, key: impl Fn(&T) -> String) -> Reply<Vec<T>> {
    let more = data.len() > page.limit;
    data.truncate(page.limit);
    let next = data.last().filter(|_| more).map(key);
    Ok(Json(Answer { data, next, meta: Meta::read(app).await? }))
}

/// The usual length of a page.
const USUAL: usize = 20;
/// The greatest length of a page.
const MOST: usize = 100;

/// Cuts a list, newest first.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PageQuery {
    /// Only what comes before this: the `next` of the page before.
    #[param(value_type = Option<String>)]
    before: Option<String>,
    /// Length of the page, 1 to 100; 20 if absent.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<String>,
}

/// A checked [`PageQuery`].
#[derive(Debug)]
pub(crate) struct Page {
    before: Option<String>,
    limit: usize,
}

impl Page {
    /// Rows to ask Postgres for.
    pub(crate) fn fetch(&self) -> i64 {
        i64::try_from(self.limit + 1).unwrap_or(i64::MAX)
    }

    /// The number that the page is before; the greatest if none was given.
    pub(crate) fn before_number(&self) -> Result<i64, Problem> {
        match &self.before {
            None => Ok(i64::MAX),
            Some(text) => number(text, "before"),
        }
    }

    /// The pair of numbers, joined by a dot, that the page is before.
    pub(crate) fn before_pair(&self) -> Result<(i64, i64), Problem> {
        let Some(text) = &self.before else { return Ok((i64::MAX, i64::MAX)) };
        let (first, second) = text
            .split_once('.')
            .ok_or_else(|| Problem::invalid("`before` must be two numbers with a dot, as in `next`."))?;
        Ok((number(first, "before")?, number(second, "before")?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query =
            axum::extract::Query::<PageQuery>::try_from_uri(&parts.uri).map_err(|e| Problem::invalid(e.body_text()))?.0;
        let limit = match query.limit {
            None => USUAL,
            Some(text) => text.parse().ok().filter(|limit| (1..=MOST).contains(limit)).ok_or_else(|| {
                Problem::invalid(format!("`limit` must be a number from 1 to {MOST}, not `{}`.", cut(&text)))
            })?,
        };
        Ok(Self { before: query.before, limit })
    }
}

impl IntoParams for Page {
    fn into_params(
        parameter_in_provider: impl Fn() -> Option<utoipa::openapi::path::ParameterIn>,
    ) -> Vec<utoipa::openapi::path::Parameter> {
        PageQuery::into_params(parameter_in_provider)
    }
}

/// A number in a path or query.
pub(crate) fn number(text: &str, name: &str) -> Result<i64, Problem> {
    text.parse::<i64>()
        .ok()
        .filter(|n| *n >= 0)
        .ok_or_else(|| Problem::invalid(format!("`{name}` must be a number, not `{}`.", cut(text))))
}

/// A hash in a path.
pub(crate) fn hash(text: &str) -> Result<Vec<u8>, Problem> {
    fixed::<32>(text, "hash")
}

/// An address in a path, in any case.
pub(crate) fn address(text: &str) -> Result<Vec<u8>, Problem> {
    fixed::<20>(text, "address")
}

fn fixed<const N: usize>(text: &str, name: &str) -> Result<Vec<u8>, Problem> {
    text.parse::<alloy::primitives::FixedBytes<N>>()
        .map(|bytes| bytes.to_vec())
        .map_err(|_| Problem::invalid(format!("`{name}` must be 0x and {} hex digits, not `{}`.", 2 * N, cut(text))))
}

/// The beginning of what a caller sent, for an error message.
fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}
