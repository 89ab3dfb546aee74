// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISequencerPool} from "../../src/interfaces/ISequencerPool.sol";
import {ISlasher} from "../../src/interfaces/ISlasher.sol";
import {IStaking} from "../../src/interfaces/IStaking.sol";
import {Bls} from "../../src/libraries/Bls.sol";
import {Votes} from "../../src/libraries/Votes.sol";
import {BlsSigner} from "../helpers/BlsSigner.sol";
import {Evidence} from "../helpers/Evidence.sol";

contract SlasherTest is Evidence {
    address private receiver = makeAddr("receiver");

    function setUp() public override {
        super.setUp();
        _start(4);
        _advance(3);
    }

    function _refuse(bytes memory reason, ISlasher.Contradiction memory votes) private {
        bytes memory key = keysOf(1).blsKey;
        vm.expectRevert(reason);
        slashing.slashVotes(key, votes, receiver);
    }

    // -- slashVotes

    /// The engine's bytes, written out: epoch 300 = ac02, view 5, parent 4.
    function test_votes_are_the_engines_bytes() public view {
        bytes32 namespace = keccak256(abi.encode("BATON_CONSENSUS", block.chainid, address(inbox), uint64(0)));
        bytes32 hash = keccak256("block");
        Votes.Proposal memory p = Votes.Proposal(4, hash);
        bytes memory prefixed = abi.encodePacked(hex"29", namespace, "_NOTARIZE", hex"ac020504", hash);
        assertEq(slashing.voteMessage(0, 300, 5, "_NOTARIZE", p), prefixed);
        prefixed = abi.encodePacked(hex"29", namespace, "_FINALIZE", hex"ac020504", hash);
        assertEq(slashing.voteMessage(0, 300, 5, "_FINALIZE", p), prefixed);
        assertEq(slashing.voteMessage(0, 300, 5, "_NULLIFY", p), abi.encodePacked(hex"28", namespace, "_NULLIFY", hex"ac0205"));
        p.parentView = type(uint64).max;
        prefixed = abi.encodePacked(hex"29", namespace, "_FINALIZE", hex"00", hex"7f", hex"ffffffffffffffffff01", hash);
        assertEq(slashing.voteMessage(0, 0, 127, "_FINALIZE", p), prefixed);
    }

    function test_every_kind_of_contradiction_is_slashed_and_jailed() public {
        for (uint8 kind = 0; kind < 3; ++kind) {
            uint64 id = kind + 1;
            uint128 before = staking.sequencer(id).stake;
            ISlasher.Contradiction memory votes = _votes(id, ISlasher.Kind(kind), 0);
            bytes memory key = keysOf(id).blsKey;
            uint128 taken = before * 5 / 100;
            uint64 until = uint64(vm.getBlockTimestamp()) + 60;
            vm.expectEmit(address(slashing));
            emit ISlasher.Offended(id, 0, address(this), false, taken, taken / 20, receiver, until);
            vm.expectEmit(address(pool));
            emit ISequencerPool.Jailed(id, until);
            (uint128 slashed, uint128 bounty) = slashing.slashVotes(key, votes, receiver);
            assertEq(slashed, taken);
            assertEq(bounty, taken / 20);
            assertEq(token.balanceOf(receiver), (kind + 1) * (taken / 20));
            assertEq(staking.sequencer(id).stake, before - taken);
            assertEq(uint8(pool.entry(id).status), uint8(ISequencerPool.Status.Jailed));
            assertTrue(slashing.isPunished(id, 0));
            assertEq(slashing.firstSlashBlock(id), vm.getBlockNumber());
        }
        uint256 left = staking.totalSlashed();
        assertEq(slashing.burn(), left);
        assertEq(token.balanceOf(slashing.DEAD()), left);
        assertEq(staking.totalSlashed(), 0);
    }

    /// The same block with another parent view is another proposal (reference: commonware, "Signed bytes").
    function test_another_parent_alone_contradicts() public {
        ISlasher.Contradiction memory votes = _votes(1, ISlasher.Kind.Notarize, 0);
        votes.second = Votes.Proposal(votes.first.parentView + 1, votes.first.blockHash);
        _sign(1, votes);
        slashing.slashVotes(keysOf(1).blsKey, votes, receiver);
        assertTrue(slashing.isPunished(1, 0));
    }

    function test_equal_votes_do_not_contradict() public {
        ISlasher.Contradiction memory votes = _votes(1, ISlasher.Kind.Notarize, 0);
        votes.second = votes.first;
        _sign(1, votes);
        _refuse(abi.encodeWithSelector(ISlasher.Slasher_NoConflict.selector), votes);
        votes.kind = ISlasher.Kind.Finalize;
        _sign(1, votes);
        _refuse(abi.encodeWithSelector(ISlasher.Slasher_NoConflict.selector), votes);
    }

    function test_a_nullify_proposes_nothing() public {
        ISlasher.Contradiction memory votes = _votes(1, ISlasher.Kind.NullifyFinalize, 0);
        votes.first.parentView = 1;
        _refuse(abi.encodeWithSelector(ISlasher.Slasher_NoConflict.selector), votes);
        votes.first = Votes.Proposal(0, bytes32(uint256(1)));
        _refuse(abi.encodeWithSelector(ISlasher.Slasher_NoConflict.selector), votes);
    }

    /// A nullify of one view and a finalize of a later one are honest, and so are a notarize and a nullify of the same view: no way to give them.
    function test_honest_votes_cannot_be_dressed_up() public {
        ISlasher.Contradiction memory votes = _votes(1, ISlasher.Kind.NullifyFinalize, 0);
        ISlasher.Contradiction memory later = _votes(1, ISlasher.Kind.NullifyFinalize, 0);
        later.viewNumber += 1;
        _sign(1, later);
        votes.secondSignature = later.secondSignature;
        _refuse(abi.encodeWithSelector(ISlasher.Slasher_BadSignatures.selector, 1), votes);
        bytes memory notarize = slashing.voteMessage(0, 0, votes.viewNumber, "_NOTARIZE", votes.second);
        votes.secondSignature = BlsSigner.sign(secret(1), notarize);
        _refuse(abi.encodeWithSelector(ISlasher.Slasher_BadSignatures.selector, 1), votes);
    }

    /// C17: a signature counts in its own chain, inbox, generation, epoch, view and kind only.
    function test_statements_of_another_context_prove_nothing() public {
        ISlasher.Contradiction memory good = _votes(1, ISlasher.Kind.Finalize, 0);
        ISlasher.Contradiction memory votes = _votes(1, ISlasher.Kind.Finalize, 0);
        votes.viewNumber += 1;
        _refuse(abi.encodeWithSelector(ISlasher.Slasher_BadSignatures.selector, 1), votes);
        votes = good;
        votes.kind = ISlasher.Kind.Notarize;
        _refuse(abi.encodeWithSelector(ISlasher.Slasher_BadSignatures.selector, 1), votes);
        votes.kind = ISlasher.Kind.Finalize;
        votes.epoch = 1;
        _refuse(abi.encodeWithSelector(ISlasher.Slasher_BadSignatures.selector, 1), votes);
        votes.epoch = 0;
        votes.generation = 1;
        _refuse(abi.encodeWithSelector(ISlasher.Slasher_BadSignatures.selector, 1), votes);
        votes.generation = 0;
        uint256 chain = block.chainid;
        vm.chainId(chain + 1);
        _refuse(abi.encodeWithSelector(ISlasher.Slasher_BadSignatures.selector, 1), votes);
        vm.chainId(chain);
        slashing.slashVotes(keysOf(1).blsKey, votes, receiver);
    }

    /// C18.
    function test_malformed_signatures_and_keys_revert() public {
        ISlasher.Contradiction memory votes = _votes(1, ISlasher.Kind.Finalize, 0);
        bytes memory right = votes.firstSignature;
        votes.firstSignature = new bytes(128);
        _refuse(abi.encodeWithSelector(ISlasher.Slasher_BadSignatures.selector, 1), votes);
        votes.firstSignature = new bytes(48);
        _refuse(abi.encodeWithSelector(Bls.Bls_InvalidPoint.selector, address(0x0f)), votes);
        votes.firstSignature = bytes.concat(right);
        votes.firstSignature[127] = bytes1(uint8(votes.firstSignature[127]) ^ 1);
        _refuse(abi.encodeWithSelector(Bls.Bls_InvalidPoint.selector, address(0x0b)), votes);
        votes.firstSignature = BlsSigner.multiply(address(0x0c), right, 2, 128);
        _refuse(abi.encodeWithSelector(ISlasher.Slasher_BadSignatures.selector, 1), votes);
        votes.firstSignature = BlsSigner.multiply(address(0x0c), votes.secondSignature, BlsSigner.ORDER - 1, 128);
        _refuse(abi.encodeWithSelector(ISlasher.Slasher_BadSignatures.selector, 1), votes);
        bytes memory unknown = BlsSigner.publicKey(99);
        vm.expectRevert(abi.encodeWithSelector(ISlasher.Slasher_UnknownKey.selector, keccak256(unknown)));
        slashing.slashVotes(unknown, votes, receiver);
    }

    function test_anothers_signatures_do_not_count() public {
        ISlasher.Contradiction memory votes = _votes(2, ISlasher.Kind.Finalize, 0);
        _refuse(abi.encodeWithSelector(ISlasher.Slasher_BadSignatures.selector, 1), votes);
        ISlasher.Contradiction memory mine = _votes(1, ISlasher.Kind.Finalize, 0);
        mine.secondSignature = votes.secondSignature;
        _refuse(abi.encodeWithSelector(ISlasher.Slasher_BadSignatures.selector, 1), mine);
    }

    function test_an_epoch_that_is_not_open_has_to_wait() public {
        ISlasher.Contradiction memory votes = _votes(1, ISlasher.Kind.Finalize, 1);
        _refuse(abi.encodeWithSelector(ISlasher.Slasher_EpochNotOpen.selector, 1, 0), votes);
        _advance(3);
        _closeEpoch(0, _evenly(4), 15);
        slashing.slashVotes(keysOf(1).blsKey, votes, receiver);
        assertTrue(slashing.isPunished(1, 1));
    }

    /// C16: one slash an epoch, however many votes, also after leaving and coming back.
    function test_an_offence_is_punished_once() public {
        slashing.slashVotes(keysOf(1).blsKey, _votes(1, ISlasher.Kind.Finalize, 0), receiver);
        ISlasher.Contradiction memory again = _votes(1, ISlasher.Kind.Notarize, 0);
        _refuse(abi.encodeWithSelector(ISlasher.Slasher_AlreadyPunished.selector, 1, 0), again);
        _advance(60);
        _ready(1);
        assertEq(uint8(pool.entry(1).status), uint8(ISequencerPool.Status.Active));
        _refuse(abi.encodeWithSelector(ISlasher.Slasher_AlreadyPunished.selector, 1, 0), again);
    }

    /// Repeated is an epoch that began after the first slash had landed; another one before it is a first offence too.
    function test_a_repeated_offence_costs_more() public {
        slashing.slashVotes(keysOf(1).blsKey, _votes(1, ISlasher.Kind.Finalize, 0), receiver);
        uint128 rest = staking.sequencer(1).stake;
        // Epoch 1 begins on the slash's own block: who signs in it may not have seen the slash.
        _advance(1);
        _prepareClosing();
        next.originNumber = slashing.firstSlashBlock(1);
        next.originHash = blockhash(next.originNumber);
        _postClosing();
        (uint128 slashed,) = slashing.slashVotes(keysOf(1).blsKey, _votes(1, ISlasher.Kind.Finalize, 1), receiver);
        assertEq(slashed, rest / 20);
        _advance(3);
        _closeEpoch(0, _evenly(4), 15);
        rest = staking.sequencer(1).stake;
        (slashed,) = slashing.slashVotes(keysOf(1).blsKey, _votes(1, ISlasher.Kind.Finalize, 2), receiver);
        assertEq(slashed, rest / 4);
    }

    /// C13, C15: the key that signed, not the key in use; stake that left since the snapshot pays, stake that came does not.
    function test_an_old_key_is_good_evidence_within_the_unbonding_time() public {
        bytes memory old = keysOf(1).blsKey;
        ISequencerPool.Keys memory keys = keysOf(1);
        keys.blsKey = BlsSigner.publicKey(7);
        bytes memory possession = BlsSigner.provePossession(7, pool.possessionMessage(owner(1), keys.blsKey));
        _commit(1, keys, possession);
        vm.startPrank(owner(1));
        pool.register(1, keys, possession, 0);
        staking.requestSelfExit(1, STAKE);
        vm.stopPrank();
        uint64 exitId = staking.exitCount();
        (uint128 slashed,) = slashing.slashVotes(old, _votes(1, ISlasher.Kind.Finalize, 0), receiver);
        assertEq(slashed, 0, "nothing is bonded any more");
        assertEq(staking.exits(exitId).amount, STAKE * 95 / 100, "the exit pays");
        skip(241);
        assertEq(slashing.claimBounty(receiver), 0, "nothing is there yet");
        staking.finishExit(exitId);
        assertEq(slashing.burn(), uint256(STAKE) * 5 / 100 * 95 / 100);
    }

    /// M3: who reports an offender that has left is paid when its exit pays, and nobody can burn the bounty before.
    function test_M3_a_bounty_is_owed_for_stake_that_has_left() public {
        vm.prank(owner(1));
        staking.requestSelfExit(1, STAKE * 3 / 4);
        uint256 whole = uint256(STAKE) * 5 / 100 * 5 / 100;
        uint256 now_ = whole / 4;
        bytes memory key = keysOf(1).blsKey;
        ISlasher.Contradiction memory votes = _votes(1, ISlasher.Kind.Finalize, 0);
        vm.expectEmit(address(slashing));
        emit ISlasher.BountyOwed(receiver, 1, 0, whole - now_);
        (, uint128 bounty) = slashing.slashVotes(key, votes, receiver);
        assertEq(bounty, now_);
        assertEq(slashing.bountyOf(receiver), whole - now_);
        assertEq(slashing.totalBounties(), whole - now_);
        uint256 there = staking.totalSlashed();
        assertEq(slashing.burn(), there - (whole - now_), "what is owed is kept");
        vm.expectEmit(address(slashing));
        emit ISlasher.BountyPaid(receiver, whole - now_);
        assertEq(slashing.claimBounty(receiver), whole - now_);
        assertEq(token.balanceOf(receiver), whole);
        assertEq(slashing.claimBounty(receiver), 0, "once");
        assertEq(slashing.totalBounties(), 0);
        skip(241);
        staking.finishExit(1);
        assertEq(slashing.burn(), uint256(STAKE) * 3 / 4 * 5 / 100);
    }

    /// M3: of later slashes only what they bring in at once: the parts of many could exceed what there is.
    function test_M3_only_the_first_slash_owes_a_bounty() public {
        _advance(3);
        _closeEpoch(0, _evenly(4), 15);
        vm.prank(owner(1));
        staking.requestSelfExit(1, STAKE);
        slashing.slashVotes(keysOf(1).blsKey, _votes(1, ISlasher.Kind.Finalize, 0), receiver);
        uint256 owed = slashing.totalBounties();
        assertEq(owed, uint256(STAKE) * 25 / 10_000);
        slashing.slashVotes(keysOf(1).blsKey, _votes(1, ISlasher.Kind.Finalize, 1), receiver);
        assertEq(slashing.totalBounties(), owed);
    }

    /// H1: an owner that took its stake out and left the set cannot have its delegators slashed for later epochs, for the bounty.
    function test_H1_who_left_the_set_offends_in_no_later_epoch() public {
        address delegator = makeAddr("delegator");
        _fund(delegator, 50_000e18);
        vm.prank(delegator);
        staking.delegate(1, 50_000e18);
        vm.startPrank(owner(1));
        staking.requestSelfExit(1, STAKE);
        pool.deactivate(1);
        vm.stopPrank();
        uint64 serving = _serve();
        uint64 epoch = inbox.runningEpoch();
        bytes memory reason = abi.encodeWithSelector(ISlasher.Slasher_NotMember.selector, 1, epoch, serving);
        _refuse(reason, _votes(1, ISlasher.Kind.Finalize, epoch));
        (ISlasher.Attestation memory a, ISlasher.Attestation memory b) = _attestations(1);
        bytes memory key = keysOf(1).blsKey;
        vm.expectRevert(reason);
        slashing.slashBatches(key, a, b, receiver);
        assertEq(staking.stakeOf(1, delegator), 50_000e18);
        assertFalse(slashing.isPunished(1, epoch));
        // The epoch that it was in is another matter.
        slashing.slashVotes(key, _votes(1, ISlasher.Kind.Finalize, 0), receiver);
        assertTrue(slashing.isPunished(1, 0));
    }

    /// H1: a key sold or stolen after it was replaced is worth nothing for the epochs of the new one.
    function test_H1_a_replaced_key_is_no_evidence_for_later_sets() public {
        bytes memory old = keysOf(1).blsKey;
        ISequencerPool.Keys memory keys = keysOf(1);
        keys.blsKey = BlsSigner.publicKey(7);
        bytes memory possession = BlsSigner.provePossession(7, pool.possessionMessage(owner(1), keys.blsKey));
        _commit(1, keys, possession);
        vm.prank(owner(1));
        pool.register(1, keys, possession, 0);
        uint64 id = _snapshot();
        uint64 epoch;
        while (inbox.epochs(inbox.runningEpoch()).snapshot != id) {
            // Snapshot `id` has a member whose new key `_serve` does not know: sets before it sign.
            _advance(3);
            _closeEpoch(0, _evenly(4), 15);
        }
        epoch = inbox.runningEpoch();
        _refuse(abi.encodeWithSelector(ISlasher.Slasher_NotMember.selector, 1, epoch, id), _votes(1, ISlasher.Kind.Finalize, epoch));
        slashing.slashVotes(old, _votes(1, ISlasher.Kind.Finalize, epoch - 1), receiver);
        assertTrue(slashing.isPunished(1, epoch - 1), "the set before has the old key");
        ISlasher.Contradiction memory votes = _votes(1, ISlasher.Kind.Finalize, epoch);
        votes.firstSignature = BlsSigner.sign(7, slashing.voteMessage(0, epoch, 77, "_FINALIZE", votes.first));
        votes.secondSignature = BlsSigner.sign(7, slashing.voteMessage(0, epoch, 77, "_FINALIZE", votes.second));
        slashing.slashVotes(keys.blsKey, votes, receiver);
        assertTrue(slashing.isPunished(1, epoch));
    }

    /// H1: a registered sequencer that never was a member.
    function test_H1_who_never_was_a_member_offends_in_no_epoch() public {
        uint64 id = _bond(STAKE, 0);
        _register(id);
        ISlasher.Contradiction memory votes = _votes(id, ISlasher.Kind.Notarize, 0);
        bytes memory key = keysOf(id).blsKey;
        vm.expectRevert(abi.encodeWithSelector(ISlasher.Slasher_NotMember.selector, id, 0, 0));
        slashing.slashVotes(key, votes, receiver);
    }

    function test_evidence_ends_with_the_unbonding_time() public {
        uint256 end = vm.getBlockTimestamp() - 3 + 240;
        ISlasher.Contradiction memory votes = _votes(1, ISlasher.Kind.Finalize, 0);
        vm.warp(end);
        _refuse(abi.encodeWithSelector(IStaking.Staking_SlashTooLate.selector, end, end), votes);
        vm.warp(end - 1);
        slashing.slashVotes(keysOf(1).blsKey, votes, receiver);
        assertTrue(slashing.isPunished(1, 0));
    }

    /// After jail and a top-up a fresh readiness proof brings the sequencer back.
    function test_the_way_back_after_a_slash() public {
        vm.prank(owner(1));
        staking.requestSelfExit(1, STAKE - 20_000e18);
        slashing.slashVotes(keysOf(1).blsKey, _votes(1, ISlasher.Kind.Finalize, 0), receiver);
        uint64 number = uint64(vm.getBlockNumber()) - 1;
        bytes memory signature = BlsSigner.sign(secret(1), pool.readinessMessage(1, number, blockhash(number), 0));
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_WrongStatus.selector, 1, ISequencerPool.Status.Jailed));
        pool.activate(1, number, 0, signature);
        skip(60);
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_InsufficientStake.selector, 1, 19_000e18, 20_000e18));
        pool.activate(1, number, 0, signature);
        vm.prank(owner(1));
        staking.topUp(1, 1_000e18 + 1);
        _ready(1);
        assertEq(uint8(pool.entry(1).status), uint8(ISequencerPool.Status.Active));
    }

    // -- slashBatches

    function test_two_cores_of_one_batch_are_slashed() public {
        (ISlasher.Attestation memory a, ISlasher.Attestation memory b) = _attestations(2);
        (uint128 slashed, uint128 bounty) = slashing.slashBatches(keysOf(2).blsKey, a, b, receiver);
        assertEq(slashed, STAKE / 20);
        assertEq(bounty, slashed / 20);
        assertTrue(slashing.isPunished(2, 0));
    }

    function test_two_encodings_of_one_core_are_honest() public {
        (ISlasher.Attestation memory a, ISlasher.Attestation memory b) = _attestations(2);
        b.core = a.core;
        _attest(2, b);
        bytes memory key = keysOf(2).blsKey;
        vm.expectRevert(ISlasher.Slasher_NoConflict.selector);
        slashing.slashBatches(key, a, b, receiver);
    }

    function test_cores_of_different_batches_do_not_contradict() public {
        bytes memory key = keysOf(2).blsKey;
        (ISlasher.Attestation memory a, ISlasher.Attestation memory b) = _attestations(2);
        b.core.index = 2;
        _attest(2, b);
        vm.expectRevert(abi.encodeWithSelector(ISlasher.Slasher_DifferentContext.selector, "index", 1, 2));
        slashing.slashBatches(key, a, b, receiver);
        (b.core.index, b.core.epoch) = (1, 1);
        _attest(2, b);
        vm.expectRevert(abi.encodeWithSelector(ISlasher.Slasher_DifferentContext.selector, "epoch", 0, 1));
        slashing.slashBatches(key, a, b, receiver);
        (b.core.epoch, b.core.generation) = (0, 1);
        _attest(2, b);
        vm.expectRevert(abi.encodeWithSelector(ISlasher.Slasher_DifferentContext.selector, "generation", 0, 1));
        slashing.slashBatches(key, a, b, receiver);
    }

    function test_a_certificate_is_no_evidence_against_a_member() public {
        (ISlasher.Attestation memory a, ISlasher.Attestation memory b) = _attestations(2);
        a.signature = _certificate(inbox.hashCore(a.core), a.dataHash, 15).signature;
        bytes memory key = keysOf(2).blsKey;
        vm.expectRevert(abi.encodeWithSelector(ISlasher.Slasher_BadSignatures.selector, 2));
        slashing.slashBatches(key, a, b, receiver);
    }

    // -- Bounty and burning

    /// C14, C39: a receiver that cannot be paid costs the reporter its own report, nobody else's.
    function test_anyone_else_may_report_with_another_receiver() public {
        ISlasher.Contradiction memory votes = _votes(1, ISlasher.Kind.Finalize, 0);
        bytes memory key = keysOf(1).blsKey;
        vm.expectRevert();
        slashing.slashVotes(key, votes, address(0));
        assertFalse(slashing.isPunished(1, 0));
        slashing.slashVotes(key, votes, receiver);
        assertTrue(slashing.isPunished(1, 0));
    }

    function test_only_the_slasher_jails() public {
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_NotSlasher.selector, slasher, address(this)));
        pool.jail(1, 1);
    }

    function test_a_jailed_sequencer_leaves_the_next_snapshot() public {
        slashing.slashVotes(keysOf(1).blsKey, _votes(1, ISlasher.Kind.Finalize, 0), receiver);
        _advance(3);
        uint64 id = _snapshot();
        ISequencerPool.Member[] memory members = pool.snapshot(id).members;
        assertEq(members.length, 3);
        for (uint256 i = 0; i < 3; ++i) {
            assertNotEq(members[i].id, 1);
        }
        assertEq(pool.snapshot(0).members.length, 4, "a serving snapshot never changes");
    }

    // -- Helpers

    function _prepareClosing() private {
        _prepare(type(uint32).max);
        next.performance = keccak256(_performance(_evenly(4)));
    }

    function _postClosing() private {
        _post(15, _performance(_evenly(4)));
    }
}
