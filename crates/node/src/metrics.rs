//! What the node measures, for Prometheus at `/metrics`.

use crate::error::NodeError;
use axum::{Router, http::header, response::IntoResponse, routing::get};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::{net::SocketAddr, sync::OnceLock, time::Duration};
use tokio_util::sync::CancellationToken;

/// Upper bounds of the buckets of every histogram in seconds.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// How often old samples are folded away.
const UPKEEP: Duration = Duration::from_secs(5);

/// The recorder is one per process, like the counters it holds.
static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Starts to record; what was counted before is lost, so this comes first.
pub(crate) fn record() -> Option<PrometheusHandle> {
    let install = || {
        let builder = PrometheusBuilder::new();
        let builder = builder.set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS).ok()?;
        let recorder = builder.install_recorder().ok()?;
        count_panics();
        Some(recorder)
    };
    RECORDER.get_or_init(install).clone()
}

/// A panic ends only the task that it is in: the count says that there was one.
fn count_panics() {
    let panics = metrics::counter!("baton_panics_total");
    let show = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        panics.increment(1);
        show(panic);
    }));
}

/// Serves `/metrics` until `stop`.
///
/// # Errors
/// If the address cannot be had.
pub(crate) async fn serve(
    address: SocketAddr,
    recorder: PrometheusHandle,
    stop: CancellationToken,
) -> Result<impl Future<Output = ()>, NodeError> {
    let listener = crate::run::listen("metrics", "metrics.addr", address).await?;
    let shown = recorder.clone();
    let page = move || {
        let text = shown.render();
        async move { ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response() }
    };
    let router = Router::new().route("/metrics", get(page));
    Ok(async move {
        let upkeep = async {
            loop {
                tokio::time::sleep(UPKEEP).await;
                recorder.run_upkeep();
            }
        };
        let server = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
        tokio::select! {
            _ = server => {}
            () = upkeep => {}
        }
    })
}
