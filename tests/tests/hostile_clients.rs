//! F21, F22 and F23: clients that are slow, many, rude, deaf or expensive. Each gets a named error or is dropped, memory stays
//! bounded, a well-behaved client hardly notices, and blocks go on (P11 blocks_do_not_wait, P12 bounded).
#![allow(clippy::print_stdout, reason = "the figures of a scenario")]

use alloy::{
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes, hex},
    providers::Provider,
    rpc::types::TransactionRequest,
};
use baton_cli::chain;
use baton_testkit::{
    World, WorldPlan,
    promises::{self, named},
    world::{LATER, SOON},
};
use baton_tests::hostile::{
    End, Healthy, address, drip, heads_during, listen, metric, request, resident, sound, speak, unhurt,
};
use eyre::{Result, ensure, eyre};
use futures::{FutureExt, SinkExt, StreamExt, future::join_all};
use serde_json::{Value, json};
use std::{
    future::Future,
    time::{Duration, Instant},
};
use tokio::net::TcpStream;
use tokio_tungstenite::{connect_async, tungstenite::Message};

/// The server's limits (`baton_rpc::Config::default`).
const MOST_CONNECTIONS: usize = 500;
const MOST_BODY: usize = 15_000_000;
const MOST_SUBSCRIPTIONS: usize = 1_024;
/// Time in which a request must arrive.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for which a client may take nothing of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time after which an expensive read is cut off.
const CUT_OFF: Duration = Duration::from_secs(5);
/// Logs that one query may return.
const MOST_LOGS: u16 = 20_000;
/// What noticing and answering may take on a busy machine.
const SLACK: Duration = Duration::from_secs(3);
/// Connections of one attacker.
const IDLE: usize = 10_000;
/// Subscribers that never read.
const DEAF: usize = 8;
/// What they may cost: each socket's own buffers, 64 messages that wait, and the server's share.
const MOST_GROWTH: u64 = 400 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn hostile_clients_hurt_neither_others_nor_the_chain() -> Result<()> {
    let mut world = World::start(WorldPlan { users: 1, metrics: true, ..WorldPlan::default() }).await?;
    let healthy = Healthy::connect(world.nodes()[0].plan.http()).await?;
    world.wait_height(0, 20, SOON).await?;
    let quiet = healthy.quiet(Duration::from_secs(3)).await?;

    let p99 = idle_connections(&world, &healthy).await?;
    println!("F21: p99 {quiet:?} quiet, {p99:?} beside {IDLE} idle connections");
    unhurt("idle connections", quiet, p99)?;
    let (refused, p99) = healthy.beside(slow_and_rude(&world)).await?;
    println!("F21: p99 {p99:?} beside slow clients and {refused} bodies that were refused");
    unhurt("slow and rude clients", quiet, p99)?;

    let (grown, p99) = healthy.beside(deaf_subscribers(&world)).await?;
    println!("F22: p99 {p99:?} beside {DEAF} deaf subscribers, which cost {} MB", grown >> 20);
    ensure!(grown <= MOST_GROWTH, "deaf subscribers cost {} MB of memory", grown >> 20);

    expensive_reads(&world).await?;

    promises::agreement(&world).await?;
    sound(&mut world).await?;
    world.end().await;
    Ok(())
}

/// F21: far more connections than the node allows, none of which says anything.
async fn idle_connections(world: &World, healthy: &Healthy) -> Result<Duration> {
    let address = address(&world.nodes()[0].plan.http())?;
    let count = IDLE.min(open_files()?.saturating_sub(1_000));
    let attack = async {
        let mut sockets = Vec::with_capacity(count);
        for _ in 0..count {
            sockets.push(TcpStream::connect(&address).await?);
        }
        let ends = join_all(sockets.into_iter().map(|socket| listen(socket, Duration::from_secs(5)))).await;
        let held = ends.iter().filter(|end| **end == End::Held).count();
        let named = ends
            .iter()
            .filter(|end| matches!(end, End::Closed(said) if said.contains("too many connections: limit 500")))
            .count();
        ensure!(held <= MOST_CONNECTIONS, "{held} idle connections are held");
        ensure!(held >= MOST_CONNECTIONS / 2, "only {held} connections were accepted: the limit was not reached");
        // Those that come faster than the node can tell them so are only closed.
        ensure!(named > 0, "{} connections were closed without a word", count - held);
        println!("F21: of {count} idle connections {held} are held, {named} were told why not");
        Ok(())
    };
    let ((), p99) = healthy.beside(attack).await?;
    // They are gone, and a newcomer gets in.
    let provider = chain::http(&world.nodes()[0].plan.http());
    let newcomer = || async { Ok(provider.get_block_number().await.ok()) };
    chain::wait_for(&world.nodes()[1].plan.ws(), "a newcomer is served", SOON, newcomer).await?;
    Ok(p99)
}

/// How many files this process may have open.
fn open_files() -> Result<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line =
        limits.lines().find(|line| line.starts_with("Max open files")).ok_or_else(|| eyre!("no limit of files"))?;
    let soft = line.split_whitespace().nth(3).unwrap_or_default();
    Ok(soft.parse().unwrap_or(usize::MAX))
}

/// F21: heads and bodies that drip in, while others send what is too long, too deep, too much or no text. Gives how many of the
/// latter were refused, all by name.
async fn slow_and_rude(world: &World) -> Result<usize> {
    let address = address(&world.nodes()[0].plan.http())?;
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let (every, within) = (Duration::from_millis(500), READ_TIMEOUT + SLACK);
    let began = Instant::now();
    let endless = format!("{head}x-endless: ");
    let heads = (0..100).map(|_| drip(&address, &endless, every, within));
    let body = format!("{head}content-length: 1000\r\n\r\n{{");
    let bodies = (0..100).map(|_| drip(&address, &body, every, within));
    let slow = async {
        let (heads, bodies) = futures::join!(join_all(heads), join_all(bodies));
        for end in heads {
            ensure!(end? != End::Held, "a head may drip in for more than {within:?}");
        }
        for end in bodies {
            let End::Closed(said) = end? else { eyre::bail!("a body may drip in for more than {within:?}") };
            named(&said, &["408", "did not arrive within 30 s"])?;
        }
        ensure!(began.elapsed() < within, "slow clients were dropped after {:?}", began.elapsed());
        Ok::<_, eyre::Report>(())
    };
    let rude = rude(world, &address);
    let (slow, rude) = futures::join!(slow, rude);
    slow?;
    rude
}

/// Bodies that are refused, one after another, some of each kind.
async fn rude(world: &World, address: &str) -> Result<usize> {
    let client = Healthy::connect(world.nodes()[0].plan.http()).await?;
    let code = |answer: &Value| answer.pointer("/error/code").and_then(Value::as_i64);
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let mut refused = 0;
    for round in 0..5 {
        let bodies: [(Vec<u8>, i64); 6] = [
            (deep(1_000_000).as_bytes()[..1_500_000].to_vec(), -32700),
            (
                request("eth_getLogs", json!("DEEP")).to_string().replace("\"DEEP\"", &deep(500_000)).into_bytes(),
                -32602,
            ),
            (b"\xff\xfe{\"jsonrpc\":\"2.0\"}".to_vec(), -32700),
            (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_\xc3\x28\"}".to_vec(), -32700),
            (json!(vec![request("eth_blockNumber", json!([])); 1_001]).to_string().into_bytes(), -32005),
            (vec![b' '; MOST_BODY - round], -32700),
        ];
        for (body, expected) in bodies {
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            let answer = client.post(body).await?;
            ensure!(code(&answer) == Some(expected), "{shown} was answered {answer:.300}, not {expected}");
            refused += 1;
        }
        // The largest batch there may be is answered.
        let batch =
            client.ask(&json!(vec![request("eth_getBalance", json!([Address::ZERO, "latest"])); 1_000])).await?;
        ensure!(batch.as_array().is_some_and(|all| all.len() == 1_000), "a batch was answered {batch:.300}");
        // Too long, by its own word and without one.
        let head = format!("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", MOST_BODY + 1);
        let declared = speak(address, head.as_bytes(), SOON).await?;
        let chunk = format!("{:x}\r\n{}\r\n", 1_000_000, " ".repeat(1_000_000)).repeat(16);
        let head = "POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
        let found = speak(address, format!("{head}{chunk}").as_bytes(), SOON).await?;
        for end in [declared, found] {
            let End::Closed(said) = end else { eyre::bail!("a body that is too long is not refused") };
            // A reset may have overtaken the answer to one who was still sending.
            if !said.is_empty() {
                named(&said, &["413", "request body too large: limit 15000000 bytes"])?;
            }
            refused += 1;
        }
    }
    Ok(refused)
}

/// F22: thousands of subscriptions of peers that never read, beside one that does. Gives the bytes of memory that they cost.
async fn deaf_subscribers(world: &World) -> Result<u64> {
    let ws = world.nodes()[0].plan.ws();
    let before = resident(world, 0)?;
    // One subscription too many is refused by name.
    let (mut one, _) = connect_async(ws.as_str()).await?;
    for _ in 0..=MOST_SUBSCRIPTIONS {
        one.feed(Message::text(request("eth_subscribe", json!(["syncing"])).to_string())).await?;
    }
    one.flush().await?;
    let mut answers = Vec::new();
    while answers.len() <= MOST_SUBSCRIPTIONS {
        match one.next().await.ok_or_else(|| eyre!("closed"))?? {
            Message::Text(text) => answers.push(text.to_string()),
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {}
        }
    }
    named(&answers[MOST_SUBSCRIPTIONS], &["-32005", "too many subscriptions: limit 1024"])?;
    ensure!(answers[MOST_SUBSCRIPTIONS - 1].contains("result"), "{}", answers[MOST_SUBSCRIPTIONS - 1]);
    drop(one);

    let listener = world.record(0).await?;
    let held = async || metric(world, 0, "baton_rpc_websockets").await;
    let slow = async || metric(world, 0, "baton_rpc_slow_consumers_total").await;
    let slow_before = slow().await?;
    let mut deaf = Vec::new();
    for index in 0..DEAF {
        let (mut socket, _) = connect_async(ws.as_str()).await?;
        // Every other one hears of each block as a block does, the rest also ask for long answers.
        for _ in 0..MOST_SUBSCRIPTIONS {
            socket.feed(Message::text(request("eth_subscribe", json!(["newHeads"])).to_string())).await?;
        }
        if index % 2 == 1 {
            let long = json!(vec![request("rpc.discover", json!([])); 100]).to_string();
            for _ in 0..4 {
                socket.feed(Message::text(long.clone())).await?;
            }
        }
        socket.flush().await?;
        deaf.push(socket);
    }
    let (mut most, mut peak) = (before, 0.0_f64);
    let mut gone = false;
    let began = Instant::now();
    while !gone && began.elapsed() < LATER {
        let (_, rate, _) = heads_during(world, 1, tokio::time::sleep(Duration::from_secs(1)).map(Ok)).await?;
        ensure!(rate > 0.0, "no block in a second beside deaf subscribers");
        most = most.max(resident(world, 0)?);
        let now = held().await?;
        peak = peak.max(now);
        gone = peak >= DEAF as f64 && now <= peak - DEAF as f64;
    }
    let slow = slow().await? - slow_before;
    println!("F22: at most {peak} WebSockets, {} in the end, {slow} were counted as slow consumers", held().await?);
    println!("F22: {DEAF} x {MOST_SUBSCRIPTIONS} deaf subscriptions were dropped after {:?}", began.elapsed());
    ensure!(gone, "deaf subscribers still hold their connections after {:?}", began.elapsed());
    ensure!((slow - DEAF as f64).abs() < 0.5, "{slow} of {DEAF} were counted as slow consumers");
    let patience = WRITE_TIMEOUT * 2 + SLACK;
    ensure!(began.elapsed() < patience, "deaf subscribers held their connections for {:?}", began.elapsed());
    // The one that reads has missed nothing.
    let seen: Vec<u64> = listener.blocks().await.into_keys().collect();
    ensure!(seen.windows(2).all(|pair| pair[0] + 1 == pair[1]), "a reading subscriber missed heads: {seen:?}");
    ensure!(!seen.is_empty(), "a reading subscriber saw no head");
    Ok(most.saturating_sub(before))
}

/// F23: reads that never end by themselves, more at a time than the node runs.
async fn expensive_reads(world: &World) -> Result<()> {
    let (_, usual, _) = heads_during(world, 0, tokio::time::sleep(Duration::from_secs(3)).map(Ok)).await?;
    let logs = many_logs(world).await?;
    let target = Address::repeat_byte(0x99);
    let code = |code: &str| json!({ target.to_string(): { "code": code } });
    let at = |code_: &str, tracer: Value| {
        let mut options = json!({ "stateOverrides": code(code_) });
        if !tracer.is_null() {
            options["tracer"] = tracer;
        }
        json!([{ "to": target }, "latest", options])
    };
    // JUMPDEST PUSH0 JUMP; a call of itself with all gas; JUMPDEST, 32 KB hashed, again; JUMPDEST, a megabyte handed on, again.
    let (endless, recursive) = ("0x5b5f56", "0x5f5f5f5f5f305af1");
    let (hashing, handing) = ("0x5b6180005f20505f56", "0x5b5f5f621000005f5f60995af1505f56");
    let reads = [
        request("eth_call", json!([{ "to": target }, "latest", code(endless)])),
        request("eth_call", json!([{ "to": target }, "latest", code(hashing)])),
        request("eth_estimateGas", json!([{ "to": target }, "latest", code(endless)])),
        request("eth_createAccessList", json!([{ "to": target, "gas": "0x2faf080" }, "latest", code(endless)])),
        request("debug_traceCall", at(endless, Value::Null)),
        request("debug_traceCall", at(recursive, json!("callTracer"))),
        request("debug_traceCall", at(handing, json!("callTracer"))),
        request("debug_traceCall", at(recursive, json!("prestateTracer"))),
        request("trace_filter", json!([{}])),
        request("eth_getLogs", json!([{ "fromBlock": "0x0", "toBlock": "latest" }])),
        request("eth_getLogs", json!([{ "blockHash": logs }])),
        request(
            "eth_simulateV1",
            json!([{ "blockStateCalls": vec![json!({ "stateOverrides": code(endless), "calls": [{ "to": target }] }); 256] }]),
        ),
        request("ots_searchTransactionsBefore", json!([target, 0, 25])),
    ];
    // Alone, each is cut off in time.
    let client = Healthy::connect(world.nodes()[0].plan.http()).await?;
    for read in &reads {
        let began = Instant::now();
        let answer = client.ask(read).await?;
        let took = began.elapsed();
        ensure!(took <= CUT_OFF + SLACK, "{read:.200} took {took:?}");
        println!(
            "F23: {took:>10.1?} {:.80} -> {:.100}",
            read.to_string(),
            answer.get("error").unwrap_or(&Value::Null).to_string()
        );
        well_answered(&answer)?;
    }
    let answer = client.ask(&request("eth_getLogs", json!([{ "fromBlock": "0x0", "toBlock": "latest" }]))).await?;
    named(&answer.to_string(), &["-32005", &format!("query exceeds max results {MOST_LOGS}")])?;
    // All at once, four of each: they wait for one another, and blocks do not wait for them.
    let flood = async {
        let clients = join_all((0..4).map(|_| Healthy::connect(world.nodes()[0].plan.http()))).await;
        let clients = clients.into_iter().collect::<Result<Vec<_>>>()?;
        let answers = join_all(clients.iter().flat_map(|client| reads.iter().map(|read| client.ask(read)))).await;
        answers.into_iter().try_for_each(|answer| well_answered(&answer?))
    };
    let (took, rate, longest) = beside_blocks(world, flood).await?;
    println!(
        "F23: blocks at {usual:.1} a second usually, {rate:.1} beside {} expensive reads, longest pause {longest:?}, {took:?}",
        4 * reads.len()
    );
    ensure!(rate >= usual / 2.0, "blocks at {rate:.1} a second beside expensive reads, {usual:.1} usually");
    ensure!(longest <= Duration::from_secs(3), "no block for {longest:?} beside expensive reads");
    Ok(())
}

/// Two blocks with more logs than one query may return; gives the first.
async fn many_logs(world: &World) -> Result<B256> {
    let mut blocks = Vec::new();
    for _ in 0..2 {
        // PUSH2 count, JUMPDEST, LOG0 of nothing, one less, JUMPI to the JUMPDEST unless none is left.
        let count = (MOST_LOGS / 2 + 1).to_be_bytes();
        let code = [&[0x61][..], &count, &hex!("5b 5f5fa0 60019003 80600357 00")].concat();
        let create = TransactionRequest::default().with_from(world.users[0].address());
        let create = create.with_deploy_code(Bytes::from(code));
        let hash = *world.l2_wallet(0).send_transaction(create).await?.tx_hash();
        let receipt = chain::wait_receipt(&world.nodes()[0].plan.ws(), hash, SOON).await?;
        ensure!(receipt.logs().len() > usize::from(MOST_LOGS / 2), "{} logs in a block", receipt.logs().len());
        blocks.extend(receipt.block_hash);
    }
    blocks.first().copied().ok_or_else(|| eyre!("the blocks of the logs have no hashes"))
}

/// A result, or an error that is not the node's fault.
fn well_answered(answer: &Value) -> Result<()> {
    let internal = answer.pointer("/error/code").and_then(Value::as_i64) == Some(-32603);
    ensure!(!internal && (answer.get("result").is_some() || answer.get("error").is_some()), "answered {answer:.300}");
    Ok(())
}

async fn beside_blocks(world: &World, work: impl Future<Output = Result<()>>) -> Result<(Duration, f64, Duration)> {
    let began = Instant::now();
    let ((), rate, longest) = heads_during(world, 0, work).await?;
    Ok((began.elapsed(), rate, longest))
}
