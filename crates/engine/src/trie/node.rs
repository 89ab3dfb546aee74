//! Nodes: their shape in memory and their RLP.

use super::{Old, Place, Sink, Source, Sweep, Trie};
use crate::error::StoreError;
use alloy::{
    primitives::{B256, U256},
    rlp::{BufMut, Encodable, Header},
};
use alloy_trie::{Nibbles, TrieAccount, nodes::RlpNode, nodes::encode_path_leaf};
use std::sync::{Arc, OnceLock};

/// What a leaf holds.
pub(crate) trait Value: Clone + Send + Sync {
    /// The bytes that the trie commits to.
    fn encode(&self) -> Vec<u8>;
    /// Forgets written nodes that hang on the value; see [`Trie::prune`]. Returns the replacement, if anything changed, and
    /// how many nodes stay.
    fn prune(&self, old: Old) -> (Option<Self>, usize);
    /// Loads the old nodes that hang on the value; see [`Trie::sweep`]. Returns the replacement, if anything changed.
    fn sweep(&self, sweep: &mut Sweep<'_, impl Source>) -> Result<Option<Self>, StoreError>;
    /// Writes what hangs on the value, then appends the value to its leaf's record. Returns the oldest segment of what hangs
    /// on it.
    fn record(&self, sink: &mut impl Sink, out: &mut Vec<u8>) -> Result<Option<u32>, StoreError>;
    /// Inverse of [`Self::record`].
    fn from_record(record: &[u8]) -> Option<Self>;
}

impl Value for U256 {
    fn encode(&self) -> Vec<u8> {
        alloy::rlp::encode(self)
    }

    fn prune(&self, _: Old) -> (Option<Self>, usize) {
        (None, 0)
    }

    fn sweep(&self, _: &mut Sweep<'_, impl Source>) -> Result<Option<Self>, StoreError> {
        Ok(None)
    }

    fn record(&self, _: &mut impl Sink, out: &mut Vec<u8>) -> Result<Option<u32>, StoreError> {
        out.extend_from_slice(&self.to_be_bytes_trimmed_vec());
        Ok(None)
    }

    fn from_record(record: &[u8]) -> Option<Self> {
        Self::try_from_be_slice(record)
    }
}

/// An account with its storage trie.
#[derive(Clone, Debug)]
pub(crate) struct AccountLeaf {
    /// Nonce.
    pub(crate) nonce: u64,
    /// Balance, wei.
    pub(crate) balance: U256,
    /// Hash of the code.
    pub(crate) code_hash: B256,
    /// Storage; sealed.
    pub(crate) storage: Trie<U256>,
}

impl AccountLeaf {
    /// The account as the trie encodes it.
    pub(crate) fn trie_account(&self) -> TrieAccount {
        let root = self.storage.root().unwrap_or_else(|| unreachable!("a storage trie is sealed before its account"));
        TrieAccount::new(self.nonce, self.balance, root, self.code_hash)
    }
}

/// A reference to a node.
#[derive(Clone, Debug)]
pub(crate) enum Child<V> {
    /// Not in memory.
    Stored {
        /// How its parent refers to it: its hash, or the node itself if it is shorter.
        rlp: RlpNode,
        /// Where its record is.
        place: Place,
    },
    /// In memory.
    Loaded(Arc<Node<V>>),
}

/// A node in memory.
#[derive(Clone, Debug)]
pub(crate) struct Node<V> {
    /// How the parent refers to it; `None` until sealed.
    pub(super) rlp: Option<RlpNode>,
    /// Height of the last block that changed it, or loaded it for a change.
    pub(super) stamp: u64,
    /// Where its record is, once it is written. All tries that share the node learn it at once.
    pub(super) place: OnceLock<Place>,
    /// The rest.
    pub(super) kind: Kind<V>,
}

/// The three shapes of a node.
#[derive(Clone, Debug)]
pub(crate) enum Kind<V> {
    /// The end of one key.
    Leaf {
        /// The key's rest.
        path: Nibbles,
        /// Its value.
        value: V,
    },
    /// A path that all keys below share; its child is a branch.
    Extension {
        /// The shared path.
        path: Nibbles,
        /// The branch.
        child: Child<V>,
    },
    /// A fork with at least two children.
    Branch(Branch<V>),
}

/// Up to 16 children. No key ends at a branch: keys have one length.
#[derive(Clone, Debug)]
pub(crate) struct Branch<V> {
    pub(super) mask: u16,
    /// The present children, ascending by nibble.
    pub(super) children: Vec<Child<V>>,
}

impl<V> Branch<V> {
    pub(super) fn of(children: [(u8, Child<V>); 2]) -> Self {
        let mut branch = Self { mask: 0, children: Vec::with_capacity(2) };
        children.into_iter().for_each(|(nibble, child)| branch.insert(nibble, child));
        branch
    }

    const fn has(&self, nibble: u8) -> bool {
        self.mask & (1 << nibble) != 0
    }

    const fn index(&self, nibble: u8) -> usize {
        (self.mask & ((1u16 << nibble) - 1)).count_ones() as usize
    }

    pub(super) fn get(&self, nibble: u8) -> Option<&Child<V>> {
        self.has(nibble).then(|| &self.children[self.index(nibble)])
    }

    pub(super) fn get_mut(&mut self, nibble: u8) -> Option<&mut Child<V>> {
        let index = self.index(nibble);
        self.has(nibble).then(|| &mut self.children[index])
    }

    pub(super) fn insert(&mut self, nibble: u8, child: Child<V>) {
        self.children.insert(self.index(nibble), child);
        self.mask |= 1 << nibble;
    }

    pub(super) fn remove(&mut self, nibble: u8) {
        self.children.remove(self.index(nibble));
        self.mask &= !(1 << nibble);
    }

    /// The child, if it is the only one.
    pub(super) fn only(&self) -> Option<(u8, &Child<V>)> {
        match self.children.as_slice() {
            [child] => u8::try_from(self.mask.trailing_zeros()).ok().map(|nibble| (nibble, child)),
            _ => None,
        }
    }

    /// The children with their nibbles, ascending.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u8, &Child<V>)> {
        (0..16).filter(|nibble| self.has(*nibble)).zip(&self.children)
    }
}

impl<V: Value> Child<V> {
    pub(super) fn rlp(&self) -> &RlpNode {
        match self {
            Self::Stored { rlp, .. } => rlp,
            Self::Loaded(node) => {
                node.rlp.as_ref().unwrap_or_else(|| unreachable!("children are sealed before their parent"))
            }
        }
    }

    /// The node, from memory or the log. `path` is the node's.
    pub(super) fn resolve(&self, path: &Nibbles, source: &impl Source, stamp: u64) -> Result<Arc<Node<V>>, StoreError> {
        match self {
            Self::Loaded(node) => Ok(node.clone()),
            Self::Stored { rlp, place } => Ok(Arc::new(Node::read(rlp, *place, path, source, stamp)?)),
        }
    }

    /// The node to change: loaded, unshared, marked as changed.
    pub(super) fn load(
        &mut self,
        path: &Nibbles,
        source: &impl Source,
        stamp: u64,
    ) -> Result<&mut Node<V>, StoreError> {
        if let Self::Stored { .. } = self {
            *self = Self::Loaded(self.resolve(path, source, stamp)?);
        }
        let Self::Loaded(node) = self else { unreachable!("loaded above") };
        let node = Arc::make_mut(node);
        node.rlp = None;
        node.place = OnceLock::new();
        node.stamp = stamp;
        Ok(node)
    }
}

impl<V: Value> Node<V> {
    pub(super) const fn new(kind: Kind<V>, stamp: u64) -> Self {
        Self { rlp: None, stamp, place: OnceLock::new(), kind }
    }

    pub(super) fn leaf(path: Nibbles, value: V, stamp: u64) -> Arc<Self> {
        Arc::new(Self::new(Kind::Leaf { path, value }, stamp))
    }

    /// Reads the node from the log; it must be the one that `rlp` names.
    pub(super) fn read(
        rlp: &RlpNode,
        place: Place,
        path: &Nibbles,
        source: &impl Source,
        stamp: u64,
    ) -> Result<Self, StoreError> {
        let record = source.record(place.at())?;
        let node =
            Self::from_record(&record, stamp).ok_or_else(|| StoreError::NodeMalformed { path: path.to_vec() })?;
        if RlpNode::from_rlp(&node.encode()) != *rlp {
            return Err(StoreError::NodeHash { path: path.to_vec() });
        }
        Ok(Self { rlp: Some(rlp.clone()), place: OnceLock::from(place), ..node })
    }

    /// The node's RLP. Its children are sealed.
    pub(super) fn encode(&self) -> Vec<u8> {
        match &self.kind {
            Kind::Leaf { path, value } => {
                let path = encode_path_leaf(path, true);
                let value = value.encode();
                list(path.as_slice().length() + value.as_slice().length(), |out| {
                    path.as_slice().encode(out);
                    value.as_slice().encode(out);
                })
            }
            Kind::Extension { path, child } => {
                let path = encode_path_leaf(path, false);
                let child = child.rlp();
                list(path.as_slice().length() + child.len(), |out| {
                    path.as_slice().encode(out);
                    out.put_slice(child);
                })
            }
            Kind::Branch(branch) => {
                let absent = 17 - branch.children.len();
                let length = branch.children.iter().map(|child| child.rlp().len()).sum::<usize>() + absent;
                list(length, |out| {
                    for nibble in 0..16 {
                        match branch.get(nibble) {
                            Some(child) => out.put_slice(child.rlp()),
                            None => out.put_u8(alloy::rlp::EMPTY_STRING_CODE),
                        }
                    }
                    out.put_u8(alloy::rlp::EMPTY_STRING_CODE);
                })
            }
        }
    }
}

fn list(payload_length: usize, fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload_length + 4);
    Header { list: true, payload_length }.encode(&mut out);
    fill(&mut out);
    out
}
