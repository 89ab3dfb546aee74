//! What a block is going to need, loaded before it runs: its accounts' values for the execution, and the nodes above them for the
//! update that follows, each read from the log once.

use super::{
    Nibbles, Node, PARALLEL_FROM, Source, Trie, Value, load_root,
    node::{Branch, Child, Kind},
};
use crate::error::StoreError;
use alloy::primitives::B256;
use rayon::prelude::*;
use std::sync::Arc;

impl<V: Value> Trie<V> {
    /// Loads the nodes on the way to `keys`, which ascend, on all processors if they are many. Answers what `read` makes of each
    /// key's value. No value and no hash changes.
    pub(crate) fn warm<T: Send>(
        &mut self,
        keys: &[B256],
        source: &impl Source,
        stamp: u64,
        read: impl Fn(&V) -> T + Sync,
    ) -> Result<Vec<Option<T>>, StoreError> {
        let (node, hash) = match self {
            Self::Empty => return Ok(keys.iter().map(|_| None).collect()),
            Self::Stored { hash, place } => (load_root(*hash, *place, source, stamp)?, Some(*hash)),
            Self::Loaded { node, hash } => (node.clone(), *hash),
        };
        let warm = Warm { source, stamp, read: &read };
        let (replacement, values) = match &node.kind {
            Kind::Branch(branch) if keys.len() >= PARALLEL_FROM => {
                let groups: Vec<_> = groups(keys, 0).collect();
                let below = groups.par_iter().map(|group| warm.group(branch, 0, group));
                let below = below.collect::<Result<Vec<_>, _>>()?;
                let (branch, values) = joined(branch, &groups, 0, below);
                (branch.map(|branch| node.with(Kind::Branch(branch))), values)
            }
            Kind::Branch(_) | Kind::Leaf { .. } | Kind::Extension { .. } => warm.node(&node, 0, keys)?,
        };
        *self = Self::Loaded { node: replacement.unwrap_or(node), hash };
        Ok(values)
    }
}

impl<V: Value> Node<V> {
    /// The same node, with more of what is below it in memory.
    fn with(&self, kind: Kind<V>) -> Arc<Self> {
        Arc::new(Self { rlp: self.rlp.clone(), stamp: self.stamp, place: self.place.clone(), kind })
    }
}

struct Warm<'a, S, R> {
    source: &'a S,
    stamp: u64,
    read: &'a R,
}

/// What replaces a node or child, if anything below it was loaded, and what was read of each key.
type Warmed<N, T> = (Option<N>, Vec<Option<T>>);

impl<S: Source, R> Warm<'_, S, R> {
    fn node<V: Value, T>(
        &self,
        node: &Arc<Node<V>>,
        depth: usize,
        keys: &[B256],
    ) -> Result<Warmed<Arc<Node<V>>, T>, StoreError>
    where
        R: Fn(&V) -> T,
    {
        match &node.kind {
            Kind::Leaf { path, value } => {
                let is_here = |key: &B256| *path == Nibbles::unpack(key).slice(depth..);
                Ok((None, keys.iter().map(|key| is_here(key).then(|| (self.read)(value))).collect()))
            }
            Kind::Extension { path, child } => {
                let passes = |key: &B256| Nibbles::unpack(key).slice(depth..).starts_with(path);
                let mut values = Vec::with_capacity(keys.len());
                let mut replacement = None;
                for group in keys.chunk_by(|one, other| passes(one) == passes(other)) {
                    if passes(&group[0]) {
                        let (child, more) = self.child(child, depth + path.len(), group)?;
                        replacement = child.map(|child| node.with(Kind::Extension { path: *path, child }));
                        values.extend(more);
                    } else {
                        values.extend(group.iter().map(|_| None));
                    }
                }
                Ok((replacement, values))
            }
            Kind::Branch(branch) => {
                let groups: Vec<_> = groups(keys, depth).collect();
                let below = groups.iter().map(|group| self.group(branch, depth, group));
                let (branch, values) = joined(branch, &groups, depth, below.collect::<Result<_, _>>()?);
                Ok((branch.map(|branch| node.with(Kind::Branch(branch))), values))
            }
        }
    }

    /// `keys` have one nibble at `depth`, where the branch is.
    fn group<V: Value, T>(
        &self,
        branch: &Branch<V>,
        depth: usize,
        keys: &[B256],
    ) -> Result<Warmed<Child<V>, T>, StoreError>
    where
        R: Fn(&V) -> T,
    {
        match branch.get(nibble(&keys[0], depth)) {
            Some(child) => self.child(child, depth + 1, keys),
            None => Ok((None, keys.iter().map(|_| None).collect())),
        }
    }

    fn child<V: Value, T>(
        &self,
        child: &Child<V>,
        depth: usize,
        keys: &[B256],
    ) -> Result<Warmed<Child<V>, T>, StoreError>
    where
        R: Fn(&V) -> T,
    {
        let (node, is_new) = match child {
            Child::Loaded(node) => (node.clone(), false),
            Child::Stored { rlp, place } => {
                let path = Nibbles::unpack(keys[0]).slice(..depth);
                (Arc::new(Node::read(rlp, *place, &path, self.source, self.stamp)?), true)
            }
        };
        let (replacement, values) = self.node(&node, depth, keys)?;
        Ok((replacement.or_else(|| is_new.then_some(node)).map(Child::Loaded), values))
    }
}

/// The keys by their nibble at `depth`.
fn groups(keys: &[B256], depth: usize) -> impl Iterator<Item = &[B256]> {
    keys.chunk_by(move |one, other| nibble(one, depth) == nibble(other, depth))
}

fn nibble(key: &B256, depth: usize) -> u8 {
    let byte = key[depth / 2];
    if depth.is_multiple_of(2) { byte >> 4 } else { byte & 0x0f }
}

/// The branch with what was loaded below it, and the values of all groups.
fn joined<V: Value, T>(
    branch: &Branch<V>,
    groups: &[&[B256]],
    depth: usize,
    below: Vec<Warmed<Child<V>, T>>,
) -> Warmed<Branch<V>, T> {
    let mut changed: Option<Branch<V>> = None;
    let mut values = Vec::with_capacity(groups.iter().map(|group| group.len()).sum());
    for (group, (child, more)) in groups.iter().zip(below) {
        values.extend(more);
        if let Some(child) = child
            && let Some(place) = changed.get_or_insert_with(|| branch.clone()).get_mut(nibble(&group[0], depth))
        {
            *place = child;
        }
    }
    (changed, values)
}
