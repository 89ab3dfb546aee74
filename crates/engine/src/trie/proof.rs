//! Merkle proofs: the nodes between the root and a key.

use super::{Source, Trie, Value, load_root, node::Kind};
use crate::error::StoreError;
use alloy::primitives::{B256, Bytes};
use alloy_trie::Nibbles;

impl<V: Value> Trie<V> {
    /// The RLP of the nodes from the root towards `key`, as `eth_getProof` returns them (nodes shorter than a hash are part
    /// of their parent), and the value if the key is present. Sealed tries only.
    pub(crate) fn prove(&self, key: &B256, source: &impl Source) -> Result<(Vec<Bytes>, Option<V>), StoreError> {
        let key = Nibbles::unpack(key);
        let mut proof = Vec::new();
        let mut node = match self {
            Self::Empty => return Ok((proof, None)),
            Self::Stored { hash, place } => load_root(*hash, *place, source, 0)?,
            Self::Loaded { node, .. } => node.clone(),
        };
        let mut depth = 0;
        loop {
            let encoded = node.encode();
            if depth == 0 || encoded.len() >= 32 {
                proof.push(encoded.into());
            }
            let child = match &node.kind {
                Kind::Leaf { path, value } => {
                    let value = (*path == key.slice(depth..)).then(|| value.clone());
                    return Ok((proof, value));
                }
                Kind::Extension { path, child } => {
                    if !key.slice(depth..).starts_with(path) {
                        return Ok((proof, None));
                    }
                    depth += path.len();
                    child
                }
                Kind::Branch(branch) => match branch.get(key.get_unchecked(depth)) {
                    Some(child) => {
                        depth += 1;
                        child
                    }
                    None => return Ok((proof, None)),
                },
            };
            let next = child.resolve(&key.slice(..depth), source, 0)?;
            node = next;
        }
    }
}
