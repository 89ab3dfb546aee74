//! What an answer costs over a loopback connection, and how that grows with open connections.
//!
//! Without a verb: criterion (`just bench-stages`). `growth` prints a Markdown table.
#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]
#![allow(clippy::print_stdout, reason = "tables go to standard output")]
#![allow(missing_docs, reason = "nobody calls it")]

#[path = "../tests/server/chain.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod chain;

use baton_rpc::{Config, Server};
use chain::{LOGGER, TestChain, transfer};
use criterion::Criterion;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_util::sync::CancellationToken;

/// A server over a small chain whose head has 200 transactions and as many logs.
struct World {
    runtime: Runtime,
    address: SocketAddr,
    receipt: String,
}

impl World {
    fn new(max_connections: usize) -> Self {
        let runtime = Runtime::new().unwrap();
        let (address, receipt) = runtime.block_on(async {
            let chain = Arc::new(TestChain::new());
            for nonce in 0..200 {
                chain.submit_transfer(nonce).await;
            }
            let sealed = chain.seal();
            let hash = sealed.block.transactions()[100].tx_hash();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let config = Config { max_connections, ..Config::default() };
            tokio::spawn(Server::new(config, chain).serve(listener, CancellationToken::new()));
            (address, hash.to_string())
        });
        Self { runtime, address, receipt }
    }
}

/// A request's bytes, and the connection that sends them again and again.
struct Caller {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Caller {
    fn new(address: SocketAddr, method: &str, params: &str) -> Self {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        Self::with_body(address, &body)
    }

    fn with_body(address: SocketAddr, body: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let head = format!(
            "POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        Self { stream, request: [head.as_bytes(), body.as_bytes()].concat(), answer: vec![0; 1 << 20] }
    }

    /// Sends the request and reads its answer; the answer's bytes.
    fn call(&mut self) -> usize {
        self.stream.write_all(&self.request).unwrap();
        let mut read = 0;
        loop {
            let more = self.stream.read(&mut self.answer[read..]).unwrap();
            assert!(more > 0, "the server closed the connection");
            read += more;
            let text = &self.answer[..read];
            let Some(end) = text.windows(4).position(|some| some == b"\r\n\r\n") else { continue };
            let head = std::str::from_utf8(&text[..end]).unwrap().to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let length: usize = length.trim().parse().unwrap();
            if read >= end + 4 + length {
                return length;
            }
        }
    }

    fn result(&mut self) -> &str {
        let length = self.call();
        let end = self.answer.windows(4).position(|some| some == b"\r\n\r\n").unwrap() + 4;
        std::str::from_utf8(&self.answer[end..end + length]).unwrap()
    }
}

fn main() {
    if std::env::args().any(|argument| argument == "growth") {
        return growth();
    }
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    stages(&mut criterion);
    criterion.final_summary();
}

fn stages(criterion: &mut Criterion) {
    let world = World::new(500);
    let logs = format!(r#"[{{"fromBlock":"0x0","toBlock":"latest","address":"{LOGGER}"}}]"#);
    let batch = vec![r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}"#; 100].join(",");
    let calls = [
        ("plain call", "eth_chainId", "[]".to_owned()),
        ("balance", "eth_getBalance", format!(r#"["{LOGGER}","latest"]"#)),
        // Known already, so that it is the same each time.
        ("raw transaction", "eth_sendRawTransaction", format!(r#"["{}"]"#, transfer(200, LOGGER))),
        ("receipt", "eth_getTransactionReceipt", format!(r#"["{}"]"#, world.receipt)),
        ("200 receipts", "eth_getBlockReceipts", r#"["latest"]"#.to_owned()),
        ("200 logs", "eth_getLogs", logs),
        ("block with 200 transactions", "eth_getBlockByNumber", r#"["latest",true]"#.to_owned()),
    ];
    let mut group = criterion.benchmark_group("rpc");
    for (name, method, params) in calls {
        let mut caller = Caller::new(world.address, method, &params);
        let first = caller.result().to_owned();
        assert!(first.contains("result") && !first.contains("\"result\":null"), "{method}: {first}");
        group.bench_function(name, |b| b.iter(|| caller.call()));
    }
    let mut caller = Caller::with_body(world.address, &format!("[{batch}]"));
    group.bench_function("100 calls in a batch", |b| b.iter(|| caller.call()));
    group.finish();
    world.runtime.shutdown_background();
}

fn growth() {
    const LANES: usize = 16;
    const TIME: Duration = Duration::from_secs(2);
    println!("\nPlain calls over {LANES} connections by the connections that are open besides:\n");
    println!("| open | calls/s | p50 us | p99 us |\n|---:|---:|---:|---:|");
    let world = World::new(100_000);
    let mut idle = Vec::new();
    for open in [0, 100, 1_000, 5_000] {
        // Each has asked once, as a client does that keeps its connection.
        while idle.len() < open {
            let mut caller = Caller::new(world.address, "eth_chainId", "[]");
            caller.answer.truncate(1_024);
            caller.answer.shrink_to_fit();
            caller.call();
            idle.push(caller);
        }
        let lanes = (0..LANES).map(|_| {
            let address = world.address;
            std::thread::spawn(move || {
                let mut caller = Caller::new(address, "eth_blockNumber", "[]");
                let (start, mut times) = (Instant::now(), Vec::new());
                while start.elapsed() < TIME {
                    let at = Instant::now();
                    caller.call();
                    times.push(at.elapsed());
                }
                times
            })
        });
        let lanes: Vec<_> = lanes.collect();
        let mut times: Vec<Duration> = lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect();
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e6;
        println!("| {open} | {:.0} | {:.0} | {:.0} |", times.len() as f64 / TIME.as_secs_f64(), at(50), at(99));
    }
    world.runtime.shutdown_background();
}
