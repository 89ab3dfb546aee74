//! Blob commitments, and where they are computed.
//!
//! A commitment takes tens of milliseconds, a sidecar's proofs hundreds, and sequencing must not wait for either: posting has
//! minutes, a block has milliseconds. So both run on threads of their own at a lower priority.

use alloy::{
    eips::eip4844::{env_settings::EnvKzgSettings, kzg_to_versioned_hash},
    primitives::B256,
};
use rustix::process::{getpriority_process, setpriority_process};
use std::thread;
use tokio::sync::oneshot;

/// How much more than the process the threads give way (Unix niceness): they get a third of what sequencing gets while both want a core.
const NICER: i32 = 5;
/// The most there is.
const NICEST: i32 = 19;

/// The versioned hash of a blob; `None` if the bytes are no valid blob. Takes some tens of milliseconds: see [`in_background`].
pub fn versioned_hash(blob: &[u8]) -> Option<B256> {
    let blob = c_kzg::Blob::from_bytes(blob).ok()?;
    let commitment = EnvKzgSettings::Default.get().blob_to_kzg_commitment(&blob).ok()?;
    Some(kzg_to_versioned_hash(commitment.to_bytes().as_slice()))
}

/// Runs `work` on a thread of lower priority. `None` if the thread could not be started, or `work` panicked.
pub async fn in_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (result, receiver) = oneshot::channel();
    let body = move || {
        // Of the calling thread alone. Where it is not allowed, the work is merely done sooner.
        let lowered =
            getpriority_process(None).and_then(|own| setpriority_process(None, own.saturating_add(NICER).min(NICEST)));
        if let Err(error) = lowered {
            tracing::debug!(%error, "a background thread keeps its priority");
        }
        let _ = result.send(work());
    };
    if let Err(error) = thread::Builder::new().name("background".into()).spawn(body) {
        tracing::error!(%error, "no thread for blob commitments");
        return None;
    }
    receiver.await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn background_work_gives_way_and_its_panic_is_an_answer() {
        let own = getpriority_process(None).unwrap();
        let niceness = in_background(|| getpriority_process(None)).await;
        assert_eq!(niceness, Some(Ok((own + NICER).min(NICEST))));
        assert_eq!(getpriority_process(None), Ok(own), "only that thread");
        assert_eq!(in_background(|| panic!("expected by this test")).await, None::<()>);
    }
}
