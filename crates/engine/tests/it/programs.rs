//! Random programs: straight-line bytecode that touches everything an execution can change, fails in every way, and creates
//! and calls others like it.

use crate::world::signer;
use alloy::{
    primitives::{Address, U256, hex, keccak256},
    signers::SignerSync,
};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

/// Bytecode in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct Code(pub(crate) Vec<u8>);

impl Code {
    fn op(&mut self, op: u8) -> &mut Self {
        self.0.push(op);
        self
    }

    fn push(&mut self, value: U256) -> &mut Self {
        let bytes = value.to_be_bytes_trimmed_vec();
        // PUSH0 for zero.
        self.0.push(0x5f + u8::try_from(bytes.len()).unwrap());
        self.0.extend(bytes);
        self
    }

    fn number(&mut self, value: usize) -> &mut Self {
        self.push(U256::from(value))
    }

    fn address(&mut self, address: Address) -> &mut Self {
        self.push(U256::from_be_slice(address.as_slice()))
    }

    /// Writes the bytes to memory from 0 on.
    fn memory(&mut self, bytes: &[u8]) -> &mut Self {
        for (index, chunk) in bytes.chunks(32).enumerate() {
            let mut word = [0; 32];
            word[..chunk.len()].copy_from_slice(chunk);
            self.push(U256::from_be_bytes(word)).number(index * 32).op(MSTORE);
        }
        self
    }

    /// Ends an init code that creates a contract with this code.
    pub(crate) fn deploy(&mut self, runtime: &[u8]) -> &mut Self {
        self.memory(runtime).number(runtime.len()).number(0).op(RETURN)
    }
}

const SSTORE: u8 = 0x55;
const TSTORE: u8 = 0x5d;
const MSTORE: u8 = 0x52;
const RETURN: u8 = 0xf3;
const REVERT: u8 = 0xfd;

/// Operations that take as many words as told and leave one.
const PURE: [(u8, usize); 27] = [
    (0x01, 2),
    (0x02, 2),
    (0x03, 2),
    (0x04, 2),
    (0x05, 2),
    (0x06, 2),
    (0x07, 2),
    (0x08, 3),
    (0x09, 3),
    (0x0a, 2),
    (0x0b, 2),
    (0x10, 2),
    (0x11, 2),
    (0x12, 2),
    (0x13, 2),
    (0x14, 2),
    (0x15, 1),
    (0x16, 2),
    (0x17, 2),
    (0x18, 2),
    (0x19, 1),
    (0x1a, 2),
    (0x1b, 2),
    (0x1c, 2),
    (0x1d, 2),
    (0x1e, 1),
    (0x20, 2),
];
/// Operations that take nothing and leave what they see.
const SEEN: [u8; 20] = [
    0x30, 0x32, 0x33, 0x34, 0x36, 0x38, 0x3a, 0x3d, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x4a, 0x58, 0x59,
    0x5a,
];

fn word(rng: &mut StdRng) -> U256 {
    match rng.random_range(0..6) {
        0 => U256::ZERO,
        1 => U256::MAX,
        2 => U256::from(1) << rng.random_range(0..256usize),
        3 => U256::from_be_bytes(rng.random::<[u8; 32]>()),
        _ => U256::from(rng.random_range(0..300)),
    }
}

fn slot(rng: &mut StdRng) -> usize {
    rng.random_range(0..6)
}

fn range(rng: &mut StdRng) -> (usize, usize) {
    let most = if rng.random_bool(0.05) { 3_000 } else { 100 };
    (rng.random_range(0..most), rng.random_range(0..most))
}

/// Some address: a contract or account of the chain, a precompile, or nobody's.
pub(crate) fn somebody(rng: &mut StdRng, known: &[Address]) -> Address {
    match rng.random_range(0..12) {
        0 => Address::with_last_byte(rng.random_range(0..0x13)),
        1 => Address::left_padding_from(&[1, 0]),
        2 => Address::random_with(rng),
        _ => known.choose(rng).copied().unwrap_or_default(),
    }
}

/// A program of up to `steps` steps. `depth` bounds how often a program has another one inside.
pub(crate) fn program(rng: &mut StdRng, known: &[Address], steps: usize, depth: usize) -> Code {
    let mut code = Code::default();
    for _ in 0..rng.random_range(0..=steps) {
        step(&mut code, rng, known, depth);
    }
    code
}

/// Ends a program: most end well.
pub(crate) fn end(code: &mut Code, rng: &mut StdRng, known: &[Address]) {
    match rng.random_range(0..16) {
        0 => code.number(32).number(0).op(REVERT),
        1 => code.op(0xfe),
        2 => code.op(0x50),
        3 => code.op([0x0c, 0x21, 0xe0, 0xf6][rng.random_range(0..4usize)]),
        4 => code.number(3).op(0x56),
        5 | 6 => code.address(somebody(rng, known)).op(0xff),
        7 => code.op(0x30).op(0xff),
        8 => code.number(rng.random_range(0..200)).number(0).op(RETURN),
        _ => code.op(0x00),
    };
}

fn step(code: &mut Code, rng: &mut StdRng, known: &[Address], depth: usize) {
    match rng.random_range(0..24) {
        0..=2 => {
            let (op, words) = PURE[rng.random_range(0..PURE.len())];
            if op == 0x20 {
                let (at, length) = range(rng);
                code.number(length).number(at);
            } else {
                for _ in 0..words {
                    code.push(word(rng));
                }
            }
            code.op(op);
            keep(code, rng);
        }
        3..=5 => {
            code.op(SEEN[rng.random_range(0..SEEN.len())]);
            keep(code, rng);
        }
        6 => {
            // BALANCE, EXTCODESIZE, EXTCODEHASH.
            code.address(somebody(rng, known)).op([0x31, 0x3b, 0x3f][rng.random_range(0..3usize)]);
            keep(code, rng);
        }
        7 => {
            // BLOCKHASH, BLOBHASH, CALLDATALOAD.
            let past = rng.random_range(0..300);
            match rng.random_range(0..3) {
                0 => code.number(past).op(0x43).op(0x03).op(0x40),
                1 => code.number(past).op(0x49),
                _ => code.number(past).op(0x35),
            };
            keep(code, rng);
        }
        8..=11 => {
            code.number(rng.random_range(0..3)).number(slot(rng)).op(SSTORE);
        }
        12 => {
            // SLOAD, TLOAD, MLOAD.
            let op = [0x54, 0x5c, 0x51][rng.random_range(0..3usize)];
            code.number(slot(rng)).op(op);
            keep(code, rng);
        }
        13 => copy(code, rng, known),
        14 => {
            let topics = rng.random_range(0..5u8);
            for _ in 0..topics {
                code.push(word(rng));
            }
            let (at, length) = range(rng);
            code.number(length).number(at).op(0xa0 + topics);
        }
        15..=18 => call(code, rng, known),
        19 | 20 => precompile(code, rng),
        21 | 22 if depth > 0 => create(code, rng, known, depth),
        23 if rng.random_bool(0.3) => {
            // Without input: the end.
            let on = u16::try_from(code.0.len() + 8).unwrap().to_be_bytes();
            code.op(0x36).op(0x61).op(on[0]).op(on[1]).op(0x57).op(0x5f).op(0x5f).op(REVERT).op(0x5b);
        }
        _ => {
            code.number(rng.random_range(0..3)).number(slot(rng)).op(TSTORE);
        }
    }
}

/// Keeps the word on top: in storage, in memory, in transient storage.
fn keep(code: &mut Code, rng: &mut StdRng) {
    match rng.random_range(0..3) {
        0 => code.number(slot(rng) + 6).op(SSTORE),
        1 => code.number(slot(rng) * 16).op(MSTORE),
        _ => code.number(slot(rng)).op(TSTORE),
    };
}

fn copy(code: &mut Code, rng: &mut StdRng, known: &[Address]) {
    let ((to, length), (from, _)) = (range(rng), range(rng));
    code.number(length).number(from).number(to);
    match rng.random_range(0..5) {
        0 => code.op(0x37),
        1 => code.op(0x39),
        2 => code.op(0x5e),
        3 => code.address(somebody(rng, known)).op(0x3c),
        _ => code.op(0x3e),
    };
}

fn call(code: &mut Code, rng: &mut StdRng, known: &[Address]) {
    let op = [0xf1, 0xf1, 0xf1, 0xf2, 0xf4, 0xfa][rng.random_range(0..6usize)];
    let ((at, length), (out, space)) = (range(rng), range(rng));
    code.number(space).number(out).number(length).number(at);
    if op == 0xf1 || op == 0xf2 {
        let value = [0, 0, 0, 1, 1_000_000_007];
        code.number(value[rng.random_range(0..5usize)]);
    }
    match rng.random_range(0..8) {
        0 => code.op(0x30),
        _ => code.address(somebody(rng, known)),
    };
    gas(code, rng);
    code.op(op);
    keep(code, rng);
}

fn gas(code: &mut Code, rng: &mut StdRng) {
    match rng.random_range(0..4) {
        0 => code.number(rng.random_range(0..5_000)),
        1 => code.number(rng.random_range(0..100_000)),
        _ => code.op(0x5a),
    };
}

fn create(code: &mut Code, rng: &mut StdRng, known: &[Address], depth: usize) {
    let init = init(rng, known, 4, depth - 1);
    code.memory(&init.0);
    let length = init.0.len();
    let two = rng.random_bool(0.6);
    if two {
        code.number(rng.random_range(0..2));
    }
    code.number(length).number(0).number(rng.random_range(0..2)).op(if two { 0xf5 } else { 0xf0 });
    // What it made is called now and then, in the same transaction.
    if rng.random_bool(0.4) {
        code.op(0x5f).op(0x5f).op(0x5f).op(0x5f).op(0x5f).op(0x85).op(0x5a).op(0xf1);
        keep(code, rng);
    }
    keep(code, rng);
}

/// Init code: a program, and then mostly a contract; now and then nothing, too much, or code that may not be.
pub(crate) fn init(rng: &mut StdRng, known: &[Address], steps: usize, depth: usize) -> Code {
    let mut code = program(rng, known, steps, depth);
    match rng.random_range(0..16) {
        0 => end(&mut code, rng, known),
        1 => {
            code.deploy(&[0xef, 0, 1]);
        }
        2 => {
            // The largest code that may be, or one byte more.
            code.number(24_576 + rng.random_range(0..2)).number(0).op(RETURN);
        }
        _ => {
            let mut runtime = program(rng, known, steps * 2, depth);
            end(&mut runtime, rng, known);
            code.deploy(&runtime.0);
        }
    }
    code
}

const P256: [u8; 160] = hex!(
    "4cee90eb86eaa050036147a12d49004b6b9c72bd725d39d4785011fe190f0b4da73bd4903f0ce3b639bbbf6e8e80d16931ff4bcf5993d584"
    "68e8fb19086e8cac36dbcd03009df8c59286b162af3bd7fcc0450c9aa81be5d10d312af6c66b1d604aebd3099c618202fcfe16ae7770b0c4"
    "9ab5eadf74b754204a3bb6060e44eff37618b065f9832de4ca6ca971a7a1adc826d0f7c00181a5fb2ddf79ae00b4e10e"
);
const BN_G2: [u8; 128] = hex!(
    "198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c21800deef121f1e76426a00665e5c4479674322d4f75edadd"
    "46debd5cd992f6ed090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b12c85ea5db8c6deb4aab71808dcb408f"
    "e3d1e7690c43d37b4ce6cc0166fa7daa"
);
/// Minus two, modulo the field of alt_bn128: the second coordinate of minus the generator.
const BN_MINUS_TWO: [u8; 32] = hex!("30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd45");
const BLS_G1: [u8; 128] = hex!(
    "0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aef"
    "fb3af00adb22c6bb0000000000000000000000000000000008b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3ed"
    "d03cc744a2888ae40caa232946c5e7e1"
);
const BLS_G2: [u8; 256] = hex!(
    "00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbef"
    "d48056c8c121bdb80000000000000000000000000000000013e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049"
    "334cf11213945d57e5ac7d055d042b7e000000000000000000000000000000000ce5d527727d6e118cc9cdc6da2e351aadfd9baa8cbdd3a7"
    "6d429a695160d12c923ac9cc3baca289e193548608b82801000000000000000000000000000000000606c4a02ea734cc32acd2b02bc28b99"
    "cb3e287e85a763af267492ab572e99ab3f370d275cec1da1aaa9075ff05f79be"
);

/// An input for the precompile with this number: mostly a good one.
fn precompile_input(rng: &mut StdRng, number: u16) -> Vec<u8> {
    let noise = |rng: &mut StdRng, length: usize| (0..length).map(|_| rng.random()).collect::<Vec<u8>>();
    let scalar = |rng: &mut StdRng| word(rng).to_be_bytes::<32>();
    let bn_g1 = || [U256::from(1).to_be_bytes::<32>(), U256::from(2).to_be_bytes()].concat();
    // A point or, now and then, the one at infinity.
    let or_zero =
        |rng: &mut StdRng, point: &[u8]| if rng.random_bool(0.2) { vec![0; point.len()] } else { point.to_vec() };
    let mut input = match number {
        1 => {
            let hash = keccak256(noise(rng, 4));
            let signature = signer(rng.random_range(0..5)).sign_hash_sync(&hash).unwrap();
            let v = U256::from(27 + u8::from(signature.v()));
            [hash.0, v.to_be_bytes(), signature.r().to_be_bytes(), signature.s().to_be_bytes()].concat()
        }
        5 => {
            let lengths = [(); 3].map(|()| rng.random_range(0..40usize));
            let mut input: Vec<u8> = lengths.iter().flat_map(|n| U256::from(*n).to_be_bytes::<32>()).collect();
            input.extend(noise(rng, lengths.iter().sum()));
            if rng.random_bool(0.1) {
                input[30] = 4;
            }
            input
        }
        6 => [or_zero(rng, &bn_g1()), or_zero(rng, &bn_g1())].concat(),
        7 => [or_zero(rng, &bn_g1()), scalar(rng).to_vec()].concat(),
        8 => {
            let minus = [&U256::from(1).to_be_bytes::<32>()[..], &BN_MINUS_TWO, &BN_G2].concat();
            let plus = [&bn_g1()[..], &or_zero(rng, &BN_G2)].concat();
            [&[][..], &plus, &[plus.clone(), minus].concat()][rng.random_range(0..3usize)].to_vec()
        }
        9 => {
            let mut input = noise(rng, 213);
            input[..4].copy_from_slice(&rng.random_range(0..20u32).to_be_bytes());
            input[212] = rng.random_range(0..3) / 2 + rng.random_range(0..2);
            input
        }
        // Point evaluation refuses these before it looks at a proof.
        0x0a => {
            let length = [0, 191, 192, 193][rng.random_range(0..4usize)];
            noise(rng, length)
        }
        0x0b => [or_zero(rng, &BLS_G1), or_zero(rng, &BLS_G1)].concat(),
        0x0c => {
            let pairs = rng.random_range(0..4);
            (0..pairs).flat_map(|_| [or_zero(rng, &BLS_G1), scalar(rng).to_vec()].concat()).collect()
        }
        0x0d => [or_zero(rng, &BLS_G2), or_zero(rng, &BLS_G2)].concat(),
        0x0e => {
            let pairs = rng.random_range(0..3);
            (0..pairs).flat_map(|_| [or_zero(rng, &BLS_G2), scalar(rng).to_vec()].concat()).collect()
        }
        0x0f => {
            let pairs = rng.random_range(0..3);
            (0..pairs).flat_map(|_| [or_zero(rng, &BLS_G1), or_zero(rng, &BLS_G2)].concat()).collect()
        }
        0x10 | 0x11 => {
            let mut input = noise(rng, if number == 0x10 { 64 } else { 128 });
            for field in input.chunks_mut(64) {
                field[..17].fill(0);
            }
            input
        }
        0x100 => P256.to_vec(),
        _ => {
            let length = rng.random_range(0..100);
            noise(rng, length)
        }
    };
    if rng.random_bool(0.15) && !input.is_empty() && number != 0x0a {
        match rng.random_range(0..3) {
            0 => {
                let at = rng.random_range(0..input.len());
                input[at] ^= 1 << rng.random_range(0..8);
            }
            1 => input.truncate(rng.random_range(0..input.len())),
            _ => input.push(0),
        }
    }
    input
}

fn precompile(code: &mut Code, rng: &mut StdRng) {
    let number = if rng.random_bool(0.1) { 0x100 } else { rng.random_range(1..0x12) };
    let input = precompile_input(rng, number);
    code.memory(&input);
    code.number(32).number(0).number(input.len()).number(0).number(usize::from(number));
    gas(code, rng);
    code.op(0xfa);
    keep(code, rng);
    // What it answered, or why it did not.
    code.number(0).op(0x51);
    keep(code, rng);
    code.op(0x3d);
    keep(code, rng);
}

/// Bytes that may be an address and some words: what programs get as input.
pub(crate) fn input(rng: &mut StdRng) -> Vec<u8> {
    let length = [0, 4, 32, 68, 260][rng.random_range(0..5usize)];
    let dense = rng.random_bool(0.5);
    (0..length).map(|_| if dense || rng.random_bool(0.2) { rng.random() } else { 0 }).collect()
}
