//! Accepts connections, counts them, and routes what comes over them.
//!
//! ```text
//! TCP -> permit (or 503) -> hyper -> host check -> / POST   http.rs -> context.rs -> methods/
//!                                                  / GET    ws.rs   -> context.rs, subscriptions
//!                                                  /feed    feed.rs
//!                                                  /health, /ready
//! ```

use crate::{
    config::{Allow, Config},
    context::Context,
    feed, http as over_http,
    io::{Stream, is_stalled},
    ports::Backend,
    unread::Account,
    ws,
};
use axum::{
    Json, Router,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use std::{convert::Infallible, io, net::IpAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tower_http::{
    compression::{CompressionLayer, predicate::SizeAbove},
    cors::{AllowOrigin, Any, CorsLayer},
};

/// Smallest answer that is worth compressing.
const COMPRESS_ABOVE: u16 = 1_024;
/// Time that open connections get to finish when the server stops.
const DRAIN: Duration = Duration::from_secs(2);
/// Connections that are told at a time that there are too many.
const MAX_REFUSALS: usize = 32;

/// The JSON-RPC server. Construction starts nothing.
pub struct Server<B> {
    app: App<B>,
}

/// What every route shares.
pub(crate) struct App<B> {
    pub(crate) context: Arc<Context<B>>,
    pub(crate) stop: CancellationToken,
    pub(crate) feeds: Arc<Semaphore>,
    /// Upgraded connections, which outlive hyper's.
    pub(crate) tracker: TaskTracker,
}

impl<B> Clone for App<B> {
    fn clone(&self) -> Self {
        Self {
            context: Arc::clone(&self.context),
            stop: self.stop.clone(),
            feeds: Arc::clone(&self.feeds),
            tracker: self.tracker.clone(),
        }
    }
}

/// A connection's place among those allowed; held as long as anything of it lives.
#[derive(Clone)]
pub(crate) struct Place {
    _permit: Arc<OwnedSemaphorePermit>,
    pub(crate) account: Arc<Account>,
}

/// Counts something open in a gauge for as long as it lives, however it ends.
pub(crate) struct Open(metrics::Gauge);

impl Open {
    pub(crate) fn count(gauge: metrics::Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl<B: Backend> Server<B> {
    /// Joins configuration and backend. Metrics go to the recorder that is installed at this time.
    pub fn new(config: Config, backend: Arc<B>) -> Self {
        let feeds = Arc::new(Semaphore::new(config.max_feeds));
        let context = Arc::new(Context::new(config, backend));
        Self { app: App { context, stop: CancellationToken::new(), feeds, tracker: TaskTracker::new() } }
    }

    /// Answers one body as a POST of it would be, without a socket; `None` where there is nothing to say.
    pub async fn answer(&self, body: &[u8]) -> Option<Vec<u8>> {
        self.app.context.answer(body).await
    }

    /// Serves until `stop`, then gives open connections a moment to finish. It also ends if it can serve no
    /// longer.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let stop = stop.child_token();
        let app = App { stop: stop.clone(), ..self.app };
        let router = router(&app);
        let mut hub = tokio::spawn({
            let (context, stop) = (Arc::clone(&app.context), stop.clone());
            // Subscribed before the first request, so that no head is missed.
            let heads = context.backend.subscribe();
            async move {
                let sweep = || context.filters.sweep();
                context.hub.run(context.backend.as_ref(), heads, sweep, stop).await;
            }
        });
        let config = &app.context.config;
        let places = Arc::new(Semaphore::new(config.max_connections));
        let refusals = Arc::new(Semaphore::new(MAX_REFUSALS));
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                ended = &mut hub => {
                    // Without heads, subscriptions and waits would hang: the caller of this must know.
                    if !stop.is_cancelled() {
                        tracing::error!(?ended, "the reader of the chain's heads has ended, so JSON-RPC ends");
                    }
                    stop.cancel();
                    break;
                }
                accepted = listener.accept() => accepted,
            };
            let socket = match accepted {
                Ok((socket, _)) => socket,
                Err(error) => {
                    // Out of file descriptors, mostly: the listener stays, so wait for some to be closed.
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(Duration::from_millis(20)).await;
                    continue;
                }
            };
            let _ = socket.set_nodelay(true);
            match Arc::clone(&places).try_acquire_owned() {
                Ok(permit) => {
                    let place = Place { _permit: Arc::new(permit), account: app.context.unread.account() };
                    app.tracker.spawn(connection(socket, place, router.clone(), app.clone()));
                }
                Err(_) => {
                    if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
                        let limit = config.max_connections;
                        app.tracker.spawn(async move {
                            let _ = timeout(Duration::from_secs(1), refuse(socket, limit)).await;
                            drop(permit);
                        });
                    }
                }
            }
        }
        drop(listener);
        app.tracker.close();
        if timeout(DRAIN, app.tracker.wait()).await.is_err() {
            tracing::debug!(open = app.tracker.len(), "connections were cut off");
        }
        if !hub.is_finished() {
            let _ = hub.await;
        }
    }
}

fn router<B: Backend>(app: &App<B>) -> Router {
    let config = &app.context.config;
    let mut router = Router::new()
        .route("/", post(over_http::post::<B>).get(ws::upgrade::<B>))
        .route("/feed", get(feed::upgrade::<B>))
        .route("/health", get(|| async { Json(json!({ "status": "ok" })) }))
        .route("/ready", get(ready::<B>))
        .with_state(app.clone());
    if config.gzip {
        router = router.layer(CompressionLayer::new().compress_when(SizeAbove::new(COMPRESS_ABOVE)));
    }
    let origin = match &config.cors {
        Allow::Any => AllowOrigin::from(Any),
        Allow::Only(origins) => AllowOrigin::list(origins.iter().filter_map(|o| HeaderValue::from_str(o).ok())),
    };
    let cors = CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::POST, Method::GET, Method::OPTIONS])
        .allow_headers([header::CONTENT_TYPE])
        .max_age(Duration::from_secs(600));
    router.layer(cors)
}

async fn ready<B: Backend>(State(app): State<App<B>>) -> Response {
    let status = app.context.backend.sync_status();
    if status.synced {
        return Json(json!({ "status": "ready", "height": status.latest_l2.number })).into_response();
    }
    let reason = status.reason.unwrap_or_else(|| "catching up".into());
    let body = json!({
        "status": "not ready",
        "reason": reason,
        "height": status.latest_l2.number,
        "target": status.target_l2,
    });
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

async fn connection<B: Backend>(socket: TcpStream, place: Place, router: Router, app: App<B>) {
    let config = &app.context.config;
    let _open = Open::count(metrics::gauge!("baton_rpc_connections"));
    let cut = place.account.cut.clone();
    let service = service_fn(|mut request: Request<Incoming>| {
        let allowed = host_allowed(&config.hosts, request.headers());
        request.extensions_mut().insert(place.clone());
        let (router, app) = (router.clone(), app.clone());
        async move {
            if !allowed {
                let text = "invalid host specified: add it to the allowed hosts\n";
                return Ok((StatusCode::FORBIDDEN, text).into_response());
            }
            let request = request.map(Body::new);
            if is_plain_call(&request) {
                return Ok(over_http::post(State(app), request).await);
            }
            router.oneshot(request).await as Result<Response, Infallible>
        }
    });
    let io = TokioIo::new(Stream::new(socket, config.write_timeout));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(config.read_timeout);
    let mut connection = std::pin::pin!(builder.serve_connection(io, service).with_upgrades());
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = app.stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = cut.cancelled() => {
            metrics::counter!("baton_rpc_slow_consumers_total").increment(1);
            return;
        }
    };
    if let Err(error) = result {
        if is_stalled(&error) {
            metrics::counter!("baton_rpc_slow_consumers_total").increment(1);
        }
        tracing::trace!(%error, "a connection ended badly");
    }
}

/// Tells one caller too many so, and closes without losing the answer to a reset.
pub(crate) async fn refuse(mut socket: TcpStream, limit: usize) -> io::Result<()> {
    let error = json!({
        "jsonrpc": "2.0",
        "id": null,
        "error": { "code": -32005, "message": format!("too many connections: limit {limit}; retry later, or reuse one") },
    });
    let body = error.to_string();
    let head =
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n";
    socket.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await?;
    socket.shutdown().await?;
    let mut sink = [0; 4_096];
    let mut read = 0;
    // What the caller has sent is read and dropped, up to a little.
    while read < 65_536 {
        match socket.read(&mut sink).await? {
            0 => break,
            n => read += n,
        }
    }
    Ok(())
}

/// Whether a request wants nothing that the router adds: neither another path, nor CORS for a page, nor compression. Most calls
/// are such, and pass it by.
fn is_plain_call<T>(request: &Request<T>) -> bool {
    let headers = request.headers();
    request.method() == Method::POST
        && request.uri().path() == "/"
        && !headers.contains_key(header::ORIGIN)
        && !headers.contains_key(header::ACCEPT_ENCODING)
}

/// Whether a request may name this host. IP addresses cannot be rebound by DNS.
fn host_allowed(allowed: &Allow, headers: &HeaderMap) -> bool {
    let Allow::Only(allowed) = allowed else { return true };
    let Some(host) = headers.get(header::HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(v6),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.parse::<IpAddr>().is_ok() || allowed.iter().any(|a| a.eq_ignore_ascii_case(name) || a == "*")
}

/// Whether a page of this origin may open WebSockets. Clients that are no browsers send no origin.
pub(crate) fn origin_allowed(allowed: &Allow, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    match allowed {
        Allow::Any => true,
        Allow::Only(origins) => origin.to_str().is_ok_and(|o| origins.iter().any(|a| a.eq_ignore_ascii_case(o))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::HOST, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn what_is_open_is_counted_until_it_ends_also_by_a_panic() {
        struct Count(std::sync::Mutex<f64>);
        impl metrics::GaugeFn for Count {
            fn increment(&self, value: f64) {
                *self.0.lock().unwrap() += value;
            }
            fn decrement(&self, value: f64) {
                *self.0.lock().unwrap() -= value;
            }
            fn set(&self, value: f64) {
                *self.0.lock().unwrap() = value;
            }
        }
        let count = Arc::new(Count(std::sync::Mutex::new(0.0)));
        let session = {
            let count = Arc::clone(&count);
            std::thread::spawn(move || {
                let _open = Open::count(metrics::Gauge::from_arc(Arc::clone(&count)));
                assert!(*count.0.lock().unwrap() < 1.0, "as a session with a fault ends");
            })
        };
        assert!(session.join().is_err());
        let left = count.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        assert!(left.abs() < 0.5, "{left}");
    }

    #[test]
    fn only_named_hosts_and_addresses_are_answered() {
        let allowed = Allow::Only(vec!["localhost".into(), "Node.Example".into()]);
        for good in ["localhost:8545", "LOCALHOST", "127.0.0.1:1", "[::1]:8545", "[::1]", "node.example:80"] {
            assert!(host_allowed(&allowed, &host(good)), "{good}");
        }
        for bad in ["evil.example", "localhost.evil.example:8545", "127.0.0.1.evil.example"] {
            assert!(!host_allowed(&allowed, &host(bad)), "{bad}");
        }
        assert!(host_allowed(&allowed, &HeaderMap::new()));
        assert!(host_allowed(&Allow::Any, &host("evil.example")));
    }
}
