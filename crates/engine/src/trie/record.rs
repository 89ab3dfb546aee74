//! Records: nodes as the log keeps them. A record names the places of its node's children, so that a trie is read from the
//! place of its root on, and how old the oldest record below is, so that old records are found without looking at new ones.
//!
//! ```text
//!   leaf:      0, count of nibbles, nibbles, value
//!   extension: 1, count of nibbles, nibbles, child
//!   branch:    2, mask, children
//!   child:     reference (33 bytes of a hash's RLP, or a shorter node itself), position (7 bytes), oldest segment (4 bytes)
//!   account:   row of the account (see `store::tables`), position and oldest segment of the storage trie's root if it has any
//! ```
//!
//! What a record says of its node is checked against the hash that the parent names; a wrong position therefore is, too.

use super::{
    Node, Old, Sink, Source, Sweep, Trie, Value,
    node::{AccountLeaf, Branch, Child, Kind},
};
use crate::{
    changes::Account,
    error::StoreError,
    store::{decode_account, encode_account},
};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, nodes::RlpNode};

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place([u8; Self::BYTES]);

impl Place {
    /// Length of its encoding.
    pub(crate) const BYTES: usize = 11;

    /// The place at position `at` of the log, below 2^56; `oldest` is the oldest segment with a record of its node or below it.
    pub(crate) fn new(at: u64, oldest: u32) -> Self {
        let mut bytes = [0; Self::BYTES];
        bytes[..7].copy_from_slice(&at.to_be_bytes()[1..]);
        bytes[7..].copy_from_slice(&oldest.to_be_bytes());
        Self(bytes)
    }

    /// Position in the log.
    pub(crate) fn at(self) -> u64 {
        self.0[..7].iter().fold(0, |at, byte| at << 8 | u64::from(*byte))
    }

    /// The oldest segment with a record of the node or below it.
    pub(crate) fn oldest(self) -> u32 {
        self.0[7..].iter().fold(0, |segment, byte| segment << 8 | u32::from(*byte))
    }

    pub(crate) const fn encode(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    pub(crate) const fn decode(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }
}

const LEAF: u8 = 0;
const EXTENSION: u8 = 1;
const BRANCH: u8 = 2;

impl<V: Value> Node<V> {
    /// Appends the records of this node and what is below it, children first, where there is none yet. It is sealed.
    pub(super) fn write(&self, sink: &mut impl Sink) -> Result<Place, StoreError> {
        if let Some(place) = self.place.get() {
            return Ok(*place);
        }
        let mut out = Vec::with_capacity(128);
        let mut oldest = u32::MAX;
        match &self.kind {
            Kind::Leaf { path, value } => {
                out.push(LEAF);
                put_path(path, &mut out);
                oldest = value.record(sink, &mut out)?.unwrap_or(u32::MAX);
            }
            Kind::Extension { path, child } => {
                out.push(EXTENSION);
                put_path(path, &mut out);
                oldest = put_child(child, sink, &mut out)?;
            }
            Kind::Branch(branch) => {
                out.reserve(branch.children.len() * (33 + Place::BYTES));
                out.push(BRANCH);
                out.extend_from_slice(&branch.mask.to_be_bytes());
                for child in &branch.children {
                    oldest = oldest.min(put_child(child, sink, &mut out)?);
                }
            }
        }
        let (at, segment) = sink.put(&out)?;
        let place = Place::new(at, oldest.min(segment));
        // Nobody else writes: there is one writer.
        Ok(*self.place.get_or_init(|| place))
    }

    /// The node of a record; it is not sealed. `None` if the record is malformed.
    pub(super) fn from_record(record: &[u8], stamp: u64) -> Option<Self> {
        let (tag, mut rest) = record.split_first()?;
        let kind = match *tag {
            LEAF => {
                let path = take_path(&mut rest)?;
                return Some(Self::new(Kind::Leaf { path, value: V::from_record(rest)? }, stamp));
            }
            EXTENSION => Kind::Extension { path: take_path(&mut rest)?, child: take_child(&mut rest)? },
            BRANCH => {
                let (mask, tail) = rest.split_first_chunk()?;
                rest = tail;
                let mask = u16::from_be_bytes(*mask);
                let children = (0..mask.count_ones()).map(|_| take_child(&mut rest)).collect::<Option<_>>()?;
                Kind::Branch(Branch { mask, children })
            }
            _ => return None,
        };
        rest.is_empty().then(|| Self::new(kind, stamp))
    }
}

fn put_path(path: &Nibbles, out: &mut Vec<u8>) {
    out.push(u8::try_from(path.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(&path.pack());
}

fn take_path(rest: &mut &[u8]) -> Option<Nibbles> {
    let (length, tail) = rest.split_first()?;
    let length = usize::from(*length);
    let (packed, tail) = tail.split_at_checked(length.div_ceil(2))?;
    *rest = tail;
    (length <= 64).then(|| Nibbles::unpack(packed).slice(..length))
}

fn put_child<V: Value>(child: &Child<V>, sink: &mut impl Sink, out: &mut Vec<u8>) -> Result<u32, StoreError> {
    let place = match child {
        Child::Stored { place, .. } => *place,
        Child::Loaded(node) => node.write(sink)?,
    };
    out.extend_from_slice(child.rlp());
    out.extend_from_slice(place.encode());
    Ok(place.oldest())
}

fn take_child<V>(rest: &mut &[u8]) -> Option<Child<V>> {
    // A string of 32 bytes, or a list shorter than that.
    let length = match *rest.first()? {
        0xa0 => 33,
        first @ 0xc0..=0xde => usize::from(first - 0xc0) + 1,
        _ => return None,
    };
    let (rlp, tail) = rest.split_at_checked(length)?;
    let (place, tail) = tail.split_first_chunk()?;
    *rest = tail;
    RlpNode::from_raw(rlp).map(|rlp| Child::Stored { rlp, place: Place::decode(*place) })
}

impl Value for AccountLeaf {
    fn encode(&self) -> Vec<u8> {
        alloy::rlp::encode(self.trie_account())
    }

    fn prune(&self, old: Old) -> (Option<Self>, usize) {
        let (storage, kept) = self.storage.pruned(old);
        (storage.map(|storage| Self { storage, ..self.clone() }), kept)
    }

    fn sweep(&self, sweep: &mut Sweep<'_, impl Source>) -> Result<Option<Self>, StoreError> {
        // All of the storage belongs to the slice that its account is in.
        let slice = sweep.slice.take();
        let storage = self.storage.swept(sweep);
        sweep.slice = slice;
        Ok(storage?.map(|storage| Self { storage, ..self.clone() }))
    }

    fn record(&self, sink: &mut impl Sink, out: &mut Vec<u8>) -> Result<Option<u32>, StoreError> {
        let root = self.storage.root().unwrap_or_else(|| unreachable!("a storage trie is sealed before its account"));
        out.extend_from_slice(&encode_account(&self.account(), root));
        let place = self.storage.write(sink)?;
        if let Some(place) = &place {
            out.extend_from_slice(place.encode());
        }
        Ok(place.map(Place::oldest))
    }

    fn from_record(record: &[u8]) -> Option<Self> {
        let mut rest = record;
        let (Account { nonce, balance, code_hash }, root) = decode_account(&mut rest).ok()?;
        let storage = if root == EMPTY_ROOT_HASH {
            Trie::Empty
        } else {
            let (place, tail) = rest.split_first_chunk()?;
            rest = tail;
            Trie::stored(root, Place::decode(*place))
        };
        rest.is_empty().then_some(Self { nonce, balance, code_hash, storage })
    }
}

impl AccountLeaf {
    /// The account without its storage.
    pub(crate) const fn account(&self) -> Account {
        let Self { nonce, balance, code_hash, .. } = *self;
        Account { nonce, balance, code_hash }
    }
}
