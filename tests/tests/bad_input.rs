//! Whatever is wrong, the answer has a name and says what to do (P12 bounded).

use alloy::{
    network::TransactionBuilder,
    primitives::{Address, U256},
    providers::Provider,
    rpc::types::TransactionRequest,
    signers::local::PrivateKeySigner,
};
use baton_cli::{
    anvil::{self, Anvil, AnvilOptions},
    load::{self, Fees},
};
use baton_node::OperatorKeys;
use baton_testkit::{
    World, WorldPlan,
    promises::named,
    world::{SOON, refusal},
};
use eyre::Result;
use std::{net::TcpListener, os::unix::fs::PermissionsExt};

#[tokio::test(flavor = "multi_thread")]
async fn a_misconfigured_node_says_what_is_wrong_and_what_to_do() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let keys = dir.path().join("keys");
    OperatorKeys::random().save(&keys)?;
    let text = |path: &std::path::Path| path.display().to_string();
    let (data, missing) = (text(&dir.path().join("data")), text(&dir.path().join("nothing.json")));
    let base = ["node", "--data-dir", &data, "--deployment", &missing, "--l1.url", "http://127.0.0.1:1"];

    // Neither sequencer nor follower.
    named(&refusal(&World::baton(&base).await?)?, &["--keys", "--follow"])?;
    // No deployment.
    let key_text = text(&keys);
    let with_keys = [&base[..], &["--keys", &key_text]].concat();
    named(&refusal(&World::baton(&with_keys).await?)?, &["nothing.json", "deploy"])?;
    // A key that others can read.
    std::fs::set_permissions(keys.join("vote.key"), std::fs::Permissions::from_mode(0o644))?;
    let shown = World::baton(&["keys", "show", "--keys", &key_text]).await?;
    named(&refusal(&shown)?, &["vote.key", "chmod 600"])?;
    // A file that holds no key.
    let rubbish = dir.path().join("rubbish");
    OperatorKeys::random().save(&rubbish)?;
    std::fs::write(rubbish.join("identity.key"), "not a key\n")?;
    let shown = World::baton(&["keys", "show", "--keys", &text(&rubbish)]).await?;
    named(&refusal(&shown)?, &["identity.key", "64 hex digits"])?;
    // A setting that does not exist.
    let file = dir.path().join("baton.toml");
    std::fs::write(&file, "[poster]\nmax-fees-gwei = 3\n")?;
    let file_text = text(&file);
    let with_file = [&with_keys[..], &["--config", &file_text]].concat();
    named(&refusal(&World::baton(&with_file).await?)?, &["poster.max-fees-gwei", "did you mean"])?;
    // An L1 that nobody serves.
    let verb = ["sequencers", "--l1.url", "http://127.0.0.1:1", "--deployment", &missing];
    named(&refusal(&World::baton(&verb).await?)?, &["nothing.json"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_l1_a_taken_port_and_missing_stake_are_named() -> Result<()> {
    let world = World::start(WorldPlan { users: 1, ..WorldPlan::default() }).await?;
    let deployment = world.cluster.deployment_path.display().to_string();

    // Another chain.
    let dir = tempfile::tempdir()?;
    let other = Anvil::start(dir.path(), &AnvilOptions { chain_id: 555, ..AnvilOptions::default() }).await?;
    let other_url = other.url().to_string();
    let wrong = World::baton(&["sequencers", "--l1.url", &other_url, "--deployment", &deployment]).await?;
    named(&refusal(&wrong)?, &["555", "31337", "--l1.url"])?;
    // Nobody there.
    let nobody = World::baton(&["sequencers", "--l1.url", "http://127.0.0.1:1", "--deployment", &deployment]).await?;
    named(&refusal(&nobody)?, &["does not answer", "127.0.0.1:1"])?;

    // A port in use.
    let holder = TcpListener::bind(("127.0.0.1", 0))?;
    let port = holder.local_addr()?.to_string();
    let data = world.path().join("second").display().to_string();
    let l1 = world.cluster.anvil.url().to_string();
    let follow = world.nodes()[0].plan.http().to_string();
    let common = ["--data-dir", &data, "--deployment", &deployment, "--l1.url", &l1, "--follow", &follow];
    let node = [&["node"], &common[..], &["--rpc.addr", &port]].concat();
    named(&refusal(&World::baton(&node).await?)?, &[&port, "--rpc.addr"])?;

    // Too little stake, no tokens, somebody else's sequencer.
    let poor = PrivateKeySigner::random();
    let refused = world.verb(&["stake", "--amount", "20000"], &poor).await?;
    named(&refusal(&refused)?, &["insufficient tokens", "20000"])?;
    let owner = anvil::account(9)?;
    named(&refusal(&world.verb(&["stake", "--amount", "1"], &owner).await?)?, &["Staking_BelowMinimum"])?;
    let keys = world.path().join("node1/keys").display().to_string();
    let foreign = world.verb(&["register", "--id", "1", "--keys", &keys, "--endpoint", "127.0.0.1:1"], &owner).await?;
    named(&refusal(&foreign)?, &["NotOwner"])?;

    // No Postgres.
    let doctor = [&["doctor"], &common[..], &["--database.url", "postgres://nobody@127.0.0.1:1/none"]].concat();
    let output = World::baton(&doctor).await?;
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    named(&table, &["Postgres", "FAILED", "--database.url"])?;
    named(&refusal(&output)?, &["checks failed"])?;
    world.end().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_transactions_get_the_standard_errors() -> Result<()> {
    let world = World::start(WorldPlan { users: 2, ..WorldPlan::default() }).await?;
    let l2 = world.l2(0);
    let user = &world.users[0];
    let chain_id = l2.get_chain_id().await?;
    let send = |raw: String| {
        let l2 = l2.clone();
        async move {
            let answer = l2.raw_request::<_, serde_json::Value>("eth_sendRawTransaction".into(), (raw,)).await;
            answer.err().map(|e| e.to_string()).unwrap_or_else(|| "accepted".into())
        }
    };
    let to = Address::repeat_byte(1);
    // Its deposit counted as a transaction.
    let nonce = l2.get_transaction_count(user.address()).await?;
    named(&send("0x".into()).await, &["-32"])?;
    named(&send("0xdeadbeef".into()).await, &["-32"])?;
    let foreign = load::sign_transfer(user, chain_id + 1, nonce, to, Fees::cap(10_000_000_000))?;
    named(&send(foreign.raw.to_string()).await, &["chain"])?;
    let cheap = load::sign_transfer(user, chain_id, nonce, to, Fees::cap(0))?;
    named(&send(cheap.raw.to_string()).await, &["underpriced", "minimum needed 1000000"])?;
    let poor = load::sign_transfer(&PrivateKeySigner::random(), chain_id, 0, to, Fees::cap(10_000_000_000))?;
    named(&send(poor.raw.to_string()).await, &["insufficient funds"])?;
    let first = load::sign_transfer(user, chain_id, nonce, to, Fees::cap(10_000_000_000))?;
    assert_eq!(send(first.raw.to_string()).await, "accepted");
    baton_cli::chain::wait_receipt(&world.nodes()[0].plan.ws(), first.hash, SOON).await?;
    let again = load::sign_transfer(user, chain_id, nonce, Address::repeat_byte(2), Fees::cap(10_000_000_000))?;
    named(&send(again.raw.to_string()).await, &["nonce too low"])?;

    // A call that reverts says so, with the standard code.
    let call = TransactionRequest::default()
        .with_to(baton_primitives::predeploys::L1_BLOCK)
        .with_input(vec![0xff, 0xff, 0xff, 0xff])
        .with_value(U256::ZERO);
    let reverted = l2.call(call).await.err().map(|e| e.to_string()).unwrap_or_default();
    named(&reverted, &["revert"])?;
    // Nothing of all this hurt the chain.
    world.wait_all(l2.get_block_number().await? + 5, SOON).await?;
    world.end().await;
    Ok(())
}
