//! Watches L1 (heads, finality, logs, blobs, reorgs) and owns its nonces.
