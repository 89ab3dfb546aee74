//! Turns derived blocks into exact shares, conserving every wei.
