//! Live updates: one listener on Postgres, many streams of server-sent events.
//!
//! Every commit of the indexer is told on the channel `baton`. The listener reads the overview then, at most so often, and
//! gives it to all streams. A stream that reads too slowly skips to the newest: an overview replaces all before it.

use crate::{Config, error::Problem, routes::overview, server::App};
use axum::{
    extract::State,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures::{Stream, StreamExt as _};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinHandle,
};
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::CancellationToken;

/// Least time between two events.
const PACE: Duration = Duration::from_millis(200);
/// Without a notification for this long the state is read anyway: the listener may have lost some while reconnecting.
const SILENCE: Duration = Duration::from_secs(5);
/// Pause after Postgres did not answer.
const PAUSE: Duration = Duration::from_secs(1);
/// The indexer's channel.
const CHANNEL: &str = "baton";

/// What streams hang on.
#[derive(Clone)]
pub(crate) struct Hub {
    newest: watch::Receiver<Option<Arc<str>>>,
    streams: Arc<Semaphore>,
    cancellation: CancellationToken,
}

/// Starts the listener.
pub(crate) fn start(
    options: PgConnectOptions,
    database: PgPool,
    config: &Config,
    cancellation: CancellationToken,
) -> (Hub, JoinHandle<()>) {
    let (sender, newest) = watch::channel(None);
    let hub =
        Hub { newest, streams: Arc::new(Semaphore::new(config.max_streams.get())), cancellation: cancellation.clone() };
    let task = tokio::spawn(async move {
        cancellation.run_until_cancelled(listen(options, database, sender)).await;
    });
    (hub, task)
}

async fn listen(options: PgConnectOptions, database: PgPool, sender: watch::Sender<Option<Arc<str>>>) {
    loop {
        if let Err(error) = follow(&options, &database, &sender).await {
            tracing::debug!(%error, "no events from Postgres; trying again");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn follow(
    options: &PgConnectOptions,
    database: &PgPool,
    sender: &watch::Sender<Option<Arc<str>>>,
) -> Result<(), sqlx::Error> {
    // A pool of its own: a listener holds its connection for ever.
    let pool = PgPoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        match overview::read(database).await {
            Ok(Some(overview)) => {
                let text = serde_json::to_string(&overview).map_err(|e| sqlx::Error::Encode(Box::new(e)))?;
                sender.send_if_modified(|newest| {
                    let changed = newest.as_deref() != Some(text.as_str());
                    if changed {
                        *newest = Some(text.into());
                    }
                    changed
                });
            }
            Ok(None) => {}
            Err(error) if error.as_database_error().is_some() => tracing::debug!(%error, "no overview yet"),
            Err(error) => return Err(error),
        }
        tokio::time::sleep(PACE).await;
        // One notification is enough to read again; those that came meanwhile are told by the same reading.
        if let Ok(outcome) = tokio::time::timeout(SILENCE, listener.recv()).await {
            outcome?;
        }
        while listener.next_buffered().is_some() {}
    }
}

/// Overviews as they change: event `overview`, the data is the JSON of `/v1/overview`'s `data`.
#[utoipa::path(get, path = "/v1/events", tag = "live", responses(
    (status = 200, description = "Server-sent events `overview`: the data of /v1/overview, whenever it changes (at most five a second)",
     content_type = "text/event-stream", body = overview::Overview),
    (status = 503, description = "Too many streams", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn stream(State(app): State<App>) -> Response {
    let hub = app.hub;
    let Ok(permit) = Arc::clone(&hub.streams).try_acquire_owned() else {
        return Problem::busy("event streams").into_response();
    };
    let mut response = Sse::new(overviews(hub, permit)).keep_alive(KeepAlive::default()).into_response();
    // Proxies must not hold events back.
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    response
}

fn overviews(hub: Hub, permit: OwnedSemaphorePermit) -> impl Stream<Item = Result<Event, Infallible>> {
    let ended = hub.cancellation.clone().cancelled_owned();
    WatchStream::new(hub.newest)
        .filter_map(move |newest| {
            // The permit lives as long as the stream.
            let _held = &permit;
            let event = newest.map(|text| Ok(Event::default().event("overview").data(&*text)));
            futures::future::ready(event)
        })
        .take_until(ended)
}
