//! F19: floods of the pool. Its limits hold, and a valid transaction is in one of the next three blocks (P12 bounded).

#![allow(clippy::print_stdout, reason = "the figures of a scenario")]

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718,
    primitives::{Address, B256, Bytes, TxKind, U256},
    providers::Provider,
    signers::{SignerSync, local::PrivateKeySigner},
};
use baton_cli::{
    chain,
    load::{self, Fees, Signed},
};
use baton_testkit::{
    World, WorldPlan,
    promises::{self, named},
    world::{LATER, SOON},
};
use baton_tests::{
    fate, fate_and_reason,
    hostile::{Healthy, pool, request, resident, sound},
};
use eyre::{Result, ensure};
use serde_json::{Value, json};
use std::{collections::HashMap, future::Future};

/// The pool's limits (`baton_pool::Limits::default`): transactions.
const MOST: u64 = 10_000;
/// Those behind a missing nonce.
const MOST_QUEUED: u64 = 2_500;
/// Those of one sender.
const MOST_PER_SENDER: u64 = 16;
/// Its bytes are at most 20 MiB, and what waits behind gaps has a quarter: so the node may not grow by more than this.
const MOST_GROWTH: u64 = 300 << 20;
/// What an attacker offers who will never pay: far above everybody.
const LAVISH: Fees = Fees { max_fee: 2_000_000_000_000, tip: 1_000_000_000_000 };

/// What the longest transactions offer: their gas times this is what an account holds.
const BULKY: u128 = 100_000_000_000;
/// Accounts of the attacker; each fills its slots.
const ATTACKERS: u64 = 170;

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_the_pool_keep_no_valid_transaction_out() -> Result<()> {
    let mut world = World::start(WorldPlan { users: 3, metrics: true, ..WorldPlan::default() }).await?;
    let healthy = Healthy::connect(world.nodes()[0].plan.http()).await?;
    let chain_id = world.l2(0).get_chain_id().await?;
    let attackers: Vec<_> = (1..=ATTACKERS)
        .map(|n| PrivateKeySigner::from_bytes(&B256::from(U256::from(n) << 128)))
        .collect::<Result<_, _>>()?;
    load::disperse(&world.nodes()[0].plan.http(), &world.users[0], &attackers, 400_000_000_000_000_000).await?;
    let memory = resident(&world, 0)?;
    let flood = Flood { world: &world, healthy, chain_id, attackers };

    flood.beside("invalid transactions", flood.invalid()).await?;
    flood.beside("replacements", flood.replacements()).await?;
    flood.beside("the longest transactions", flood.longest()).await?;
    let taken = flood.beside("future nonces", flood.future_nonces()).await?;
    flood.beside("many senders", flood.many_senders()).await?;
    flood.every_one_has_a_fate(&taken).await?;

    let grown = resident(&world, 0)?.saturating_sub(memory);
    ensure!(grown <= MOST_GROWTH, "the floods cost {} MB of memory", grown >> 20);
    a_restart_forgets_nothing(&mut world, chain_id).await?;
    promises::agreement(&world).await?;
    sound(&mut world).await?;
    world.end().await;
    Ok(())
}

struct Flood<'a> {
    world: &'a World,
    healthy: Healthy,
    chain_id: u64,
    attackers: Vec<PrivateKeySigner>,
}

impl Flood<'_> {
    /// Runs a flood and, beside and after it, sends valid transactions that must not wait.
    async fn beside<T>(&self, what: &str, flood: impl Future<Output = Result<T>>) -> Result<T> {
        let mut flood = std::pin::pin!(flood);
        let mut outcome = None;
        let (mut probes, mut longest) = (0, 0);
        // Two more when the flood is in.
        let mut after = 0;
        while after < 2 {
            let probe = self.probe();
            let mut probe = std::pin::pin!(probe);
            let waited = loop {
                tokio::select! {
                    done = flood.as_mut(), if outcome.is_none() => outcome = Some(done?),
                    waited = probe.as_mut() => break waited?,
                }
            };
            ensure!(waited <= 3, "{what}: a valid transaction was in the {waited}th block after it was taken");
            (probes, longest) = (probes + 1, longest.max(waited));
            after += usize::from(outcome.is_some());
            let (ready, queued) = pool(&self.healthy).await?;
            ensure!(ready + queued <= MOST && queued <= MOST_QUEUED, "{what}: {ready} ready, {queued} queued");
        }
        println!("{what}: {probes} valid transactions beside it, the slowest in block {longest} after it was taken");
        outcome.ok_or_else(|| eyre::eyre!("{what} did not end"))
    }

    /// Sends what a wallet would; gives how many blocks after its acceptance it was in one.
    async fn probe(&self) -> Result<u64> {
        let (l2, user) = (self.world.l2(0), &self.world.users[1]);
        let nonce = l2.get_transaction_count(user.address()).await?;
        let fees = l2.estimate_eip1559_fees().await?;
        let fees = Fees { max_fee: fees.max_fee_per_gas, tip: fees.max_priority_fee_per_gas };
        let signed = load::sign_transfer(user, self.chain_id, nonce, Address::repeat_byte(0xaa), fees)?;
        let answer = self.healthy.ask(&request("eth_sendRawTransaction", json!([signed.raw]))).await?;
        ensure!(answer.get("result").is_some(), "a valid transaction was refused: {answer}");
        let head = l2.get_block_number().await?;
        let receipt = chain::wait_receipt(&self.world.nodes()[0].plan.ws(), signed.hash, SOON).await?;
        Ok(receipt.block_number.unwrap_or(u64::MAX).saturating_sub(head))
    }

    /// Sends raw transactions in batches; gives what was answered to each.
    async fn send(&self, raw: impl IntoIterator<Item = Bytes>) -> Result<Vec<Result<B256, String>>> {
        let raw: Vec<Bytes> = raw.into_iter().collect();
        let mut answers = Vec::with_capacity(raw.len());
        for some in raw.chunks(50) {
            let batch: Vec<Value> = some.iter().map(|raw| request("eth_sendRawTransaction", json!([raw]))).collect();
            let answer = self.healthy.ask(&json!(batch)).await?;
            for answer in answer.as_array().into_iter().flatten() {
                answers.push(match answer["result"].as_str() {
                    Some(hash) => Ok(hash.parse()?),
                    None => Err(answer["error"]["message"].as_str().unwrap_or_default().to_owned()),
                });
            }
        }
        ensure!(answers.len() == raw.len(), "{} answers to {} transactions", answers.len(), raw.len());
        Ok(answers)
    }

    fn transfer(&self, signer: &PrivateKeySigner, nonce: u64, fees: Fees) -> Result<Signed> {
        load::sign_transfer(signer, self.chain_id, nonce, Address::repeat_byte(0xbb), fees)
    }

    /// Everything that is wrong with a transaction, some hundred times each.
    async fn invalid(&self) -> Result<()> {
        let signer = &self.attackers[0];
        let mut raw: Vec<Bytes> = Vec::new();
        for n in 0..300u64 {
            let good = self.transfer(signer, 0, Fees::cap(10_000_000_000 + u128::from(n)))?.raw;
            let mut bent = good.to_vec();
            let at = usize::try_from(n)? % bent.len();
            bent[at] ^= 1 << (n % 8);
            let poor = PrivateKeySigner::from_bytes(&B256::from(U256::from(n + 1) << 64))?;
            raw.extend([
                Bytes::from(vec![0xc0; usize::try_from(n)?]),
                good.slice(..good.len() - 1),
                Bytes::from([good.as_ref(), &[0]].concat()),
                load::sign_transfer(signer, self.chain_id + 1, 0, Address::ZERO, Fees::cap(10_000_000_000))?.raw,
                self.transfer(&poor, 0, LAVISH)?.raw,
                self.transfer(signer, 0, Fees::cap(1))?.raw,
                // A bit of it is another: its signature then names another account, if any.
                Bytes::from(bent),
            ]);
        }
        let mut why: HashMap<String, usize> = HashMap::new();
        for answer in self.send(raw).await? {
            let refusal = answer.err().unwrap_or_else(|| "taken".into());
            ensure!(!refusal.is_empty() && !refusal.contains("internal"), "refused with {refusal:?}");
            *why.entry(refusal.split([':', ' ']).take(2).collect::<Vec<_>>().join(" ")).or_default() += 1;
        }
        ensure!(!why.contains_key("taken"), "taken: {why:?}");
        ensure!(why.get("insufficient funds").is_some_and(|n| *n >= 300), "refusals: {why:?}");
        Ok(())
    }

    /// One transaction behind a gap, replaced again and again, with enough more or too little.
    async fn replacements(&self) -> Result<()> {
        let (signer, before) = (&self.attackers[1], pool(&self.healthy).await?.1);
        let mut fee = 1_000_000_000u128;
        let (mut raw, mut enough) = (Vec::new(), Vec::new());
        for n in 0..600 {
            let is_enough = n % 10 == 0;
            let offer = if is_enough { fee + fee / 10 + 1 } else { fee + fee / 20 };
            raw.push(self.transfer(signer, 9, Fees { max_fee: offer, tip: offer })?.raw);
            enough.push(is_enough);
            if is_enough {
                fee = offer;
            }
        }
        for (answer, is_enough) in self.send(raw).await?.into_iter().zip(enough) {
            match answer {
                Ok(_) => ensure!(is_enough, "a replacement with too little more was taken"),
                Err(why) => named(&why, &["replacement transaction underpriced", "10 %"])?,
            }
        }
        let after = pool(&self.healthy).await?.1;
        ensure!(after == before + 1, "{before} queued before the replacements, {after} after");
        Ok(())
    }

    /// Transactions of 128 KB behind gaps: they get their share of the pool's bytes, and no more.
    async fn longest(&self) -> Result<()> {
        let long = |signer: &PrivateKeySigner, nonce, bytes| -> Result<Bytes> {
            let transaction = TxEip1559 {
                chain_id: self.chain_id,
                nonce,
                gas_limit: 1_400_000,
                max_fee_per_gas: BULKY,
                max_priority_fee_per_gas: BULKY,
                to: TxKind::Call(Address::ZERO),
                input: vec![0; bytes].into(),
                ..TxEip1559::default()
            };
            let signature = signer.sign_hash_sync(&transaction.signature_hash())?;
            Ok(TxEnvelope::from(transaction.into_signed(signature)).encoded_2718().into())
        };
        let too_long = self.send([long(&self.attackers[2], 1, 128 * 1024)?]).await?;
        named(too_long[0].as_ref().err().map_or("taken", |e| e), &["oversized data", "131072"])?;
        let mut taken = 0u64;
        for signer in &self.attackers[2..8] {
            let raw = (1..=MOST_PER_SENDER).map(|nonce| long(signer, nonce, 127 * 1024)).collect::<Result<Vec<_>>>()?;
            for answer in self.send(raw).await? {
                match answer {
                    Ok(_) => taken += 1,
                    Err(why) => named(&why, &["txpool is full of transactions behind a missing nonce"])?,
                }
            }
        }
        // 96 were offered; 40 of them are 5 MB.
        ensure!((35..=41).contains(&taken), "{taken} of 127 KB each were taken");
        Ok(())
    }

    /// Every slot of every attacker behind a missing nonce, each at a price that nobody will ever pay. Gives those taken.
    async fn future_nonces(&self) -> Result<Vec<B256>> {
        let mut raw = Vec::new();
        for signer in &self.attackers[8..] {
            for nonce in 1..=MOST_PER_SENDER + 1 {
                raw.push(self.transfer(signer, nonce, LAVISH)?.raw);
            }
        }
        let (mut taken, mut crowded, mut full) = (Vec::new(), 0, 0);
        for answer in self.send(raw).await? {
            match answer {
                Ok(hash) => taken.push(hash),
                Err(why) if why.starts_with("account limit exceeded") => crowded += 1,
                Err(why) => {
                    named(&why, &["txpool is full of transactions behind a missing nonce"])?;
                    full += 1;
                }
            }
        }
        ensure!(crowded > 0 && full > 0, "{} taken, {crowded} over an account's limit, {full} over all's", taken.len());
        ensure!(
            pool(&self.healthy).await?.1 > MOST_QUEUED - 50,
            "the flood is not in: {:?}",
            pool(&self.healthy).await?
        );
        Ok(taken)
    }

    /// The missing nonces: what was behind them is valid, and pays.
    async fn many_senders(&self) -> Result<()> {
        let raw: Vec<Bytes> = self.attackers[8..]
            .iter()
            .map(|signer| Ok(self.transfer(signer, 0, LAVISH)?.raw))
            .collect::<Result<_>>()?;
        let refused: Vec<_> = self.send(raw).await?.into_iter().filter_map(Result::err).collect();
        ensure!(refused.is_empty(), "valid transactions were refused: {:?}", refused.first());
        let drained = || async {
            let (ready, queued) = pool(&self.healthy).await?;
            Ok((ready == 0 && queued <= MOST_QUEUED / 10).then_some(()))
        };
        chain::wait_for(&self.world.nodes()[0].plan.ws(), "the flood is included", LATER, drained).await
    }

    /// No accepted transaction is gone without a word.
    async fn every_one_has_a_fate(&self, taken: &[B256]) -> Result<()> {
        let l2 = self.world.l2(0);
        let mut fates: HashMap<String, usize> = HashMap::new();
        for hash in taken.iter().step_by(10) {
            *fates.entry(fate(&l2, *hash).await?).or_default() += 1;
        }
        ensure!(fates.keys().all(|f| f != "unknown"), "fates: {fates:?}");
        println!("fates of every tenth of the flood: {fates:?}");
        Ok(())
    }
}

/// What waits, and what is final, has the same fate after a kill.
async fn a_restart_forgets_nothing(world: &mut World, chain_id: u64) -> Result<()> {
    let (l2, user) = (world.l2(0), world.users[2].clone());
    let nonce = l2.get_transaction_count(user.address()).await?;
    let receiver = Address::repeat_byte(0xcc);
    let first = load::sign_transfer(&user, chain_id, nonce, receiver, Fees::cap(10_000_000_000))?;
    let offer = |times: u128| Fees { max_fee: times * 10_000_000_000, tip: times * 1_000_000_000 };
    let replaced = load::sign_transfer(&user, chain_id, nonce + 2, receiver, offer(1))?;
    let behind = load::sign_transfer(&user, chain_id, nonce + 2, receiver, offer(2))?;
    for signed in [&first, &replaced, &behind] {
        let _ = l2.send_raw_transaction(&signed.raw).await?;
    }
    chain::wait_receipt(&world.nodes()[0].plan.ws(), first.hash, SOON).await?;
    let rejected = ("rejected".to_owned(), Some(format!("replaced by {}", behind.hash)));
    let told = fate_and_reason(&l2, replaced.hash).await?;
    ensure!(told == rejected, "a replaced transaction is {told:?}");
    world.kill(0).await;
    world.restart(0).await?;
    let l2 = world.l2(0);
    // What was final since the last write is in the journal of the pool again, until consensus hands its blocks over once more.
    let is_final = || async {
        let fate = fate(&l2, first.hash).await?;
        ensure!(fate != "unknown", "what was final is forgotten after a kill");
        Ok(["final", "posted", "settled"].contains(&fate.as_str()).then_some(()))
    };
    chain::wait_for(&world.nodes()[0].plan.ws(), "what was final is final again after a kill", SOON, is_final).await?;
    let waits = fate(&l2, behind.hash).await?;
    ensure!(waits == "pending", "what waited is {waits:?} after a kill");
    let told = fate_and_reason(&l2, replaced.hash).await?;
    ensure!(told == rejected, "a replaced transaction is {told:?} after a kill");
    Ok(())
}
