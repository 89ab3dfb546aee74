//! Binding, serving, stopping.

use crate::{ApiError, Config, error::Problem, events, limits, openapi, page, routes};
use axum::{Router, middleware, routing::get};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{net::SocketAddr, str::FromStr as _, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    cors::{Any, CorsLayer},
};

/// How long open connections may finish after cancellation.
const DRAIN: Duration = Duration::from_secs(2);
/// How long a request waits for a connection to Postgres.
const ACQUIRE: Duration = Duration::from_secs(3);

/// What handlers share.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) database: PgPool,
    pub(crate) requests: Arc<Semaphore>,
    pub(crate) hub: events::Hub,
}

/// An API that listens but does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    config: Config,
    options: PgConnectOptions,
}

impl Server {
    /// Takes the port. Postgres is connected to at the first request.
    ///
    /// # Errors
    /// If the port is taken or the database URL malformed.
    pub async fn bind(config: Config) -> Result<Self, ApiError> {
        let options = PgConnectOptions::from_str(&config.database_url).map_err(ApiError::DatabaseUrl)?;
        let options = options.application_name("baton-api").options([
            ("default_transaction_read_only", "on".to_owned()),
            ("statement_timeout", config.statement_timeout.as_millis().to_string()),
        ]);
        let address = config.listen;
        let listener = TcpListener::bind(address).await.map_err(|source| ApiError::Listen { address, source })?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, config, options })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `cancellation`; open requests get two seconds more.
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn run(self, cancellation: CancellationToken) -> Result<(), ApiError> {
        let database = PgPoolOptions::new()
            .max_connections(u32::try_from(self.config.max_connections.get()).unwrap_or(u32::MAX))
            .acquire_timeout(ACQUIRE)
            .connect_lazy_with(self.options.clone());
        let (hub, listening) = events::start(self.options, database.clone(), &self.config, cancellation.clone());
        let app =
            App { database: database.clone(), requests: Arc::new(Semaphore::new(self.config.max_requests.get())), hub };
        let stopping = cancellation.clone();
        let serving = axum::serve(self.listener, router(app))
            .with_graceful_shutdown(async move { stopping.cancelled().await })
            .into_future();
        let drained = async {
            cancellation.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        let outcome = tokio::select! {
            outcome = serving => outcome,
            () = drained => Ok(()),
        };
        cancellation.cancel();
        if let Err(error) = listening.await {
            tracing::error!(%error, "the event listener failed");
        }
        database.close().await;
        Ok(outcome?)
    }
}

/// Binds and runs.
///
/// # Errors
/// As [`Server::bind`] and [`Server::run`].
pub async fn serve(config: Config, cancellation: CancellationToken) -> Result<(), ApiError> {
    let server = Server::bind(config).await?;
    tracing::info!(address = %server.address(), "API and page");
    server.run(cancellation).await
}

fn router(app: App) -> Router {
    let bounded = routes::router()
        .route("/v1/openapi.json", get(openapi::serve))
        .layer(middleware::from_fn_with_state(app.clone(), limits::bounded))
        .layer(CompressionLayer::new());
    Router::new()
        .merge(bounded)
        .route("/v1/events", get(events::stream))
        .merge(page::router())
        .fallback(|| async {
            Problem::missing("There is no such path.", "Read /v1/openapi.json, or open / in a browser.")
        })
        .layer(CatchPanicLayer::new())
        .layer(CorsLayer::new().allow_origin(Any).allow_methods([axum::http::Method::GET]))
        .layer(middleware::from_fn(limits::headers))
        .with_state(app)
}
