//! Random cases that Rust and Solidity make and answer alike (`contracts/test/differential`).
//!
//! Word k of case i is `keccak256(abi.encode(seed, i, k))`, the seed `keccak256("baton differential <name>")`. Answers are folded,
//! `sum = keccak256(sum ‖ answer)`; the vector holds the sum after every `STEP` cases, so that a difference is located.
//! `BATON_WRITE_VECTORS=1` writes instead of comparing.

use alloy::primitives::{B256, U256, keccak256};
use std::{env, fs, path::PathBuf};

/// Cases of each kind.
pub(crate) const CASES: u64 = 10_000;
const STEP: u64 = 500;

pub(crate) struct Cases {
    name: &'static str,
    seed: B256,
    sum: B256,
    answered: u64,
    sums: Vec<String>,
}

impl Cases {
    pub(crate) fn new(name: &'static str) -> Self {
        let seed = keccak256(format!("baton differential {name}"));
        Self { name, seed, sum: B256::ZERO, answered: 0, sums: Vec::new() }
    }

    pub(crate) fn word(&self, case: u64, number: u64) -> U256 {
        let words = [self.seed, U256::from(case).into(), U256::from(number).into()];
        keccak256(words.concat()).into()
    }

    pub(crate) fn fold(&mut self, answer: impl Into<B256>) {
        self.sum = keccak256([self.sum, answer.into()].concat());
        self.answered += 1;
        if self.answered.is_multiple_of(STEP) {
            self.sums.push(self.sum.to_string());
        }
    }

    /// Holds the sums to the committed ones.
    pub(crate) fn pin(self) {
        assert_eq!(self.answered, CASES);
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/differential"));
        let path = folder.join(self.name).with_extension("json");
        let value =
            serde_json::json!({ "cases": CASES, "seed": self.seed.to_string(), "step": STEP, "sums": self.sums });
        let text = serde_json::to_string_pretty(&value).unwrap() + "\n";
        if env::var_os("BATON_WRITE_VECTORS").is_some() {
            fs::write(&path, text).unwrap();
        } else {
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "{} has drifted", path.display());
        }
    }
}

/// The number of 64-bit limb `i`, from the lowest.
pub(crate) fn limb(word: U256, i: usize) -> u64 {
    word.as_limbs()[i]
}

/// The lowest `bits`, shifted down by limb 2 modulo `shifts`: small and large values alike.
pub(crate) fn varied(word: U256, bits: usize, shifts: u64) -> u128 {
    let low = word & ((U256::from(1) << bits) - U256::from(1));
    u128::try_from(low >> U256::from(limb(word, 2) % shifts)).unwrap()
}
