//! Configuration, checked once before anything starts.

use crate::ConfigError;
use alloy::primitives::Address;
use baton_primitives::{Generation, IdentitySecret, Parameters, RecoveredBlock, bls};
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

/// Most members of a set (the contracts' bound).
pub(crate) const MAX_MEMBERS: usize = 64;
/// Part of the peer handshake's namespace: peers of another protocol version are refused.
pub(crate) const PROTOCOL_VERSION: u16 = 1;

/// The engine's timers, all counted from the entry into a view. Each must exceed what must have ended before it:
/// stall > certification, skip > certification > leader, skip > retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Least time between blocks.
    pub block: Duration,
    /// Time after which a leader without work proposes an empty block.
    pub idle: Duration,
    /// A leader that has proposed nothing by then is given up.
    pub leader: Duration,
    /// A view not certified by then is given up.
    pub certification: Duration,
    /// Repetition of a vote to give up.
    pub retry: Duration,
    /// A leader silent for this long is passed over without waiting.
    pub skip: Duration,
    /// A term without a final block for this long is given up.
    pub stall: Duration,
    /// A request to a peer is repeated elsewhere after this.
    pub fetch: Duration,
}

impl Timing {
    /// The timers that follow from the chain parameters.
    pub const fn of(parameters: &Parameters) -> Self {
        let leader = parameters.leader_timeout_ms;
        Self {
            block: Duration::from_millis(parameters.block_time_ms),
            idle: Duration::from_millis(parameters.idle_block_time_ms),
            leader: Duration::from_millis(leader),
            certification: Duration::from_millis(leader * 3 / 2),
            retry: Duration::from_millis(leader),
            skip: Duration::from_millis(leader * 8 / 5),
            stall: Duration::from_millis(leader * 3),
            fetch: Duration::from_millis(leader * 2),
        }
    }

    /// Checks the order that the engine requires.
    ///
    /// # Errors
    /// The first pair out of order.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let order = [
            ("certification timeout", self.certification, "leader timeout", self.leader),
            ("skip timeout", self.skip, "certification timeout", self.certification),
            ("skip timeout", self.skip, "retry interval", self.retry),
            ("stall timeout", self.stall, "certification timeout", self.certification),
            ("leader timeout", self.leader, "zero", Duration::ZERO),
            ("retry interval", self.retry, "zero", Duration::ZERO),
            ("fetch timeout", self.fetch, "zero", Duration::ZERO),
        ];
        for (longer, longer_value, shorter, shorter_value) in order {
            if longer_value <= shorter_value {
                return Err(ConfigError::Order { longer, longer_value, shorter, shorter_value });
            }
        }
        if self.idle * 2 > self.leader {
            return Err(ConfigError::Idle { idle: self.idle, leader: self.leader });
        }
        if self.block > self.idle {
            return Err(ConfigError::Order {
                longer: "idle block time",
                longer_value: self.idle,
                shorter: "block time",
                shorter_value: self.block,
            });
        }
        Ok(())
    }
}

/// Which chain this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain {
    /// EIP-155 chain id of L1.
    pub l1_chain_id: u64,
    /// The `BatchInbox`.
    pub inbox: Address,
    /// Generation, bound in every vote.
    pub generation: Generation,
}

/// Everything that consensus needs to know before it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// The chain.
    pub domain: Domain,
    /// The chain parameters.
    pub parameters: Parameters,
    /// The timers; [`Timing::of`] the parameters unless overridden.
    pub timing: Timing,
    /// The genesis block.
    pub genesis: Arc<RecoveredBlock>,
    /// This node's network identity.
    pub identity: IdentitySecret,
    /// This node's vote key.
    pub vote_key: bls::SecretKey,
    /// Directory for journals and blocks. Only one process may use it.
    pub directory: PathBuf,
    /// Address on which peers are awaited.
    pub listen: SocketAddr,
    /// Whether peers may have private addresses (several nodes on one host, private networks).
    pub allow_private_ips: bool,
    /// Whether members may connect from addresses other than the registered ones (NAT, DNS names).
    pub bypass_ip_check: bool,
    /// Sign at once after a restart without asking the peers. Only for a restart of the whole set with intact journals.
    pub trust_journal: bool,
    /// Threads of the consensus runtime.
    pub worker_threads: usize,
}

impl Config {
    /// Checks everything that can be checked without starting.
    ///
    /// # Errors
    /// The first violation found.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.timing.validate()?;
        let lengths = [("epoch_blocks", self.parameters.epoch_blocks), ("term_views", self.parameters.term_views)];
        for (name, value) in lengths {
            if value < 2 {
                return Err(ConfigError::Length { name, value, least: 2 });
            }
        }
        const MOST: u64 = 64 * 1024 * 1024;
        let value = self.parameters.max_block_bytes;
        if value > MOST {
            return Err(ConfigError::BlockBytes { value, most: MOST });
        }
        match self.genesis.height().get() {
            0 => Ok(()),
            height => Err(ConfigError::Genesis(height)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_devnet_timers_are_in_order() {
        Timing::of(&Parameters::devnet()).validate().unwrap();
    }

    #[test]
    fn a_certification_timeout_below_the_leader_timeout_is_refused_by_name() {
        let mut timing = Timing::of(&Parameters::devnet());
        timing.certification = timing.leader;
        let text = timing.validate().unwrap_err().to_string();
        assert!(text.contains("certification timeout") && text.contains("leader timeout"), "{text}");
    }

    #[test]
    fn a_heartbeat_slower_than_half_the_leader_timeout_is_refused() {
        let mut timing = Timing::of(&Parameters::devnet());
        timing.idle = timing.leader;
        assert!(matches!(timing.validate(), Err(ConfigError::Idle { .. })));
    }
}
