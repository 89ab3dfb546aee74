// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStaking} from "../interfaces/IStaking.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title History
/// @notice A position's shares over periods. What it holds now is one storage slot; each earlier period with a change is one more.
/// @dev Shares are numbered in the order they entered, and leave in that order: [left, entered) are held. Hence a past period tells which of the
/// shares held or leaving now were there already: those with a number below `entered` at its end.
/// Promise: what a past period tells never changes. Periods given never decrease; `entered` and `left` never do.
library History {
    using SafeCast for uint256;

    /// @notice One history. `entered` bounds `left`, so only an entry can meet its limit of 2^104, never an exit.
    struct Trace {
        uint104 entered;
        uint104 left;
        uint24 from;
        uint24 older;
        mapping(uint256 => Point) past;
    }

    /// @notice The sums at the end of period `from`, in force until the next point.
    struct Point {
        uint104 entered;
        uint104 left;
        uint24 from;
    }

    /// @notice Adds shares from `period` on.
    function enter(Trace storage self, uint256 shares, uint64 period) internal {
        uint24 from = _open(self, period);
        (self.entered, self.from) = ((self.entered + shares).toUint104(), from);
    }

    /// @notice Takes the oldest shares out from `period` on; there must be as many.
    function leave(Trace storage self, uint256 shares, uint64 period) internal {
        uint24 from = _open(self, period);
        uint256 left = self.left + shares;
        assert(left <= self.entered);
        (self.left, self.from) = (uint104(left), from);
    }

    /// @notice Shares held now.
    function value(Trace storage self) internal view returns (uint128) {
        return self.entered - self.left;
    }

    /// @notice Shares held in `period`.
    function valueAt(Trace storage self, uint64 period) internal view returns (uint128) {
        Point memory point = at(self, period);
        return point.entered - point.left;
    }

    /// @notice The sums at the end of `period`.
    function at(Trace storage self, uint64 period) internal view returns (Point memory point) {
        if (period >= self.from) return Point({entered: self.entered, left: self.left, from: self.from});
        (uint256 low, uint256 high) = (0, self.older);
        // Find the number of points that begin at or before `period`.
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (self.past[middle].from <= period) low = middle + 1;
            else high = middle;
        }
        if (low != 0) point = self.past[low - 1];
    }

    /// @notice The periods in which the shares numbered [start, start + shares) entered, oldest first, with how many in each.
    function lots(Trace storage self, uint256 start, uint256 shares) internal view returns (IStaking.Segment[] memory list) {
        (uint256 first, uint256 high) = (0, self.older);
        // Find the point with which share number `start` entered.
        while (first < high) {
            uint256 middle = (first + high) / 2;
            if (self.past[middle].entered <= start) first = middle + 1;
            else high = middle;
        }
        uint256 end = start + shares;
        uint256 length = 1;
        while (_point(self, first + length - 1).entered < end) ++length;
        list = new IStaking.Segment[](length);
        for (uint256 i = 0; i < length; ++i) {
            Point memory point = _point(self, first + i);
            uint256 upper = point.entered < end ? point.entered : end;
            list[i] = IStaking.Segment({from: point.from, shares: uint128(upper - start)});
            start = upper;
        }
    }

    /// @notice At most `limit` segments from number `start` on, oldest first; the newest is the value now.
    function segments(Trace storage self, uint256 start, uint256 limit) internal view returns (IStaking.Segment[] memory list) {
        uint256 total = self.entered == 0 ? 0 : uint256(self.older) + 1;
        uint256 length = start >= total ? 0 : total - start < limit ? total - start : limit;
        list = new IStaking.Segment[](length);
        for (uint256 i = 0; i < length; ++i) {
            Point memory point = _point(self, start + i);
            list[i] = IStaking.Segment({from: point.from, shares: point.entered - point.left});
        }
    }

    /// @dev Keeps the newest sums as past ones if a new period begins, which the caller writes with the new sums. Nothing was held before the
    /// first entry: no point needed for it.
    function _open(Trace storage self, uint64 period) private returns (uint24 from) {
        from = uint256(period).toUint24();
        if (self.from == from || self.entered == 0) return from;
        self.past[self.older] = Point({entered: self.entered, left: self.left, from: self.from});
        ++self.older;
    }

    function _point(Trace storage self, uint256 number) private view returns (Point memory) {
        return number < self.older ? self.past[number] : Point({entered: self.entered, left: self.left, from: self.from});
    }
}
