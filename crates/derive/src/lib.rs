//! Turns L1 data into the one L2 chain.
