// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title FeeVault
/// @notice L2 predeploy 0x4200000000000000000000000000000000000019: collects base fees and tips. The state transition empties it after the
/// last transaction of every epoch's last block; the sum is credited to the RevenueShare on L1. Ether sent here is a gift to the sequencers.
contract FeeVault {
    /// @notice Accepts gifts.
    receive() external payable {}
}
