// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {World} from "../helpers/World.sol";

/// @notice Any order of entries, exits and slashes against a plain model that keeps every piece of stake apart.
contract StakingSlashModelTest is World {
    struct Piece {
        uint64 joined;
        uint64 left;
        uint256 exitId;
        uint256 value;
    }

    uint256 private constant ACCOUNTS = 4;
    uint256 private constant TOLERANCE = 1e6;
    mapping(uint256 => Piece[]) private pieces;
    uint64 private id;
    uint64 private landed;
    bool private plain;

    function _account(uint256 i) private view returns (address) {
        return i == 0 ? owner(id) : address(uint160(0xacc00 + i));
    }

    function _position(uint256 i) private view returns (address) {
        return i == 0 ? address(0) : _account(i);
    }

    function testFuzz_C15_every_position_and_exit_loses_what_the_model_says(uint256 seed) public {
        id = _bond(STAKE, 0);
        pieces[0].push(Piece(0, type(uint64).max, 0, STAKE));
        for (uint256 i = 1; i < ACCOUNTS; ++i) {
            _fund(_account(i), 1_000_000e18);
        }
        plain = true;
        for (uint256 step = 0; step < 40; ++step) {
            uint256 random = uint256(keccak256(abi.encode(seed, step)));
            uint256 who = (random >> 8) % ACCOUNTS;
            if (random % 8 < 3) _enter(who, random >> 16);
            else if (random % 8 < 5) _leave(who, random >> 16);
            else if (random % 8 < 7) _roll();
            else _slash(random >> 16);
            _compare();
        }
    }

    function _enter(uint256 who, uint256 random) private {
        if (who == 0 || lens.room(id) < 1e18 || staking.sequencer(id).selfStake < 20_000e18) return;
        uint128 amount = uint128(bound(random, 1e18, lens.room(id)));
        vm.prank(_account(who));
        staking.delegate(id, amount);
        pieces[who].push(Piece(staking.period(), type(uint64).max, 0, amount));
    }

    function _leave(uint256 who, uint256 random) private {
        uint128 held = staking.stakeOf(id, _position(who));
        if (held < 1e18) return;
        uint128 amount = random % 3 == 0 ? held : uint128(bound(random, 1e18, held));
        vm.prank(_account(who));
        uint64 exitId = who == 0 ? staking.requestSelfExit(id, amount) : staking.requestExit(id, amount);
        uint256 rest = amount;
        // Oldest first.
        uint256 length = pieces[who].length;
        for (uint256 i = 0; i < length && rest > 0; ++i) {
            Piece storage piece = pieces[who][i];
            if (piece.exitId != 0 || piece.value == 0) continue;
            uint256 part = piece.value < rest ? piece.value : rest;
            rest -= part;
            piece.value -= part;
            pieces[who].push(Piece(piece.joined, staking.period(), exitId, part));
        }
        if (plain) assertLe(rest, TOLERANCE);
    }

    function _roll() private {
        vm.prank(address(pool));
        staking.roll();
    }

    function _slash(uint256 random) private {
        uint64 now_ = staking.period();
        if (now_ == 0) return;
        uint64 snapshot = uint64(random % now_);
        uint16 bps = uint16(bound(random >> 64, 1, 5_000));
        // A slash of a snapshot before the last landing finds the last one's bonus counted as newer than what it was given for.
        if (snapshot < landed) plain = false;
        landed = now_;
        (uint256 reached, uint256 bonded) = _reached(snapshot);
        bool crumbs = reached != bonded && reached * 100 < bonded;
        // Too near to tell.
        if (reached != bonded && reached * 100 < bonded + TOLERANCE * 1_000 && reached * 100 + TOLERANCE * 1_000 > bonded) plain = false;
        vm.prank(slasher);
        staking.slash(id, snapshot, bps);
        for (uint256 who = 0; who < ACCOUNTS; ++who) {
            for (uint256 i = 0; i < pieces[who].length; ++i) {
                Piece storage piece = pieces[who][i];
                if (crumbs && piece.exitId == 0) continue;
                if (piece.joined <= snapshot && snapshot < piece.left) piece.value -= piece.value * bps / 10_000;
            }
        }
    }

    /// @dev What a slash of `snapshot` finds bonded, of all that is.
    function _reached(uint64 snapshot) private view returns (uint256 reached, uint256 bonded) {
        for (uint256 who = 0; who < ACCOUNTS; ++who) {
            for (uint256 i = 0; i < pieces[who].length; ++i) {
                Piece storage piece = pieces[who][i];
                if (piece.exitId != 0) continue;
                bonded += piece.value;
                if (piece.joined <= snapshot) reached += piece.value;
            }
        }
    }

    function _compare() private view {
        uint256 sum;
        uint256 shares;
        for (uint256 who = 0; who < ACCOUNTS; ++who) {
            uint256 held;
            for (uint256 i = 0; i < pieces[who].length; ++i) {
                if (pieces[who][i].exitId == 0) held += pieces[who][i].value;
            }
            uint256 actual = staking.stakeOf(id, _position(who));
            if (plain) assertApproxEqAbs(actual, held, TOLERANCE);
            sum += actual;
            shares += staking.sharesOf(id, _position(who));
        }
        assertLe(sum, staking.totalStake(), "no position is unbacked");
        assertLe(shares, staking.sequencer(id).shares);
        if (plain) {
            for (uint64 exitId = 1; exitId <= staking.exitCount(); ++exitId) {
                assertApproxEqAbs(staking.exits(exitId).amount, _exitValue(exitId), TOLERANCE);
            }
        }
        assertEq(token.balanceOf(address(staking)), staking.totalStake() + staking.totalUnbonding() + staking.totalSlashed());
    }

    function _exitValue(uint256 exitId) private view returns (uint256 value) {
        for (uint256 who = 0; who < ACCOUNTS; ++who) {
            for (uint256 i = 0; i < pieces[who].length; ++i) {
                if (pieces[who][i].exitId == exitId) value += pieces[who][i].value;
            }
        }
    }
}
