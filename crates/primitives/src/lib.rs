//! Names the things of the protocol, how they encode and how they are signed.
