// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Lists
/// @notice Five lists of one length, filled member by member where the data of an event has them: nothing is encoded again.
library Lists {
    /// @notice Makes room: where each list begins, then each with its length.
    /// @return told Where the data is.
    /// @return ids The first list.
    function layOut(uint256 length) internal pure returns (uint256 told, uint64[] memory ids) {
        assembly ("memory-safe") {
            told := mload(0x40)
            ids := add(told, 160)
            let size := shl(5, add(length, 1))
            for { let k := 0 } lt(k, 5) { k := add(k, 1) } {
                let begin := add(160, mul(k, size))
                mstore(add(told, shl(5, k)), begin)
                mstore(add(told, begin), length)
            }
            mstore(0x40, add(ids, mul(5, size)))
        }
    }

    /// @notice Writes member `i`, which must be below the length: its id, and its figures in the other four lists.
    function note(uint256 told, uint256 i, uint256 id, uint256[4] memory figures) internal pure {
        assembly ("memory-safe") {
            let size := shl(5, add(mload(add(told, 160)), 1))
            let at := add(add(told, 192), shl(5, i))
            mstore(at, id)
            mstore(add(at, size), mload(figures))
            mstore(add(at, mul(2, size)), mload(add(figures, 32)))
            mstore(add(at, mul(3, size)), mload(add(figures, 64)))
            mstore(add(at, mul(4, size)), mload(add(figures, 96)))
        }
    }

    /// @notice Emits the event that has the lists as its data and `index` as its indexed argument.
    function tell(uint256 told, bytes32 topic, uint256 index) internal {
        assembly ("memory-safe") {
            log2(told, add(160, mul(160, add(mload(add(told, 160)), 1))), topic, index)
        }
    }
}
