// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Bls} from "../../src/libraries/Bls.sol";

/// @notice Signs with EIP-2537 scalar multiplications. `Bls` itself is checked against vectors of an independent implementation.
library BlsSigner {
    uint256 internal constant ORDER = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001;
    bytes private constant GENERATOR = hex"00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051"
        hex"c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
        hex"0000000000000000000000000000000013e02b6052719f607dacd3a088274f65"
        hex"596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
        hex"000000000000000000000000000000000ce5d527727d6e118cc9cdc6da2e351a"
        hex"adfd9baa8cbdd3a76d429a695160d12c923ac9cc3baca289e193548608b82801"
        hex"000000000000000000000000000000000606c4a02ea734cc32acd2b02bc28b99"
        hex"cb3e287e85a763af267492ab572e99ab3f370d275cec1da1aaa9075ff05f79be";

    function publicKey(uint256 secret) internal view returns (bytes memory) {
        return multiply(address(0x0e), GENERATOR, secret, 256);
    }

    function sign(uint256 secret, bytes memory message) internal view returns (bytes memory) {
        return multiply(address(0x0c), Bls.hashToG1(message, Bls.DST), secret, 128);
    }

    function provePossession(uint256 secret, bytes memory message) internal view returns (bytes memory) {
        return multiply(address(0x0c), Bls.hashToG1(message, Bls.DST_POP), secret, 128);
    }

    function multiply(address precompile, bytes memory point, uint256 scalar, uint256 length) internal view returns (bytes memory) {
        (bool success, bytes memory output) = precompile.staticcall(bytes.concat(point, bytes32(scalar % ORDER)));
        require(success && output.length == length, "msm");
        return output;
    }
}
