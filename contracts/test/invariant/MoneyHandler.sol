// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BatonToken} from "../../src/BatonToken.sol";
import {Lens} from "../../src/Lens.sol";
import {Portal} from "../../src/Portal.sol";
import {RevenueShare} from "../../src/RevenueShare.sol";
import {SequencerPool} from "../../src/SequencerPool.sol";
import {Staking} from "../../src/Staking.sol";
import {IPortal} from "../../src/interfaces/IPortal.sol";
import {ISequencerPool} from "../../src/interfaces/ISequencerPool.sol";
import {IStaking} from "../../src/interfaces/IStaking.sol";
import {World} from "../helpers/World.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @notice Stakers, owners, posters and the inbox acting in any order. Every call is bounded to one that must succeed.
contract MoneyHandler is World {
    uint256 internal constant ACCOUNTS = 4;
    uint64 internal constant SEQUENCERS = 4;

    uint64 public current;
    uint64 public epoch;
    uint256 public bonded;
    uint256 public paidOut;
    uint256 public released;
    mapping(uint64 exitId => bool) public finished;
    mapping(uint64 snapshot => uint256) internal takenAt;
    uint256 public slashed;
    uint256 public deposited;
    uint256 public withdrawn;
    uint256 public feesPaid;
    /// Wei paid for the gas of deposits, and what of it should have gone to the RevenueShare.
    uint256 public sold;
    uint256 public proceedsPaid;
    uint256 internal priceOfBlock;
    /// Wei that claims, owners' claims and the treasury should have been paid so far, and token wei: what the views had said before each.
    uint256 public claimsPaid;
    uint256 public treasuryPaid;
    uint256 public tokensPaid;
    uint256 public debtsClaimed;
    uint64 public deposits;
    mapping(address account => uint256) public compounded;
    uint256 internal withdrawals;
    mapping(uint64 snapshot => bytes32) public frozen;

    mapping(bytes4 action => uint256) public calls;
    /// @dev Calls that came to their end: an action that returns before was not done.
    mapping(bytes4 action => uint256) public successes;

    modifier counted() {
        ++calls[msg.sig];
        _;
    }

    constructor() {
        setUp();
        uint64[] memory ids = _found(SEQUENCERS, STAKE);
        bonded = STAKE * SEQUENCERS;
        for (uint256 i = 0; i < ACCOUNTS; ++i) {
            _fund(account(i), 10_000_000e18);
        }
        vm.deal(address(this), SUPPLY);
        inbox.start{value: SUPPLY}(_genesis(), ids);
        takenAt[0] = vm.getBlockTimestamp();
        frozen[0] = _fingerprint(0);
        vm.deal(address(portal), 1_000_000 ether);
        token.approve(address(revenue), type(uint256).max);
    }

    function _fingerprint(uint64 id) private view returns (bytes32) {
        (address code, bytes32 seed) = pool.snapshotData(id);
        return keccak256(abi.encode(code.codehash, seed));
    }

    function isFrozen(uint64 id) external view returns (bool) {
        return frozen[id] == _fingerprint(id);
    }

    function bridge() external view returns (Portal) {
        return portal;
    }

    function account(uint256 i) public pure returns (address) {
        return address(uint160(0xacc0 + i % ACCOUNTS));
    }

    function system() external view returns (Staking, SequencerPool, RevenueShare, BatonToken, Lens) {
        return (staking, pool, revenue, token, lens);
    }

    function delegate(uint256 who, uint256 to, uint256 amount) external counted {
        uint64 id = uint64(to % SEQUENCERS) + 1;
        IStaking.Sequencer memory s = staking.sequencer(id);
        uint256 room = 100_000e18 - s.stake;
        if (room == 0 || s.selfStake < 20_000e18) return;
        uint128 value = uint128(bound(amount, 1, room));
        if (!_enters(account(who), address(staking), abi.encodeCall(staking.delegate, (id, value)))) return;
        bonded += value;
        ++successes[msg.sig];
    }

    /// @dev An entry may meet the limit of 2^104 shares, after many slashes or entries of one account; nothing else stops one here.
    function _enters(address who, address target, bytes memory data) private returns (bool success) {
        bytes memory reason;
        vm.prank(who);
        (success, reason) = target.call(data);
        if (!success) assertEq(bytes4(reason), SafeCast.SafeCastOverflowedUintDowncast.selector);
    }

    function requestExit(uint256 who, uint256 from, uint256 amount) external counted {
        uint64 id = uint64(from % SEQUENCERS) + 1;
        uint128 held = staking.stakeOf(id, account(who));
        if (held == 0) return;
        uint128 value = uint128(bound(amount, 1, held));
        vm.prank(account(who));
        staking.requestExit(id, value);
        ++successes[msg.sig];
    }

    function requestSelfExit(uint256 from, uint256 amount) external counted {
        uint64 id = uint64(from % (SEQUENCERS - 1)) + 2;
        uint128 held = staking.stakeOf(id, address(0));
        if (held == 0) return;
        vm.prank(owner(id));
        staking.requestSelfExit(id, uint128(bound(amount, 1, held)));
        ++successes[msg.sig];
    }

    function topUp(uint256 to) external counted {
        uint64 id = uint64(to % SEQUENCERS) + 1;
        IStaking.Sequencer memory s = staking.sequencer(id);
        // One more than the minimum: after a slash a stake counts up to one wei less than was put in.
        uint128 amount = 20_000e18 + 1;
        if (s.selfStake >= 20_000e18 || 100_000e18 - s.stake < amount) return;
        if (!_enters(owner(id), address(staking), abi.encodeCall(staking.topUp, (id, amount)))) return;
        bonded += amount;
        ++successes[msg.sig];
    }

    function finishExit(uint256 which) external counted {
        uint64 count = staking.exitCount();
        if (count == 0) return;
        uint64 exitId = uint64(which % count) + 1;
        IStaking.Exit memory out = staking.exits(exitId);
        if (out.account == address(0)) return;
        if (out.readyAt > vm.getBlockTimestamp()) _advance(out.readyAt - vm.getBlockTimestamp());
        uint128 paid = staking.finishExit(exitId);
        assertLe(paid, out.amount);
        slashed += out.amount - paid;
        paidOut += paid;
        finished[exitId] = true;
        ++successes[msg.sig];
    }

    function switchSequencer(uint256 who, uint256 a, uint256 b, uint256 amount) external counted {
        uint64 from = uint64(a % SEQUENCERS) + 1;
        uint64 to = uint64((a % SEQUENCERS + 1 + b % (SEQUENCERS - 1)) % SEQUENCERS) + 1;
        address mover = account(who);
        // An account that owes more than it holds stays where it is.
        if (_owes(from, mover) || _owes(to, mover) || staking.sequencer(to).selfStake < 20_000e18) return;
        uint128 most = staking.stakeOf(from, mover);
        if (most > lens.room(to)) most = lens.room(to);
        if (most == 0) return;
        uint128 value = uint128(bound(amount, 1, most));
        if (!_enters(mover, address(staking), abi.encodeCall(staking.switchSequencer, (from, to, value, 0)))) return;
        ++successes[msg.sig];
    }

    /// @dev Waits until what came by an earlier switch may move on, and settles it.
    function _owes(uint64 id, address mover) private returns (bool) {
        (,, uint64 ready,) = staking.arrivals(id, mover);
        if (ready > vm.getBlockTimestamp()) _advance(ready - vm.getBlockTimestamp());
        staking.settleSwitch(id, mover);
        (,,, uint128 owed) = staking.arrivals(id, mover);
        return owed != 0;
    }

    function settleSwitch(uint256 who, uint256 to) external counted {
        uint64 id = uint64(to % SEQUENCERS) + 1;
        (uint64 from,,,) = staking.arrivals(id, account(who));
        staking.settleSwitch(id, account(who));
        if (from == 0) return;
        ++successes[msg.sig];
    }

    /// @dev Sequencer 1 stays honest, so that no set is empty.
    function slash(uint256 which, uint256 back, uint256 bps) external counted {
        uint64 id = uint64(which % (SEQUENCERS - 1)) + 2;
        uint64 snapshot = uint64(current - back % (current > 3 ? 4 : current + 1));
        if (vm.getBlockTimestamp() >= takenAt[snapshot] + 240) return;
        uint128 before = staking.sequencer(id).stake;
        vm.prank(slasher);
        uint128 taken = staking.slash(id, snapshot, uint16(bound(bps, 1, 2_500)));
        assertLe(taken, before);
        assertEq(staking.sequencer(id).stake, before - taken);
        slashed += taken;
        ++successes[msg.sig];
    }

    function releaseSlashed(uint256 amount) external counted {
        amount = bound(amount, 0, staking.totalSlashed());
        vm.prank(slasher);
        staking.releaseSlashed(address(0xdead), amount);
        released += amount;
        ++successes[msg.sig];
    }

    /// @dev The sequencer goes away and comes back: tests elsewhere know its owner.
    function changeOwner(uint256 which) external counted {
        uint64 id = uint64(which % SEQUENCERS) + 1;
        address heir = address(0x4e14);
        vm.prank(owner(id));
        staking.proposeOwner(id, heir);
        vm.startPrank(heir);
        staking.acceptOwner(id);
        staking.proposeOwner(id, owner(id));
        vm.stopPrank();
        vm.prank(owner(id));
        staking.acceptOwner(id);
        ++successes[msg.sig];
    }

    function setCommission(uint256 which, uint256 commission) external counted {
        uint64 id = uint64(which % SEQUENCERS) + 1;
        uint16 now_ = staking.sequencer(id).commission;
        vm.prank(owner(id));
        staking.setCommission(id, uint16(bound(commission, 0, now_)));
        ++successes[msg.sig];
    }

    function takeSnapshot() external counted {
        current = _snapshot();
        frozen[current] = _fingerprint(current);
        takenAt[current] = vm.getBlockTimestamp() - pool.SEAL_DELAY() - 1;
        ISequencerPool.Snapshot memory s = pool.snapshot(current);
        uint256 sum;
        for (uint256 i = 0; i < s.members.length; ++i) {
            assertGe(staking.sequencer(s.members[i].id).selfStake, 20_000e18);
            sum += s.members[i].stake;
        }
        assertEq(sum, s.totalStake);
        ++successes[msg.sig];
    }

    function closeEpoch(uint256 fees, uint256 seed) external counted {
        fees = bound(fees, 0, 50 ether);
        uint256 members = pool.snapshot(current).members.length;
        uint32[] memory led = new uint32[](members);
        uint64[] memory signed = new uint64[](members);
        for (uint256 i = 0; i < members; ++i) {
            led[i] = uint32((seed >> (i * 16)) % 100);
            signed[i] = uint64((seed >> (i * 16 + 8)) % 6);
        }
        if (fees > 0) {
            proceedsPaid += portal.proceeds();
            vm.prank(address(inbox));
            portal.payFees(fees);
            feesPaid += fees;
        }
        vm.prank(address(inbox));
        revenue.close(epoch++, current, fees, _performance(led), 5, signed);
        ++successes[msg.sig];
    }

    function addDebt(uint256 who, uint256 amount) external counted {
        vm.prank(address(inbox));
        revenue.addDebt(1, account(who), bound(amount, 0, 10 ether));
        ++successes[msg.sig];
    }

    function claimDebt(uint256 which) external counted {
        uint64 count = revenue.debtCount();
        if (count == 0) return;
        uint64[] memory ids = new uint64[](1);
        ids[0] = uint64(which % count) + 1;
        (address poster,,) = revenue.debt(ids[0]);
        if (poster == address(0)) return;
        vm.prank(poster);
        debtsClaimed += revenue.claimDebts(ids);
        ++successes[msg.sig];
    }

    function fundEmissions(uint256 amount) external counted {
        revenue.fundEmissions(uint128(bound(amount, 1, 1_000e18)));
        ++successes[msg.sig];
    }

    function claimAll(uint256 who) external counted {
        uint64[] memory ids = new uint64[](SEQUENCERS);
        uint256 due;
        for (uint64 id = 1; id <= SEQUENCERS; ++id) {
            ids[id - 1] = id;
            due += revenue.claimable(id, account(who));
        }
        for (uint64 id = 1; id <= SEQUENCERS; ++id) {
            tokensPaid += revenue.claimableTokens(id, account(who));
        }
        vm.prank(account(who));
        assertEq(revenue.claimAll(ids, address(0xdead)), due);
        claimsPaid += due;
        ++successes[msg.sig];
    }

    function compound(uint256 who, uint256 to) external counted {
        uint64 id = uint64(to % SEQUENCERS) + 1;
        (uint256 ether_, uint256 due) = (revenue.claimable(id, account(who)), revenue.claimableTokens(id, account(who)));
        IStaking.Sequencer memory s = staking.sequencer(id);
        if (due == 0 || s.selfStake < 20_000e18 || s.stake + due > 100_000e18 || lens.previewEntry(id, uint128(due)) == 0) return;
        vm.deal(account(who), 0);
        if (!_enters(account(who), address(revenue), abi.encodeCall(revenue.compound, (id, 0)))) return;
        compounded[account(who)] += due;
        // The ether income is paid in the same call.
        claimsPaid += ether_;
        tokensPaid += due;
        bonded += due;
        ++successes[msg.sig];
    }

    /// @dev Sequencer 1 stays in the set.
    function jailAndReturn(uint256 which, uint256 back) external counted {
        uint64 id = uint64(which % (SEQUENCERS - 1)) + 2;
        if (pool.entry(id).status != ISequencerPool.Status.Jailed) {
            vm.prank(slasher);
            pool.jail(id, uint64(vm.getBlockTimestamp()) + 10);
        }
        (uint256 newcomers, uint256 limit) = pool.churn();
        if (back % 2 == 0 || newcomers >= limit || staking.sequencer(id).selfStake < 20_000e18) return;
        _advance(10);
        _ready(id);
        ++successes[msg.sig];
    }

    /// @dev Mostly heavy ones, so that the price moves both ways.
    function deposit(uint256 value, uint256 gas) external counted {
        value = bound(value, 0, 10 ether);
        gas = bound(gas, 21_000, 16_777_216);
        if (portal.gasLeft() < gas) _advance(1);
        uint256 price = portal.depositPrice();
        assertGe(price, 1_000_000);
        if (portal.gasLeft() < 30_000_000) assertEq(price, priceOfBlock, "one price a block");
        priceOfBlock = price;
        uint256 fee = portal.depositFee(uint64(gas));
        assertGe(fee, gas * price);
        vm.deal(address(this), value + fee);
        portal.deposit{value: value + fee}(address(1), value, uint64(gas), false, "", fee);
        deposited += value;
        sold += fee;
        ++deposits;
        ++successes[msg.sig];
    }

    function payProceeds() external counted {
        proceedsPaid += portal.proceeds();
        if (portal.payProceeds() == 0) return;
        ++successes[msg.sig];
    }

    function withdraw(uint256 value) external counted {
        value = bound(value, 0, 10 ether);
        IPortal.Withdrawal memory w = IPortal.Withdrawal(0, address(uint160(++withdrawals)), address(0xdead), value, 0, "");
        bytes32 node = portal.hashWithdrawal(w);
        bytes32[32] memory proof;
        for (uint256 i = 0; i < 32; ++i) {
            node = keccak256(abi.encode(node, proof[i]));
        }
        vm.prank(address(inbox));
        portal.setRoot(1, node);
        _advance(4);
        assertTrue(portal.withdraw(w, portal.rootCount(), proof));
        withdrawn += value;
        ++successes[msg.sig];
    }

    function claim(uint256 who, uint256 from) external counted {
        uint64 id = uint64(from % SEQUENCERS) + 1;
        uint256 due = revenue.claimable(id, account(who));
        (claimsPaid, tokensPaid) = (claimsPaid + due, tokensPaid + revenue.claimableTokens(id, account(who)));
        vm.prank(account(who));
        assertEq(revenue.claim(id, address(0xdead)), due);
        assertEq(revenue.claimable(id, account(who)), 0);
        ++successes[msg.sig];
    }

    function claimOwner(uint256 from) external counted {
        uint64 id = uint64(from % SEQUENCERS) + 1;
        (claimsPaid, tokensPaid) = (claimsPaid + revenue.claimableOwner(id), tokensPaid + revenue.claimableTokens(id, address(0)));
        vm.prank(owner(id));
        revenue.claimOwner(id, address(0xdead));
        ++successes[msg.sig];
    }

    function claimTreasury() external counted {
        revenue.claimTreasury();
        treasuryPaid = revenue.totals().treasury;
        ++successes[msg.sig];
    }
}
