//! The engine's types, with ours filled in.

use crate::{block::Block, digest::Digest};
use commonware_consensus::{
    marshal::{core::Mailbox, standard::Standard},
    simplex,
};
use commonware_cryptography::{bls12381::primitives::variant::MinSig, ed25519};

pub(crate) type PublicKey = ed25519::PublicKey;
pub(crate) type Scheme = simplex::scheme::bls12381_multisig::Scheme<PublicKey, MinSig>;
pub(crate) type Finalization = simplex::types::Finalization<Scheme, Digest>;
pub(crate) type Activity = simplex::types::Activity<Scheme, Digest>;
pub(crate) type Context = simplex::types::Context<Digest, PublicKey>;
pub(crate) type Plan = simplex::Plan<PublicKey>;
pub(crate) type Variant = Standard<Block>;
pub(crate) type Marshal = Mailbox<Scheme, Variant>;
