// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRevenueShare} from "../../src/interfaces/IRevenueShare.sol";
import {ISequencerPool} from "../../src/interfaces/ISequencerPool.sol";
import {IStaking} from "../../src/interfaces/IStaking.sol";
import {World} from "../helpers/World.sol";
import {MoneyHandler} from "./MoneyHandler.sol";

contract MoneyInvariants is World {
    MoneyHandler private handler;
    uint64 private constant SEQUENCERS = 4;

    function setUp() public override {
        handler = new MoneyHandler();
        (staking, pool, revenue, token, lens) = handler.system();
        portal = handler.bridge();
        targetContract(address(handler));
        bytes4[] memory excluded = new bytes4[](1);
        excluded[0] = World.setUp.selector;
        excludeSelector(FuzzSelector({addr: address(handler), selectors: excluded}));
    }

    /// No action is a name only: in a sequence of 5,000 calls, each time the same, each comes to its end in at least one call of a hundred.
    function test_every_action_succeeds() public {
        bytes4[25] memory actions = _actions();
        for (uint256 i = 0; i < 200 * actions.length; ++i) {
            bytes32 random = keccak256(abi.encode("actions", i));
            bytes memory words =
                abi.encode(random, keccak256(abi.encode(random, 1)), keccak256(abi.encode(random, 2)), keccak256(abi.encode(random, 3)));
            (bool success, bytes memory reason) =
                address(handler).call(bytes.concat(actions[uint256(random >> 128) % actions.length], words));
            assertTrue(success, vm.toString(reason));
        }
        for (uint256 i = 0; i < actions.length; ++i) {
            (uint256 calls, uint256 successes) = (handler.calls(actions[i]), handler.successes(actions[i]));
            assertGt(calls, 100, vm.toString(actions[i]));
            assertGe(successes * 100, calls, vm.toString(actions[i]));
        }
    }

    function _actions() private pure returns (bytes4[25] memory) {
        return [
            MoneyHandler.delegate.selector,
            MoneyHandler.requestExit.selector,
            MoneyHandler.requestSelfExit.selector,
            MoneyHandler.topUp.selector,
            MoneyHandler.finishExit.selector,
            MoneyHandler.switchSequencer.selector,
            MoneyHandler.settleSwitch.selector,
            MoneyHandler.slash.selector,
            MoneyHandler.releaseSlashed.selector,
            MoneyHandler.changeOwner.selector,
            MoneyHandler.setCommission.selector,
            MoneyHandler.takeSnapshot.selector,
            MoneyHandler.closeEpoch.selector,
            MoneyHandler.addDebt.selector,
            MoneyHandler.claimDebt.selector,
            MoneyHandler.fundEmissions.selector,
            MoneyHandler.claimAll.selector,
            MoneyHandler.compound.selector,
            MoneyHandler.jailAndReturn.selector,
            MoneyHandler.deposit.selector,
            MoneyHandler.payProceeds.selector,
            MoneyHandler.withdraw.selector,
            MoneyHandler.claim.selector,
            MoneyHandler.claimOwner.selector,
            MoneyHandler.claimTreasury.selector
        ];
    }

    /// All that must hold, after every call of one campaign: a name each, which the trace of a failure shows.
    function invariant_money() public view {
        this.tokens_are_stake_or_unbonding_or_slashed();
        this.total_stake_is_the_sum_of_stakes();
        this.shares_are_the_sum_of_positions();
        this.no_account_gains();
        this.stakes_are_backed();
        this.exits_are_backed_and_never_revive();
        this.the_books_of_the_revenue_balance();
        this.every_claim_can_be_paid();
        this.emissions_balance();
        this.every_token_claim_can_be_paid();
        this.claimed_is_at_most_funded();
        this.open_debts_are_what_fees_have_not_covered_or_posters_not_taken();
        this.slashed_tokens_are_all_there_or_released();
        this.no_stake_exceeds_the_cap();
        this.commissions_keep_their_maximum();
        this.no_exit_waits_longer_than_the_unbonding_time();
        this.the_newest_segment_is_what_a_position_holds();
        this.periods_are_counted_by_snapshots();
        this.a_snapshots_shares_are_those_of_its_positions();
        this.leader_intervals_fill_the_total_stake();
        this.members_ascend_by_identity();
        this.a_snapshot_never_changes();
        this.seals_ascend_and_one_is_newest_at_any_block();
        this.the_active_set_names_active_sequencers_once();
        this.every_active_sequencer_is_in_the_active_set();
        this.the_portals_ether_is_what_came_in_less_what_went_out();
        this.proceeds_are_owed_or_paid();
        this.deposits_are_counted_exactly();
    }

    /// P6: every staked token is stake, unbonding or slashed.
    function tokens_are_stake_or_unbonding_or_slashed() external view {
        uint256 held = staking.totalStake() + staking.totalUnbonding() + staking.totalSlashed();
        assertEq(token.balanceOf(address(staking)), held);
        assertEq(handler.bonded(), held + handler.paidOut() + handler.released());
    }

    function total_stake_is_the_sum_of_stakes() external view {
        uint256 sum;
        for (uint64 id = 1; id <= SEQUENCERS; ++id) {
            sum += staking.sequencer(id).stake;
            assertLe(staking.sequencer(id).stake, 100_000e18);
        }
        assertEq(sum, staking.totalStake());
    }

    function shares_are_the_sum_of_positions() external view {
        for (uint64 id = 1; id <= SEQUENCERS; ++id) {
            uint256 sum = staking.sharesOf(id, address(0));
            for (uint256 i = 0; i < 4; ++i) {
                sum += staking.sharesOf(id, handler.account(i));
            }
            // A slash that spares later stake leaves less than a share of each position to nobody.
            uint256 all = staking.sequencer(id).shares;
            assertLe(sum, all);
            if (staking.slashCount(id) == 0) assertEq(sum, all);
        }
    }

    /// No account's worth rises by any sequence of calls: tokens, stake and exits together are at most what it began with (a few wei of others'
    /// rounding aside).
    function no_account_gains() external view {
        for (uint256 i = 0; i < 4; ++i) {
            address who = handler.account(i);
            uint256 worth = token.balanceOf(who);
            for (uint64 id = 1; id <= SEQUENCERS; ++id) {
                worth += staking.stakeOf(id, who);
            }
            (, IStaking.Exit[] memory list,) = lens.exitsOf(who, 1, type(uint64).max);
            for (uint256 k = 0; k < list.length; ++k) {
                worth += list[k].amount;
            }
            assertLe(worth, 10_000_000e18 + 1_000 + handler.compounded(who));
        }
    }

    function stakes_are_backed() external view {
        for (uint64 id = 1; id <= SEQUENCERS; ++id) {
            uint256 sum = staking.stakeOf(id, address(0));
            for (uint256 i = 0; i < 4; ++i) {
                sum += staking.stakeOf(id, handler.account(i));
            }
            assertLe(sum, staking.sequencer(id).stake);
        }
    }

    function exits_are_backed_and_never_revive() external view {
        uint256 sum;
        for (uint64 exitId = 1; exitId <= staking.exitCount(); ++exitId) {
            IStaking.Exit memory out = staking.exits(exitId);
            assertEq(out.account == address(0), handler.finished(exitId));
            sum += out.amount;
        }
        assertLe(sum, staking.totalUnbonding());
    }

    /// P6: fees = debts paid + treasury + income + carry, and the ether is there.
    function the_books_of_the_revenue_balance() external view {
        IRevenueShare.Totals memory t = revenue.totals();
        assertEq(t.received, uint256(t.debtsPaid) + t.treasury + t.income + t.carry);
        assertEq(address(revenue).balance + handler.claimsPaid() + handler.debtsClaimed() + handler.treasuryPaid(), t.received);
        assertLe(t.debtsPaid, t.debts);
    }

    function every_claim_can_be_paid() external view {
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

    // -- Emissions

    /// P6 for the stream: funded = left + carry + income, and the tokens are there.
    function emissions_balance() external view {
        IRevenueShare.Emissions memory e = revenue.emissions();
        assertEq(e.funded, uint256(e.left) + e.carry + e.income);
        assertEq(token.balanceOf(address(revenue)) + handler.tokensPaid(), e.funded);
    }

    function every_token_claim_can_be_paid() external view {
        IRevenueShare.Emissions memory e = revenue.emissions();
        uint256 due = uint256(e.left) + e.carry;
        for (uint64 id = 1; id <= SEQUENCERS; ++id) {
            due += revenue.claimableTokens(id, address(0));
            for (uint256 i = 0; i < 4; ++i) {
                due += revenue.claimableTokens(id, handler.account(i));
            }
        }
        assertLe(due, token.balanceOf(address(revenue)));
    }

    function claimed_is_at_most_funded() external view {
        IRevenueShare.Totals memory t = revenue.totals();
        assertLe(t.claimed, uint256(t.debtsPaid) + t.treasury + t.income);
        IRevenueShare.Emissions memory e = revenue.emissions();
        assertLe(e.claimed, e.income);
    }

    function open_debts_are_what_fees_have_not_covered_or_posters_not_taken() external view {
        uint256 open;
        for (uint64 debtId = 1; debtId <= revenue.debtCount(); ++debtId) {
            (, uint256 rest, uint256 covered) = revenue.debt(debtId);
            assertLe(covered, rest);
            open += rest;
        }
        assertEq(open + handler.debtsClaimed(), revenue.totals().debts);
    }

    // -- Stake

    function slashed_tokens_are_all_there_or_released() external view {
        // What switched stake pays comes on top.
        assertGe(staking.totalSlashed() + handler.released(), handler.slashed());
    }

    function no_stake_exceeds_the_cap() external view {
        for (uint64 id = 1; id <= SEQUENCERS; ++id) {
            assertLe(staking.sequencer(id).stake, staking.maxStake());
        }
    }

    function commissions_keep_their_maximum() external view {
        for (uint64 id = 1; id <= SEQUENCERS; ++id) {
            IStaking.Sequencer memory s = staking.sequencer(id);
            assertLe(s.commission, s.maxCommission);
        }
    }

    function no_exit_waits_longer_than_the_unbonding_time() external view {
        for (uint64 exitId = 1; exitId <= staking.exitCount(); ++exitId) {
            assertLe(staking.exits(exitId).readyAt, vm.getBlockTimestamp() + 240);
        }
    }

    function the_newest_segment_is_what_a_position_holds() external view {
        for (uint64 id = 1; id <= SEQUENCERS; ++id) {
            for (uint256 i = 0; i < 4; ++i) {
                IStaking.Segment[] memory list = staking.segments(id, handler.account(i), 0, 10_000);
                uint128 held = staking.sharesOf(id, handler.account(i));
                assertEq(list.length == 0 ? 0 : list[list.length - 1].shares, held);
                for (uint256 k = 1; k < list.length; ++k) {
                    assertLt(list[k - 1].from, list[k].from);
                }
            }
        }
    }

    function periods_are_counted_by_snapshots() external view {
        assertEq(staking.period(), pool.snapshotCount());
    }

    // -- Snapshots

    function _newest() private view returns (ISequencerPool.Snapshot memory) {
        return pool.snapshot(handler.current());
    }

    function a_snapshots_shares_are_those_of_its_positions() external view {
        ISequencerPool.Snapshot memory s = _newest();
        for (uint256 m = 0; m < s.members.length; ++m) {
            uint64 id = s.members[m].id;
            uint256 sum = lens.sharesAt(id, address(0), s.id);
            for (uint256 i = 0; i < 4; ++i) {
                sum += lens.sharesAt(id, handler.account(i), s.id);
            }
            assertLe(sum, s.members[m].shares);
            if (staking.slashCount(id) == 0) assertEq(sum, s.members[m].shares);
        }
    }

    function leader_intervals_fill_the_total_stake() external view {
        ISequencerPool.Snapshot memory s = _newest();
        uint256 sum;
        for (uint256 i = 0; i < s.members.length; ++i) {
            assertGt(s.members[i].stake, 0);
            sum += s.members[i].stake;
        }
        assertEq(sum, s.totalStake);
        for (uint64 term = 1; term <= 8; ++term) {
            (uint256 member, uint64 id) = pool.leaderOf(s.id, 7, term);
            assertEq(s.members[member].id, id);
        }
    }

    function members_ascend_by_identity() external view {
        ISequencerPool.Snapshot memory s = _newest();
        for (uint256 i = 1; i < s.members.length; ++i) {
            assertLt(uint256(s.members[i - 1].identity), uint256(s.members[i].identity));
        }
    }

    function a_snapshot_never_changes() external view {
        for (uint64 id = 0; id <= handler.current(); ++id) {
            assertTrue(handler.isFrozen(id));
        }
    }

    function seals_ascend_and_one_is_newest_at_any_block() external view {
        uint64 last;
        uint256 newest;
        for (uint64 id = 0; id < pool.snapshotCount(); ++id) {
            (, uint64 sealBlock) = pool.snapshotBlocks(id);
            assertGe(sealBlock, last);
            last = sealBlock;
            if (pool.isNewestAt(id, uint64(vm.getBlockNumber()))) ++newest;
        }
        assertEq(newest, 1);
    }

    // -- Set

    function the_active_set_names_active_sequencers_once() external view {
        uint64[] memory active = pool.active();
        assertLe(active.length, 64);
        for (uint256 i = 0; i < active.length; ++i) {
            assertEq(uint8(pool.entry(active[i]).status), uint8(ISequencerPool.Status.Active));
            for (uint256 k = 0; k < i; ++k) {
                assertNotEq(active[i], active[k]);
            }
            assertLe(pool.enteredIn(active[i]), staking.period());
        }
    }

    function every_active_sequencer_is_in_the_active_set() external view {
        uint256 count;
        for (uint64 id = 1; id <= SEQUENCERS; ++id) {
            if (pool.entry(id).status == ISequencerPool.Status.Active) ++count;
        }
        assertEq(count, pool.active().length);
    }

    // -- Bridge

    function the_portals_ether_is_what_came_in_less_what_went_out() external view {
        uint256 held = 1_000_000 ether + handler.deposited() - handler.withdrawn() - handler.feesPaid() + portal.proceeds();
        assertEq(address(portal).balance, held);
    }

    /// P6: every wei paid for the gas of deposits is with the portal or was received by the RevenueShare, beside the fees.
    function proceeds_are_owed_or_paid() external view {
        assertEq(portal.proceeds() + handler.proceedsPaid(), handler.sold());
        assertEq(revenue.totals().received, handler.feesPaid() + handler.proceedsPaid());
    }

    function deposits_are_counted_exactly() external view {
        assertEq(portal.depositCount(), handler.deposits());
        (bool exact, uint64 firstLeftOut) = portal.isCountAt(handler.deposits(), uint64(vm.getBlockNumber()));
        assertTrue(exact);
        assertEq(firstLeftOut, type(uint64).max);
        (exact,) = portal.isCountAt(handler.deposits() + 1, uint64(vm.getBlockNumber()));
        assertFalse(exact);
    }
}
