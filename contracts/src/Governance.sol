// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IParameters} from "./interfaces/IParameters.sol";
import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";

/// @title Governance
/// @notice The only powers over a running Baton: the governor changes parameters after a delay that everybody can watch, inside the bounds of
/// `Parameters`; the guardian stops new stake from entering, at once. Nobody can touch stake, exits, claims, batches or evidence.
/// @dev OpenZeppelin's AccessManager, set up once; the deployer keeps no role. The governor schedules a call here and executes it after the
/// delay; the roles themselves, the guardian's included, change in the same way.
contract Governance is AccessManager {
    /// @notice May pause entry.
    uint64 public constant GUARDIAN_ROLE = 1;
    /// @notice Least delay of the governor (seconds). In production it should be no less than the unbonding time: who dislikes a change can leave.
    uint32 public constant MIN_DELAY = 60;
    /// @notice Greatest delay of the governor (seconds).
    uint32 public constant MAX_DELAY = 90 days;

    /// @notice The delay is out of bounds (seconds).
    error Governance_DelayOutOfBounds(uint32 delay, uint32 low, uint32 high);

    /// @param parameters What is governed.
    /// @param governor Changes parameters, after `delay`.
    /// @param guardian Pauses entry.
    /// @param delay Seconds between the announcement and the execution of anything the governor does.
    constructor(address parameters, address governor, address guardian, uint32 delay) AccessManager(governor) {
        if (delay < MIN_DELAY || delay > MAX_DELAY) revert Governance_DelayOutOfBounds(delay, MIN_DELAY, MAX_DELAY);
        _grantRole(ADMIN_ROLE, governor, 0, delay);
        _grantRole(GUARDIAN_ROLE, guardian, 0, 0);
        _setTargetFunctionRole(parameters, IParameters.setEntryPaused.selector, GUARDIAN_ROLE);
    }
}
