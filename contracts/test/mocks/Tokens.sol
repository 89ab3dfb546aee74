// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice Keeps one percent of every transfer.
contract FeeToken is ERC20("Fee", "FEE") {
    constructor() {
        _mint(msg.sender, 1e9 * 1e18);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (from != address(0)) super._update(to, address(0xfee), value / 100);
    }
}

/// @notice Refuses transfers to and from a list of accounts.
contract BlocklistToken is ERC20("Block", "BLK") {
    mapping(address => bool) public blocked;

    error Blocked(address account);

    constructor() {
        _mint(msg.sender, 1e9 * 1e18);
    }

    function setBlocked(address account) external {
        blocked[account] = true;
    }

    function _update(address from, address to, uint256 value) internal override {
        if (blocked[to]) revert Blocked(to);
        super._update(from, to, value);
    }
}

/// @notice Calls the sender before it moves its tokens, as ERC-777 did.
contract HookToken is ERC20("Hook", "HOOK") {
    address private target;
    bytes private call_;

    constructor() {
        _mint(msg.sender, 1e9 * 1e18);
    }

    /// @dev One call, at the next transfer.
    function arm(address to, bytes calldata data) external {
        (target, call_) = (to, data);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (target == address(0)) return;
        (address once, bytes memory data) = (target, call_);
        target = address(0);
        (bool success, bytes memory reason) = once.call(data);
        if (!success) {
            assembly {
                revert(add(reason, 32), mload(reason))
            }
        }
    }
}
