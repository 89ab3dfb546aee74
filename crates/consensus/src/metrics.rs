//! Numbers for dashboards and alerts.

use crate::{
    ingress::Topic,
    status::{Role, Status},
};

/// Gauges of the status, set once a second: `consensus_epoch`, `consensus_view`, `consensus_final_height`,
/// `consensus_tip_height` (above the former while this node catches up), `consensus_peers`, `consensus_signs` (1 while this
/// node's key votes).
#[allow(clippy::cast_precision_loss)] // Heights and epochs stay far below 2^53.
pub(crate) fn record(status: &Status) {
    metrics::gauge!("consensus_epoch").set(status.epoch.get() as f64);
    metrics::gauge!("consensus_view").set(status.view.get() as f64);
    metrics::gauge!("consensus_final_height").set(status.last_final.0.get() as f64);
    metrics::gauge!("consensus_tip_height").set(status.tip.get() as f64);
    metrics::gauge!("consensus_peers").set(status.peers as f64);
    metrics::gauge!("consensus_signs").set(f64::from(u8::from(status.role == Role::Signer)));
}

/// `consensus_incoming_dropped_total{topic}`: messages of members for which the reading actor had no room.
pub(crate) fn dropped(topic: Topic) {
    metrics::counter!("consensus_incoming_dropped_total", "topic" => topic.name()).increment(1);
}

/// `consensus_evidence_total`: contradictions seen.
pub(crate) fn evidence() {
    metrics::counter!("consensus_evidence_total").increment(1);
}
