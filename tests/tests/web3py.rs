//! web3.py's own provider suite, case by case: each ends as the committed list says.

use baton_testkit::{World, WorldPlan};
use eyre::{Result, ensure};
use std::{process::Stdio, time::Duration};

/// Longest time of the whole suite; a case has a minute.
const PATIENCE: Duration = Duration::from_secs(400);

#[tokio::test(flavor = "multi_thread")]
async fn every_case_of_web3py_ends_as_listed() -> Result<()> {
    let world = World::start(WorldPlan { sequencers: 1, users: 1, ..WorldPlan::default() }).await?;
    let mut suite = tokio::process::Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/clients/web3py.sh"));
    suite.arg(world.nodes()[0].plan.http().to_string()).arg(world.key_file(&world.users[0])?);
    let output = tokio::time::timeout(PATIENCE, suite.stdin(Stdio::null()).kill_on_drop(true).output()).await??;
    let told = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    world.end().await;
    Ok(())
}
