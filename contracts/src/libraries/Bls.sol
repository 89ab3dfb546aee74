// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Bls
/// @notice BLS12-381 signatures, MinSig (key in G2, signature in G1), on the EIP-2537 precompiles.
/// @dev Points are EIP-2537 encodings: 64 bytes a field element (48 significant), G1 128 bytes, G2 256 bytes, infinity all zero. The pairing
/// precompile rejects elements that are not below p and points off the curve or outside the subgroup; additions check the curve only.
/// Sources: RFC 9380 (hash to curve), EIP-2537, draft-irtf-cfrg-bls-signature-05.
library Bls {
    /// @notice Domain of vote, batch and readiness signatures.
    bytes internal constant DST = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
    /// @notice Domain of proofs of possession.
    bytes internal constant DST_POP = "BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";

    uint256 internal constant G1_LENGTH = 128;
    uint256 internal constant G2_LENGTH = 256;

    address private constant G1ADD = address(0x0b);
    address private constant G2ADD = address(0x0d);
    address private constant PAIRING = address(0x0f);
    address private constant MAP_FP_TO_G1 = address(0x10);

    /// @dev The field modulus, as the two words of an encoded element.
    uint256 private constant P_HIGH = 0x1a0111ea397fe69a4b1ba7b6434bacd7;
    uint256 private constant P_LOW = 0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab;

    /// @notice A precompile refused its input: not a point of the group, not canonical, or of the wrong length.
    error Bls_InvalidPoint(address precompile);

    /// @notice Whether `signature` is `key`'s over `message`: e(signature, -G2) * e(H(message), key) = 1. False for infinity.
    /// @dev Reverts with `Bls_InvalidPoint` where the key or the signature is no valid point. The subgroup check of the key is part of it.
    function verify(bytes memory message, bytes memory dst, bytes memory key, bytes memory signature) internal view returns (bool) {
        if (key.length != G2_LENGTH || signature.length != G1_LENGTH) revert Bls_InvalidPoint(PAIRING);
        if (isInfinity(key)) return false;
        return _pair(signature, hashToG1(message, dst), key);
    }

    /// @notice Whether `key` signed both messages, which must differ: e(s1 + s2, -G2) * e(H(m1) + H(m2), key) = 1.
    /// @dev The sum is an aggregate signature: without both parts nobody can make it. False if a signature is infinity.
    function verifyBoth(
        bytes memory firstMessage,
        bytes memory firstSignature,
        bytes memory secondMessage,
        bytes memory secondSignature,
        bytes memory dst,
        bytes memory key
    ) internal view returns (bool) {
        if (firstSignature.length != G1_LENGTH || secondSignature.length != G1_LENGTH || key.length != G2_LENGTH) {
            revert Bls_InvalidPoint(PAIRING);
        }
        if (isInfinity(firstSignature) || isInfinity(secondSignature)) return false;
        bytes memory signature = _call(G1ADD, bytes.concat(firstSignature, secondSignature), G1_LENGTH);
        bytes memory hashes = new bytes(2 * G1_LENGTH);
        _hash(firstMessage, dst, hashes, 0);
        _hash(secondMessage, dst, hashes, G1_LENGTH);
        return _pair(signature, _call(G1ADD, hashes, G1_LENGTH), key);
    }

    /// @notice hash_to_curve of suite BLS12381G1_XMD:SHA-256_SSWU_RO_ with domain `dst`.
    function hashToG1(bytes memory message, bytes memory dst) internal view returns (bytes memory point) {
        point = new bytes(G1_LENGTH);
        _hash(message, dst, point, 0);
    }

    /// @notice Sum of two points of G2.
    function add(bytes memory a, bytes memory b) internal view returns (bytes memory) {
        return _call(G2ADD, bytes.concat(a, b), G2_LENGTH);
    }

    /// @notice Adds the second of the two points of G2 in `pair` to the first.
    function accumulate(bytes memory pair) internal view {
        if (pair.length != 2 * G2_LENGTH || !_into(G2ADD, pair, pair, G2_LENGTH)) revert Bls_InvalidPoint(G2ADD);
    }

    /// @notice The first of the two points of G2 in `pair`, which is cut to it: what `accumulate` summed up.
    function firstOf(bytes memory pair) internal pure returns (bytes memory) {
        assembly ("memory-safe") {
            mstore(pair, 256)
        }
        return pair;
    }

    /// @notice Writes what is left of the point that `whole` begins with, less the first of the two points of G2 in `pair`, over that one.
    /// Both must be valid points.
    function subtract(bytes memory whole, bytes memory pair) internal view {
        _negate(pair);
        assembly ("memory-safe") {
            mcopy(add(pair, 288), add(whole, 32), 256)
        }
        accumulate(pair);
    }

    /// @notice Minus a point of G2. The input must be a valid point.
    function negate(bytes memory point) internal pure returns (bytes memory result) {
        result = bytes.concat(point);
        _negate(result);
    }

    /// @notice Whether a point (of either group: their lengths are multiples of four words) is encoded as infinity.
    function isInfinity(bytes memory point) internal pure returns (bool) {
        uint256 any;
        assembly ("memory-safe") {
            let end := add(point, mload(point))
            for { let at := add(point, 32) } lt(at, end) { at := add(at, 128) } {
                any := or(any, or(or(mload(at), mload(add(at, 32))), or(mload(add(at, 64)), mload(add(at, 96)))))
            }
        }
        return any == 0;
    }

    /// @dev Turns the point of G2 that `point` begins with into its negative: y = (y0, y1) are the last four of its words; p - y, where 0 stays
    /// 0, so that infinity stays what it is.
    function _negate(bytes memory point) private pure {
        assembly ("memory-safe") {
            for { let at := add(point, 160) } lt(at, add(point, 288)) { at := add(at, 64) } {
                let high := mload(at)
                let low := mload(add(at, 32))
                if or(high, low) {
                    mstore(at, sub(sub(P_HIGH, high), gt(low, P_LOW)))
                    mstore(add(at, 32), sub(P_LOW, low))
                }
            }
        }
    }

    /// @dev Whether e(signature, -G2) * e(hash, key) = 1. Sums cannot be infinity by chance; if one is by design, it proves nothing.
    /// The lengths were checked.
    function _pair(bytes memory signature, bytes memory hash, bytes memory key) private view returns (bool valid) {
        if (isInfinity(signature)) return false;
        bool success;
        assembly ("memory-safe") {
            // Beyond the free memory, of which nothing is kept: signature, minus the generator of G2, hash, key.
            let at := mload(0x40)
            mcopy(at, add(signature, 32), 128)
            mstore(add(at, 128), 0x00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051)
            mstore(add(at, 160), 0xc6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8)
            mstore(add(at, 192), 0x0000000000000000000000000000000013e02b6052719f607dacd3a088274f65)
            mstore(add(at, 224), 0x596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e)
            mstore(add(at, 256), 0x000000000000000000000000000000000d1b3cc2c7027888be51d9ef691d77bc)
            mstore(add(at, 288), 0xb679afda66c73f17f9ee3837a55024f78c71363275a75d75d86bab79f74782aa)
            mstore(add(at, 320), 0x0000000000000000000000000000000013fa4d4a0ad8b1ce186ed5061789213d)
            mstore(add(at, 352), 0x993923066dddaf1040bc3ff59f825c78df74f2d75467e25e0f55f8a00fa030ed)
            mcopy(add(at, 384), add(hash, 32), 128)
            mcopy(add(at, 512), add(key, 32), 256)
            success := staticcall(gas(), 0x0f, at, 768, 0, 32)
            success := and(success, eq(returndatasize(), 32))
            valid := eq(mload(0), 1)
        }
        if (!success) revert Bls_InvalidPoint(PAIRING);
    }

    /// @dev `hashToG1`, written into `buffer` from byte `at` on, where there must be room for it.
    function _hash(bytes memory message, bytes memory dst, bytes memory buffer, uint256 at) private view {
        if (!_map(_expand(message, dst), buffer, at)) revert Bls_InvalidPoint(MAP_FP_TO_G1);
    }

    /// @dev expand_message_xmd to 128 bytes, which lie where the answer points to: beyond the free memory, until something is written there.
    function _expand(bytes memory message, bytes memory dst) private view returns (uint256 expanded) {
        bool success;
        assembly ("memory-safe") {
            let at := mload(0x40)
            // DST_prime: the domain and its length in one byte, at most 256 bytes together.
            let length := add(mload(dst), 1)
            // b_0 = H(Z_pad | message | 0x0080 | 0x00 | DST_prime): Z_pad is one SHA-256 block (64 bytes) of zeros, 0x0080 the output's length.
            mstore(at, 0)
            mstore(add(at, 32), 0)
            mcopy(add(at, 64), add(message, 32), mload(message))
            let end := add(add(at, 64), mload(message))
            mstore(end, shl(232, 0x008000))
            mcopy(add(end, 3), add(dst, 32), mload(dst))
            mstore8(add(end, add(length, 2)), mload(dst))
            success := staticcall(gas(), 0x02, at, add(sub(end, at), add(length, 3)), 0, 32)
            // b_i = H((b_0 xor b_(i - 1)) | i | DST_prime), where nothing comes before b_1.
            let first := mload(0)
            mcopy(add(at, 33), add(end, 3), length)
            expanded := add(at, 320)
            mstore(at, first)
            for { let i := 1 } lt(i, 5) { i := add(i, 1) } {
                mstore8(add(at, 32), i)
                success := and(success, staticcall(gas(), 0x02, at, add(length, 33), 0, 32))
                mstore(add(expanded, shl(5, sub(i, 1))), mload(0))
                mstore(at, xor(first, mload(0)))
            }
        }
        if (!success) revert Bls_InvalidPoint(address(0x02));
    }

    /// @dev hash_to_field and the rest, from two 64-byte integers on: each modulo p (modexp with exponent 1), mapped to the curve, their sum.
    function _map(uint256 expanded, bytes memory buffer, uint256 at) private view returns (bool success) {
        assembly ("memory-safe") {
            // Behind the integers: the input of modexp (lengths 64, 1, 64; base, 1, p), then the two points.
            let input := add(expanded, 128)
            mstore(input, 64)
            mstore(add(input, 32), 1)
            mstore(add(input, 64), 64)
            mstore8(add(input, 160), 1)
            mstore(add(input, 161), P_HIGH)
            mstore(add(input, 193), P_LOW)
            success := 1
            for { let i := 0 } lt(i, 2) { i := add(i, 1) } {
                mcopy(add(input, 96), add(expanded, shl(6, i)), 64)
                success := and(success, staticcall(gas(), 0x05, input, 225, add(input, 96), 64))
                success := and(success, eq(returndatasize(), 64))
                success := and(success, staticcall(gas(), 0x10, add(input, 96), 64, add(input, add(256, shl(7, i))), 128))
                success := and(success, eq(returndatasize(), 128))
            }
            success := and(success, staticcall(gas(), 0x0b, add(input, 256), 256, add(add(buffer, 32), at), 128))
            success := and(success, eq(returndatasize(), 128))
        }
    }

    /// @dev Calls a precompile that answers with exactly `length` bytes; an invalid input makes it fail and take its gas.
    function _call(address precompile, bytes memory input, uint256 length) private view returns (bytes memory output) {
        output = new bytes(length);
        if (!_into(precompile, input, output, length)) revert Bls_InvalidPoint(precompile);
    }

    /// @dev The same, with the answer written over the beginning of `output`.
    function _into(address precompile, bytes memory input, bytes memory output, uint256 length) private view returns (bool success) {
        assembly ("memory-safe") {
            success := staticcall(gas(), precompile, add(input, 32), mload(input), add(output, 32), length)
            success := and(success, eq(returndatasize(), length))
        }
    }
}
