// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RevenueShare} from "../../src/RevenueShare.sol";
import {IBatchInbox} from "../../src/interfaces/IBatchInbox.sol";
import {IParameters} from "../../src/interfaces/IParameters.sol";
import {IRevenueShare} from "../../src/interfaces/IRevenueShare.sol";
import {IStaking} from "../../src/interfaces/IStaking.sol";
import {Bls} from "../../src/libraries/Bls.sol";
import {Certificates} from "../../src/libraries/Certificates.sol";
import {Code} from "../../src/libraries/Code.sol";
import {Snapshots} from "../../src/libraries/Snapshots.sol";
import {Votes} from "../../src/libraries/Votes.sol";
import {BlsSigner} from "../helpers/BlsSigner.sol";
import {Test} from "forge-std/Test.sol";

/// @notice Ten thousand random cases of each kind, made and answered as tests/vectors/differential.rs says: Rust wrote what they must come to.
/// @dev Each run checks all leaders, cores, votes and claims, and the first 1,000 certificates; `BATON_DIFFERENTIAL=10000` checks all of these.
abstract contract Differential is Test {
    bytes32 internal seed;

    /// @dev Cases are answered in calls to oneself: memory is freed in between.
    uint256 private constant CHUNK = 50;

    function _answer(uint256 i) internal virtual returns (bytes32);

    function answers(uint256 from, bytes32 sum) external returns (bytes32) {
        require(msg.sender == address(this));
        for (uint256 i = from; i < from + CHUNK; ++i) {
            sum = keccak256(abi.encode(sum, _answer(i)));
        }
        return sum;
    }

    function _run(string memory name, uint256 most) internal {
        string memory json = vm.readFile(string.concat("../tests/vectors/differential/", name, ".json"));
        seed = vm.parseJsonBytes32(json, ".seed");
        assertEq(seed, keccak256(bytes(string.concat("baton differential ", name))));
        bytes32[] memory sums = vm.parseJsonBytes32Array(json, ".sums");
        uint256 step = vm.parseJsonUint(json, ".step");
        uint256 cases = vm.parseJsonUint(json, ".cases");
        assertEq(cases, 10_000);
        assertEq(sums.length * step, cases);
        vm.pauseGasMetering();
        bytes32 sum;
        for (uint256 i = 0; i < cases && i < most; i += CHUNK) {
            sum = this.answers(i, sum);
            uint256 done = i + CHUNK;
            if (done % step == 0) assertEq(sum, sums[done / step - 1], string.concat("up to case ", vm.toString(done)));
        }
    }

    /// @dev Word `number` of case `i`.
    function _word(uint256 i, uint256 number) internal view returns (uint256) {
        return uint256(keccak256(abi.encode(seed, i, number)));
    }

    function _limb(uint256 word, uint256 i) internal pure returns (uint64) {
        return uint64(word >> (64 * i));
    }

    /// @dev The lowest `bits`, shifted down by limb 2 modulo `shifts`.
    function _varied(uint256 word, uint256 bits, uint256 shifts) internal pure returns (uint256) {
        return (word & ((1 << bits) - 1)) >> (_limb(word, 2) % shifts);
    }

    /// @dev A snapshot as it is read back, without its aggregate key.
    function _snapshot(bytes memory aggregate, Snapshots.Member[] memory members) internal pure returns (bytes memory data) {
        uint256 total;
        uint256[] memory words = new uint256[](2 * members.length);
        for (uint256 k = 0; k < members.length; ++k) {
            Snapshots.Member memory m = members[k];
            total += m.stake;
            words[2 * k] = (uint256(m.stake) << 144) | (uint256(m.shares) << 16) | m.commission;
            words[2 * k + 1] = (uint256(uint160(m.card)) << 96) | (uint256(m.id) << 32) | uint32(m.sharesFrom);
        }
        data = abi.encodePacked(aggregate, total, words);
    }
}

contract DifferentialLeaders is Differential {
    function test_leaders_of_random_sets_are_those_of_the_rust_schedule() public {
        _run("leaders", type(uint256).max);
    }

    function _answer(uint256 i) internal view override returns (bytes32) {
        uint256 size = _word(i, 0);
        Snapshots.Member[] memory members = new Snapshots.Member[](1 + ((_limb(size, 0) % 64) >> (_limb(size, 1) % 6)));
        for (uint256 k = 0; k < members.length; ++k) {
            members[k].stake = uint128(_varied(_word(i, k + 1), 112, 113));
        }
        members[0].stake |= 1;
        bytes memory data = _snapshot(new bytes(256), members);
        return bytes32(Snapshots.leader(data, bytes32(_word(i, 100)), _limb(_word(i, 101), 0), _limb(_word(i, 102), 0)));
    }
}

contract DifferentialCores is Differential {
    IBatchInbox private inbox;

    function values() external view returns (IParameters.Values memory) {}

    function test_hashes_of_random_cores_are_those_of_the_node() public {
        inbox = IBatchInbox(vm.deployCode("BatchInbox.sol", abi.encode(this, this, this, this, this)));
        _run("cores", type(uint256).max);
    }

    function _answer(uint256 i) internal view override returns (bytes32) {
        IBatchInbox.Core memory core;
        core.version = uint16(_word(i, 0));
        core.generation = uint64(_word(i, 1));
        core.index = uint64(_word(i, 2));
        core.previous = bytes32(_word(i, 3));
        core.epoch = uint64(_word(i, 4));
        core.snapshot = uint64(_word(i, 5));
        core.firstHeight = uint64(_word(i, 6));
        core.lastHeight = uint64(_word(i, 7));
        core.lastView = uint64(_word(i, 8));
        core.lastBlock = bytes32(_word(i, 9));
        core.lastTimestamp = uint64(_word(i, 10));
        core.stateRoot = bytes32(_word(i, 11));
        core.originNumber = uint64(_word(i, 12));
        core.originHash = bytes32(_word(i, 13));
        core.deposits = uint64(_word(i, 14));
        core.withdrawalsRoot = bytes32(_word(i, 15));
        core.closing = _word(i, 16) % 2 == 1;
        core.fees = _word(i, 17);
        core.performance = bytes32(_word(i, 18));
        core.nextSnapshot = uint64(_word(i, 19));
        return inbox.hashCore(core);
    }
}

contract DifferentialVotes is Differential {
    function test_bytes_of_random_votes_are_those_of_the_engine() public {
        vm.chainId(31_337);
        _run("votes", type(uint256).max);
    }

    function _number(uint256 i, uint256 k) private view returns (uint64) {
        return uint64(_varied(_word(i, k), 64, 64));
    }

    function _answer(uint256 i) internal view override returns (bytes32) {
        uint64 kind = _limb(_word(i, 6), 0) % 3;
        Votes.Proposal memory proposal = Votes.Proposal(_number(i, 4), bytes32(_word(i, 5)));
        string memory suffix = kind == 0 ? Votes.NOTARIZE : kind == 1 ? Votes.FINALIZE : Votes.NULLIFY;
        address inbox = address(uint160(_word(i, 0)));
        return keccak256(Votes.message(Votes.namespaceOf(inbox, _number(i, 1)), _number(i, 2), _number(i, 3), suffix, proposal));
    }
}

contract DifferentialCertificates is Differential {
    uint256 private constant MEMBERS = 7;
    uint256[MEMBERS] private scalars;
    address[MEMBERS] private cards;
    bytes private aggregate;

    function test_verdicts_on_random_certificates_are_those_of_the_node() public {
        seed = keccak256("baton differential certificates");
        for (uint256 k = 0; k < MEMBERS; ++k) {
            scalars[k] = _word(type(uint64).max, k) % BlsSigner.ORDER;
            bytes memory key = BlsSigner.publicKey(scalars[k]);
            cards[k] = Code.write(abi.encodePacked(bytes32(k), address(0), key, "endpoint"));
            aggregate = k == 0 ? key : Bls.add(aggregate, key);
        }
        _run("certificates", vm.envOr("BATON_DIFFERENTIAL", uint256(1_000)));
    }

    function verify(bytes memory data, IBatchInbox.Certificate calldata certificate, bytes memory message) external view {
        Certificates.verify(data, certificate, message);
    }

    function _answer(uint256 i) internal view override returns (bytes32) {
        Snapshots.Member[] memory members = new Snapshots.Member[](MEMBERS);
        for (uint256 k = 0; k < MEMBERS; ++k) {
            (members[k].stake, members[k].card) = (uint128(_varied(_word(i, k + 1), 80, 4) | 1), cards[k]);
        }
        uint256 word = _word(i, 0);
        uint256 signers = (word | (_limb(word, 0) >> 8)) & 0x7f;
        uint256 flip = 1 << (_limb(word, 3) % MEMBERS);
        uint256 kind = _limb(word, 2) % 8;
        uint256 signing = kind == 0 ? signers ^ flip : signers;
        if (signing == 0) signing = flip;
        if (_limb(word, 1) % 16 == 0) signers |= 0x80;
        bytes memory message = abi.encode(_word(i, 10));
        uint256 sum;
        for (uint256 k = 0; k < MEMBERS; ++k) {
            if ((signing >> k) & 1 == 1) sum = addmod(sum, scalars[k], BlsSigner.ORDER);
        }
        // The point that nobody signed is twice the signature.
        if (kind == 2) sum = addmod(sum, sum, BlsSigner.ORDER);
        bytes memory signature = BlsSigner.sign(sum, kind == 1 ? abi.encode(_word(i, 11)) : message);
        try this.verify(_snapshot(aggregate, members), IBatchInbox.Certificate(signers, signature), message) {
            return bytes32(0);
        } catch (bytes memory reason) {
            if (bytes4(reason) == IBatchInbox.BatchInbox_UnknownSigner.selector) return bytes32(uint256(1));
            if (bytes4(reason) == IBatchInbox.BatchInbox_InsufficientStake.selector) return bytes32(uint256(2));
            assertEq(bytes4(reason), IBatchInbox.BatchInbox_BadCertificate.selector);
            return bytes32(uint256(3));
        }
    }
}

contract DifferentialClaims is Differential {
    RevenueShare private revenue;
    IParameters.Money public money;
    address private constant SNAPSHOT = address(0x5a9);
    address private constant HOLDER = address(0xa11ce);
    mapping(uint64 id => uint128) private positions;

    // -- The other contracts, as RevenueShare sees them

    function token() external view returns (address) {
        return address(this);
    }

    function snapshotData(uint64) external pure returns (address, bytes32) {
        return (SNAPSHOT, 0);
    }

    function segments(uint64 id, address, uint256, uint256) external view returns (IStaking.Segment[] memory list) {
        list = new IStaking.Segment[](1);
        list[0] = IStaking.Segment({from: 0, shares: positions[id]});
    }

    function test_splits_and_claims_of_random_epochs_are_those_of_the_rust_crate() public {
        revenue = RevenueShare(vm.deployCode("RevenueShare.sol", abi.encode(this, this, this, this, this, this)));
        vm.deal(address(this), type(uint128).max);
        _run("claims", type(uint256).max);
    }

    function _answer(uint256 i) internal override returns (bytes32) {
        uint256 size = _word(i, 0);
        (money.treasuryBps, money.producersBps) = (uint16(_limb(size, 1) % 1_001), uint16(_limb(size, 2) % 10_001));
        revenue.receiveFees{value: _varied(_word(i, 1), 80, 80)}();
        uint256 owed = _word(i, 2);
        if (_limb(owed, 3) % 2 == 0) revenue.addDebt(1, address(1), _varied(owed, 80, 80));
        uint256 members = 1 + _limb(size, 0) % 4;
        _close(i, members, 1 + _limb(size, 3) % 20);
        return keccak256(_told(i, members));
    }

    function _close(uint256 i, uint256 count, uint64 batches) private {
        Snapshots.Member[] memory members = new Snapshots.Member[](count);
        uint64[] memory signed = new uint64[](count);
        bytes memory performance;
        for (uint256 k = 0; k < count; ++k) {
            uint256 did = _word(i, 10 + 10 * k);
            Snapshots.Member memory m = members[k];
            m.stake = uint128(_varied(_word(i, 11 + 10 * k), 88, 40) | 1);
            m.shares = uint128(_varied(_word(i, 12 + 10 * k), 104, 24) | 1 << 80);
            m.commission = uint16(_limb(did, 0) % 10_001);
            m.id = uint64(4 * i + k + 1);
            positions[m.id] = uint128(_word(i, 13 + 10 * k) % (uint256(m.shares) + 1));
            performance = abi.encodePacked(performance, uint32(_limb(did, 1) % 100), uint32(0));
            signed[k] = _limb(did, 2) % (batches + 1);
        }
        vm.etch(SNAPSHOT, bytes.concat(hex"00", _snapshot(new bytes(256), members)));
        revenue.close(uint64(i), 0, 0, performance, batches, signed);
    }

    function _told(uint256 i, uint256 members) private view returns (bytes memory answer) {
        IRevenueShare.Totals memory t = revenue.totals();
        (,, uint256 covered) = revenue.debt(revenue.debtCount());
        answer = abi.encode(t.debtsPaid, t.treasury, t.income, t.carry, covered);
        for (uint64 id = uint64(4 * i + 1); id <= 4 * i + members; ++id) {
            IRevenueShare.Account memory a = revenue.account(id);
            answer = bytes.concat(answer, abi.encode(a.index, a.commission, revenue.claimable(id, HOLDER)));
        }
    }
}
