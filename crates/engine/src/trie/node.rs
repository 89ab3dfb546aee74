//! Nodes: their shape in memory, their RLP and their rows.

use super::{Source, Trie};
use crate::error::StoreError;
use alloy::{
    primitives::{B256, U256},
    rlp::{BufMut, Encodable, Header},
};
use alloy_trie::{Nibbles, TrieAccount, nodes::RlpNode, nodes::encode_path_leaf};
use std::sync::Arc;

/// What a leaf holds.
pub(crate) trait Value: Clone + Send + Sync {
    /// The bytes that the trie commits to.
    fn encode(&self) -> Vec<u8>;
    /// Forgets stored nodes that hang on the value; see [`Trie::prune`]. Returns the replacement, if anything changed, and
    /// how many nodes stay.
    fn prune(&self, before: u64) -> (Option<Self>, usize);
}

impl Value for U256 {
    fn encode(&self) -> Vec<u8> {
        alloy::rlp::encode(self)
    }

    fn prune(&self, _: u64) -> (Option<Self>, usize) {
        (None, 0)
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

impl Value for AccountLeaf {
    fn encode(&self) -> Vec<u8> {
        alloy::rlp::encode(self.trie_account())
    }

    fn prune(&self, before: u64) -> (Option<Self>, usize) {
        let (storage, kept) = self.storage.pruned(before);
        (storage.map(|storage| Self { storage, ..self.clone() }), kept)
    }
}

/// A reference to a node.
#[derive(Clone, Debug)]
pub(crate) enum Child<V> {
    /// Not in memory: how its parent refers to it, and whether it is a leaf.
    Stored {
        /// Hash, or the node itself if it is shorter.
        rlp: RlpNode,
        /// Leaves are read from the flat tables, other nodes from their rows.
        leaf: bool,
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
    mask: u16,
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

    /// The nibbles of the children, in order.
    pub(super) fn nibbles(&self) -> Vec<u8> {
        (0..16).filter(|nibble| self.has(*nibble)).collect()
    }
}

impl<V: Value> Child<V> {
    fn rlp(&self) -> &RlpNode {
        match self {
            Self::Stored { rlp, .. } => rlp,
            Self::Loaded(node) => {
                node.rlp.as_ref().unwrap_or_else(|| unreachable!("children are sealed before their parent"))
            }
        }
    }

    fn is_leaf(&self) -> bool {
        match self {
            Self::Stored { leaf, .. } => *leaf,
            Self::Loaded(node) => matches!(node.kind, Kind::Leaf { .. }),
        }
    }

    /// The node, from memory or the store. `path` is the node's.
    pub(super) fn resolve(
        &self,
        path: &Nibbles,
        source: &impl Source<V>,
        stamp: u64,
    ) -> Result<Arc<Node<V>>, StoreError> {
        let (rlp, leaf) = match self {
            Self::Loaded(node) => return Ok(node.clone()),
            Self::Stored { rlp, leaf } => (rlp, *leaf),
        };
        let node = if leaf {
            let (key, value) = source.leaf(path)?.ok_or(StoreError::NodeMissing { path: path.to_vec() })?;
            Node::new(Kind::Leaf { path: Nibbles::unpack(key).slice(path.len()..), value }, stamp)
        } else {
            let row = source.node(path)?.ok_or(StoreError::NodeMissing { path: path.to_vec() })?;
            Node::from_row(&row, stamp).ok_or(StoreError::NodeMalformed { path: path.to_vec() })?
        };
        if RlpNode::from_rlp(&node.encode()) != *rlp {
            return Err(StoreError::NodeHash { path: path.to_vec() });
        }
        Ok(Arc::new(Node { rlp: Some(rlp.clone()), ..node }))
    }

    /// The node to change: loaded, unshared, marked as changed.
    pub(super) fn load(
        &mut self,
        path: &Nibbles,
        source: &impl Source<V>,
        stamp: u64,
    ) -> Result<&mut Node<V>, StoreError> {
        if let Self::Stored { .. } = self {
            *self = Self::Loaded(self.resolve(path, source, stamp)?);
        }
        let Self::Loaded(node) = self else { unreachable!("loaded above") };
        let node = Arc::make_mut(node);
        node.rlp = None;
        node.stamp = stamp;
        Ok(node)
    }
}

const BRANCH: u8 = 1;
const EXTENSION: u8 = 2;

impl<V: Value> Node<V> {
    pub(super) const fn new(kind: Kind<V>, stamp: u64) -> Self {
        Self { rlp: None, stamp, kind }
    }

    pub(super) fn leaf(path: Nibbles, value: V, stamp: u64) -> Arc<Self> {
        Arc::new(Self::new(Kind::Leaf { path, value }, stamp))
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

    /// The node's row; leaves have none. Branch: 1, mask, leaf mask, children. Extension: 2, length, nibbles, child.
    /// A child is one length byte (33 for a hash) and its bytes.
    pub(super) fn row(&self) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(64);
        let put = |child: &Child<V>, out: &mut Vec<u8>| {
            let rlp = child.rlp();
            out.push(u8::try_from(rlp.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(rlp);
        };
        match &self.kind {
            Kind::Leaf { .. } => return None,
            Kind::Extension { path, child } => {
                out.push(EXTENSION);
                out.push(u8::try_from(path.len()).unwrap_or(u8::MAX));
                out.extend(path.iter());
                put(child, &mut out);
            }
            Kind::Branch(branch) => {
                out.push(BRANCH);
                let mut leaves = 0u16;
                for (nibble, child) in branch.nibbles().into_iter().zip(&branch.children) {
                    leaves |= u16::from(child.is_leaf()) << nibble;
                }
                out.extend_from_slice(&branch.mask.to_be_bytes());
                out.extend_from_slice(&leaves.to_be_bytes());
                branch.children.iter().for_each(|child| put(child, &mut out));
            }
        }
        Some(out)
    }

    /// Inverse of [`Self::row`]; the node is not sealed.
    pub(super) fn from_row(row: &[u8], stamp: u64) -> Option<Self> {
        let (tag, mut rest) = row.split_first()?;
        let child = |rest: &mut &[u8], leaf: bool| {
            let (length, tail) = rest.split_first()?;
            let (rlp, tail) = tail.split_at_checked(usize::from(*length))?;
            *rest = tail;
            RlpNode::from_raw(rlp).map(|rlp| Child::Stored { rlp, leaf })
        };
        let kind = match *tag {
            EXTENSION => {
                let (length, tail) = rest.split_first()?;
                let (path, mut tail) = tail.split_at_checked(usize::from(*length))?;
                if path.iter().any(|nibble| *nibble > 15) || path.len() > 64 {
                    return None;
                }
                let child = child(&mut tail, false)?;
                rest = tail;
                Kind::Extension { path: Nibbles::from_nibbles_unchecked(path), child }
            }
            BRANCH => {
                let (mask, tail) = rest.split_first_chunk::<2>()?;
                let (leaves, tail) = tail.split_first_chunk::<2>()?;
                rest = tail;
                let (mask, leaves) = (u16::from_be_bytes(*mask), u16::from_be_bytes(*leaves));
                let mut children = Vec::with_capacity(mask.count_ones() as usize);
                for nibble in (0..16).filter(|nibble| mask & (1 << nibble) != 0) {
                    children.push(child(&mut rest, leaves & (1 << nibble) != 0)?);
                }
                Kind::Branch(Branch { mask, children })
            }
            _ => return None,
        };
        rest.is_empty().then(|| Self::new(kind, stamp))
    }
}

fn list(payload_length: usize, fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload_length + 4);
    Header { list: true, payload_length }.encode(&mut out);
    fill(&mut out);
    out
}

/// Forgets what is older than `before` below a sealed node that stays. Returns its replacement, if anything changed, and how
/// many nodes stay, this one included. What does not change stays shared with the tries of other blocks.
pub(super) fn prune<V: Value>(node: &Arc<Node<V>>, before: u64) -> (Option<Arc<Node<V>>>, usize) {
    let replaced = |kind| Some(Arc::new(Node { rlp: node.rlp.clone(), stamp: node.stamp, kind }));
    match &node.kind {
        Kind::Leaf { path, value } => {
            let (value, kept) = value.prune(before);
            (value.and_then(|value| replaced(Kind::Leaf { path: *path, value })), kept + 1)
        }
        Kind::Extension { path, child } => {
            let (child, kept) = prune_child(child, before);
            (child.and_then(|child| replaced(Kind::Extension { path: *path, child })), kept + 1)
        }
        Kind::Branch(branch) => {
            let mut changed: Option<Branch<V>> = None;
            let mut kept = 1;
            for (index, child) in branch.children.iter().enumerate() {
                let (replacement, more) = prune_child(child, before);
                kept += more;
                if let Some(replacement) = replacement {
                    changed.get_or_insert_with(|| branch.clone()).children[index] = replacement;
                }
            }
            (changed.and_then(|branch| replaced(Kind::Branch(branch))), kept)
        }
    }
}

fn prune_child<V: Value>(child: &Child<V>, before: u64) -> (Option<Child<V>>, usize) {
    match child {
        Child::Stored { .. } => (None, 0),
        Child::Loaded(node) if node.stamp < before && node.rlp.is_some() => {
            (Some(Child::Stored { rlp: child.rlp().clone(), leaf: child.is_leaf() }), 0)
        }
        Child::Loaded(node) => {
            let (node, kept) = prune(node, before);
            (node.map(Child::Loaded), kept)
        }
    }
}
