//! An ERC-20 token that every account of a load holds.

use crate::founding;
use alloy::{
    network::TransactionBuilder,
    primitives::{Address, Bytes, U256},
    providers::Provider,
    rpc::types::TransactionRequest,
    signers::local::PrivateKeySigner,
    sol_types::{SolCall, SolConstructor},
};
use baton_bindings::contracts::BatonToken;
use eyre::{OptionExt, Result, ensure};
use url::Url;

/// Units that each account gets.
const EACH: u64 = 1_000_000_000;
/// A transfer between holders takes about 35,000 gas.
const GAS: u64 = 60_000;

/// A transfer of one unit: recipient, wei, gas limit and input.
pub(super) fn transfer(token: Address, to: Address) -> (Address, U256, u64, Bytes) {
    let input = BatonToken::transferCall { to, value: U256::ONE }.abi_encode();
    (token, U256::ZERO, GAS, input.into())
}

/// Deploys the stake token's contract with `funder` as its holder, and gives every account some.
///
/// # Errors
/// If the endpoint refuses, or a transaction fails.
pub async fn deploy(http: &Url, funder: &PrivateKeySigner, accounts: &[PrivateKeySigner]) -> Result<Address> {
    // Below the 2^24 gas that a transaction may have (EIP-7825).
    const AT_ONCE: usize = 350;
    const GAS_TO_SHARE: u64 = 45_000;
    let wallet = founding::wallet(http, std::slice::from_ref(funder));
    let send = async |request: TransactionRequest| -> Result<_> {
        let receipt = wallet.send_transaction(request.with_from(funder.address())).await?.get_receipt().await?;
        ensure!(receipt.status(), "a transaction of the token's deployment failed: {}", receipt.transaction_hash);
        Ok(receipt)
    };
    let arguments = BatonToken::constructorCall { holder: funder.address(), supply: U256::from(u128::MAX) };
    let code = [BatonToken::BYTECODE.as_ref(), &arguments.abi_encode()].concat();
    let created = send(TransactionRequest::default().with_deploy_code(code)).await?;
    let token = created.contract_address.ok_or_eyre("the token's receipt names no contract")?;
    for some in accounts.chunks(AT_ONCE) {
        // A contract's creation shares out what the contract was given before it was there.
        let nonce = wallet.get_transaction_count(funder.address()).await?;
        let sharer = funder.address().create(nonce + 1);
        let value = U256::from(EACH) * U256::from(some.len());
        let input = BatonToken::transferCall { to: sharer, value }.abi_encode();
        send(TransactionRequest::default().with_to(token).with_input(input)).await?;
        // Given, not estimated: with what a run spends, the last call would not get enough (it gets 63/64 of what is left), and the
        // creation would succeed all the same.
        let gas = 200_000 + GAS_TO_SHARE * some.len() as u64;
        send(TransactionRequest::default().with_deploy_code(share(token, some)).with_gas_limit(gas)).await?;
    }
    let last = accounts.last().map_or(Address::ZERO, PrivateKeySigner::address);
    let held = BatonToken::new(token, &wallet).balanceOf(last).call().await?;
    ensure!(held == U256::from(EACH), "the accounts did not get their tokens");
    Ok(token)
}

/// Init code that transfers [`EACH`] units of its own to each account.
fn share(token: Address, accounts: &[PrivateKeySigner]) -> Vec<u8> {
    let mut code = Vec::with_capacity(32 + accounts.len() * 54);
    // Memory 0..68 is the call: PUSH4 selector, PUSH1 224, SHL, PUSH0, MSTORE; PUSH8 amount, PUSH1 36, MSTORE.
    code.push(0x63);
    code.extend(BatonToken::transferCall::SELECTOR);
    code.extend([0x60, 0xe0, 0x1b, 0x5f, 0x52, 0x67]);
    code.extend(EACH.to_be_bytes());
    code.extend([0x60, 0x24, 0x52]);
    for account in accounts {
        // PUSH20 account, PUSH1 4, MSTORE
        code.push(0x73);
        code.extend(account.address());
        code.extend([0x60, 0x04, 0x52]);
        // PUSH0, PUSH0, PUSH1 68, PUSH0, PUSH0, PUSH20 token, GAS, CALL, POP
        code.extend([0x5f, 0x5f, 0x60, 0x44, 0x5f, 0x5f, 0x73]);
        code.extend(token);
        code.extend([0x5a, 0xf1, 0x50]);
    }
    code
}
