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
    function enter(Trace storage self, uint256 shares, uint24 period) internal {
        _open(self, period);
        self.entered = SafeCast.toUint104(self.entered + shares);
    }

    /// @notice Takes the oldest shares out from `period` on; there must be as many.
    function leave(Trace storage self, uint256 shares, uint24 period) internal {
        _open(self, period);
        uint256 left = self.left + shares;
        assert(left <= self.entered);
        self.left = uint104(left);
    }

    /// @notice Shares held now.
    function value(Trace storage self) internal view returns (uint128) {
        return self.entered - self.left;
    }

    /// @notice The sums at the end of `period`.
    function at(Trace storage self, uint64 period) internal view returns (Point memory) {
        if (period >= self.from) return point(self, self.older);
        uint256 number = _past(self, false, period);
        if (number != 0) return point(self, number - 1);
    }

    /// @notice The point number `number`; `older` is that of the newest.
    function point(Trace storage self, uint256 number) internal view returns (Point memory) {
        return number < self.older ? self.past[number] : Point({entered: self.entered, left: self.left, from: self.from});
    }

    /// @notice The periods in which the shares numbered [start, start + shares) entered, oldest first, with how many in each.
    function lots(Trace storage self, uint256 start, uint256 shares) internal view returns (IStaking.Segment[] memory list) {
        // The point with which share number `start` entered.
        uint256 first = _past(self, true, start);
        uint256 end = start + shares;
        uint256 length = 1;
        while (point(self, first + length - 1).entered < end) ++length;
        list = new IStaking.Segment[](length);
        for (uint256 i = 0; i < length; ++i) {
            Point memory p = point(self, first + i);
            uint256 upper = p.entered < end ? p.entered : end;
            list[i] = IStaking.Segment({from: p.from, shares: uint128(upper - start)});
            start = upper;
        }
    }

    /// @dev How many past points have a number of shares entered, or else a period, of at most `limit`.
    function _past(Trace storage self, bool shares, uint256 limit) private view returns (uint256 low) {
        uint256 high = self.older;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            Point storage p = self.past[middle];
            if ((shares ? p.entered : p.from) <= limit) low = middle + 1;
            else high = middle;
        }
    }

    /// @dev Begins a period: keeps the newest sums as past ones. Nothing was held before the first entry: no point needed for it.
    function _open(Trace storage self, uint24 period) private {
        uint24 from = self.from;
        if (from == period) return;
        self.from = period;
        if (self.entered == 0) return;
        Point storage last = self.past[self.older++];
        (last.entered, last.left, last.from) = (self.entered, self.left, from);
    }
}
