// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ICommitments} from "./interfaces/ICommitments.sol";

/// @title Commitments
/// @notice Commit and reveal. Interface and rules: ICommitments.
contract Commitments is ICommitments {
    /// @notice L1 blocks from a commitment to the first block in which its call counts: a minute on Ethereum.
    uint256 public constant EARLIEST = 5;
    /// @notice L1 blocks from a commitment to the last block in which its call counts: a day on Ethereum.
    uint256 public constant LATEST = 7_200;

    /// @inheritdoc ICommitments
    mapping(address account => mapping(bytes32 commitment => uint256)) public blockOf;

    /// @inheritdoc ICommitments
    function commit(bytes32 commitment) external {
        blockOf[msg.sender][commitment] = block.number;
        emit Committed(msg.sender, commitment);
    }

    /// @inheritdoc ICommitments
    function check(address account, bytes32 commitment) external view {
        uint256 at = blockOf[account][commitment];
        if (at == 0) revert Commitments_Unknown(account, commitment);
        if (block.number < at + EARLIEST || block.number > at + LATEST) {
            revert Commitments_OutOfTime(at + EARLIEST, at + LATEST, block.number);
        }
    }
}
