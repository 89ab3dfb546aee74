//! Members post batches together: real posters, an L1 that checks certificates as the contract does, links that can be cut.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use alloy::{
    primitives::{Address, B256, Bytes, U256},
    sol_types::SolCall,
};
use baton_batch::versioned_hash;
use baton_bindings::contracts::{inbox::BatchInbox::postCall, slasher::Slasher::slashBatchesCall};
use baton_poster::{
    Call, Chain, ClosedEpoch, Config, Duty, Error, Executed, Kind, Ledger, Message, Network, Offence, Poster,
    PosterHandle, Recipients, Report, Request, Sent, Settlement, Standing,
};
use baton_primitives::{
    Anchor, BatchIndex, Block, Core, Epoch, ExtraData, Generation, Header, Height, IdentityKey, IdentitySecret,
    L1Origin, Member, Parameters, RecoveredBlock, SequencerId, Snapshot, SnapshotId, SystemCall, View, batch_message,
    block_body, bls, data_hash_blobs, system_transaction,
};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

const MEMBERS: u8 = 4;
const CHAIN_ID: u64 = 31_337;
const INBOX: Address = Address::repeat_byte(0xbb);
const PATIENCE: Duration = Duration::from_secs(60);

fn operator(position: usize) -> Address {
    Address::with_last_byte(u8::try_from(position).unwrap() + 1)
}

/// Secrets in snapshot order.
fn secrets() -> Vec<(IdentitySecret, bls::SecretKey)> {
    let secret = |i: u8| (IdentitySecret::from_bytes([i; 32]), bls::SecretKey::from_seed(&[i; 32]));
    let mut all: Vec<_> = (1..=MEMBERS).map(secret).collect();
    all.sort_by_key(|(identity, _)| identity.public());
    all
}

fn snapshot() -> Snapshot {
    let member = |(i, (identity, key)): (usize, (IdentitySecret, bls::SecretKey))| Member {
        id: SequencerId::new(i as u64 + 1),
        owner: Address::ZERO,
        operator: operator(i),
        stake: 1_000,
        identity: identity.public(),
        vote_key: key.public(),
        endpoint: String::from("127.0.0.1:1"),
    };
    let members = secrets().into_iter().enumerate().map(member).collect();
    Snapshot { id: SnapshotId::ZERO, seal_block: 0, seed: B256::repeat_byte(5), members }
}

/// The final chain.
#[derive(Clone)]
struct Final {
    blocks: Arc<Mutex<Vec<Executed>>>,
    head: watch::Sender<Height>,
    /// Differs between chains that disagree.
    salt: u8,
}

impl Final {
    fn new(salt: u8) -> Self {
        Self { blocks: Arc::default(), head: watch::Sender::new(Height::ZERO), salt }
    }

    /// Appends blocks half a second apart.
    fn grow(&self, count: u64) {
        let mut blocks = self.blocks.lock();
        for _ in 0..count {
            let number = blocks.len() as u64 + 1;
            let origin = L1Origin { number: number / 20, hash: B256::repeat_byte(1), ..L1Origin::default() };
            let extra = ExtraData { view: View::new(number), parent_view: View::new(number - 1), millis: 0 };
            let header = Header {
                number,
                timestamp: number / 2,
                extra_data: extra.to_bytes(),
                state_root: B256::repeat_byte(self.salt),
                parent_hash: blocks.last().map_or(B256::ZERO, |b: &Executed| b.block.hash()),
                ..Header::default()
            };
            let call = SystemCall { origin, deposits: 0 };
            let body = block_body(vec![system_transaction(Height::new(number), &call)]);
            let block = Arc::new(RecoveredBlock::recover(Block { header, body }).unwrap());
            blocks.push(Executed { block, withdrawals_root: B256::ZERO, swept: U256::ZERO });
        }
        self.head.send_replace(Height::new(blocks.len() as u64));
    }
}

impl Chain for Final {
    fn head(&self) -> watch::Receiver<Height> {
        self.head.subscribe()
    }

    async fn executed(&self, height: Height) -> Option<Executed> {
        let index = usize::try_from(height.get().checked_sub(1)?).ok()?;
        self.blocks.lock().get(index).cloned()
    }
}

/// What L1 accepted.
#[derive(Clone, Debug)]
struct Accepted {
    core: Core,
    poster: Address,
    signers: U256,
    blobs: Vec<B256>,
}

#[derive(Default)]
struct Inbox {
    head: u64,
    accepted_in: u64,
    batches: Vec<Accepted>,
    refused: Vec<String>,
}

/// L1: checks what `BatchInbox.post` checks of order, certificate and duty.
#[derive(Clone)]
struct L1 {
    inbox: Arc<Mutex<Inbox>>,
    standing: watch::Sender<Option<Standing>>,
}

impl L1 {
    fn new() -> Self {
        let l1 = Self { inbox: Arc::default(), standing: watch::Sender::new(None) };
        l1.tick();
        l1
    }

    fn tick(&self) {
        self.inbox.lock().head += 1;
        self.publish();
    }

    fn publish(&self) {
        let inbox = self.inbox.lock();
        let genesis = Anchor {
            index: BatchIndex::ZERO,
            core_hash: B256::ZERO,
            last_height: Height::ZERO,
            last_block: B256::ZERO,
            state_root: B256::ZERO,
        };
        let standing = Standing {
            l1_head: inbox.head,
            l1_hash: B256::ZERO,
            anchor: inbox.batches.last().map_or(genesis, |b| b.core.anchor()),
            accepted_in: inbox.accepted_in,
            generation: Generation::ZERO,
        };
        self.standing.send_replace(Some(standing));
    }

    fn post(&self, poster: Address, call: &Call) -> Result<u64, String> {
        let words = postCall::abi_decode_validate(&call.input).map_err(|e| e.to_string())?;
        let core = Core::from(&words.core);
        let snapshot = Arc::new(snapshot());
        let blobs: Vec<B256> = call.blobs.iter().filter_map(|it| versioned_hash(it.blob.as_slice())).collect();
        let mut inbox = self.inbox.lock();
        let last = inbox.batches.last().map(|b| &b.core);
        let (index, previous) = last.map_or((1, B256::ZERO), |c| (c.index.get() + 1, c.hash()));
        if core.index.get() != index || core.previous != previous {
            return Err(format!("batch {} where {index} is next", core.index));
        }
        let signers = words.certificate.signers;
        if !snapshot.is_quorum(signers) {
            return Err(format!("signers {signers} are no quorum"));
        }
        // The one valid aggregate is the sum of the members' signatures on this very message.
        let message = batch_message(CHAIN_ID, INBOX, core.hash(), data_hash_blobs(&blobs));
        let signed = secrets().into_iter().enumerate().filter(|(i, _)| signers.bit(*i));
        let signatures: Vec<_> = signed.map(|(_, (_, key))| key.sign(&message)).collect();
        let expected = bls::Signature::aggregate(&signatures).unwrap();
        if words.certificate.signature[..] != expected.to_eip2537() {
            return Err("bad certificate".into());
        }
        let duty = Duty::of(&core, &snapshot, inbox.accepted_in, &parameters()).unwrap();
        let position = (0..snapshot.members.len()).find(|i| operator(*i) == poster).unwrap();
        if inbox.head < duty.turn(position).min(duty.from + 2 * duty.grace) {
            return Err("not on duty".into());
        }
        inbox.accepted_in = inbox.head;
        inbox.batches.push(Accepted { core, poster, signers, blobs });
        let number = inbox.head;
        drop(inbox);
        self.publish();
        Ok(number)
    }

    fn batches(&self) -> Vec<Accepted> {
        self.inbox.lock().batches.clone()
    }

    fn refused(&self) -> Vec<String> {
        self.inbox.lock().refused.clone()
    }

    /// Lets L1 go on until so many batches are accepted.
    async fn until(&self, count: usize) -> Vec<Accepted> {
        self.until_that(|batches| batches.len() >= count).await
    }

    /// Lets L1 go on until what was accepted fits.
    async fn until_that(&self, fits: impl Fn(&[Accepted]) -> bool) -> Vec<Accepted> {
        let wait = async {
            while !fits(&self.batches()) {
                self.tick();
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
        };
        let reached = tokio::time::timeout(PATIENCE, wait).await;
        assert!(reached.is_ok(), "{} batches; refused {:?}", self.batches().len(), self.refused());
        self.batches()
    }
}

impl Settlement for L1 {
    fn standing(&self) -> watch::Receiver<Option<Standing>> {
        self.standing.subscribe()
    }
    fn snapshot(&self, id: SnapshotId) -> Option<Arc<Snapshot>> {
        (id == SnapshotId::ZERO).then(|| Arc::new(snapshot()))
    }
    fn sealed(&self) -> Vec<(SnapshotId, u64)> {
        vec![(SnapshotId::ZERO, 0)]
    }
    fn sequencer_of(&self, _: &IdentityKey) -> Option<SequencerId> {
        None
    }
    fn left_by_owner(&self, _: SequencerId) -> bool {
        false
    }
    fn blob_hashes(&self, index: BatchIndex) -> Option<Vec<B256>> {
        self.batches().iter().find(|b| b.core.index == index).map(|b| b.blobs.clone())
    }
    fn epoch_snapshot(&self, _: Epoch) -> Option<SnapshotId> {
        Some(SnapshotId::ZERO)
    }
    fn running_epoch(&self) -> Option<Epoch> {
        None
    }
    fn closed_epoch(&self, _: Epoch) -> Option<ClosedEpoch> {
        None
    }
}

/// One member's account on L1.
#[derive(Clone)]
struct Account {
    l1: L1,
    address: Address,
}

impl Ledger for Account {
    fn account(&self) -> Address {
        self.address
    }
    async fn send(&self, call: Call) -> Sent {
        match self.l1.post(self.address, &call) {
            Ok(l1_number) => Sent::Included { transaction: B256::ZERO, l1_number },
            Err(reason) => {
                self.l1.inbox.lock().refused.push(reason.clone());
                Sent::Refused { reason }
            }
        }
    }
    async fn view(&self, _: Address, _: Bytes) -> Result<Bytes, String> {
        Err("no views here".into())
    }
    async fn would_succeed(&self, _: Address, _: Bytes) -> Result<(), String> {
        Ok(())
    }
    async fn header(&self, _: u64) -> Result<Bytes, String> {
        Err("no headers here".into())
    }
}

/// Links between members.
#[derive(Clone, Default)]
struct Links {
    handles: Arc<Mutex<HashMap<IdentityKey, PosterHandle>>>,
    cut: Arc<Mutex<HashSet<IdentityKey>>>,
    /// Every message, with who sent it to whom.
    sent: Arc<Mutex<Vec<(IdentityKey, Recipients, Message)>>>,
}

impl Links {
    /// The first `count` messages that fit, when they have been sent.
    async fn messages<T>(
        &self,
        count: usize,
        fits: impl Fn(&IdentityKey, &Recipients, &Message) -> Option<T>,
    ) -> Vec<T> {
        let wait = async {
            loop {
                let sent = self.sent.lock().clone();
                let found: Vec<T> = sent.iter().filter_map(|(from, to, message)| fits(from, to, message)).collect();
                if found.len() >= count {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap()
    }
}

#[derive(Clone)]
struct Link {
    links: Links,
    own: IdentityKey,
}

impl Network for Link {
    fn send(&self, to: Recipients, message: Bytes) {
        self.links.sent.lock().push((self.own, to.clone(), Message::decode(&message).unwrap()));
        let to: Vec<IdentityKey> = match to {
            Recipients::Members(s) => s.members.iter().map(|m| m.identity).filter(|i| *i != self.own).collect(),
            Recipients::One(identity) => vec![identity],
        };
        let cut = self.links.cut.lock();
        if cut.contains(&self.own) {
            return;
        }
        for identity in to.iter().filter(|i| !cut.contains(*i)) {
            if let Some(handle) = self.links.handles.lock().get(identity) {
                handle.deliver(self.own, message.clone());
            }
        }
    }
}

fn parameters() -> Parameters {
    Parameters::devnet()
}

/// Members, their links, their chain and their L1.
struct Town {
    l1: L1,
    links: Links,
    chain: Final,
    folder: tempfile::TempDir,
    running: HashMap<usize, (CancellationToken, JoinHandle<Result<(), Error>>)>,
    reports: HashMap<usize, mpsc::Receiver<Report>>,
}

impl Town {
    fn new() -> Self {
        let (l1, links, chain) = (L1::new(), Links::default(), Final::new(0));
        Self {
            l1,
            links,
            chain,
            folder: tempfile::tempdir().unwrap(),
            running: HashMap::new(),
            reports: HashMap::new(),
        }
    }

    fn of_four() -> Self {
        let mut town = Self::new();
        (0..4).for_each(|position| town.start(position));
        town
    }

    fn start(&mut self, position: usize) {
        let chain = self.chain.clone();
        self.start_with(position, chain);
    }

    fn start_with(&mut self, position: usize, chain: Final) {
        let (identity, vote_key) = secrets().swap_remove(position);
        let identity = identity.public();
        let config = Config {
            sign_wait: Duration::from_millis(100),
            ..Config::new(parameters(), CHAIN_ID, INBOX, vote_key, identity, self.directory(position))
        };
        let link = Link { links: self.links.clone(), own: identity };
        let account = Account { l1: self.l1.clone(), address: operator(position) };
        let (reports, reported) = mpsc::channel(8);
        self.reports.insert(position, reported);
        let (poster, handle) = Poster::new(config, chain, self.l1.clone(), link, account, reports).unwrap();
        self.links.handles.lock().insert(identity, handle);
        let shutdown = CancellationToken::new();
        let task = poster.start(shutdown.clone());
        self.running.insert(position, (shutdown, task));
    }

    fn directory(&self, position: usize) -> PathBuf {
        self.folder.path().join(position.to_string())
    }

    /// Ends a member at once, wherever it is; as with a process, it is gone before it can start again.
    async fn kill(&mut self, position: usize) {
        self.links.handles.lock().remove(&snapshot().members[position].identity);
        if let Some((shutdown, task)) = self.running.remove(&position) {
            shutdown.cancel();
            task.await.unwrap().unwrap();
        }
    }

    /// Hands over a message as if `from` had sent it.
    fn deliver(&self, from: usize, to: usize, message: &Message) {
        let members = snapshot().members;
        let handle = self.links.handles.lock().get(&members[to].identity).cloned().unwrap();
        assert!(handle.deliver(members[from].identity, message.encode()));
    }

    fn leader_of(&self, core: &Core) -> usize {
        Duty::of(core, &Arc::new(snapshot()), 0, &parameters()).unwrap().leader
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        self.running.values().for_each(|(shutdown, _)| shutdown.cancel());
    }
}

fn contiguous(batches: &[Accepted]) {
    let mut next = 1;
    for batch in batches {
        assert_eq!(batch.core.first_height.get(), next);
        next = batch.core.last_height.get() + 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_member_on_duty_posts_each_batch_with_all_signatures_once() {
    let town = Town::of_four();
    town.chain.grow(260);
    let batches = town.l1.until_that(|all| all.last().is_some_and(|b| b.core.last_height.get() > 240)).await;
    contiguous(&batches);
    let by_leader = batches.iter().filter(|b| b.poster == operator(town.leader_of(&b.core))).count();
    let by_all = batches.iter().filter(|b| b.signers == U256::from(0b1111)).count();
    // On a slow machine a turn may pass now and then; it must not be the rule.
    assert!(by_leader * 2 > batches.len() && by_all * 2 > batches.len(), "{by_leader}, {by_all} of {}", batches.len());
    let closing: Vec<_> = batches.iter().filter(|b| b.core.closing).collect();
    assert_eq!(closing.len(), 1);
    assert_eq!(closing[0].core.last_height, Height::new(239));
    assert_ne!(closing[0].core.performance, B256::ZERO);
    // Every member keeps the blobs of what it signed.
    for (identity, handle) in town.links.handles.lock().iter() {
        let position = snapshot().position(identity).unwrap();
        let signed = batches.iter().filter(|b| b.signers.bit(position));
        assert!(signed.flat_map(|b| &b.blobs).all(|hash| handle.blobs().get(hash).is_some()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_one_on_duty_is_away_the_next_posts_and_two_thirds_suffice() {
    let mut town = Town::of_four();
    town.chain.grow(10);
    let first = town.l1.until(1).await;
    let leader = town.leader_of(&first[0].core);
    // All of these blocks are in one term, so the same member leads the next batches.
    town.kill(leader).await;
    town.chain.grow(18);
    let batches = town.l1.until(3).await;
    contiguous(&batches);
    for batch in &batches[1..] {
        assert_eq!(town.leader_of(&batch.core), leader);
        assert_ne!(batch.poster, operator(leader));
        assert_eq!(batch.signers, U256::from(0b1111u64 & !(1 << leader)));
    }
    // It returns and takes up its duty, signing what it is asked.
    town.start(leader);
    town.chain.grow(600);
    let batches = town
        .l1
        .until_that(|all| {
            let since = all.get(3..).unwrap_or_default();
            since.iter().any(|b| b.poster == operator(leader)) && since.iter().any(|b| b.signers == U256::from(0b1111))
        })
        .await;
    contiguous(&batches);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_two_thirds_nothing_is_posted_until_they_are_back() {
    let town = Town::of_four();
    let cut: Vec<_> = snapshot().members.iter().take(2).map(|m| m.identity).collect();
    town.links.cut.lock().extend(cut);
    town.chain.grow(10);
    for _ in 0..30 {
        town.l1.tick();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(town.l1.batches().len(), 0);
    town.links.cut.lock().clear();
    contiguous(&town.l1.until(1).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_with_another_chain_neither_gets_nor_gives_signatures() {
    let mut town = Town::new();
    let odd = Final::new(9);
    town.start_with(0, odd.clone());
    (1..4).for_each(|i| town.start(i));
    odd.grow(40);
    town.chain.grow(40);
    let batches = town.l1.until(3).await;
    contiguous(&batches);
    for batch in &batches {
        assert_eq!(batch.signers, U256::from(0b1110));
        assert_ne!(batch.poster, operator(0));
        assert_eq!(batch.core.state_root, B256::ZERO);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_killed_again_and_again_post_every_batch_exactly_once() {
    let mut town = Town::of_four();
    for turn in 0..12usize {
        town.chain.grow(10);
        town.l1.tick();
        let victim = turn % 4;
        tokio::time::sleep(Duration::from_millis(17 * (turn as u64 % 5))).await;
        town.kill(victim).await;
        town.start(victim);
    }
    let batches = town.l1.until(12).await;
    contiguous(&batches);
    let indexes: Vec<_> = batches.iter().map(|b| b.core.index.get()).collect();
    assert!(indexes.iter().copied().eq(1..=indexes.len() as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_signs_another_core_of_a_batch_is_reported_by_who_has_its_first_signature() {
    let mut town = Town::of_four();
    town.chain.grow(10);
    let batch = town.l1.until(1).await.swap_remove(0);
    let poster = (0..4).find(|i| operator(*i) == batch.poster).unwrap();
    let mut signers = (0..4).filter(|i| batch.signers.bit(*i) && *i != poster);
    let (offender, other) = (signers.next().unwrap(), signers.next().unwrap());

    // The offender asks a member that did not collect its signature to sign another core.
    let core = Core { state_root: B256::repeat_byte(9), ..batch.core.clone() };
    let key = secrets().swap_remove(offender).1;
    let signature = key.sign(&batch_message(CHAIN_ID, INBOX, core.hash(), data_hash_blobs(&[])));
    let request = Request { core: core.clone(), signature, data: Bytes::new(), openings: Vec::new() };
    town.deliver(offender, other, &Message::Request(request));

    let reports = town.reports.get_mut(&poster).unwrap();
    let report = tokio::time::timeout(PATIENCE, reports.recv()).await.unwrap().unwrap();
    let member = &snapshot().members[offender];
    assert_eq!(report.offence, Offence { sequencer: member.id, epoch: Epoch::ZERO, kind: Kind::Batches });
    let call = slashBatchesCall::abi_decode_validate(&report.call).unwrap();
    assert_eq!(call.receiver, operator(poster));
    assert_eq!(call.key[..], member.vote_key.to_eip2537());
    for (statement, core) in [(&call.first, &batch.core), (&call.second, &core)] {
        assert_eq!(Core::from(&statement.core), *core);
        let message = batch_message(CHAIN_ID, INBOX, core.hash(), statement.dataHash);
        assert_eq!(statement.signature[..], key.sign(&message).to_eip2537());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_without_its_own_signature_gets_none() {
    let town = Town::of_four();
    town.chain.grow(10);
    let request = |from: &IdentityKey, _: &Recipients, message: &Message| match message {
        Message::Request(request) => Some((*from, request.clone())),
        Message::Signature(_) | Message::Statement(_) => None,
    };
    let (asker, request) = town.links.messages(1, request).await.swap_remove(0);
    let asker = snapshot().position(&asker).unwrap();
    let (other, asked) = ((asker + 1) % 4, (asker + 2) % 4);

    // Where nobody else runs, the request comes from who made it; then from another member, and from who made it again.
    let mut town = Town::new();
    town.start(asked);
    town.chain.grow(10);
    // What is asked before a node knows L1 is asked again by peers, here it would be lost.
    let handle = town.links.handles.lock().get(&snapshot().members[asked].identity).cloned().unwrap();
    handle.status().wait_for(|status| status.newest >= request.core.index).await.unwrap();
    let answers = |_: &IdentityKey, to: &Recipients, message: &Message| match message {
        Message::Signature(signature) => Some((to.clone(), *signature)),
        Message::Request(_) | Message::Statement(_) => None,
    };
    let request = Message::Request(request);
    town.deliver(asker, asked, &request);
    let (_, signature) = town.links.messages(1, answers).await.swap_remove(0);
    // What is known is answered at once, in order.
    town.deliver(other, asked, &request);
    town.deliver(asker, asked, &request);
    let expected = (Recipients::One(snapshot().members[asker].identity), signature);
    assert_eq!(town.links.messages(2, answers).await, [expected.clone(), expected]);
}
