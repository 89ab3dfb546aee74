// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRevenueShare} from "../../src/interfaces/IRevenueShare.sol";

/// @notice What a poster works out of its debts from events.
library Debts {
    /// @notice The hash of all debts of `list`, over that of older ones.
    function hash(bytes32 base, IRevenueShare.OpenDebt[] memory list) internal pure returns (bytes32) {
        for (uint256 i = 0; i < list.length; ++i) {
            base = keccak256(abi.encode(base, list[i].id, list[i].start, list[i].end));
        }
        return base;
    }

    /// @notice What of a debt is covered and open.
    function covered(IRevenueShare.OpenDebt memory debt, uint256 paid) internal pure returns (uint256) {
        if (paid >= debt.end) return debt.end - debt.start;
        return paid > debt.start ? paid - debt.start : 0;
    }

    /// @notice A list of one debt.
    function one(uint64 id, uint256 start, uint256 end) internal pure returns (IRevenueShare.OpenDebt[] memory list) {
        list = new IRevenueShare.OpenDebt[](1);
        list[0] = IRevenueShare.OpenDebt(id, uint128(start), uint128(end));
    }
}
