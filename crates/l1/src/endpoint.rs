//! L1 JSON-RPC endpoints: each request has a time limit; a failing endpoint pauses and the next one is asked.
//!
//! ```text
//! caller -method, params-> Endpoints -first that is not paused-> Endpoint -HTTP | WebSocket-> answer | error
//!                              '---- retryable error: pause it (doubling, jittered), ask the next
//! ```

use crate::{EndpointsConfig, Error};
use alloy::{
    eips::BlockId,
    primitives::{Address, Bytes},
    rpc::{
        client::RpcClient,
        json_rpc::{RpcError, RpcRecv, RpcSend},
        types::TransactionRequest,
    },
    sol_types::SolCall,
    transports::{TransportError, TransportErrorKind, http::reqwest as http, ws::WsConnect},
};
use rand::Rng;
use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use url::Url;

/// Several endpoints of one chain.
#[derive(Clone, Debug)]
pub struct Endpoints(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    endpoints: Vec<Endpoint>,
    config: EndpointsConfig,
}

/// One endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    name: String,
    url: Url,
    timeout: Duration,
    client: tokio::sync::Mutex<Option<RpcClient>>,
    health: parking_lot::Mutex<Health>,
    chain_checked: AtomicBool,
}

#[derive(Debug, Default)]
struct Health {
    failures: u32,
    paused_until: Option<Instant>,
    excluded: Option<Error>,
}

impl Endpoints {
    /// Takes the URLs; connects nothing yet.
    ///
    /// # Errors
    /// If there is none, or one has an unknown scheme.
    pub fn new(config: EndpointsConfig) -> Result<Self, Error> {
        if config.urls.is_empty() {
            return Err(Error::NoEndpoint);
        }
        let endpoint = |url: &Url| Endpoint::new(url.clone(), config.timeout);
        let endpoints = config.urls.iter().map(endpoint).collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(Inner { endpoints, config })))
    }

    /// The chain id they must serve.
    pub fn chain_id(&self) -> u64 {
        self.0.config.chain_id
    }

    pub(crate) fn all(&self) -> &[Endpoint] {
        &self.0.endpoints
    }

    /// The endpoints in the order to ask: those not paused in order of preference, or, if all are, by the end of their pause.
    /// Excluded ones are left out.
    pub(crate) fn order(&self) -> Vec<&Endpoint> {
        let now = Instant::now();
        let mut order: Vec<_> = self
            .0
            .endpoints
            .iter()
            .filter_map(|e| {
                let health = e.health.lock();
                let paused = health.paused_until.filter(|t| *t > now);
                health.excluded.is_none().then_some((paused, e))
            })
            .collect();
        order.sort_by_key(|(paused, _)| *paused);
        // Paused ones are asked only if there is no other.
        let rested = order.iter().filter(|(paused, _)| paused.is_none()).count();
        order.truncate(if rested > 0 { rested } else { order.len() });
        order.into_iter().map(|(_, e)| e).collect()
    }

    /// Asks endpoint after endpoint until one answers.
    ///
    /// # Errors
    /// The chain's own answer if it is an error (a revert, say), else the last endpoint's failure.
    pub async fn call<P, R>(&self, method: &'static str, params: P) -> Result<R, Error>
    where
        P: RpcSend + Clone,
        R: RpcRecv,
    {
        let mut last = None;
        for endpoint in self.order() {
            match self.guarded(endpoint, endpoint.call(method, params.clone())).await {
                Ok(value) => return Ok(value),
                Err(error) if is_answer(&error) => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| self.excluded_reason()))
    }

    /// Asks one endpoint, whose chain is checked first, and keeps the books about its health.
    pub(crate) async fn guarded<R>(
        &self,
        endpoint: &Endpoint,
        ask: impl Future<Output = Result<R, Error>> + Send,
    ) -> Result<R, Error> {
        let result = match self.check_chain(endpoint).await {
            Ok(()) => ask.await,
            Err(error) => Err(error),
        };
        match &result {
            Ok(_) => endpoint.succeeded(),
            Err(error) if is_answer(error) => endpoint.succeeded(),
            Err(error @ Error::WrongChain { .. }) => endpoint.exclude(error.clone()),
            Err(error) => endpoint.failed(&self.0.config, error),
        }
        result
    }

    async fn check_chain(&self, endpoint: &Endpoint) -> Result<(), Error> {
        if endpoint.chain_checked.load(Ordering::Acquire) {
            return Ok(());
        }
        let actual: alloy::primitives::U64 = endpoint.call("eth_chainId", ()).await?;
        let (actual, expected) = (actual.to::<u64>(), self.0.config.chain_id);
        if actual != expected {
            return Err(Error::WrongChain { endpoint: endpoint.name.clone(), actual, expected });
        }
        endpoint.chain_checked.store(true, Ordering::Release);
        Ok(())
    }

    fn excluded_reason(&self) -> Error {
        self.0.endpoints.iter().find_map(|e| e.health.lock().excluded.clone()).unwrap_or(Error::NoEndpoint)
    }

    /// Executes a view call of a contract.
    ///
    /// # Errors
    /// [`Error::Rpc`] with revert data if it reverts, [`Error::Malformed`] if the result does not decode.
    pub async fn call_contract<C: SolCall>(&self, to: Address, call: &C, block: BlockId) -> Result<C::Return, Error> {
        let request = TransactionRequest::default().to(to).input(call.abi_encode().into());
        let data: Bytes = self.call("eth_call", (request, block)).await?;
        C::abi_decode_returns_validate(&data).map_err(|e| Error::Malformed {
            endpoint: self.0.endpoints[0].name.clone(),
            what: format!("{} of {to} returned {} bytes that do not decode: {e}", C::SIGNATURE, data.len()),
        })
    }
}

/// Whether the error is the chain's own answer, which every endpoint would give.
fn is_answer(error: &Error) -> bool {
    matches!(error, Error::Rpc { .. })
}

impl Endpoint {
    fn new(url: Url, timeout: Duration) -> Result<Self, Error> {
        let name = redact(&url);
        if !matches!(url.scheme(), "http" | "https" | "ws" | "wss") {
            return Err(Error::Scheme { endpoint: name, scheme: url.scheme().to_owned() });
        }
        Ok(Self {
            name,
            url,
            timeout,
            client: tokio::sync::Mutex::default(),
            health: parking_lot::Mutex::default(),
            chain_checked: AtomicBool::new(false),
        })
    }

    /// Its URL without credentials, path and query, which often hold a key.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn is_websocket(&self) -> bool {
        matches!(self.url.scheme(), "ws" | "wss")
    }

    /// One request, one answer.
    pub(crate) async fn call<P: RpcSend, R: RpcRecv>(&self, method: &'static str, params: P) -> Result<R, Error> {
        let ask = async {
            let client = self.client().await?;
            client.request(method, params).await
        };
        self.limited(method, ask).await
    }

    /// The same method for many parameters in one round trip.
    pub(crate) async fn batch<P: RpcSend, R: RpcRecv>(
        &self,
        method: &'static str,
        params: &[P],
    ) -> Result<Vec<R>, Error> {
        let ask = async {
            let client = self.client().await?;
            let mut batch = client.new_batch();
            let waiters: Vec<_> =
                params.iter().map(|p| batch.add_call::<_, R>(Cow::Borrowed(method), p)).collect::<Result<_, _>>()?;
            batch.send().await?;
            let mut answers = Vec::with_capacity(waiters.len());
            for waiter in waiters {
                answers.push(waiter.await?);
            }
            Ok(answers)
        };
        self.limited(method, ask).await
    }

    /// Hashes of new heads as they come, only over WebSocket.
    pub(crate) async fn heads(&self) -> Result<alloy::pubsub::RawSubscription, Error> {
        let ask = async {
            let client = self.client().await?;
            let id: alloy::primitives::B256 = client.request("eth_subscribe", ("newHeads",)).await?;
            let frontend = client.pubsub_frontend().ok_or_else(TransportErrorKind::pubsub_unavailable)?;
            frontend.get_subscription(id).await
        };
        self.limited("eth_subscribe", ask).await
    }

    async fn limited<R>(
        &self,
        method: &'static str,
        ask: impl Future<Output = Result<R, TransportError>>,
    ) -> Result<R, Error> {
        let started = Instant::now();
        let result = tokio::time::timeout(self.timeout, ask).await;
        metrics::histogram!("baton_l1_request_seconds", "method" => method).record(started.elapsed().as_secs_f64());
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                if matches!(&error, RpcError::Transport(_)) && self.is_websocket() {
                    *self.client.lock().await = None;
                }
                Err(self.error(method, error))
            }
            Err(_) => {
                // A hung WebSocket stays hung: the next request connects anew.
                if self.is_websocket() {
                    *self.client.lock().await = None;
                }
                Err(Error::Timeout { endpoint: self.name.clone(), method: method.to_owned(), after: self.timeout })
            }
        }
    }

    async fn client(&self) -> Result<RpcClient, TransportError> {
        let mut slot = self.client.lock().await;
        if let Some(client) = slot.as_ref() {
            return Ok(client.clone());
        }
        let client = if self.is_websocket() {
            let connect = WsConnect::new(self.url.as_str()).with_max_retries(1);
            RpcClient::builder().ws(connect).await?
        } else {
            let client = http::Client::builder()
                .timeout(self.timeout)
                .build()
                .map_err(|e| TransportErrorKind::custom_str(&e.to_string()))?;
            RpcClient::builder().http_with_client(client, self.url.clone())
        };
        *slot = Some(client.clone());
        Ok(client)
    }

    fn error(&self, method: &str, error: TransportError) -> Error {
        let (endpoint, method) = (self.name.clone(), method.to_owned());
        match error {
            RpcError::ErrorResp(payload) if !payload.is_retry_err() && payload.code != -32601 => Error::Rpc {
                endpoint,
                method,
                code: payload.code,
                data: payload.as_revert_data(),
                message: payload.message.into_owned(),
            },
            RpcError::ErrorResp(payload) => {
                Error::Transport { endpoint, method, reason: format!("error {}: {}", payload.code, payload.message) }
            }
            RpcError::NullResp => Error::Missing { endpoint, what: format!("an answer to {method}") },
            RpcError::DeserError { err, .. } => {
                Error::Malformed { endpoint, what: format!("{method} is not what the method returns: {err}") }
            }
            other @ (RpcError::UnsupportedFeature(_)
            | RpcError::LocalUsageError(_)
            | RpcError::SerError(_)
            | RpcError::Transport(_)) => Error::Transport { endpoint, method, reason: clipped(&chain(&other)) },
        }
    }

    fn succeeded(&self) {
        let mut health = self.health.lock();
        health.failures = 0;
        health.paused_until = None;
    }

    fn failed(&self, config: &EndpointsConfig, error: &Error) {
        let mut health = self.health.lock();
        let pause = backoff(config.backoff, config.max_backoff, health.failures);
        health.failures = health.failures.saturating_add(1);
        health.paused_until = Some(Instant::now() + pause);
        metrics::counter!("baton_l1_endpoint_failures_total", "endpoint" => self.name.clone()).increment(1);
        tracing::debug!(endpoint = self.name, failures = health.failures, ?pause, %error, "endpoint failed");
    }

    /// Pauses it for an error found only after it had answered.
    pub(crate) fn failed_with(&self, endpoints: &Endpoints, error: &Error) {
        self.failed(&endpoints.0.config, error);
    }

    fn exclude(&self, error: Error) {
        tracing::error!(endpoint = self.name, %error, "endpoint is left out");
        self.health.lock().excluded = Some(error);
    }
}

/// `base * 2^failures`, at most `max`, of which a random half is kept so that nodes do not retry in step.
pub(crate) fn backoff(base: Duration, max: Duration, failures: u32) -> Duration {
    let full = base.saturating_mul(1u32.checked_shl(failures.min(16)).unwrap_or(u32::MAX)).min(max);
    full.mul_f64(rand::rng().random_range(0.5..=1.0))
}

fn redact(url: &Url) -> String {
    let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or("?"))
}

/// The error with its causes: transports hide the useful part in the source.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn clipped(text: &str) -> String {
    text.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_named_without_its_secrets() {
        let url = Url::parse("https://user:pass@l1.example:8545/v3/key?token=x").unwrap();
        assert_eq!(redact(&url), "https://l1.example:8545");
    }

    #[test]
    fn unknown_schemes_and_empty_lists_are_refused() {
        let none = Endpoints::new(EndpointsConfig::new(Vec::new(), 1));
        assert!(matches!(none, Err(Error::NoEndpoint)));
        let ftp = Endpoints::new(EndpointsConfig::new(vec![Url::parse("ftp://x").unwrap()], 1));
        assert!(matches!(ftp, Err(Error::Scheme { .. })));
    }

    #[test]
    fn pauses_grow_to_their_limit() {
        let (base, max) = (Duration::from_millis(100), Duration::from_secs(1));
        for failures in 0..40 {
            let pause = backoff(base, max, failures);
            assert!(pause >= base / 2 && pause <= max, "{failures}: {pause:?}");
        }
    }
}
