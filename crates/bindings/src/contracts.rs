//! The contracts as `sol!` types, one module each: calls, events, errors, bytecode and (with a provider) instances.

/// One contract from its committed artifact.
macro_rules! contract {
    ($(#[$doc:meta])* $module:ident, $name:ident, $path:literal) => {
        $(#[$doc])*
        pub mod $module {
            #![allow(missing_docs, unreachable_pub, clippy::all, clippy::large_futures, clippy::too_many_arguments)]
            alloy::sol!(
                #[sol(rpc, all_derives)]
                $name,
                $path
            );
        }
    };
}

contract!(
    /// The stake token.
    token, BatonToken, "artifacts/BatonToken.json"
);
contract!(
    /// Every chain parameter.
    parameters, Parameters, "artifacts/Parameters.json"
);
contract!(
    /// Custody of stake.
    staking, Staking, "artifacts/Staking.json"
);
contract!(
    /// Keys, admission, snapshots, election.
    pool, SequencerPool, "artifacts/SequencerPool.json"
);
contract!(
    /// Accepts certified batches.
    inbox, BatchInbox, "artifacts/BatchInbox.json"
);
contract!(
    /// The bridge.
    portal, Portal, "artifacts/Portal.json"
);
contract!(
    /// Splits the fees.
    revenue, RevenueShare, "artifacts/RevenueShare.json"
);
contract!(
    /// Slashes and jails by proof.
    slasher, Slasher, "artifacts/Slasher.json"
);
contract!(
    /// Who may change which parameter, after which delay.
    governance, Governance, "artifacts/Governance.json"
);
contract!(
    /// Lets a chain that stands still go on with the members who are there.
    recovery, Recovery, "artifacts/Recovery.json"
);
contract!(
    /// Names and pages of sequencers.
    profiles, Profiles, "artifacts/Profiles.json"
);
contract!(
    /// Reads many things at once.
    lens, Lens, "artifacts/Lens.json"
);
contract!(
    /// Commit and reveal.
    commitments, Commitments, "artifacts/Commitments.json"
);
contract!(
    /// L2: the origin of the running block.
    l1_block, L1Block, "artifacts/L1Block.json"
);
contract!(
    /// L2: messages to L1.
    message_passer, MessagePasser, "artifacts/MessagePasser.json"
);
contract!(
    /// L2: the fees.
    fee_vault, FeeVault, "artifacts/FeeVault.json"
);

pub use commitments::Commitments;
pub use fee_vault::FeeVault;
pub use governance::Governance;
pub use inbox::{BatchInbox, IBatchInbox};
pub use l1_block::L1Block;
pub use lens::Lens;
pub use message_passer::MessagePasser;
pub use parameters::{IParameters, Parameters};
pub use pool::{ISequencerPool, SequencerPool};
pub use portal::{IPortal, Portal};
pub use profiles::{IProfiles, Profiles};
pub use recovery::{IRecovery, Recovery};
pub use revenue::{IRevenueShare, RevenueShare};
pub use slasher::{ISlasher, Slasher, Votes};
pub use staking::{IStaking, Staking};
pub use token::BatonToken;
