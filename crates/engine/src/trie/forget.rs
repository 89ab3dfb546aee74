//! What leaves memory and what leaves old segments of the log.

use super::{
    Nibbles, Node, Place, Source, Trie, Value, joined, load_root,
    node::{Branch, Child, Kind},
};
use crate::error::StoreError;
use std::sync::{Arc, OnceLock};

/// Which nodes are old enough to leave memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Old {
    /// No block from this height on changed them, or loaded them for a change.
    pub(crate) before: u64,
    /// Their records are below this position, which is in the log for everyone who reads this trie.
    pub(crate) end: u64,
}

impl Old {
    fn place<V>(self, node: &Node<V>) -> Option<Place> {
        let place = node.place.get().copied()?;
        (node.stamp < self.before && place.at() < self.end).then_some(place)
    }
}

impl<V: Value> Trie<V> {
    /// Forgets old nodes: they are in the log. Returns how many nodes stay.
    pub(crate) fn prune(&mut self, old: Old) -> usize {
        let (replacement, kept) = self.pruned(old);
        if let Some(replacement) = replacement {
            *self = replacement;
        }
        kept
    }

    pub(super) fn pruned(&self, old: Old) -> (Option<Self>, usize) {
        let Self::Loaded { node, hash: Some(hash) } = self else { return (None, 0) };
        if let Some(place) = old.place(node) {
            return (Some(Self::Stored { hash: *hash, place }), 0);
        }
        let (node, kept) = prune(node, old);
        (node.map(|node| Self::Loaded { node, hash: Some(*hash) }), kept)
    }

    /// Loads what has its record in an old segment, so that it is written anew, as far as the sweep's budget goes. Sealed tries
    /// only; no hash changes.
    pub(crate) fn sweep(&mut self, sweep: &mut Sweep<'_, impl Source>) -> Result<(), StoreError> {
        if let Some(swept) = self.swept(sweep)? {
            *self = swept;
        }
        Ok(())
    }

    pub(super) fn swept(&self, sweep: &mut Sweep<'_, impl Source>) -> Result<Option<Self>, StoreError> {
        let (node, hash) = match self {
            Self::Loaded { node, hash: Some(hash) } => (node.clone(), *hash),
            Self::Stored { hash, place } if place.oldest() < sweep.floor => {
                (load_root(*hash, *place, sweep.source, sweep.stamp)?, *hash)
            }
            Self::Empty | Self::Stored { .. } | Self::Loaded { hash: None, .. } => return Ok(None),
        };
        let swept = sweep.node(&node, &Nibbles::new())?;
        Ok(swept.map(|node| Self::Loaded { node, hash: Some(hash) }))
    }
}

/// Forgets what is old below a sealed node that stays. Returns its replacement, if anything changed, and how many nodes stay,
/// this one included. What does not change stays shared with the tries of other blocks.
fn prune<V: Value>(node: &Arc<Node<V>>, old: Old) -> (Option<Arc<Node<V>>>, usize) {
    let replaced =
        |kind| Some(Arc::new(Node { rlp: node.rlp.clone(), stamp: node.stamp, place: node.place.clone(), kind }));
    match &node.kind {
        Kind::Leaf { path, value } => {
            let (value, kept) = value.prune(old);
            (value.and_then(|value| replaced(Kind::Leaf { path: *path, value })), kept + 1)
        }
        Kind::Extension { path, child } => {
            let (child, kept) = prune_child(child, old);
            (child.and_then(|child| replaced(Kind::Extension { path: *path, child })), kept + 1)
        }
        Kind::Branch(branch) => {
            let mut changed: Option<Branch<V>> = None;
            let mut kept = 1;
            for (index, child) in branch.children.iter().enumerate() {
                let (replacement, more) = prune_child(child, old);
                kept += more;
                if let Some(replacement) = replacement {
                    changed.get_or_insert_with(|| branch.clone()).children[index] = replacement;
                }
            }
            (changed.and_then(|branch| replaced(Kind::Branch(branch))), kept)
        }
    }
}

fn prune_child<V: Value>(child: &Child<V>, old: Old) -> (Option<Child<V>>, usize) {
    let Child::Loaded(node) = child else { return (None, 0) };
    match old.place(node) {
        Some(place) => (Some(Child::Stored { rlp: child.rlp().clone(), place }), 0),
        None => {
            let (node, kept) = prune(node, old);
            (node.map(Child::Loaded), kept)
        }
    }
}

/// A walk through the sixteenth of a trie whose keys begin with one nibble, that loads what has its record below segment `floor`.
/// It goes through all that is not written yet to find what is, which a sixteenth at a time keeps short.
#[derive(Debug)]
pub(crate) struct Sweep<'a, S> {
    pub(crate) source: &'a S,
    /// The first segment that is not old.
    pub(crate) floor: u32,
    /// Height of the block whose trie it is.
    pub(crate) stamp: u64,
    /// How many nodes it may still load. One that is deeper than that below the first old one is never reached, so it must be
    /// more than the 128 nibbles of an account and a slot.
    pub(crate) budget: usize,
    /// The nibble; `None` looks everywhere.
    pub(crate) slice: Option<u8>,
}

impl<S: Source> Sweep<'_, S> {
    /// The node with what had to be loaded below it, if it must be written anew.
    fn node<V: Value>(&mut self, node: &Arc<Node<V>>, path: &Nibbles) -> Result<Option<Arc<Node<V>>>, StoreError> {
        let place = node.place.get();
        if place.is_some_and(|place| place.oldest() >= self.floor) {
            return Ok(None);
        }
        let kind = match &node.kind {
            Kind::Leaf { path: rest, value } => {
                let value = value.sweep(self)?;
                value.map(|value| Kind::Leaf { path: *rest, value })
            }
            Kind::Extension { path: shared, child } => {
                let child = self.child(child, &path.join(shared))?;
                child.map(|child| Kind::Extension { path: *shared, child })
            }
            Kind::Branch(branch) => {
                let mut changed: Option<Branch<V>> = None;
                for (index, (nibble, child)) in branch.entries().enumerate() {
                    if let Some(child) = self.child(child, &joined(path, nibble))? {
                        changed.get_or_insert_with(|| branch.clone()).children[index] = child;
                    }
                }
                changed.map(Kind::Branch)
            }
        };
        // A node that is not written yet will be; a written one has a record that is old, or names one that is.
        if kind.is_none() && place.is_none() {
            return Ok(None);
        }
        let kind = kind.unwrap_or_else(|| node.kind.clone());
        Ok(Some(Arc::new(Node { rlp: node.rlp.clone(), stamp: self.stamp, place: OnceLock::new(), kind })))
    }

    fn child<V: Value>(&mut self, child: &Child<V>, path: &Nibbles) -> Result<Option<Child<V>>, StoreError> {
        if self.slice.is_some_and(|slice| path.first() != Some(slice)) {
            return Ok(None);
        }
        let written = match child {
            Child::Stored { place, .. } => Some(*place),
            Child::Loaded(node) => node.place.get().copied(),
        };
        if written.is_some_and(|place| place.oldest() >= self.floor) {
            return Ok(None);
        }
        if written.is_some() {
            if self.budget == 0 {
                return Ok(None);
            }
            self.budget -= 1;
        }
        let node = child.resolve(path, self.source, self.stamp)?;
        Ok(self.node(&node, path)?.map(Child::Loaded))
    }
}
