//! Clients that behave badly, one that behaves well and is timed, and what a node's process tells of itself.

use alloy::primitives::U256;
use baton_cli::{chain, load};
use baton_testkit::{World, world::SOON};
use eyre::{Result, WrapErr, ensure, eyre};
use futures::StreamExt;
use serde_json::{Value, json, value::RawValue};
use std::{
    collections::BTreeMap,
    future::Future,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Mutex,
    time::{MissedTickBehavior, interval, timeout},
};
use url::Url;

/// Time between two requests of the healthy client.
const PACE: Duration = Duration::from_millis(5);
/// Below this a p99 tells of the machine's other work, not of the node: four nodes, L1 and the attackers share its cores.
const NOISE: Duration = Duration::from_millis(40);

/// A JSON-RPC request.
pub fn request(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

/// The answer; a member that is nested too deeply for the parser (a trace of a thousand calls) as its text.
fn answer(bytes: &[u8]) -> Result<Value> {
    let Ok(members) = serde_json::from_slice::<BTreeMap<String, &RawValue>>(bytes) else {
        return Ok(serde_json::from_slice(bytes)?);
    };
    let value = |raw: &RawValue| serde_json::from_str(raw.get()).unwrap_or_else(|_| Value::String(raw.get().into()));
    Ok(members.into_iter().map(|(name, raw)| (name, value(raw))).collect())
}

/// `host:port` of an endpoint.
///
/// # Errors
/// If the URL has none.
pub fn address(url: &Url) -> Result<String> {
    let (host, port) = (url.host_str(), url.port());
    Ok(format!(
        "{}:{}",
        host.ok_or_else(|| eyre!("{url} has no host"))?,
        port.ok_or_else(|| eyre!("{url} has no port"))?
    ))
}

/// A client that keeps one connection and asks for little.
#[derive(Debug)]
pub struct Healthy {
    /// One connection, kept for all that is asked one after another: a pool might want another when there is no place left.
    client: Mutex<load::Client>,
    url: Url,
}

impl Healthy {
    /// Connects, so that it has its place before others take theirs.
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn connect(url: Url) -> Result<Self> {
        let healthy = Self { client: Mutex::new(load::Client::connect(&url).await?), url };
        healthy.ask(&request("eth_chainId", json!([]))).await?;
        Ok(healthy)
    }

    /// Posts a body and reads the answer.
    ///
    /// # Errors
    /// If the node does not answer with JSON.
    pub async fn ask(&self, body: &Value) -> Result<Value> {
        self.post(body.to_string().into_bytes()).await
    }

    /// Posts bytes as they are and reads the answer.
    ///
    /// # Errors
    /// If the node does not answer with JSON.
    pub async fn post(&self, body: Vec<u8>) -> Result<Value> {
        let Ok(mut client) = self.client.try_lock() else {
            // Another question is on its way.
            return answer(&load::Client::connect(&self.url).await?.post(body.into()).await?);
        };
        // Who was refused may have been left.
        if !client.is_open().await {
            *client = load::Client::connect(&self.url).await?;
        }
        answer(&client.post(body.into()).await?)
    }

    /// Asks again and again while `attack` runs; gives what that came to and the 99th percentile of the answers' times.
    ///
    /// # Errors
    /// If an answer is none, or the attack fails.
    pub async fn beside<T>(&self, attack: impl Future<Output = Result<T>>) -> Result<(T, Duration)> {
        let mut attack = std::pin::pin!(attack);
        let questions = [
            request("eth_blockNumber", json!([])),
            request("eth_getBalance", json!([alloy::primitives::Address::repeat_byte(7), "latest"])),
            request("eth_getBlockByNumber", json!(["latest", false])),
        ];
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut times = Vec::new();
        loop {
            tokio::select! {
                outcome = attack.as_mut() => {
                    times.sort_unstable();
                    ensure!(times.len() >= 50, "only {} answers beside the attack", times.len());
                    return Ok((outcome?, times[times.len() * 99 / 100]));
                }
                _ = pace.tick() => {
                    let began = Instant::now();
                    let answer = self.ask(&questions[times.len() % questions.len()]).await.wrap_err("the healthy client")?;
                    ensure!(answer.get("result").is_some(), "the healthy client was answered {answer}");
                    times.push(began.elapsed());
                }
            }
        }
    }

    /// The 99th percentile with nobody else there.
    ///
    /// # Errors
    /// If an answer is none.
    pub async fn quiet(&self, length: Duration) -> Result<Duration> {
        let silence = async {
            tokio::time::sleep(length).await;
            Ok(())
        };
        Ok(self.beside(silence).await?.1)
    }
}

/// A healthy client's p99 may double while others misbehave.
///
/// # Errors
/// If it more than doubled, and that is more than the machine's noise.
pub fn unhurt(what: &str, quiet: Duration, beside: Duration) -> Result<()> {
    let most = (2 * quiet).max(NOISE);
    ensure!(
        beside <= most,
        "{what}: a healthy client's p99 went from {quiet:?} to {beside:?}, at most {most:?} is allowed"
    );
    Ok(())
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The node said this, if anything, and closed.
    Closed(String),
    /// It was still open after the time given.
    Held,
}

/// Sends bytes over a connection of its own and reads until it is closed.
///
/// # Errors
/// If there is no connection.
pub async fn speak(address: &str, bytes: &[u8], within: Duration) -> Result<End> {
    let mut socket = TcpStream::connect(address).await?;
    // The node may close before it has read all: what it said is still to be read.
    let _ = socket.write_all(bytes).await;
    Ok(listen(socket, within).await)
}

/// Reads until the connection is closed.
pub async fn listen(mut socket: TcpStream, within: Duration) -> End {
    let mut said = Vec::new();
    match timeout(within, socket.read_to_end(&mut said)).await {
        Ok(_) => End::Closed(String::from_utf8_lossy(&said).into_owned()),
        Err(_) => End::Held,
    }
}

/// Writes a byte now and then and waits to be closed.
pub async fn drip(address: &str, head: &str, every: Duration, within: Duration) -> Result<End> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(head.as_bytes()).await?;
    let (mut reader, mut writer) = socket.split();
    let dripping = async {
        let mut pace = interval(every);
        loop {
            pace.tick().await;
            if writer.write_all(b"x").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let mut said = Vec::new();
    tokio::select! {
        () = dripping => Ok(End::Held),
        read = timeout(within, reader.read_to_end(&mut said)) => Ok(match read {
            Ok(_) => End::Closed(String::from_utf8_lossy(&said).into_owned()),
            Err(_) => End::Held,
        }),
    }
}

/// Resident memory of a node's process, bytes.
///
/// # Errors
/// If the system does not tell.
pub fn resident(world: &World, node: usize) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.nodes()[node].process.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or_else(|| eyre!("no VmRSS"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1_024)
}

/// A metric of a node, summed over its labels; 0 if there is none yet.
///
/// # Errors
/// If the node serves no metrics.
pub async fn metric(world: &World, node: usize, name: &str) -> Result<f64> {
    let port = world.nodes()[node].plan.metrics_port.ok_or_else(|| eyre!("no metrics"))?;
    let page = reqwest::get(format!("http://127.0.0.1:{port}/metrics")).await?.text().await?;
    let lines = page.lines().filter(|line| line.split([' ', '{']).next() == Some(name));
    lines.map(|line| Ok(line.rsplit(' ').next().unwrap_or_default().parse::<f64>()?)).sum()
}

/// No task of any node panicked, and all still run.
///
/// # Errors
/// The first node of which that is not so.
pub async fn sound(world: &mut World) -> Result<()> {
    for index in 0..world.nodes().len() {
        world.node(index).process.check()?;
        let panics = metric(world, index, "baton_panics_total").await?;
        ensure!(panics == 0.0, "{} panicked {panics} times", world.nodes()[index].plan.name);
    }
    Ok(())
}

/// Blocks a second and the longest pause between two while `work` runs, as a node tells them.
///
/// # Errors
/// If the node ends its heads, or the work fails.
pub async fn heads_during<T>(
    world: &World,
    node: usize,
    work: impl Future<Output = Result<T>>,
) -> Result<(T, f64, Duration)> {
    let mut heads = chain::heads(&world.nodes()[node].plan.ws()).await?;
    let mut work = std::pin::pin!(work);
    let began = Instant::now();
    let (mut last, mut longest, mut count) = (began, Duration::ZERO, 0u32);
    loop {
        tokio::select! {
            outcome = work.as_mut() => {
                longest = longest.max(last.elapsed());
                return Ok((outcome?, f64::from(count) / began.elapsed().as_secs_f64(), longest));
            }
            head = timeout(SOON, heads.next()) => {
                head.wrap_err("no block for long")?.ok_or_else(|| eyre!("the heads ended"))?;
                count += 1;
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
        }
    }
}

/// `txpool_status` of a node: ready and queued.
///
/// # Errors
/// If the node does not answer.
pub async fn pool(healthy: &Healthy) -> Result<(u64, u64)> {
    let answer = healthy.ask(&request("txpool_status", json!([]))).await?;
    let count = |name: &str| -> Result<u64> {
        let text = answer.pointer(&format!("/result/{name}")).and_then(Value::as_str).unwrap_or_default();
        Ok(text.parse::<U256>()?.to())
    };
    Ok((count("pending")?, count("queued")?))
}
