//! Columns of bytes: varints, runs and numbers.

use super::DecodeError;
use alloy::primitives::U256;

macro_rules! columns {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// The columns, in the order in which they are written.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Column { $($(#[$doc])* $name),+ }

        const COLUMNS: [Column; [$(Column::$name),+].len()] = [$(Column::$name),+];
    };
}

columns! {
    /// Number of blocks: varint.
    Blocks,
    /// Difference of time from the block before, ms: runs.
    Times,
    /// Difference of view from that of the block before plus 1: runs.
    Views,
    /// Difference of parent view from the view of the block before: runs.
    Parents,
    /// Difference of origin number from the block before: runs.
    Origins,
    /// Number of pool transactions: runs.
    Counts,
    /// Type, whether it creates a contract, parity of the signature: one byte.
    Kinds,
    /// Nonces: varint.
    Nonces,
    /// Gas limits: varint.
    GasLimits,
    /// Gas price or maximal fee per gas: varint.
    Fees,
    /// Maximal priority fee per gas: varint.
    Tips,
    /// Receivers: index in the dictionary plus 1, or 0 for a new one.
    Receivers,
    /// New addresses of the dictionary: 20 bytes.
    Addresses,
    /// Values: decimal exponent, one byte.
    ValueExponents,
    /// Values: bytes of the mantissa, one byte.
    ValueLengths,
    /// Values: mantissa, big-endian.
    ValueBytes,
    /// Length of the call data: varint.
    InputLengths,
    /// First four bytes of call data made of a selector and words.
    Selectors,
    /// Words of such call data: decimal exponent, or [`ADDRESS`].
    WordExponents,
    /// Words: bytes of the mantissa.
    WordLengths,
    /// Words: mantissa, big-endian.
    WordBytes,
    /// Words that are addresses: index in the dictionary plus 1, or 0 for a new one.
    WordAddresses,
    /// All other call data.
    Inputs,
    /// Access lists and authorizations: RLP.
    Lists,
}

/// Marks a word that is an address.
pub(super) const ADDRESS: u8 = 255;

/// Columns being written.
#[derive(Debug, Default)]
pub(super) struct Columns([Vec<u8>; COLUMNS.len()]);

impl Columns {
    pub(super) fn of(&mut self, column: Column) -> &mut Vec<u8> {
        &mut self.0[column as usize]
    }

    pub(super) fn byte(&mut self, column: Column, byte: u8) {
        self.of(column).push(byte);
    }

    pub(super) fn varint(&mut self, column: Column, value: u64) {
        self.wide_varint(column, value.into());
    }

    pub(super) fn wide_varint(&mut self, column: Column, value: u128) {
        put_varint(self.of(column), value);
    }

    /// (value, length) for each maximal run of equal values.
    pub(super) fn runs(&mut self, column: Column, values: impl Iterator<Item = u64>) {
        let mut run: Option<(u64, u64)> = None;
        for value in values {
            run = match run {
                Some((same, length)) if same == value => Some((same, length + 1)),
                ended => {
                    self.run(column, ended);
                    Some((value, 1))
                }
            };
        }
        self.run(column, run);
    }

    fn run(&mut self, column: Column, run: Option<(u64, u64)>) {
        if let Some((value, length)) = run {
            self.varint(column, value);
            self.varint(column, length);
        }
    }

    /// m × 10^e with the greatest e: amounts are mostly round in decimal.
    pub(super) fn number(&mut self, [exponents, lengths, bytes]: [Column; 3], value: U256) {
        let (mut mantissa, mut exponent) = (value, 0u8);
        let ten = U256::from(10);
        while !mantissa.is_zero() {
            let (quotient, rest) = mantissa.div_rem(ten);
            if !rest.is_zero() {
                break;
            }
            mantissa = quotient;
            exponent += 1;
        }
        let digits = mantissa.to_be_bytes_trimmed_vec();
        self.byte(exponents, exponent);
        self.byte(lengths, u8::try_from(digits.len()).unwrap_or(u8::MAX));
        self.of(bytes).extend_from_slice(&digits);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.iter().map(|c| c.len() + 3).sum());
        for column in self.0 {
            put_varint(&mut bytes, column.len() as u128);
            bytes.extend_from_slice(&column);
        }
        bytes
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u128) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// The way from `from` to `to`, wrapping, with small distances in both directions small.
pub(super) const fn zigzag(from: u64, to: u64) -> u64 {
    let distance = to.wrapping_sub(from);
    distance << 1 ^ (0u64.wrapping_sub(distance >> 63))
}

/// Inverse of [`zigzag`] in `to`.
pub(super) const fn unzigzag(from: u64, difference: u64) -> u64 {
    from.wrapping_add(difference >> 1 ^ 0u64.wrapping_sub(difference & 1))
}

/// Columns being read.
pub(super) struct Reader<'a>([&'a [u8]; COLUMNS.len()]);

impl<'a> Reader<'a> {
    pub(super) fn new(mut raw: &'a [u8]) -> Result<Self, DecodeError> {
        let mut columns = [&[][..]; COLUMNS.len()];
        for (slot, column) in columns.iter_mut().zip(COLUMNS) {
            let length = get_varint(&mut raw, column, 64)?;
            let length = usize::try_from(length).map_err(|_| DecodeError::Short(column))?;
            (*slot, raw) = raw.split_at_checked(length).ok_or(DecodeError::Short(column))?;
        }
        if raw.is_empty() { Ok(Self(columns)) } else { Err(DecodeError::NotCanonical) }
    }

    pub(super) fn take(&mut self, column: Column, length: usize) -> Result<&'a [u8], DecodeError> {
        let slot = &mut self.0[column as usize];
        let (taken, rest) = slot.split_at_checked(length).ok_or(DecodeError::Short(column))?;
        *slot = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self, column: Column) -> Result<[u8; N], DecodeError> {
        self.take(column, N)?.try_into().map_err(|_| DecodeError::Short(column))
    }

    pub(super) fn byte(&mut self, column: Column) -> Result<u8, DecodeError> {
        self.array::<1>(column).map(|[b]| b)
    }

    pub(super) fn varint(&mut self, column: Column) -> Result<u64, DecodeError> {
        let value = get_varint(&mut self.0[column as usize], column, 64)?;
        u64::try_from(value).map_err(|_| DecodeError::Value(column))
    }

    pub(super) fn wide_varint(&mut self, column: Column) -> Result<u128, DecodeError> {
        get_varint(&mut self.0[column as usize], column, 128)
    }

    /// Exactly `count` values; the caller has bounded `count`.
    pub(super) fn runs(&mut self, column: Column, count: u64) -> Result<Vec<u64>, DecodeError> {
        let mut values = Vec::new();
        let mut left = count;
        while left > 0 {
            let value = self.varint(column)?;
            let length = self.varint(column)?;
            left = left.checked_sub(length).filter(|_| length > 0).ok_or(DecodeError::Value(column))?;
            let length = usize::try_from(length).map_err(|_| DecodeError::Value(column))?;
            values.resize(values.len() + length, value);
        }
        Ok(values)
    }

    pub(super) fn number(&mut self, [exponents, lengths, bytes]: [Column; 3]) -> Result<U256, DecodeError> {
        let exponent = self.byte(exponents)?;
        self.scaled(exponent, exponents, lengths, bytes)
    }

    /// A number whose exponent is already read.
    pub(super) fn scaled(
        &mut self,
        exponent: u8,
        exponents: Column,
        lengths: Column,
        bytes: Column,
    ) -> Result<U256, DecodeError> {
        let length = self.byte(lengths)?;
        let digits = self.take(bytes, length.into())?;
        let mantissa = U256::try_from_be_slice(digits).ok_or(DecodeError::Value(lengths))?;
        let scale = U256::from(10).checked_pow(U256::from(exponent)).ok_or(DecodeError::Value(exponents))?;
        mantissa.checked_mul(scale).ok_or(DecodeError::Value(exponents))
    }

    /// Reads with `decode` from what is left of a column.
    pub(super) fn rlp<T: alloy::rlp::Decodable>(&mut self, column: Column) -> Result<T, DecodeError> {
        T::decode(&mut self.0[column as usize]).map_err(|_| DecodeError::Value(column))
    }

    /// Every column must be used up.
    pub(super) fn finish(self) -> Result<(), DecodeError> {
        if self.0.iter().all(|c| c.is_empty()) { Ok(()) } else { Err(DecodeError::NotCanonical) }
    }
}

fn get_varint(from: &mut &[u8], column: Column, bits: u32) -> Result<u128, DecodeError> {
    let mut value = 0u128;
    for shift in (0..bits).step_by(7) {
        let (&byte, rest) = from.split_first().ok_or(DecodeError::Short(column))?;
        *from = rest;
        let digit = u128::from(byte & 0x7f);
        if digit << shift >> shift != digit {
            return Err(DecodeError::Value(column));
        }
        value |= digit << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(DecodeError::Value(column))
}
