// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Refuses ether.
contract Refuser {
    receive() external payable {
        revert("refused");
    }

    function call(address target, bytes calldata data) external returns (bytes memory) {
        (bool success, bytes memory result) = target.call(data);
        require(success, "inner call failed");
        return result;
    }
}

/// @notice Burns all gas it gets.
contract Burner {
    receive() external payable {
        while (true) {}
    }
}

/// @notice Calls back while it is paid, once.
contract Reenterer {
    address private target;
    bytes private data;
    bool public succeeded;

    function arm(address to, bytes calldata callData) external {
        (target, data) = (to, callData);
    }

    function call(address to, bytes calldata callData) external {
        (bool success,) = to.call(callData);
        require(success, "inner call failed");
    }

    receive() external payable {
        if (target == address(0)) return;
        address once = target;
        target = address(0);
        (succeeded,) = once.call(data);
    }
}
