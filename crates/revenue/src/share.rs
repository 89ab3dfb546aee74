//! The split of an epoch's fees, exactly as `RevenueShare` computes it.
//!
//! ```text
//! carry + fees -> posters' debts (first in, first out) -> treasury -> producers by blocks led
//!                                                                  -> attesters by stake × participation
//! a member's two parts -> commission (owner) + index of wei per share (self-stake and delegations alike)
//! what rounding or absence leaves over -> carry of the next epoch
//! ```

use alloy::primitives::U256;

/// Basis points in the whole.
const WHOLE: u64 = 10_000;
/// The index counts wei per share times 2 to this.
const INDEX_BITS: usize = 96;
/// The contract stores an index in this many bits (`RevenueShare.Income.index`).
const INDEX_LIMIT_BITS: usize = 104;
/// And the commission that waits for its owner in this many.
const COMMISSION_LIMIT_BITS: usize = 96;

/// How fees are divided, basis points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// The treasury's, of what is left after debts.
    pub treasury_bps: u16,
    /// The producers', of what is left after the treasury; the rest is the attesters'.
    pub producers_bps: u16,
}

/// A member of the epoch's snapshot, and what it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Earner {
    /// Stake in the snapshot, base units.
    pub stake: u128,
    /// Shares in the snapshot that divide its income.
    pub shares: u128,
    /// Its owner's commission, basis points.
    pub commission_bps: u16,
    /// Final blocks it led.
    pub blocks_led: u32,
    /// Batches of the epoch whose certificate it signed.
    pub signed: u64,
    /// Its index before the epoch: the sum of its [`Credit::index_step`]s so far.
    pub index: U256,
    /// Commission credited to its owner before and not claimed yet, wei.
    pub owed: u128,
}

/// What a member gets for an epoch, wei.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credit {
    /// For blocks led, commission included.
    pub producer: u128,
    /// For certificates signed, commission included.
    pub attester: u128,
    /// Of both, the owner's commission.
    pub commission: u128,
    /// What the index of wei per share times 2^96 rises by.
    pub index_step: U256,
}

/// An epoch's result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Debts covered.
    pub debts_paid: u128,
    /// The treasury's part.
    pub treasury: u128,
    /// The producers' part.
    pub producers: u128,
    /// The attesters' part.
    pub attesters: u128,
    /// Carried into the next epoch.
    pub carry: u128,
    /// One per member, in snapshot order.
    pub credits: Vec<Credit>,
}

/// The books of `RevenueShare`, over all time, wei. At any time
/// `received = debts_paid + treasury + income + carry`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Fees received.
    pub received: u128,
    /// Posters' debts incurred.
    pub debts: u128,
    /// Of these, covered by fees.
    pub debts_paid: u128,
    /// Credited to the treasury.
    pub treasury: u128,
    /// Credited to sequencers: commissions and shares.
    pub income: u128,
    /// Not yet anyone's.
    pub carry: u128,
}

/// Why an epoch cannot be closed; the contract reverts in the same cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevenueError {
    /// An amount beyond what the contract stores.
    #[error("{0} exceeds what the contract can store")]
    Overflow(&'static str),
    /// Nobody has stake.
    #[error("the snapshot has no stake to divide by")]
    NoStake,
    /// A member without shares: nobody to credit.
    #[error("member {0} has no shares to divide by")]
    NoShares(usize),
}

impl Books {
    /// Notes fees received.
    ///
    /// # Errors
    /// If the sums overflow.
    pub fn receive(&mut self, fees: u128) -> Result<(), RevenueError> {
        let received = self.received.checked_add(fees).ok_or(RevenueError::Overflow("received"))?;
        let carry = self.carry.checked_add(fees).ok_or(RevenueError::Overflow("carry"))?;
        (self.received, self.carry) = (received, carry);
        Ok(())
    }

    /// Notes a debt to a poster.
    ///
    /// # Errors
    /// If the sum overflows.
    pub fn add_debt(&mut self, amount: u128) -> Result<Debt, RevenueError> {
        let start = self.debts;
        self.debts = start.checked_add(amount).ok_or(RevenueError::Overflow("debts"))?;
        Ok(Debt { start, end: self.debts, claimed: 0 })
    }

    /// Splits what is not yet anyone's among debts, treasury and the members of the epoch, which has `batches` batches.
    ///
    /// # Errors
    /// Where the contract reverts; the books are then unchanged.
    pub fn close(&mut self, shares: &Shares, batches: u64, members: &[Earner]) -> Result<Closed, RevenueError> {
        let debts_paid = (self.debts - self.debts_paid).min(self.carry);
        let available = self.carry - debts_paid;
        let treasury = part(available, shares.treasury_bps);
        let available = available - treasury;
        let producing = part(available, shares.producers_bps);
        let epoch = Epoch {
            producing,
            attesting: available - producing,
            blocks: members.iter().map(|m| u64::from(m.blocks_led)).sum(),
            batches,
            stake: members.iter().map(|m| U256::from(m.stake)).sum(),
        };
        if epoch.stake.is_zero() {
            return Err(RevenueError::NoStake);
        }
        let credits = members.iter().enumerate().map(|(i, m)| epoch.credit(i, m));
        let credits = credits.collect::<Result<Vec<_>, _>>()?;
        let producers: u128 = credits.iter().map(|c| c.producer).sum();
        let attesters: u128 = credits.iter().map(|c| c.attester).sum();
        let carry = available - producers - attesters;
        self.debts_paid += debts_paid;
        self.treasury += treasury;
        self.income += producers + attesters;
        self.carry = carry;
        Ok(Closed { debts_paid, treasury, producers, attesters, carry, credits })
    }

    /// Whether every wei received is somewhere.
    pub fn is_conserved(&self) -> bool {
        let parts = [self.debts_paid, self.treasury, self.income, self.carry];
        parts.into_iter().try_fold(0u128, u128::checked_add) == Some(self.received)
    }
}

/// What there is to share in an epoch.
struct Epoch {
    producing: u128,
    attesting: u128,
    blocks: u64,
    batches: u64,
    stake: U256,
}

impl Epoch {
    fn credit(&self, position: usize, member: &Earner) -> Result<Credit, RevenueError> {
        if member.shares == 0 {
            return Err(RevenueError::NoShares(position));
        }
        let mut producer = match self.blocks {
            0 => U256::ZERO,
            blocks => U256::from(self.producing) * U256::from(member.blocks_led) / U256::from(blocks),
        };
        let mut attester = U256::from(self.attesting) * U256::from(member.stake) / self.stake;
        let (signed, batches) = (U256::from(member.signed) * U256::from(3), U256::from(self.batches) * U256::from(2));
        // Full from two thirds of the batches on; what is missing is carried over, not given to those present.
        if signed < batches {
            attester = attester * signed / batches;
        }
        let gross = producer + attester;
        let commission = gross * U256::from(member.commission_bps) / U256::from(WHOLE);
        let shares = U256::from(member.shares);
        let index_step = ((gross - commission) << INDEX_BITS) / shares;
        // What shares can ever claim of it, rounded up, because claims add up index steps before they round down. The rest is
        // dust and goes back to the pot; it is taken from the attester's part first.
        let one: U256 = U256::from(1) << INDEX_BITS;
        let dust = gross - commission - ((index_step * shares + one - U256::from(1)) >> INDEX_BITS);
        if attester >= dust {
            attester -= dust;
        } else {
            (producer, attester) = (producer + attester - dust, U256::ZERO);
        }
        let fits = |sum: Option<U256>, bits| sum.is_some_and(|sum| sum.bit_len() <= bits);
        if !fits(member.index.checked_add(index_step), INDEX_LIMIT_BITS) {
            return Err(RevenueError::Overflow("index"));
        }
        if !fits(U256::from(member.owed).checked_add(commission), COMMISSION_LIMIT_BITS) {
            return Err(RevenueError::Overflow("commission"));
        }
        let wei = |amount: U256| u128::try_from(amount).map_err(|_| RevenueError::Overflow("credit"));
        let credit =
            Credit { producer: wei(producer)?, attester: wei(attester)?, commission: wei(commission)?, index_step };
        Ok(credit)
    }
}

fn part(amount: u128, bps: u16) -> u128 {
    let part = U256::from(amount) * U256::from(bps) / U256::from(WHOLE);
    // At most the whole, as long as `bps` is; the contract bounds it.
    u128::try_from(part).unwrap_or(amount).min(amount)
}

/// Income of a position with `shares` while its sequencer's index rose from `from` to `to`, wei. Claims round down; what
/// that leaves, less than one wei a claim, stays with the contract.
pub fn income(shares: u128, from: U256, to: U256) -> u128 {
    let wei = U256::from(shares).saturating_mul(to.saturating_sub(from)) >> INDEX_BITS;
    u128::try_from(wei).unwrap_or(u128::MAX)
}

/// A debt: debts lie end to end on a line of wei, and fees cover a prefix of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Debt {
    /// All debts before it.
    pub start: u128,
    /// All debts up to it.
    pub end: u128,
    /// Wei of it that were paid out.
    pub claimed: u128,
}

impl Debt {
    /// Wei of it that can be paid out now.
    pub fn covered(&self, books: &Books) -> u128 {
        books.debts_paid.min(self.end).saturating_sub(self.start.saturating_add(self.claimed))
    }
}

#[cfg(test)]
mod tests;
