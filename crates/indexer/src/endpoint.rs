//! The endpoints of one chain: connecting, choosing another one, waiting for news.

use crate::{
    Database, IndexerError,
    database::{Cursor, blocks_below},
    metrics::Chain,
};
use alloy::{
    network::{BlockResponse as _, Network, primitives::HeaderResponse as _},
    primitives::B256,
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::json_rpc::RpcError,
    transports::TransportErrorKind,
};
use futures::{Stream, StreamExt as _};
use std::{pin::Pin, time::Duration};
use tokio::time::{MissedTickBehavior, interval};
use url::Url;

/// How long one request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// Stored blocks read at a time while looking for a fork point.
const PAGE: i64 = 64;
/// With a subscription, news are still asked for this often, in case it fell silent.
const SILENCE: Duration = Duration::from_secs(2);

/// Ticks of a clock or of a subscription.
type News = Pin<Box<dyn Stream<Item = ()> + Send + Sync>>;

/// A connected endpoint that serves the expected chain.
pub(crate) struct Endpoint<N: Network> {
    name: String,
    provider: DynProvider<N>,
    news: News,
}

impl<N: Network> Endpoint<N> {
    /// Connects, checks the chain id and subscribes to new blocks where the transport can.
    pub(crate) async fn connect(url: &Url, chain_id: u64, poll: Duration) -> Result<Self, IndexerError> {
        let name = named(url);
        let unreachable = |detail: String| IndexerError::Endpoint { endpoint: name.clone(), detail };
        let connecting = ProviderBuilder::<_, _, N>::default().connect(url.as_str());
        let provider = tokio::time::timeout(REQUEST_LIMIT, connecting)
            .await
            .map_err(|_| unreachable(format!("no connection within {REQUEST_LIMIT:?}")))?
            .map_err(|e| unreachable(e.to_string()))?
            .erased();
        let mut endpoint = Self { name: name.clone(), provider, news: Box::pin(futures::stream::pending()) };
        let actual = endpoint.ask(|p| async move { p.get_chain_id().await }).await?;
        if actual != chain_id {
            return Err(IndexerError::WrongChain { endpoint: name, actual, expected: chain_id });
        }
        endpoint.news = endpoint.listen(url, poll).await;
        Ok(endpoint)
    }

    async fn listen(&self, url: &Url, poll: Duration) -> News {
        let ticks = |every| {
            let mut timer = interval(every);
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
            futures::stream::unfold(timer, |mut timer| async {
                timer.tick().await;
                Some(((), timer))
            })
        };
        if url.scheme().starts_with("ws") {
            match self.provider.subscribe_blocks().await {
                Ok(subscription) => {
                    let blocks = subscription.into_stream().map(|_| ());
                    return Box::pin(futures::stream::select(blocks, ticks(SILENCE)));
                }
                Err(error) => tracing::warn!(endpoint = self.name, %error, "no subscription; polling instead"),
            }
        }
        Box::pin(ticks(poll))
    }

    /// One request, with a limit.
    pub(crate) async fn ask<T, F>(&self, request: impl FnOnce(DynProvider<N>) -> F) -> Result<T, IndexerError>
    where
        F: Future<Output = Result<T, RpcError<TransportErrorKind>>>,
    {
        match tokio::time::timeout(REQUEST_LIMIT, request(self.provider.clone())).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(IndexerError::Endpoint { endpoint: self.name.clone(), detail: error.to_string() }),
            Err(_) => Err(IndexerError::Endpoint {
                endpoint: self.name.clone(),
                detail: format!("no answer within {REQUEST_LIMIT:?}"),
            }),
        }
    }

    /// Hash of the block at a height, if the endpoint has it.
    pub(crate) async fn hash_at(&self, number: u64) -> Result<Option<B256>, IndexerError> {
        let block = self.ask(|p| async move { p.get_block_by_number(number.into()).await }).await?;
        Ok(block.map(|block| block.header().hash()))
    }

    /// The newest stored block that the endpoint has too, below `cursor`; `None` if there is none.
    pub(crate) async fn fork_point(
        &self,
        chain: Chain,
        cursor: Cursor,
        database: &Database,
    ) -> Result<Option<Cursor>, IndexerError> {
        let mut below = cursor.number;
        loop {
            let mut connection = database.acquire().await?;
            let stored = blocks_below(chain, below, PAGE, &mut connection).await?;
            drop(connection);
            let Some(lowest) = stored.last() else { return Ok(None) };
            below = lowest.number;
            for block in stored {
                if self.hash_at(block.number).await? == Some(block.hash) {
                    return Ok(Some(block));
                }
            }
        }
    }

    /// Waits until there may be news.
    pub(crate) async fn news(&mut self) {
        self.news.next().await;
    }

    /// Something this endpoint said cannot be.
    pub(crate) fn wrong(&self, number: u64, what: impl Into<String>) -> IndexerError {
        IndexerError::Inconsistent { endpoint: self.name.clone(), number, what: what.into() }
    }
}

/// The endpoint without what may be secret in its URL: user, password, path and query.
fn named(url: &Url) -> String {
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}
