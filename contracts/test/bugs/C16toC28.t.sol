// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Staking} from "../../src/Staking.sol";
import {IBatchInbox} from "../../src/interfaces/IBatchInbox.sol";
import {ICommitments} from "../../src/interfaces/ICommitments.sol";
import {IPortal} from "../../src/interfaces/IPortal.sol";
import {IRevenueShare} from "../../src/interfaces/IRevenueShare.sol";
import {ISequencerPool} from "../../src/interfaces/ISequencerPool.sol";
import {ISlasher} from "../../src/interfaces/ISlasher.sol";
import {IStaking} from "../../src/interfaces/IStaking.sol";
import {Bls} from "../../src/libraries/Bls.sol";
import {BlsSigner} from "../helpers/BlsSigner.sol";
import {Evidence} from "../helpers/Evidence.sol";
import {Burner, Reenterer, Refuser} from "../mocks/Accounts.sol";
import {FeeToken, HookToken} from "../mocks/Tokens.sol";

/// @notice Regressions of bug classes C16 to C28 (test/BUGS.md).
contract BugsC16toC28 is Evidence {
    function setUp() public override {
        super.setUp();
        _start(4);
        _advance(3);
    }

    function test_C16_neither_evidence_nor_readiness_counts_twice_after_rejoining() public {
        bytes memory key = keysOf(1).blsKey;
        ISlasher.Contradiction memory votes = _votes(1, ISlasher.Kind.Notarize, 0);
        slashing.slashVotes(key, votes, address(1));
        _advance(60);
        uint64 number = uint64(vm.getBlockNumber()) - 1;
        bytes memory proof = BlsSigner.sign(secret(1), pool.readinessMessage(1, number, blockhash(number), 0));
        pool.activate(1, number, 0, proof);
        vm.prank(owner(1));
        pool.deactivate(1);
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_BadReadiness.selector, 1));
        pool.activate(1, number, 0, proof);
        vm.expectRevert(abi.encodeWithSelector(ISlasher.Slasher_AlreadyPunished.selector, 1, 0));
        slashing.slashVotes(key, votes, address(1));
    }

    function test_C17_signatures_bind_chain_contract_and_purpose() public {
        uint64 number = uint64(vm.getBlockNumber()) - 1;
        bytes memory message = pool.readinessMessage(1, number, blockhash(number), 0);
        bytes memory batch = inbox.batchMessage(bytes32(uint256(1)), bytes32(uint256(2)));
        bytes memory possession = pool.possessionMessage(owner(1), keysOf(1).blsKey);
        vm.chainId(block.chainid + 1);
        assertNotEq(pool.readinessMessage(1, number, blockhash(number), 0), message);
        assertNotEq(inbox.batchMessage(bytes32(uint256(1)), bytes32(uint256(2))), batch);
        assertNotEq(pool.possessionMessage(owner(1), keysOf(1).blsKey), possession);
        vm.chainId(block.chainid - 1);
        (address formerPool, address formerInbox) = (address(pool), address(inbox));
        _deploy(_values());
        assertNotEq(address(pool), formerPool);
        assertNotEq(address(inbox), formerInbox);
        assertNotEq(pool.possessionMessage(owner(1), keysOf(1).blsKey), possession);
        assertNotEq(inbox.batchMessage(bytes32(uint256(1)), bytes32(uint256(2))), batch);
    }

    /// A field element with p added names the same point: refused, as is a point outside of the subgroup (Bls.t.sol).
    function test_C18_odd_encodings_are_refused() public {
        ISlasher.Contradiction memory votes = _votes(1, ISlasher.Kind.Notarize, 0);
        bytes memory key = keysOf(1).blsKey;
        bytes memory aliased = bytes.concat(votes.firstSignature);
        uint256 high = uint256(bytes32(_slice(aliased, 0)));
        uint256 low = uint256(bytes32(_slice(aliased, 32)));
        uint256 modulusLow = 0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab;
        unchecked {
            uint256 sum = low + modulusLow;
            high += 0x1a0111ea397fe69a4b1ba7b6434bacd7 + (sum < low ? 1 : 0);
            low = sum;
        }
        assembly {
            mstore(add(aliased, 32), high)
            mstore(add(aliased, 64), low)
        }
        votes.firstSignature = aliased;
        vm.expectRevert(abi.encodeWithSelector(Bls.Bls_InvalidPoint.selector, address(0x0b)));
        slashing.slashVotes{gas: 10_000_000}(key, votes, address(1));
    }

    function _slice(bytes memory data, uint256 offset) private pure returns (bytes memory word) {
        word = new bytes(32);
        assembly {
            mstore(add(word, 32), mload(add(add(data, 32), offset)))
        }
    }

    function test_C19_no_null_key_and_no_bit_beyond_the_set_has_weight() public {
        uint64 id = _bond(STAKE, 0);
        ISequencerPool.Keys memory keys = keysOf(id);
        keys.blsKey = new bytes(256);
        vm.prank(owner(id));
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_BadProofOfPossession.selector, id));
        pool.register(id, keys, new bytes(128), 0);
        _prepare(10);
        (bytes32 dataHash,) = _encoding();
        IBatchInbox.Certificate memory c = _certificate(inbox.hashCore(next), dataHash, 15);
        c.signers |= 16;
        IBatchInbox.Core memory core = next;
        address poster = _dutyOperator(0);
        vm.prank(poster);
        vm.expectRevert(abi.encodeWithSelector(IBatchInbox.BatchInbox_UnknownSigner.selector, 31, 4));
        inbox.post(core, c, "", "");
    }

    function test_C20_a_key_needs_its_owners_proof_and_stays_its_own() public {
        uint64 id = _bond(STAKE, 0);
        ISequencerPool.Keys memory keys = keysOf(id);
        bytes memory theirs = BlsSigner.provePossession(secret(id), pool.possessionMessage(owner(1), keys.blsKey));
        vm.startPrank(owner(id));
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_BadProofOfPossession.selector, id));
        pool.register(id, keys, theirs, 0);
        keys.blsKey = keysOf(1).blsKey;
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_Taken.selector, "blsKey", 1));
        pool.register(id, keys, theirs, 0);
        vm.stopPrank();
    }

    /// Who sees a registration before it is included, and pays to come first, comes too late for its identity and endpoint.
    function test_C20_a_registration_seen_in_the_mempool_cannot_be_taken() public {
        (uint64 victim, uint64 thief) = (_bond(STAKE, 0), _bond(STAKE, 0));
        ISequencerPool.Keys memory keys = keysOf(victim);
        bytes memory possession = BlsSigner.provePossession(secret(victim), pool.possessionMessage(owner(victim), keys.blsKey));
        _commit(victim, keys, possession);
        // The call waits in the mempool; the thief's own, with the victim's identity and endpoint, is included before it.
        ISequencerPool.Keys memory stolen = keysOf(thief);
        (stolen.identity, stolen.endpoint) = (keys.identity, keys.endpoint);
        bytes memory theirs = BlsSigner.provePossession(secret(thief), pool.possessionMessage(owner(thief), stolen.blsKey));
        bytes32 commitment = keccak256(abi.encodeCall(pool.register, (thief, stolen, theirs, 0)));
        vm.startPrank(owner(thief));
        vm.expectRevert(abi.encodeWithSelector(ICommitments.Commitments_Unknown.selector, owner(thief), commitment));
        pool.register(thief, stolen, theirs, 0);
        commitments.commit(commitment);
        vm.expectPartialRevert(ICommitments.Commitments_OutOfTime.selector);
        pool.register(thief, stolen, theirs, 0);
        vm.stopPrank();
        // Even if the victim's call waits as long as a commitment does.
        _advance(4);
        vm.prank(owner(thief));
        vm.expectPartialRevert(ICommitments.Commitments_OutOfTime.selector);
        pool.register(thief, stolen, theirs, 0);
        vm.prank(owner(victim));
        pool.register(victim, keys, possession, 0);
        _advance(1);
        vm.prank(owner(thief));
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_Taken.selector, "identity", victim));
        pool.register(thief, stolen, theirs, 0);
    }

    /// An owner that is lured into calling a contract lends it nothing.
    function test_C21_the_origin_of_a_transaction_has_no_authority() public {
        Refuser lure = new Refuser();
        bytes[3] memory calls = [
            abi.encodeCall(staking.requestSelfExit, (1, 1)),
            abi.encodeCall(pool.deactivate, (1)),
            abi.encodeCall(revenue.claimOwner, (1, address(lure)))
        ];
        address[3] memory targets = [address(staking), address(pool), address(revenue)];
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(owner(1), owner(1));
            vm.expectRevert("inner call failed");
            lure.call(targets[i], calls[i]);
        }
        assertEq(staking.exitCount(), 0);
    }

    function test_C22_dust_and_crowds_cost_nobody_else_anything() public {
        address account = makeAddr("delegator");
        _fund(account, 1_000e18);
        vm.startPrank(account);
        staking.delegate(1, 500e18);
        uint64 first = staking.requestExit(1, 1e18);
        vm.stopPrank();
        address crowd = makeAddr("crowd");
        _fund(crowd, 1_000e18);
        vm.startPrank(crowd);
        staking.delegate(1, 300);
        for (uint256 i = 0; i < 200; ++i) {
            staking.requestExit(1, 1);
        }
        vm.stopPrank();
        vm.prank(account);
        uint64 second = staking.requestExit(1, 1e18);
        skip(241);
        uint256 before = gasleft();
        staking.finishExit(first);
        uint256 one = before - gasleft();
        before = gasleft();
        staking.finishExit(second);
        assertLe(before - gasleft(), one + 100, "a later exit costs no more");
    }

    function test_C23_a_bad_entry_holds_up_no_other() public {
        Refuser poster = new Refuser();
        vm.startPrank(address(inbox));
        revenue.addDebt(1, address(poster), 1 ether);
        revenue.addDebt(2, owner(1), 1 ether);
        vm.stopPrank();
        _closeEpoch(10 ether, _evenly(4), 15);
        uint64[] memory ids = new uint64[](1);
        ids[0] = 1;
        vm.expectRevert("inner call failed");
        poster.call(address(revenue), abi.encodeCall(revenue.claimDebts, (ids)));
        ids[0] = 2;
        vm.prank(owner(1));
        assertEq(revenue.claimDebts(ids), 1 ether);
    }

    /// Exits are paid in tokens, which no receiver can refuse; income goes wherever its account says.
    function test_C24_a_receiver_that_refuses_blocks_nothing() public {
        Refuser delegator = new Refuser();
        token.transfer(address(delegator), 100e18);
        delegator.call(address(token), abi.encodeCall(token.approve, (address(staking), 100e18)));
        delegator.call(address(staking), abi.encodeCall(staking.delegate, (1, 100e18)));
        uint64 snapshot = _serve();
        assertEq(snapshot, 1);
        _closeEpoch(10 ether, _evenly(4), 15);
        delegator.call(address(staking), abi.encodeCall(staking.requestExit, (1, 100e18)));
        skip(241);
        staking.finishExit(1);
        assertEq(token.balanceOf(address(delegator)), 100e18);
        uint256 due = revenue.claimable(1, address(delegator));
        assertGt(due, 0);
        vm.expectRevert("inner call failed");
        delegator.call(address(revenue), abi.encodeCall(revenue.claim, (1, address(delegator))));
        address burner = address(new Burner());
        vm.prank(address(delegator));
        vm.expectRevert(abi.encodeWithSelector(IRevenueShare.RevenueShare_PaymentFailed.selector, burner, due));
        revenue.claim{gas: 3_000_000}(1, burner);
        delegator.call(address(revenue), abi.encodeCall(revenue.claim, (1, address(0xbeef))));
        assertEq(address(0xbeef).balance, due);
    }

    function test_C25_tokens_that_keep_a_part_are_refused() public {
        FeeToken fee = new FeeToken();
        Staking other = new Staking(parameters, address(fee), address(this), address(this), address(revenue));
        fee.approve(address(other), type(uint256).max);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Staking_UnexpectedTransfer.selector, STAKE * 99 / 100, STAKE));
        other.bond(STAKE, 0, 0);
    }

    /// A token that calls back in the middle of an entry: the guard refuses a second entry, and an exit meets finished books.
    function test_C25_tokens_with_hooks_cannot_enter_twice() public {
        HookToken hook = new HookToken();
        Staking other = new Staking(parameters, address(hook), address(this), address(this), address(revenue));
        hook.approve(address(other), type(uint256).max);
        hook.transfer(address(hook), 100_000e18);
        vm.prank(address(hook));
        hook.approve(address(other), type(uint256).max);
        hook.arm(address(other), abi.encodeCall(other.bond, (STAKE, 0, 0)));
        vm.expectRevert();
        other.bond(STAKE, 0, 0);
        assertEq(other.totalStake(), 0);
        hook.arm(address(0), "");
        other.bond(STAKE, 0, 0);
        assertEq(other.totalStake(), STAKE);
        assertEq(hook.balanceOf(address(other)), STAKE);
    }

    /// Re-entry at the external calls that pay: income and debts are booked before.
    function test_C25_paying_twice_is_impossible() public {
        Reenterer delegator = new Reenterer();
        token.transfer(address(delegator), 100e18);
        delegator.call(address(token), abi.encodeCall(token.approve, (address(staking), 100e18)));
        delegator.call(address(staking), abi.encodeCall(staking.delegate, (1, 100e18)));
        _serve();
        _closeEpoch(10 ether, _evenly(4), 15);
        uint256 due = revenue.claimable(1, address(delegator));
        delegator.arm(address(revenue), abi.encodeCall(revenue.claim, (1, address(delegator))));
        delegator.call(address(revenue), abi.encodeCall(revenue.claim, (1, address(delegator))));
        assertTrue(delegator.succeeded(), "the second claim ran, and paid nothing");
        assertEq(address(delegator).balance, due);
    }

    function test_C26_an_inner_call_gets_its_gas_or_nothing_happens() public {
        IPortal.Withdrawal memory w = IPortal.Withdrawal(0, address(1), address(new Burner()), 0, 1_000_000, "");
        bytes32 node = portal.hashWithdrawal(w);
        bytes32[32] memory proof;
        for (uint256 i = 0; i < 32; ++i) {
            node = keccak256(abi.encode(node, proof[i]));
        }
        vm.prank(address(inbox));
        portal.setRoot(1, node);
        _advance(4);
        vm.expectPartialRevert(IPortal.Portal_InsufficientGas.selector);
        portal.withdraw{gas: 1_000_000}(w, 1, proof);
        assertEq(uint8(portal.statusOf(portal.hashWithdrawal(w))), uint8(IPortal.WithdrawalStatus.None));
        assertFalse(portal.withdraw{gas: 3_000_000}(w, 1, proof), "failed with all the gas it asked for");
        assertEq(uint8(portal.statusOf(portal.hashWithdrawal(w))), uint8(IPortal.WithdrawalStatus.Failed));
    }

    /// One block can be filled; the next block is open again, and nothing ever waits for another entry.
    function test_C27_a_full_block_of_deposits_delays_by_one_block_only() public {
        _fill();
        vm.expectPartialRevert(IPortal.Portal_BlockFull.selector);
        portal.deposit{value: 1 ether}(address(1), 0, 21_000, false, "", 1 ether);
        _advance(1);
        uint64 index = portal.deposit{value: 1 ether}(address(1), 0, 21_000, false, "", 1 ether);
        (uint64 l1Block,) = portal.depositAt(index);
        assertEq(l1Block, vm.getBlockNumber());
    }

    /// Filling block after block costs an eighth more each time: half an hour of it (150 blocks) more than 10,000 ether, even from the floor.
    function test_C27_whoever_fills_the_queue_pays_ever_more() public {
        uint256 before = portal.depositPrice();
        uint256 paid = _fill();
        for (uint256 i = 1; i < 150; ++i) {
            _advance(1);
            uint256 now_ = _fill();
            assertGe(now_ * 8, paid * 9 - 30 gwei, "an eighth more, but for rounding");
            paid = now_;
        }
        assertGt(portal.proceeds(), 10_000 ether);
        // And it is over as soon as it stops: the price falls by an eighth a block.
        _advance(151);
        assertEq(portal.depositPrice(), before);
    }

    /// @dev Buys all that this block has left, in two deposits; returns what it cost.
    function _fill() private returns (uint256 cost) {
        vm.deal(address(this), 1_000_000 ether);
        cost = portal.proceeds();
        for (uint64 left = portal.gasLeft(); left > 0; left = portal.gasLeft()) {
            uint64 gas = left > 15_000_000 ? 15_000_000 : left;
            portal.deposit{value: 100_000 ether}(address(1), 0, gas, false, "", 100_000 ether);
        }
        cost = portal.proceeds() - cost;
    }

    function test_C28_nobody_knows_or_chooses_the_leaders_of_a_snapshot_when_it_is_taken() public {
        _advance(5);
        uint64 id = pool.takeSnapshot();
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_UnknownSnapshot.selector, id));
        pool.leaderOf(id, 0, 1);
        uint256 number = vm.getBlockNumber() + 8;
        _advance(9);
        bytes memory chosen = _header(number + 1, keccak256("another block"));
        vm.expectPartialRevert(ISequencerPool.SequencerPool_WrongHeader.selector);
        pool.seal(id, chosen);
        bytes memory header = _header(number, keccak256("prevrandao"));
        pool.seal(id, header);
        (, bytes32 seed) = pool.snapshotData(id);
        assertEq(seed, keccak256(abi.encodePacked(keccak256("prevrandao"), id)));
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_AlreadySealed.selector, id));
        pool.seal(id, header);
    }
}
