//! Speaks to the contracts: typed calls, events, errors, addresses; drift-tested against the sources.
