// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IParameters} from "../../src/interfaces/IParameters.sol";
import {IRevenueShare} from "../../src/interfaces/IRevenueShare.sol";
import {IStaking} from "../../src/interfaces/IStaking.sol";
import {World} from "../helpers/World.sol";

/// @notice The emission stream: one token a second, shared as the attesters' fees are.
contract EmissionsTest is World {
    address private account = makeAddr("delegator");
    uint256 private fundedAt;

    function setUp() public override {
        super.setUp();
        uint64[] memory ids = _found(4, STAKE);
        _fund(account, 1_000_000e18);
        vm.startPrank(account);
        staking.delegate(1, 40_000e18);
        staking.delegate(2, 40_000e18);
        vm.stopPrank();
        vm.deal(address(this), SUPPLY);
        inbox.start{value: SUPPLY}(_genesis(), ids);
        token.approve(address(revenue), type(uint256).max);
    }

    function _fundStream(uint128 amount) private {
        revenue.fundEmissions(amount);
        fundedAt = vm.getBlockTimestamp();
    }

    function _close(uint256 seconds_) private {
        _advance(seconds_);
        _closeEpoch(0, _evenly(4), 15);
    }

    /// @dev P6 for tokens.
    function _balanced() private view {
        IRevenueShare.Emissions memory e = revenue.emissions();
        assertEq(e.funded, uint256(e.left) + e.carry + e.income);
        assertLe(e.claimed, e.income);
        uint256 due = uint256(e.left) + e.carry;
        for (uint64 id = 1; id <= 4; ++id) {
            due += revenue.claimableTokens(id, address(0)) + revenue.claimableTokens(id, account);
        }
        assertLe(due, token.balanceOf(address(revenue)));
        assertLe(token.balanceOf(address(revenue)) - due, 100, "dust only");
    }

    function test_tokens_stream_by_the_second_by_stake_and_shares() public {
        _fundStream(1_000e18);
        _close(60);
        // Sequencers 1 and 2 have 80,000 of 240,000 each, half of it delegated; commission 10 %.
        assertApproxEqAbs(revenue.claimableTokens(1, account), 9e18, 10);
        assertApproxEqAbs(revenue.claimableTokens(1, address(0)), 11e18, 10);
        assertApproxEqAbs(revenue.claimableTokens(3, address(0)), 10e18, 10);
        assertEq(revenue.emissions().left, 940e18);
        _balanced();
        _close(30);
        assertEq(revenue.emissions().left, 910e18);
        _balanced();
    }

    function test_a_dry_stream_pays_nothing_and_counts_no_time() public {
        _fundStream(10e18);
        _close(60);
        assertEq(revenue.emissions().left, 0);
        assertApproxEqAbs(revenue.emissions().income, 10e18, 1_000);
        _close(60);
        IRevenueShare.Emissions memory before = revenue.emissions();
        _advance(50);
        _fundStream(100e18);
        assertEq(revenue.emissions().left, 100e18);
        _close(7);
        assertEq(revenue.emissions().left, 93e18, "the dry time is not made up for (C3)");
        assertGe(revenue.emissions().income, before.income + 7e18 - 1_000);
        _balanced();
    }

    /// C3: one long interval releases what many short ones would.
    function test_C03_the_length_of_an_interval_changes_nothing() public {
        _fundStream(1_000e18);
        uint256 state = vm.snapshotState();
        _close(100);
        uint256 once = revenue.emissions().left;
        vm.revertToState(state);
        for (uint256 i = 0; i < 10; ++i) {
            _close(10);
        }
        assertEq(revenue.emissions().left, once);
    }

    /// C9: what an absent attester would have got is carried, not lost and not given to others.
    function test_an_absent_attesters_tokens_are_carried() public {
        _fundStream(1_000e18);
        _advance(60);
        uint64 absent = pool.snapshot(0).members[3].id;
        uint256 part = 60e18 * uint256(staking.sequencer(absent).stake) / 240_000e18;
        _closeEpoch(0, _evenly(4), 7);
        assertApproxEqAbs(revenue.emissions().carry, part, 100);
        assertEq(revenue.claimableTokens(absent, address(0)), 0);
        _balanced();
        _advance(60);
        _closeEpoch(0, _evenly(4), 15);
        assertApproxEqAbs(revenue.claimableTokens(absent, address(0)), (60e18 + part) * part / 60e18 * (absent > 2 ? 10 : 5) / 10, 5.6e18);
        _balanced();
    }

    function test_one_claim_pays_ether_and_tokens_to_any_receiver() public {
        _fundStream(1_000e18);
        _advance(60);
        _closeEpoch(10 ether, _evenly(4), 15);
        address receiver = makeAddr("receiver");
        (uint256 wei_, uint256 tokens) = (revenue.claimable(1, account), revenue.claimableTokens(1, account));
        assertGt(wei_, 0);
        vm.expectEmit(address(revenue));
        emit IRevenueShare.TokensClaimed(1, account, receiver, false, tokens);
        vm.prank(account);
        assertEq(revenue.claim(1, receiver), wei_);
        assertEq(receiver.balance, wei_);
        assertEq(token.balanceOf(receiver), tokens);
        assertEq(revenue.claimableTokens(1, account), 0);
        _balanced();
    }

    function test_all_delegations_are_claimed_at_once() public {
        _fundStream(1_000e18);
        _advance(60);
        _closeEpoch(10 ether, _evenly(4), 15);
        uint256 wei_ = revenue.claimable(1, account) + revenue.claimable(2, account);
        uint256 tokens = revenue.claimableTokens(1, account) + revenue.claimableTokens(2, account);
        uint64[] memory ids = new uint64[](4);
        (ids[0], ids[1], ids[2], ids[3]) = (1, 2, 1, 4);
        address receiver = makeAddr("receiver");
        vm.prank(account);
        assertEq(revenue.claimAll(ids, receiver), wei_);
        assertEq(receiver.balance, wei_);
        assertEq(token.balanceOf(receiver), tokens);
        _balanced();
    }

    function test_the_owner_claims_commission_and_self_stake_in_tokens() public {
        _fundStream(1_000e18);
        _close(60);
        uint256 tokens = revenue.claimableTokens(1, address(0));
        vm.prank(owner(1));
        revenue.claimOwner(1, makeAddr("receiver"));
        assertEq(token.balanceOf(makeAddr("receiver")), tokens);
        assertEq(revenue.claimableTokens(1, address(0)), 0);
        _balanced();
    }

    function test_token_income_is_compounded_without_leaving_the_contracts() public {
        _fundStream(1_000e18);
        _advance(60);
        _closeEpoch(10 ether, _evenly(4), 15);
        (uint256 wei_, uint256 due) = (revenue.claimable(1, account), revenue.claimableTokens(1, account));
        uint128 held = staking.stakeOf(1, account);
        uint128 expected = lens.previewEntry(1, uint128(due));
        vm.prank(account);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_TooFewShares.selector, expected, expected + 1));
        revenue.compound(1, expected + 1);
        vm.prank(account);
        (uint256 tokens, uint128 shares) = revenue.compound(1, expected);
        assertEq(tokens, due);
        assertEq(shares, expected);
        assertEq(staking.stakeOf(1, account), held + due);
        assertEq(account.balance, wei_, "the ether is paid");
        assertEq(revenue.claimableTokens(1, account), 0);
        assertEq(token.balanceOf(address(staking)), staking.totalStake());
        _balanced();
        vm.prank(account);
        vm.expectRevert(IStaking.Staking_ZeroAmount.selector);
        revenue.compound(1, 0);
    }

    /// C6, C8: who joins later shares nothing of before; a claim after share changes pays the exact sum.
    function test_C06_later_shares_earn_nothing_of_before() public {
        _fundStream(1_000e18);
        address late = makeAddr("late");
        _fund(late, 1_000e18);
        vm.prank(late);
        staking.delegate(3, 1_000e18);
        _close(60);
        assertEq(revenue.claimableTokens(3, late), 0);
        vm.prank(account);
        staking.requestExit(1, 20_000e18);
        assertApproxEqAbs(revenue.claimableTokens(1, account), 9e18, 10, "an exit keeps what was earned");
        _serve();
        assertEq(revenue.claimableTokens(3, late), 0);
        _close(60);
        assertGt(revenue.claimableTokens(3, late), 0);
    }

    /// C29: a new rate counts from the last closing on and never beyond the funds.
    function test_a_new_rate_never_exceeds_the_funds() public {
        IParameters.Money memory money = parameters.money();
        money.emission = 200e18;
        bytes memory call = abi.encodeCall(parameters.setMoney, (money));
        vm.prank(governor);
        governance.schedule(address(parameters), call, 0);
        _advance(150);
        _serve();
        _advance(90);
        _fundStream(10e18);
        vm.prank(governor);
        governance.execute(address(parameters), call);
        _advance(1);
        _closeEpoch(0, _evenly(4), 15);
        assertEq(revenue.emissions().left, 0);
        _balanced();
    }

    function testFuzz_every_token_is_left_claimable_or_carried(uint256 seed) public {
        _fundStream(uint128(bound(seed, 1, 1_000e18)));
        for (uint256 i = 0; i < 4; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            _advance(1 + seed % 40);
            // Any three or four of the equal halves hold two thirds.
            _closeEpoch(seed % 5 ether, _evenly(4), 15);
            _balanced();
            if (seed & 1 == 1) {
                vm.prank(account);
                revenue.claim(1 + uint64(seed >> 8) % 2, account);
            }
        }
        _balanced();
    }
}
