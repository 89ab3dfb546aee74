//! Blocks and state.

use super::{Backend, read, store};
use alloy::{
    primitives::{Address, B256, Bytes, U256},
    rpc::types::Filter,
};
use baton_derive::base_fee;
use baton_engine::BlockRef;
use baton_primitives::{FinalBlock, Header, Height, RecoveredBlock};
use baton_rpc::ports::{Account, Chain, ExecutedBlock, Heads, ReadError};
use std::{ops::RangeInclusive, sync::Arc};
use tokio::sync::broadcast;

impl Backend {
    /// The batch tags, never above what is executed here: L1 may know more than this node does.
    pub(super) fn tags(&self) -> Heads {
        let latest = self.head();
        let l1 = &self.ledger.l1;
        let safe = l1.anchor().map_or(Height::ZERO, |anchor| anchor.last_height);
        let settled = l1.last_batch_at(l1.heads().finalized.number);
        let finalized = settled.map_or(Height::ZERO, |batch| batch.core.last_height);
        Heads { latest, safe: safe.min(latest), finalized: finalized.min(safe).min(latest) }
    }
}

impl Chain for Backend {
    fn chain_id(&self) -> u64 {
        self.ledger.engine.parameters().l2_chain_id
    }

    fn heads(&self) -> Heads {
        self.tags()
    }

    fn height_of(&self, hash: B256) -> Result<Option<Height>, ReadError> {
        let Some(header) = self.ledger.engine.header(&hash).map_err(store)? else { return Ok(None) };
        // Executed blocks that are not final are known too, and not shown.
        let is_final = self.ledger.engine.is_final(&hash).map_err(store)?;
        Ok(is_final.then(|| Height::new(header.number)))
    }

    fn header(&self, height: Height) -> Result<Option<(B256, Header)>, ReadError> {
        if let Some(ExecutedBlock { block, .. }) = self.recent.get(height) {
            return Ok(Some((block.hash(), block.header().clone())));
        }
        self.ledger.engine.header_at(height.get()).map_err(store)
    }

    fn block(&self, height: Height) -> Result<Option<Arc<RecoveredBlock>>, ReadError> {
        Ok(self.executed(height)?.map(|e| e.block))
    }

    fn executed(&self, height: Height) -> Result<Option<ExecutedBlock>, ReadError> {
        if let Some(block) = self.recent.get(height) {
            return Ok(Some(block));
        }
        let Some(block) = self.ledger.engine.block_at(height.get()).map_err(store)? else { return Ok(None) };
        let receipts = self.ledger.engine.receipts_at(height.get()).map_err(store)?.unwrap_or_default();
        let executed = ExecutedBlock { block, receipts };
        self.recent.put(executed.clone());
        Ok(Some(executed))
    }

    fn log_heights(
        &self,
        filter: &Filter,
        heights: RangeInclusive<u64>,
    ) -> Result<impl Iterator<Item = Result<Height, ReadError>>, ReadError> {
        let heights = self.ledger.engine.log_heights(filter, heights).map_err(store)?;
        Ok(heights.map(|height| height.map(Height::new).map_err(store)))
    }

    fn address_heights(
        &self,
        address: Address,
        heights: RangeInclusive<u64>,
        newest_first: bool,
    ) -> Result<impl Iterator<Item = Result<Height, ReadError>>, ReadError> {
        let heights = self.ledger.engine.address_heights(&address, heights, newest_first).map_err(store)?;
        Ok(heights.map(|height| height.map(Height::new).map_err(store)))
    }

    fn locate(&self, transaction: B256) -> Result<Option<(Height, usize)>, ReadError> {
        let found = self.ledger.engine.transaction(&transaction).map_err(store)?;
        Ok(found.filter(|l| l.is_final).map(|l| (Height::new(l.height), l.index)))
    }

    fn account(&self, at: Height, address: Address) -> Result<Account, ReadError> {
        let view = self.ledger.engine.state(BlockRef::Height(at.get())).map_err(read)?;
        Ok(Account { balance: view.balance(address).map_err(store)?, nonce: view.nonce(address).map_err(store)? })
    }

    fn code(&self, at: Height, address: Address) -> Result<Bytes, ReadError> {
        let view = self.ledger.engine.state(BlockRef::Height(at.get())).map_err(read)?;
        view.code(address).map_err(store)
    }

    fn storage(&self, at: Height, address: Address, slot: U256) -> Result<B256, ReadError> {
        let view = self.ledger.engine.state(BlockRef::Height(at.get())).map_err(read)?;
        Ok(B256::from(view.storage_at(address, slot).map_err(store)?))
    }

    fn state_history(&self) -> (Height, Option<u64>) {
        let (oldest, window) = self.ledger.engine.state_history();
        (Height::new(oldest), window)
    }

    fn next_base_fee(&self) -> u64 {
        let height = self.ledger.engine.head().0;
        let header = self.ledger.engine.state(BlockRef::Final).map(|view| view.header().clone()).unwrap_or_default();
        // The next block keeps the origin or advances it: the floor follows the newest that it may choose.
        let outcome = self.ledger.engine.outcome(height).ok().flatten();
        let depth = self.ledger.engine.parameters().origin_depth.saturating_add(1);
        let reachable = self.ledger.l1.heads().head.number.saturating_sub(depth);
        let own = outcome.map(|o| o.origin).unwrap_or_default();
        let newest = self.ledger.l1.origin(reachable).filter(|o| o.number > own.number).unwrap_or(own);
        base_fee(&header, &newest)
    }

    fn subscribe(&self) -> broadcast::Receiver<ExecutedBlock> {
        self.ledger.subscribe()
    }

    fn final_block(&self, height: Height) -> Result<Option<FinalBlock>, ReadError> {
        let Some(block) = self.block(height)? else { return Ok(None) };
        let certificate = self.ledger.certificates.get(height).map_err(|e| ReadError::Internal(e.to_string()))?;
        Ok(Some(FinalBlock { block, certificate }))
    }
}
