//! From a deposit on L1 to settlement: ether, tokens and a deployment, through alloy, viem, ethers and cast.

use alloy::{
    consensus::TrieAccount,
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256, utils::parse_ether},
    providers::Provider,
    rpc::types::{EIP1186AccountProofResponse, TransactionRequest},
    sol_types::SolConstructor,
};
use alloy_trie::{Nibbles, proof::verify_proof};
use baton_bindings::contracts::{BatonToken, Portal};
use baton_cli::{chain, tools};
use baton_testkit::{
    World, WorldPlan, promises,
    world::{LATER, SOON, json, run},
};
use baton_tests::climbs;
use eyre::{Result, ensure, eyre};
use futures::StreamExt;

fn creation_code(holder: Address) -> Bytes {
    let arguments = BatonToken::constructorCall { holder, supply: U256::from(1_000_000u64) }.abi_encode();
    [BatonToken::BYTECODE.as_ref(), arguments.as_ref()].concat().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_final_then_posted_then_settled() -> Result<()> {
    let world = World::start(WorldPlan { follower: true, users: 4, ..WorldPlan::default() }).await?;

    // A deposit to somebody who has nothing (P5 forced_inclusion).
    let newcomer = Address::repeat_byte(0xd1);
    let portal = Portal::new(world.cluster.deployment.addresses.portal, world.l1_wallet(&world.users));
    let wei = parse_ether("2")?;
    // Room for the price of gas to double: what is left of it arrives too, with the sender.
    let max_fee = portal.depositFee(100_000).call().await? * U256::from(2);
    let deposit = portal.deposit(newcomer, wei, 100_000, false, Bytes::new(), max_fee);
    let deposit = deposit.value(wei + max_fee).from(world.users[0].address());
    let receipt = deposit.send().await?.get_receipt().await?;
    ensure!(receipt.status(), "the deposit failed on L1");
    let ws = world.nodes()[0].plan.ws();
    ensure!(chain::wait_balance(&ws, newcomer, wei, SOON).await? == wei, "P5: the deposit minted another amount");

    let transactions = alloy_client(&world).await?;
    let mut seen = viem_client(&world).await?;
    cast_client(&world).await?;
    seen.extend(ethers_client(&world).await?);
    schemas_fit(&world, transactions[2]).await?;

    // Every one of them climbs the whole ladder.
    for hash in transactions.into_iter().chain(seen) {
        let rungs = climbs(&world, 0, hash, LATER).await?;
        ensure!(rungs.last().is_some_and(|r| r == "settled"), "{hash} stopped at {rungs:?}");
    }
    proofs_verify(&world, newcomer, wei).await?;

    // The follower serves the same chain.
    let follower = world.cluster.follower.as_ref().ok_or_else(|| eyre!("no follower"))?;
    chain::wait_balance(&follower.plan.ws(), newcomer, wei, SOON).await?;
    promises::agreement(&world).await?;
    promises::batches_are_the_chain(&world).await?;
    world.end().await;
    Ok(())
}

/// Ether, a deployment and a token transfer with alloy; answers their hashes.
async fn alloy_client(world: &World) -> Result<Vec<B256>> {
    let from = world.users[0].address();
    let wallet = world.l2_wallet(0);
    let ws = world.nodes()[0].plan.ws();
    let receiver = Address::repeat_byte(0xa1);

    let ether = TransactionRequest::default().with_from(from).with_to(receiver).with_value(U256::from(5));
    let ether = *wallet.send_transaction(ether).await?.tx_hash();
    let receipt = chain::wait_receipt(&ws, ether, SOON).await?;
    ensure!(
        receipt.gas_used == 21_000 && receipt.from == from && receipt.to == Some(receiver),
        "wrong receipt: {receipt:?}"
    );

    let create = TransactionRequest::default().with_from(from).with_deploy_code(creation_code(from));
    let create = *wallet.send_transaction(create).await?.tx_hash();
    let address = chain::wait_receipt(&ws, create, SOON).await?.contract_address;
    let address = address.ok_or_else(|| eyre!("the deployment's receipt names no contract"))?;

    // The log is seen by a subscription, in the receipt and by a query, all the same.
    let subscriber = chain::ws(&ws).await?;
    let filter = alloy::rpc::types::Filter::new().address(address);
    let mut logs = subscriber.subscribe_logs(&filter).await?.into_stream();
    let token = BatonToken::new(address, wallet.clone());
    let moved = *token.transfer(receiver, U256::from(3)).from(from).send().await?.tx_hash();
    let receipt = chain::wait_receipt(&ws, moved, SOON).await?;
    let pushed = tokio::time::timeout(SOON, logs.next()).await?.ok_or_else(|| eyre!("the log subscription ended"))?;
    let queried = wallet.get_logs(&filter.at_block_hash(receipt.block_hash.unwrap_or_default())).await?;
    ensure!(pushed.transaction_hash == Some(moved), "the subscription told of {:?}", pushed.transaction_hash);
    ensure!(receipt.logs() == queried.as_slice(), "receipt and query differ: {:?} {queried:?}", receipt.logs());
    ensure!(token.balanceOf(receiver).call().await? == U256::from(3), "the tokens did not arrive");
    Ok(vec![ether, create, moved])
}

/// The same with viem.
async fn viem_client(world: &World) -> Result<Vec<B256>> {
    let user = &world.users[1];
    let modules = tools::node_modules().ok_or_else(|| eyre!("anvil/node_modules is missing"))?;
    let directory = modules.parent().unwrap_or(&modules).display().to_string();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/viem.mjs");
    let (http, ws) = (world.nodes()[1].plan.http().to_string(), world.nodes()[1].plan.ws().to_string());
    let key = user.to_bytes().to_string();
    let code = creation_code(user.address()).to_string();
    let receiver = Address::repeat_byte(0xb2).to_string();
    let output = run("node".as_ref(), &[script, &directory, &http, &ws, &key, &code, &receiver], &[]).await?;
    let seen = json(&output)?;
    ensure!(seen["statuses"] == serde_json::json!(["success", "success", "success"]), "viem saw {seen}");
    ensure!(seen["held"] == "5" && seen["logValue"] == "5", "viem saw {seen}");
    ensure!(seen["heads"].as_u64() > Some(0), "viem saw no head: {seen}");
    hashes(&seen)
}

/// The same with ethers.
async fn ethers_client(world: &World) -> Result<Vec<B256>> {
    let user = &world.users[3];
    let modules = tools::node_modules().ok_or_else(|| eyre!("anvil/node_modules is missing"))?;
    let directory = modules.parent().unwrap_or(&modules).display().to_string();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/ethers.mjs");
    let (http, ws) = (world.nodes()[0].plan.http().to_string(), world.nodes()[0].plan.ws().to_string());
    let key = user.to_bytes().to_string();
    let code = creation_code(user.address()).to_string();
    let receiver = Address::repeat_byte(0xe4).to_string();
    let output = run("node".as_ref(), &[script, &directory, &http, &ws, &key, &code, &receiver], &[]).await?;
    let seen = json(&output)?;
    ensure!(seen["statuses"] == serde_json::json!([1, 1, 1]), "ethers saw {seen}");
    ensure!(seen["held"] == "9" && seen["logValue"] == "9", "ethers saw {seen}");
    ensure!(seen["refused"] == "CALL_EXCEPTION" && seen["hasFees"] == true, "ethers saw {seen}");
    ensure!(seen["heads"].as_u64() > Some(0), "ethers saw no head: {seen}");
    hashes(&seen)
}

/// The same with cast.
async fn cast_client(world: &World) -> Result<Vec<B256>> {
    let user = &world.users[2];
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/cast.sh");
    let cast = tools::foundry("cast")?.display().to_string();
    let key = world.key_file(user)?.display().to_string();
    let http = world.nodes()[2].plan.http().to_string();
    let code = creation_code(user.address()).to_string();
    let receiver = Address::repeat_byte(0xc3).to_string();
    let output = run("bash".as_ref(), &[script, &cast, &http, &key, &code, &receiver], &[]).await?;
    let seen = json(&output)?;
    ensure!(seen["statuses"] == serde_json::json!(["0x1", "0x1", "0x1"]), "cast saw {seen}");
    ensure!(seen["held"] == "7", "cast saw {seen}");
    hashes(&seen)
}

/// Parameters and answers have the forms of execution-apis.
async fn schemas_fit(world: &World, with_log: B256) -> Result<()> {
    let modules = tools::node_modules().ok_or_else(|| eyre!("anvil/node_modules is missing"))?;
    let directory = modules.parent().unwrap_or(&modules).display().to_string();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/schemas.mjs");
    let http = world.nodes()[0].plan.http().to_string();
    let seen = json(&run("node".as_ref(), &[script, &directory, &http, &with_log.to_string()], &[]).await?)?;
    ensure!(seen["failures"] == serde_json::json!([]), "the schemas do not fit: {seen:#}");
    ensure!(seen["methods"].as_u64() >= Some(43) && seen["answers"].as_u64() >= Some(74), "little was checked: {seen}");
    Ok(())
}

fn hashes(seen: &serde_json::Value) -> Result<Vec<B256>> {
    let list = seen["transactions"].as_array().ok_or_else(|| eyre!("no transactions in {seen}"))?;
    list.iter().map(|hash| Ok(hash.as_str().unwrap_or_default().parse()?)).collect()
}

/// `eth_getProof` leads from the header's state root to the account, checked by an independent verifier.
async fn proofs_verify(world: &World, account: Address, balance: U256) -> Result<()> {
    let provider = world.l2(0);
    let height = provider.get_block_number().await?;
    let block: serde_json::Value =
        provider.raw_request("eth_getBlockByNumber".into(), (U256::from(height), false)).await?;
    let root: B256 = block["stateRoot"].as_str().unwrap_or_default().parse()?;
    let none: [B256; 0] = [];
    let proof: EIP1186AccountProofResponse =
        provider.raw_request("eth_getProof".into(), (account, none, U256::from(height))).await?;
    let leaf = TrieAccount { nonce: 0, balance, storage_root: alloy_trie::EMPTY_ROOT_HASH, code_hash: KECCAK256_EMPTY };
    let key = Nibbles::unpack(keccak256(account));
    verify_proof(root, key, Some(alloy::rlp::encode(leaf)), &proof.account_proof)?;
    ensure!(proof.balance == balance, "the proof names {} wei", proof.balance);

    // The same proof for another balance must fail: the verifier can say no.
    let other = TrieAccount {
        nonce: 0,
        balance: balance + U256::ONE,
        storage_root: alloy_trie::EMPTY_ROOT_HASH,
        code_hash: KECCAK256_EMPTY,
    };
    ensure!(
        verify_proof(root, key, Some(alloy::rlp::encode(other)), &proof.account_proof).is_err(),
        "a wrong balance verified"
    );
    Ok(())
}
