//! The trie against `alloy-trie`: an independent implementation that knows neither updates nor storage.

use super::*;
use alloy::primitives::U256;
use alloy_trie::{HashBuilder, proof::verify_proof};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The records that a log would hold, eight in a segment.
#[derive(Clone, Debug, Default)]
struct Disk(Vec<Vec<u8>>);

impl Source for Disk {
    fn record(&self, at: u64) -> Result<Vec<u8>, StoreError> {
        self.0.get(usize::try_from(at).unwrap()).cloned().ok_or(StoreError::Record { at })
    }
}

impl Sink for Disk {
    fn put(&mut self, record: &[u8]) -> Result<(u64, u32), StoreError> {
        let at = u64::try_from(self.0.len()).unwrap();
        self.0.push(record.to_vec());
        Ok((at, segment(at)))
    }
}

fn segment(at: u64) -> u32 {
    u32::try_from(at / 8).unwrap()
}

impl Disk {
    /// Loses all records below this segment.
    fn forget(&mut self, segment: u32) {
        self.0.iter_mut().take(usize::try_from(segment).unwrap() * 8).for_each(Vec::clear);
    }

    fn end(&self) -> u64 {
        u64::try_from(self.0.len()).unwrap()
    }
}

/// Everything that is in the log.
const ALL: u64 = u64::MAX;

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
    Sweep,
}

#[allow(clippy::type_complexity, reason = "generated cases")]
fn batches() -> impl Strategy<Value = Vec<(Vec<((u8, u8, u8), u64)>, After)>> {
    let change = (any::<(u8, u8, u8)>(), prop_oneof![2 => 1u64..300, 1 => Just(u64::MAX), 2 => Just(0)]);
    let after = prop_oneof![Just(After::Keep), Just(After::Reload), Just(After::Prune), Just(After::Sweep)];
    proptest::collection::vec((proptest::collection::vec(change, 0..24), after), 1..12)
}

/// Every key and value, in order.
fn content(trie: &Trie<U256>, disk: &Disk) -> BTreeMap<B256, U256> {
    let mut all = Vec::new();
    trie.each(disk, &mut |key, value| {
        all.push((key, *value));
        Ok(())
    })
    .unwrap();
    assert!(all.is_sorted(), "keys ascend");
    all.into_iter().collect()
}

/// Sweeps all slices with small budgets, as many blocks do, until nothing old is left.
fn sweep(trie: &mut Trie<U256>, disk: &mut Disk, floor: u32, stamp: u64) -> Option<Place> {
    loop {
        for slice in 0..16 {
            trie.sweep(&mut Sweep { source: &*disk, floor, stamp, budget: 66, slice: Some(slice) }).unwrap();
        }
        let place = trie.write(disk).unwrap();
        if place.is_none_or(|place| place.oldest() >= floor) {
            return place;
        }
    }
}

/// Loads what is on the way to these keys: the values are found, nothing else changes.
fn warm(trie: &mut Trie<U256>, keys: impl Iterator<Item = B256>, disk: &Disk, stamp: u64, flat: &BTreeMap<B256, U256>) {
    let mut keys: Vec<_> = keys.collect();
    keys.sort_unstable();
    keys.dedup();
    let (root, before) = (trie.root(), trie.clone());
    let found = trie.warm(&keys, disk, stamp, |value| *value).unwrap();
    assert_eq!(found, keys.iter().map(|key| flat.get(key).copied()).collect::<Vec<_>>());
    assert_eq!((trie.root(), content(trie, disk), content(&before, disk)), (root, flat.clone(), flat.clone()));
    // All of it is in memory now.
    for key in &keys {
        assert_eq!(trie.get(key, &Nowhere).unwrap(), flat.get(key).copied());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_changes_gives_the_root_and_content_of_a_fresh_trie(batches in batches()) {
        let (mut disk, mut flat) = (Disk::default(), BTreeMap::new());
        let mut trie: Trie<U256> = Trie::Empty;
        for (height, (changes, after)) in (1u64..).zip(batches) {
            let before = (trie.clone(), trie.root().unwrap(), flat.clone());
            if height % 3 > 0 {
                let keys = changes.iter().map(|(shape, _)| key(*shape)).chain([B256::ZERO, B256::repeat_byte(0x1f)]);
                warm(&mut trie, keys, &disk, height, &flat);
                prop_assert_eq!(trie.write(&mut Disk(Vec::new())).unwrap(), Trie::write(&before.0, &mut Disk(Vec::new())).unwrap());
            }
            for (shape, value) in &changes {
                let (key, value) = (key(*shape), U256::from(*value));
                if value.is_zero() {
                    trie.remove(&key, &disk, height).unwrap();
                    flat.remove(&key);
                } else {
                    trie.insert(&key, value, &disk, height).unwrap();
                    flat.insert(key, value);
                }
            }
            let root = trie.seal(if height % 2 == 0 { 1_000 } else { 1 });
            prop_assert_eq!(root, oracle(&flat));

            // The trie that was there before is untouched: its block may still be the parent of others.
            let (old, old_root, old_flat) = before;
            prop_assert_eq!(old.root(), Some(old_root));
            prop_assert_eq!(&content(&old, &disk), &old_flat);

            let mut place = trie.write(&mut disk).unwrap();
            prop_assert_eq!(trie.write(&mut disk.clone()).unwrap(), place, "written twice");
            match after {
                After::Keep => {}
                After::Reload => {
                    if let Some(place) = place {
                        trie = Trie::stored(root, place);
                    }
                }
                After::Prune => { trie.prune(Old { before: height, end: ALL }); }
                After::Sweep => {
                    let floor = segment(disk.end()) + 1;
                    while segment(disk.end()) < floor {
                        disk.put(&[]).unwrap();
                    }
                    place = sweep(&mut trie, &mut disk, floor, height);
                    disk.forget(floor);
                    trie.prune(Old { before: height + 1, end: ALL });
                }
            }
            prop_assert_eq!(trie.root(), Some(root));
            if let Some(place) = place {
                prop_assert_eq!(&content(&Trie::stored(root, place), &disk), &flat, "what the log holds");
            }
            for shape in changes.iter().map(|(shape, _)| *shape).chain([(0, 0, 99), (4, 77, 1)]) {
                let key = key(shape);
                let expected = flat.get(&key).copied();
                let (proof, value) = trie.prove(&key, &disk).unwrap();
                prop_assert_eq!(value, expected);
                prop_assert_eq!(trie.get(&key, &disk).unwrap(), expected);
                let encoded = expected.map(alloy::rlp::encode);
                verify_proof(root, Nibbles::unpack(key), encoded, &proof).unwrap();
            }
        }
    }

    #[test]
    fn many_changes_at_once_are_those_changes(
        batches in proptest::collection::vec(proptest::collection::btree_map(0u16..2_000, 1u64..9, 1..400), 1..5),
        reload in any::<bool>(),
    ) {
        let (mut disk, mut flat) = (Disk::default(), BTreeMap::new());
        let mut trie: Trie<U256> = Trie::Empty;
        for (height, batch) in (1u64..).zip(batches) {
            let mut changes: Vec<_> =
                batch.into_iter().map(|(number, value)| (keccak256(number.to_be_bytes()), U256::from(value))).collect();
            changes.sort_unstable();
            warm(&mut trie, changes.iter().map(|(key, _)| *key), &disk, height, &flat);
            trie.update_all(&changes, &disk, height, |more, before| {
                Ok(before.copied().unwrap_or_default() + more)
            }).unwrap();
            for (key, more) in &changes {
                *flat.entry(*key).or_default() += *more;
            }
            let root = trie.seal(changes.len());
            prop_assert_eq!(root, oracle(&flat));
            let place = trie.write(&mut disk).unwrap().unwrap();
            if reload {
                trie = Trie::stored(root, place);
            }
        }
    }

    #[test]
    fn pruning_forgets_what_is_old_and_written_and_nothing_else(
        keys in proptest::collection::hash_set(any::<u32>(), 2..64),
    ) {
        let (mut disk, mut trie) = (Disk::default(), Trie::Empty);
        for key in &keys {
            trie.insert(&keccak256(key.to_be_bytes()), U256::from(1), &Nowhere, 1).unwrap();
        }
        let root = trie.seal(keys.len());
        let nodes = trie.prune(Old { before: 2, end: ALL });
        prop_assert!(nodes > keys.len(), "nothing is written");
        let place = trie.write(&mut disk).unwrap().unwrap();
        prop_assert_eq!(nodes, disk.0.len());
        prop_assert_eq!(trie.prune(Old { before: 1, end: ALL }), nodes);
        prop_assert!(trie.prune(Old { before: 2, end: place.at() }) > 0, "readers do not have the root's record");
        prop_assert_eq!(trie.prune(Old { before: 2, end: place.at() + 1 }), 0);
        let forgotten = matches!(trie, Trie::Stored { hash, .. } if hash == root);
        prop_assert!(forgotten);
    }
}

#[test]
fn a_corrupt_record_is_noticed() {
    let (mut disk, mut trie) = (Disk::default(), Trie::Empty);
    for byte in 0..40u8 {
        trie.insert(&keccak256([byte]), U256::from(byte) + U256::from(1), &Nowhere, 1).unwrap();
    }
    let root = trie.seal(40);
    let place = trie.write(&mut disk).unwrap().unwrap();
    let stored = Trie::<U256>::stored(root, place);
    let victim = keccak256([7]);
    assert_eq!(stored.get(&victim, &disk).unwrap(), Some(U256::from(8)));
    // Every bit of every record that the way to the victim reads, but those that only say how old others are.
    let mut noticed = 0;
    for index in 0..disk.0.len() {
        for bit in 0..disk.0[index].len() * 8 {
            disk.0[index][bit / 8] ^= 1 << (bit % 8);
            match stored.get(&victim, &disk) {
                Ok(found) => assert_eq!(found, Some(U256::from(8))),
                Err(_) => noticed += 1,
            }
            disk.0[index][bit / 8] ^= 1 << (bit % 8);
        }
    }
    assert!(noticed > 1_000, "{noticed}");
    disk.0.truncate(usize::try_from(place.at()).unwrap());
    assert!(matches!(stored.get(&victim, &disk), Err(StoreError::Record { .. })));
}
