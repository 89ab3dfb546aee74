// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStaking} from "../interfaces/IStaking.sol";

/// @title History
/// @notice A number of shares over periods. The newest value and its period are one storage slot; each earlier segment is one more.
/// @dev Promise: `valueAt(p)` for a past period never changes. Periods given to `set` never decrease.
library History {
    /// @notice One history.
    struct Trace {
        uint128 value;
        uint64 from;
        uint64 older;
        mapping(uint256 => IStaking.Segment) past;
    }

    /// @notice Sets the value from `period` on.
    function set(Trace storage self, uint128 value, uint64 period) internal {
        (uint128 current, uint64 from, uint64 older) = (self.value, self.from, self.older);
        if (from != period) {
            // Nothing was held before the first entry: no segment needed for it.
            if (current != 0 || older != 0) {
                self.past[older] = IStaking.Segment({from: from, shares: current});
                self.older = older + 1;
            }
            self.from = period;
        }
        self.value = value;
    }

    /// @notice The value in `period`.
    function valueAt(Trace storage self, uint64 period) internal view returns (uint128) {
        if (period >= self.from) return self.value;
        (uint256 low, uint256 high) = (0, self.older);
        // Find the number of segments that begin at or before `period`.
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (self.past[middle].from <= period) low = middle + 1;
            else high = middle;
        }
        return low == 0 ? 0 : self.past[low - 1].shares;
    }

    /// @notice At most `limit` segments from number `start` on, oldest first; the newest is the value now.
    function segments(Trace storage self, uint256 start, uint256 limit) internal view returns (IStaking.Segment[] memory list) {
        uint256 total = self.value == 0 && self.older == 0 ? 0 : uint256(self.older) + 1;
        uint256 length = start >= total ? 0 : total - start < limit ? total - start : limit;
        list = new IStaking.Segment[](length);
        for (uint256 i = 0; i < length; ++i) {
            uint256 number = start + i;
            list[i] = number < self.older ? self.past[number] : IStaking.Segment({from: self.from, shares: self.value});
        }
    }
}
