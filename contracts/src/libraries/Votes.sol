// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Votes
/// @notice The bytes that a consensus vote signs, as the engine writes them.
/// @dev vi(length of namespace and suffix) | namespace | suffix | vi(epoch) | vi(view) [| vi(parent view) | block hash]; vi is unsigned LEB128.
/// The namespace is keccak256(abi.encode("BATON_CONSENSUS", chain id, inbox, generation)).
library Votes {
    string internal constant NOTARIZE = "_NOTARIZE";
    string internal constant FINALIZE = "_FINALIZE";
    string internal constant NULLIFY = "_NULLIFY";

    /// @notice What a notarize or finalize vote is for.
    struct Proposal {
        /// @dev View of the parent.
        uint64 parentView;
        /// @dev L2 block hash.
        bytes32 blockHash;
    }

    /// @notice The signed bytes of a vote; of a nullify, `proposal` is not part.
    function message(address inbox, uint64 generation, uint64 epoch, uint64 viewNumber, string memory suffix, Proposal memory proposal)
        internal
        view
        returns (bytes memory)
    {
        bytes32 namespace = keccak256(abi.encode("BATON_CONSENSUS", block.chainid, inbox, generation));
        bytes memory proposed;
        if (keccak256(bytes(suffix)) != keccak256(bytes(NULLIFY))) {
            proposed = abi.encodePacked(_varint(proposal.parentView), proposal.blockHash);
        }
        bytes memory length = _varint(uint64(32 + bytes(suffix).length));
        return abi.encodePacked(length, namespace, suffix, _varint(epoch), _varint(viewNumber), proposed);
    }

    /// @dev Seven bits a byte, the lowest first, and a high bit where more follow: 64 bits take at most ten bytes.
    function _varint(uint64 value) private pure returns (bytes memory encoded) {
        encoded = new bytes(10);
        uint256 length;
        for (; value > 0x7f; value >>= 7) {
            encoded[length++] = bytes1(uint8(value) | 0x80);
        }
        encoded[length++] = bytes1(uint8(value));
        assembly ("memory-safe") {
            mstore(encoded, length)
        }
    }
}
