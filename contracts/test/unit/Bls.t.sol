// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Bls} from "../../src/libraries/Bls.sol";
import {BlsSigner} from "../helpers/BlsSigner.sol";
import {Test} from "forge-std/Test.sol";

/// @notice `Bls` agrees with the independent implementation that wrote tests/vectors/bls.json.
contract BlsTest is Test {
    string private vectors;

    function setUp() public {
        vectors = vm.readFile("../tests/vectors/bls.json");
    }

    function verify(bytes memory message, bytes memory dst, bytes memory key, bytes memory signature) external view returns (bool) {
        return Bls.verify(message, dst, key, signature);
    }

    function accumulate(bytes memory pair) external view {
        Bls.accumulate(pair);
    }

    function _bytes(uint256 i, string memory field) private view returns (bytes memory) {
        return vm.parseJsonBytes(vectors, string.concat(".single[", vm.toString(i), "].", field));
    }

    function test_signatures_of_an_independent_implementation_verify() public view {
        for (uint256 i = 0; i < 8; ++i) {
            bytes memory message = _bytes(i, "message");
            assertTrue(Bls.verify(message, Bls.DST, _bytes(i, "key"), _bytes(i, "signature")));
            assertTrue(Bls.verify(message, Bls.DST_POP, _bytes(i, "key"), _bytes(i, "possession")));
            assertFalse(Bls.verify(message, Bls.DST_POP, _bytes(i, "key"), _bytes(i, "signature")), "domains are separate");
            assertFalse(Bls.verify(message, Bls.DST, _bytes((i + 1) % 8, "key"), _bytes(i, "signature")), "another key");
            assertFalse(Bls.verify(bytes.concat(message, "x"), Bls.DST, _bytes(i, "key"), _bytes(i, "signature")), "another message");
        }
    }

    function test_the_test_signer_signs_as_the_independent_implementation() public view {
        for (uint256 i = 0; i < 8; ++i) {
            uint256 secret = uint256(bytes32(_bytes(i, "secret")));
            assertEq(BlsSigner.publicKey(secret), _bytes(i, "key"));
            assertEq(BlsSigner.sign(secret, _bytes(i, "message")), _bytes(i, "signature"));
            assertEq(BlsSigner.provePossession(secret, _bytes(i, "message")), _bytes(i, "possession"));
        }
    }

    function test_what_is_no_pair_of_points_adds_up_to_nothing() public {
        bytes memory key = _bytes(0, "key");
        this.accumulate(bytes.concat(key, key));
        vm.expectRevert(abi.encodeWithSelector(Bls.Bls_InvalidPoint.selector, address(0x0d)));
        this.accumulate(key);
        key[255] ^= 0x01;
        vm.expectRevert(abi.encodeWithSelector(Bls.Bls_InvalidPoint.selector, address(0x0d)));
        this.accumulate(bytes.concat(key, key));
    }

    function test_keys_add_up_and_subtract() public view {
        bytes memory sum = _bytes(0, "key");
        for (uint256 i = 1; i < 8; ++i) {
            sum = Bls.add(sum, _bytes(i, "key"));
        }
        assertEq(sum, vm.parseJsonBytes(vectors, ".aggregate.key"));
        bytes memory message = vm.parseJsonBytes(vectors, ".aggregate.message");
        assertTrue(Bls.verify(message, Bls.DST, sum, vm.parseJsonBytes(vectors, ".aggregate.signature")));
        for (uint256 i = 7; i > 0; --i) {
            sum = Bls.add(sum, Bls.negate(_bytes(i, "key")));
        }
        assertEq(sum, _bytes(0, "key"));
        assertTrue(Bls.isInfinity(Bls.add(sum, Bls.negate(sum))));
    }

    function test_infinity_neither_signs_nor_is_a_key() public view {
        bytes memory message = _bytes(0, "message");
        assertFalse(Bls.verify(message, Bls.DST, new bytes(256), _bytes(0, "signature")));
        assertFalse(Bls.verify(message, Bls.DST, _bytes(0, "key"), new bytes(128)));
        assertFalse(Bls.verify(message, Bls.DST, new bytes(256), new bytes(128)));
    }

    function test_points_off_the_curve_or_not_canonical_revert() public {
        bytes memory message = _bytes(0, "message");
        bytes memory key = _bytes(0, "key");
        bytes memory signature = _bytes(0, "signature");
        key[255] = bytes1(uint8(key[255]) ^ 1);
        vm.expectPartialRevert(Bls.Bls_InvalidPoint.selector);
        this.verify(message, Bls.DST, key, signature);
        // x + p is the same element, but not its encoding.
        key = _bytes(0, "key");
        _addModulus(key, 0);
        vm.expectPartialRevert(Bls.Bls_InvalidPoint.selector);
        this.verify(message, Bls.DST, key, signature);
        vm.expectPartialRevert(Bls.Bls_InvalidPoint.selector);
        this.verify(message, Bls.DST, hex"00", signature);
    }

    function test_points_outside_the_subgroup_revert() public {
        // (0, 2) is on y^2 = x^3 + 4 but of order 3.
        bytes memory outside = new bytes(128);
        outside[127] = 0x02;
        (bool onCurve,) = address(0x0b).staticcall(bytes.concat(outside, new bytes(128)));
        assertTrue(onCurve);
        vm.expectPartialRevert(Bls.Bls_InvalidPoint.selector);
        this.verify(_bytes(0, "message"), Bls.DST, _bytes(0, "key"), outside);
    }

    function _addModulus(bytes memory point, uint256 at) private pure {
        uint256 low = 0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab;
        uint256 high = 0x1a0111ea397fe69a4b1ba7b6434bacd7;
        assembly {
            let low0 := mload(add(point, add(at, 64)))
            let sum := add(low0, low)
            mstore(add(point, add(at, 64)), sum)
            mstore(add(point, add(at, 32)), add(add(mload(add(point, add(at, 32))), high), lt(sum, low0)))
        }
    }

    /// Both signatures must be there: not their sum beside nothing.
    function test_a_sum_beside_infinity_is_no_pair_of_signatures() public view {
        bytes memory key = BlsSigner.publicKey(7);
        (bytes memory first, bytes memory second) = (BlsSigner.sign(7, "one"), BlsSigner.sign(7, "other"));
        assertTrue(Bls.verifyBoth("one", first, "other", second, Bls.DST, key));
        (, bytes memory sum) = address(0x0b).staticcall(bytes.concat(first, second));
        assertFalse(Bls.verifyBoth("one", new bytes(128), "other", sum, Bls.DST, key));
        assertFalse(Bls.verifyBoth("one", sum, "other", new bytes(128), Bls.DST, key));
    }

    function verifyBoth(bytes memory first, bytes memory second, bytes memory key) external view returns (bool) {
        return Bls.verifyBoth("one", first, "other", second, Bls.DST, key);
    }

    /// A key or signature of another length is refused: what lies behind it in memory is never part of it.
    function test_pairs_of_signatures_of_the_wrong_length_revert() public {
        (bytes memory first, bytes memory second) = (BlsSigner.sign(7, "one"), BlsSigner.sign(7, "other"));
        bytes memory key = BlsSigner.publicKey(7);
        assertTrue(this.verifyBoth(first, second, key));
        bytes memory refusal = abi.encodeWithSelector(Bls.Bls_InvalidPoint.selector, address(0x0f));
        for (uint256 cut = 1; cut <= 128; cut *= 2) {
            vm.expectRevert(refusal);
            this.verifyBoth(_cut(first, 128 - cut), second, key);
            vm.expectRevert(refusal);
            this.verifyBoth(first, _cut(second, 128 - cut), key);
            vm.expectRevert(refusal);
            this.verifyBoth(first, second, _cut(key, 256 - cut));
        }
    }

    function _cut(bytes memory data, uint256 length) private pure returns (bytes memory result) {
        result = new bytes(length);
        for (uint256 i = 0; i < length; ++i) {
            result[i] = data[i];
        }
    }
}
