// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RevenueShare} from "../../src/RevenueShare.sol";
import {IParameters} from "../../src/interfaces/IParameters.sol";
import {IRevenueShare} from "../../src/interfaces/IRevenueShare.sol";
import {Snapshots} from "../../src/libraries/Snapshots.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Test} from "forge-std/Test.sol";
import {Vm} from "forge-std/Vm.sol";

/// @notice The contract splits an epoch as the Rust crate `revenue` does: tests/vectors/revenue.json holds both to it.
contract RevenueVectorsTest is Test {
    string private json;
    IParameters.Values private chain;
    address private code;

    function money() external view returns (IParameters.Money memory) {
        return chain.money;
    }

    function token() external view returns (address) {
        return address(this);
    }

    function values() external view returns (IParameters.Values memory) {
        return chain;
    }

    function snapshotData(uint64) external view returns (address, bytes32) {
        return (code, 0);
    }

    function _list(string memory path, string memory field) private view returns (uint256[] memory) {
        return vm.parseJsonUintArray(json, string.concat(path, ".", field));
    }

    function _figure(string memory path, string memory field) private view returns (uint256) {
        return vm.parseJsonUint(json, string.concat(path, ".", field));
    }

    function test_the_split_is_that_of_the_rust_crate() public {
        json = vm.readFile("../tests/vectors/revenue.json");
        uint256 count = vm.parseJsonUint(json, ".count");
        assertGt(count, 3);
        for (uint256 i = 0; i < count; ++i) {
            _case(string.concat(".cases[", vm.toString(i), "]"));
        }
    }

    /// @dev Each epoch but the last is credited; that one would take an account beyond what it can store.
    function test_the_limits_of_an_account_are_those_of_the_rust_crate() public {
        json = vm.readFile("../tests/vectors/revenue.json");
        uint256 count = vm.parseJsonUint(json, ".limitCount");
        assertGt(count, 3);
        for (uint256 i = 0; i < count; ++i) {
            _limit(string.concat(".limits[", vm.toString(i), "]"));
        }
    }

    function _limit(string memory path) private {
        chain.money.treasuryBps = 0;
        chain.money.producersBps = uint16(_figure(path, "producersBps"));
        RevenueShare revenue = _deploy();
        (bytes memory performance, uint64[] memory signed) = _members(path);
        uint64 batches = uint64(_figure(path, "batches"));
        uint256[] memory fees = _list(path, "fees");
        uint256 credited;
        for (uint256 i = 0; i < fees.length; ++i) {
            vm.deal(address(this), fees[i]);
            revenue.receiveFees{value: fees[i]}();
            credited += fees[i];
            if (i + 1 == fees.length) {
                uint256 bits = _figure(path, "bits");
                bytes4 beyond = SafeCast.SafeCastOverflowedUintDowncast.selector;
                // What shares or the owner would be owed is one more than fits.
                vm.expectRevert(abi.encodeWithSelector(beyond, bits, uint256(1) << bits));
            }
            revenue.close(uint64(i), 0, fees[i], performance, batches, signed);
        }
        assertEq(revenue.totals().income, credited - fees[fees.length - 1]);
    }

    function _deploy() private returns (RevenueShare) {
        return RevenueShare(vm.deployCode("RevenueShare.sol", abi.encode(this, this, this, this, this, this)));
    }

    function _case(string memory path) private {
        chain.money.treasuryBps = uint16(_figure(path, "treasuryBps"));
        chain.money.producersBps = uint16(_figure(path, "producersBps"));
        RevenueShare revenue = _deploy();
        uint256[] memory debts = vm.keyExistsJson(json, string.concat(path, ".debts[0]")) ? _list(path, "debts") : new uint256[](0);
        for (uint256 i = 0; i < debts.length; ++i) {
            revenue.addDebt(1, address(1), debts[i]);
        }
        uint256 fees = _figure(path, "fees");
        vm.deal(address(this), fees);
        revenue.receiveFees{value: fees}();
        (bytes memory performance, uint64[] memory signed) = _members(path);
        vm.recordLogs();
        revenue.close(0, 0, fees, performance, uint64(_figure(path, "batches")), signed);
        IRevenueShare.Totals memory t = revenue.totals();
        assertEq(t.debtsPaid, _figure(path, "debtsPaid"));
        assertEq(t.treasury, _figure(path, "treasury"));
        assertEq(t.income, _figure(path, "producers") + _figure(path, "attesters"));
        assertEq(t.carry, _figure(path, "carry"));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs[0].topics[0], IRevenueShare.Credited.selector);
        (, uint256[] memory producer, uint256[] memory attester, uint256[] memory commission, uint256[] memory index) =
            abi.decode(logs[0].data, (uint64[], uint256[], uint256[], uint256[], uint256[]));
        assertEq(producer, _list(path, "producer"));
        assertEq(attester, _list(path, "attester"));
        assertEq(commission, _list(path, "commission"));
        assertEq(index, _list(path, "index"));
    }

    function _members(string memory path) private returns (bytes memory performance, uint64[] memory signed) {
        uint256[] memory stakes = _list(path, "stakes");
        uint256[] memory shares = _list(path, "shares");
        uint256[] memory commissions = _list(path, "commissions");
        uint256[] memory led = _list(path, "blocksLed");
        uint256[] memory signatures = _list(path, "signed");
        Snapshots.Member[] memory members = new Snapshots.Member[](stakes.length);
        signed = new uint64[](stakes.length);
        uint256 total;
        for (uint256 i = 0; i < stakes.length; ++i) {
            members[i] = Snapshots.Member(uint128(stakes[i]), uint128(shares[i]), uint16(commissions[i]), address(0), uint64(i + 1), 0);
            total += stakes[i];
            signed[i] = uint64(signatures[i]);
            performance = bytes.concat(performance, bytes4(uint32(led[i])), bytes4(0));
        }
        code = Snapshots.write(new bytes(256), total, members);
    }
}
