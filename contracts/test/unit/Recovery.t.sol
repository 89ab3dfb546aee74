// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBatchInbox} from "../../src/interfaces/IBatchInbox.sol";
import {IParameters} from "../../src/interfaces/IParameters.sol";
import {IRecovery} from "../../src/interfaces/IRecovery.sol";
import {ISequencerPool} from "../../src/interfaces/ISequencerPool.sol";
import {ISlasher} from "../../src/interfaces/ISlasher.sol";
import {Votes} from "../../src/libraries/Votes.sol";
import {BlsSigner} from "../helpers/BlsSigner.sol";
import {Evidence} from "../helpers/Evidence.sol";

/// @notice A chain of four that posted ten blocks and then fell silent.
contract RecoveryTest is Evidence {
    function setUp() public override {
        super.setUp();
        _start(4);
        _advance(3);
        _prepare(10);
        _post(15, "");
    }

    function _stall() private returns (uint64 generation) {
        _advance(60);
        generation = recovery.open();
    }

    function _proveReady(uint64 id) private {
        uint64 number = uint64(vm.getBlockNumber()) - 1;
        bytes memory message = pool.readinessMessage(id, number, blockhash(number), inbox.anchor().coreHash);
        recovery.proveReady(id, number, BlsSigner.sign(secret(id), message));
    }

    function _allReady(uint64 count) private {
        for (uint64 id = 1; id <= count; ++id) {
            _proveReady(id);
        }
    }

    /// @dev A header of L2 block `height` and its certificate by `signers` of snapshot 0, in `generation`.
    function _final(uint64 epoch, uint64 height, uint256 signers, uint64 generation)
        private
        returns (IRecovery.Finalization memory f, bytes memory header)
    {
        header = _header(height, keccak256("prevrandao"));
        (f.epoch, f.viewNumber, f.signers) = (epoch, height + 1, signers);
        f.proposal = Votes.Proposal(height, keccak256(header));
        ISequencerPool.Member[] memory members = pool.snapshot(0).members;
        uint256 sum;
        for (uint256 i = 0; i < 4; ++i) {
            if ((signers >> i) & 1 == 1) sum = addmod(sum, secret(members[i].id), BlsSigner.ORDER);
        }
        f.signature = BlsSigner.sign(sum, slashing.voteMessage(generation, epoch, f.viewNumber, "_FINALIZE", f.proposal));
    }

    // -- open

    function test_a_recovery_begins_after_the_stall_only_and_once() public {
        uint256 stalledAt = vm.getBlockTimestamp() + 60;
        _advance(59);
        vm.expectRevert(abi.encodeWithSelector(IBatchInbox.BatchInbox_NotStalled.selector, stalledAt, stalledAt - 1));
        recovery.open();
        _advance(1);
        vm.expectEmit(address(recovery));
        emit IRecovery.RecoveryOpened(1, 0, uint64(stalledAt) + 15);
        assertEq(recovery.open(), 1);
        assertEq(inbox.generation(), 1);
        vm.expectRevert(abi.encodeWithSelector(IBatchInbox.BatchInbox_Recovering.selector, true));
        recovery.open();
    }

    function test_nothing_recovers_before_the_start() public {
        _deploy(_values());
        _advance(100);
        vm.expectRevert(abi.encodeWithSelector(IBatchInbox.BatchInbox_Started.selector, false));
        recovery.open();
        vm.expectRevert(IRecovery.Recovery_NotOpen.selector);
        recovery.close();
    }

    function test_no_batch_is_accepted_meanwhile_and_older_certificates_are_void() public {
        _prepare(10);
        IBatchInbox.Core memory core = next;
        bytes memory data = "data";
        bytes32 dataHash = keccak256(abi.encodePacked(uint8(1), keccak256(data)));
        IBatchInbox.Certificate memory certificate = _certificate(inbox.hashCore(core), dataHash, 15);
        _stall();
        vm.expectRevert(abi.encodeWithSelector(IBatchInbox.BatchInbox_Recovering.selector, true));
        inbox.post(core, certificate, "", data);
        _allReady(4);
        _advance(15);
        recovery.close();
        vm.expectRevert(abi.encodeWithSelector(IBatchInbox.BatchInbox_WrongField.selector, "generation", 0, 1));
        inbox.post(core, certificate, "", data);
    }

    // -- proveReady

    function test_only_eligible_members_with_a_fresh_proof_are_ready() public {
        uint64 outsider = _bond(STAKE, 0);
        _register(outsider);
        uint64 number = uint64(vm.getBlockNumber()) - 1;
        bytes32 anchor = inbox.anchor().coreHash;
        bytes memory early = BlsSigner.sign(secret(1), pool.readinessMessage(1, number, blockhash(number), anchor));
        vm.expectRevert(IRecovery.Recovery_NotOpen.selector);
        recovery.proveReady(1, number, early);
        vm.prank(slasher);
        pool.jail(2, 1);
        vm.prank(owner(3));
        staking.requestSelfExit(3, 30_000e18);
        _stall();
        vm.expectRevert(abi.encodeWithSelector(IRecovery.Recovery_NotEligible.selector, outsider));
        recovery.proveReady(outsider, number, early);
        vm.expectRevert(abi.encodeWithSelector(IRecovery.Recovery_NotEligible.selector, 2));
        recovery.proveReady(2, number, early);
        vm.expectRevert(abi.encodeWithSelector(IRecovery.Recovery_NotEligible.selector, 3));
        recovery.proveReady(3, number, early);
        vm.expectRevert(abi.encodeWithSelector(IRecovery.Recovery_BadReadiness.selector, 1));
        recovery.proveReady(1, number, early);
        // Right bytes, but of a block too long ago.
        bytes memory old = BlsSigner.sign(secret(1), pool.readinessMessage(1, number, blockhash(number), anchor));
        vm.expectRevert(abi.encodeWithSelector(IRecovery.Recovery_BadReadiness.selector, 1));
        recovery.proveReady(1, number, old);
        number = uint64(vm.getBlockNumber()) - 1;
        bytes memory foreign = BlsSigner.sign(secret(4), pool.readinessMessage(1, number, blockhash(number), anchor));
        vm.expectRevert(abi.encodeWithSelector(IRecovery.Recovery_BadReadiness.selector, 1));
        recovery.proveReady(1, number, foreign);
        vm.expectEmit(address(recovery));
        emit IRecovery.MemberReady(1, 1, STAKE);
        _proveReady(1);
        vm.expectRevert(abi.encodeWithSelector(IRecovery.Recovery_AlreadyReady.selector, 1));
        recovery.proveReady(1, number, foreign);
    }

    // -- close

    function test_the_chain_goes_on_after_the_anchor_with_the_ready_members() public {
        _stall();
        _allReady(3);
        uint256 end = vm.getBlockTimestamp() + 15;
        _advance(14);
        vm.expectRevert(abi.encodeWithSelector(IRecovery.Recovery_TooEarly.selector, end, end - 1));
        recovery.close();
        _advance(1);
        vm.expectEmit(address(inbox));
        emit IBatchInbox.Resumed(1, 1, 0, 10);
        recovery.close();
        IBatchInbox.Anchor memory a = inbox.anchor();
        assertEq(a.epoch, 1);
        assertEq(a.snapshot, 1);
        assertEq(a.lastHeight, 10);
        IBatchInbox.Epoch memory row = inbox.epochs(1);
        assertEq(row.firstHeight, 11);
        assertEq(row.snapshot, 1);
        ISequencerPool.Snapshot memory s = pool.snapshot(1);
        assertEq(s.members.length, 3);
        assertEq(s.sealBlock, vm.getBlockNumber());
        assertEq(uint8(pool.entry(4).status), uint8(ISequencerPool.Status.Registered), "the absent one may come back");
        vm.expectRevert(IRecovery.Recovery_NotOpen.selector);
        recovery.close();
        // The epoch counts from its first height, and the sets that follow are never older than this one.
        _advance(3);
        _resumeEpoch(250);
        assertEq(inbox.epochs(2).firstHeight, 251);
        assertEq(inbox.epochs(2).snapshot, 1);
        _ready(4);
        assertEq(pool.active().length, 4);
    }

    /// @dev Posts the running epoch up to `last` in one closing batch of the new set.
    function _resumeEpoch(uint64 last) private {
        _prepareTo(last);
        bytes memory performance = _performance(_evenly(pool.snapshot(next.snapshot).members.length));
        (next.closing, next.performance, next.nextSnapshot) = (true, keccak256(performance), next.snapshot);
        _post(_allSigners(), performance);
    }

    function _prepareTo(uint64 last) private {
        _prepare(1);
        next.lastHeight = last;
        next.lastView = last - inbox.epochs(next.epoch).firstHeight + 1;
        (next.closing, next.nextSnapshot) = (false, 0);
    }

    function test_less_stake_suffices_as_days_go_by_but_never_less_than_half() public {
        _stall();
        _allReady(2);
        vm.warp(vm.getBlockTimestamp() + 15);
        (uint256 ready, uint256 needed) = recovery.readiness();
        assertEq(ready, 2 * STAKE);
        assertEq(needed, uint256(STAKE) * 4 * 6_667 / 10_000);
        vm.expectRevert(abi.encodeWithSelector(IRecovery.Recovery_NotEnough.selector, ready, needed));
        recovery.close();
        vm.warp(vm.getBlockTimestamp() + 1 days);
        (, needed) = recovery.readiness();
        assertEq(needed, uint256(STAKE) * 4 * 6_567 / 10_000);
        vm.warp(vm.getBlockTimestamp() + 16 days - 1);
        vm.expectPartialRevert(IRecovery.Recovery_NotEnough.selector);
        recovery.close();
        vm.warp(vm.getBlockTimestamp() + 100 days);
        (, needed) = recovery.readiness();
        assertEq(needed, 2 * STAKE);
        recovery.close();
        assertEq(pool.snapshot(1).members.length, 2);
    }

    /// C23: a member that is jailed after its proof does not block the others.
    function test_who_was_jailed_meanwhile_is_left_out() public {
        _stall();
        _allReady(4);
        slashing.slashVotes(keysOf(4).blsKey, _votes(4, ISlasher.Kind.Finalize, 0), address(1));
        _advance(15);
        recovery.close();
        assertEq(pool.snapshot(1).members.length, 3);
        assertEq(uint8(pool.entry(4).status), uint8(ISequencerPool.Status.Jailed));
    }

    // -- proveFinal

    function test_what_was_final_is_certified_first_and_cuts_the_epoch() public {
        _stall();
        _allReady(4);
        (IRecovery.Finalization memory f, bytes memory header) = _final(0, 57, 7, 0);
        vm.expectEmit(address(recovery));
        emit IRecovery.FinalProven(1, 57, keccak256(header));
        recovery.proveFinal(f, header);
        _advance(15);
        recovery.close();
        assertEq(inbox.anchor().epoch, 0, "the running epoch has batches to come");
        assertEq(inbox.anchor().snapshot, 1, "of the new set");
        _advance(3);
        _prepareTo(30);
        _post(15, "");
        _advance(3);
        _prepareTo(58);
        (bytes32 dataHash,) = _encoding();
        IBatchInbox.Core memory core = next;
        IBatchInbox.Certificate memory certificate = _certificate(inbox.hashCore(core), dataHash, 15);
        vm.expectRevert(abi.encodeWithSelector(IBatchInbox.BatchInbox_OutOfRange.selector, "lastHeight", 58, 31, 57));
        inbox.post(core, certificate, "", "");
        _resumeEpoch(57);
        assertEq(inbox.epochs(1).firstHeight, 58);
        assertEq(inbox.epochs(1).snapshot, 1);
        _advance(3);
        _resumeEpoch(297);
        assertEq(inbox.epochs(2).firstHeight, 298);
    }

    function test_a_final_block_of_the_next_epoch_counts_too() public {
        _stall();
        _allReady(4);
        (IRecovery.Finalization memory f, bytes memory header) = _final(1, 300, 15, 0);
        recovery.proveFinal(f, header);
        _advance(15);
        recovery.close();
        _advance(3);
        _resumeEpoch(239);
        _advance(3);
        _resumeEpoch(300);
        assertEq(inbox.epochs(2).firstHeight, 301);
    }

    function test_the_next_epochs_set_follows_from_l1() public {
        _advance(3);
        _closeEpoch(0, _evenly(4), 15);
        _advance(10);
        uint64 later = _snapshot();
        _stall();
        _allReady(4);
        (IRecovery.Finalization memory f, bytes memory header) = _final(2, 500, 15, 0);
        f.snapshot = later;
        vm.expectRevert(abi.encodeWithSelector(IRecovery.Recovery_WrongSnapshot.selector, 2, later));
        recovery.proveFinal(f, header);
        f.snapshot = 0;
        recovery.proveFinal(f, header);
        (,, uint64 epoch, uint64 height,) = recovery.current();
        assertEq(epoch, 2);
        assertEq(height, 500);
    }

    function test_in_the_first_epoch_the_next_set_is_the_first() public {
        _stall();
        (IRecovery.Finalization memory f, bytes memory header) = _final(1, 300, 15, 0);
        f.snapshot = 1;
        vm.expectRevert(abi.encodeWithSelector(IRecovery.Recovery_WrongSnapshot.selector, 1, 1));
        recovery.proveFinal(f, header);
    }

    function test_forged_certificates_prove_nothing() public {
        (IRecovery.Finalization memory f, bytes memory header) = _final(0, 57, 7, 0);
        vm.expectRevert(IRecovery.Recovery_NotOpen.selector);
        recovery.proveFinal(f, header);
        _stall();
        (f, header) = _final(0, 57, 3, 0);
        vm.expectRevert(IRecovery.Recovery_BadFinalization.selector);
        recovery.proveFinal(f, header);
        f.signers = 7;
        vm.expectRevert(IRecovery.Recovery_BadFinalization.selector);
        recovery.proveFinal(f, header);
        f.signers = 31;
        vm.expectRevert(IRecovery.Recovery_BadFinalization.selector);
        recovery.proveFinal(f, header);
        (f, header) = _final(0, 57, 7, 1);
        vm.expectRevert(IRecovery.Recovery_BadFinalization.selector);
        recovery.proveFinal(f, header);
        (f, header) = _final(0, 57, 7, 0);
        bytes memory other = _header(58, keccak256("prevrandao"));
        vm.expectRevert(IRecovery.Recovery_BadFinalization.selector);
        recovery.proveFinal(f, other);
        f.snapshot = 1;
        vm.expectRevert(abi.encodeWithSelector(IRecovery.Recovery_WrongSnapshot.selector, 0, 1));
        recovery.proveFinal(f, header);
        (f, header) = _final(2, 500, 7, 0);
        vm.expectRevert(abi.encodeWithSelector(IRecovery.Recovery_WrongSnapshot.selector, 2, 0));
        recovery.proveFinal(f, header);
        f.signers = 7;
        (f, header) = _final(0, 10, 7, 0);
        vm.expectRevert(abi.encodeWithSelector(IRecovery.Recovery_WrongHeight.selector, 10, 11, 239));
        recovery.proveFinal(f, header);
        (f, header) = _final(0, 240, 7, 0);
        vm.expectRevert(abi.encodeWithSelector(IRecovery.Recovery_WrongHeight.selector, 240, 11, 239));
        recovery.proveFinal(f, header);
        (f, header) = _final(0, 57, 14, 0);
        recovery.proveFinal(f, header);
        (f, header) = _final(0, 56, 14, 0);
        vm.expectRevert(abi.encodeWithSelector(IRecovery.Recovery_WrongHeight.selector, 56, 58, 239));
        recovery.proveFinal(f, header);
    }

    /// Bodies lost everywhere: the next recovery cannot prove them any more and goes on after the anchor.
    function test_a_second_recovery_starts_at_the_anchor() public {
        _stall();
        _allReady(4);
        (IRecovery.Finalization memory f, bytes memory header) = _final(0, 57, 15, 0);
        recovery.proveFinal(f, header);
        _advance(15);
        recovery.close();
        assertEq(_stall(), 2);
        vm.expectRevert(IRecovery.Recovery_BadFinalization.selector);
        recovery.proveFinal(f, header);
        _allReady(4);
        _advance(15);
        recovery.close();
        assertEq(inbox.anchor().epoch, 1);
        assertEq(inbox.epochs(1).firstHeight, 11);
        _advance(3);
        _resumeEpoch(250);
        assertEq(inbox.epochs(2).firstHeight, 251);
    }

    /// C15: nobody is jailed by figures of an epoch that a recovery cut.
    function test_an_epoch_that_was_cut_judges_nobody() public {
        _stall();
        _allReady(4);
        (IRecovery.Finalization memory f, bytes memory header) = _final(0, 57, 15, 0);
        recovery.proveFinal(f, header);
        _advance(15);
        recovery.close();
        _advance(3);
        _prepareTo(57);
        uint64 id = pool.snapshot(1).members[0].id;
        bytes[] memory performance = new bytes[](1);
        performance[0] = bytes.concat(bytes8(uint64(8)), new bytes(24));
        (next.closing, next.performance, next.nextSnapshot) = (true, keccak256(performance[0]), 1);
        _post(15, performance[0]);
        (uint64 terms, bytes32 hash) = inbox.closings(0);
        assertEq(terms, 0);
        assertEq(hash, 0);
        vm.expectRevert(abi.encodeWithSelector(ISlasher.Slasher_NotAbsent.selector, id, 0, 0));
        slashing.jailAbsent(id, 0, performance);
        _advance(3);
        _resumeEpoch(297);
        (terms, hash) = inbox.closings(1);
        assertEq(terms, 8);
        assertEq(hash, next.performance);
    }

    /// H1: where a recovery left two sets in one epoch, evidence is judged by the set of its generation.
    function test_H1_evidence_is_judged_by_the_set_of_its_generation() public {
        _stall();
        _allReady(3);
        (IRecovery.Finalization memory f, bytes memory header) = _final(0, 57, 15, 0);
        recovery.proveFinal(f, header);
        _advance(15);
        recovery.close();
        assertEq(inbox.anchor().epoch, 0);
        assertEq(inbox.epochs(0).snapshot, 0);
        assertEq(inbox.setOf(0, 0), 0);
        assertEq(inbox.setOf(0, 1), 1);
        ISlasher.Contradiction memory votes = _votes(4, ISlasher.Kind.Finalize, 0);
        votes.generation = 1;
        _sign(4, votes);
        bytes memory key = keysOf(4).blsKey;
        vm.expectRevert(abi.encodeWithSelector(ISlasher.Slasher_NotMember.selector, 4, 0, 1));
        slashing.slashVotes(key, votes, address(1));
        slashing.slashVotes(key, _votes(4, ISlasher.Kind.Finalize, 0), address(1));
        // Stake that entered between the two snapshots answers for the later one.
        votes = _votes(1, ISlasher.Kind.Finalize, 0);
        votes.generation = 1;
        _sign(1, votes);
        vm.expectCall(address(staking), abi.encodeCall(staking.slash, (1, 1, 500)));
        slashing.slashVotes(keysOf(1).blsKey, votes, address(1));
        _advance(3);
        _prepareTo(57);
        _resumeEpoch(57);
        assertEq(inbox.setOf(1, 1), 1);
    }

    /// M1: after a recovery inside an epoch the leaders are those of the set that posts, and its members are no newcomers.
    function test_M1_leaders_and_churn_are_of_the_set_that_serves() public {
        _stall();
        _allReady(3);
        (IRecovery.Finalization memory f, bytes memory header) = _final(0, 57, 15, 0);
        recovery.proveFinal(f, header);
        _advance(15);
        recovery.close();
        for (uint64 term = 1; term <= 8; ++term) {
            (, uint64 actual) = pool.leaderAt(0, term);
            (, uint64 expected) = pool.leaderOf(1, 0, term);
            assertEq(actual, expected);
        }
        (uint256 newcomers,) = pool.churn();
        assertEq(newcomers, 0);
        _advance(3);
        _ready(4);
        assertEq(pool.active().length, 4);
    }

    /// M2: a recovery with nothing missing cuts its epoch: windows with that epoch judge by the others.
    function test_M2_absence_is_judged_across_a_cut_epoch() public {
        _stall();
        _allReady(4);
        _advance(15);
        recovery.close();
        _advance(3);
        _prepareTo(250);
        bytes[] memory performance = new bytes[](2);
        uint64 id = pool.snapshot(1).members[0].id;
        uint32 drawn;
        for (uint64 term = 1; term <= 8; ++term) {
            (, uint64 leader) = pool.leaderOf(1, 1, term);
            if (leader == id) ++drawn;
        }
        performance[1] = bytes.concat(bytes8(uint64(drawn)), new bytes(24));
        (next.closing, next.performance, next.nextSnapshot) = (true, keccak256(performance[1]), 1);
        _post(15, performance[1]);
        if (drawn < 3) vm.expectRevert(abi.encodeWithSelector(ISlasher.Slasher_NotAbsent.selector, id, drawn, drawn));
        slashing.jailAbsent(id, 1, performance);
        assertEq(pool.entry(id).status == ISequencerPool.Status.Jailed, drawn >= 3);
    }

    /// C29: a limit lowered meanwhile does not stand in the way.
    function test_more_members_than_the_limit_may_recover() public {
        IParameters.Stakes memory stakes = parameters.stakes();
        stakes.maxMembers = 3;
        bytes memory call = abi.encodeCall(parameters.setStakes, (stakes));
        vm.startPrank(governor);
        governance.schedule(address(parameters), call, 0);
        _advance(DELAY);
        governance.execute(address(parameters), call);
        vm.stopPrank();
        recovery.open();
        _allReady(4);
        _advance(15);
        recovery.close();
        assertEq(pool.snapshot(1).members.length, 4);
    }

    /// A snapshot taken before the recovery cannot be sealed after it: seals ascend.
    function test_an_older_snapshot_is_never_sealed_after_the_recoverys() public {
        _advance(5);
        uint64 older = pool.takeSnapshot();
        uint256 number = vm.getBlockNumber() + 8;
        _stall();
        _allReady(4);
        _advance(15);
        recovery.close();
        assertEq(pool.latestSealed(), older + 1);
        bytes memory header = _header(number, keccak256("prevrandao"));
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_AlreadySealed.selector, older));
        pool.seal(older, header);
        _advance(5);
        assertEq(_snapshot(), older + 2);
    }

    /// P7: exits and claims do not know that anything stalled.
    function test_exits_and_claims_go_on_during_a_stall() public {
        vm.prank(owner(1));
        staking.requestSelfExit(1, 1e18);
        _stall();
        vm.prank(owner(2));
        staking.requestSelfExit(2, 1e18);
        skip(241);
        assertEq(staking.finishExit(1), 1e18);
        assertEq(staking.finishExit(2), 1e18);
        vm.prank(owner(1));
        assertEq(revenue.claimOwner(1, owner(1)), 0);
    }
}
