// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ICommitments} from "../../src/interfaces/ICommitments.sol";
import {ISequencerPool} from "../../src/interfaces/ISequencerPool.sol";
import {BlsSigner} from "../helpers/BlsSigner.sol";
import {World} from "../helpers/World.sol";

contract CommitmentsTest is World {
    uint64 private newcomer;
    ISequencerPool.Keys private keys;
    bytes private possession;

    function setUp() public override {
        super.setUp();
        _start(4);
        newcomer = _bond(STAKE, 0);
        keys = keysOf(newcomer);
        possession = BlsSigner.provePossession(secret(newcomer), pool.possessionMessage(owner(newcomer), keys.blsKey));
    }

    function _commitmentOf(bytes32 salt) private view returns (bytes32) {
        return keccak256(abi.encodeCall(pool.register, (newcomer, keys, possession, salt)));
    }

    function _reveal(bytes32 salt) private {
        vm.prank(owner(newcomer));
        pool.register(newcomer, keys, possession, salt);
    }

    // -- commit

    function test_a_commitment_is_told_and_dated() public {
        vm.expectEmit(address(commitments));
        emit ICommitments.Committed(address(this), keccak256("call"));
        commitments.commit(keccak256("call"));
        assertEq(commitments.blockOf(address(this), keccak256("call")), vm.getBlockNumber());
        assertEq(commitments.blockOf(address(1), keccak256("call")), 0);
    }

    function test_committing_again_begins_anew() public {
        commitments.commit(keccak256("call"));
        _advance(5);
        commitments.check(address(this), keccak256("call"));
        commitments.commit(keccak256("call"));
        uint256 number = vm.getBlockNumber();
        vm.expectRevert(abi.encodeWithSelector(ICommitments.Commitments_OutOfTime.selector, number + 5, number + 7_200, number));
        commitments.check(address(this), keccak256("call"));
    }

    function testFuzz_a_commitment_counts_from_the_fifth_to_the_7200th_block(uint256 wait) public {
        wait = bound(wait, 0, 10_000);
        commitments.commit(keccak256("call"));
        _advance(wait);
        if (wait < 5 || wait > 7_200) vm.expectPartialRevert(ICommitments.Commitments_OutOfTime.selector);
        commitments.check(address(this), keccak256("call"));
    }

    // -- reveal

    function test_keys_without_a_commitment_are_refused() public {
        vm.expectRevert(abi.encodeWithSelector(ICommitments.Commitments_Unknown.selector, owner(newcomer), _commitmentOf(0)));
        _reveal(0);
    }

    function test_a_commitment_holds_for_its_very_call_and_account() public {
        bytes32 commitment = _commitmentOf("salt");
        // Somebody else's copy of it is worth nothing.
        commitments.commit(commitment);
        _advance(5);
        vm.expectRevert(abi.encodeWithSelector(ICommitments.Commitments_Unknown.selector, owner(newcomer), commitment));
        _reveal("salt");
        vm.prank(owner(newcomer));
        commitments.commit(commitment);
        _advance(5);
        vm.expectRevert(abi.encodeWithSelector(ICommitments.Commitments_Unknown.selector, owner(newcomer), _commitmentOf("pepper")));
        _reveal("pepper");
        keys.endpoint = "elsewhere.example:1";
        vm.expectRevert(abi.encodeWithSelector(ICommitments.Commitments_Unknown.selector, owner(newcomer), _commitmentOf("salt")));
        _reveal("salt");
        keys.endpoint = keysOf(newcomer).endpoint;
        _reveal("salt");
        assertEq(uint8(pool.entry(newcomer).status), uint8(ISequencerPool.Status.Registered));
    }

    /// Neither does a commitment go with the sequencer to its next owner, nor does it leave its maker a way back.
    function test_a_commitment_stays_with_the_owner_that_made_it() public {
        bytes32 commitment = _commitmentOf(0);
        address former = owner(newcomer);
        address heir = makeAddr("heir");
        vm.startPrank(former);
        commitments.commit(commitment);
        staking.proposeOwner(newcomer, heir);
        vm.stopPrank();
        vm.startPrank(heir);
        staking.acceptOwner(newcomer);
        _advance(5);
        possession = BlsSigner.provePossession(secret(newcomer), pool.possessionMessage(heir, keys.blsKey));
        vm.expectRevert(abi.encodeWithSelector(ICommitments.Commitments_Unknown.selector, heir, _commitmentOf(0)));
        pool.register(newcomer, keys, possession, 0);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(ISequencerPool.SequencerPool_NotOwner.selector, newcomer, heir, former));
        _reveal(0);
    }

    /// It is not used up: what it claims is the sequencer's already, or somebody else's.
    function test_a_commitment_takes_nothing_a_second_time() public {
        vm.prank(owner(newcomer));
        commitments.commit(_commitmentOf(0));
        _advance(5);
        _reveal(0);
        bytes memory first = abi.encode(pool.entry(newcomer));
        _reveal(0);
        assertEq(abi.encode(pool.entry(newcomer)), first);
    }

    function test_a_rotation_needs_one_too() public {
        keys = keysOf(1);
        keys.endpoint = "moved.example:1";
        possession = BlsSigner.provePossession(secret(1), pool.possessionMessage(owner(1), keys.blsKey));
        newcomer = 1;
        vm.expectPartialRevert(ICommitments.Commitments_Unknown.selector);
        _reveal(0);
        vm.prank(owner(1));
        commitments.commit(_commitmentOf(0));
        _advance(5);
        _reveal(0);
        assertEq(pool.entry(1).keys.endpoint, "moved.example:1");
    }
}

contract FoundersTest is World {
    function test_founders_need_no_commitment() public {
        uint64 id = _bond(STAKE, 0);
        ISequencerPool.Keys memory keys = keysOf(id);
        bytes memory possession = BlsSigner.provePossession(secret(id), pool.possessionMessage(owner(id), keys.blsKey));
        vm.prank(owner(id));
        pool.register(id, keys, possession, 0);
        assertEq(uint8(pool.entry(id).status), uint8(ISequencerPool.Status.Registered));
    }
}
