use super::*;
use alloy::{
    consensus::TrieAccount,
    eips::BlockId,
    network::TransactionBuilder,
    primitives::{hex, keccak256},
    rlp,
    rpc::types::{
        EIP1186AccountProofResponse, TransactionRequest,
        state::{AccountOverride, StateOverride},
    },
};
use alloy_trie::{Nibbles, proof::verify_proof};
use baton_bindings::contracts::MessagePasser;
use baton_primitives::predeploys;

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_verifies_against_the_header_at_the_head_and_in_history() {
    let world = World::new().await;
    let provider = world.provider(RICH);
    let passer = MessagePasser::new(predeploys::MESSAGE_PASSER, &provider);
    for _ in 0..2 {
        passer
            .send(NOBODY, U256::ZERO, Bytes::new())
            .value(U256::from(5))
            .send()
            .await
            .unwrap()
            .get_receipt()
            .await
            .unwrap();
    }
    for (height, balance) in [(1, 5u64), (2, 10)] {
        let at = BlockId::number(height);
        let root = provider.get_block(at).await.unwrap().unwrap().header.state_root;
        let slots = vec![B256::ZERO, B256::repeat_byte(9)];
        let proof = provider.get_proof(predeploys::MESSAGE_PASSER, slots).block_id(at).await.unwrap();
        assert_eq!(proof.balance, U256::from(balance));
        verify(&proof, root);
        assert!(!proof.storage_proof[0].value.is_zero());
        assert!(proof.storage_proof[1].value.is_zero());
    }
    // An account that does not exist is proven absent.
    let root = provider.get_block(BlockId::latest()).await.unwrap().unwrap().header.state_root;
    let absent = provider.get_proof(Address::repeat_byte(0x77), Vec::new()).await.unwrap();
    let key = Nibbles::unpack(keccak256(absent.address));
    verify_proof(root, key, None, &absent.account_proof).unwrap();
}

fn verify(proof: &EIP1186AccountProofResponse, root: B256) {
    let account = TrieAccount {
        nonce: proof.nonce,
        balance: proof.balance,
        storage_root: proof.storage_hash,
        code_hash: proof.code_hash,
    };
    let key = Nibbles::unpack(keccak256(proof.address));
    verify_proof(root, key, Some(rlp::encode(account)), &proof.account_proof).unwrap();
    for slot in &proof.storage_proof {
        let key = Nibbles::unpack(keccak256(slot.key.as_b256()));
        let value = (!slot.value.is_zero()).then(|| rlp::encode(slot.value));
        verify_proof(proof.storage_hash, key, value, &slot.proof).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_estimate_is_what_the_transaction_needs() {
    let world = World::new().await;
    let provider = world.provider(RICH);
    let from = signer(RICH).address();
    let plain = TransactionRequest::default().with_from(from).with_to(NOBODY).with_value(U256::from(1));
    assert_eq!(provider.estimate_gas(plain).await.unwrap(), 21_000);
    let passer = MessagePasser::new(predeploys::MESSAGE_PASSER, &provider);
    let call = passer.send(NOBODY, U256::ZERO, Bytes::from(vec![7; 1_000]));
    let estimate = call.estimate_gas().await.unwrap();
    let receipt = call.gas(estimate).send().await.unwrap().get_receipt().await.unwrap();
    assert!(receipt.status());
    assert!(estimate < receipt.gas_used * 102 / 100, "{estimate} for {}", receipt.gas_used);
    let deployment = TransactionRequest::default().with_from(from).with_deploy_code(deploying(&[0; 100]));
    let estimate = provider.estimate_gas(deployment.clone()).await.unwrap();
    let receipt =
        provider.send_transaction(deployment.with_gas_limit(estimate)).await.unwrap().get_receipt().await.unwrap();
    assert!(receipt.status());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_call_says_why_in_geths_words() {
    let world = World::paused().await;
    let long = MessagePasser::new(predeploys::MESSAGE_PASSER, world.provider(RICH))
        .send(NOBODY, U256::ZERO, Bytes::from(vec![0; 65_537]))
        .calldata()
        .clone();
    let answer = world.call("eth_call", json!([{ "to": predeploys::MESSAGE_PASSER, "data": long }, "latest"])).await;
    // A custom error: no words, but the data.
    assert_eq!((&answer["error"]["code"], &answer["error"]["message"]), (&json!(3), &json!("execution reverted")));
    let data = answer["error"]["data"].as_str().unwrap();
    let expected = &keccak256("MessagePasser_DataTooLong(uint256,uint256)")[..4];
    assert!(data.starts_with(&format!("0x{}", hex::encode(expected))), "{data}");

    for (code, text) in [
        ("0xfe", "invalid opcode: INVALID"),
        ("0x0c", "invalid opcode"),
        ("0x50", "stack underflow"),
        ("0x600056", "invalid jump destination"),
        ("0x5b600056", "out of gas"),
    ] {
        let overrides = json!({ NOBODY.to_string(): { "code": code } });
        let (found, message) = world.error("eth_call", json!([{ "to": NOBODY }, "latest", overrides])).await;
        assert_eq!((found, message.as_str()), (-32000, text), "{code}");
    }
    let broke = json!([{ "from": NOBODY, "to": NOBODY, "value": "0x1" }]);
    let (code, message) = world.error("eth_call", broke).await;
    assert_eq!(code, -32000);
    assert!(message.starts_with("insufficient funds for gas * price + value: address 0x9999"), "{message}");
    let (_, message) = world.error("eth_call", json!([{ "to": NOBODY, "gas": "0x1" }])).await;
    assert_eq!(message, "intrinsic gas too low: have 1, want 21000");
    let (_, message) = world.error("eth_call", json!([{ "to": NOBODY, "maxFeePerGas": "0x1" }])).await;
    assert!(message.starts_with("max fee per gas less than block base fee: "), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn state_and_block_can_be_overridden_for_one_call() {
    let world = World::paused().await;
    let provider = world.provider(RICH);
    // SELFBALANCE, PUSH0, MSTORE, NUMBER, PUSH1 32, MSTORE, PUSH0, SLOAD, PUSH1 64, MSTORE, PUSH1 96, PUSH0, RETURN
    let code = hex!("475f5243602052 5f54604052 60605ff3");
    let account = AccountOverride::default()
        .with_code(Bytes::from(code.to_vec()))
        .with_state_diff([(B256::ZERO, B256::repeat_byte(5))]);
    let account = AccountOverride { balance: Some(U256::from(42)), ..account };
    let request = TransactionRequest::default().with_to(NOBODY);
    let overrides = StateOverride::from_iter([(NOBODY, account)]);
    let output = world.result("eth_call", json!([request, "latest", overrides, { "number": "0x64" }])).await;
    let output: Bytes = serde_json::from_value(output).unwrap();
    assert_eq!(U256::from_be_slice(&output[..32]), U256::from(42));
    assert_eq!(U256::from_be_slice(&output[32..64]), U256::from(100));
    assert_eq!(&output[64..], &B256::repeat_byte(5)[..]);
    assert!(provider.get_code_at(NOBODY).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_list_names_what_the_call_touches() {
    let world = World::paused().await;
    let provider = world.provider(RICH);
    let call = MessagePasser::new(predeploys::MESSAGE_PASSER, &provider).root().calldata().clone();
    let request = TransactionRequest::default().with_to(predeploys::MESSAGE_PASSER).with_input(call);
    let found = provider.create_access_list(&request).await.unwrap();
    assert!(found.error.is_none());
    assert_eq!(found.access_list.0.len(), 1);
    assert_eq!(found.access_list.0[0].storage_keys, [B256::ZERO]);
}
