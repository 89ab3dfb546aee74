//! The contracts' interfaces.
#![allow(missing_docs, unreachable_pub, clippy::all)]
use alloy::sol;
sol!(
    #[sol(all_derives)]
    "../../contracts/src/interfaces/IBatchInbox.sol"
);
sol!(
    #[sol(all_derives)]
    "../../contracts/src/interfaces/ISequencerPool.sol"
);
sol!(
    #[sol(all_derives)]
    "../../contracts/src/interfaces/IPortal.sol"
);
sol!(
    #[sol(all_derives)]
    "../../contracts/src/interfaces/IRevenueShare.sol"
);
sol!(
    #[sol(all_derives)]
    "../../contracts/src/interfaces/IStaking.sol"
);
