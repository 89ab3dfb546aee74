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

    address private constant MODEXP = address(0x05);
    address private constant G1ADD = address(0x0b);
    address private constant G2ADD = address(0x0d);
    address private constant PAIRING = address(0x0f);
    address private constant MAP_FP_TO_G1 = address(0x10);

    /// @dev The field modulus, as the two words of an encoded element.
    uint256 private constant P_HIGH = 0x1a0111ea397fe69a4b1ba7b6434bacd7;
    uint256 private constant P_LOW = 0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab;

    /// @dev Minus the generator of G2.
    bytes private constant NEGATIVE_GENERATOR = hex"00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051"
        hex"c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
        hex"0000000000000000000000000000000013e02b6052719f607dacd3a088274f65"
        hex"596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
        hex"000000000000000000000000000000000d1b3cc2c7027888be51d9ef691d77bc"
        hex"b679afda66c73f17f9ee3837a55024f78c71363275a75d75d86bab79f74782aa"
        hex"0000000000000000000000000000000013fa4d4a0ad8b1ce186ed5061789213d"
        hex"993923066dddaf1040bc3ff59f825c78df74f2d75467e25e0f55f8a00fa030ed";

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
        if (firstSignature.length != G1_LENGTH || secondSignature.length != G1_LENGTH) {
            revert Bls_InvalidPoint(PAIRING);
        }
        if (isInfinity(firstSignature) || isInfinity(secondSignature)) return false;
        bytes memory signature = _call(G1ADD, bytes.concat(firstSignature, secondSignature), G1_LENGTH);
        bytes memory hash = _call(G1ADD, bytes.concat(hashToG1(firstMessage, dst), hashToG1(secondMessage, dst)), G1_LENGTH);
        return _pair(signature, hash, key);
    }

    /// @notice hash_to_curve of suite BLS12381G1_XMD:SHA-256_SSWU_RO_ with domain `dst`.
    function hashToG1(bytes memory message, bytes memory dst) internal view returns (bytes memory) {
        (bytes memory first, bytes memory second) = _hashToField(message, dst);
        return _call(G1ADD, bytes.concat(_call(MAP_FP_TO_G1, first, G1_LENGTH), _call(MAP_FP_TO_G1, second, G1_LENGTH)), G1_LENGTH);
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

    /// @notice Minus a point of G2. The input must be a valid point.
    function negate(bytes memory point) internal pure returns (bytes memory result) {
        if (isInfinity(point)) return point;
        result = bytes.concat(point);
        // y = (y0, y1) are the last four words; p - y, where 0 stays 0.
        for (uint256 offset = 160; offset <= 224; offset += 64) {
            uint256 high;
            uint256 low;
            assembly ("memory-safe") {
                high := mload(add(result, offset))
                low := mload(add(result, add(offset, 32)))
            }
            if (high | low == 0) continue;
            unchecked {
                high = P_HIGH - high - (low > P_LOW ? 1 : 0);
                low = P_LOW - low;
            }
            assembly ("memory-safe") {
                mstore(add(result, offset), high)
                mstore(add(result, add(offset, 32)), low)
            }
        }
    }

    /// @notice Whether a point (of either group) is encoded as infinity.
    function isInfinity(bytes memory point) internal pure returns (bool) {
        uint256 any;
        assembly ("memory-safe") {
            let end := add(point, mload(point))
            for { let at := point } lt(at, end) {} {
                at := add(at, 32)
                any := or(any, mload(at))
            }
        }
        return any == 0;
    }

    /// @dev Whether e(signature, -G2) * e(hash, key) = 1. Sums cannot be infinity by chance; if one is by design, it proves nothing.
    function _pair(bytes memory signature, bytes memory hash, bytes memory key) private view returns (bool) {
        if (isInfinity(signature)) return false;
        return uint256(bytes32(_call(PAIRING, bytes.concat(signature, NEGATIVE_GENERATOR, hash, key), 32))) == 1;
    }

    /// @dev hash_to_field with count 2: expand_message_xmd to 128 bytes, two 64-byte integers modulo p.
    function _hashToField(bytes memory message, bytes memory dst) private view returns (bytes memory first, bytes memory second) {
        bytes memory dstPrime = abi.encodePacked(dst, uint8(dst.length));
        // Z_pad is one SHA-256 block (64 bytes) of zeros; the output length is 128 = 0x0080.
        bytes32 b0 = sha256(abi.encodePacked(uint256(0), uint256(0), message, hex"008000", dstPrime));
        // b_i = H((b_0 xor b_(i - 1)) | i | DST_prime), where nothing comes before b_1.
        bytes memory input = abi.encodePacked(b0, uint8(1), dstPrime);
        bytes32 b1 = sha256(input);
        bytes32 b2 = _next(input, b0 ^ b1, 2);
        bytes32 b3 = _next(input, b0 ^ b2, 3);
        bytes32 b4 = _next(input, b0 ^ b3, 4);
        (first, second) = (_modP(b1, b2), _modP(b3, b4));
    }

    function _next(bytes memory input, bytes32 mixed, uint8 i) private pure returns (bytes32) {
        assembly ("memory-safe") {
            mstore(add(input, 32), mixed)
            mstore8(add(input, 64), i)
        }
        return sha256(input);
    }

    /// @dev (high, low) modulo p as an encoded field element: modexp with exponent 1.
    function _modP(bytes32 high, bytes32 low) private view returns (bytes memory) {
        bytes memory input = abi.encodePacked(uint256(64), uint256(1), uint256(64), high, low, uint8(1), P_HIGH, P_LOW);
        return _call(MODEXP, input, 64);
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
