//! Follows L1: events of Baton's contracts, block by block, with reverts.
//!
//! ```text
//! far below finality:  eth_getLogs over a range -> headers of the blocks that have any -> one transaction
//! near the head:       header (parent = cursor?) -> logs of exactly that hash -> one transaction
//!                      parent differs -> newest stored block the endpoint still has -> one deleting transaction
//! ```

mod fetch;

use crate::{
    Config, Database, IndexerError,
    database::{self, Backoff, Cursor, Head},
    endpoint::Endpoint,
    metrics::{self, Chain},
    rows::l1::{L1Block, rows},
    table::{Rows, as_int},
    terms::Terms,
    tries::Tries,
};
use alloy::{eips::BlockNumberOrTag, network::Ethereum, providers::Provider as _};
use sqlx::Row as _;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use fetch::{block_at, range};

/// Follows L1 until cancelled; only fatal errors come back.
pub(crate) async fn follow(
    config: &Config,
    database: &Database,
    terms: &Terms,
    cancellation: &CancellationToken,
) -> Result<(), IndexerError> {
    let mut tries = Tries::new(Chain::L1, &config.l1_urls);
    while let Some(url) = tries.url() {
        let error = match Endpoint::connect(url, config.deployment.l1_chain_id, config.l1_poll).await {
            Ok(endpoint) => Follower { config, database, terms, endpoint, cursor: None }.run(&mut tries.backoff).await,
            Err(error) => error,
        };
        tries.after(error, config, database, terms, cancellation).await?;
    }
    Ok(())
}

struct Follower<'a> {
    config: &'a Config,
    database: &'a Database,
    terms: &'a Terms,
    endpoint: Endpoint<Ethereum>,
    cursor: Option<Cursor>,
}

impl Follower<'_> {
    /// Runs until something fails.
    async fn run(mut self, backoff: &mut Backoff) -> IndexerError {
        loop {
            if let Err(error) = self.catch_up().await {
                return error;
            }
            backoff.reset();
            self.endpoint.news().await;
        }
    }

    /// Goes on until the cursor is at the endpoint's head.
    async fn catch_up(&mut self) -> Result<(), IndexerError> {
        let mut connection = self.database.acquire().await?;
        self.cursor = database::cursor(Chain::L1, &mut connection).await?;
        drop(connection);
        loop {
            let head = self.head().await?;
            let mut advanced = false;
            while self.step(head).await? {
                advanced = true;
            }
            // An endpoint that tells of a head it cannot serve is asked again with the next news.
            if !advanced || self.cursor.is_none_or(|c| c.number >= head.number) {
                return database::note_head(self.database, Chain::L1, head).await;
            }
        }
    }

    async fn head(&self) -> Result<Head, IndexerError> {
        let number = self.endpoint.ask(|p| async move { p.get_block_number().await }).await?;
        // An L1 that cannot tell finality has none yet.
        let finalized = self
            .endpoint
            .ask(|p| async move { p.get_block_by_number(BlockNumberOrTag::Finalized).await })
            .await
            .ok()
            .flatten()
            .map_or(0, |block| block.header.number);
        Ok(Head { number, finalized: finalized.min(number) })
    }

    /// One transaction's worth of progress; false when there is nothing left to do below `head`.
    async fn step(&mut self, head: Head) -> Result<bool, IndexerError> {
        let next = self.cursor.map_or(self.config.deployment.block, |c| c.number + 1);
        if let Some(cursor) = self.cursor {
            // An endpoint that is merely behind has the stored block at its own head.
            let checked = cursor.number.min(head.number);
            let mut connection = self.database.acquire().await?;
            let stored = database::block_hash(Chain::L1, checked, &mut connection).await?;
            drop(connection);
            if let (Some(stored), Some(hash)) = (stored, self.endpoint.hash_at(checked).await?)
                && stored != hash
            {
                self.revert(cursor, head).await?;
                return Ok(true);
            }
        }
        if next > head.number {
            return Ok(false);
        }
        let blocks = if next < head.finalized {
            let last = head.finalized.min(next.saturating_add(self.config.l1_range - 1));
            range(&self.endpoint, &self.config.deployment.addresses, next..=last, self.config.concurrency).await?
        } else {
            let Some(block) = block_at(&self.endpoint, &self.config.deployment.addresses, next).await? else {
                return Ok(false);
            };
            if let Some(cursor) = self.cursor.filter(|c| c.hash != block.parent) {
                self.revert(cursor, head).await?;
                return Ok(true);
            }
            vec![block]
        };
        self.commit(&blocks, head).await
    }

    async fn commit(&mut self, blocks: &[L1Block], head: Head) -> Result<bool, IndexerError> {
        let Some(last) = blocks.last() else { return Ok(false) };
        let begin = Instant::now();
        let mut all = Rows::default();
        for block in blocks {
            all.append(rows(block, &self.config.deployment.addresses)?);
        }
        let (count, batches) = (all.len(), all.of(&crate::rows::BATCHES).len());
        let to = Cursor { number: last.number, hash: last.hash };
        database::commit(self.database, Chain::L1, self.cursor, to, head, all, self.terms).await?;
        self.cursor = Some(to);
        metrics::committed(Chain::L1, to.number, head.number, last.timestamp * 1000, count, begin.elapsed());
        let events: usize = blocks.iter().map(|b| b.events.len()).sum();
        if events > 0 {
            tracing::debug!(block = last.number, events, rows = count, "L1 written");
        }
        if batches > 0 {
            self.compare_batches(blocks).await?;
        }
        Ok(true)
    }

    /// Says loudly when L1 accepted a batch that ends in another block than the node's feed did.
    async fn compare_batches(&self, blocks: &[L1Block]) -> Result<(), IndexerError> {
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else { return Ok(()) };
        let rows = sqlx::query(
            "SELECT b.batch, b.last_height, b.last_block::bytea AS posted, k.hash::bytea AS ours FROM chain.batches b \
             JOIN chain.blocks k ON k.number = b.last_height \
             WHERE b.l1_block BETWEEN $1 AND $2 AND k.hash <> b.last_block",
        )
        .bind(as_int(first.number)?)
        .bind(as_int(last.number)?)
        .fetch_all(self.database)
        .await?;
        for row in rows {
            let error = IndexerError::Diverged {
                batch: crate::table::from_int(row.try_get("batch")?),
                height: crate::table::from_int(row.try_get("last_height")?),
                posted: database::hash(&row, "posted")?,
                ours: database::hash(&row, "ours")?,
            };
            tracing::error!(%error, "L1 and the node's feed disagree; the node's blocks stay `final`, never `posted`");
        }
        Ok(())
    }

    async fn revert(&mut self, cursor: Cursor, head: Head) -> Result<(), IndexerError> {
        let fork = self.endpoint.fork_point(Chain::L1, cursor, self.database).await?;
        tracing::warn!(
            from = cursor.number,
            to = fork.map(|f| f.number),
            "L1 reorganised: the rows of the dropped blocks are deleted"
        );
        database::revert(self.database, Chain::L1, cursor, fork, head, self.terms).await?;
        self.cursor = fork;
        Ok(())
    }
}
