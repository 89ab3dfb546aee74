// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Governance} from "../../src/Governance.sol";
import {IBatchInbox} from "../../src/interfaces/IBatchInbox.sol";
import {IParameters} from "../../src/interfaces/IParameters.sol";
import {IPortal} from "../../src/interfaces/IPortal.sol";
import {IRevenueShare} from "../../src/interfaces/IRevenueShare.sol";
import {ISequencerPool} from "../../src/interfaces/ISequencerPool.sol";
import {IStaking} from "../../src/interfaces/IStaking.sol";
import {World} from "../helpers/World.sol";
import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";

/// @notice The permission matrix of README.md on the deployed system: who may, and that everybody else may not.
contract PermissionsTest is World {
    /// @dev The holders of every power, and an account that has none.
    address[] private everybody;

    function setUp() public override {
        super.setUp();
        _start(4);
        everybody = [address(staking), address(pool), address(inbox), address(portal), address(revenue), address(slashing)];
        everybody.push(address(recovery));
        everybody.push(address(parameters));
        everybody.push(address(governance));
        everybody.push(address(this));
        everybody.push(governor);
        everybody.push(guardian);
        everybody.push(treasury);
        everybody.push(owner(1));
        everybody.push(operator(1));
        everybody.push(makeAddr("nobody"));
    }

    /// @dev Nobody but `holder` gets past the check; each refusal is `selector` naming holder and caller.
    function _only(address target, bytes memory call, address holder, bytes4 selector) private {
        for (uint256 i = 0; i < everybody.length; ++i) {
            address caller = everybody[i];
            vm.prank(caller);
            (bool success, bytes memory reason) = target.call(call);
            bytes memory refusal = abi.encodeWithSelector(selector, holder, caller);
            if (caller == holder) assertNotEq(reason, refusal, "the holder is refused");
            else assertFalse(success, "somebody else may");
            if (caller != holder) assertEq(reason, refusal, "refused for another reason");
        }
    }

    function test_staking_is_moved_by_pool_slasher_and_parameters_only() public {
        _only(address(staking), abi.encodeCall(staking.slash, (1, 0, 0)), address(slashing), IStaking.Staking_NotSlasher.selector);
        bytes memory release = abi.encodeCall(staking.releaseSlashed, (address(1), 1));
        _only(address(staking), release, address(slashing), IStaking.Staking_NotSlasher.selector);
        bytes memory entry = abi.encodeCall(staking.setEntry, (20_000e18, 100_000e18, false));
        _only(address(staking), entry, address(parameters), IStaking.Staking_NotParameters.selector);
        bytes memory delegation = abi.encodeCall(staking.delegateFor, (1, address(1), 1, 0));
        _only(address(staking), delegation, address(revenue), IStaking.Staking_NotRevenue.selector);
        _only(address(staking), abi.encodeCall(staking.roll, ()), address(pool), IStaking.Staking_NotPool.selector);
    }

    function test_the_pool_is_moved_by_slasher_and_inbox_only() public {
        _only(address(pool), abi.encodeCall(pool.jail, (1, 1)), address(slashing), ISequencerPool.SequencerPool_NotSlasher.selector);
        bytes memory genesis = abi.encodeCall(pool.installSet, (new uint64[](0)));
        _only(address(pool), genesis, address(inbox), ISequencerPool.SequencerPool_NotInbox.selector);
    }

    function test_the_inbox_is_told_by_parameters_and_started_by_the_deployer_only() public {
        bytes memory repayment = abi.encodeCall(inbox.setRepayment, (1, 1));
        _only(address(inbox), repayment, address(parameters), IBatchInbox.BatchInbox_NotParameters.selector);
        _only(address(inbox), abi.encodeCall(inbox.raiseGeneration, ()), address(recovery), IBatchInbox.BatchInbox_NotRecovery.selector);
        bytes memory resume = abi.encodeCall(inbox.resume, (new uint64[](0), 0, 0));
        _only(address(inbox), resume, address(recovery), IBatchInbox.BatchInbox_NotRecovery.selector);
        uint64[] memory none;
        bytes memory start = abi.encodeCall(inbox.start, (_genesis(), none));
        _only(address(inbox), start, address(this), IBatchInbox.BatchInbox_NotDeployer.selector);
    }

    function test_portal_and_revenue_are_moved_by_the_inbox_only() public {
        _only(address(portal), abi.encodeCall(portal.setRoot, (1, 0)), address(inbox), IPortal.Portal_NotInbox.selector);
        _only(address(portal), abi.encodeCall(portal.payFees, (0)), address(inbox), IPortal.Portal_NotInbox.selector);
        _only(address(portal), abi.encodeCall(portal.fund, ()), address(inbox), IPortal.Portal_NotInbox.selector);
        bytes memory debt = abi.encodeCall(revenue.addDebt, (1, address(1), 1));
        _only(address(revenue), debt, address(inbox), IRevenueShare.RevenueShare_NotInbox.selector);
        bytes memory miss = abi.encodeCall(revenue.addMiss, (1, address(1)));
        _only(address(revenue), miss, address(inbox), IRevenueShare.RevenueShare_NotInbox.selector);
        bytes memory close = abi.encodeCall(revenue.close, (0, 0, 0, "", 0, new uint64[](0)));
        _only(address(revenue), close, address(inbox), IRevenueShare.RevenueShare_NotInbox.selector);
        _only(address(revenue), abi.encodeCall(revenue.receiveFees, ()), address(portal), IRevenueShare.RevenueShare_NotPortal.selector);
    }

    function test_a_sequencer_is_moved_by_its_owner_only() public {
        ISequencerPool.Keys memory keys = keysOf(1);
        for (uint256 i = 0; i < everybody.length; ++i) {
            address caller = everybody[i];
            if (caller == owner(1)) continue;
            vm.startPrank(caller);
            bytes memory refusal = abi.encodeWithSelector(IStaking.Staking_NotOwner.selector, 1, owner(1), caller);
            vm.expectRevert(refusal);
            staking.topUp(1, 1);
            vm.expectRevert(refusal);
            staking.requestSelfExit(1, 1);
            vm.expectRevert(refusal);
            staking.setCommission(1, 0);
            vm.expectRevert(refusal);
            staking.proposeOwner(1, caller);
            refusal = abi.encodeWithSelector(ISequencerPool.SequencerPool_NotOwner.selector, 1, owner(1), caller);
            vm.expectRevert(refusal);
            pool.register(1, keys, "", 0);
            vm.expectRevert(refusal);
            pool.deactivate(1);
            vm.expectRevert(refusal);
            pool.declareDowntime(1, 2, 3);
            vm.expectRevert(abi.encodeWithSelector(IRevenueShare.RevenueShare_NotOwner.selector, 1, owner(1), caller));
            revenue.claimOwner(1, caller);
            vm.stopPrank();
        }
    }

    /// What others commit to, the same included, neither helps nor hinders an account.
    function test_everybody_commits_for_itself() public {
        for (uint256 i = 0; i < everybody.length; ++i) {
            vm.prank(everybody[i]);
            commitments.commit(keccak256("call"));
            for (uint256 j = 0; j < everybody.length; ++j) {
                assertEq(commitments.blockOf(everybody[j], keccak256("call")), j <= i ? vm.getBlockNumber() - i + j : 0);
            }
            _advance(1);
        }
    }

    // -- Governance

    function _money() private view returns (IParameters.Money memory money) {
        money = parameters.money();
        (money.treasuryBps, money.tipCap, money.repayCap) = (700, 1 gwei, 0.5 ether);
    }

    function test_nobody_changes_parameters_without_the_delay() public {
        IParameters.Money memory money = _money();
        for (uint256 i = 0; i < everybody.length; ++i) {
            vm.startPrank(everybody[i]);
            // The governor itself is told to schedule the call first.
            if (everybody[i] == governor) vm.expectPartialRevert(IAccessManager.AccessManagerNotScheduled.selector);
            else vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, everybody[i]));
            parameters.setMoney(money);
            if (everybody[i] != guardian) {
                vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, everybody[i]));
                parameters.setEntryPaused(true);
            }
            vm.stopPrank();
        }
    }

    function test_the_governor_changes_parameters_after_the_delay() public {
        bytes memory call = abi.encodeCall(parameters.setMoney, (_money()));
        vm.startPrank(governor);
        governance.schedule(address(parameters), call, 0);
        skip(DELAY - 1);
        vm.expectPartialRevert(IAccessManager.AccessManagerNotReady.selector);
        governance.execute(address(parameters), call);
        skip(1);
        governance.execute(address(parameters), call);
        assertEq(parameters.money().treasuryBps, 700);
        assertEq(inbox.tipCap(), 1 gwei);
        assertEq(inbox.repayCap(), 0.5 ether);
        vm.stopPrank();
    }

    function _govern(bytes memory call) private {
        vm.startPrank(governor);
        governance.schedule(address(parameters), call, 0);
        skip(DELAY);
        governance.execute(address(parameters), call);
        vm.stopPrank();
    }

    function test_changes_reach_the_contracts_that_use_them() public {
        IParameters.Stakes memory stakes = parameters.stakes();
        (stakes.minStake, stakes.maxStake, stakes.snapshotInterval) = (30_000e18, 50_000e18, 7);
        _govern(abi.encodeCall(parameters.setStakes, (stakes)));
        assertEq(staking.minStake(), 30_000e18);
        assertEq(staking.maxStake(), 50_000e18);
        assertEq(pool.nextSnapshotBlock(), vm.getBlockNumber() + 7);
        IParameters.Penalties memory penalties = IParameters.Penalties(100, 200, 300, 400);
        _govern(abi.encodeCall(parameters.setPenalties, (penalties)));
        assertEq(abi.encode(parameters.values().penalties), abi.encode(penalties));
    }

    /// C29: what windows and L2 rules are made of cannot change under anybody.
    function test_windows_are_fixed_for_ever() public {
        IParameters.Stakes memory stakes = parameters.stakes();
        ++stakes.unbonding;
        bytes memory call = abi.encodeCall(parameters.setStakes, (stakes));
        vm.startPrank(governor);
        governance.schedule(address(parameters), call, 0);
        skip(DELAY);
        vm.expectRevert(abi.encodeWithSelector(IParameters.Parameters_Fixed.selector, "unbonding", 240, 241));
        governance.execute(address(parameters), call);
        --stakes.unbonding;
        --stakes.certificateLife;
        call = abi.encodeCall(parameters.setStakes, (stakes));
        governance.schedule(address(parameters), call, 0);
        skip(DELAY);
        vm.expectRevert(abi.encodeWithSelector(IParameters.Parameters_Fixed.selector, "certificateLife", 210, 209));
        governance.execute(address(parameters), call);
        vm.stopPrank();
    }

    /// C40: the bounds bind the governor too.
    function test_the_governor_stays_within_the_bounds() public {
        IParameters.Money memory money = _money();
        money.treasuryBps = 1_001;
        bytes memory call = abi.encodeCall(parameters.setMoney, (money));
        vm.startPrank(governor);
        governance.schedule(address(parameters), call, 0);
        skip(DELAY);
        vm.expectRevert(abi.encodeWithSelector(IParameters.Parameters_OutOfBounds.selector, "treasuryBps", 1_001, 0, 1_000));
        governance.execute(address(parameters), call);
        vm.stopPrank();
    }

    /// C40: a pause stops new stake and nothing else.
    function test_the_guardian_stops_entries_only() public {
        address account = makeAddr("delegator");
        _fund(account, 100e18);
        vm.prank(account);
        staking.delegate(1, 50e18);
        vm.prank(guardian);
        parameters.setEntryPaused(true);
        assertTrue(staking.entryPaused());
        vm.startPrank(account);
        vm.expectRevert(IStaking.Staking_EntryPaused.selector);
        staking.delegate(1, 1e18);
        vm.expectRevert(IStaking.Staking_EntryPaused.selector);
        staking.bond(STAKE, 0, 0);
        staking.switchSequencer(1, 2, 10e18, 0);
        uint64 exitId = staking.requestExit(1, 20e18);
        revenue.claim(1, account);
        vm.stopPrank();
        vm.startPrank(owner(1));
        vm.expectRevert(IStaking.Staking_EntryPaused.selector);
        staking.topUp(1, 1e18);
        staking.requestSelfExit(1, 1e18);
        pool.deactivate(1);
        vm.stopPrank();
        _ready(1);
        _advance(3);
        _prepare(10);
        _post(15, "");
        _serve();
        vm.deal(address(this), 100 gwei);
        portal.deposit{value: 100 gwei}(address(1), 1, 100_000, false, "", 100 gwei);
        skip(241);
        assertEq(staking.finishExit(exitId), 20e18);
        vm.prank(guardian);
        parameters.setEntryPaused(false);
        vm.prank(account);
        staking.delegate(1, 1e18);
        assertEq(staking.stakeOf(1, account), 21e18);
    }

    function test_the_deployer_keeps_no_role_and_roles_change_after_the_delay_only() public {
        (bool admin,) = governance.hasRole(0, address(this));
        assertFalse(admin);
        (bool member, uint32 delay) = governance.hasRole(0, governor);
        assertTrue(member);
        assertEq(delay, DELAY);
        (member, delay) = governance.hasRole(governance.GUARDIAN_ROLE(), guardian);
        assertTrue(member);
        assertEq(delay, 0);
        vm.prank(governor);
        vm.expectPartialRevert(IAccessManager.AccessManagerNotScheduled.selector);
        governance.grantRole(1, governor, 0);
        vm.prank(guardian);
        vm.expectPartialRevert(IAccessManager.AccessManagerUnauthorizedAccount.selector);
        governance.grantRole(1, guardian, 0);
    }

    /// M5: penalties and bounds of the day of the report never surprise who could have left.
    function test_M5_the_delay_is_no_less_than_the_unbonding_time() public {
        vm.expectRevert(abi.encodeWithSelector(Governance.Governance_DelayOutOfBounds.selector, 239, 240, 90 days));
        new Governance(address(parameters), governor, guardian, 239);
        vm.expectRevert(abi.encodeWithSelector(Governance.Governance_DelayOutOfBounds.selector, 90 days + 1, 240, 90 days));
        new Governance(address(parameters), governor, guardian, 90 days + 1);
        assertEq(new Governance(address(parameters), governor, guardian, 240).leastDelay(), 240);
    }

    function _afterTheDelay(address target, bytes memory call, bytes memory reason) private {
        vm.startPrank(governor);
        governance.schedule(target, call, 0);
        _advance(DELAY);
        if (reason.length != 0) vm.expectRevert(reason);
        governance.execute(target, call);
        vm.stopPrank();
    }

    /// M5: no change of roles or wiring lets a later change come without the delay.
    function test_M5_nothing_the_governor_does_shortens_the_delay() public {
        address self = address(governance);
        bytes memory call = abi.encodeCall(governance.grantRole, (0, governor, DELAY - 1));
        _afterTheDelay(self, call, abi.encodeWithSelector(Governance.Governance_DelayOutOfBounds.selector, DELAY - 1, DELAY, 90 days));
        call = abi.encodeCall(governance.grantRole, (0, address(1), 0));
        _afterTheDelay(self, call, abi.encodeWithSelector(Governance.Governance_DelayOutOfBounds.selector, 0, DELAY, 90 days));
        call = abi.encodeCall(governance.grantRole, (0, address(1), DELAY));
        _afterTheDelay(self, call, "");
        (bool member,) = governance.hasRole(0, address(1));
        assertTrue(member, "another governor, with the delay");
        bytes memory fixedForEver = abi.encodeWithSelector(Governance.Governance_Fixed.selector, address(parameters));
        vm.startPrank(governor);
        vm.expectRevert(fixedForEver);
        governance.updateAuthority(address(parameters), governor);
        vm.expectRevert(fixedForEver);
        governance.setTargetClosed(address(parameters), true);
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = IParameters.setMoney.selector;
        vm.expectRevert(fixedForEver);
        governance.setTargetFunctionRole(address(parameters), selectors, 1);
        vm.stopPrank();
    }

    /// M5: a minimum that no member reaches would empty the set and stop the chain.
    function test_M5_the_minimum_rises_to_twice_the_first_at_most() public {
        IParameters.Stakes memory stakes = parameters.stakes();
        assertEq(parameters.minStakeCeiling(), 40_000e18);
        stakes.minStake = 40_001e18;
        _afterTheDelay(
            address(parameters),
            abi.encodeCall(parameters.setStakes, (stakes)),
            abi.encodeWithSelector(IParameters.Parameters_OutOfBounds.selector, "minStake", 40_001e18, 1e18, 40_000e18)
        );
        stakes.minStake = 40_000e18;
        _afterTheDelay(address(parameters), abi.encodeCall(parameters.setStakes, (stakes)), "");
        _snapshot();
        assertEq(pool.active().length, 4);
    }
}
