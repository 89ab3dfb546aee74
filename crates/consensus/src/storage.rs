//! What consensus keeps on disk, under one directory and one name per generation (and epoch, for votes).
//!
//! ```text
//! <generation>-marshal-*          final blocks and certificates by height; the cursor of what the chain took over
//! <generation>-votelog-<epoch>    the vote journal, in one file (see [`crate::votelog`]): synced before a vote leaves
//! <generation>-silentlog-<epoch>  the same of an epoch in which this key did not vote: never a proof of standing
//! ```

use crate::{
    Error,
    block::{Block, BlockLimit},
    digest::Digest,
    types::{Finalization, Scheme},
};
use baton_primitives::{Epoch, Generation, View};
use commonware_consensus::{Viewable, simplex::types::Artifact};
use commonware_cryptography::certificate::Verifier;
use commonware_runtime::{
    Clock, Error as RuntimeError, Metrics, ReadOptions, Spawner, Storage, buffer::paged::CacheRef,
};
use commonware_storage::{
    archive::prunable::{self, Archive},
    journal::segmented::variable::{self, Journal},
    translator::EightCap,
};
use commonware_utils::{NZU16, NZU64, NZUsize};
use rand_core::CryptoRng;
use std::{
    num::{NonZeroU64, NonZeroUsize},
    sync::Arc,
};

/// Items of one archive section, the grain of pruning. Fixed for the life of the data.
pub(crate) const SECTION: NonZeroU64 = NZU64!(16_384);
/// Buffers of journals and archives.
pub(crate) const WRITE_BUFFER: NonZeroUsize = NZUsize!(64 * 1024);
pub(crate) const REPLAY_BUFFER: NonZeroUsize = NZUsize!(1024 * 1024);

/// What the engine's parts ask of a runtime.
pub(crate) trait Env: Spawner + Clock + Storage + Metrics + CryptoRng {}

impl<E: Spawner + Clock + Storage + Metrics + CryptoRng> Env for E {}

/// The page cache that all parts share: 16 MB.
pub(crate) fn page_cache() -> CacheRef {
    CacheRef::new(NZU16!(4_084), NZUsize!(4_096))
}

/// Names of partitions.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// Empty but in the simulation, where all nodes share one storage.
    pub(crate) owner: String,
    pub(crate) generation: Generation,
}

impl Names {
    pub(crate) fn marshal(&self) -> String {
        format!("{}{}-marshal", self.owner, self.generation)
    }

    /// The vote journal of an epoch.
    pub(crate) fn votes(&self, epoch: Epoch) -> String {
        format!("{}{}-votelog-{epoch}", self.owner, self.generation)
    }

    /// The engine's journal of an epoch in which this key does not vote.
    pub(crate) fn silent(&self, epoch: Epoch) -> String {
        format!("{}{}-silentlog-{epoch}", self.owner, self.generation)
    }
}

/// The archives of final blocks and of their certificates.
pub(crate) async fn archives<E: Env>(
    context: &E,
    names: &Names,
    cache: &CacheRef,
    limit: BlockLimit,
) -> Result<(Archive<EightCap, E, Digest, Finalization>, Archive<EightCap, E, Digest, Arc<Block>>), Error> {
    let prefix = names.marshal();
    let config = |name: &str| prunable::Config {
        translator: EightCap,
        metadata_partition: format!("{prefix}-{name}-metadata"),
        key_partition: format!("{prefix}-{name}-key"),
        key_page_cache: cache.clone(),
        value_partition: format!("{prefix}-{name}-value"),
        compression: None,
        codec_config: (),
        items_per_section: SECTION,
        key_write_buffer: WRITE_BUFFER,
        value_write_buffer: WRITE_BUFFER,
        replay_buffer: REPLAY_BUFFER,
    };
    let fault = |e: commonware_storage::archive::Error| Error::Storage { what: "archive", reason: e.to_string() };
    let certificates = with_codec(config("certificates"), <Scheme as Verifier>::certificate_codec_config_unbounded());
    let certificates = Archive::init(context.child("certificates"), certificates).await.map_err(fault)?;
    let blocks =
        Archive::init(context.child("final_blocks"), with_codec(config("blocks"), limit)).await.map_err(fault)?;
    Ok((certificates, blocks))
}

fn with_codec<C>(config: prunable::Config<EightCap, ()>, codec_config: C) -> prunable::Config<EightCap, C> {
    prunable::Config {
        translator: config.translator,
        metadata_partition: config.metadata_partition,
        key_partition: config.key_partition,
        key_page_cache: config.key_page_cache,
        value_partition: config.value_partition,
        compression: config.compression,
        codec_config,
        items_per_section: config.items_per_section,
        key_write_buffer: config.key_write_buffer,
        value_write_buffer: config.value_write_buffer,
        replay_buffer: config.replay_buffer,
    }
}

/// The newest view in which the journal of an epoch holds a vote of this key: `None` without a journal, 0 without a vote.
///
/// # Errors
/// If the journal exists and cannot be read: then nobody knows what the key has signed.
pub(crate) async fn newest_vote<E: Env>(
    context: &E,
    names: &Names,
    epoch: Epoch,
    cache: &CacheRef,
) -> Result<Option<View>, Error> {
    let partition = names.votes(epoch);
    let fault = |reason: String| Error::Journal { epoch, reason };
    match context.scan(&partition).await {
        Ok(blobs) if blobs.is_empty() => return Ok(None),
        Ok(_) => {}
        Err(RuntimeError::PartitionMissing(_)) => return Ok(None),
        Err(e) => return Err(fault(e.to_string())),
    }
    let config = variable::Config {
        partition,
        compression: None,
        codec_config: <Scheme as Verifier>::certificate_codec_config_unbounded(),
        page_cache: cache.clone(),
        write_buffer: WRITE_BUFFER,
    };
    let journal = Journal::<_, Artifact<Scheme, Digest>>::init(context.child("journal_check"), config)
        .await
        .map_err(|e| fault(e.to_string()))?;
    let mut replay =
        journal.replay(0, 0, REPLAY_BUFFER, ReadOptions::DONT_CACHE).await.map_err(|e| fault(e.to_string()))?;
    let mut newest = View::ZERO;
    while let Some(entry) = replay.next().await {
        let (_, _, _, artifact) = entry.map_err(|e| fault(e.to_string()))?;
        if matches!(artifact, Artifact::Notarize(_) | Artifact::Nullify(_) | Artifact::Finalize(_)) {
            newest = newest.max(View::new(artifact.view().get()));
        }
    }
    Ok(Some(newest))
}

/// Removes the journals of an epoch that will never run again.
pub(crate) async fn forget<E: Env>(context: &E, names: &Names, epoch: Epoch) {
    for partition in [names.votes(epoch), names.silent(epoch)] {
        match context.remove(&partition, None).await {
            Ok(()) | Err(RuntimeError::PartitionMissing(_)) => {}
            Err(fault) => tracing::warn!(partition, %fault, "cannot remove an old journal"),
        }
    }
}
