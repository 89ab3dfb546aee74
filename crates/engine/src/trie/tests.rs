//! The trie against `alloy-trie`: an independent implementation that knows neither updates nor storage.

use super::*;
use alloy::primitives::U256;
use alloy_trie::{HashBuilder, proof::verify_proof};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What a database would hold.
#[derive(Clone, Debug, Default)]
struct Disk {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    flat: BTreeMap<B256, U256>,
}

impl Disk {
    fn apply(&mut self, rows: Rows) {
        for (path, row) in rows {
            match row {
                Some(row) => self.rows.insert(path.to_vec(), row),
                None => self.rows.remove(&path.to_vec()),
            };
        }
    }
}

impl Source<U256> for Disk {
    fn node(&self, path: &Nibbles) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.rows.get(&path.to_vec()).cloned())
    }

    fn leaf(&self, prefix: &Nibbles) -> Result<Option<(B256, U256)>, StoreError> {
        let found = self.flat.iter().find(|(key, _)| Nibbles::unpack(key).starts_with(prefix));
        Ok(found.map(|(key, value)| (*key, *value)))
    }
}

fn oracle(flat: &BTreeMap<B256, U256>) -> B256 {
    let mut builder = HashBuilder::default();
    for (key, value) in flat {
        builder.add_leaf(Nibbles::unpack(key), &alloy::rlp::encode(value));
    }
    builder.root()
}

/// Keys that share long prefixes, so that extensions, splits, merges and nodes shorter than a hash all occur.
fn key(shape: (u8, u8, u8)) -> B256 {
    let (prefix, middle, end) = shape;
    let mut key = B256::repeat_byte(if prefix % 3 == 0 { 0x11 } else { 0x1f });
    if prefix % 5 == 4 {
        key = keccak256([prefix, middle]);
    }
    key[15] = middle % 4;
    key[31] = end % 32;
    key
}

#[derive(Clone, Debug)]
enum After {
    Keep,
    Reload,
    Prune,
}

#[allow(clippy::type_complexity, reason = "generated cases")]
fn batches() -> impl Strategy<Value = Vec<(Vec<((u8, u8, u8), u64)>, After)>> {
    let change = (any::<(u8, u8, u8)>(), prop_oneof![2 => 1u64..300, 1 => Just(u64::MAX), 2 => Just(0)]);
    let after = prop_oneof![Just(After::Keep), Just(After::Reload), Just(After::Prune)];
    proptest::collection::vec((proptest::collection::vec(change, 0..24), after), 1..12)
}

fn fresh(flat: &BTreeMap<B256, U256>) -> (B256, BTreeMap<Vec<u8>, Vec<u8>>) {
    let (mut trie, mut rows) = (Trie::Empty, Rows::new());
    for (key, value) in flat {
        trie.insert(key, *value, &Nowhere, 0, &mut rows).unwrap();
    }
    let root = trie.seal(flat.len(), &mut rows);
    let mut disk = Disk::default();
    disk.apply(rows);
    (root, disk.rows)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_changes_gives_the_root_and_rows_of_a_fresh_trie(batches in batches()) {
        let mut disk = Disk::default();
        let mut trie: Trie<U256> = Trie::Empty;
        for (height, (changes, after)) in (1u64..).zip(batches) {
            let before = (trie.clone(), trie.root().unwrap(), disk.clone());
            let mut flat = disk.flat.clone();
            let mut rows = Rows::new();
            for (shape, value) in &changes {
                let (key, value) = (key(*shape), U256::from(*value));
                if value.is_zero() {
                    trie.remove(&key, &disk, height, &mut rows).unwrap();
                    flat.remove(&key);
                } else {
                    trie.insert(&key, value, &disk, height, &mut rows).unwrap();
                    flat.insert(key, value);
                }
            }
            let root = trie.seal(if height % 2 == 0 { 1_000 } else { 1 }, &mut rows);
            prop_assert_eq!(root, oracle(&flat));

            // The trie that was there before is untouched: its block may still be the parent of others.
            let (old, old_root, old_disk) = before;
            prop_assert_eq!(old.root(), Some(old_root));
            for (key, value) in &old_disk.flat {
                prop_assert_eq!(old.get(key, &old_disk).unwrap(), Some(*value));
            }

            disk.flat = flat;
            disk.apply(rows);
            let (fresh_root, fresh_rows) = fresh(&disk.flat);
            prop_assert_eq!(fresh_root, root);
            prop_assert_eq!(&disk.rows, &fresh_rows, "no row is missing, stale or left over");

            match after {
                After::Keep => {}
                After::Reload => trie = Trie::stored(root),
                After::Prune => { trie.prune(height); }
            }
            for shape in changes.iter().map(|(shape, _)| *shape).chain([(0, 0, 99), (4, 77, 1)]) {
                let key = key(shape);
                let expected = disk.flat.get(&key).copied();
                let (proof, value) = trie.prove(&key, &disk).unwrap();
                prop_assert_eq!(value, expected);
                let encoded = expected.map(alloy::rlp::encode);
                verify_proof(root, Nibbles::unpack(key), encoded, &proof).unwrap();
            }
        }
    }

    #[test]
    fn pruning_forgets_what_is_old_and_nothing_newer(keys in proptest::collection::hash_set(any::<u32>(), 2..64)) {
        let mut disk = Disk::default();
        let (mut trie, mut rows) = (Trie::Empty, Rows::new());
        for key in &keys {
            let key = keccak256(key.to_be_bytes());
            trie.insert(&key, U256::from(1), &Nowhere, 1, &mut rows).unwrap();
            disk.flat.insert(key, U256::from(1));
        }
        let root = trie.seal(keys.len(), &mut rows);
        disk.apply(rows);
        prop_assert_eq!(trie.prune(1), count(&disk));
        prop_assert_eq!(trie.prune(2), 0);
        prop_assert!(matches!(trie, Trie::Stored(hash) if hash == root));
    }
}

fn count(disk: &Disk) -> usize {
    disk.rows.len() + disk.flat.len()
}

#[test]
fn a_corrupt_row_is_noticed() {
    let mut disk = Disk::default();
    let (mut trie, mut rows) = (Trie::Empty, Rows::new());
    for byte in 0..40u8 {
        let key = keccak256([byte]);
        trie.insert(&key, U256::from(byte) + U256::from(1), &Nowhere, 1, &mut rows).unwrap();
        disk.flat.insert(key, U256::from(byte) + U256::from(1));
    }
    let root = trie.seal(40, &mut rows);
    disk.apply(rows);
    let stored = Trie::<U256>::stored(root);
    let victim = keccak256([7]);
    *disk.flat.get_mut(&victim).unwrap() += U256::from(1);
    assert!(matches!(stored.get(&victim, &disk), Err(StoreError::NodeHash { .. })));
    *disk.flat.get_mut(&victim).unwrap() -= U256::from(1);
    let row = disk.rows.get_mut(&Vec::new()).unwrap();
    *row.last_mut().unwrap() ^= 1;
    assert!(matches!(stored.get(&victim, &disk), Err(StoreError::NodeHash { .. })));
    disk.rows.remove(&Vec::new());
    assert!(stored.get(&victim, &disk).is_err());
}
