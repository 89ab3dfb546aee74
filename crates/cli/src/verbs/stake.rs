//! The contracts' calls, one a verb: stake, register, activate, delegate, exit, finish-exit, claim, deposit.

use super::{
    index::until_asked_to_end,
    l1::{Done, Sender, SenderFlags, amount, mined},
};
use crate::output::{Format, err, ether};
use alloy::{
    eips::BlockNumberOrTag,
    primitives::{Address, B256, Bytes, U256},
    providers::Provider,
    rlp::Encodable,
};
use baton_bindings::{
    Registration, commit,
    contracts::{BatchInbox, BatonToken, Portal, RevenueShare, SequencerPool, Staking},
    explain,
};
use baton_node::OperatorKeys;
use baton_primitives::{Generation, SequencerId, readiness_message};
use clap::{Args, Subcommand};
use eyre::{Result, WrapErr, ensure, eyre};
use std::{path::PathBuf, time::Duration};
use tokio_util::sync::CancellationToken;

/// What the first deposit of an L1 block costs more than the next one.
const FIRST_DEPOSIT_GAS: u64 = 40_000;

/// Verbs that send a transaction to the contracts.
#[derive(Debug, Subcommand)]
pub enum StakeVerb {
    /// Bond self-stake: creates a sequencer, or adds to the one named with --id.
    Stake(Stake),
    /// Register a node's keys and endpoint for a sequencer of yours: announced first, then made five L1 blocks later.
    Register(Register),
    /// Enter the active set by a proof that the node runs.
    Activate(Activate),
    /// Delegate to a sequencer.
    Delegate(Position),
    /// Start the exit of a delegation (or, with --self-stake, of your own stake).
    Exit(Exit),
    /// Pay an exit whose time has come; anyone may.
    FinishExit(FinishExit),
    /// Withdraw income: of a delegation, or with --owner of your sequencer.
    Claim(Claim),
    /// Send ether from L1 to L2.
    Deposit(Deposit),
    /// Take the next snapshot of the set and seal taken ones, where due; anyone may.
    Snapshots(Snapshots),
}

/// `baton snapshots`.
#[derive(Args, Debug)]
pub struct Snapshots {
    #[command(flatten)]
    sender: SenderFlags,
    /// Go on until interrupted.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    format: Format,
}

/// `baton stake`.
#[derive(Args, Debug)]
pub struct Stake {
    #[command(flatten)]
    sender: SenderFlags,
    /// Tokens, for example 20000.
    #[arg(long, value_parser = amount)]
    amount: u128,
    /// Add to this sequencer instead of creating one.
    #[arg(long)]
    id: Option<u64>,
    /// Commission on the sequencer's income, basis points.
    #[arg(long, default_value_t = 1_000)]
    commission: u16,
    /// The commission's maximum, fixed for ever, basis points.
    #[arg(long, default_value_t = 2_000)]
    max_commission: u16,
    #[command(flatten)]
    format: Format,
}

/// `baton register`.
#[derive(Args, Debug)]
pub struct Register {
    #[command(flatten)]
    sender: SenderFlags,
    /// Your sequencer.
    #[arg(long)]
    id: u64,
    /// Directory of the node's keys.
    #[arg(long, env = "BATON_KEYS", value_name = "DIR")]
    keys: PathBuf,
    /// `host:port` at which peers reach the node.
    #[arg(long)]
    endpoint: String,
    #[command(flatten)]
    format: Format,
}

/// `baton activate`.
#[derive(Args, Debug)]
pub struct Activate {
    #[command(flatten)]
    sender: SenderFlags,
    /// The sequencer.
    #[arg(long)]
    id: u64,
    /// Directory of the node's keys.
    #[arg(long, env = "BATON_KEYS", value_name = "DIR")]
    keys: PathBuf,
    #[command(flatten)]
    format: Format,
}

/// `baton delegate`.
#[derive(Args, Debug)]
pub struct Position {
    #[command(flatten)]
    sender: SenderFlags,
    /// The sequencer.
    #[arg(long)]
    id: u64,
    /// Tokens.
    #[arg(long, value_parser = amount)]
    amount: u128,
    #[command(flatten)]
    format: Format,
}

/// `baton exit`.
#[derive(Args, Debug)]
pub struct Exit {
    #[command(flatten)]
    position: Position,
    /// Exit your own stake in your sequencer, not a delegation.
    #[arg(long)]
    self_stake: bool,
}

/// `baton finish-exit`.
#[derive(Args, Debug)]
pub struct FinishExit {
    #[command(flatten)]
    sender: SenderFlags,
    /// The exit's number, as printed by `baton exit`.
    #[arg(long)]
    exit_id: u64,
    #[command(flatten)]
    format: Format,
}

/// `baton claim`.
#[derive(Args, Debug)]
pub struct Claim {
    #[command(flatten)]
    sender: SenderFlags,
    /// The sequencer.
    #[arg(long)]
    id: u64,
    /// Claim commission and the self-stake's income, as the sequencer's owner.
    #[arg(long)]
    owner: bool,
    /// Who is paid; you if not given.
    #[arg(long)]
    receiver: Option<Address>,
    #[command(flatten)]
    format: Format,
}

/// `baton deposit`.
#[derive(Args, Debug)]
pub struct Deposit {
    #[command(flatten)]
    sender: SenderFlags,
    /// Ether to send to L2.
    #[arg(long, value_parser = amount)]
    amount: u128,
    /// Receiver on L2; you if not given.
    #[arg(long)]
    to: Option<Address>,
    /// Gas of the transaction on L2.
    #[arg(long, default_value_t = 100_000)]
    gas: u64,
    /// Call data on L2.
    #[arg(long, default_value = "0x")]
    data: Bytes,
    /// Most ether to pay for the gas, sent beside the amount; what is not needed arrives with your deposit. Twice the price of now if not given.
    #[arg(long, value_parser = amount)]
    max_fee: Option<u128>,
    #[command(flatten)]
    format: Format,
}

/// Runs the verb.
///
/// # Errors
/// If L1 does not answer or a contract refuses, with its error by name.
pub async fn run(verb: StakeVerb) -> Result<()> {
    let (done, format) = match verb {
        StakeVerb::Stake(v) => (stake(&v).await?, v.format),
        StakeVerb::Register(v) => (register(&v).await?, v.format),
        StakeVerb::Activate(v) => (activate(&v).await?, v.format),
        StakeVerb::Delegate(v) => (delegate(&v).await?, v.format),
        StakeVerb::Exit(v) => (exit(&v).await?, v.position.format),
        StakeVerb::FinishExit(v) => (finish_exit(&v).await?, v.format),
        StakeVerb::Claim(v) => (claim(&v).await?, v.format),
        StakeVerb::Deposit(v) => (deposit(&v).await?, v.format),
        StakeVerb::Snapshots(v) => return snapshots(&v).await,
    };
    format.print(&done, Done::line)?;
    Ok(())
}

/// Lets the staking contract take `amount`, after a check that names what is missing.
async fn approve(s: &Sender, amount: u128) -> Result<()> {
    let token = BatonToken::new(s.deployment.addresses.token, &s.provider);
    let held = token.balanceOf(s.account).call().await?;
    ensure!(
        held >= U256::from(amount),
        "insufficient tokens: {} holds {} and {} are asked for; send it stake tokens ({}) first",
        s.account,
        ether(held),
        ether(U256::from(amount)),
        s.deployment.addresses.token
    );
    mined("approve", token.approve(s.deployment.addresses.staking, U256::from(amount)).send().await).await?;
    Ok(())
}

async fn stake(v: &Stake) -> Result<Done> {
    let s = v.sender.sender().await?;
    approve(&s, v.amount).await?;
    let staking = Staking::new(s.deployment.addresses.staking, &s.provider);
    let tokens = ether(U256::from(v.amount));
    if let Some(id) = v.id {
        let receipt = mined("stake", staking.topUp(id, v.amount).send().await).await?;
        return Ok(Done::new(format!("added {tokens} tokens to sequencer {id}"), &receipt));
    }
    let call = staking.bond(v.amount, v.commission, v.max_commission);
    let receipt = mined("stake", call.send().await).await?;
    let created = receipt
        .decoded_log::<Staking::SequencerCreated>()
        .ok_or_else(|| eyre!("stake: the receipt names no new sequencer"))?;
    Ok(Done::new(
        format!("created sequencer {} with {tokens} tokens; next: baton register --id {0}", created.id),
        &receipt,
    ))
}

async fn register(v: &Register) -> Result<Done> {
    let s = v.sender.sender().await?;
    let keys = OperatorKeys::load(&v.keys)?;
    let registration = Registration {
        identity: keys.identity.public(),
        operator: keys.poster.address(),
        vote_key: keys.vote.clone(),
        endpoint: v.endpoint.clone(),
    };
    let (id, salt) = (SequencerId::new(v.id), B256::random());
    let pool = SequencerPool::new(s.deployment.addresses.pool, &s.provider);
    if pool.snapshotCount().call().await? > 0 {
        let owner = Staking::new(s.deployment.addresses.staking, &s.provider).ownerOf(v.id).call().await?;
        ensure!(
            owner == s.account,
            "register: SequencerPool_NotOwner: sequencer {} belongs to {owner}, not to {}; use its owner's key",
            v.id,
            s.account
        );
        let first = commit(&s.provider, &s.deployment, s.account, id, &registration, salt).await?;
        err(&format!("announced; the keys can be registered after L1 block {first}"));
        reached(&s.provider, first).await.wrap_err("the keys were announced but not registered; register again")?;
    }
    let receipt = baton_bindings::register(&s.provider, &s.deployment, s.account, id, &registration, salt).await?;
    Ok(Done::new(format!("registered keys and {} for sequencer {}; next: baton activate", v.endpoint, v.id), &receipt))
}

/// Waits until L1 has block `number`: what the next one includes counts from there on.
async fn reached<P: Provider>(provider: &P, number: u64) -> Result<()> {
    let mut turns = tokio::time::interval(Duration::from_millis(500));
    while provider.get_block_number().await? < number {
        turns.tick().await;
    }
    Ok(())
}

async fn activate(v: &Activate) -> Result<Done> {
    let s = v.sender.sender().await?;
    let keys = OperatorKeys::load(&v.keys)?;
    let receipt = prove_readiness(&s, SequencerId::new(v.id), &keys).await?;
    Ok(Done::new(format!("sequencer {} is active: it is in the next snapshot", v.id), &receipt))
}

/// Signs and sends a readiness proof over the L1 head's parent and the newest anchor.
///
/// # Errors
/// If L1 does not answer or the pool refuses.
pub async fn prove_readiness(
    s: &Sender,
    id: SequencerId,
    keys: &OperatorKeys,
) -> Result<alloy::rpc::types::TransactionReceipt> {
    let pool = SequencerPool::new(s.deployment.addresses.pool, &s.provider);
    let inbox = BatchInbox::new(s.deployment.addresses.inbox, &s.provider);
    let head = s.provider.get_block_number().await?.saturating_sub(1);
    let block = s.provider.get_block_by_number(BlockNumberOrTag::Number(head)).await?;
    let hash = block.ok_or_else(|| eyre!("L1 has no block {head}"))?.header.hash;
    let anchor = inbox.anchor().call().await?.coreHash;
    let generation = Generation::new(inbox.generation().call().await?);
    let nonce = pool.entry(id.get()).call().await?.nonce;
    let d = &s.deployment;
    let message = readiness_message(d.l1_chain_id, d.addresses.pool, generation, id, nonce, head, hash, anchor);
    let signature = keys.vote.sign(&message).to_eip2537();
    mined("activate", pool.activate(id.get(), head, anchor, signature.into()).send().await).await
}

/// Takes the next snapshot if it is due, and seals every sealable one. Answers what was done.
///
/// # Errors
/// If L1 does not answer or the pool refuses.
pub async fn keep_snapshots(s: &Sender) -> Result<Vec<String>> {
    const SEAL_AFTER: u64 = 8;
    let pool = SequencerPool::new(s.deployment.addresses.pool, &s.provider);
    let head = s.provider.get_block_number().await?;
    let mut done = Vec::new();
    let count = pool.snapshotCount().call().await?;
    let newest = pool.latestSealed().call().await?;
    for id in newest + 1..count {
        let taken = pool.snapshotBlocks(id).call().await?.takenBlock;
        if taken + SEAL_AFTER >= head {
            continue;
        }
        let block = s.provider.get_block_by_number(BlockNumberOrTag::Number(taken + SEAL_AFTER)).await?;
        let header = block.ok_or_else(|| eyre!("L1 has no block {}", taken + SEAL_AFTER))?.header.inner;
        let mut rlp = Vec::new();
        header.encode(&mut rlp);
        mined("seal", pool.seal(id, rlp.into()).send().await).await?;
        done.push(format!("sealed snapshot {id}"));
    }
    if pool.nextSnapshotBlock().call().await? <= head + 1 {
        mined("take snapshot", pool.takeSnapshot().send().await).await?;
        done.push(format!("took snapshot {count}"));
    }
    Ok(done)
}

/// Takes and seals snapshots whenever one is due, until `stop`. What L1 refuses is logged and tried again.
pub async fn keep(s: Sender, stop: CancellationToken) {
    const PAUSE: Duration = Duration::from_secs(1);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
        match keep_snapshots(&s).await {
            Ok(done) => done.iter().for_each(|what| tracing::info!("{what}")),
            // Another keeper may have been faster.
            Err(error) => tracing::debug!("snapshots: {error:#}"),
        }
    }
}

/// `baton snapshots`: takes and seals them, once or for good.
///
/// # Errors
/// If L1 does not answer or the pool refuses.
async fn snapshots(v: &Snapshots) -> Result<()> {
    let s = v.sender.sender().await?;
    if v.watch {
        keep(s, until_asked_to_end(false)).await;
        return Ok(());
    }
    let done = keep_snapshots(&s).await?;
    v.format.print(&done, |done| if done.is_empty() { "no snapshot is due".into() } else { done.join("\n") })?;
    Ok(())
}

async fn delegate(v: &Position) -> Result<Done> {
    let s = v.sender.sender().await?;
    approve(&s, v.amount).await?;
    let staking = Staking::new(s.deployment.addresses.staking, &s.provider);
    let receipt = mined("delegate", staking.delegate(v.id, v.amount).send().await).await?;
    Ok(Done::new(format!("delegated {} tokens to sequencer {}", ether(U256::from(v.amount)), v.id), &receipt))
}

async fn exit(v: &Exit) -> Result<Done> {
    let p = &v.position;
    let s = p.sender.sender().await?;
    let staking = Staking::new(s.deployment.addresses.staking, &s.provider);
    let sent = if v.self_stake {
        staking.requestSelfExit(p.id, p.amount).send().await
    } else {
        staking.requestExit(p.id, p.amount).send().await
    };
    let receipt = mined("exit", sent).await?;
    let event =
        receipt.decoded_log::<Staking::ExitRequested>().ok_or_else(|| eyre!("exit: the receipt names no exit"))?;
    let ready =
        humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + std::time::Duration::from_secs(event.readyAt));
    let what = format!(
        "exit {} of {} tokens; from {ready} on: baton finish-exit --exit-id {0}",
        event.exitId,
        ether(U256::from(event.amount))
    );
    Ok(Done::new(what, &receipt))
}

async fn finish_exit(v: &FinishExit) -> Result<Done> {
    let s = v.sender.sender().await?;
    let staking = Staking::new(s.deployment.addresses.staking, &s.provider);
    let receipt = mined("finish-exit", staking.finishExit(v.exit_id).send().await).await?;
    let paid = receipt.decoded_log::<Staking::ExitFinished>().map(|log| log.amount).unwrap_or_default();
    Ok(Done::new(format!("exit {} paid {} tokens", v.exit_id, ether(U256::from(paid))), &receipt))
}

async fn claim(v: &Claim) -> Result<Done> {
    let s = v.sender.sender().await?;
    let revenue = RevenueShare::new(s.deployment.addresses.revenue, &s.provider);
    let receiver = v.receiver.unwrap_or(s.account);
    let sent = if v.owner {
        revenue.claimOwner(v.id, receiver).send().await
    } else {
        revenue.claim(v.id, receiver).send().await
    };
    let receipt = mined("claim", sent).await?;
    let paid = receipt.decoded_log::<RevenueShare::Claimed>().map(|log| log.amount).unwrap_or_default();
    Ok(Done::new(format!("claimed {} ether for {receiver}", ether(paid)), &receipt))
}

async fn deposit(v: &Deposit) -> Result<Done> {
    let s = v.sender.sender().await?;
    let to = v.to.unwrap_or(s.account);
    let portal = Portal::new(s.deployment.addresses.portal, &s.provider);
    let value = U256::from(v.amount);
    let fee = portal.depositFee(v.gas).call().await.map_err(|e| eyre!("deposit: {}", explain(&e)))?;
    let max_fee = v.max_fee.map_or(fee * U256::from(2), U256::from);
    ensure!(
        max_fee >= fee,
        "deposit: {} gas cost {} ether now, more than --max-fee {}; allow more, or wait: while few deposit the price falls by an eighth each L1 block",
        v.gas,
        ether(fee),
        ether(max_fee)
    );
    let call = portal.deposit(to, value, v.gas, false, v.data.clone(), max_fee).value(value + max_fee);
    // The first deposit of a block costs more than the next, and an estimate may have seen another's before it.
    let gas = call.estimate_gas().await.map(|gas| gas + FIRST_DEPOSIT_GAS);
    let sent = match gas {
        Ok(gas) => call.gas(gas).send().await,
        Err(error) => Err(error),
    };
    let receipt = mined("deposit", sent).await?;
    let event = receipt.decoded_log::<Portal::Deposited>().ok_or_else(|| eyre!("deposit: no event in the receipt"))?;
    let line =
        format!("deposit {} of {} ether for {to}, gas for {} ether", event.index, ether(value), ether(event.fee));
    Ok(Done::new(line, &receipt))
}
