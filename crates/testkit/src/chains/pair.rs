//! Both chains, and what happens between them.

use super::{L1, L2, PlannedBlock};
use crate::postgres::TestDatabase;
use alloy::primitives::{Address, U256};
use baton_bindings::{
    ChainParameters,
    contracts::{BatchInbox, BatonToken, Portal, SequencerPool, Staking},
};
use baton_primitives::{
    Core, Deposit, Epoch, Height, L1Origin, MemberPerformance, Performance, RecoveredBlock, SnapshotId,
};
use eyre::{ContextCompat as _, Result, eyre};
use std::time::Duration;

/// An L1 with a founded Baton and its L2.
#[derive(Debug)]
pub struct Pair {
    /// Anvil.
    pub l1: L1,
    /// The served chain.
    pub l2: L2,
}

impl Pair {
    /// Both, with the devnet's parameters.
    ///
    /// # Errors
    /// If Anvil is missing or a port cannot be had.
    pub async fn start() -> Result<Self> {
        let genesis = |h: &alloy::rpc::types::Header| L2::genesis(h.timestamp, h.number, h.hash);
        let l1 = L1::start(ChainParameters::devnet(), genesis).await?;
        let l2 = L2::serve(&l1.deployment).await?;
        Ok(Self { l1, l2 })
    }

    /// What an indexer of both chains into `database` needs; it polls every 20 ms.
    pub fn indexer(&self, database: &TestDatabase) -> baton_indexer::Config {
        baton_indexer::Config {
            database_url: database.url().to_owned(),
            l1_urls: vec![self.l1.url()],
            l2_urls: vec![self.l2.url()],
            deployment: self.l1.deployment.clone(),
            l1_poll: Duration::from_millis(20),
            l2_poll: Duration::from_millis(20),
            concurrency: baton_indexer::Config::CONCURRENCY,
            l1_range: baton_indexer::Config::L1_RANGE,
        }
    }

    /// The L1 block that a new L2 block may build on.
    ///
    /// # Errors
    /// If Anvil does not answer.
    pub async fn origin(&self) -> Result<L1Origin> {
        let head = self.l1.head().await?.number;
        let header = self.l1.header(head.saturating_sub(2)).await?;
        Ok(L1Origin {
            number: header.number,
            hash: header.hash,
            timestamp: header.timestamp,
            base_fee: 1,
            blob_base_fee: 1,
        })
    }

    /// Extends L2 to `height`, with six transactions in every fifth block.
    ///
    /// # Errors
    /// If Anvil does not answer.
    pub async fn grow(&self, height: u64) -> Result<RecoveredBlock> {
        let origin = self.origin().await?;
        while self.l2.head().height() < Height::new(height) {
            let transfers = if self.l2.head().header().number % 5 == 4 { 6 } else { 0 };
            self.l2.push(&PlannedBlock { origin, transfers, salt: 1, ..PlannedBlock::default() });
        }
        Ok(self.l2.head())
    }

    /// Posts the L2 blocks after the anchor up to `last`; `fees` count if that closes the epoch.
    ///
    /// # Errors
    /// If the inbox refuses.
    pub async fn post(&self, last: u64, fees: u64) -> Result<()> {
        let block = self.l2.block(last).wrap_err("no such L2 block")?;
        let call = block.system_call()?;
        let performance = Performance(vec![MemberPerformance { blocks_led: 60, terms_missed: 1 }; 4]);
        let mut core = self.l1.next_core(last, U256::from(fees), &performance).await?;
        if core.closing && core.epoch > Epoch::ZERO {
            core.next_snapshot = SnapshotId::new(self.newest_at_the_end_of(core.epoch.get() - 1).await?);
        }
        let core = Core {
            last_view: block.extra()?.view,
            last_block: block.hash(),
            last_timestamp: block.header().timestamp,
            state_root: block.header().state_root,
            origin_number: call.origin.number,
            origin_hash: call.origin.hash,
            deposits: call.deposits,
            ..core
        };
        self.l1.post(&core, &performance).await?;
        Ok(())
    }

    /// The newest snapshot that was sealed when `epoch` closed.
    async fn newest_at_the_end_of(&self, epoch: u64) -> Result<u64> {
        let addresses = self.l1.deployment.addresses;
        let origin = BatchInbox::new(addresses.inbox, &self.l1.provider).epochs(epoch).call().await?.closingOrigin;
        let pool = SequencerPool::new(addresses.pool, &self.l1.provider);
        for id in (0..pool.snapshotCount().call().await?).rev() {
            if pool.isNewestAt(id, origin).call().await? {
                return Ok(id);
            }
        }
        Err(eyre!("no snapshot was sealed at L1 block {origin}"))
    }

    /// A deposit of 10 wei by the first owner, who pays for its gas beside.
    ///
    /// # Errors
    /// If the portal refuses.
    pub async fn deposit(&self) -> Result<Deposit> {
        let portal = Portal::new(self.l1.deployment.addresses.portal, &self.l1.provider);
        let fee = portal.depositFee(100_000).call().await?;
        let call = portal.deposit(Address::repeat_byte(7), U256::from(5), 100_000, false, Default::default(), fee);
        let sent = call.value(U256::from(10) + fee).from(self.l1.owners[0]).send().await?;
        let receipt = sent.get_receipt().await?;
        let event = receipt.decoded_log::<Portal::Deposited>().wrap_err("no event of the deposit")?;
        Ok(event.data.deposit(receipt.block_hash.wrap_err("mined")?))
    }

    /// A delegation of `tokens` by `account` behind `id`: three transactions.
    ///
    /// # Errors
    /// If a contract refuses.
    pub async fn delegate(&self, account: Address, id: u64, tokens: u128) -> Result<()> {
        let (provider, addresses) = (&self.l1.provider, self.l1.deployment.addresses);
        let (token, staking) = (BatonToken::new(addresses.token, provider), Staking::new(addresses.staking, provider));
        let amount = tokens * 10u128.pow(18);
        let wei = U256::from(amount);
        token.transfer(account, wei).from(self.l1.deployment.deployer).send().await?.get_receipt().await?;
        token.approve(addresses.staking, wei).from(account).send().await?.get_receipt().await?;
        staking.delegate(id, amount).from(account).send().await?.get_receipt().await?;
        Ok(())
    }
}
