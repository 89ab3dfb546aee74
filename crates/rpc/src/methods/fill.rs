//! `eth_fillTransaction`: what a request leaves out, filled in for its sender to sign.

use super::{Methods, Reply, execute};
use crate::{
    context::Context,
    error::{RpcError, code},
    ports::Backend,
};
use alloy::{
    eips::{BlockId, eip2718::Encodable2718},
    primitives::{Bytes, TxKind},
    rpc::types::{FillTransaction, TransactionRequest},
};
use baton_primitives::{Fields, Transaction};

pub(super) fn register<B: Backend>(table: &mut Methods<B>) {
    table.add("eth_fillTransaction(transaction: Call) -> Filled", |c, p| {
        let request: TransactionRequest = p.required()?;
        Reply::read(c, move |c, _| fill(c, request))
    });
}

/// As geth fills it: the next nonce, twice the base fee and the suggested tip as caps, the estimated gas.
fn fill<B: Backend>(
    context: &Context<B>,
    mut request: TransactionRequest,
) -> Result<FillTransaction<Transaction>, RpcError> {
    let backend = &context.backend;
    if request.blob_versioned_hashes.is_some() || request.max_fee_per_blob_gas.is_some() {
        return Err(RpcError::new(code::REJECTED, "transaction type not supported: 0x3"));
    }
    if request.gas_price.is_some() && (request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some())
    {
        return Err(RpcError::params("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified"));
    }
    if request.gas_price.is_some() && request.authorization_list.is_some() {
        return Err(RpcError::params("a transaction with authorizations names maxFeePerGas, not gasPrice"));
    }
    let chain_id = backend.chain_id();
    if let Some(have) = request.chain_id
        && have != chain_id
    {
        return Err(RpcError::params(format!("chainId does not match node's (have={have}, want={chain_id})")));
    }
    request.chain_id = Some(chain_id);
    let from = request.from.unwrap_or_default();
    let latest = backend.heads().latest;
    if request.nonce.is_none() {
        let nonce = backend.account(latest, from)?.nonce;
        request.nonce = Some(nonce.max(backend.next_nonce(from).unwrap_or(0)));
    }
    if request.gas_price.is_none() {
        let tip = *request.max_priority_fee_per_gas.get_or_insert_with(|| backend.suggested_tip());
        let cap = u128::from(backend.next_base_fee()).saturating_mul(2).saturating_add(tip);
        let cap = *request.max_fee_per_gas.get_or_insert(cap);
        if cap < tip {
            return Err(RpcError::params(format!("maxFeePerGas ({cap}) < maxPriorityFeePerGas ({tip})")));
        }
    }
    if request.gas.is_none() {
        // Without a price: what the sender can pay for is its own concern, as in geth.
        let mut priceless = request.clone();
        (priceless.gas_price, priceless.max_fee_per_gas, priceless.max_priority_fee_per_gas) = (None, None, None);
        let call = execute::Simulation::new(priceless, BlockId::latest(), Default::default(), Default::default())?;
        request.gas = Some(execute::estimate(context, call)?);
    }
    let tx = unsigned(&request, chain_id)?;
    Ok(FillTransaction { raw: Bytes::from(tx.encoded_2718()), tx })
}

/// The transaction with a zero signature: what is to be signed, in a form that decodes.
fn unsigned(request: &TransactionRequest, chain_id: u64) -> Result<Transaction, RpcError> {
    let authorization_list = request.authorization_list.clone().unwrap_or_default();
    let kind = match (request.gas_price, &request.access_list) {
        _ if !authorization_list.is_empty() => 4,
        (Some(_), None) => 0,
        (Some(_), Some(_)) => 1,
        (None, _) => 2,
    };
    let fields = Fields {
        kind,
        chain_id: Some(chain_id),
        nonce: request.nonce.unwrap_or_default(),
        gas_limit: request.gas.unwrap_or_default(),
        max_fee_per_gas: request.gas_price.or(request.max_fee_per_gas).unwrap_or_default(),
        max_priority_fee_per_gas: request.max_priority_fee_per_gas.unwrap_or_default(),
        to: request.to.unwrap_or(TxKind::Create),
        value: request.value.unwrap_or_default(),
        input: request.input.input().cloned().unwrap_or_default(),
        access_list: request.access_list.clone().unwrap_or_default(),
        authorization_list,
    };
    fields.unsigned().map_err(|error| RpcError::params(error.to_string()))
}
