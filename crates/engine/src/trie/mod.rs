//! The state trie: Ethereum's Merkle-Patricia trie as a persistent tree of shared nodes.
//!
//! A trie is a root pointer. An update copies only the nodes on the paths it changes and shares the rest, so every
//! unfinalized block owns its own trie at the price of its changes, and forks cost nothing. Nodes that are not in memory are
//! references which are loaded from the store by their path when an update or a proof walks through them, and checked
//! against their hash. An account's storage trie hangs on the account's leaf.
//!
//! ```text
//!   parent trie --insert, remove--> dirty nodes --seal--> root hash + rows to write (path -> node)
//! ```
//!
//! Only branches and extensions have rows, keyed by path; a leaf is found in the flat tables by the prefix of its key.

mod node;
mod proof;
#[cfg(test)]
mod tests;

use crate::error::StoreError;
use alloy::primitives::{B256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, nodes::RlpNode};
pub(crate) use node::{AccountLeaf, Value};
use node::{Branch, Child, Kind, Node};
use rayon::prelude::*;
use std::sync::Arc;

/// Number of changed keys from which hashing is worth spreading over threads.
const PARALLEL_FROM: usize = 128;

/// Where nodes that are not in memory come from: a snapshot of the store that holds them unchanged.
pub(crate) trait Source<V> {
    /// The row of the branch or extension at `path`.
    fn node(&self, path: &Nibbles) -> Result<Option<Vec<u8>>, StoreError>;
    /// The one key that begins with `prefix`, and its value.
    fn leaf(&self, prefix: &Nibbles) -> Result<Option<(B256, V)>, StoreError>;
}

/// A source for tries that are wholly in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nowhere;

impl<V: Value> Source<V> for Nowhere {
    fn node(&self, _: &Nibbles) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    fn leaf(&self, _: &Nibbles) -> Result<Option<(B256, V)>, StoreError> {
        Ok(None)
    }
}

/// Rows to write (`Some`) or delete (`None`), by path. Later entries of one path win.
pub(crate) type Rows = Vec<(Nibbles, Option<Vec<u8>>)>;

/// A trie: its root.
#[derive(Clone, Debug)]
pub(crate) enum Trie<V> {
    /// Without keys.
    Empty,
    /// Not in memory.
    Stored(B256),
    /// In memory, at least the root; `hash` is `None` while it has unsealed changes.
    Loaded {
        /// The root node.
        node: Arc<Node<V>>,
        /// Its hash.
        hash: Option<B256>,
    },
}

impl<V: Value> Trie<V> {
    /// The trie with this root hash, its nodes in the store.
    pub(crate) fn stored(root: B256) -> Self {
        if root == EMPTY_ROOT_HASH { Self::Empty } else { Self::Stored(root) }
    }

    /// The root hash, if the trie has no unsealed changes.
    pub(crate) fn root(&self) -> Option<B256> {
        match self {
            Self::Empty => Some(EMPTY_ROOT_HASH),
            Self::Stored(hash) => Some(*hash),
            Self::Loaded { hash, .. } => *hash,
        }
    }

    /// The value of `key`.
    pub(crate) fn get(&self, key: &B256, source: &impl Source<V>) -> Result<Option<V>, StoreError> {
        let key = Nibbles::unpack(key);
        let mut node = match self {
            Self::Empty => return Ok(None),
            Self::Stored(hash) => load_root(*hash, source, 0)?,
            Self::Loaded { node, .. } => node.clone(),
        };
        let mut depth = 0;
        loop {
            let child = match &node.kind {
                Kind::Leaf { path, value } => return Ok((*path == key.slice(depth..)).then(|| value.clone())),
                Kind::Extension { path, child } => {
                    if !key.slice(depth..).starts_with(path) {
                        return Ok(None);
                    }
                    depth += path.len();
                    child
                }
                Kind::Branch(branch) => match branch.get(key.get_unchecked(depth)) {
                    Some(child) => {
                        depth += 1;
                        child
                    }
                    None => return Ok(None),
                },
            };
            let next = child.resolve(&key.slice(..depth), source, 0)?;
            node = next;
        }
    }

    /// Sets the value of `key`. `stamp` is the height of the block that does it.
    pub(crate) fn insert(
        &mut self,
        key: &B256,
        value: V,
        source: &impl Source<V>,
        stamp: u64,
        rows: &mut Rows,
    ) -> Result<(), StoreError> {
        let key = Nibbles::unpack(key);
        let node = match std::mem::replace(self, Self::Empty) {
            Self::Empty => {
                *self = Self::Loaded { node: Node::leaf(key, value, stamp), hash: None };
                return Ok(());
            }
            Self::Stored(hash) => load_root(hash, source, stamp)?,
            Self::Loaded { node, .. } => node,
        };
        let mut child = Child::Loaded(node);
        Walk { source, stamp, key, rows }.insert(&mut child, 0, value)?;
        *self = Self::from_child(child);
        Ok(())
    }

    /// Removes `key`, if it is there.
    pub(crate) fn remove(
        &mut self,
        key: &B256,
        source: &impl Source<V>,
        stamp: u64,
        rows: &mut Rows,
    ) -> Result<(), StoreError> {
        if self.get(key, source)?.is_none() {
            return Ok(());
        }
        let node = match std::mem::replace(self, Self::Empty) {
            Self::Empty => return Ok(()),
            Self::Stored(hash) => load_root(hash, source, stamp)?,
            Self::Loaded { node, .. } => node,
        };
        let mut child = Child::Loaded(node);
        let empty = Walk { source, stamp, key: Nibbles::unpack(key), rows }.remove(&mut child, 0)?;
        if !empty {
            *self = Self::from_child(child);
        }
        Ok(())
    }

    fn from_child(child: Child<V>) -> Self {
        match child {
            Child::Loaded(node) => Self::Loaded { node, hash: None },
            Child::Stored { .. } => unreachable!("an update loads the root it changes"),
        }
    }

    /// Hashes what changed and appends the changed rows. `changes` is about how many keys changed.
    pub(crate) fn seal(&mut self, changes: usize, rows: &mut Rows) -> B256 {
        match self {
            Self::Empty => EMPTY_ROOT_HASH,
            Self::Stored(hash) => *hash,
            Self::Loaded { hash: Some(hash), .. } => *hash,
            Self::Loaded { node, hash } => {
                let parallel = if changes >= PARALLEL_FROM { 2 } else { 0 };
                seal(node, &Nibbles::new(), parallel, rows);
                let root = match node.rlp.as_ref().and_then(RlpNode::as_hash) {
                    Some(root) => root,
                    // A root shorter than a hash is hashed all the same.
                    None => keccak256(node.encode()),
                };
                *hash = Some(root);
                root
            }
        }
    }

    /// Forgets the nodes that no block since height `before` changed or read for a change; they are in the store.
    /// Returns how many nodes stay.
    pub(crate) fn prune(&mut self, before: u64) -> usize {
        let (replacement, kept) = self.pruned(before);
        if let Some(replacement) = replacement {
            *self = replacement;
        }
        kept
    }

    fn pruned(&self, before: u64) -> (Option<Self>, usize) {
        let Self::Loaded { node, hash: Some(hash) } = self else { return (None, 0) };
        if node.stamp < before {
            return (Some(Self::Stored(*hash)), 0);
        }
        let (node, kept) = node::prune(node, before);
        (node.map(|node| Self::Loaded { node, hash: Some(*hash) }), kept)
    }
}

fn load_root<V: Value>(hash: B256, source: &impl Source<V>, stamp: u64) -> Result<Arc<Node<V>>, StoreError> {
    let path = Nibbles::new();
    let node = match source.node(&path)? {
        Some(row) => Node::from_row(&row, stamp).ok_or(StoreError::NodeMalformed { path: path.to_vec() })?,
        None => {
            let (key, value) = source.leaf(&path)?.ok_or(StoreError::NodeMissing { path: path.to_vec() })?;
            Node::new(Kind::Leaf { path: Nibbles::unpack(key), value }, stamp)
        }
    };
    let encoded = node.encode();
    let found = keccak256(&encoded);
    if found != hash {
        return Err(StoreError::NodeHash { path: path.to_vec() });
    }
    Ok(Arc::new(Node { rlp: Some(RlpNode::from_rlp(&encoded)), ..node }))
}

fn seal<V: Value>(node: &mut Arc<Node<V>>, path: &Nibbles, parallel: usize, rows: &mut Rows) {
    let node = Arc::make_mut(node);
    match &mut node.kind {
        Kind::Leaf { .. } => {}
        Kind::Extension { path: shared, child } => seal_child(child, &path.join(shared), parallel, rows),
        Kind::Branch(branch) if parallel > 0 => {
            let nibbles = branch.nibbles();
            let sealed: Vec<Rows> = branch
                .children
                .par_iter_mut()
                .zip(nibbles)
                .map(|(child, nibble)| {
                    let mut rows = Rows::new();
                    seal_child(child, &joined(path, nibble), parallel - 1, &mut rows);
                    rows
                })
                .collect();
            sealed.into_iter().for_each(|mut more| rows.append(&mut more));
        }
        Kind::Branch(branch) => {
            for (nibble, child) in branch.nibbles().into_iter().zip(&mut branch.children) {
                seal_child(child, &joined(path, nibble), 0, rows);
            }
        }
    }
    let encoded = node.encode();
    node.rlp = Some(RlpNode::from_rlp(&encoded));
    if let Some(row) = node.row() {
        rows.push((*path, Some(row)));
    }
}

fn seal_child<V: Value>(child: &mut Child<V>, path: &Nibbles, parallel: usize, rows: &mut Rows) {
    if let Child::Loaded(node) = child
        && node.rlp.is_none()
    {
        seal(node, path, parallel, rows);
    }
}

fn joined(path: &Nibbles, nibble: u8) -> Nibbles {
    let mut path = *path;
    path.push(nibble);
    path
}

/// One update of one key.
struct Walk<'a, S> {
    source: &'a S,
    stamp: u64,
    key: Nibbles,
    rows: &'a mut Rows,
}

impl<S> Walk<'_, S> {
    fn insert<V: Value>(&mut self, child: &mut Child<V>, depth: usize, value: V) -> Result<(), StoreError>
    where
        S: Source<V>,
    {
        let node = child.load(&self.key.slice(..depth), self.source, self.stamp)?;
        let rest = self.key.slice(depth..);
        match &mut node.kind {
            Kind::Leaf { path, value: old } if *path == rest => {
                *old = value;
            }
            Kind::Leaf { path, value: old } => {
                let shared = path.common_prefix_length(&rest);
                let other = Node::leaf(path.slice(shared + 1..), old.clone(), self.stamp);
                let new = Node::leaf(rest.slice(shared + 1..), value, self.stamp);
                let branch = Branch::of([
                    (path.get_unchecked(shared), Child::Loaded(other)),
                    (rest.get_unchecked(shared), Child::Loaded(new)),
                ]);
                node.kind = fork(rest.slice(..shared), branch, self.stamp);
            }
            Kind::Extension { path, child } => {
                let shared = path.common_prefix_length(&rest);
                if shared == path.len() {
                    return self.insert(child, depth + shared, value);
                }
                let tail = path.slice(shared + 1..);
                let old = if tail.is_empty() {
                    child.clone()
                } else {
                    Child::Loaded(Arc::new(Node::new(Kind::Extension { path: tail, child: child.clone() }, self.stamp)))
                };
                let new = Node::leaf(rest.slice(shared + 1..), value, self.stamp);
                let branch =
                    Branch::of([(path.get_unchecked(shared), old), (rest.get_unchecked(shared), Child::Loaded(new))]);
                node.kind = fork(rest.slice(..shared), branch, self.stamp);
            }
            Kind::Branch(branch) => {
                let nibble = rest.get_unchecked(0);
                match branch.get_mut(nibble) {
                    Some(child) => return self.insert(child, depth + 1, value),
                    None => {
                        let leaf = Node::leaf(rest.slice(1..), value, self.stamp);
                        branch.insert(nibble, Child::Loaded(leaf));
                    }
                }
            }
        }
        Ok(())
    }

    /// Removes the key, which exists, below `child`; returns whether nothing is left of `child`.
    fn remove<V: Value>(&mut self, child: &mut Child<V>, depth: usize) -> Result<bool, StoreError>
    where
        S: Source<V>,
    {
        let here = self.key.slice(..depth);
        let node = child.load(&here, self.source, self.stamp)?;
        match &mut node.kind {
            Kind::Leaf { .. } => return Ok(true),
            Kind::Extension { path, child } => {
                let below = depth + path.len();
                self.remove(child, below)?;
                let below = self.key.slice(..below);
                let inner = child.resolve(&below, self.source, self.stamp)?;
                match &inner.kind {
                    Kind::Branch(_) => {}
                    Kind::Leaf { path: tail, value } => {
                        node.kind = Kind::Leaf { path: path.join(tail), value: value.clone() };
                        self.rows.push((here, None));
                    }
                    Kind::Extension { path: tail, child } => {
                        node.kind = Kind::Extension { path: path.join(tail), child: child.clone() };
                        self.rows.push((below, None));
                    }
                }
            }
            Kind::Branch(branch) => {
                let nibble = self.key.get_unchecked(depth);
                let child = branch.get_mut(nibble).ok_or(StoreError::NodeMissing { path: here.to_vec() })?;
                if !self.remove(child, depth + 1)? {
                    return Ok(false);
                }
                branch.remove(nibble);
                if let Some((nibble, only)) = branch.only() {
                    let below = joined(&here, nibble);
                    let inner = only.resolve(&below, self.source, self.stamp)?;
                    let first = Nibbles::from_nibbles_unchecked([nibble]);
                    node.kind = match &inner.kind {
                        Kind::Branch(_) => Kind::Extension { path: first, child: Child::Loaded(inner) },
                        Kind::Leaf { path, value } => {
                            self.rows.push((here, None));
                            Kind::Leaf { path: first.join(path), value: value.clone() }
                        }
                        Kind::Extension { path, child } => {
                            self.rows.push((below, None));
                            Kind::Extension { path: first.join(path), child: child.clone() }
                        }
                    };
                }
            }
        }
        Ok(false)
    }
}

/// A branch, behind an extension if `shared` is not empty.
fn fork<V: Value>(shared: Nibbles, branch: Branch<V>, stamp: u64) -> Kind<V> {
    if shared.is_empty() {
        return Kind::Branch(branch);
    }
    Kind::Extension { path: shared, child: Child::Loaded(Arc::new(Node::new(Kind::Branch(branch), stamp))) }
}
