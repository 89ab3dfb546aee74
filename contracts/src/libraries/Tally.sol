// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Tally
/// @notice Counts, for up to 64 members, how many batches each signed: adding one bitmap writes one slot (two every sixteenth time).
/// @dev Bit-sliced: plane k holds bit k of every member's count; a slot packs four planes of 64 bits. A slot is meaningful only once a count
/// can have reached it, so that starting again at zero needs no writes.
library Tally {
    /// @notice The counters: 16 planes, counts up to 65,535.
    struct Counters {
        uint256[4] slots;
    }

    /// @notice Adds `bitmap`, the one number `batches` (from 1) since the start.
    function add(Counters storage self, uint256 bitmap, uint256 batches) internal {
        uint256 carry = bitmap;
        uint256 reach = 1;
        // Counts before this one are at most batches - 1: slot k = 0, 1, 2, 3 holds something from batch 16^k on, where it is cleared.
        for (uint256 k = 0; k < 4 && batches >= reach; ++k) {
            if (carry != 0 || batches == reach) {
                uint256 slot = batches == reach ? 0 : self.slots[k];
                uint256 next;
                // A half adder for each plane, from the lowest on.
                assembly ("memory-safe") {
                    for { let plane := 0 } lt(plane, 256) { plane := add(plane, 64) } {
                        let bits := and(shr(plane, slot), 0xffffffffffffffff)
                        next := or(next, shl(plane, xor(bits, carry)))
                        carry := and(carry, bits)
                    }
                }
                self.slots[k] = next;
            }
            reach <<= 4;
        }
    }

    /// @notice The counts of `members` members after `batches` bitmaps.
    function read(Counters storage self, uint256 members, uint256 batches) internal view returns (uint64[] memory counts) {
        counts = new uint64[](members);
        uint256 reach = 1;
        for (uint256 k = 0; k < 4 && batches >= reach; ++k) {
            uint256 slot = self.slots[k];
            // Of each member the bits number i, 64 + i, 128 + i, 192 + i, as the next four of its count.
            assembly ("memory-safe") {
                let at := add(counts, 32)
                for { let end := add(at, shl(5, members)) } lt(at, end) { at := add(at, 32) } {
                    let low := or(and(slot, 1), and(shr(63, slot), 2))
                    let high := or(and(shr(126, slot), 4), and(shr(189, slot), 8))
                    mstore(at, or(mload(at), shl(shl(2, k), or(low, high))))
                    slot := shr(1, slot)
                }
            }
            reach <<= 4;
        }
    }
}
