// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title BatonToken
/// @notice The stake token: a plain ERC-20 with permit and a fixed supply. No minting, no owner, no hooks, no fee on transfer.
contract BatonToken is ERC20Permit {
    /// @param holder Receives the whole supply.
    /// @param supply Token wei.
    constructor(address holder, uint256 supply) ERC20("Baton", "BATON") ERC20Permit("Baton") {
        _mint(holder, supply);
    }
}
