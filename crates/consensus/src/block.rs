//! Blocks on the engine's wire and in its archive: RLP behind a length, decoded strictly.
//!
//! ```text
//! length (u32, big-endian) | RLP of the block
//! ```
//!
//! Decoding parses and hashes, no more: the senders are recovered once, later, off the network's tasks ([`Block::recovered`]).

use crate::{digest::Digest, ports::Chain};
use alloy::{
    primitives::B256,
    rlp::{Decodable, Encodable},
};
use baton_primitives::{Epoch, ExtraData, Height, Parameters, RecoverError, RecoveredBlock};
use bytes::{BufMut, Bytes};
use commonware_codec::{Buf, EncodeSize, Error, FixedSize, Read, ReadExt, Write};
use commonware_consensus::{BoundedBlock, Heightable, types};
use commonware_cryptography::{Digested, Digestible};
use std::sync::{Arc, OnceLock};

/// The greatest RLP length taken from peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockLimit(pub(crate) usize);

impl BlockLimit {
    /// The chain parameter.
    pub(crate) fn of(parameters: &Parameters) -> Self {
        Self(usize::try_from(parameters.max_block_bytes).unwrap_or(usize::MAX))
    }
}

/// A block as it travels. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Block(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    hash: Digest,
    parent: Digest,
    height: Height,
    time_millis: u64,
    extra: Option<ExtraData>,
    raw: Bytes,
    recovered: OnceLock<Result<Arc<RecoveredBlock>, RecoverError>>,
}

impl Block {
    /// Wraps a block of this node.
    pub(crate) fn new(block: Arc<RecoveredBlock>) -> Self {
        Self(Arc::new(Inner {
            hash: block.hash().into(),
            parent: block.parent().into(),
            height: block.height(),
            time_millis: block.time_millis(),
            extra: block.extra().ok(),
            raw: block.encode().0,
            recovered: OnceLock::from(Ok(block)),
        }))
    }

    /// The form that the marshal stores and sends.
    pub(crate) fn digested(self) -> Digested<Self> {
        let hash = self.0.hash;
        Digested::precomputed(self, hash)
    }

    pub(crate) fn hash(&self) -> B256 {
        self.0.hash.into()
    }

    pub(crate) fn height(&self) -> Height {
        self.0.height
    }

    pub(crate) fn epoch(&self, epoch_blocks: u64) -> Epoch {
        self.0.height.epoch(epoch_blocks)
    }

    /// Its time, ms since the Unix epoch.
    pub(crate) fn time_millis(&self) -> u64 {
        self.0.time_millis
    }

    /// Where it was proposed; `None` if its extra data is malformed, which no valid block has.
    pub(crate) fn extra(&self) -> Option<ExtraData> {
        self.0.extra
    }

    /// RLP length, bytes.
    pub(crate) fn length(&self) -> usize {
        self.0.raw.len()
    }

    /// The block with its senders. The first call costs a signature recovery per transaction whose sender `chain` does not know.
    pub(crate) fn recovered(&self, chain: &impl Chain) -> Result<Arc<RecoveredBlock>, RecoverError> {
        let known = |hashes: &[B256]| chain.known_senders(hashes);
        // The hash is the header's. Another body below the same header is not the block that was executed, and is judged by itself.
        let executed = || chain.executed_block(self.hash()).filter(|block| block.encode().0 == self.0.raw);
        let recover = || match executed() {
            Some(block) => Ok(block),
            None => RecoveredBlock::decode_with(&self.0.raw, known).map(Arc::new),
        };
        self.0.recovered.get_or_init(recover).clone()
    }

    /// Whether [`Self::recovered`] is cheap by now.
    pub(crate) fn is_recovered(&self) -> bool {
        self.0.recovered.get().is_some()
    }
}

impl Write for Block {
    fn write(&self, buf: &mut impl BufMut) {
        u32::try_from(self.0.raw.len()).expect("invariant: a block is below 4 GiB").write(buf);
        buf.put_slice(&self.0.raw);
    }
}

impl EncodeSize for Block {
    fn encode_size(&self) -> usize {
        u32::SIZE + self.0.raw.len()
    }
}

impl Read for Block {
    type Cfg = BlockLimit;

    fn read_cfg(buf: &mut impl Buf, limit: &BlockLimit) -> Result<Self, Error> {
        let length = u32::read(buf)? as usize;
        if length > limit.0 {
            return Err(Error::InvalidLength(length));
        }
        if buf.remaining() < length {
            return Err(Error::EndOfBuffer);
        }
        let raw = buf.copy_to_bytes(length);
        let mut rest = raw.as_ref();
        let block = baton_primitives::Block::decode(&mut rest)
            .map_err(|_| Error::Invalid("Block", "not the RLP of a block"))?;
        // One block, one encoding: lenient decoders split chains.
        let mut again = Vec::with_capacity(length);
        block.encode(&mut again);
        if again != raw {
            return Err(Error::Invalid("Block", "not canonical"));
        }
        let header = &block.header;
        let extra = ExtraData::from_bytes(&header.extra_data).ok();
        let millis = extra.map_or(0, |e| u64::from(e.millis));
        Ok(Self(Arc::new(Inner {
            hash: header.hash_slow().into(),
            parent: header.parent_hash.into(),
            height: Height::new(header.number),
            time_millis: header.timestamp.saturating_mul(1000).saturating_add(millis),
            extra,
            raw,
            recovered: OnceLock::new(),
        })))
    }
}

impl Digestible for Block {
    type Digest = Digest;

    fn digest(&self) -> Digest {
        self.0.hash
    }
}

impl Heightable for Block {
    fn height(&self) -> types::Height {
        types::Height::new(self.0.height.get())
    }
}

impl commonware_consensus::Block for Block {
    fn parent(&self) -> Digest {
        self.0.parent
    }
}

impl BoundedBlock for Block {
    fn max_encode_size(limit: &BlockLimit) -> usize {
        u32::SIZE + limit.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_primitives::{Header, SystemCall, block_body, system_transaction};
    use commonware_codec::{Decode, Encode};

    fn block() -> Block {
        let body = block_body(vec![system_transaction(Height::new(1), &SystemCall::default())]);
        let header = Header { number: 1, extra_data: ExtraData::default().to_bytes(), ..Header::default() };
        Block::new(Arc::new(RecoveredBlock::recover(baton_primitives::Block { header, body }).unwrap()))
    }

    #[test]
    fn a_block_survives_the_wire_and_keeps_its_hash() {
        let block = block();
        let decoded = Block::decode_cfg(block.encode(), &BlockLimit(block.length())).unwrap();
        assert_eq!(decoded.hash(), block.hash());
        assert_eq!(decoded.encode(), block.encode());
        assert_eq!(decoded.0.raw, block.0.raw);
    }

    #[test]
    fn a_block_above_the_limit_or_with_bytes_behind_it_is_refused() {
        let block = block();
        let limit = BlockLimit(block.length() - 1);
        assert!(matches!(Block::decode_cfg(block.encode(), &limit), Err(Error::InvalidLength(_))));
        let mut long = block.encode().to_vec();
        long[3] += 1;
        long.push(0);
        assert!(Block::decode_cfg(long, &BlockLimit(1 << 20)).is_err());
    }
}
