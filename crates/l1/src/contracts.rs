//! The contracts' interfaces.
#![allow(missing_docs, unreachable_pub, clippy::all)]
use alloy::sol;
sol!("../../contracts/src/interfaces/IBatchInbox.sol");
sol!("../../contracts/src/interfaces/ISequencerPool.sol");
sol!("../../contracts/src/interfaces/IPortal.sol");
sol!("../../contracts/src/interfaces/IRevenueShare.sol");
sol!("../../contracts/src/interfaces/IStaking.sol");
