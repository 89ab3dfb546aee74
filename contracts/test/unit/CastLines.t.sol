// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {World} from "../helpers/World.sol";

/// @notice The signatures in README.md, "By hand", are functions of the contracts they are sent to.
contract CastLinesTest is World {
    function test_every_line_names_a_function_of_its_contract() public {
        string[] memory lines = vm.split(vm.readFile("README.md"), "\n");
        uint256 checked;
        for (uint256 i = 0; i < lines.length; ++i) {
            string[] memory quoted = vm.split(lines[i], "\"");
            string[] memory words = vm.split(lines[i], " ");
            if (quoted.length < 3 || keccak256(bytes(words[0])) != keccak256("send")) continue;
            if (bytes(words[1])[0] != "$" || bytes(words[2])[0] != "\"") continue;
            address target = _target(words[1]);
            assertNotEq(target, address(0), lines[i]);
            // A function that exists reads its arguments: with none of them it fails otherwise than an unknown selector does.
            assertTrue(_has(target, bytes4(keccak256(bytes(quoted[1])))), lines[i]);
            ++checked;
        }
        assertEq(checked, 39);
        assertFalse(_has(address(staking), bytes4(keccak256("bond(uint256)"))), "the check itself");
    }

    function _target(string memory name) private view returns (address) {
        bytes32 hash = keccak256(bytes(name));
        if (hash == keccak256("$TOKEN")) return address(token);
        if (hash == keccak256("$STAKING")) return address(staking);
        if (hash == keccak256("$POOL")) return address(pool);
        if (hash == keccak256("$REVENUE")) return address(revenue);
        if (hash == keccak256("$PORTAL")) return address(portal);
        if (hash == keccak256("$SLASHER")) return address(slashing);
        if (hash == keccak256("$RECOVERY")) return address(recovery);
        if (hash == keccak256("$PROFILES")) return address(profiles);
        if (hash == keccak256("$COMMITMENTS")) return address(commitments);
        return address(0);
    }

    /// @dev Whether the dispatcher of `target` compares with `selector`: PUSH4 selector EQ, or PUSH3 where it begins with a zero byte.
    function _has(address target, bytes4 selector) private view returns (bool) {
        bytes memory code = target.code;
        for (uint256 i = 0; i + 5 < code.length; ++i) {
            if (
                code[i] == 0x62 && selector[0] == 0 && code[i + 1] == selector[1] && code[i + 2] == selector[2]
                    && code[i + 3] == selector[3]
            ) {
                return true;
            }
            if (code[i] != 0x63) continue;
            if (code[i + 1] == selector[0] && code[i + 2] == selector[1] && code[i + 3] == selector[2] && code[i + 4] == selector[3]) {
                return true;
            }
        }
        return false;
    }
}
