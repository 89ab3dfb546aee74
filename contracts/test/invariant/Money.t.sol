// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BatonToken} from "../../src/BatonToken.sol";
import {RevenueShare} from "../../src/RevenueShare.sol";
import {SequencerPool} from "../../src/SequencerPool.sol";
import {Staking} from "../../src/Staking.sol";
import {IRevenueShare} from "../../src/interfaces/IRevenueShare.sol";
import {ISequencerPool} from "../../src/interfaces/ISequencerPool.sol";
import {IStaking} from "../../src/interfaces/IStaking.sol";
import {World} from "../helpers/World.sol";

/// @notice Stakers, owners, posters and the inbox acting in any order. Every call is bounded to one that must succeed.
contract MoneyHandler is World {
    uint256 internal constant ACCOUNTS = 4;
    uint64 internal constant SEQUENCERS = 4;

    uint64 public current;
    uint64 public epoch;
    uint256 public bonded;
    uint256 public paidOut;
    mapping(address => mapping(uint64 => uint256)) public entered;
    mapping(address => mapping(uint64 => uint256)) public left;

    constructor() {
        setUp();
        uint64[] memory ids = _found(SEQUENCERS, STAKE);
        bonded = STAKE * SEQUENCERS;
        for (uint256 i = 0; i < ACCOUNTS; ++i) {
            _fund(account(i), 10_000_000e18);
        }
        vm.deal(address(this), SUPPLY);
        inbox.start{value: SUPPLY}(_genesis(), ids);
        vm.deal(address(portal), 1_000_000 ether);
    }

    function account(uint256 i) public pure returns (address) {
        return address(uint160(0xacc0 + i % ACCOUNTS));
    }

    function system() external view returns (Staking, SequencerPool, RevenueShare, BatonToken) {
        return (staking, pool, revenue, token);
    }

    function delegate(uint256 who, uint256 to, uint256 amount) external {
        uint64 id = uint64(to % SEQUENCERS) + 1;
        IStaking.Sequencer memory s = staking.sequencer(id);
        uint256 room = 100_000e18 - s.stake;
        if (room == 0 || s.selfStake < 20_000e18) return;
        uint128 value = uint128(bound(amount, 1, room));
        vm.prank(account(who));
        staking.delegate(id, value);
        bonded += value;
        entered[account(who)][id] += value;
    }

    function requestExit(uint256 who, uint256 from, uint256 amount) external {
        uint64 id = uint64(from % SEQUENCERS) + 1;
        uint128 held = staking.stakeOf(id, account(who));
        if (held == 0) return;
        uint128 value = uint128(bound(amount, 1, held));
        vm.prank(account(who));
        staking.requestExit(id, value);
        left[account(who)][id] += value;
    }

    function requestSelfExit(uint256 from, uint256 amount) external {
        uint64 id = uint64(from % (SEQUENCERS - 1)) + 2;
        uint128 held = staking.stakeOf(id, address(0));
        if (held == 0) return;
        vm.prank(owner(id));
        staking.requestSelfExit(id, uint128(bound(amount, 1, held)));
    }

    function topUp(uint256 to) external {
        uint64 id = uint64(to % SEQUENCERS) + 1;
        IStaking.Sequencer memory s = staking.sequencer(id);
        if (s.selfStake >= 20_000e18 || 100_000e18 - s.stake < 20_000e18) return;
        vm.prank(owner(id));
        staking.topUp(id, 20_000e18);
        bonded += 20_000e18;
    }

    function finishExit(uint256 which) external {
        uint64 count = staking.exitCount();
        if (count == 0) return;
        uint64 exitId = uint64(which % count) + 1;
        IStaking.Exit memory out = staking.exits(exitId);
        if (out.account == address(0)) return;
        if (out.readyAt > vm.getBlockTimestamp()) _advance(out.readyAt - vm.getBlockTimestamp());
        staking.finishExit(exitId);
        paidOut += out.amount;
    }

    function setCommission(uint256 which, uint16 commission) external {
        uint64 id = uint64(which % SEQUENCERS) + 1;
        uint16 now_ = staking.sequencer(id).commission;
        vm.prank(owner(id));
        staking.setCommission(id, uint16(bound(commission, 0, now_)));
    }

    function takeSnapshot() external {
        current = _snapshot();
        ISequencerPool.Snapshot memory s = pool.snapshot(current);
        uint256 sum;
        for (uint256 i = 0; i < s.members.length; ++i) {
            assertGe(staking.sequencer(s.members[i].id).selfStake, 20_000e18);
            sum += s.members[i].stake;
        }
        assertEq(sum, s.totalStake);
    }

    function closeEpoch(uint256 fees, uint256 seed) external {
        fees = bound(fees, 0, 50 ether);
        uint256 members = pool.snapshot(current).members.length;
        uint32[] memory led = new uint32[](members);
        uint64[] memory signed = new uint64[](members);
        for (uint256 i = 0; i < members; ++i) {
            led[i] = uint32((seed >> (i * 16)) % 100);
            signed[i] = uint64((seed >> (i * 16 + 8)) % 6);
        }
        if (fees > 0) {
            vm.prank(address(inbox));
            portal.payFees(fees);
        }
        vm.prank(address(inbox));
        revenue.close(epoch++, current, fees, _performance(led), 5, signed);
    }

    function addDebt(uint256 who, uint256 amount) external {
        vm.prank(address(inbox));
        revenue.addDebt(1, account(who), bound(amount, 0, 10 ether));
    }

    function claimDebt(uint256 which) external {
        uint64 count = revenue.debtCount();
        if (count == 0) return;
        uint64[] memory ids = new uint64[](1);
        ids[0] = uint64(which % count) + 1;
        (address poster,,) = revenue.debt(ids[0]);
        if (poster == address(0)) return;
        vm.prank(poster);
        revenue.claimDebts(ids);
    }

    function claim(uint256 who, uint256 from) external {
        uint64 id = uint64(from % SEQUENCERS) + 1;
        uint256 due = revenue.claimable(id, account(who));
        vm.prank(account(who));
        assertEq(revenue.claim(id, address(0xdead)), due);
        assertEq(revenue.claimable(id, account(who)), 0);
    }

    function claimOwner(uint256 from) external {
        uint64 id = uint64(from % SEQUENCERS) + 1;
        vm.prank(owner(id));
        revenue.claimOwner(id, address(0xdead));
    }

    function claimTreasury() external {
        revenue.claimTreasury();
    }
}

contract MoneyInvariants is World {
    MoneyHandler private handler;
    uint64 private constant SEQUENCERS = 4;

    function setUp() public override {
        handler = new MoneyHandler();
        (staking, pool, revenue, token) = handler.system();
        targetContract(address(handler));
        bytes4[] memory excluded = new bytes4[](1);
        excluded[0] = World.setUp.selector;
        excludeSelector(FuzzSelector({addr: address(handler), selectors: excluded}));
    }

    /// P6: every staked token is stake or unbonding.
    function invariant_tokens_are_stake_or_unbonding() public view {
        assertEq(token.balanceOf(address(staking)), staking.totalStake() + staking.totalUnbonding());
        assertEq(handler.bonded(), staking.totalStake() + staking.totalUnbonding() + handler.paidOut());
    }

    function invariant_total_stake_is_the_sum_of_stakes() public view {
        uint256 sum;
        for (uint64 id = 1; id <= SEQUENCERS; ++id) {
            sum += staking.sequencer(id).stake;
            assertLe(staking.sequencer(id).stake, 100_000e18);
        }
        assertEq(sum, staking.totalStake());
    }

    function invariant_shares_are_the_sum_of_positions() public view {
        for (uint64 id = 1; id <= SEQUENCERS; ++id) {
            uint256 sum = staking.sharesOf(id, address(0));
            for (uint256 i = 0; i < 4; ++i) {
                sum += staking.sharesOf(id, handler.account(i));
            }
            assertEq(sum, staking.sequencer(id).shares);
        }
    }

    /// Without slashes nobody's stake grows or shrinks by anybody else's calls.
    function invariant_positions_hold_what_was_put_in() public view {
        for (uint64 id = 1; id <= SEQUENCERS; ++id) {
            for (uint256 i = 0; i < 4; ++i) {
                address who = handler.account(i);
                assertEq(staking.stakeOf(id, who), handler.entered(who, id) - handler.left(who, id));
            }
        }
    }

    /// P6: fees = debts paid + treasury + income + carry, and the ether is there.
    function invariant_the_books_of_the_revenue_balance() public view {
        IRevenueShare.Totals memory t = revenue.totals();
        assertEq(t.received, uint256(t.debtsPaid) + t.treasury + t.income + t.carry);
        assertEq(address(revenue).balance, t.received - t.claimed);
        assertLe(t.debtsPaid, t.debts);
    }

    function invariant_every_claim_can_be_paid() public view {
        uint256 due = revenue.totals().carry;
        for (uint64 id = 1; id <= SEQUENCERS; ++id) {
            due += revenue.claimableOwner(id);
            for (uint256 i = 0; i < 4; ++i) {
                due += revenue.claimable(id, handler.account(i));
            }
        }
        for (uint64 debtId = 1; debtId <= revenue.debtCount(); ++debtId) {
            (,, uint256 covered) = revenue.debt(debtId);
            due += covered;
        }
        assertLe(due, address(revenue).balance);
    }
}
