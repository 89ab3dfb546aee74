// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Code
/// @notice Immutable data as contract code: a cold read of any length costs one account access.
/// @dev The code starts with a STOP byte, so that nobody can run it.
library Code {
    /// @notice The data does not fit a contract, or the creation failed.
    error Code_WriteFailed(uint256 length);

    /// @notice Stores `data` (at most 24,575 bytes).
    function write(bytes memory data) internal returns (address stored) {
        // 61 size 80 60 0a 3d 39 3d f3: copy everything after these ten bytes; then STOP and the data.
        bytes memory init = abi.encodePacked(hex"61", uint16(data.length + 1), hex"80600a3d393df300", data);
        assembly ("memory-safe") {
            stored := create(0, add(init, 32), mload(init))
        }
        if (data.length > 24_575 || stored == address(0)) revert Code_WriteFailed(data.length);
    }

    /// @notice Everything stored at `from`.
    function read(address from) internal view returns (bytes memory) {
        return read(from, 0, from.code.length - 1);
    }

    /// @notice Copies `length` bytes from `offset` into `buffer`, from its byte `at` on, where there must be room for them.
    function copy(address from, uint256 offset, uint256 length, bytes memory buffer, uint256 at) internal view {
        assembly ("memory-safe") {
            extcodecopy(from, add(add(buffer, 32), at), add(offset, 1), length)
        }
    }

    /// @notice `length` bytes from `offset`; zeros beyond the end.
    function read(address from, uint256 offset, uint256 length) internal view returns (bytes memory data) {
        // Not cleared first, as `new bytes` would: all of it is written.
        assembly ("memory-safe") {
            data := mload(0x40)
            mstore(data, length)
            mstore(0x40, and(add(add(data, 63), length), not(31)))
            extcodecopy(from, add(data, 32), add(offset, 1), length)
        }
    }
}
