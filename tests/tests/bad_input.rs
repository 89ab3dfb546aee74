//! Whatever is wrong, the answer has a name and says what to do (P12 bounded).
#![allow(dead_code, unused_imports, reason = "shared with scenarios to come")]

use alloy::{
    network::TransactionBuilder,
    primitives::{Address, U256},
    providers::Provider,
    rpc::types::TransactionRequest,
    signers::local::PrivateKeySigner,
};
use baton_cli::{
    anvil::{self, Anvil, AnvilOptions},
    load,
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
    let node = [
        "node",
        "--data-dir",
        &data,
        "--deployment",
        &deployment,
        "--l1.url",
        &l1,
        "--follow",
        &follow,
        "--rpc.addr",
        &port,
    ];
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
    let indexer = [
        "doctor",
        "--data-dir",
        &data,
        "--deployment",
        &deployment,
        "--l1.url",
        &l1,
        "--follow",
        &follow,
        "--database.url",
        "postgres://nobody@127.0.0.1:1/none",
    ];
    let output = World::baton(&indexer).await?;
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    named(&table, &["Postgres", "FAILED", "--database.url"])?;
    named(&refusal(&output)?, &["checks failed"])?;
    world.end().await;
    Ok(())
}
