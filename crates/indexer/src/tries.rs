//! What a loop does after a failure: says so, waits longer each time, changes the endpoint if it lied, repairs the database.

use crate::{
    Class, Config, Database, IndexerError,
    database::{self, Backoff},
    metrics::{self, Chain},
    terms::Terms,
};
use tokio_util::sync::CancellationToken;
use url::Url;

/// The attempts to follow one chain.
pub(crate) struct Tries<'a> {
    chain: Chain,
    urls: &'a [Url],
    at: usize,
    pub(crate) backoff: Backoff,
}

impl<'a> Tries<'a> {
    /// Of the endpoints of a valid configuration, of which there is one at least.
    pub(crate) const fn new(chain: Chain, urls: &'a [Url]) -> Self {
        Self { chain, urls, at: 0, backoff: Backoff::new() }
    }

    /// The endpoint to try now.
    pub(crate) fn url(&self) -> Option<&'a Url> {
        self.urls.get(self.at % self.urls.len().max(1))
    }

    /// Waits until the next attempt.
    ///
    /// # Errors
    /// `error` itself if waiting does not cure it, or a database that is no longer ours.
    pub(crate) async fn after(
        &mut self,
        error: IndexerError,
        config: &Config,
        database: &Database,
        terms: &Terms,
        cancellation: &CancellationToken,
    ) -> Result<(), IndexerError> {
        metrics::failed(self.chain);
        match error.class() {
            Class::Fatal => return Err(error),
            Class::Distrust => self.at += 1,
            Class::Retry => {}
        }
        let pause = self.backoff.next();
        tracing::warn!(chain = self.chain.name(), %error, ?pause, "indexing pauses; rows and cursor are safe");
        cancellation.run_until_cancelled(tokio::time::sleep(pause)).await;
        database::repair(database, config, terms).await
    }
}
