// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBatchInbox} from "../../src/interfaces/IBatchInbox.sol";
import {IParameters} from "../../src/interfaces/IParameters.sol";
import {ISlasher} from "../../src/interfaces/ISlasher.sol";
import {IStaking} from "../../src/interfaces/IStaking.sol";
import {Certificates} from "../../src/libraries/Certificates.sol";
import {Snapshots} from "../../src/libraries/Snapshots.sol";
import {Evidence} from "../helpers/Evidence.sol";

/// @notice Reads a stored snapshot and verifies a certificate: what `post` spends on it, and nothing else.
contract Verifier {
    function verify(address code, IBatchInbox.Certificate calldata certificate, bytes memory message) external view returns (uint256 gas) {
        gas = gasleft();
        Certificates.verify(Snapshots.load(code), certificate, message);
        gas -= gasleft();
    }
}

/// @notice Gas figures, committed in snapshots/. Every call is a transaction of its own, so storage and accounts are cold.
/// forge-config: default.isolate = true
contract GasTest is Evidence {
    /// @dev The calldata lane, with one word of data: an isolated call cannot carry blobs.
    function _encoding() internal pure override returns (bytes32 dataHash, bytes memory data) {
        data = abi.encode(keccak256("data"));
        dataHash = keccak256(abi.encodePacked(uint8(1), keccak256(data)));
    }

    function _absent(uint256 members, uint256 absent) private pure returns (uint256) {
        return (1 << members) - 1 - ((1 << absent) - 1) * 2;
    }

    function _certify(uint256 members, uint256 absent, string memory name) private returns (uint256 gas) {
        _start(members);
        _advance(5);
        _prepare(10);
        IBatchInbox.Certificate memory certificate = _certificate(keccak256("core"), keccak256("data"), _absent(members, absent));
        bytes memory message = inbox.batchMessage(keccak256("core"), keccak256("data"));
        (address code,) = pool.snapshotData(0);
        gas = new Verifier().verify(code, certificate, message);
        vm.snapshotValue("certificate", name, gas);
    }

    function test_certificate_of_48_members_with_4_absent_costs_at_most_165000() public {
        assertLe(_certify(48, 4, "48 members, 4 absent"), 165_000);
    }

    function test_certificate_of_64_members_with_4_absent() public {
        _certify(64, 4, "64 members, 4 absent");
    }

    function test_certificate_of_64_members_with_a_third_absent() public {
        _certify(64, 21, "64 members, 21 absent");
    }

    function test_certificate_of_4_members() public {
        _certify(4, 0, "4 members");
    }

    /// @dev What the call before this one used: as a whole transaction, and beyond the transaction's 21,000 and its calldata.
    function _note(string memory group, string memory name, bytes memory data) private returns (uint256 execution) {
        uint256 gas = vm.snapshotGasLastCall(group, name);
        uint256 intrinsic = 21_000;
        for (uint256 i = 0; i < data.length; ++i) {
            intrinsic += data[i] == 0 ? 4 : 16;
        }
        execution = gas - intrinsic;
        vm.snapshotValue(group, string.concat(name, ": beyond calldata"), execution);
    }

    /// @dev Posts `next` and notes its gas.
    function _postNoted(uint256 signers, bytes memory performance, string memory name) private returns (uint256 execution) {
        (bytes32 dataHash, bytes memory data) = _encoding();
        IBatchInbox.Certificate memory certificate = _certificate(inbox.hashCore(next), dataHash, signers);
        bytes memory call = abi.encodeCall(inbox.post, (next, certificate, performance, data));
        // An isolated call has no price of gas: the debt is of 0 wei, in the same slots as any other.
        vm.prank(_dutyOperator(0));
        (bool success,) = address(inbox).call(call);
        assertTrue(success);
        execution = _note("post", name, call);
    }

    /// A running chain: an ordinary batch (the 20th: its place among the last 16 core hashes was used before), and closing ones.
    function _running(uint256 members, string memory name) private returns (uint256 gas) {
        _start(members);
        uint256 signers = _absent(members, 4);
        for (uint256 i = 0; i < 19; ++i) {
            _advance(3);
            _prepare(5);
            _post(signers, "");
        }
        _advance(3);
        _prepare(5);
        gas = _postNoted(signers, "", name);
        for (uint256 epoch = 0; epoch < 2; ++epoch) {
            _advance(3);
            _prepare(type(uint32).max);
            next.fees = 1 ether;
            bytes memory performance = _performance(_evenly(members));
            next.performance = keccak256(performance);
            uint256 closing = _postNoted(signers, performance, string.concat(name, epoch == 0 ? ", closing, first" : ", closing"));
            if (epoch == 1) vm.snapshotValue("post", string.concat(name, ", closing: more per member"), (closing - gas) / members);
        }
    }

    function test_post_with_48_members() public {
        _running(48, "48 members, 4 absent");
    }

    function test_post_with_64_members() public {
        _running(64, "64 members, 4 absent");
    }

    function test_snapshot_of_48_members() public {
        _start(48);
        _advance(10);
        pool.takeSnapshot();
        vm.snapshotGasLastCall("pool", "takeSnapshot, 48 members");
        uint256 number = vm.getBlockNumber() + 8;
        _advance(9);
        pool.seal(1, _header(number, keccak256("prevrandao")));
        vm.snapshotGasLastCall("pool", "seal");
    }

    function test_staking() public {
        _start(4);
        address account = makeAddr("delegator");
        _fund(account, 1_000e18);
        vm.prank(owner(2));
        staking.requestSelfExit(2, 1e18);
        vm.startPrank(account);
        staking.delegate(1, 100e18);
        vm.snapshotGasLastCall("staking", "delegate, first");
        staking.delegate(1, 100e18);
        vm.snapshotGasLastCall("staking", "delegate, again in the period");
        vm.stopPrank();
        _snapshot();
        vm.startPrank(account);
        staking.delegate(1, 100e18);
        vm.snapshotGasLastCall("staking", "delegate, in a later period");
        uint64 exitId = staking.requestExit(1, 50e18);
        vm.snapshotGasLastCall("staking", "requestExit");
        staking.requestExit(1, 200e18);
        vm.snapshotGasLastCall("staking", "requestExit, of stake from two periods");
        skip(241);
        staking.finishExit(exitId);
        vm.snapshotGasLastCall("staking", "finishExit");
        vm.stopPrank();
        address newcomer = makeAddr("newcomer");
        _fund(newcomer, 50_000e18);
        vm.prank(newcomer);
        staking.bond(STAKE, 0, 0);
        vm.snapshotGasLastCall("staking", "bond");
    }

    /// What the members' stakes cost is told apart from what the number of delegators costs: nothing.
    function test_figures_do_not_grow_with_delegators() public {
        _start(1);
        uint256[2] memory delegators = [uint256(10), 300];
        uint256[4][2] memory gas;
        for (uint256 round = 0; round < 2; ++round) {
            for (uint256 i = 0; i < delegators[round]; ++i) {
                address other = address(uint160(0xd00000 + round * 1_000 + i));
                _fund(other, 1e18);
                vm.prank(other);
                staking.delegate(1, 1e18);
            }
            address account = address(uint160(0xe00000 + round));
            _fund(account, 100e18);
            vm.startPrank(account);
            staking.delegate(1, 10e18);
            gas[round][0] = vm.lastCallGas().gasTotalUsed;
            vm.stopPrank();
            _snapshot();
            vm.startPrank(account);
            uint64 exitId = staking.requestExit(1, 5e18);
            gas[round][1] = vm.lastCallGas().gasTotalUsed;
            vm.stopPrank();
            skip(241);
            staking.finishExit(exitId);
            gas[round][2] = vm.lastCallGas().gasTotalUsed;
            uint64 current = _snapshot();
            vm.prank(slasher);
            staking.slash(1, current, 1);
            gas[round][3] = vm.lastCallGas().gasTotalUsed;
        }
        // The second round finds a former slash, which each position takes note of once, and warm totals.
        for (uint256 i = 0; i < 4; ++i) {
            assertLe(gas[1][i], gas[0][i] + 32_000);
        }
    }

    /// A slash looks at each period since the snapshot, and at no delegator.
    function test_slash_and_switch() public {
        _start(4);
        address account = makeAddr("delegator");
        _fund(account, 1_000e18);
        vm.startPrank(account);
        staking.delegate(1, 100e18);
        vm.stopPrank();
        _snapshot();
        vm.startPrank(account);
        staking.switchSequencer(1, 2, 40e18, 0);
        vm.snapshotGasLastCall("staking", "switchSequencer");
        vm.stopPrank();
        vm.prank(slasher);
        staking.slash(1, 1, 500);
        vm.snapshotGasLastCall("staking", "slash, in the next period");
        staking.settleSwitch(2, account);
        vm.snapshotGasLastCall("staking", "settleSwitch");
        vm.prank(account);
        staking.requestExit(1, 1e18);
        vm.snapshotGasLastCall("staking", "requestExit, after a slash");
        for (uint256 i = 0; i < 100; ++i) {
            vm.prank(address(pool));
            staking.roll();
        }
        vm.prank(slasher);
        staking.slash(1, 1, 500);
        vm.snapshotGasLastCall("staking", "slash, 100 periods later");
    }

    /// Evidence, slash of a first offender two snapshots later, jail out of a set of 48, bounty: all in one transaction.
    function test_an_equivocation_slash_costs_at_most_400000() public {
        _start(48);
        // Some stake is on its way out, as on any chain that has run for a while.
        vm.prank(owner(2));
        staking.requestSelfExit(2, 1e18);
        _advance(10);
        _snapshot();
        _advance(10);
        _snapshot();
        ISlasher.Contradiction memory votes = _votes(24, ISlasher.Kind.Finalize, 0);
        slashing.slashVotes(keysOf(24).blsKey, votes, makeAddr("reporter"));
        assertLe(vm.snapshotGasLastCall("slasher", "votes, 48 members"), 400_000);
        _advance(3);
        (ISlasher.Attestation memory a, ISlasher.Attestation memory b) = _attestations(25);
        slashing.slashBatches(keysOf(25).blsKey, a, b, makeAddr("reporter"));
        assertLe(vm.snapshotGasLastCall("slasher", "batches, 48 members"), 400_000);
    }

    function test_entry_by_permit() public {
        _start(4);
        (address account, uint256 key) = makeAddrAndKey("newcomer");
        token.transfer(account, 100_000e18);
        bytes32 kind = keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        uint256[2] memory amounts = [uint256(1e18), STAKE];
        for (uint256 i = 0; i < 2; ++i) {
            IStaking.Permit memory p;
            p.deadline = vm.getBlockTimestamp();
            bytes32 content = keccak256(abi.encode(kind, account, address(staking), amounts[i], i, p.deadline));
            (p.v, p.r, p.s) = vm.sign(key, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), content)));
            vm.prank(account);
            if (i == 0) staking.delegateWithPermit(1, uint128(amounts[i]), 0, p);
            else staking.bondWithPermit(uint128(amounts[i]), 0, 0, p);
            vm.snapshotGasLastCall("staking", i == 0 ? "delegateWithPermit, first" : "bondWithPermit");
        }
    }

    function test_portal_and_claims() public {
        uint64 id = _bond(STAKE, 0);
        _register(id);
        address[2] memory accounts = [makeAddr("delegator"), makeAddr("other")];
        for (uint256 k = 0; k < 2; ++k) {
            _fund(accounts[k], 1_000e18);
            vm.prank(accounts[k]);
            staking.delegate(id, 100e18);
        }
        uint64[] memory ids = new uint64[](1);
        ids[0] = id;
        vm.deal(address(this), 2 * SUPPLY);
        inbox.start{value: SUPPLY}(_genesis(), ids);
        portal.deposit{value: 1 ether}(address(1), 1, 100_000, false, "", 1 ether);
        vm.snapshotGasLastCall("portal", "deposit, first");
        portal.deposit{value: 1 ether}(address(1), 1, 100_000, false, "", 1 ether);
        vm.snapshotGasLastCall("portal", "deposit, again");
        uint32[] memory led = new uint32[](1);
        led[0] = 240;
        for (uint256 i = 0; i < 2; ++i) {
            _advance(3);
            _closeEpoch(100 ether, led, 1);
            for (uint256 k = 0; k < 2; ++k) {
                // Who claims to itself has sent transactions before: the account exists.
                address receiver = i == 0 && k == 1 ? makeAddr("fresh") : accounts[k];
                vm.prank(accounts[k]);
                revenue.claim(id, receiver);
                if (k == 0) vm.snapshotGasLastCall("revenue", i == 0 ? "claim, first" : "claim, again");
                else if (i == 0) vm.snapshotGasLastCall("revenue", "claim, first, to an account that did not exist");
            }
        }
    }
}
