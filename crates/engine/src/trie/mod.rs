//! The state trie: Ethereum's Merkle-Patricia trie as a persistent tree of shared nodes, in memory and in a log.
//!
//! A trie is a root pointer. An update copies only the nodes on the paths it changes and shares the rest, so every
//! unfinalized block owns its own trie at the price of its changes, and forks cost nothing. Accounts and slots are the
//! leaves; an account's storage trie hangs on its leaf. There is no other copy of the state.
//!
//! ```text
//!   parent trie --update, remove--> changed nodes --seal--> root hash
//!                                         \--write--> records appended to the log, children first --prune--> forgotten
//! ```
//!
//! What is changed is written by appending: a record is never changed, and names the places of its children. A node that is
//! not in memory is a reference with such a place; it is loaded when something walks through it, and checked against its hash.
//! The log's oldest segments are freed by loading what is still needed of them ([`Trie::sweep`]), which is then written anew.

mod forget;
mod node;
mod proof;
mod record;
#[cfg(test)]
mod tests;
mod warm;

use crate::error::StoreError;
use alloy::primitives::{B256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, nodes::RlpNode};
pub(crate) use forget::{Old, Sweep};
pub(crate) use node::{AccountLeaf, Value};
use node::{Branch, Child, Kind, Node};
use rayon::prelude::*;
pub(crate) use record::Place;
use std::sync::{Arc, OnceLock};

/// Number of changed keys from which work is worth spreading over threads.
const PARALLEL_FROM: usize = 128;

/// Where nodes that are not in memory come from.
pub(crate) trait Source: Sync {
    /// The record at this position.
    fn record(&self, at: u64) -> Result<Vec<u8>, StoreError>;
}

/// Where nodes are written to.
pub(crate) trait Sink {
    /// Appends a record; answers its position and the segment it is in.
    fn put(&mut self, record: &[u8]) -> Result<(u64, u32), StoreError>;
}

/// A source for tries that are wholly in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nowhere;

impl Source for Nowhere {
    fn record(&self, at: u64) -> Result<Vec<u8>, StoreError> {
        Err(StoreError::Record { at })
    }
}

/// A trie: its root.
#[derive(Clone, Debug)]
pub(crate) enum Trie<V> {
    /// Without keys.
    Empty,
    /// Not in memory.
    Stored {
        /// Hash of the root node.
        hash: B256,
        /// Where its record is.
        place: Place,
    },
    /// In memory, at least the root; `hash` is `None` while it has unsealed changes.
    Loaded {
        /// The root node.
        node: Arc<Node<V>>,
        /// Its hash.
        hash: Option<B256>,
    },
}

impl<V: Value> Trie<V> {
    /// The trie with this root hash, which is not the empty trie's, and its root's record there.
    pub(crate) const fn stored(hash: B256, place: Place) -> Self {
        Self::Stored { hash, place }
    }

    /// The root hash, if the trie has no unsealed changes.
    pub(crate) fn root(&self) -> Option<B256> {
        match self {
            Self::Empty => Some(EMPTY_ROOT_HASH),
            Self::Stored { hash, .. } => Some(*hash),
            Self::Loaded { hash, .. } => *hash,
        }
    }

    /// The value of `key`.
    pub(crate) fn get(&self, key: &B256, source: &impl Source) -> Result<Option<V>, StoreError> {
        let mut held: Arc<Node<V>>;
        let mut node: &Node<V> = match self {
            Self::Empty => return Ok(None),
            Self::Loaded { node, .. } => node,
            Self::Stored { hash, place } => {
                held = load_root(*hash, *place, source, 0)?;
                &held
            }
        };
        let key = Nibbles::unpack(key);
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
            node = match child {
                Child::Loaded(node) => node,
                Child::Stored { rlp, place } => {
                    let read = Arc::new(Node::read(rlp, *place, &key.slice(..depth), source, 0)?);
                    held = read;
                    &held
                }
            };
        }
    }

    /// Calls `visit` with every key and value, ascending.
    pub(crate) fn each(
        &self,
        source: &impl Source,
        visit: &mut impl FnMut(B256, &V) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match self {
            Self::Empty => Ok(()),
            Self::Stored { hash, place } => each(&*load_root(*hash, *place, source, 0)?, Nibbles::new(), source, visit),
            Self::Loaded { node, .. } => each(node, Nibbles::new(), source, visit),
        }
    }

    /// Sets the value of `key`. `stamp` is the height of the block that does it.
    pub(crate) fn insert(&mut self, key: &B256, value: V, source: &impl Source, stamp: u64) -> Result<(), StoreError> {
        self.update(key, source, stamp, |_| Ok(value))
    }

    /// Sets the value of `key` to what `make` makes of the value before.
    pub(crate) fn update(
        &mut self,
        key: &B256,
        source: &impl Source,
        stamp: u64,
        make: impl FnOnce(Option<&V>) -> Result<V, StoreError>,
    ) -> Result<(), StoreError> {
        let key = Nibbles::unpack(key);
        let mut child = self.take_root(source, stamp)?;
        match &mut child {
            None => child = Some(Child::Loaded(Node::leaf(key, make(None)?, stamp))),
            Some(child) => Walk { source, stamp, key }.update(child, 0, make)?,
        }
        self.put_root(child);
        Ok(())
    }

    /// As [`Self::update`] of each key of `changes`, which ascend, on all processors if they are many.
    pub(crate) fn update_all<T: Sync>(
        &mut self,
        changes: &[(B256, T)],
        source: &impl Source,
        stamp: u64,
        make: impl Fn(&T, Option<&V>) -> Result<V, StoreError> + Sync,
    ) -> Result<(), StoreError> {
        let mut root = if changes.len() >= PARALLEL_FROM { self.take_root(source, stamp)? } else { None };
        let branch = match &mut root {
            Some(child) => match &mut child.load(&Nibbles::new(), source, stamp)?.kind {
                Kind::Branch(branch) => Some(branch),
                Kind::Leaf { .. } | Kind::Extension { .. } => None,
            },
            None => None,
        };
        let Some(branch) = branch else {
            if root.is_some() {
                self.put_root(root);
            }
            return changes
                .iter()
                .try_for_each(|(key, change)| self.update(key, source, stamp, |before| make(change, before)));
        };
        let mut children: [Option<Child<V>>; 16] = Default::default();
        for (nibble, child) in branch.entries() {
            children[usize::from(nibble)] = Some(child.clone());
        }
        // The branch must not hold the children while they change, or each of them would be copied.
        branch.children.clear();
        let groups = changes.chunk_by(|(one, _), (other, _)| one[0] >> 4 == other[0] >> 4);
        let mut groups: Vec<_> = groups
            .map(|group| {
                let nibble = usize::from(group[0].0[0] >> 4);
                (nibble, children[nibble].take(), group)
            })
            .collect();
        groups.par_iter_mut().try_for_each(|(_, child, group)| {
            group.iter().try_for_each(|(key, change)| {
                let key = Nibbles::unpack(key);
                match child {
                    Some(child) => Walk { source, stamp, key }.update(child, 1, |before| make(change, before))?,
                    None => *child = Some(Child::Loaded(Node::leaf(key.slice(1..), make(change, None)?, stamp))),
                }
                Ok::<_, StoreError>(())
            })
        })?;
        for (nibble, child, _) in groups {
            children[nibble] = child;
        }
        branch.mask = 0;
        for (nibble, child) in (0..16).zip(children) {
            if let Some(child) = child {
                branch.insert(nibble, child);
            }
        }
        self.put_root(root);
        Ok(())
    }

    /// Removes `key`, if it is there.
    pub(crate) fn remove(&mut self, key: &B256, source: &impl Source, stamp: u64) -> Result<(), StoreError> {
        if self.get(key, source)?.is_none() {
            return Ok(());
        }
        let Some(mut child) = self.take_root(source, stamp)? else { return Ok(()) };
        let empty = Walk { source, stamp, key: Nibbles::unpack(key) }.remove(&mut child, 0)?;
        self.put_root((!empty).then_some(child));
        Ok(())
    }

    fn take_root(&mut self, source: &impl Source, stamp: u64) -> Result<Option<Child<V>>, StoreError> {
        Ok(match std::mem::replace(self, Self::Empty) {
            Self::Empty => None,
            Self::Stored { hash, place } => Some(Child::Loaded(load_root(hash, place, source, stamp)?)),
            Self::Loaded { node, .. } => Some(Child::Loaded(node)),
        })
    }

    fn put_root(&mut self, root: Option<Child<V>>) {
        *self = match root {
            None => Self::Empty,
            Some(Child::Loaded(node)) => Self::Loaded { node, hash: None },
            Some(Child::Stored { .. }) => unreachable!("an update loads the root it changes"),
        };
    }

    /// Hashes what changed. `changes` is about how many keys changed.
    pub(crate) fn seal(&mut self, changes: usize) -> B256 {
        match self {
            Self::Empty => EMPTY_ROOT_HASH,
            Self::Stored { hash, .. } => *hash,
            Self::Loaded { hash: Some(hash), .. } => *hash,
            Self::Loaded { node, hash } => {
                let parallel = if changes >= PARALLEL_FROM { 2 } else { 0 };
                seal(node, parallel);
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

    /// Appends the records of the nodes that have none yet, and tells where the root's is. Sealed tries only.
    pub(crate) fn write(&self, sink: &mut impl Sink) -> Result<Option<Place>, StoreError> {
        match self {
            Self::Empty => Ok(None),
            Self::Stored { place, .. } => Ok(Some(*place)),
            Self::Loaded { node, .. } => node.write(sink).map(Some),
        }
    }
}

fn load_root<V: Value>(hash: B256, place: Place, source: &impl Source, stamp: u64) -> Result<Arc<Node<V>>, StoreError> {
    let record = source.record(place.at())?;
    let node = Node::from_record(&record, stamp).ok_or(StoreError::NodeMalformed { path: Vec::new() })?;
    let encoded = node.encode();
    if keccak256(&encoded) != hash {
        return Err(StoreError::NodeHash { path: Vec::new() });
    }
    Ok(Arc::new(Node { rlp: Some(RlpNode::from_rlp(&encoded)), place: OnceLock::from(place), ..node }))
}

fn each<V: Value>(
    node: &Node<V>,
    mut path: Nibbles,
    source: &impl Source,
    visit: &mut impl FnMut(B256, &V) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    match &node.kind {
        Kind::Leaf { path: rest, value } => visit(B256::from_slice(&path.join(rest).pack()), value),
        Kind::Extension { path: shared, child } => {
            path.extend(shared);
            each(&*child.resolve(&path, source, 0)?, path, source, visit)
        }
        Kind::Branch(branch) => branch.entries().try_for_each(|(nibble, child)| {
            let below = joined(&path, nibble);
            each(&*child.resolve(&below, source, 0)?, below, source, visit)
        }),
    }
}

fn seal<V: Value>(node: &mut Arc<Node<V>>, parallel: usize) {
    let node = Arc::make_mut(node);
    match &mut node.kind {
        Kind::Leaf { .. } => {}
        Kind::Extension { child, .. } => seal_child(child, parallel),
        Kind::Branch(branch) if parallel > 0 => {
            branch.children.par_iter_mut().for_each(|child| seal_child(child, parallel - 1));
        }
        Kind::Branch(branch) => branch.children.iter_mut().for_each(|child| seal_child(child, 0)),
    }
    node.rlp = Some(RlpNode::from_rlp(&node.encode()));
}

fn seal_child<V: Value>(child: &mut Child<V>, parallel: usize) {
    if let Child::Loaded(node) = child
        && node.rlp.is_none()
    {
        seal(node, parallel);
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
}

impl<S: Source> Walk<'_, S> {
    fn update<V: Value>(
        &self,
        child: &mut Child<V>,
        depth: usize,
        make: impl FnOnce(Option<&V>) -> Result<V, StoreError>,
    ) -> Result<(), StoreError> {
        let node = child.load(&self.key.slice(..depth), self.source, self.stamp)?;
        let rest = self.key.slice(depth..);
        match &mut node.kind {
            Kind::Leaf { path, value } if *path == rest => {
                *value = make(Some(value))?;
            }
            Kind::Leaf { path, value: old } => {
                let shared = path.common_prefix_length(&rest);
                let other = Node::leaf(path.slice(shared + 1..), old.clone(), self.stamp);
                let new = Node::leaf(rest.slice(shared + 1..), make(None)?, self.stamp);
                let branch = Branch::of([
                    (path.get_unchecked(shared), Child::Loaded(other)),
                    (rest.get_unchecked(shared), Child::Loaded(new)),
                ]);
                node.kind = fork(rest.slice(..shared), branch, self.stamp);
            }
            Kind::Extension { path, child } => {
                let shared = path.common_prefix_length(&rest);
                if shared == path.len() {
                    return self.update(child, depth + shared, make);
                }
                let tail = path.slice(shared + 1..);
                let old = if tail.is_empty() {
                    child.clone()
                } else {
                    Child::Loaded(Arc::new(Node::new(Kind::Extension { path: tail, child: child.clone() }, self.stamp)))
                };
                let new = Node::leaf(rest.slice(shared + 1..), make(None)?, self.stamp);
                let branch =
                    Branch::of([(path.get_unchecked(shared), old), (rest.get_unchecked(shared), Child::Loaded(new))]);
                node.kind = fork(rest.slice(..shared), branch, self.stamp);
            }
            Kind::Branch(branch) => {
                let nibble = rest.get_unchecked(0);
                match branch.get_mut(nibble) {
                    Some(child) => return self.update(child, depth + 1, make),
                    None => {
                        let leaf = Node::leaf(rest.slice(1..), make(None)?, self.stamp);
                        branch.insert(nibble, Child::Loaded(leaf));
                    }
                }
            }
        }
        Ok(())
    }

    /// Removes the key, which exists, below `child`; returns whether nothing is left of `child`.
    fn remove<V: Value>(&self, child: &mut Child<V>, depth: usize) -> Result<bool, StoreError> {
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
                    }
                    Kind::Extension { path: tail, child } => {
                        node.kind = Kind::Extension { path: path.join(tail), child: child.clone() };
                    }
                }
            }
            Kind::Branch(branch) => {
                let nibble = self.key.get_unchecked(depth);
                let child = branch.get_mut(nibble).ok_or_else(|| StoreError::NodeMissing { path: here.to_vec() })?;
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
                        Kind::Leaf { path, value } => Kind::Leaf { path: first.join(path), value: value.clone() },
                        Kind::Extension { path, child } => {
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
