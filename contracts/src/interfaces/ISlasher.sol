// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title ISlasher
/// @notice Turns evidence of two contradicting statements by one key into a slash. Reserved: the contract comes with the slashing release.
interface ISlasher {
    /// @notice An offence was proven; each (sequencer, epoch) is slashed once.
    event Offended(uint64 indexed sequencer, uint64 indexed epoch, address indexed reporter, uint128 slashed, uint128 bounty);
}
