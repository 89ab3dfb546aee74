//! Precompiled contracts of a simulation: Ethereum's, of which a caller may take some away or move them.

use super::SPEC;
use alloy::primitives::{
    Address,
    map::{AddressMap, AddressSet},
};
use revm::{
    context::{Cfg, ContextTr},
    handler::{EthPrecompiles, PrecompileProvider},
    interpreter::{CallInputs, InterpreterResult},
};
use std::sync::Arc;

/// The precompiled contracts that a simulation sees.
#[derive(Clone, Debug)]
pub(crate) struct Precompiles {
    ethereum: EthPrecompiles,
    /// Where they are, if not where Ethereum has them.
    moved: Option<Arc<Moved>>,
}

#[derive(Clone, Debug)]
struct Moved {
    /// By the address at which it answers: Ethereum's address of it.
    places: AddressMap<Address>,
    /// Addresses that are warm from the beginning.
    addresses: AddressSet,
}

impl Default for Precompiles {
    fn default() -> Self {
        Self { ethereum: EthPrecompiles::new(SPEC), moved: None }
    }
}

impl Precompiles {
    /// Whether one answers there.
    pub(crate) fn has(&self, address: &Address) -> bool {
        match &self.moved {
            None => self.ethereum.contains(address),
            Some(moved) => moved.places.contains_key(address),
        }
    }

    /// Takes the one at `from` away; it answers at `to` from now on, if that is given.
    pub(crate) fn take(&mut self, from: Address, to: Option<Address>) {
        let mut moved = self.moved.as_deref().cloned().unwrap_or_else(|| Moved {
            places: self.ethereum.precompiles.addresses().map(|address| (*address, *address)).collect(),
            addresses: AddressSet::default(),
        });
        if let Some(origin) = moved.places.remove(&from)
            && let Some(to) = to
        {
            moved.places.insert(to, origin);
        }
        // Ethereum's addresses stay warm, as in geth.
        let ethereum = self.ethereum.precompiles.addresses();
        moved.addresses = moved.places.keys().chain(ethereum).copied().collect();
        self.moved = Some(Arc::new(moved));
    }
}

impl<CTX: ContextTr> PrecompileProvider<CTX> for Precompiles {
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: <CTX::Cfg as Cfg>::Spec) -> bool {
        PrecompileProvider::<CTX>::set_spec(&mut self.ethereum, spec)
    }

    fn run(&mut self, context: &mut CTX, inputs: &CallInputs) -> Result<Option<InterpreterResult>, String> {
        let Some(moved) = &self.moved else { return self.ethereum.run(context, inputs) };
        match moved.places.get(&inputs.bytecode_address) {
            None => Ok(None),
            Some(origin) if *origin == inputs.bytecode_address => self.ethereum.run(context, inputs),
            Some(origin) => {
                let mut inputs = inputs.clone();
                inputs.bytecode_address = *origin;
                self.ethereum.run(context, &inputs)
            }
        }
    }

    fn warm_addresses(&self) -> &AddressSet {
        match &self.moved {
            None => self.ethereum.warm_addresses(),
            Some(moved) => &moved.addresses,
        }
    }

    fn contains(&self, address: &Address) -> bool {
        self.has(address)
    }
}
