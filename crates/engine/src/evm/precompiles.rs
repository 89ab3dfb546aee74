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
    /// Where they are, if not where Ethereum has them: by the address at which each answers, Ethereum's address of it.
    moved: Option<Arc<AddressMap<Address>>>,
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
            Some(moved) => moved.contains_key(address),
        }
    }

    /// Takes the one at `from` away; it answers at `to` from now on, if that is given.
    pub(crate) fn take(&mut self, from: Address, to: Option<Address>) {
        let mut moved = self
            .moved
            .as_deref()
            .cloned()
            .unwrap_or_else(|| self.ethereum.precompiles.addresses().map(|address| (*address, *address)).collect());
        if let Some(origin) = moved.remove(&from)
            && let Some(to) = to
        {
            moved.insert(to, origin);
        }
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
        match moved.get(&inputs.bytecode_address) {
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
        // Ethereum's addresses, wherever its contracts are: a new place of one is cold, as in geth.
        self.ethereum.warm_addresses()
    }

    fn contains(&self, address: &Address) -> bool {
        self.has(address)
    }
}
