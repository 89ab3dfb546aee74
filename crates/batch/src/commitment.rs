//! Blob commitments, and where they are computed.
//!
//! A commitment takes tens of milliseconds, a sidecar's proofs hundreds, and sequencing must not wait for either: posting has
//! minutes, a block has milliseconds. So both run on threads of their own at a lower priority; and who signs a batch does not
//! commit again but checks the poster's [`Opening`]s, which costs a twentieth.

use alloy::{
    eips::{
        eip4844::{AsCkzg as _, Blob, Bytes48 as PlainBytes48, kzg_to_versioned_hash},
        eip7594::BlobTransactionSidecarEip7594,
    },
    primitives::B256,
};
use c_kzg::{Bytes48, KzgSettings};
use rustix::process::{getpriority_process, setpriority_process};
use std::{sync::Arc, thread};
use tokio::sync::oneshot;

/// How much more than the process the threads give way (Unix niceness): they get a third of what sequencing gets while both want a core.
const NICER: i32 = 5;
/// The most there is.
const NICEST: i32 = 19;

/// Windows of this many bits are computed ahead for cell proofs. A blob's take 236 ms with 4, 179 with 6 (19 MB more), 158 with the
/// library's usual 8 (93 MB and half a second more).
const PRECOMPUTE: u64 = 6;

/// A blob and its KZG commitment. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedBlob {
    /// The blob.
    pub blob: Arc<Blob>,
    /// The commitment, a compressed point of G1.
    pub commitment: [u8; 48],
}

impl CommittedBlob {
    /// What L1 calls the blob.
    pub fn versioned_hash(&self) -> B256 {
        kzg_to_versioned_hash(&self.commitment)
    }
}

/// A blob's commitment, and the proof that it is (EIP-4844): whoever has the blob checks it without committing again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The KZG commitment, a compressed point of G1.
    pub commitment: [u8; 48],
    /// The KZG proof at the point that the blob and the commitment give.
    pub proof: [u8; 48],
}

impl Opening {
    /// Bytes of [`Self::to_bytes`].
    pub const LENGTH: usize = 96;

    /// Commitment, then proof.
    pub fn to_bytes(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        let (commitment, proof) = bytes.split_at_mut(48);
        commitment.copy_from_slice(&self.commitment);
        proof.copy_from_slice(&self.proof);
        bytes
    }

    /// Inverse of [`Self::to_bytes`]; nothing is checked before [`check_openings`].
    pub fn from_bytes(bytes: &[u8; Self::LENGTH]) -> Self {
        let (mut commitment, mut proof) = ([0; 48], [0; 48]);
        commitment.copy_from_slice(&bytes[..48]);
        proof.copy_from_slice(&bytes[48..]);
        Self { commitment, proof }
    }
}

/// Loaded by the first who needs it, which takes more than a second.
fn settings() -> &'static KzgSettings {
    c_kzg::ethereum_kzg_settings(PRECOMPUTE)
}

/// The versioned hash of a blob; `None` if the bytes are no valid blob. Takes some tens of milliseconds: see [`in_background`].
pub fn versioned_hash(blob: &[u8]) -> Option<B256> {
    let blob = c_kzg::Blob::from_bytes(blob).ok()?;
    let commitment = settings().blob_to_kzg_commitment(&blob).ok()?;
    Some(kzg_to_versioned_hash(commitment.to_bytes().as_slice()))
}

/// Commits to a blob; `None` if the bytes are no valid blob. Takes some tens of milliseconds: see [`in_background`].
pub fn commit(blob: Blob) -> Option<CommittedBlob> {
    let blob = Arc::new(blob);
    let commitment = settings().blob_to_kzg_commitment(blob.as_ckzg()).ok()?;
    Some(CommittedBlob { blob, commitment: commitment.to_bytes().into_inner() })
}

/// Proves the commitment to who must not commit again; `None` if the bytes are no valid blob. Takes some tens of milliseconds.
pub fn open(committed: &CommittedBlob) -> Option<Opening> {
    let CommittedBlob { blob, commitment } = committed;
    let proof = settings().compute_blob_kzg_proof(blob.as_ckzg(), &Bytes48::new(*commitment)).ok()?.to_bytes();
    Some(Opening { commitment: *commitment, proof: proof.into_inner() })
}

/// Whether there is one opening for each blob and each belongs to its blob. Takes some milliseconds a blob.
pub fn check_openings(blobs: &[Blob], openings: &[Opening]) -> bool {
    let commitments: Vec<_> = openings.iter().map(|opening| Bytes48::new(opening.commitment)).collect();
    let proofs: Vec<_> = openings.iter().map(|opening| Bytes48::new(opening.proof)).collect();
    settings().verify_blob_kzg_proof_batch(Blob::slice_as_ckzg(blobs), &commitments, &proofs).unwrap_or(false)
}

/// What a blob transaction carries beside itself: blobs, commitments, proofs of all cells (EIP-7594). Takes about 200
/// milliseconds a blob: see [`in_background`].
///
/// # Errors
/// If a blob is not valid.
pub fn sidecar(committed: &[CommittedBlob]) -> Result<BlobTransactionSidecarEip7594, c_kzg::Error> {
    let mut proofs = Vec::with_capacity(committed.len() * c_kzg::CELLS_PER_EXT_BLOB);
    for CommittedBlob { blob, .. } in committed {
        let (_, more) = settings().compute_cells_and_kzg_proofs(blob.as_ckzg())?;
        proofs.extend(more.iter().map(|proof| PlainBytes48::new(proof.to_bytes().into_inner())));
    }
    let commitments = committed.iter().map(|it| PlainBytes48::new(it.commitment)).collect();
    let blobs = committed.iter().map(|it| *it.blob).collect();
    Ok(BlobTransactionSidecarEip7594::new(blobs, commitments, proofs))
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

    #[test]
    fn an_opening_belongs_to_its_blob_alone() {
        // Of a constant polynomial every proof is the point at infinity: these are none.
        let blobs = [1, 2].map(|byte| {
            let mut blob = Blob::repeat_byte(byte);
            blob[1] = 9;
            blob
        });
        let committed: Vec<_> = blobs.iter().map(|blob| commit(*blob).unwrap()).collect();
        let openings: Vec<_> = committed.iter().map(|it| open(it).unwrap()).collect();
        assert!(check_openings(&blobs, &openings));
        for (it, opening) in committed.iter().zip(&openings) {
            assert_eq!(versioned_hash(it.blob.as_slice()), Some(it.versioned_hash()));
            assert_eq!(Opening::from_bytes(&opening.to_bytes()), *opening);
        }
        let swapped = [openings[1], openings[0]];
        let foreign_proof = [Opening { proof: openings[1].proof, ..openings[0] }, openings[1]];
        let no_point = [Opening { commitment: [0xff; 48], ..openings[0] }, openings[1]];
        for wrong in [swapped.as_slice(), &foreign_proof, &no_point, &openings[..1], &[]] {
            assert!(!check_openings(&blobs, wrong), "{wrong:?}");
        }
        assert!(!check_openings(&[Blob::repeat_byte(0xff)], &openings[..1]), "no field elements");
    }

    #[test]
    fn a_sidecar_is_the_one_that_the_blobs_alone_make() {
        let blobs: Vec<_> = [3, 4].map(Blob::repeat_byte).into();
        let committed: Vec<_> = blobs.iter().map(|blob| commit(*blob).unwrap()).collect();
        assert_eq!(sidecar(&committed).unwrap(), BlobTransactionSidecarEip7594::try_from_blobs(blobs).unwrap());
    }

    #[tokio::test]
    async fn background_work_gives_way_and_its_panic_is_an_answer() {
        let own = getpriority_process(None).unwrap();
        let niceness = in_background(|| getpriority_process(None)).await;
        assert_eq!(niceness, Some(Ok((own + NICER).min(NICEST))));
        assert_eq!(getpriority_process(None), Ok(own), "only that thread");
        assert_eq!(in_background(|| panic!("expected by this test")).await, None::<()>);
    }
}
