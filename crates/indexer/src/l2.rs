//! Follows L2: final blocks of a node's feed, in order, checked against their own hashes.
//!
//! ```text
//! node: block + receipts (several at a time) -> rows::l2 (hash, roots, senders) -> parent = cursor? -> one transaction
//! ```
//! What a node serves is final by its word alone; the views call it `posted` only once L1 accepted a batch that ends in the
//! same hash, and `settled` when that L1 block is finalized.

use crate::{
    Config, Database, IndexerError,
    database::{self, Backoff, Cursor, Head},
    endpoint::Endpoint,
    metrics::{self, Chain},
    rows::l2::{L2Block, block},
    table::{Rows, as_int},
    terms::Terms,
    tries::Tries,
};
use alloy::{eips::BlockNumberOrTag, primitives::B256, providers::Provider as _};
use baton_primitives::Parameters;
use futures::{StreamExt as _, TryStreamExt as _};
use op_alloy_network::Optimism;
use sqlx::Row as _;
use std::{ops::RangeInclusive, time::Instant};
use tokio_util::sync::CancellationToken;

/// Blocks in one transaction while catching up: bounds memory and the work that a failure repeats.
const CHUNK: u64 = 64;

/// Follows L2 until cancelled; only fatal errors come back.
pub(crate) async fn follow(
    config: &Config,
    database: &Database,
    terms: &Terms,
    cancellation: &CancellationToken,
) -> Result<(), IndexerError> {
    let mut tries = Tries::new(Chain::L2, &config.l2_urls);
    while let Some(url) = tries.url() {
        let error = match Endpoint::connect(url, config.deployment.parameters.l2_chain_id, config.l2_poll).await {
            Ok(endpoint) => {
                let parameters = config.parameters();
                Follower { config, parameters, database, terms, endpoint, cursor: None }.run(&mut tries.backoff).await
            }
            Err(error) => error,
        };
        tries.after(error, config, database, terms, cancellation).await?;
    }
    Ok(())
}

struct Follower<'a> {
    config: &'a Config,
    parameters: Parameters,
    database: &'a Database,
    terms: &'a Terms,
    endpoint: Endpoint<Optimism>,
    cursor: Option<Cursor>,
}

impl Follower<'_> {
    /// Runs until something fails.
    async fn run(mut self, backoff: &mut Backoff) -> IndexerError {
        if let Err(error) = self.check_genesis().await {
            return error;
        }
        loop {
            if let Err(error) = self.catch_up().await {
                return error;
            }
            backoff.reset();
            self.endpoint.news().await;
        }
    }

    async fn check_genesis(&self) -> Result<(), IndexerError> {
        let expected = self.config.deployment.genesis.block_hash;
        match self.endpoint.hash_at(0).await? {
            Some(hash) if hash == expected => Ok(()),
            other => Err(self.endpoint.wrong(0, format!("the genesis is {other:?}, the deployment's is {expected}"))),
        }
    }

    async fn catch_up(&mut self) -> Result<(), IndexerError> {
        let mut connection = self.database.acquire().await?;
        self.cursor = database::cursor(Chain::L2, &mut connection).await?;
        drop(connection);
        loop {
            let number = self.endpoint.ask(|p| async move { p.get_block_number().await }).await?;
            let finalized = self
                .endpoint
                .ask(|p| async move { p.get_block_by_number(BlockNumberOrTag::Finalized).await })
                .await
                .ok()
                .flatten()
                .map_or(0, |block| block.header.number);
            let head = Head { number, finalized: finalized.min(number) };
            while self.step(head).await? {}
            if self.cursor.is_none_or(|c| c.number >= head.number) {
                return Ok(());
            }
        }
    }

    /// One transaction's worth of progress; false when there is nothing left to do below `head`.
    async fn step(&mut self, head: Head) -> Result<bool, IndexerError> {
        let next = self.cursor.map_or(0, |c| c.number + 1);
        if next > head.number {
            return Ok(false);
        }
        let begin = Instant::now();
        let last = head.number.min(next.saturating_add(CHUNK - 1));
        let blocks = range(&self.endpoint, &self.parameters, next..=last, self.config.concurrency.get()).await?;
        if let (Some(first), Some(cursor)) = (blocks.first(), self.cursor)
            && first.parent != cursor.hash
        {
            self.revert(cursor, head).await?;
            return Ok(true);
        }
        if let Some(pair) = blocks.windows(2).find(|pair| pair[1].parent != pair[0].hash) {
            return Err(self.endpoint.wrong(pair[1].number, "its parent is not the block before it"));
        }
        self.compare_batches(&blocks).await?;
        let Some(end) = blocks.last() else { return Ok(false) };
        let (to, time) = (Cursor { number: end.number, hash: end.hash }, end.time_millis);
        let mut all = Rows::default();
        for block in blocks {
            all.append(block.rows);
        }
        let count = all.len();
        database::commit(self.database, Chain::L2, self.cursor, to, head, all, self.terms).await?;
        self.cursor = Some(to);
        metrics::committed(Chain::L2, to.number, head.number, time, count, begin.elapsed());
        tracing::trace!(block = to.number, rows = count, "L2 written");
        Ok(true)
    }

    /// Refuses blocks that contradict a batch which L1 accepted.
    async fn compare_batches(&self, blocks: &[L2Block]) -> Result<(), IndexerError> {
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else { return Ok(()) };
        let rows = sqlx::query(
            "SELECT batch, last_height, last_block::bytea AS last_block FROM chain.batches WHERE last_height BETWEEN $1 AND $2",
        )
        .bind(as_int(first.number)?)
        .bind(as_int(last.number)?)
        .fetch_all(self.database)
        .await?;
        for row in rows {
            let height = crate::table::from_int(row.try_get("last_height")?);
            let posted = database::hash(&row, "last_block")?;
            let ours = blocks.iter().find(|b| b.number == height).map_or(B256::ZERO, |b| b.hash);
            if ours != posted {
                let batch = crate::table::from_int(row.try_get("batch")?);
                return Err(IndexerError::Diverged { batch, height, posted, ours });
            }
        }
        Ok(())
    }

    async fn revert(&mut self, cursor: Cursor, head: Head) -> Result<(), IndexerError> {
        let fork = self.endpoint.fork_point(Chain::L2, cursor, self.database).await?;
        // Only a recovery that lost block bodies may drop a final block (promise P1).
        tracing::error!(
            from = cursor.number,
            to = fork.map(|f| f.number),
            "final L2 blocks were replaced: the rows of the dropped ones are deleted"
        );
        database::revert(self.database, Chain::L2, cursor, fork, head, self.terms).await?;
        self.cursor = fork;
        Ok(())
    }
}

/// Blocks of a node, each consistent with its own hash. They may not fit each other if the node changed its mind meanwhile.
pub(crate) async fn range(
    endpoint: &Endpoint<Optimism>,
    parameters: &Parameters,
    numbers: RangeInclusive<u64>,
    concurrency: usize,
) -> Result<Vec<L2Block>, IndexerError> {
    futures::stream::iter(numbers)
        .map(|number| async move {
            let fetched = endpoint.ask(|p| async move { p.get_block_by_number(number.into()).full().await }).await?;
            let fetched = fetched.ok_or_else(|| endpoint.wrong(number, "a block below the head is missing"))?;
            let hash = fetched.header.hash;
            let receipts = endpoint.ask(|p| async move { p.get_block_receipts(hash.into()).await }).await?;
            let receipts = receipts.ok_or_else(|| endpoint.wrong(number, "its receipts are missing"))?;
            block(fetched, receipts, parameters, |what| endpoint.wrong(number, what))
        })
        .buffered(concurrency)
        .try_collect()
        .await
}
