// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title L1Block
/// @notice L2 predeploy 0x4200000000000000000000000000000000000015: the L1 origin of the running block, written by its first transaction.
contract L1Block {
    /// @notice Sender of system transactions; nobody has its key.
    address public constant DEPOSITOR = 0xDeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001;

    /// @notice L1 number of the origin.
    uint64 public number;
    /// @notice L1 timestamp of the origin (seconds).
    uint64 public timestamp;
    /// @notice Deposits executed in total after this block.
    uint64 public deposits;
    /// @notice L1 hash of the origin.
    bytes32 public hash;
    /// @notice L1 base fee of the origin (wei per gas).
    uint256 public baseFee;
    /// @notice L1 blob base fee of the origin (wei per blob gas).
    uint256 public blobBaseFee;

    /// @notice Someone other than the depositor called.
    error L1Block_NotDepositor(address caller);

    /// @notice Sets the origin. Only the depositor, in the first transaction of every block.
    function setL1Block(
        uint64 newNumber,
        bytes32 newHash,
        uint64 newTimestamp,
        uint256 newBaseFee,
        uint256 newBlobBaseFee,
        uint64 newDeposits
    ) external {
        if (msg.sender != DEPOSITOR) revert L1Block_NotDepositor(msg.sender);
        number = newNumber;
        timestamp = newTimestamp;
        deposits = newDeposits;
        hash = newHash;
        baseFee = newBaseFee;
        blobBaseFee = newBlobBaseFee;
    }
}
